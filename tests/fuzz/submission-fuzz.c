/*
 * A payload from another process is taken apart: whatever it says, only what
 * is in it is looked at, and what is accepted can be used without a further
 * check.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "storage/submission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned char last;

/* Read every octet, so that the sanitizer sees one that is not ours. */
static void
read_all(const char *octets, size_t length)
{
    for (size_t i = 0; i < length; i++)
        last = (unsigned char)octets[i];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct submission_view view;
    const struct submission *head = &view.head;
    char *payload = xmemdup(data, size);

    /* Lengths that fit: else random octets get no further than these. */
    if (size > sizeof(*head) + 8 && (data[0] & 1) != 0) {
        struct submission fitting;

        memcpy(&fitting, payload, sizeof(fitting));
        if (fitting.group_count != 1 && fitting.group_count != 2)
            fitting.group_count = 1;
        fitting.overview_octets %= (uint32_t)(size - sizeof(fitting) - 8) + 1;
        fitting.article_octets =
            (uint32_t)(size - sizeof(fitting)
                       - fitting.group_count * sizeof(uint32_t))
            - fitting.overview_octets;
        memcpy(payload, &fitting, sizeof(fitting));
    }
    if (submission_parse(&view, payload, size, NULL) == 0) {
        read_all((const char *)view.groups,
                 head->group_count * sizeof(uint32_t));
        read_all(view.overview, head->overview_octets);
        read_all(view.article, head->article_octets);
        read_all(view.article + head->message_id_offset,
                 head->message_id_octets);
        if (view.article[head->xref_offset] != '\r'
            || view.article[head->body_offset - 1] != '\n'
            || !message_id_is_valid(view.article + head->message_id_offset,
                                    head->message_id_octets))
            abort();
    }
    free(payload);
    return 0;
}
