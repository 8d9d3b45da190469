/* Putting the indices right, by steps (storage/mend.h). */
#include "storage/mend.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "storage/active.h"
#include "storage/commit.h"
#include "storage/spool_reader.h"

/* --- the caller's thread --- */

void
store_mend(struct store *store, const void *octets, size_t length,
           uint64_t cookie, store_changed_func *changed, void *context)
{
    struct change change = {
        .kind = CHANGE_MEND,
        .cookie = cookie,
        .changed = changed,
        .context = context,
    };
    struct commit *commit;

    if (store_is_broken(store))
        return;
    if (length == 0 || length % sizeof(struct mend_step) != 0
        || length / sizeof(struct mend_step) > MEND_STEPS_MAX) {
        changed(context, cookie, -1, "these are no steps");
        return;
    }
    buffer_append(&change.steps, octets, length);
    commit = store_commit_apart(store, &change);
    pthread_mutex_lock(&store->lock);
    queue_append(&store->mends, commit);
    pthread_cond_signal(&store->index_wake);
    pthread_mutex_unlock(&store->lock);
}

/* --- the index thread --- */

struct mending {
    struct store *store;
    const struct mend_step *steps;
    size_t count;
    /* Groups to be counted anew, and the bound of each low mark. */
    uint32_t groups[2 * MEND_STEPS_MAX + 1];
    uint64_t lows[2 * MEND_STEPS_MAX + 1];
    size_t group_count;
    size_t current; /* of those, while their rows are read */
};

static void
group_note(struct mending *mending, uint32_t group, uint64_t low)
{
    size_t i = 0;

    if (group == 0 || group > active_count(mending->store->active))
        return;
    while (i < mending->group_count && mending->groups[i] != group)
        i++;
    if (i == sizeof(mending->groups) / sizeof(mending->groups[0]))
        return; /* check finds it again */
    if (i == mending->group_count) {
        mending->group_count++;
        mending->groups[i] = group;
        mending->lows[i] = 1;
    }
    if (low > mending->lows[i])
        mending->lows[i] = low;
}

/* The record that a step speaks of, when it is there and is what it says.
   NULL else. */
static struct spooled *
record_of(const struct store *store, const struct mend_step *step,
          enum record_type type)
{
    struct spooled *spooled = NULL;

    if (spool_read_now(store->pathspool, &step->token, step->sequence,
                       &spooled)
        != SPOOL_FOUND)
        return NULL;
    if (spooled->record.head.type == type
        && memcmp(&spooled->record.head.hash, &step->hash, sizeof(step->hash))
               == 0)
        return spooled;
    spooled_release(spooled);
    return NULL;
}

/* Has something been said of the ID that stands, whatever a step would put? */
static bool
entry_stands(const struct history_entry *entry, const struct mend_step *step)
{
    if (entry->sequence > step->sequence)
        return true;
    return entry->sequence == step->sequence
           && history_has_token((enum history_fate)step->fate)
           && !history_has_token(entry->fate);
}

static int
mend_entry(struct store *store, const struct mend_step *step,
           struct buffer *why)
{
    struct history_entry entry;
    int found = history_lookup(store->history, &step->hash, &entry, why);

    if (found <= 0 || !entry_stands(&entry, step)) {
        if (found < 0)
            return -1;
        if (history_has_token((enum history_fate)step->fate)) {
            struct spooled *spooled =
                record_of(store, step,
                          step->fate == HISTORY_STORED ? RECORD_ARTICLE
                                                       : RECORD_SUBMISSION);

            if (spooled == NULL)
                return 0;
            spooled_release(spooled);
        }
        entry = (struct history_entry){
            .hash = step->hash,
            .fate = (enum history_fate)step->fate,
            .sequence = step->sequence,
        };
        if (history_has_token(entry.fate))
            entry.token = step->token;
        else
            entry.until = step->until;
        return history_put(store->history, &entry, 1,
                           history_applied(store->history), why);
    }
    return 0;
}

static int
mend_entry_drop(struct store *store, const struct mend_step *step,
                struct buffer *why)
{
    struct history_entry entry;
    int found = history_lookup(store->history, &step->hash, &entry, why);

    if (found <= 0 || entry.sequence != step->sequence)
        return found < 0 ? -1 : 0;
    return history_drop(store->history, &step->hash, 1, why);
}

/* Is the article still one that is here? */
static int
is_stored(struct store *store, const struct mend_step *step,
          struct buffer *why)
{
    struct history_entry entry;
    int found = history_lookup(store->history, &step->hash, &entry, why);

    return found > 0 ? entry.fate == HISTORY_STORED
                           && entry.sequence == step->sequence
                     : found;
}

/* Of its groups, those that a step names: an article can have left others. */
static int
mend_article(struct mending *mending, const struct mend_step *step,
             struct buffer *why)
{
    struct store *store = mending->store;
    struct buffer line = BUFFER_EMPTY;
    struct record_group place = {.group = step->group, .number = step->number};
    struct overview_entry entry = {.sequence = step->sequence};
    struct spooled *spooled;
    int status = is_stored(store, step, why);

    if (status <= 0)
        return status;
    spooled = record_of(store, step, RECORD_ARTICLE);
    if (spooled == NULL)
        return 0;
    recover_line(&spooled->record, &line);
    entry.arrival = spooled->record.head.arrival;
    entry.token = spooled->record.token;
    entry.hash = step->hash;
    entry.line = line.data;
    entry.line_octets = line.used;
    for (size_t i = 0; i < record_group_count(&spooled->record); i++) {
        struct record_group filed = record_group(&spooled->record, i);

        if (filed.group == place.group && filed.number == place.number) {
            entry.groups = &place;
            entry.group_count = 1;
            group_note(mending, place.group, 1);
        }
    }
    status = overview_mend(store->overview, &entry, why);
    active_known_put(store->active, &entry.hash, entry.sequence, &entry.token);
    spooled_release(spooled);
    buffer_free(&line);
    return status;
}

static int
mend_line_drop(struct mending *mending, const struct mend_step *step,
               struct buffer *why)
{
    const struct record_group place = {.group = step->group,
                                       .number = step->number};

    group_note(mending, step->group, 1);
    return overview_remove(mending->store->overview, step->sequence, &place, 1,
                           false, why);
}

static int
mend_step(struct mending *mending, const struct mend_step *step,
          struct buffer *why)
{
    struct store *store = mending->store;

    switch ((enum mend_kind)step->kind) {
    case MEND_ENTRY:
        return mend_entry(store, step, why);
    case MEND_ENTRY_DROP:
        return mend_entry_drop(store, step, why);
    case MEND_ARTICLE:
        return mend_article(mending, step, why);
    case MEND_ARTICLE_DROP:
        return overview_drop(store->overview, &step->sequence, 1, why);
    case MEND_LINE_DROP:
        return mend_line_drop(mending, step, why);
    case MEND_GROUP:
        group_note(mending, step->group, step->number);
        return 0;
    case MEND_NOTHING:
        break;
    }
    return 0;
}

/* What a group's row counts now is shown. */
static int
marks_show(void *context, const struct overview_group *row)
{
    struct mending *mending = context;
    struct active *active = mending->store->active;
    struct group_marks marks;

    if (row->group != mending->groups[mending->current])
        return 0;
    marks = active_marks(active, row->group);
    marks.count = row->count;
    if (row->high > marks.high)
        marks.high = row->high;
    active_set_marks(active, row->group, &marks);
    return 0;
}

/* Where it begins is looked up by a reader, so it comes last. */
static int
groups_show(struct mending *mending, struct buffer *why)
{
    struct store *store = mending->store;

    for (size_t i = 0; i < mending->group_count; i++) {
        uint32_t id = mending->groups[i];

        mending->current = i;
        if (overview_groups(store->overview, marks_show, mending, why) < 0
            || commit_raise_low(store, id, mending->lows[i], why) < 0)
            return -1;
    }
    return 0;
}

/* What is not folded yet is folded first: then blocks and rows of articles are
   all there is to be mended, and counted. */
static int
overview_do(struct mending *mending, struct buffer *why)
{
    struct overview *overview = mending->store->overview;
    int more = 1;

    if (transaction_begin(mending->store, why) < 0)
        return -1;
    while (more > 0)
        more = overview_fold(overview, 0, why);
    if (more < 0)
        return -1;
    for (size_t i = 0; i < mending->count; i++)
        if (mend_step(mending, &mending->steps[i], why) < 0)
            return -1;
    for (size_t i = 0; i < mending->group_count; i++)
        if (overview_recount(overview, mending->groups[i], mending->lows[i],
                             why)
            < 0)
            return -1;
    /* No record says what was mended. */
    if (history_flush(mending->store->history, why) < 0)
        return -1;
    return transaction_end(mending->store, why);
}

int
commit_mend(struct store *store, const struct change *change,
            struct buffer *why)
{
    struct mending mending = {
        .store = store,
        .steps = (const struct mend_step *)(const void *)change->steps.data,
        .count = change->steps.used / sizeof(struct mend_step),
    };

    if (overview_do(&mending, why) < 0)
        return -1;
    active_note_removal(store->active);
    return groups_show(&mending, why);
}
