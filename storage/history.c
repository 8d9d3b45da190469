#include "storage/history.h"

#include <assert.h>
#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/history_filter.h"
#include "storage/history_recent.h"

#define HOME_NAME     "history"
#define DATABASE_NAME "history.db"
/* A file that says: a page was found damaged, make it all anew. */
#define DAMAGED_NAME "damaged"

enum {
    HISTORY_VERSION = 1,
    PUTS_PER_TURN = 16,
    /* In order of their hashes, so many cost half of what they cost one by
       one.  A start replays two tables' at most. */
    TABLE_ENTRIES = 60000,
    /* Of the filter: entries looked at while nobody else may, and the pause
       behind them. */
    SCAN_ENTRIES = 256,
    SCAN_PAUSE_NS = 1000000,
    SCAN_NICE = 19,
    /* An entry takes more than so many octets of the file. */
    ENTRY_OCTETS_MIN = 48,
    /* Of the cache, for which the filter is made for one more ID: it takes
       a tenth of that. */
    CACHE_OCTETS_PER_ID = 16,
    FILTER_GROWTH = 4,
    /* The file system's block: a page is then never torn by a power cut. */
    PAGE_OCTETS = 4096,
    LOG_FILE_OCTETS = 16 * 1024 * 1024,
    LOG_BUFFER_OCTETS = 2 * 1024 * 1024,
    CACHE_OCTETS_MIN = 1024 * 1024,
    DIRECTORY_MODE = 0750,
    FILE_MODE = 0640,
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

/* Keys of 7 octets: a hash has 16. */
static char applied_key[] = "applied";
static char version_key[] = "version";

/*
 * There is no lock subsystem: with one, a get in one thread beside a
 * transaction in another hung for ever.  Our mutex keeps lookups and puts
 * apart.  A checkpoint holds up nobody: under the mutex it would, for 200 to
 * 600 ms with a great cache.  An environment opened with DB_THREAD may be used
 * by several threads (Berkeley DB's manual, "Berkeley DB handles"), and a
 * checkpoint takes the latches of the pages that it writes, no locks.
 */
struct history {
    char *path; /* of its own directory */
    DB_ENV *env;
    DB *db;
    pthread_mutex_t mutex; /* for all that follows */
    uint64_t applied;      /* with what is in memory */
    uint64_t kept;         /* what Berkeley DB says */
    /* Newer than what is in Berkeley DB: filling is newer than frozen, which
       goes there while draining.  Changed by the thread that puts alone. */
    struct history_recent filling, frozen;
    bool draining;
    bool failed; /* a put: nothing more is written */
    /* What answers; NULL until all of Berkeley DB is in one.  What is being
       filled by the thread, from the next hash on; NULL: it waits. */
    struct history_filter *filter, *next;
    struct message_hash scan_from;
    pthread_t scan;
    pthread_cond_t scan_wake;
    bool scans, scan_ends;
    /* The disk did not take something: what the library says then is no word
       on what is in the files. */
    _Atomic bool write_failed;
};

/* --- small things --- */

static void
env_says(const DB_ENV *env, const char *prefix, const char *message)
{
    (void)env;
    (void)prefix;
    warn("history: %s", message);
}

static void
env_tells(DB_ENV *env, uint32_t event, void *what)
{
    struct history *history = env->app_private;

    (void)what;
    if (event == DB_EVENT_WRITE_FAILED)
        history->write_failed = true;
}

static DBT
dbt(void *octets, size_t length)
{
    return (DBT){.data = octets,
                 .size = (uint32_t)length,
                 .ulen = (uint32_t)length,
                 .flags = DB_DBT_USERMEM};
}

/* Errors that are the machine's state and not the history's: another try with
   an empty history would fail as well, and nothing is wrong with this one.  A
   recovery that cannot write says DB_RUNRECOVERY, as it does for damage. */
static bool
error_is_ours_to_wait_for(const struct history *history, int error)
{
    if (history->write_failed)
        return true;
    switch (error) {
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EACCES:
    case EPERM:
    case EROFS:
    case EMFILE:
    case ENFILE:
    case EIO:
        return true;
    default:
        return false;
    }
}

/*
 * A failed call.  When the files are damaged (a page's checksum, a tree that
 * does not fit together) the next open must not trust them again: recovery
 * from the log would not look at that page.
 */
static int
fail(struct history *history, int error, const char *doing, struct buffer *why)
{
    char *name;
    int fd;

    if (!error_is_ours_to_wait_for(history, error)) {
        name = xasprintf("%s/" DAMAGED_NAME, history->path);
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, FILE_MODE);
        if (fd < 0)
            syswarn("history: %s", name);
        else
            close(fd);
        free(name);
    }
    return why_set(why, "history %s: %s: %s", history->path, doing,
                   db_strerror(error));
}

/* --- opening --- */

static int
env_open(struct history *history, size_t cache_octets)
{
    const uint32_t flags = DB_CREATE | DB_RECOVER | DB_PRIVATE | DB_INIT_TXN
                           | DB_INIT_LOG | DB_INIT_MPOOL | DB_THREAD;
    DB_ENV *env;
    int error = db_env_create(&history->env, 0);

    if (error != 0)
        return error;
    env = history->env;
    env->set_errcall(env, env_says);
    env->app_private = history;
    if ((error = env->set_event_notify(env, env_tells)) != 0)
        return error;
    if (cache_octets < CACHE_OCTETS_MIN)
        cache_octets = CACHE_OCTETS_MIN;
    if ((error = env->set_cachesize(env, (uint32_t)(cache_octets >> 30),
                                    (uint32_t)(cache_octets & 0x3fffffff), 1))
            != 0
        || (error = env->set_lg_max(env, LOG_FILE_OCTETS)) != 0
        || (error = env->set_lg_bsize(env, LOG_BUFFER_OCTETS)) != 0
        || (error = env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1)) != 0
        || (error = env->set_flags(env, DB_TXN_WRITE_NOSYNC, 1)) != 0)
        return error;
    return env->open(env, history->path, flags, FILE_MODE);
}

static int
db_open(struct history *history)
{
    DB *db;
    int error = db_create(&history->db, history->env, 0);

    if (error != 0)
        return error;
    db = history->db;
    if ((error = db->set_pagesize(db, PAGE_OCTETS)) != 0
        || (error = db->set_flags(db, DB_CHKSUM)) != 0)
        return error;
    return db->open(db, NULL, DATABASE_NAME, NULL, DB_BTREE,
                    DB_CREATE | DB_AUTO_COMMIT | DB_THREAD, FILE_MODE);
}

/* Read a number of ours; one that is not there is 0. */
static int
number_get(struct history *history, char *key, uint64_t *number_r)
{
    DBT k = dbt(key, strlen(key));
    DBT v = dbt(number_r, sizeof(*number_r));
    int error;

    *number_r = 0;
    error = history->db->get(history->db, NULL, &k, &v, 0);
    return error == DB_NOTFOUND ? 0 : error;
}

static int
number_put(struct history *history, DB_TXN *txn, char *key, uint64_t number)
{
    DBT k = dbt(key, strlen(key));
    DBT v = dbt(&number, sizeof(number));

    return history->db->put(history->db, txn, &k, &v, 0);
}

/* 0, an error of the library, or EFTYPE's stand-in EINVAL for a history of
   another version. */
static int
numbers_open(struct history *history)
{
    uint64_t version;
    int error = number_get(history, version_key, &version);

    if (error != 0)
        return error;
    if (version == 0)
        error = number_put(history, NULL, version_key, HISTORY_VERSION);
    else if (version != HISTORY_VERSION)
        error = EINVAL;
    if (error != 0)
        return error;
    error = number_get(history, applied_key, &history->kept);
    history->applied = history->kept;
    return error;
}

/* What cannot be closed in order was not open in order: nothing to be done
   about it, the next open recovers. */
static void
handles_close(struct history *history)
{
    if (history->db != NULL)
        (void)history->db->close(history->db, 0);
    if (history->env != NULL)
        (void)history->env->close(history->env, 0);
    history->db = NULL;
    history->env = NULL;
}

static int
handles_open(struct history *history, size_t cache_octets)
{
    char *damaged = xasprintf("%s/" DAMAGED_NAME, history->path);
    int error = access(damaged, F_OK) == 0 ? DB_RUNRECOVERY : 0;

    free(damaged);
    if (error != 0 || (error = env_open(history, cache_octets)) != 0
        || (error = db_open(history)) != 0
        || (error = numbers_open(history)) != 0)
        handles_close(history);
    return error;
}

static int
directory_make(const char *path, struct buffer *why)
{
    if (mkdir(path, DIRECTORY_MODE) < 0 && errno != EEXIST)
        return why_set_errno(why, "history %s", path);
    return 0;
}

/* Move what cannot be used out of the way, and leave an empty directory. */
static int
move_aside(struct history *history, int error, struct buffer *why)
{
    char *aside = NULL;
    struct stat st;
    int64_t now = time(NULL);
    int status = 0;

    do {
        free(aside);
        aside = xasprintf("%s.bad-%" PRId64, history->path, now++);
    } while (lstat(aside, &st) == 0);
    warn("history: %s cannot be used (%s): moved to %s, made anew from the"
         " spool",
         history->path, db_strerror(error), aside);
    if (rename(history->path, aside) < 0)
        status = why_set_errno(why, "history %s: rename to %s", history->path,
                               aside);
    free(aside);
    return status < 0 ? status : directory_make(history->path, why);
}

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
    DBT key = dbt(&copy, sizeof(copy));
    DBT value = dbt(stored, sizeof(*stored));
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
        return fail(history, error, "lookup", why);
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

/* As history_list(), of Berkeley DB alone and with the mutex held; 0 or an
   error of the library. */
static int
list_stored(struct history *history, const struct message_hash *from,
            struct history_entry *entries, size_t count, size_t *found_r)
{
    struct message_hash hash = *from;
    struct stored_entry stored;
    DBT key = dbt(&hash, sizeof(hash));
    DBT value = dbt(&stored, sizeof(stored));
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
                size = size * 2 + SCAN_ENTRIES;
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
        error = list_stored(history, &begin, stored, count, &stored_count);
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
        return fail(history, error, "list", why);
    return (int)found;
}

/* --- the filter --- */

/*
 * What is in Berkeley DB is read by a thread of low priority, a few entries at
 * a time from where it was on.  What is in memory when it begins, and may get
 * there behind its back, is put into the filter at once, and what is put
 * meanwhile too; so nothing is missing when the thread has come to the end.
 */
static void
scan_begin(struct history *history, size_t capacity)
{
    const struct history_recent *tables[] = {&history->filling,
                                             &history->frozen};

    history->next = history_filter_new(capacity);
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < tables[t]->count; i++)
            history_filter_put(history->next, &tables[t]->entries[i].hash);
    history->scan_from = (struct message_hash){{0}};
    pthread_cond_signal(&history->scan_wake);
}

/* More than it was made for: a greater one is filled beside it.  Not once the
   thread has given up. */
static void
scan_again(struct history *history)
{
    struct history_filter *filter = history->filter;

    if (filter != NULL && history->next == NULL && !history->scan_ends
        && history_filter_count(filter) > history_filter_capacity(filter))
        scan_begin(history, history_filter_capacity(filter) * FILTER_GROWTH);
}

/* One piece; with the mutex held. */
static int
scan_piece(struct history *history, struct history_entry *entries)
{
    size_t count;
    int error = list_stored(history, &history->scan_from, entries,
                            SCAN_ENTRIES, &count);

    if (error != 0)
        return error;
    for (size_t i = 0; i < count; i++)
        history_filter_put(history->next, &entries[i].hash);
    if (count > 0)
        history->scan_from = entries[count - 1].hash;
    if (count == SCAN_ENTRIES && message_hash_next(&history->scan_from))
        return 0;
    history_filter_free(&history->filter);
    history->filter = history->next;
    history->next = NULL;
    return 0;
}

static void *
scan_run(void *context)
{
    const struct timespec pause = {.tv_nsec = SCAN_PAUSE_NS};
    struct history *history = context;
    struct history_entry *entries = xcalloc(SCAN_ENTRIES, sizeof(*entries));
    struct buffer why = BUFFER_EMPTY;
    int error = 0;

    /* Of this thread alone; that it cannot be had is no reason to stop. */
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), SCAN_NICE) < 0)
        syswarn("history: nice");
    pthread_mutex_lock(&history->mutex);
    while (!history->scan_ends && error == 0) {
        if (history->next == NULL) {
            pthread_cond_wait(&history->scan_wake, &history->mutex);
            continue;
        }
        error = scan_piece(history, entries);
        pthread_mutex_unlock(&history->mutex);
        (void)nanosleep(&pause, NULL);
        pthread_mutex_lock(&history->mutex);
    }
    history->scan_ends = true;
    history_filter_free(&history->next);
    pthread_mutex_unlock(&history->mutex);
    if (error != 0) {
        fail(history, error, "filter", &why);
        warn("%s", buffer_text(&why));
    }
    buffer_free(&why);
    free(entries);
    return NULL;
}

/* Without the thread there is no filter, and all is as it would be. */
static void
scan_start(struct history *history, size_t cache_octets)
{
    char *file = xasprintf("%s/" DATABASE_NAME, history->path);
    size_t capacity = cache_octets / CACHE_OCTETS_PER_ID;
    struct stat st;
    int error;

    if (stat(file, &st) == 0
        && (size_t)st.st_size / ENTRY_OCTETS_MIN > capacity)
        capacity = (size_t)st.st_size / ENTRY_OCTETS_MIN;
    free(file);
    scan_begin(history, capacity);
    error = pthread_create(&history->scan, NULL, scan_run, history);
    history->scans = error == 0;
    if (error != 0) {
        warn("history: no thread for the filter: %s", strerror(error));
        history_filter_free(&history->next);
    }
}

static void
scan_stop(struct history *history)
{
    if (!history->scans)
        return;
    pthread_mutex_lock(&history->mutex);
    history->scan_ends = true;
    pthread_cond_signal(&history->scan_wake);
    pthread_mutex_unlock(&history->mutex);
    pthread_join(history->scan, NULL);
}

/* --- changing --- */

static int
entry_put(struct history *history, DB_TXN *txn,
          const struct history_entry *entry)
{
    struct message_hash hash = entry->hash;
    struct stored_entry stored = entry_pack(entry);
    DBT key = dbt(&hash, sizeof(hash));
    DBT value = dbt(&stored, sizeof(stored));
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
        error = number_put(history, txn, applied_key, frozen->applied);
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

/* Nothing is frozen.  Only this thread looks at the order. */
static void
freeze(struct history *history)
{
    struct history_recent empty = history->frozen;
    uint64_t applied = history->applied;

    history->frozen = history->filling;
    history->filling = empty;
    history->draining = true;
    pthread_mutex_unlock(&history->mutex);
    history_recent_freeze(&history->frozen, applied);
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
    return error == 0 ? 0 : fail(history, error, doing, why);
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
        scan_again(history);
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

    return error == 0 ? 0 : fail(history, error, "checkpoint", why);
}

/* --- the whole of it --- */

static struct history *
history_new(const char *path)
{
    struct history *history = xcalloc(1, sizeof(*history));

    history->path = xasprintf("%s/" HOME_NAME, path);
    pthread_mutex_init(&history->mutex, NULL);
    pthread_cond_init(&history->scan_wake, NULL);
    return history;
}

struct history *
history_open(const char *path, size_t cache_octets, struct buffer *why)
{
    struct history *history = history_new(path);
    int error;

    if (directory_make(path, why) < 0
        || directory_make(history->path, why) < 0)
        goto fail;
    error = handles_open(history, cache_octets);
    if (error != 0 && !error_is_ours_to_wait_for(history, error)) {
        if (move_aside(history, error, why) < 0)
            goto fail;
        error = handles_open(history, cache_octets);
    }
    if (error == 0) {
        scan_start(history, cache_octets);
        return history;
    }
    why_set(why, "history %s: %s%s", history->path, db_strerror(error),
            history->write_failed ? " (what it wrote was not taken)" : "");

fail:
    history_close(&history);
    return NULL;
}

struct history *
history_open_existing(const char *path, size_t cache_octets,
                      struct buffer *why)
{
    struct history *history = history_new(path);
    char *file = xasprintf("%s/" HOME_NAME "/" DATABASE_NAME, path);
    int error;

    error = access(file, F_OK) < 0 ? errno : 0;
    if (error == 0)
        error = handles_open(history, cache_octets);
    free(file);
    if (error != 0) {
        why_set(why, "history %s: %s", history->path, db_strerror(error));
        history_close(&history);
    }
    return history;
}

void
history_close(struct history **history)
{
    struct history *old = *history;
    struct buffer why = BUFFER_EMPTY;

    if (old == NULL)
        return;
    scan_stop(old);
    /* What is not taken now is replayed from the spool. */
    if (old->db != NULL && !old->failed && history_flush(old, &why) < 0)
        warn("%s", buffer_text(&why));
    handles_close(old);
    history_recent_free(&old->filling);
    history_recent_free(&old->frozen);
    history_filter_free(&old->filter);
    history_filter_free(&old->next);
    pthread_cond_destroy(&old->scan_wake);
    pthread_mutex_destroy(&old->mutex);
    buffer_free(&why);
    free(old->path);
    free(old);
    *history = NULL;
}
