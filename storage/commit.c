#include "storage/store_private.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"

enum {
    FLUSH_COMMITS_MAX = 256, /* of small ones, together in one write */

    /*
     * Folding.  The more rows a fold has, the more lines each block gets when
     * it is rewritten: jobs of 32,768 rows cost half of what folding whenever
     * there is time costs.  A job is spread over the commits beside which it
     * runs, for done at once it stalls them by 150 ms; it takes a quarter
     * more steps than it needs so that it ends before the next is due.
     */
    FOLD_ROWS = 32768,
    FOLD_ROWS_IDLE = 1024,
    FOLD_IDLE_MS = 1000,
    FOLD_STEPS_WAITING = 64, /* in a transaction that nobody waits for */
    FOLD_RATE_UNIT = 1024,

    /* Rows of a removed group that go in one transaction. */
    PURGE_LINES = 256,

    /* Octets of write-ahead log: from the first on they are moved into the
       database, at the second the log begins anew. */
    LOG_CHECKPOINT_OCTETS = 12 * 1024 * 1024,
    LOG_RESTART_OCTETS = 16 * 1024 * 1024,
    LOG_NEARLY_OCTETS = 4 * 1024 * 1024,
    CHECKPOINT_IDLE_MS = 2000,
    CHECKPOINT_LOOK_MS = 1000,
    /* An estimate: 240 octets of Berkeley DB's log an article, under 1 s of
       recovery. */
    HISTORY_ARTICLES = 400000,
    HISTORY_MS = 5 * 60 * 1000,
    WARN_MS = 60 * 1000,
};

static int64_t
clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
wait_until(pthread_cond_t *wake, pthread_mutex_t *lock, int64_t ms)
{
    struct timespec until
        = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void) pthread_cond_timedwait(wake, lock, &until);
}

/* There is something for store_reap(). */
static void
wake_caller(struct store *store)
{
    uint64_t one = 1;

    /* It fails only when the counter is full: then it is readable anyway. */
    (void) !write(store->event_fd, &one, sizeof(one));
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
commit_free(struct commit **commit)
{
    struct commit *old = *commit;

    if (old == NULL)
        return;
    for (size_t i = 0; i < old->change_count; i++) {
        group_free(&old->changes[i].after);
        group_free(&old->changes[i].before);
        free(old->changes[i].groups);
    }
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

/* --- the index thread: one transaction --- */

/*
 * The overview failed.  Was it only away, and is it back?  Then all since the
 * last commit is to be done again.  Meanwhile articles are put off: what is in
 * hand gets its outcome when it is there again.
 */
static bool
overview_is_back(struct store *store, struct buffer *why)
{
    int result;

    atomic_store(&store->waiting_ms, clock_ms());
    result = overview_resume(store->overview, why);
    atomic_store(&store->waiting_ms, 0);
    if (result < 0)
        return false;
    store->transaction = false;
    return true;
}

static void
scratch_reserve(struct index_scratch *scratch, size_t history, size_t overview)
{
    if (history > scratch->history_size) {
        scratch->history_size = history;
        scratch->history = xreallocarray(scratch->history, history,
                                         sizeof(*scratch->history));
    }
    if (overview > scratch->overview_size) {
        scratch->overview_size = overview;
        scratch->overview = xreallocarray(scratch->overview, overview,
                                          sizeof(*scratch->overview));
    }
}

static int
transaction_begin(struct store *store, struct buffer *why)
{
    if (!store->transaction && overview_begin(store->overview, why) < 0)
        return -1;
    store->transaction = true;
    return 0;
}

static int
transaction_end(struct store *store, struct buffer *why)
{
    if (store->transaction
        && overview_commit(store->overview, store->applied, why) < 0)
        return -1;
    store->transaction = false;
    return 0;
}

/* What the history learns from a commit group, in order of sequence. */
static void
history_collect(struct index_scratch *scratch, const struct commit *commit)
{
    for (size_t i = 0; i < commit->article_count; i++) {
        const struct commit_article *article = &commit->articles[i];

        scratch->history[scratch->history_count++] = (struct history_entry){
            .hash = article->hash,
            .fate = HISTORY_STORED,
            .sequence = article->sequence,
            .token = article->token,
        };
    }
    for (size_t i = 0; i < commit->change_count; i++) {
        const struct change *change = &commit->changes[i];

        if (change->kind == CHANGE_CANCEL)
            scratch->history[scratch->history_count++]
                = (struct history_entry){
                    .hash = change->hash,
                    .fate = HISTORY_CANCELLED,
                    .sequence = change->sequence,
                    .until = change->until,
                };
    }
}

static int
index_history(struct store *store, struct commit *const *taken, size_t count,
              struct buffer *why)
{
    struct index_scratch *scratch = &store->scratch;
    size_t entries = 0;

    for (size_t i = 0; i < count; i++)
        entries += taken[i]->article_count + taken[i]->change_count;
    scratch_reserve(scratch, entries, 0);
    scratch->history_count = 0;
    for (size_t i = 0; i < count; i++)
        history_collect(scratch, taken[i]);
    return history_put(store->history, scratch->history,
                       scratch->history_count,
                       taken[count - 1]->last_sequence, why);
}

/* Articles from..to of a commit group go into recent. */
static int
overview_put_articles(struct store *store, const struct commit *commit,
                      size_t from, size_t to, struct buffer *why)
{
    struct index_scratch *scratch = &store->scratch;

    scratch_reserve(scratch, 0, to - from);
    for (size_t i = from; i < to; i++) {
        const struct commit_article *article = &commit->articles[i];

        scratch->overview[i - from] = (struct overview_entry){
            .sequence = article->sequence,
            .arrival = article->arrival,
            .token = article->token,
            .hash = article->hash,
            .groups = (const struct record_group *) (const void *) (
                commit->groups.data + article->groups_at),
            .group_count = article->group_count,
            .line = commit->lines.data + article->line_at,
            .line_octets = article->line_octets,
        };
    }
    return overview_put(store->overview, scratch->overview, to - from, why);
}

static struct overview_group
change_row(const struct change *change)
{
    return (struct overview_group){
        .group = change->group,
        .flag = change->after.flag,
        .alias = change->after.alias,
        .created = change->after.created,
        .low = change->after.low,
        .high = change->after.high,
        .name = change->after.name,
        .creator = change->after.creator,
        .description = change->after.description,
    };
}

static int
overview_put_change(struct store *store, const struct change *change,
                    struct buffer *why)
{
    struct overview_group row;

    if (change->kind == CHANGE_CANCEL)
        return change->target == 0
                   ? 0
                   : overview_remove(store->overview, change->target,
                                     change->groups, change->group_count,
                                     true, why);
    row = change_row(change);
    return overview_put_group(store->overview, &row, why);
}

/* Articles and changes of a commit group in order of sequence. */
static int
overview_put_commit(struct store *store, const struct commit *commit,
                    struct buffer *why)
{
    size_t done = 0;

    for (size_t i = 0; i < commit->change_count; i++) {
        const struct change *change = &commit->changes[i];

        if (overview_put_articles(store, commit, done,
                                  change->articles_before, why)
                < 0
            || overview_put_change(store, change, why) < 0)
            return -1;
        done = change->articles_before;
    }
    return overview_put_articles(store, commit, done, commit->article_count,
                                 why);
}

/* --- folding --- */

/* The job under way; the index thread's. */
struct folding {
    bool active;
    size_t steps;       /* of this job */
    size_t job_rows;
    size_t rate;        /* steps for FOLD_RATE_UNIT articles */
    int64_t last_commit_ms;
};

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
            folding->rate
                = folding->steps * 5 / 4 * FOLD_RATE_UNIT / FOLD_ROWS + 1;
    }
    return 0;
}

/* Some steps beside a commit of so many articles. */
static int
fold_beside(struct store *store, struct folding *folding, size_t articles,
            struct buffer *why)
{
    size_t recent = overview_recent(store->overview);
    size_t steps = articles * folding->rate / FOLD_RATE_UNIT + 1;

    if (!folding->active && recent < FOLD_ROWS)
        return 0;
    /* Other articles than those the rate was learnt from: catch up. */
    steps *= 1 + recent / (2 * FOLD_ROWS);
    while (steps-- > 0) {
        if (fold_step(store, folding, why) < 0)
            return -1;
        if (!folding->active)
            break;
    }
    return 0;
}

/* Is there folding to do while nothing else is? */
static bool
fold_is_due(const struct store *store, const struct folding *folding)
{
    size_t recent = overview_recent(store->overview);

    return folding->active || recent >= FOLD_ROWS
           || (recent > FOLD_ROWS_IDLE
               && clock_ms() - folding->last_commit_ms >= FOLD_IDLE_MS);
}

/* --- removed groups --- */

void
commit_purge(struct store *store, uint32_t id, uint64_t to)
{
    struct purge *purge = xmalloc(sizeof(*purge));

    *purge = (struct purge){.group = id, .from = 1, .to = to};
    pthread_mutex_lock(&store->lock);
    purge->next = store->purges;
    store->purges = purge;
    pthread_mutex_unlock(&store->lock);
}

bool
commit_is_purging(struct store *store, uint32_t id)
{
    const struct purge *purge;

    pthread_mutex_lock(&store->lock);
    purge = store->purges;
    while (purge != NULL && purge->group != id)
        purge = purge->next;
    pthread_mutex_unlock(&store->lock);
    return purge != NULL;
}

bool
commit_is_purging_any(struct store *store)
{
    bool due;

    pthread_mutex_lock(&store->lock);
    due = store->purges != NULL;
    pthread_mutex_unlock(&store->lock);
    return due;
}

/* What a reader's answer says, copied out of it. */
struct found_lines {
    int status;
    size_t count;
    struct {
        uint64_t number;
        uint64_t sequence;
    } lines[PURGE_LINES];
};

static void
lines_found(void *context, const struct overview_answer *answer)
{
    struct found_lines *found = context;

    found->status = answer->status;
    for (size_t i = 0; i < answer->count && found->count < PURGE_LINES; i++) {
        found->lines[found->count].number = answer->lines[i].number;
        found->lines[found->count++].sequence = answer->lines[i].sequence;
    }
}

/* Ask the overview as a reader does; blocks (this thread has no loop). */
static int
reader_ask(struct store *store, const struct overview_query *query,
           struct found_lines *found, struct buffer *why)
{
    struct overview_request *request;

    if (store->reader == NULL)
        store->reader = overview_reader_open(store->overview_url,
                                             store->pathoverview,
                                             store->active, NULL, why);
    if (store->reader == NULL)
        return -1;
    do {
        found->status = -1;
        found->count = 0;
        request = overview_ask(store->reader, query, lines_found, found);
        overview_reader_turn_ended(store->reader);
        assert(request == NULL && "without a loop the answer comes at once");
        (void) request;
        if (found->status < 0)
            why_set(why, "the overview cannot be read");
    } while (found->status < 0 && overview_is_back(store, why));
    return found->status < 0 ? -1 : 0;
}

static int
purge_lines(struct store *store, uint32_t id, const struct found_lines *found,
            struct buffer *why)
{
    if (transaction_begin(store, why) < 0)
        return -1;
    for (size_t i = 0; i < found->count; i++) {
        struct record_group place
            = {.group = id, .number = found->lines[i].number};

        /* The article itself stays, for whoever asks by message-ID. */
        if (overview_remove(store->overview, found->lines[i].sequence, &place,
                            1, false, why)
            < 0)
            return -1;
    }
    return transaction_end(store, why);
}

/* The next lines of the first removed group in the list. */
static int
purge_step(struct store *store, struct buffer *why)
{
    struct purge *purge;
    struct found_lines found;
    struct overview_query query = {.question = OVERVIEW_RANGE};
    struct purge **at;

    pthread_mutex_lock(&store->lock);
    purge = store->purges;
    pthread_mutex_unlock(&store->lock);
    if (purge == NULL)
        return 0;
    query.group = purge->group;
    query.low = purge->from;
    query.high = purge->to;
    query.limit = PURGE_LINES;
    if (transaction_end(store, why) < 0
        || reader_ask(store, &query, &found, why) < 0)
        return -1;
    if (found.count > 0) {
        if (purge_lines(store, purge->group, &found, why) < 0)
            return -1;
        purge->from = found.lines[found.count - 1].number + 1;
        active_note_removal(store->active);
        return 0;
    }
    pthread_mutex_lock(&store->lock);
    for (at = &store->purges; *at != purge; at = &(*at)->next)
        ;
    *at = purge->next;
    pthread_mutex_unlock(&store->lock);
    free(purge);
    wake_caller(store);
    return 0;
}

/* --- showing it to readers --- */

static void
publish_article(struct store *store, const struct commit *commit,
                const struct commit_article *article)
{
    const char *at = commit->groups.data + article->groups_at;

    for (size_t i = 0; i < article->group_count; i++) {
        struct record_group place;
        struct group_marks marks;

        memcpy(&place, at + i * sizeof(place), sizeof(place));
        marks = active_marks(store->active, place.group);
        marks.high = place.number;
        marks.count++;
        active_set_marks(store->active, place.group, &marks);
    }
    active_known_put(store->active, &article->hash, article->sequence,
                     &article->token);
}

/*
 * The texts of a group that is there already may find no room in the shared
 * memory; then it keeps the old ones until the next start of the server.
 */
static int
publish_texts(struct store *store, const struct change *change,
              struct buffer *why)
{
    const struct group *after = &change->after;
    struct buffer creator = BUFFER_EMPTY;
    struct buffer description = BUFFER_EMPTY;
    int result;

    result = active_set(store->active, change->group, after->name,
                        after->name_octets, after->flag, after->alias,
                        after->created, after->creator, after->description,
                        why);
    if (result < 0 && change->group <= active_count(store->active)) {
        warn("store: %s", buffer_text(why));
        active_origin(store->active, change->group, &creator, &description);
        result = active_set(store->active, change->group, after->name,
                            after->name_octets, after->flag, after->alias,
                            after->created, buffer_text(&creator),
                            buffer_text(&description), why);
    }
    buffer_free(&creator);
    buffer_free(&description);
    return result;
}

static int
publish_group(struct store *store, const struct change *change,
              struct buffer *why)
{
    bool removed = change->after.flag == 0;
    bool is_new = change->before.name == NULL || change->before.flag == 0;

    if (publish_texts(store, change, why) < 0)
        return -1;
    if (removed || is_new) {
        struct group_marks marks
            = {.low = change->after.low, .high = change->after.high};

        active_set_marks(store->active, change->group, &marks);
    }
    if (removed) {
        commit_purge(store, change->group, change->after.high);
        active_note_removal(store->active);
    }
    return 0;
}

/* The lowest number from `from` on; high + 1 when there is none. */
static int
find_low(struct store *store, uint32_t id, uint64_t from, uint64_t high,
         uint64_t *low_r, struct buffer *why)
{
    struct overview_query query = {
        .question = OVERVIEW_NEXT,
        .group = id,
        .low = from,
        .high = high,
        .limit = 1,
    };
    struct found_lines found = {.count = 0};

    if (from <= high && reader_ask(store, &query, &found, why) < 0)
        return -1;
    *low_r = found.count > 0 ? found.lines[0].number : high + 1;
    return 0;
}

/* What readers see of a group, put into its row of the overview: a low mark
   that went up must not come down at a start. */
static int
save_marks(struct store *store, uint32_t id, struct buffer *why)
{
    struct group_marks marks = active_marks(store->active, id);
    struct buffer creator = BUFFER_EMPTY;
    struct buffer description = BUFFER_EMPTY;
    struct overview_group row = {
        .group = id,
        .flag = active_flag(store->active, id),
        .alias = active_alias(store->active, id),
        .created
        = active_origin(store->active, id, &creator, &description),
        .low = marks.low,
        .high = marks.high,
        .name = active_name(store->active, id, NULL),
    };
    int result = -1;

    row.creator = buffer_text(&creator);
    row.description = buffer_text(&description);
    do {
        if (transaction_begin(store, why) == 0
            && overview_put_group(store->overview, &row, why) == 0)
            result = transaction_end(store, why);
    } while (result < 0 && overview_is_back(store, why));
    buffer_free(&creator);
    buffer_free(&description);
    return result;
}

int
commit_raise_low(struct store *store, uint32_t id, uint64_t from,
                 struct buffer *why)
{
    struct group_marks marks = active_marks(store->active, id);

    if (find_low(store, id, from, marks.high, &marks.low, why) < 0)
        return -1;
    active_set_marks(store->active, id, &marks);
    return save_marks(store, id, why);
}

/* A cancelled article is no longer counted. */
static int
publish_cancel(struct store *store, const struct change *change,
               struct buffer *why)
{
    active_known_drop(store->active, &change->hash);
    if (change->target == 0)
        return 0;
    active_note_removal(store->active);
    for (size_t i = 0; i < change->group_count; i++) {
        const struct record_group *place = &change->groups[i];
        struct group_marks marks = active_marks(store->active, place->group);

        /* From before the group was removed and made anew. */
        if (place->number < marks.low || marks.count == 0)
            continue;
        marks.count--;
        active_set_marks(store->active, place->group, &marks);
        if (place->number == marks.low
            && commit_raise_low(store, place->group, marks.low + 1, why) < 0)
            return -1;
    }
    return 0;
}

/*
 * The overview has it.  The counter moves before the marks: a reader that sees
 * a new high mark then knows that what it remembers of the overview is older
 * (the other way round it missed lines, 27 times in 437,000).  Where a group
 * begins after a removal is looked up last, by a reader of our own.
 */
static int
publish(struct store *store, struct commit *const *taken, size_t count,
        struct buffer *why)
{
    active_set_committed(store->active, store->applied);
    for (size_t i = 0; i < count; i++) {
        const struct commit *commit = taken[i];
        size_t done = 0;

        for (size_t k = 0; k <= commit->change_count; k++) {
            const struct change *change
                = k < commit->change_count ? &commit->changes[k] : NULL;
            size_t to = change != NULL ? change->articles_before
                                       : commit->article_count;

            for (; done < to; done++)
                publish_article(store, commit, &commit->articles[done]);
            if (change != NULL && change->kind == CHANGE_GROUP
                && publish_group(store, change, why) < 0)
                return -1;
        }
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < taken[i]->change_count; k++)
            if (taken[i]->changes[k].kind == CHANGE_CANCEL
                && publish_cancel(store, &taken[i]->changes[k], why) < 0)
                return -1;
    return 0;
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

/* Something to do while no commit group is there: 1 it was done, 0 nothing
   to do, -1. */
static int
index_idle(struct store *store, struct folding *folding, struct buffer *why)
{
    int steps = 0;

    if (commit_is_purging_any(store))
        return purge_step(store, why) < 0 ? -1 : 1;
    if (!fold_is_due(store, folding))
        return transaction_end(store, why);
    while (steps++ < FOLD_STEPS_WAITING) {
        bool waiting;

        if (fold_step(store, folding, why) < 0)
            return -1;
        pthread_mutex_lock(&store->lock);
        waiting = store->flushed.first != NULL;
        pthread_mutex_unlock(&store->lock);
        /* What has been folded goes along with that commit. */
        if (waiting || !folding->active)
            return 1;
    }
    return transaction_end(store, why) < 0 ? -1 : 1;
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
        && !store->broken && store->purges == NULL) {
        /* A fold may be due when nothing comes for a while. */
        if (overview_recent(store->overview) > FOLD_ROWS_IDLE
            || store->restart_log)
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
    struct folding folding
        = {.rate = FOLD_RATE_UNIT, .last_commit_ms = clock_ms()};
    struct buffer why = BUFFER_EMPTY;
    bool busy = false, end = false;
    int result = 0;

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
        if (result >= 0 && index_restart_log(store, &why) < 0)
            result = -1;
    }
    if (result >= 0 && transaction_end(store, &why) < 0)
        result = -1;
    if (result < 0)
        store_break(store, "index", &why);
    buffer_free(&why);
    return NULL;
}

/* --- the overview's checkpoint thread --- */

/* A checkpoint that fails costs time at the next start, no article.  It is
   tried again. */
static void
checkpoint_warn(int64_t *warned_ms, const char *what,
                const struct buffer *why)
{
    if (*warned_ms != 0 && clock_ms() - *warned_ms < WARN_MS)
        return;
    *warned_ms = clock_ms();
    warn("store: %s: checkpoint: %s", what, buffer_text(why));
}

/* Wait a while, or until woken.  False: end. */
static bool
checkpoint_wait(struct store *store, uint64_t *commits_r,
                uint64_t *articles_r)
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

static void
checkpoint_overview(struct store *store, int64_t *warned_ms)
{
    struct buffer why = BUFFER_EMPTY;
    uint64_t left = UINT64_MAX;

    if (overview_checkpoint(store->overview, &left, &why) < 0)
        checkpoint_warn(warned_ms, "overview", &why);
    buffer_free(&why);
    if (overview_log_octets(store->overview) < LOG_RESTART_OCTETS
        || left > LOG_NEARLY_OCTETS)
        return;
    pthread_mutex_lock(&store->lock);
    store->restart_log = true;
    pthread_cond_signal(&store->index_wake);
    pthread_mutex_unlock(&store->lock);
}

static void *
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
static void *
history_run(void *context)
{
    struct store *store = context;
    uint64_t commits, articles;
    uint64_t kept_articles = 0, kept_commits = 0;
    int64_t kept_ms = clock_ms();
    int64_t warned_ms = 0;

    while (checkpoint_wait(store, &commits, &articles)) {
        struct buffer why = BUFFER_EMPTY;

        if (articles - kept_articles < HISTORY_ARTICLES
            && (commits == kept_commits
                || clock_ms() - kept_ms < HISTORY_MS))
            continue;
        if (history_checkpoint(store->history, &why) < 0)
            checkpoint_warn(&warned_ms, "history", &why);
        buffer_free(&why);
        kept_articles = articles;
        kept_commits = commits;
        kept_ms = clock_ms();
    }
    return NULL;
}

/* --- starting and stopping --- */

static int
thread_start(pthread_t *thread, void *(*run)(void *), struct store *store,
             struct buffer *why)
{
    int error = pthread_create(thread, NULL, run, store);

    if (error == 0)
        return 0;
    errno = error;
    return why_set_errno(why, "cannot start a thread of the store");
}

int
commit_start(struct store *store, struct buffer *why)
{
    static void *(*const run[STORE_THREADS])(void *)
        = {flush_run, index_run, checkpoint_run, history_run};
    sigset_t all, old;

    /* Signals are the loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (store->thread_count < STORE_THREADS
           && thread_start(&store->threads[store->thread_count],
                           run[store->thread_count], store, why)
                  == 0)
        store->thread_count++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
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
    pthread_mutex_unlock(&store->lock);
    while (store->thread_count > 0)
        pthread_join(store->threads[--store->thread_count], NULL);
    queue_free(&store->sealed);
    queue_free(&store->flushed);
    queue_free(&store->done);
    while (store->purges != NULL) {
        struct purge *next = store->purges->next;

        free(store->purges);
        store->purges = next;
    }
    free(store->scratch.history);
    free(store->scratch.overview);
    store->scratch = (struct index_scratch){0};
}
