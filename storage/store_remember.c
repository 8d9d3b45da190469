#include "storage/store_private.h"

/* Nobody waits for it: the refusal has been answered. */
static void
remembered(void *context, uint64_t cookie, int status, const char *text)
{
    (void)context;
    (void)cookie;
    (void)status;
    (void)text;
}

void
store_remember(struct store *store, const struct message_hash *hash)
{
    struct change change = {
        .kind = CHANGE_REMEMBER,
        .hash = *hash,
        .changed = remembered,
    };
    struct history_entry entry;
    struct remembered record = {.hash = *hash, .fate = HISTORY_REFUSED};

    /* Known already, or just being decided: that counts for more. */
    if (!store->remembers_trash || store_is_broken(store)
        || store_is_full(store)
        || store_pending_find(&store->pending, hash) != NULL
        || store_lookup(store, hash, &entry) != 0)
        return;
    store_make_room(store, sizeof(record));
    record.until = store_now(store) + store->remember_seconds;
    change.until = record.until;
    change.pending = store_pending_add(&store->pending, hash);
    store_append(store, RECORD_REMEMBER, NULL, NULL, 0, &record,
                 sizeof(record));
    store_change(store, &change);
}
