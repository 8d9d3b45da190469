/*
 * Header fields alone: folding taken out, and a field found by its name, as
 * HDR does with what lies in the spool.  The first octet says how long the
 * name is that is asked for; then the name, then the head.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/article.h"
#include "lib/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static bool
is_space(char octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n'
           || octet == '\0';
}

/* What is no white space stays, in its order, and nothing is added to it. */
static void
check_text(const char *before, size_t octets, const struct buffer *after)
{
    size_t at = 0;

    for (size_t i = 0; i < octets; i++) {
        if (is_space(before[i]))
            continue;
        while (at < after->used && after->data[at] == ' ')
            at++;
        must(at < after->used && after->data[at] == before[i]);
        at++;
    }
    while (at < after->used && after->data[at] == ' ')
        at++;
    must(at == after->used);
}

static void
check_unfold(const char *octets, size_t length)
{
    struct field_value value = {.octets = octets, .length = length};
    struct buffer once = BUFFER_EMPTY;
    struct buffer twice = BUFFER_EMPTY;

    field_unfold(&value, &once);
    must(once.used <= length);
    check_text(octets, length, &once);
    value.octets = buffer_text(&once);
    value.length = once.used;
    field_unfold(&value, &twice);
    must(twice.used == once.used
         && memcmp(buffer_text(&twice), buffer_text(&once), once.used) == 0);
    buffer_free(&once);
    buffer_free(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    struct field_value value;
    size_t name_octets;
    char *name;
    char *head;

    if (length == 0)
        return 0;
    name_octets = octets[0] % 32;
    if (name_octets > length - 1)
        name_octets = length - 1;
    /* In memory of just their sizes. */
    name = malloc(name_octets + 1);
    head = malloc(length - name_octets);
    must(name != NULL && head != NULL);
    memcpy(name, octets + 1, name_octets);
    name[name_octets] = '\0';
    length -= 1 + name_octets;
    memcpy(head, octets + 1 + name_octets, length);
    check_unfold(head, length);
    if (head_find(head, length, name, &value)) {
        must(value.times > 0);
        must(value.octets >= head && value.octets <= head + length);
        must(value.length <= (size_t)(head + length - value.octets));
        must(value.line_offset + value.line_octets <= length);
        check_unfold(value.octets, value.length);
    }
    free(name);
    free(head);
    return 0;
}
