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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"

#define HOME_NAME     "history"
#define DATABASE_NAME "history.db"
/* A file that says: a page was found damaged, make it all anew. */
#define DAMAGED_NAME "damaged"

enum {
    HISTORY_VERSION = 1,
    PUTS_PER_TURN = 16,
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
    pthread_mutex_t mutex;
    uint64_t applied; /* under the mutex */
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
    return number_get(history, applied_key, &history->applied);
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

struct history *
history_open(const char *path, size_t cache_octets, struct buffer *why)
{
    struct history *history = xcalloc(1, sizeof(*history));
    int error;

    history->path = xasprintf("%s/" HOME_NAME, path);
    pthread_mutex_init(&history->mutex, NULL);
    if (directory_make(path, why) < 0
        || directory_make(history->path, why) < 0)
        goto fail;
    error = handles_open(history, cache_octets);
    if (error != 0 && !error_is_ours_to_wait_for(history, error)) {
        if (move_aside(history, error, why) < 0)
            goto fail;
        error = handles_open(history, cache_octets);
    }
    if (error == 0)
        return history;
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
    struct history *history = xcalloc(1, sizeof(*history));
    char *file = xasprintf("%s/" HOME_NAME "/" DATABASE_NAME, path);
    int error;

    history->path = xasprintf("%s/" HOME_NAME, path);
    pthread_mutex_init(&history->mutex, NULL);
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

    if (old == NULL)
        return;
    handles_close(old);
    pthread_mutex_destroy(&old->mutex);
    free(old->path);
    free(old);
    *history = NULL;
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

int
history_lookup(struct history *history, const struct message_hash *hash,
               struct history_entry *entry_r, struct buffer *why)
{
    struct message_hash copy = *hash;
    struct stored_entry stored;
    DBT key = dbt(&copy, sizeof(copy));
    DBT value = dbt(&stored, sizeof(stored));
    int error;

    pthread_mutex_lock(&history->mutex);
    error = history->db->get(history->db, NULL, &key, &value, 0);
    pthread_mutex_unlock(&history->mutex);
    if (error == DB_NOTFOUND)
        return 0;
    if (error == 0
        && (value.size != sizeof(stored) || stored.fate < HISTORY_STORED
            || stored.fate > HISTORY_SUBMITTED))
        error = EINVAL;
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

int
history_list(struct history *history, const struct message_hash *from,
             struct history_entry *entries, size_t count, struct buffer *why)
{
    struct message_hash hash = *from;
    struct stored_entry stored;
    DBT key = dbt(&hash, sizeof(hash));
    DBT value = dbt(&stored, sizeof(stored));
    uint32_t step = DB_SET_RANGE;
    DBC *cursor;
    size_t found = 0;
    int error;

    pthread_mutex_lock(&history->mutex);
    error = history->db->cursor(history->db, NULL, &cursor, 0);
    if (error != 0)
        goto unlock;
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
unlock:
    pthread_mutex_unlock(&history->mutex);
    if (error != 0 && error != DB_NOTFOUND)
        return fail(history, error, "list", why);
    return (int)found;
}

/* --- changing --- */

/*
 * Do a call for each of count members, and let a lookup in between after each
 * turn.  Called and returns with the mutex held.
 */
typedef int member_func(struct history *history, DB_TXN *txn,
                        const void *members, size_t index);

static int
members_do(struct history *history, DB_TXN *txn, member_func *func,
           const void *members, size_t count)
{
    int error = 0;

    for (size_t i = 0; i < count && error == 0; i++) {
        if (i > 0 && i % PUTS_PER_TURN == 0) {
            pthread_mutex_unlock(&history->mutex);
            pthread_mutex_lock(&history->mutex);
        }
        error = func(history, txn, members, i);
    }
    return error;
}

static int
entry_put(struct history *history, DB_TXN *txn, const void *members,
          size_t index)
{
    const struct history_entry *entry =
        (const struct history_entry *)members + index;
    struct message_hash hash = entry->hash;
    struct stored_entry stored = entry_pack(entry);
    DBT key = dbt(&hash, sizeof(hash));
    DBT value = dbt(&stored, sizeof(stored));

    return history->db->put(history->db, txn, &key, &value, 0);
}

static int
entry_drop(struct history *history, DB_TXN *txn, const void *members,
           size_t index)
{
    struct message_hash hash = ((const struct message_hash *)members)[index];
    DBT key = dbt(&hash, sizeof(hash));
    int error = history->db->del(history->db, txn, &key, 0);

    return error == DB_NOTFOUND ? 0 : error;
}

int
history_put(struct history *history, const struct history_entry *entries,
            size_t count, uint64_t applied, struct buffer *why)
{
    DB_TXN *txn;
    int error;

    pthread_mutex_lock(&history->mutex);
    error = history->env->txn_begin(history->env, NULL, &txn, 0);
    if (error != 0)
        goto unlock;
    error = members_do(history, txn, entry_put, entries, count);
    if (error == 0)
        error = number_put(history, txn, applied_key, applied);
    if (error == 0)
        error = txn->commit(txn, 0);
    else
        (void)txn->abort(txn); /* the first error is the one to tell */
    if (error == 0)
        history->applied = applied;
unlock:
    pthread_mutex_unlock(&history->mutex);
    return error == 0 ? 0 : fail(history, error, "put", why);
}

int
history_drop(struct history *history, const struct message_hash *hashes,
             size_t count, struct buffer *why)
{
    DB_TXN *txn;
    int error;

    pthread_mutex_lock(&history->mutex);
    error = history->env->txn_begin(history->env, NULL, &txn, 0);
    if (error != 0)
        goto unlock;
    error = members_do(history, txn, entry_drop, hashes, count);
    if (error == 0)
        error = txn->commit(txn, 0);
    else
        (void)txn->abort(txn); /* the first error is the one to tell */
unlock:
    pthread_mutex_unlock(&history->mutex);
    return error == 0 ? 0 : fail(history, error, "drop", why);
}

int
history_checkpoint(struct history *history, struct buffer *why)
{
    int error = history->env->txn_checkpoint(history->env, 0, 0, 0);

    return error == 0 ? 0 : fail(history, error, "checkpoint", why);
}
