#include "storage/commit.h"

#include "lib/clock.h"
#include "lib/log.h"

enum {
    /* Octets of write-ahead log: from the first on they are moved into the
       database, at the second the log begins anew. */
    LOG_RESTART_OCTETS = 16 * 1024 * 1024,
    LOG_NEARLY_OCTETS = 4 * 1024 * 1024,
    CHECKPOINT_IDLE_MS = 2000,
    CHECKPOINT_LOOK_MS = 1000,
    /* 240 octets of Berkeley DB's log an article: 36 MB, and half a second of
       recovery. */
    HISTORY_ARTICLES = 150000,
    HISTORY_MS = 5 * 60 * 1000,
    WARN_MS = 60 * 1000,
};

/* --- the overview's checkpoint thread --- */

/* A checkpoint that fails costs time at the next start, no article.  It is
   tried again. */
static void
checkpoint_warn(int64_t *warned_ms, const char *what, const struct buffer *why)
{
    if (*warned_ms != 0 && clock_ms() - *warned_ms < WARN_MS)
        return;
    *warned_ms = clock_ms();
    warn("store: %s: checkpoint: %s", what, buffer_text(why));
}

/* Wait a while, or until woken.  False: end. */
static bool
checkpoint_wait(struct store *store, uint64_t *commits_r, uint64_t *articles_r)
{
    bool go_on;

    pthread_mutex_lock(&store->lock);
    if (!store->stopping && !store->broken)
        wait_until(&store->checkpoint_wake, &store->lock,
                   clock_ms() + CHECKPOINT_LOOK_MS);
    go_on = !store->stopping && !store->broken;
    *commits_r = store->commits;
    *articles_r = store->committed_articles;
    pthread_mutex_unlock(&store->lock);
    return go_on;
}

/* Does somebody wait for a checkpoint that has not been made? */
static bool
checkpoint_is_awaited(struct store *store, const uint64_t *kept)
{
    bool awaited;

    pthread_mutex_lock(&store->lock);
    awaited = store->reclaim.checkpoint > *kept;
    pthread_mutex_unlock(&store->lock);
    return awaited;
}

static void
checkpoint_overview(struct store *store, int64_t *warned_ms)
{
    struct buffer why = BUFFER_EMPTY;
    uint64_t left = UINT64_MAX;
    uint64_t wanted = reclaim_checkpoint(store);

    if (overview_checkpoint(store->overview, &left, &why) < 0)
        checkpoint_warn(warned_ms, "overview", &why);
    else if (left == 0)
        reclaim_note_checkpoint(store, &store->reclaim.overview_kept, wanted);
    buffer_free(&why);
    if (overview_log_octets(store->overview) < LOG_RESTART_OCTETS
        || left > LOG_NEARLY_OCTETS)
        return;
    pthread_mutex_lock(&store->lock);
    store->restart_log = true;
    pthread_cond_signal(&store->index_wake);
    pthread_mutex_unlock(&store->lock);
}

void *
checkpoint_run(void *context)
{
    struct store *store = context;
    uint64_t commits, articles;
    uint64_t seen = 0, moved = 0; /* commits: when we looked; checkpointed */
    int64_t idle_since_ms = clock_ms();
    int64_t warned_ms = 0;

    while (checkpoint_wait(store, &commits, &articles)) {
        if (commits != seen) {
            seen = commits;
            idle_since_ms = clock_ms();
        }
        if (overview_log_octets(store->overview) <= LOG_CHECKPOINT_OCTETS
            && !checkpoint_is_awaited(store, &store->reclaim.overview_kept)
            && (commits == moved
                || clock_ms() - idle_since_ms < CHECKPOINT_IDLE_MS))
            continue;
        checkpoint_overview(store, &warned_ms);
        moved = commits;
    }
    return NULL;
}

/* --- the history's checkpoint thread --- */

/* Not the overview's: Berkeley DB takes a second at times, and the overview's
   log would grow past its bound meanwhile. */
void *
history_run(void *context)
{
    struct store *store = context;
    uint64_t commits, articles;
    uint64_t kept_articles = 0, kept_commits = 0;
    int64_t kept_ms = clock_ms();
    int64_t warned_ms = 0;

    while (checkpoint_wait(store, &commits, &articles)) {
        struct buffer why = BUFFER_EMPTY;
        uint64_t wanted;

        if (articles - kept_articles < HISTORY_ARTICLES
            && !checkpoint_is_awaited(store, &store->reclaim.history_kept)
            && (commits == kept_commits || clock_ms() - kept_ms < HISTORY_MS))
            continue;
        wanted = reclaim_checkpoint(store);
        if (history_checkpoint(store->history, &why) < 0)
            checkpoint_warn(&warned_ms, "history", &why);
        else
            reclaim_note_checkpoint(store, &store->reclaim.history_kept,
                                    wanted);
        buffer_free(&why);
        kept_articles = articles;
        kept_commits = commits;
        kept_ms = clock_ms();
    }
    return NULL;
}
