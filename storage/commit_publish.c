#include "storage/commit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"

static void
publish_article(struct store *store, const struct commit *commit,
                const struct commit_article *article)
{
    const char *at = commit->groups.data + article->groups_at;

    if (article->submitted)
        return;
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

    result =
        active_set(store->active, change->group, after->name,
                   after->name_octets, after->flag, after->alias,
                   after->created, after->creator, after->description, why);
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
        struct group_marks marks = {.low = change->after.low,
                                    .high = change->after.high};

        active_set_marks(store->active, change->group, &marks);
    }
    if (removed) {
        commit_purge(store, change->group, change->after.high);
        active_note_removal(store->active);
    }
    return 0;
}

/* Where a group begins from now on. */
struct raised {
    uint32_t group;
    uint64_t low;
};

/* What readers see of a group, but for where it begins, put into its row of
   the overview. */
static int
put_raised(struct store *store, const struct raised *raised,
           struct buffer *why)
{
    uint32_t id = raised->group;
    struct buffer creator = BUFFER_EMPTY;
    struct buffer description = BUFFER_EMPTY;
    struct overview_group row = {
        .group = id,
        .flag = active_flag(store->active, id),
        .alias = active_alias(store->active, id),
        .created = active_origin(store->active, id, &creator, &description),
        .low = raised->low,
        .high = active_marks(store->active, id).high,
        .name = active_name(store->active, id, NULL),
    };
    int result;

    row.creator = buffer_text(&creator);
    row.description = buffer_text(&description);
    result = overview_put_group(store->overview, &row, why);
    buffer_free(&creator);
    buffer_free(&description);
    return result;
}

/* Several, each once or more.  What readers see must not come down at a start
   (RFC 3977, 6.1.1.2), so it is kept before they see it. */
static int
lows_raise(struct store *store, const struct raised *raised, size_t count,
           struct buffer *why)
{
    int result;

    do {
        result = transaction_begin(store, why);
        for (size_t i = 0; i < count && result == 0; i++)
            result = put_raised(store, &raised[i], why);
        if (result == 0)
            result = transaction_end(store, why);
    } while (result < 0 && overview_is_back(store, why));
    for (size_t i = 0; i < count && result == 0; i++) {
        struct group_marks marks =
            active_marks(store->active, raised[i].group);

        marks.low = raised[i].low;
        active_set_marks(store->active, raised[i].group, &marks);
    }
    return result;
}

int
commit_raise_low(struct store *store, uint32_t id, uint64_t from,
                 struct buffer *why)
{
    struct raised raised = {.group = id};

    if (find_low(store, id, from, active_marks(store->active, id).high,
                 &raised.low, why)
        < 0)
        return -1;
    return lows_raise(store, &raised, 1, why);
}

int
commit_settle(struct store *store, struct buffer *why)
{
    overview_settle(store->overview, store->applied);
    return transaction_begin(store, why) < 0 ? -1
                                             : transaction_end(store, why);
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

/* What has left a group is not counted any more.  1 when the group begins
   later now; 0; -1. */
static int
publish_range(struct store *store, const struct expired_range *range,
              uint64_t removed, struct raised *raised_r, struct buffer *why)
{
    struct group_marks marks = active_marks(store->active, range->group);

    /* From before the group was removed and made anew. */
    if (range->last < marks.low)
        return 0;
    marks.count -= removed < marks.count ? removed : marks.count;
    active_set_marks(store->active, range->group, &marks);
    raised_r->group = range->group;
    if (find_low(store, range->group, marks.low, marks.high, &raised_r->low,
                 why)
        < 0)
        return -1;
    return raised_r->low > marks.low;
}

static int
publish_expire(struct store *store, const struct change *change,
               struct buffer *why)
{
    struct expiry expiry = expiry_of(change);
    size_t count = expiry.head.range_count;
    struct raised *raised = xcalloc(count + 1, sizeof(*raised));
    size_t raised_count = 0;
    int result = 0;

    active_note_removal(store->active);
    for (size_t i = 0; i < expiry.head.article_count; i++) {
        struct expired_article article = expiry_article(&expiry, i);

        active_known_drop(store->active, &article.hash);
    }
    for (size_t i = 0; i < count && result >= 0; i++) {
        struct expired_range range = expiry_range(&expiry, i);

        result = publish_range(store, &range, change->removed[i],
                               &raised[raised_count], why);
        if (result > 0)
            raised_count++;
    }
    if (result >= 0 && raised_count > 0)
        result = lows_raise(store, raised, raised_count, why);
    free(raised);
    return result < 0 ? -1 : 0;
}

static int
publish_removal(struct store *store, const struct change *change,
                struct buffer *why)
{
    /* NOLINTNEXTLINE: there are changes where they are counted */
    switch (change->kind) {
    case CHANGE_CANCEL:
        return publish_cancel(store, change, why);
    case CHANGE_EXPIRE:
        return publish_expire(store, change, why);
    default:
        return 0;
    }
}

/*
 * The overview has it.  The counter moves before the marks: a reader that sees
 * a new high mark then knows that what it remembers of the overview is older
 * (the other way round it missed lines, 27 times in 437,000).  Where a group
 * begins after a removal is looked up last, by a reader of our own.
 */
int
publish(struct store *store, struct commit *const *taken, size_t count,
        struct buffer *why)
{
    active_set_committed(store->active, store->applied);
    for (size_t i = 0; i < count; i++) {
        const struct commit *commit = taken[i];
        size_t done = 0;

        for (size_t k = 0; k <= commit->change_count; k++) {
            const struct change *change =
                k < commit->change_count ? &commit->changes[k] : NULL;
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
            if (publish_removal(store, &taken[i]->changes[k], why) < 0)
                return -1;
    return 0;
}
