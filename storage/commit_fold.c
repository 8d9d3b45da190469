#include "storage/commit.h"
#include "lib/clock.h"

enum {
    /*
     * The more rows a fold has, the more lines each block gets when it is
     * rewritten: jobs of 32,768 rows cost half of what folding whenever there
     * is time costs.  A job is spread over the commits beside which it runs,
     * for done at once it stalls them by 150 ms; it takes a quarter more steps
     * than it needs so that it ends before the next is due.
     */
    FOLD_ROWS = 32768,
    FOLD_STEPS_WAITING = 64, /* in a transaction that nobody waits for */
    FOLD_RATE_UNIT = 1024,
};

void
folding_open(struct folding *folding)
{
    *folding = (struct folding){
        .rate = FOLD_RATE_UNIT,
        .last_commit_ms = clock_ms(),
    };
}

/* One step.  keep is asked for only to begin a job; one that is under way
   goes on whatever it is. */
static int
fold_step(struct store *store, struct folding *folding, struct buffer *why)
{
    size_t keep = folding->active ? SIZE_MAX : 0;
    int more;

    if (!folding->active) {
        folding->active = true;
        folding->steps = 0;
        folding->job_rows = overview_recent(store->overview);
        if (folding->job_rows > FOLD_ROWS)
            folding->job_rows = FOLD_ROWS;
    }
    if (transaction_begin(store, why) < 0)
        return -1;
    more = overview_fold(store->overview, keep, why);
    if (more < 0)
        return -1;
    folding->steps++;
    if (keep == SIZE_MAX && more == 0) {
        folding->active = false;
        if (folding->job_rows == FOLD_ROWS)
            folding->rate =
                folding->steps * 5 / 4 * FOLD_RATE_UNIT / FOLD_ROWS + 1;
    }
    return 0;
}

/* Some steps beside a commit of so many articles. */
int
fold_beside(struct store *store, struct folding *folding, size_t articles,
            struct buffer *why)
{
    size_t recent = overview_recent(store->overview);
    size_t steps = articles * folding->rate / FOLD_RATE_UNIT + 1;

    if (!folding->active && recent < FOLD_ROWS)
        return 0;
    /* Other articles than those the rate was learnt from: catch up. */
    steps *= 1 + recent / FOLD_ROWS / 2;
    while (steps-- > 0) {
        if (fold_step(store, folding, why) < 0)
            return -1;
        if (!folding->active)
            break;
    }
    return 0;
}

/* Is there folding to do while nothing else is? */
bool
fold_is_due(const struct store *store, const struct folding *folding)
{
    size_t recent = overview_recent(store->overview);

    return folding->active || recent >= FOLD_ROWS
           || (recent > FOLD_ROWS_IDLE
               && clock_ms() - folding->last_commit_ms >= FOLD_IDLE_MS);
}

int
fold_idle(struct store *store, struct folding *folding, struct buffer *why)
{
    int steps = 0;

    while (steps++ < FOLD_STEPS_WAITING) {
        bool waiting;

        if (fold_step(store, folding, why) < 0)
            return -1;
        pthread_mutex_lock(&store->lock);
        waiting = store->flushed.first != NULL;
        pthread_mutex_unlock(&store->lock);
        /* What has been folded goes along with that commit. */
        if (waiting || !folding->active)
            return 0;
    }
    return transaction_end(store, why);
}
