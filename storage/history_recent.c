#include "storage/history_recent.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

enum { ENTRIES_MIN = 1024, SLOTS_PER_ENTRY = 2 };

void
history_recent_free(struct history_recent *recent)
{
    free(recent->entries);
    free(recent->slots);
    free(recent->order);
    *recent = (struct history_recent){.entries = NULL};
}

/* The slot of a hash, or the free one where it belongs.  A hash is as good as
   random (lib/message_id.h), so some of its octets do. */
static uint32_t *
slot_of(const struct history_recent *recent, const struct message_hash *hash)
{
    uint64_t at;

    memcpy(&at, hash->octets + 8, sizeof(at));
    for (;; at++) {
        uint32_t *slot = &recent->slots[at & (recent->slot_count - 1)];

        if (*slot == 0
            || memcmp(&recent->entries[*slot - 1].hash, hash, sizeof(*hash))
                   == 0)
            return slot;
    }
}

static void
grow(struct history_recent *recent)
{
    recent->size = recent->size == 0 ? ENTRIES_MIN : recent->size * 2;
    recent->entries =
        xreallocarray(recent->entries, recent->size, sizeof(*recent->entries));
    free(recent->slots);
    recent->slot_count = recent->size * SLOTS_PER_ENTRY;
    recent->slots = xcalloc(recent->slot_count, sizeof(*recent->slots));
    for (size_t i = 0; i < recent->count; i++)
        *slot_of(recent, &recent->entries[i].hash) = (uint32_t)i + 1;
}

void
history_recent_put(struct history_recent *recent,
                   const struct history_entry *entry)
{
    uint32_t *slot;

    if (recent->count == recent->size)
        grow(recent);
    slot = slot_of(recent, &entry->hash);
    if (*slot == 0)
        *slot = (uint32_t)++recent->count;
    recent->entries[*slot - 1] = *entry;
}

const struct history_entry *
history_recent_find(const struct history_recent *recent,
                    const struct message_hash *hash)
{
    const uint32_t *slot;

    if (recent->count == 0)
        return NULL;
    slot = slot_of(recent, hash);
    return *slot == 0 ? NULL : &recent->entries[*slot - 1];
}

static int
by_hash(const void *a, const void *b, void *context)
{
    const struct history_entry *entries = context;

    return memcmp(&entries[*(const uint32_t *)a].hash,
                  &entries[*(const uint32_t *)b].hash,
                  sizeof(struct message_hash));
}

void
history_recent_freeze(struct history_recent *recent, uint64_t applied,
                      bool downwards)
{
    recent->order = xreallocarray(recent->order, recent->count + 1,
                                  sizeof(*recent->order));
    for (size_t i = 0; i < recent->count; i++)
        recent->order[i] = (uint32_t)i;
    qsort_r(recent->order, recent->count, sizeof(*recent->order), by_hash,
            recent->entries);
    recent->applied = applied;
    recent->downwards = downwards;
    recent->drained = 0;
}

void
history_recent_clear(struct history_recent *recent)
{
    recent->count = 0;
    recent->drained = 0;
    if (recent->slots != NULL)
        memset(recent->slots, 0, recent->slot_count * sizeof(*recent->slots));
}
