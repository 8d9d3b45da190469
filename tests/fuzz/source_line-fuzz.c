/*
 * What a helper program says, and a login as it is asked about: an answer is
 * one of its words, and a line has no octet in it that would end it early.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/source_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

static void
question_try(const char *octets, size_t length)
{
    size_t name_octets = length / 3;
    const struct ipc_login_request request = {
        .address = "2001:db8::1",
        .name = octets,
        .name_octets = name_octets,
        .secret = octets + name_octets,
        .secret_octets = length - name_octets,
    };
    struct buffer line = BUFFER_EMPTY;
    size_t spaces = 0;

    source_login_build(&line, 7, &request);
    for (size_t i = 0; i + 1 < line.used; i++) {
        if (line.data[i] < ' ' || line.data[i] > '~')
            abort();
        spaces += line.data[i] == ' ';
    }
    if (spaces != 4 || line.data[line.used - 1] != '\n')
        abort();
    buffer_free(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    struct source_answer answer;
    char *line = malloc(length > 0 ? length : 1);

    memcpy(line, octets, length);
    if (source_answer_parse(line, length, &answer) == 0
        && answer.verdict == SOURCE_YES
        && (answer.role < ACCOUNT_READER || answer.role >= ACCOUNT_ROLES
            || !account_wildmat_is_valid(answer.moderates)))
        abort();
    (void)source_line_is_ready(line, length);
    question_try(line, length);
    free(line);
    return 0;
}
