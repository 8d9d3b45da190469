/*
 * A line of the overview as it may have been read from a damaged one: each of
 * its fields, Xref among them, lies within it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/message_id.h"
#include "nnrpd/overview_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

enum { FIELDS = 9 }; /* the number, and the eight of RFC 3977, 8.4 */

static void
must(bool holds)
{
    if (!holds)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    char *line = malloc(length + 1);
    char id[MESSAGE_ID_OCTETS_MAX + 1];

    must(line != NULL);
    memcpy(line, octets, length);
    for (int index = 0; index < FIELDS + 2; index++) {
        const char *field;
        size_t field_octets;

        if (!overview_line_field(line, length, index, &field, &field_octets))
            continue;
        must(field >= line && field_octets <= length);
        must(field + field_octets <= line + length);
        must(memchr(field, '\t', field_octets) == NULL);
    }
    overview_line_message_id(line, length, id);
    must(memchr(id, '\0', sizeof(id)) != NULL);
    free(line);
    return 0;
}
