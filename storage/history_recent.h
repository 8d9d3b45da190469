/*
 * history_recent -- entries of the history that are in memory.
 *
 * A table to put into and to look up in; when it is frozen its entries are
 * also to be had in order of their hashes, up or down, in which they go into
 * Berkeley DB.
 * An entry whose fate is HISTORY_DROPPED says that the ID was forgotten: it
 * hides what is older and elsewhere.  There is one entry for a hash, what was
 * put last.  Owned by storage/history.c, used under its mutex.
 */
#ifndef STORAGE_HISTORY_RECENT_H
#define STORAGE_HISTORY_RECENT_H

#include "storage/history.h"

/* No fate that anyone but the history sees. */
#define HISTORY_DROPPED ((enum history_fate)0)

struct history_recent {
    struct history_entry *entries; /* as they were put */
    size_t count, size;
    uint32_t *slots; /* 1 + an index of entries; 0: free */
    size_t slot_count;
    uint32_t *order;  /* when frozen: indices, in order of the hashes */
    uint64_t applied; /* when frozen: the last sequence that it has */
    bool downwards;   /* when frozen: the largest hash is the first to go */
    size_t drained;   /* so many of them are in Berkeley DB */
};

void history_recent_free(struct history_recent *recent);
void history_recent_put(struct history_recent *recent,
                        const struct history_entry *entry);
/* NULL: not here. */
const struct history_entry *
history_recent_find(const struct history_recent *recent,
                    const struct message_hash *hash);
/* Nothing is put from now on until it is cleared. */
void history_recent_freeze(struct history_recent *recent, uint64_t applied,
                           bool downwards);
/* The entry that goes into Berkeley DB behind index others. */
static inline const struct history_entry *
history_recent_next(const struct history_recent *recent, size_t index)
{
    size_t place = recent->downwards ? recent->count - 1 - index : index;

    return &recent->entries[recent->order[place]];
}
void history_recent_clear(struct history_recent *recent);

#endif
