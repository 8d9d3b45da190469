#include "storage/commit.h"

#include "lib/clock.h"
#include "lib/memory.h"

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

int
transaction_begin(struct store *store, struct buffer *why)
{
    if (!store->transaction && overview_begin(store->overview, why) < 0)
        return -1;
    store->transaction = true;
    return 0;
}

int
transaction_end(struct store *store, struct buffer *why)
{
    if (store->transaction
        && overview_commit(store->overview, store->applied, why) < 0)
        return -1;
    store->transaction = false;
    return 0;
}

bool
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

/* At most so many entries of the history are in a commit group. */
static size_t
commit_entries(const struct commit *commit)
{
    size_t entries = commit->article_count + commit->change_count;

    for (size_t i = 0; i < commit->change_count; i++)
        if (commit->changes[i].kind == CHANGE_EXPIRE)
            entries += EXPIRY_ARTICLES_MAX;
    return entries;
}

/* What the history learns from a commit group, in order of sequence. */
static void
history_collect(struct index_scratch *scratch, const struct commit *commit)
{
    for (size_t i = 0; i < commit->article_count; i++) {
        const struct commit_article *article = &commit->articles[i];

        scratch->history[scratch->history_count++] = (struct history_entry){
            .hash = article->hash,
            .fate = article->submitted ? HISTORY_SUBMITTED : HISTORY_STORED,
            .sequence = article->sequence,
            .token = article->token,
        };
    }
    for (size_t i = 0; i < commit->change_count; i++) {
        const struct change *change = &commit->changes[i];

        if (change->kind == CHANGE_CANCEL)
            scratch->history[scratch->history_count++] =
                (struct history_entry){
                    .hash = change->hash,
                    .fate = HISTORY_CANCELLED,
                    .sequence = change->sequence,
                    .until = change->until,
                };
        else if (change->kind == CHANGE_REMEMBER)
            scratch->history[scratch->history_count++] =
                (struct history_entry){
                    .hash = change->hash,
                    .fate = HISTORY_REFUSED,
                    .sequence = change->sequence,
                    .until = change->until,
                };
        else if (change->kind == CHANGE_EXPIRE)
            expire_collect(scratch, change);
    }
}

int
index_history(struct store *store, struct commit *const *taken, size_t count,
              struct buffer *why)
{
    struct index_scratch *scratch = &store->scratch;
    size_t entries = 0;

    for (size_t i = 0; i < count; i++)
        entries += commit_entries(taken[i]);
    scratch_reserve(scratch, entries, 0);
    scratch->history_count = 0;
    for (size_t i = 0; i < count; i++)
        history_collect(scratch, taken[i]);
    return history_put(store->history, scratch->history,
                       scratch->history_count, taken[count - 1]->last_sequence,
                       why);
}

/* Articles from..to of a commit group go into recent. */
static int
overview_put_articles(struct store *store, const struct commit *commit,
                      size_t from, size_t to, struct buffer *why)
{
    struct index_scratch *scratch = &store->scratch;
    size_t put = 0;

    scratch_reserve(scratch, 0, to - from);
    for (size_t i = from; i < to; i++) {
        const struct commit_article *article = &commit->articles[i];

        if (article->submitted)
            continue;
        scratch->overview[put++] = (struct overview_entry){
            .sequence = article->sequence,
            .arrival = article->arrival,
            .token = article->token,
            .hash = article->hash,
            .groups = (const struct record_group
                           *)(const void *)(commit->groups.data
                                            + article->groups_at),
            .group_count = article->group_count,
            .line = commit->lines.data + article->line_at,
            .line_octets = article->line_octets,
        };
    }
    return overview_put(store->overview, scratch->overview, put, why);
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
                                     change->groups, change->group_count, true,
                                     why);
    if (change->kind == CHANGE_REMEMBER)
        return 0; /* there is nothing to read */
    if (change->kind == CHANGE_EXPIRE)
        return expire_overview(store, change, why);
    if (change->kind == CHANGE_CARRIED)
        return 0;
    row = change_row(change);
    return overview_put_group(store->overview, &row, why);
}

/* Articles and changes of a commit group in order of sequence. */
int
overview_put_commit(struct store *store, const struct commit *commit,
                    struct buffer *why)
{
    size_t done = 0;

    for (size_t i = 0; i < commit->change_count; i++) {
        const struct change *change = &commit->changes[i];

        if (overview_put_articles(store, commit, done, change->articles_before,
                                  why)
                < 0
            || overview_put_change(store, change, why) < 0)
            return -1;
        done = change->articles_before;
    }
    return overview_put_articles(store, commit, done, commit->article_count,
                                 why);
}
