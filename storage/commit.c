#include "storage/commit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/memory.h"
#include "lib/thread.h"
#include "storage/active.h"

void
wait_until(pthread_cond_t *wake, pthread_mutex_t *lock, int64_t ms)
{
    struct timespec until = {.tv_sec = ms / 1000,
                             .tv_nsec = ms % 1000 * 1000000};

    (void)pthread_cond_timedwait(wake, lock, &until);
}

/* There is something for store_reap(). */
void
wake_caller(struct store *store)
{
    uint64_t one = 1;

    /* It fails only when the counter is full: then it is readable anyway. */
    (void)!write(store->event_fd, &one, sizeof(one));
}

/* --- queues --- */

void
queue_open(struct commit_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

void
queue_append(struct commit_queue *queue, struct commit *commit)
{
    commit->next = NULL;
    *queue->last = commit;
    queue->last = &commit->next;
}

static struct commit *
queue_take(struct commit_queue *queue)
{
    struct commit *commit = queue->first;

    queue->first = commit->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    commit->next = NULL;
    return commit;
}

/* Take what is ready, as much as one write or transaction should hold. */
static size_t
queue_take_ready(struct commit_queue *queue,
                 struct commit *taken[FLUSH_COMMITS_MAX])
{
    size_t count = 0, articles = 0, octets = 0;

    while (queue->first != NULL && count < FLUSH_COMMITS_MAX) {
        articles += queue->first->article_count;
        octets += queue->first->batch->octets->used;
        if (count > 0
            && (articles > COMMIT_ARTICLES_MAX || octets > COMMIT_OCTETS_MAX))
            break;
        taken[count++] = queue_take(queue);
    }
    return count;
}

void
change_free(struct change *change)
{
    group_free(&change->after);
    group_free(&change->before);
    free(change->groups);
    buffer_free(&change->expiry);
    free(change->removed);
    buffer_free(&change->steps);
}

void
commit_free(struct commit **commit)
{
    struct commit *old = *commit;

    if (old == NULL)
        return;
    for (size_t i = 0; i < old->change_count; i++)
        change_free(&old->changes[i]);
    batch_free(&old->batch);
    free(old->articles);
    free(old->changes);
    buffer_free(&old->groups);
    buffer_free(&old->lines);
    free(old);
    *commit = NULL;
}

static void
queue_free(struct commit_queue *queue)
{
    while (queue->first != NULL) {
        struct commit *commit = queue_take(queue);

        commit_free(&commit);
    }
}

/* --- the flush thread --- */

static size_t
flush_wait(struct store *store, struct commit *taken[FLUSH_COMMITS_MAX])
{
    size_t count = 0;

    pthread_mutex_lock(&store->lock);
    while (store->sealed.first == NULL && !store->stopping && !store->broken)
        pthread_cond_wait(&store->flush_wake, &store->lock);
    if (!store->broken && store->sealed.first != NULL)
        count = queue_take_ready(&store->sealed, taken);
    pthread_mutex_unlock(&store->lock);
    return count;
}

static void *
flush_run(void *context)
{
    struct store *store = context;
    struct commit *taken[FLUSH_COMMITS_MAX];
    struct batch *batches[FLUSH_COMMITS_MAX];
    struct buffer why = BUFFER_EMPTY;
    size_t count;

    while ((count = flush_wait(store, taken)) > 0) {
        const struct commit *last = taken[count - 1];
        int result;

        for (size_t i = 0; i < count; i++)
            batches[i] = taken[i]->batch;
        result = spool_write(store->spool, batches, count, &why);
        /* Broken is said before anyone could take them for written. */
        if (result < 0)
            store_break(store, "spool", &why);
        else
            active_set_durable(store->active, last->segment, last->end,
                               last->last_sequence);
        pthread_mutex_lock(&store->lock);
        for (size_t i = 0; i < count; i++)
            queue_append(&store->flushed, taken[i]);
        pthread_cond_signal(&store->index_wake);
        pthread_mutex_unlock(&store->lock);
    }
    buffer_free(&why);
    return NULL;
}

/* --- the index thread --- */

static int
index_overview(struct store *store, struct folding *folding,
               struct commit *const *taken, size_t count, struct buffer *why)
{
    size_t articles = 0;

    if (transaction_begin(store, why) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        articles += taken[i]->article_count;
        if (overview_put_commit(store, taken[i], why) < 0)
            return -1;
    }
    if (fold_beside(store, folding, articles, why) < 0)
        return -1;
    store->applied = taken[count - 1]->last_sequence;
    return transaction_end(store, why);
}

static int
index_commits(struct store *store, struct folding *folding,
              struct commit *const *taken, size_t count, struct buffer *why)
{
    if (index_history(store, taken, count, why) < 0)
        return -1;
    while (index_overview(store, folding, taken, count, why) < 0)
        if (!overview_is_back(store, why))
            return -1;
    if (publish(store, taken, count, why) < 0)
        return -1;
    overview_settle(store->overview, store->applied);
    folding->last_commit_ms = clock_ms();
    return 0;
}

static void
index_done(struct store *store, struct commit *const *taken, size_t count)
{
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < count; i++) {
        store->committed_articles += taken[i]->article_count;
        queue_append(&store->done, taken[i]);
    }
    store->commits++;
    if (overview_log_octets(store->overview) > LOG_CHECKPOINT_OCTETS)
        pthread_cond_broadcast(&store->checkpoint_wake);
    pthread_mutex_unlock(&store->lock);
    wake_caller(store);
}

/* Between two transactions: begin the write-ahead log anew, if the checkpoint
   thread has caught up and no reader is in the way. */
static int
index_restart_log(struct store *store, struct buffer *why)
{
    bool wanted;
    int done;

    pthread_mutex_lock(&store->lock);
    wanted = store->restart_log;
    pthread_mutex_unlock(&store->lock);
    if (!wanted)
        return 0;
    if (transaction_end(store, why) < 0)
        return -1;
    done = overview_restart_log(store->overview, why);
    if (done > 0) {
        pthread_mutex_lock(&store->lock);
        store->restart_log = false;
        pthread_mutex_unlock(&store->lock);
    }
    return done < 0 ? -1 : 0;
}

static bool
mends_are_due(struct store *store)
{
    bool due;

    pthread_mutex_lock(&store->lock);
    due = store->mends.first != NULL;
    pthread_mutex_unlock(&store->lock);
    return due;
}

/* It stays in the queue until it is done: an overview that was away meanwhile
   gets it again. */
static int
mend_next(struct store *store, struct buffer *why)
{
    struct commit *commit = store->mends.first;

    if (transaction_end(store, why) < 0
        || commit_mend(store, &commit->changes[0], why) < 0)
        return -1;
    pthread_mutex_lock(&store->lock);
    queue_append(&store->done, queue_take(&store->mends));
    pthread_mutex_unlock(&store->lock);
    wake_caller(store);
    return 0;
}

/* Something to do while no commit group is there: 1 it was done, 0 nothing
   to do, -1. */
static int
index_idle(struct store *store, struct folding *folding, struct buffer *why)
{
    if (commit_is_purging_any(store))
        return purge_step(store, why) < 0 ? -1 : 1;
    if (mends_are_due(store))
        return mend_next(store, why) < 0 ? -1 : 1;
    if (fold_is_due(store, folding))
        return fold_idle(store, folding, why) < 0 ? -1 : 1;
    if (transaction_end(store, why) < 0)
        return -1;
    if (clock_ms() - folding->last_commit_ms < FOLD_IDLE_MS
        || !history_is_waiting(store->history)
        || !store_indices_have_room(store))
        return 0;
    return history_drain(store->history, DRAIN_ENTRIES, why) < 0 ? -1 : 1;
}

/* Some of what a segment that is taken away asks for; more often while nothing
   else is to be done.  Returns what came before it, or -1. */
static int
index_reclaim(struct store *store, struct folding *folding, bool busy,
              struct buffer *why)
{
    if (!reclaim_is_moving(store))
        return busy;
    while (reclaim_move(store, folding, why) < 0)
        if (!overview_is_back(store, why))
            return -1;
    return 1;
}

/* Take what is flushed; with nothing there, wait a while when `wait`.  0 with
 *end_r set: no more will come. */
static size_t
index_wait(struct store *store, struct commit *taken[FLUSH_COMMITS_MAX],
           bool wait, bool *end_r)
{
    size_t count = 0;

    pthread_mutex_lock(&store->lock);
    if (store->flushed.first == NULL && wait && !store->stopping
        && !store->broken && store->purges == NULL
        && store->mends.first == NULL
        && store->reclaim.stage != RECLAIM_MOVING) {
        /* Folding and draining may be due when nothing comes for a while. */
        if (overview_recent(store->overview) > FOLD_ROWS_IDLE
            || history_is_waiting(store->history) || store->restart_log)
            wait_until(&store->index_wake, &store->lock,
                       clock_ms() + FOLD_IDLE_MS);
        else
            pthread_cond_wait(&store->index_wake, &store->lock);
    }
    if (!store->broken && store->flushed.first != NULL)
        count = queue_take_ready(&store->flushed, taken);
    *end_r = store->broken || (store->stopping && count == 0);
    pthread_mutex_unlock(&store->lock);
    return count;
}

static void *
index_run(void *context)
{
    struct store *store = context;
    struct commit *taken[FLUSH_COMMITS_MAX];
    struct folding folding;
    struct buffer why = BUFFER_EMPTY;
    bool busy = false, end = false;
    int result = 0;

    folding_open(&folding);
    while (result >= 0) {
        size_t count = index_wait(store, taken, !busy, &end);

        if (end)
            break;
        if (count > 0) {
            result = index_commits(store, &folding, taken, count, &why);
            if (result < 0) {
                pthread_mutex_lock(&store->lock);
                for (size_t i = 0; i < count; i++)
                    queue_append(&store->flushed, taken[i]);
                pthread_mutex_unlock(&store->lock);
                break;
            }
            index_done(store, taken, count);
            busy = true;
        } else {
            result = index_idle(store, &folding, &why);
            if (result < 0 && overview_is_back(store, &why))
                result = 1;
            busy = result > 0;
        }
        if (result >= 0)
            result = index_reclaim(store, &folding, busy, &why);
        if (result >= 0 && index_restart_log(store, &why) < 0)
            result = -1;
    }
    if (result >= 0 && transaction_end(store, &why) < 0)
        result = -1;
    /* Without it the next start looks at what came last. */
    if (result >= 0)
        (void)commit_settle(store, &why);
    if (result < 0)
        store_break(store, "index", &why);
    buffer_free(&why);
    return NULL;
}

/* --- starting and stopping --- */

static int
thread_start(pthread_t *thread, void *(*run)(void *), struct store *store,
             struct buffer *why)
{
    int error = thread_begin(thread, run, store);

    if (error == 0)
        return 0;
    errno = error;
    return why_set_errno(why, "cannot start a thread of the store");
}

int
commit_start(struct store *store, struct buffer *why)
{
    static void *(*const run[STORE_THREADS])(void *) = {
        flush_run, index_run, checkpoint_run, history_run, reclaim_run};

    while (store->thread_count < STORE_THREADS
           && thread_start(&store->threads[store->thread_count],
                           run[store->thread_count], store, why)
                  == 0)
        store->thread_count++;
    if (store->thread_count == STORE_THREADS)
        return 0;
    commit_stop(store);
    return -1;
}

void
commit_stop(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    store->stopping = true;
    pthread_cond_broadcast(&store->flush_wake);
    pthread_cond_broadcast(&store->index_wake);
    pthread_cond_broadcast(&store->checkpoint_wake);
    pthread_cond_broadcast(&store->reclaim.wake);
    pthread_mutex_unlock(&store->lock);
    while (store->thread_count > 0)
        pthread_join(store->threads[--store->thread_count], NULL);
    queue_free(&store->sealed);
    queue_free(&store->flushed);
    queue_free(&store->done);
    queue_free(&store->mends);
    while (store->purges != NULL) {
        struct purge *next = store->purges->next;

        free(store->purges);
        store->purges = next;
    }
    free(store->scratch.history);
    free(store->scratch.overview);
    store->scratch = (struct index_scratch){0};
}
