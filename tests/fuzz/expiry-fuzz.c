/*
 * Batches of removals and lists of remembered IDs, as they would come from a
 * tool or out of the log: the octets as they are, and with counts that fit.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "storage/expiry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static void
batch_check(const char *octets, size_t size)
{
    struct buffer why = BUFFER_EMPTY;
    struct expired_range before = {0};
    struct expiry expiry;

    if (expiry_parse(&expiry, octets, size, &why) < 0) {
        must(why.used > 0);
        buffer_free(&why);
        return;
    }
    for (size_t i = 0; i < expiry.head.range_count; i++) {
        struct expired_range range = expiry_range(&expiry, i);

        must(range.group > 0 && range.first > 0 && range.first <= range.last);
        must(range.first_sequence <= range.last_sequence);
        must(
            range.group > before.group
            || (range.group == before.group && range.first > before.last + 1));
        before = range;
    }
    for (size_t i = 0; i < expiry.head.article_count; i++)
        must(expiry_entry(&expiry, i).sequence > 0);
}

static void
remembered_check(const char *octets, size_t size)
{
    int64_t count = remembered_count(octets, size, NULL);

    for (int64_t i = 0; i < count; i++)
        must(remembered_at(octets, (size_t)i).fate != HISTORY_STORED);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of just this size: the sanitizer guards its end. */
    char *octets = xmalloc(size > 0 ? size : 1);
    struct expired head;

    memcpy(octets, data, size);
    batch_check(octets, size);
    remembered_check(octets, size);
    remembered_check(octets, size - size % sizeof(struct remembered));
    if (size >= sizeof(head)) {
        size_t left = size - sizeof(head);

        memcpy(&head, octets, sizeof(head));
        head.range_count %= left / sizeof(struct expired_range) + 1;
        left -= head.range_count * sizeof(struct expired_range);
        head.article_count = (uint32_t)(left / sizeof(struct expired_article));
        memcpy(octets, &head, sizeof(head));
        batch_check(octets,
                    size - left
                        + head.article_count * sizeof(struct expired_article));
    }
    free(octets);
    return 0;
}
