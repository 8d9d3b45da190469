/* What storage/history*.c share. */
#ifndef STORAGE_HISTORY_PRIVATE_H
#define STORAGE_HISTORY_PRIVATE_H

#include <db.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/buffer.h"
#include "storage/history.h"
#include "storage/history_filter.h"
#include "storage/history_recent.h"

#define HISTORY_DATABASE_NAME "history.db"
/* A file that says: a page was found damaged, make it all anew. */
#define HISTORY_DAMAGED_NAME "damaged"
/* Keys of 7 octets: a hash has 16. */
#define HISTORY_APPLIED_KEY "applied"
#define HISTORY_VERSION_KEY "version"

enum { HISTORY_FILE_MODE = 0640 };

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
    uint64_t freezes; /* so many tables have been frozen */
    bool draining;
    bool failed; /* a put: nothing more is written */
    /* What answers; NULL until all of Berkeley DB is in one.  What is being
       filled by the thread, from the next hash on; NULL: it waits. */
    struct history_filter *filter, *next;
    struct message_hash scan_from;
    size_t cache_octets;
    pthread_t scan;
    pthread_cond_t scan_wake;
    bool scans, scan_ends;
    /* The disk did not take something: what the library says then is no word
       on what is in the files. */
    _Atomic bool write_failed;
};

static inline DBT
history_dbt(void *octets, size_t length)
{
    return (DBT){.data = octets,
                 .size = (uint32_t)length,
                 .ulen = (uint32_t)length,
                 .flags = DB_DBT_USERMEM};
}

/* --- history_open.c --- */

/* Is that the machine's state and not the history's?  Another try with an
   empty history would fail as well, and nothing is wrong with this one. */
bool history_error_passes(const struct history *history, int error);
/* Read a number of ours; one that is not there is 0. */
int history_number_get(struct history *history, const char *key,
                       uint64_t *number_r);
int history_number_put(struct history *history, DB_TXN *txn, const char *key,
                       uint64_t number);
/*
 * A failed call: -1 with why.  When the files are damaged (a page's checksum,
 * a tree that does not fit together) the next open must not trust them again:
 * recovery from the log would not look at that page.
 */
int history_fail(struct history *history, int error, const char *doing,
                 struct buffer *why);

/* --- history.c --- */

/* As history_list(), of Berkeley DB alone and with the mutex held; 0 or an
   error of the library. */
int history_list_stored(struct history *history,
                        const struct message_hash *from,
                        struct history_entry *entries, size_t count,
                        size_t *found_r);

/* --- history_scan.c: what fills the filter --- */

/* Without the thread there is no filter, and all is as it would be. */
void history_scan_start(struct history *history);
void history_scan_stop(struct history *history);
/* Called with the mutex held after a put. */
void history_scan_again(struct history *history);

#endif
