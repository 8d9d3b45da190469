#include "storage/store_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

enum {
    /* Of a batch's record, beside its payload. */
    RECORD_OCTETS = 256,
};

/* --- the caller's thread --- */

/* Does the batch name only what there is? */
static int
check(struct store *store, const struct expiry *expiry)
{
    for (size_t i = 0; i < expiry->head.range_count; i++) {
        struct expired_range range = expiry_range(expiry, i);

        if (range.group > store->group_count
            || range.last > store->groups[range.group - 1].high
            || range.last_sequence > store->sequence)
            return why_set(
                &store->why,
                "newsgroup %u has no number %" PRIu64 " of sequence %" PRIu64,
                (unsigned)range.group, range.last, range.last_sequence);
    }
    for (size_t i = 0; i < expiry->head.article_count; i++)
        if (expiry_article(expiry, i).sequence > store->sequence)
            return why_set(&store->why, "there is no article %" PRIu64 " yet",
                           expiry_article(expiry, i).sequence);
    return 0;
}

void
store_expire(struct store *store, const void *octets, size_t length,
             uint64_t cookie, store_changed_func *changed, void *context)
{
    struct expiry expiry;
    struct change change = {
        .kind = CHANGE_EXPIRE,
        .cookie = cookie,
        .changed = changed,
        .context = context,
    };

    /* Broken: the next writer is asked again. */
    if (store_is_broken(store))
        return;
    if (expiry_parse(&expiry, octets, length, &store->why) < 0
        || check(store, &expiry) < 0) {
        changed(context, cookie, -1, buffer_text(&store->why));
        return;
    }
    store_make_room(store, length + RECORD_OCTETS);
    buffer_append(&change.expiry, octets, length);
    change.removed =
        xcalloc(expiry.head.range_count + (size_t)1, sizeof(*change.removed));
    store_append(store, RECORD_EXPIRE, NULL, NULL, 0, octets, length);
    store_change(store, &change);
}

/* --- the index thread --- */

/* The batch; it was checked when it came. */
struct expiry
expiry_of(const struct change *change)
{
    struct expiry expiry = {0};

    (void)expiry_parse(&expiry, change->expiry.data, change->expiry.used,
                       NULL);
    return expiry;
}

void
expire_collect(struct index_scratch *scratch, const struct change *change)
{
    struct expiry expiry = expiry_of(change);

    for (size_t i = 0; i < expiry.head.article_count; i++)
        scratch->history[scratch->history_count++] = expiry_entry(&expiry, i);
}

int
expire_overview(struct store *store, const struct change *change,
                struct buffer *why)
{
    struct expiry expiry = expiry_of(change);

    return expiry_remove(&expiry, store->overview, change->removed, why);
}
