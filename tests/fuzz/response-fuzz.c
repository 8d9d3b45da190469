/*
 * What a peer answers, octet by octet: lines are found and taken apart within
 * their bounds, whatever they are.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "lib/message_id.h"
#include "lib/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

/* line has exactly so many octets: one read too far is seen. */
static void
line_try(const char *line, size_t octets)
{
    struct response response;
    struct buffer why = BUFFER_EMPTY;
    uint64_t numbers[3];
    const char *id;
    size_t id_octets;

    if (response_parse(&response, line, octets, &why) < 0) {
        must(why.used > 0);
        buffer_free(&why);
        return;
    }
    must(why.used == 0);
    must(response.code >= 100 && response.code < 600);
    must(response.text >= line && response.text <= line + octets);
    must(response.octets <= (size_t)(line + octets - response.text));
    must(memchr(response.text, '\n', response.octets) == NULL
         || memchr(line, '\n', octets) != line + octets - 1);
    if (response_message_id(&response, &id, &id_octets)) {
        must(id == response.text && id_octets <= response.octets);
        must(message_id_is_valid(id, id_octets));
    }
    must(response_numbers(&response, numbers, 3) <= 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    size_t octets;

    while (size > 0 && (octets = response_line_octets(at, size)) > 0) {
        char *line;

        must(octets <= size);
        line = xmalloc(octets);
        memcpy(line, at, octets);
        line_try(line, octets);
        free(line);
        at += octets;
        size -= octets;
    }
    return 0;
}
