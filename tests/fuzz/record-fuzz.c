/*
 * Taking a record apart: the octets of the input as they are, and again with
 * magic and sums made right, so that the checks behind them are reached.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/memory.h"
#include "storage/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

/* Read all that a record says is its own: a wrong length is then found by the
   sanitizer. */
static void
record_use(const struct record *record)
{
    uint64_t sum = crc32c(0, record->meta, record->head.meta_octets)
                   + crc32c(0, record->payload, record->head.payload_octets);

    for (size_t i = 0; i < record_group_count(record); i++)
        sum += record_group(record, i).number;
    if (record->head.type == RECORD_ARTICLE) {
        must(record->head.body_offset <= record->head.payload_octets);
        must(record->head.head_octets <= record->head.body_offset);
    }
    /* So that the compiler keeps the sums. */
    __asm__ volatile("" : : "r"(sum));
}

static void
check(const char *octets, size_t size)
{
    struct buffer why = BUFFER_EMPTY;
    struct record record;
    int64_t light = record_parse(&record, octets, size, false, NULL);
    int64_t full;

    if (light >= 0)
        record_use(&record);
    full = record_parse(&record, octets, size, true, &why);
    must(full == -1 || full == light);
    must(full >= 0 || why.used > 0);
    if (full >= 0) {
        must((size_t)full <= size && full % 8 == 0);
        must(record.head.octets == full && record.token.octets == full);
        must(crc32c(0, record.payload, record.head.payload_octets)
             == record.head.payload_crc);
        record_use(&record);
    }
    buffer_free(&why);
}

/* Make magic and sums right, and the length too when the first octet behind
   the head is odd. */
static void
mend(char *octets, size_t size)
{
    struct record_head head;
    uint64_t wanted;

    memcpy(&head, octets, sizeof(head));
    head.magic = RECORD_MAGIC;
    wanted = sizeof(head) + (uint64_t)head.meta_octets + head.payload_octets;
    if (wanted <= size) {
        if (size > sizeof(head) && octets[sizeof(head)] % 2 != 0)
            head.octets = (uint32_t)((wanted + 7) & ~UINT64_C(7));
        head.payload_crc = crc32c(0, octets + sizeof(head) + head.meta_octets,
                                  head.payload_octets);
        head.crc = crc32c(0, &head, offsetof(struct record_head, crc));
        head.crc = crc32c(head.crc, octets + sizeof(head), head.meta_octets);
    }
    memcpy(octets, &head, sizeof(head));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of just this size: the sanitizer guards its end. */
    char *octets = xmalloc(size + 1);

    memcpy(octets, data, size);
    octets = xrealloc(octets, size > 0 ? size : 1);
    check(octets, size);
    if (size >= sizeof(struct record_head)) {
        /* Random lengths are nearly always too long. */
        uint32_t meta, payload;

        memcpy(&meta, octets + offsetof(struct record_head, meta_octets), 4);
        memcpy(&payload, octets + offsetof(struct record_head, payload_octets),
               4);
        meta %= 1024;
        payload %= 1024;
        memcpy(octets + offsetof(struct record_head, meta_octets), &meta, 4);
        memcpy(octets + offsetof(struct record_head, payload_octets), &payload,
               4);
        mend(octets, size);
        check(octets, size);
    }
    free(octets);
    return 0;
}
