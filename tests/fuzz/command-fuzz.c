/*
 * Any octets as what a client sends: lines are cut as a session cuts them,
 * taken apart, and each word read as a number and a range.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/command_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static void
check_word(const char *word)
{
    uint64_t number, low, high;

    must(word[0] != '\0');
    must(strcspn(word, " \t\r\n") == strlen(word));
    if (!article_range_parse(word, &low, &high)) {
        must(!article_number_parse(word, &number));
        return;
    }
    must(low < UINT64_C(10000000000000000));
    if (article_number_parse(word, &number))
        must(number == low && number == high);
    else
        must(strchr(word, '-') != NULL);
}

static void
check_line(const char *octets, size_t length)
{
    struct command_line line;
    int i;

    command_line_parse(&line, octets, length);
    must(line.count >= 0 && line.count <= COMMAND_WORDS_MAX);
    for (i = 0; i < line.count; i++) {
        must(line.word[i] >= line.text);
        must(line.word[i] + strlen(line.word[i])
             < line.text + sizeof line.text);
        check_word(line.word[i]);
    }
    if (line.fault == COMMAND_LINE_GOOD) {
        must(length <= COMMAND_LINE_OCTETS_MAX);
        must(memchr(octets, '\0', length) == NULL);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of exactly this length: one octet too far is seen. */
    char *copy = malloc(size == 0 ? 1 : size);
    const char *at;
    size_t left = size, length;

    must(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    for (at = copy; (length = command_line_octets(at, left)) > 0;
         at += length, left -= length) {
        must(length <= left && at[length - 1] == '\n');
        check_line(at, length);
    }
    must(left == 0 || memchr(at, '\n', left) == NULL);
    free(copy);
    return 0;
}
