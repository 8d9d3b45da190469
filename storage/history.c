#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "storage/history_private.h"

enum {
    PUTS_PER_TURN = 16,
    /* In order of their hashes, so many cost half of what they cost one by
       one.  A start replays two tables' at most. */
    TABLE_ENTRIES = 60000,
    LIST_ENTRIES = 256, /* of those in memory there is room for at first */
};

/*
 * What stands behind a hash.  24 octets, since this and the key are all that
 * the cache is filled with: an article needs its place and no time, all else a
 * time and no place.
 */
struct stored_entry {
    uint64_t sequence;
    uint32_t fate;
    union {
        struct {
            uint32_t segment, offset, octets;
        } place;
        struct {
            uint32_t low, high, zero;
        } until;
    };
};
_Static_assert(sizeof(struct stored_entry) == 24, "on disk");

/* --- asking --- */

uint64_t
history_applied(const struct history *history)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)&history->mutex;
    uint64_t applied;

    pthread_mutex_lock(mutex);
    applied = history->applied;
    pthread_mutex_unlock(mutex);
    return applied;
}

static void
entry_unpack(struct history_entry *entry, const struct message_hash *hash,
             const struct stored_entry *stored)
{
    *entry = (struct history_entry){.hash = *hash,
                                    .fate = (enum history_fate)stored->fate,
                                    .sequence = stored->sequence};
    if (history_has_token(entry->fate)) {
        entry->token.segment = stored->place.segment;
        entry->token.offset = stored->place.offset;
        entry->token.octets = stored->place.octets;
    } else {
        entry->until =
            (int64_t)(stored->until.low | (uint64_t)stored->until.high << 32);
    }
}

static struct stored_entry
entry_pack(const struct history_entry *entry)
{
    struct stored_entry stored = {.sequence = entry->sequence,
                                  .fate = entry->fate};

    if (history_has_token(entry->fate)) {
        assert(entry->until == 0);
        stored.place.segment = entry->token.segment;
        stored.place.offset = entry->token.offset;
        stored.place.octets = entry->token.octets;
    } else {
        stored.until.low = (uint32_t)entry->until;
        stored.until.high = (uint32_t)((uint64_t)entry->until >> 32);
    }
    return stored;
}

/* NULL: not in memory. */
static const struct history_entry *
find_recent(const struct history *history, const struct message_hash *hash)
{
    const struct history_entry *entry =
        history_recent_find(&history->filling, hash);

    return entry != NULL ? entry : history_recent_find(&history->frozen, hash);
}

static int
find_stored(struct history *history, const struct message_hash *hash,
            struct stored_entry *stored)
{
    struct message_hash copy = *hash;
    DBT key = history_dbt(&copy, sizeof(copy));
    DBT value = history_dbt(stored, sizeof(*stored));
    int error = history->db->get(history->db, NULL, &key, &value, 0);

    return error == 0
                   && (value.size != sizeof(*stored)
                       || stored->fate < HISTORY_STORED
                       || stored->fate > HISTORY_SUBMITTED)
               ? EINVAL
               : error;
}

int
history_lookup(struct history *history, const struct message_hash *hash,
               struct history_entry *entry_r, struct buffer *why)
{
    const struct history_entry *recent;
    struct stored_entry stored;
    int error = DB_NOTFOUND;
    bool found;

    pthread_mutex_lock(&history->mutex);
    recent = find_recent(history, hash);
    found = recent != NULL && recent->fate != HISTORY_DROPPED;
    if (found)
        *entry_r = *recent;
    else if (recent == NULL
             && (history->filter == NULL
                 || history_filter_has(history->filter, hash)))
        error = find_stored(history, hash, &stored);
    pthread_mutex_unlock(&history->mutex);
    if (found)
        return 1;
    if (error == DB_NOTFOUND)
        return 0;
    if (error != 0)
        return history_fail(history, error, "lookup", why);
    entry_unpack(entry_r, hash, &stored);
    return 1;
}

/* Is what a cursor stands on an entry of ours?  Numbers have shorter keys. */
static int
entry_read(const DBT *key, const DBT *value, const struct message_hash *hash,
           const struct stored_entry *stored, struct history_entry *entry_r)
{
    if (key->size != sizeof(*hash))
        return 0;
    if (value->size != sizeof(*stored) || stored->fate < HISTORY_STORED
        || stored->fate > HISTORY_SUBMITTED)
        return -1;
    entry_unpack(entry_r, hash, stored);
    return 1;
}

int
history_list_stored(struct history *history, const struct message_hash *from,
                    struct history_entry *entries, size_t count,
                    size_t *found_r)
{
    struct message_hash hash = *from;
    struct stored_entry stored;
    DBT key = history_dbt(&hash, sizeof(hash));
    DBT value = history_dbt(&stored, sizeof(stored));
    uint32_t step = DB_SET_RANGE;
    DBC *cursor;
    size_t found = 0;
    int error;

    *found_r = 0;
    error = history->db->cursor(history->db, NULL, &cursor, 0);
    if (error != 0)
        return error;
    while (found < count
           && (error = cursor->get(cursor, &key, &value, step)) == 0) {
        int read = entry_read(&key, &value, &hash, &stored, &entries[found]);

        if (read < 0) {
            error = EINVAL;
            break;
        }
        found += (size_t)read;
        step = DB_NEXT;
    }
    (void)cursor->close(cursor); /* it has changed nothing */
    *found_r = found;
    return error == DB_NOTFOUND ? 0 : error;
}

static int
hash_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct message_hash));
}

static int
entry_compare(const void *a, const void *b)
{
    const struct history_entry *one = a, *other = b;

    return hash_compare(&one->hash, &other->hash);
}

/*
 * What is in memory from one hash to another, both included, is appended to
 * entries that are NULL or allocated, in no order.  An entry that another one
 * hides is left out.
 */
static size_t
list_recent(const struct history *history, const struct message_hash *from,
            const struct message_hash *to, struct history_entry **entries)
{
    const struct history_recent *tables[] = {&history->filling,
                                             &history->frozen};
    size_t count = 0, size = 0;

    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct history_entry *entry = &tables[t]->entries[i];

            if (hash_compare(&entry->hash, from) < 0
                || hash_compare(&entry->hash, to) > 0
                || find_recent(history, &entry->hash) != entry)
                continue;
            if (count == size) {
                size = size * 2 + LIST_ENTRIES;
                *entries = xreallocarray(*entries, size, sizeof(**entries));
            }
            (*entries)[count++] = *entry;
        }
    return count;
}

/* Of both, in order, what hides and what is not hidden, but for what was
   dropped: at most count of them. */
static size_t
list_merge(const struct history_entry *recent, size_t recent_count,
           const struct history_entry *stored, size_t stored_count,
           struct history_entry *entries, size_t count)
{
    size_t r = 0, s = 0, found = 0;

    while (found < count && (r < recent_count || s < stored_count)) {
        int order = r == recent_count ? 1
                    : s == stored_count
                        ? -1
                        : entry_compare(&recent[r], &stored[s]);

        if (order > 0)
            entries[found++] = stored[s++];
        else if (recent[r].fate != HISTORY_DROPPED)
            entries[found++] = recent[r++];
        else
            r++;
        if (order == 0)
            s++;
    }
    return found;
}

int
history_list(struct history *history, const struct message_hash *from,
             struct history_entry *entries, size_t count, struct buffer *why)
{
    struct history_entry *stored = xcalloc(count + 1, sizeof(*stored));
    struct history_entry *recent = NULL;
    struct message_hash begin = *from, end;
    size_t stored_count, recent_count, found = 0;
    bool more = true;
    int error = 0;

    while (found == 0 && more && error == 0) {
        pthread_mutex_lock(&history->mutex);
        error =
            history_list_stored(history, &begin, stored, count, &stored_count);
        more = stored_count == count && count > 0;
        memset(&end, 0xff, sizeof(end));
        if (more)
            end = stored[count - 1].hash;
        recent_count = list_recent(history, &begin, &end, &recent);
        pthread_mutex_unlock(&history->mutex);
        if (recent_count > 0)
            qsort(recent, recent_count, sizeof(*recent), entry_compare);
        found = list_merge(recent, recent_count, stored, stored_count, entries,
                           count);
        begin = end;
        if (!message_hash_next(&begin))
            more = false;
    }
    free(stored);
    free(recent);
    if (error != 0)
        return history_fail(history, error, "list", why);
    return (int)found;
}

/* --- changing --- */

static int
entry_put(struct history *history, DB_TXN *txn,
          const struct history_entry *entry)
{
    struct message_hash hash = entry->hash;
    struct stored_entry stored = entry_pack(entry);
    DBT key = history_dbt(&hash, sizeof(hash));
    DBT value = history_dbt(&stored, sizeof(stored));
    int error;

    if (entry->fate != HISTORY_DROPPED)
        return history->db->put(history->db, txn, &key, &value, 0);
    error = history->db->del(history->db, txn, &key, 0);
    return error == DB_NOTFOUND ? 0 : error;
}

/* Called and returns with the mutex held, as all of these; a lookup may come
   in between after each turn. */
static int
frozen_put(struct history *history, DB_TXN *txn, size_t end)
{
    int error = 0;

    for (size_t i = history->frozen.drained; i < end && error == 0; i++) {
        if (i % PUTS_PER_TURN == 0) {
            pthread_mutex_unlock(&history->mutex);
            pthread_mutex_lock(&history->mutex);
        }
        error =
            entry_put(history, txn, history_recent_next(&history->frozen, i));
    }
    return error;
}

/*
 * One transaction: so many of the frozen entries go into Berkeley DB, and
 * behind the last of them what they are complete up to.  Until then a start
 * replays all of them over those that are there already.
 */
static int
drain(struct history *history, size_t count)
{
    struct history_recent *frozen = &history->frozen;
    bool last = count >= frozen->count - frozen->drained;
    size_t end = last ? frozen->count : frozen->drained + count;
    DB_TXN *txn;
    int error = history->env->txn_begin(history->env, NULL, &txn, 0);

    if (error != 0)
        return error;
    error = frozen_put(history, txn, end);
    if (error == 0 && last)
        error = history_number_put(history, txn, HISTORY_APPLIED_KEY,
                                   frozen->applied);
    if (error == 0)
        error = txn->commit(txn, 0);
    else
        (void)txn->abort(txn); /* the first error is the one to tell */
    if (error != 0)
        return error;
    frozen->drained = end;
    if (last) {
        history->kept = frozen->applied;
        history->draining = false;
        history_recent_clear(frozen);
    }
    return 0;
}

/* Nothing is frozen.  Only this thread looks at the order.  Up and down by
   turns: what went last is in the cache when the next begins there, where a
   sweep that always began at the other end would find none of its pages. */
static void
freeze(struct history *history)
{
    struct history_recent empty = history->frozen;
    uint64_t applied = history->applied;

    history->frozen = history->filling;
    history->filling = empty;
    history->freezes++;
    history->draining = true;
    pthread_mutex_unlock(&history->mutex);
    history_recent_freeze(&history->frozen, applied,
                          history->freezes % 2 == 0);
    pthread_mutex_lock(&history->mutex);
}

static bool
is_waiting(const struct history *history)
{
    return history->draining || history->filling.count > 0
           || history->kept != history->applied;
}

static void
remember(struct history *history, const struct history_entry *entry)
{
    history_recent_put(&history->filling, entry);
    if (history->filter != NULL)
        history_filter_put(history->filter, &entry->hash);
    if (history->next != NULL)
        history_filter_put(history->next, &entry->hash);
}

/* Room for what is put next; what is too slow to drain beside it is waited
   for. */
static int
make_room(struct history *history)
{
    int error;

    if (history->filling.count < TABLE_ENTRIES)
        return 0;
    if (history->draining && (error = drain(history, SIZE_MAX)) != 0)
        return error;
    freeze(history);
    return 0;
}

/* Half as many again as are put: it is drained before the next is full. */
static int
drain_beside(struct history *history, size_t count)
{
    return history->draining ? drain(history, count + count / 2 + 1) : 0;
}

/* The end of each call that writes. */
static int
written(struct history *history, int error, const char *doing,
        struct buffer *why)
{
    if (error != 0)
        history->failed = true;
    pthread_mutex_unlock(&history->mutex);
    return error == 0 ? 0 : history_fail(history, error, doing, why);
}

int
history_put(struct history *history, const struct history_entry *entries,
            size_t count, uint64_t applied, struct buffer *why)
{
    int error;

    pthread_mutex_lock(&history->mutex);
    error = make_room(history);
    if (error == 0) {
        for (size_t i = 0; i < count; i++)
            remember(history, &entries[i]);
        history->applied = applied;
        history_scan_again(history);
        error = drain_beside(history, count);
    }
    return written(history, error, "put", why);
}

int
history_drop(struct history *history, const struct message_hash *hashes,
             size_t count, struct buffer *why)
{
    int error;

    pthread_mutex_lock(&history->mutex);
    error = make_room(history);
    if (error == 0) {
        for (size_t i = 0; i < count; i++) {
            const struct history_entry dropped = {.hash = hashes[i],
                                                  .fate = HISTORY_DROPPED};

            history_recent_put(&history->filling, &dropped);
        }
        error = drain_beside(history, count);
    }
    return written(history, error, "drop", why);
}

bool
history_is_waiting(struct history *history)
{
    bool waiting;

    pthread_mutex_lock(&history->mutex);
    waiting = is_waiting(history);
    pthread_mutex_unlock(&history->mutex);
    return waiting;
}

int
history_drain(struct history *history, size_t count, struct buffer *why)
{
    int error = 0;

    pthread_mutex_lock(&history->mutex);
    if (!history->draining && is_waiting(history))
        freeze(history);
    if (history->draining)
        error = drain(history, count);
    return written(history, error, "drain", why);
}

uint64_t
history_mark(struct history *history)
{
    uint64_t mark;

    pthread_mutex_lock(&history->mutex);
    mark = history->freezes;
    pthread_mutex_unlock(&history->mutex);
    return mark;
}

/* The table that was filled at the mark has been frozen, and is not the one
   that is drained. */
bool
history_is_drained(struct history *history, uint64_t mark)
{
    bool drained;

    pthread_mutex_lock(&history->mutex);
    drained = !is_waiting(history) || history->freezes > mark + 1
              || (history->freezes == mark + 1 && !history->draining);
    pthread_mutex_unlock(&history->mutex);
    return drained;
}

int
history_flush(struct history *history, struct buffer *why)
{
    while (history_is_waiting(history))
        if (history_drain(history, SIZE_MAX, why) < 0)
            return -1;
    return 0;
}

int
history_checkpoint(struct history *history, struct buffer *why)
{
    int error = history->env->txn_checkpoint(history->env, 0, 0, 0);

    return error == 0 ? 0 : history_fail(history, error, "checkpoint", why);
}
