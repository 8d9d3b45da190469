#include "storage/store_private.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "storage/active.h"
#include "storage/spool_reader.h"

void
change_take_groups(struct change *change, const struct record *record)
{
    size_t octets;

    change->group_count = record_group_count(record);
    octets = change->group_count * sizeof(*change->groups);
    change->groups = xmalloc(octets > 0 ? octets : 1);
    for (size_t i = 0; i < change->group_count; i++)
        change->groups[i] = record_group(record, i);
}

/* The groups of the article that lies there, from the head of its record. */
static int
read_groups(struct store *store, const struct history_entry *entry,
            struct change *change)
{
    struct spooled *spooled;

    if (spool_read_now(store->pathspool, &entry->token, entry->sequence,
                       &spooled)
        != SPOOL_FOUND)
        return why_set(&store->why, "the article cannot be read");
    change_take_groups(change, &spooled->record);
    spooled_release(spooled);
    return 0;
}

void
store_remove(struct store *store, struct change *change)
{
    struct removal removal = {
        .sequence = change->target,
        .until = store_now(store) + store->remember_seconds,
    };

    change->until = removal.until;
    change->pending = store_pending_add(&store->pending, &change->hash);
    store_append(store, RECORD_CANCEL, &change->hash, change->groups,
                 change->group_count * sizeof(*change->groups), &removal,
                 sizeof(removal));
    store_change(store, change);
}

void
store_cancel(struct store *store, int words, const char *const *word,
             uint64_t cookie, store_changed_func *changed, void *context)
{
    struct change change = {
        .kind = CHANGE_CANCEL,
        .cookie = cookie,
        .changed = changed,
        .context = context,
    };
    struct history_entry entry;
    struct pending_id *pending;
    int found;

    if (!message_id_is_valid(word[1], strlen(word[1]))) {
        changed(context, cookie, -1, "that is no message-ID");
        return;
    }
    change.hash = message_id_hash(&store->key, word[1], strlen(word[1]));
    pending = store_pending_find(&store->pending, &change.hash);
    if (pending != NULL) {
        store_command_wait(store, pending, words, word, cookie, changed,
                           context);
        return;
    }
    found = store_lookup(store, &change.hash, &entry);
    /* Broken: the next writer is asked again. */
    if (found < 0)
        return;
    if (found > 0 && entry.fate != HISTORY_STORED) {
        changed(context, cookie, 0, "Ok");
        return;
    }
    if (found > 0) {
        change.target = entry.sequence;
        if (read_groups(store, &entry, &change) < 0) {
            changed(context, cookie, -1, buffer_text(&store->why));
            return;
        }
    }
    store_remove(store, &change);
}
