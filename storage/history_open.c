#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "storage/history_private.h"

#define HOME_NAME "history"

enum {
    HISTORY_VERSION = 1,
    /* The file system's block: a page is then never torn by a power cut. */
    PAGE_OCTETS = 4096,
    LOG_FILE_OCTETS = 16 * 1024 * 1024,
    LOG_BUFFER_OCTETS = 2 * 1024 * 1024,
    CACHE_OCTETS_MIN = 1024 * 1024,
    DIRECTORY_MODE = 0750,
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

/* A recovery that cannot write says DB_RUNRECOVERY, as it does for damage. */
bool
history_error_passes(const struct history *history, int error)
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

int
history_fail(struct history *history, int error, const char *doing,
             struct buffer *why)
{
    char *name;
    int fd;

    if (!history_error_passes(history, error)) {
        name = xasprintf("%s/" HISTORY_DAMAGED_NAME, history->path);
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, HISTORY_FILE_MODE);
        if (fd < 0)
            syswarn("history: %s", name);
        else
            close(fd);
        free(name);
    }
    return why_set(why, "history %s: %s: %s", history->path, doing,
                   db_strerror(error));
}

int
history_number_get(struct history *history, const char *key,
                   uint64_t *number_r)
{
    DBT k = history_dbt((void *)key, strlen(key));
    DBT v = history_dbt(number_r, sizeof(*number_r));
    int error;

    *number_r = 0;
    error = history->db->get(history->db, NULL, &k, &v, 0);
    return error == DB_NOTFOUND ? 0 : error;
}

int
history_number_put(struct history *history, DB_TXN *txn, const char *key,
                   uint64_t number)
{
    DBT k = history_dbt((void *)key, strlen(key));
    DBT v = history_dbt(&number, sizeof(number));

    return history->db->put(history->db, txn, &k, &v, 0);
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
    return env->open(env, history->path, flags, HISTORY_FILE_MODE);
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
    return db->open(db, NULL, HISTORY_DATABASE_NAME, NULL, DB_BTREE,
                    DB_CREATE | DB_AUTO_COMMIT | DB_THREAD, HISTORY_FILE_MODE);
}

/* 0, an error of the library, or EFTYPE's stand-in EINVAL for a history of
   another version. */
static int
numbers_open(struct history *history)
{
    uint64_t version;
    int error = history_number_get(history, HISTORY_VERSION_KEY, &version);

    if (error != 0)
        return error;
    if (version == 0)
        error = history_number_put(history, NULL, HISTORY_VERSION_KEY,
                                   HISTORY_VERSION);
    else if (version != HISTORY_VERSION)
        error = EINVAL;
    if (error != 0)
        return error;
    error = history_number_get(history, HISTORY_APPLIED_KEY, &history->kept);
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
    char *damaged = xasprintf("%s/" HISTORY_DAMAGED_NAME, history->path);
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
    if (error != 0 && !history_error_passes(history, error)) {
        if (move_aside(history, error, why) < 0)
            goto fail;
        error = handles_open(history, cache_octets);
    }
    if (error == 0) {
        history->cache_octets = cache_octets;
        history_scan_start(history);
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
    char *file = xasprintf("%s/" HOME_NAME "/" HISTORY_DATABASE_NAME, path);
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
    history_scan_stop(old);
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
