/*
 * commit -- the threads behind a store, and what they do with a commit group:
 * flush -> index, each taking all that the one before has ready, without a
 * timer; beside them two threads that make checkpoints.
 *
 * Private to the store.  All of it but queue_*() and commit_start/stop() runs
 * in the index thread (checkpoint.c: in threads of its own).  Functions return
 * 0, or -1 with why: then the store is broken.
 */
#ifndef STORAGE_COMMIT_H
#define STORAGE_COMMIT_H

#include <pthread.h>

#include "storage/store_private.h"

/* Small commit groups that go together in one write and one transaction. */
enum { FLUSH_COMMITS_MAX = 256 };

/* Wait for wake, at the most until clock_ms() is ms; lock is held. */
void wait_until(pthread_cond_t *wake, pthread_mutex_t *lock, int64_t ms);

/* The caller's store_fd() is readable. */
void wake_caller(struct store *store);

/* --- commit_index.c: what goes into the history and the overview ---
 */

/* The overview's transaction, begun when none is open. */
int transaction_begin(struct store *store, struct buffer *why);
int transaction_end(struct store *store, struct buffer *why);
/*
 * The overview failed.  Was it only away, and is it back?  Then all since the
 * last commit is to be done again.  Meanwhile articles are put off: what is in
 * hand gets its outcome when it is there again.
 */
bool overview_is_back(struct store *store, struct buffer *why);
/* Put commit groups, in order of sequence; the overview's transaction is left
   open. */
int index_history(struct store *store, struct commit *const *taken,
                  size_t count, struct buffer *why);
int overview_put_commit(struct store *store, const struct commit *commit,
                        struct buffer *why);

/* --- commit_fold.c: moving rows of `recent` into blocks --- */

enum {
    FOLD_ROWS_IDLE = 1024,
    FOLD_IDLE_MS = 1000,
    DRAIN_ENTRIES = 1024, /* of the history, when no commit brings some */
};

/* The job under way. */
struct folding {
    bool active;
    size_t steps; /* of this job */
    size_t job_rows;
    size_t rate; /* steps for FOLD_RATE_UNIT articles */
    int64_t last_commit_ms;
};

void folding_open(struct folding *folding);
/* Some steps beside a commit of so many articles. */
int fold_beside(struct store *store, struct folding *folding, size_t articles,
                struct buffer *why);
/* Is there folding to do while nothing else is? */
bool fold_is_due(const struct store *store, const struct folding *folding);
/* Steps in a transaction that nobody waits for, until commits wait, the job is
   done, or there were enough of them: then the transaction ends. */
int fold_idle(struct store *store, struct folding *folding,
              struct buffer *why);

/* --- commit_purge.c: rows of removed groups, some with each transaction ---
 */

int purge_step(struct store *store, struct buffer *why);
/* The lowest number of a group from `from` on; high + 1 when there is none. */
int find_low(struct store *store, uint32_t id, uint64_t from, uint64_t high,
             uint64_t *low_r, struct buffer *why);

/* --- commit_publish.c: showing what is committed to readers --- */

int publish(struct store *store, struct commit *const *taken, size_t count,
            struct buffer *why);

/* --- checkpoint.c: threads --- */

/* Octets of write-ahead log from which on they are moved into the database. */
enum { LOG_CHECKPOINT_OCTETS = 12 * 1024 * 1024 };

void *checkpoint_run(void *context); /* of the overview */
void *history_run(void *context);    /* of the history */

#endif
