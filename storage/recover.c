#include "storage/store_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/article.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/progress.h"
#include "storage/active.h"
#include "storage/commit.h"
#include "storage/store_key.h"

enum {
    REPLAY_RECORDS = 1000, /* in one transaction */
    REPLAY_OCTETS = 8 * 1024 * 1024,
    PROGRESS_FROM = 10000, /* records: what is shorter is over at once */
    /* Rows of `recent` from which on they are folded, and how many stay. */
    REPLAY_FOLD_FROM = 65536,
    REPLAY_FOLD_KEEP = 32768,
    REPLAY_CHECKPOINT_ARTICLES = 400000, /* of the history */
};

/* An article that waits for its transaction. */
struct replayed {
    struct overview_entry entry; /* pointers are set when all are there */
    size_t groups_at;
    size_t line_at;
};

struct recovery {
    struct store *store;
    /* as they were found */
    uint64_t history_applied, overview_applied, overview_settled;
    /* the records of the next transaction */
    struct history_entry *history;
    size_t history_count;
    size_t history_size;
    struct replayed *articles;
    struct overview_entry *entries;
    size_t article_count;
    struct buffer groups;
    struct buffer lines;
    size_t records;   /* in it, of any kind */
    uint64_t last;    /* the highest sequence so far */
    bool transaction; /* the overview's is open */
    /* what was done */
    uint64_t replayed;
    uint64_t checkpointed; /* of them, when the history was */
    uint64_t unknown;
    struct progress *progress;
    struct buffer text;
};

static uint64_t
largest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t
smallest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- one transaction --- */

static int
begin_overview(struct recovery *recovery, struct buffer *why)
{
    if (!recovery->transaction
        && overview_begin(recovery->store->overview, why) < 0)
        return -1;
    recovery->transaction = true;
    return 0;
}

/* Put the articles that have been collected into the overview; what follows
   may change them. */
static int
put_articles(struct recovery *recovery, struct buffer *why)
{
    size_t count = recovery->article_count;
    int result;

    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        struct replayed *replayed = &recovery->articles[i];

        recovery->entries[i] = replayed->entry;
        recovery->entries[i].groups =
            (const struct record_group *)(const void *)(recovery->groups.data
                                                        + replayed->groups_at);
        recovery->entries[i].line = recovery->lines.data + replayed->line_at;
    }
    result = begin_overview(recovery, why) < 0
                     || overview_put(recovery->store->overview,
                                     recovery->entries, count, why)
                            < 0
                 ? -1
                 : 0;
    recovery->article_count = 0;
    buffer_clear(&recovery->groups);
    buffer_clear(&recovery->lines);
    return result;
}

static int
put_history(struct recovery *recovery, struct buffer *why)
{
    struct store *store = recovery->store;
    size_t count = recovery->history_count;

    recovery->history_count = 0;
    if (recovery->last <= recovery->history_applied)
        return 0;
    if (history_put(store->history, recovery->history, count, recovery->last,
                    why)
        < 0)
        return -1;
    /* An interrupted rebuild goes on from what is in Berkeley DB. */
    return store->rebuilds ? history_flush(store->history, why) : 0;
}

/* In a long replay the rows go into blocks on the way, as they do beside
   commits. */
static int
fold(struct recovery *recovery, struct buffer *why)
{
    struct overview *overview = recovery->store->overview;
    int more = 1;

    if (overview_recent(overview) < REPLAY_FOLD_FROM)
        return 0;
    while (more > 0)
        more = overview_fold(overview, REPLAY_FOLD_KEEP, why);
    return more;
}

/* No thread makes checkpoints yet. */
static int
checkpoint(struct recovery *recovery, struct buffer *why)
{
    struct store *store = recovery->store;
    uint64_t left;

    if (overview_log_octets(store->overview) > LOG_CHECKPOINT_OCTETS
        && (overview_checkpoint(store->overview, &left, why) < 0
            || overview_restart_log(store->overview, why) < 0))
        return -1;
    if (recovery->replayed - recovery->checkpointed
        < REPLAY_CHECKPOINT_ARTICLES)
        return 0;
    recovery->checkpointed = recovery->replayed;
    return history_checkpoint(store->history, why);
}

/* All that was collected is in both indices now. */
static int
finish_transaction(struct recovery *recovery, struct buffer *why)
{
    struct store *store = recovery->store;

    if (recovery->records == 0)
        return 0;
    recovery->records = 0;
    if (put_history(recovery, why) < 0 || put_articles(recovery, why) < 0)
        return -1;
    if (recovery->last <= recovery->overview_applied && !recovery->transaction)
        return 0;
    if (begin_overview(recovery, why) < 0 || fold(recovery, why) < 0
        || overview_commit(store->overview,
                           largest(recovery->last, recovery->overview_applied),
                           why)
               < 0)
        return -1;
    recovery->transaction = false;
    return checkpoint(recovery, why);
}

/* --- records --- */

static void
collect_entry(struct recovery *recovery, const struct history_entry *entry)
{
    if (recovery->history_count == recovery->history_size) {
        recovery->history_size = recovery->history_size * 2 + REPLAY_RECORDS;
        recovery->history =
            xreallocarray(recovery->history, recovery->history_size,
                          sizeof(*recovery->history));
    }
    recovery->history[recovery->history_count++] = *entry;
}

static void
collect_history(struct recovery *recovery, const struct record *record,
                enum history_fate fate, int64_t until)
{
    struct history_entry entry = {
        .hash = record->head.hash,
        .fate = fate,
        .sequence = record->head.sequence,
        .until = until,
    };

    if (record->head.sequence <= recovery->history_applied)
        return;
    if (fate == HISTORY_STORED || fate == HISTORY_SUBMITTED)
        entry.token = record->token;
    collect_entry(recovery, &entry);
}

void
recover_line(const struct record *record, struct buffer *line)
{
    static const enum field fields[] = {
        FIELD_SUBJECT,    FIELD_FROM,       FIELD_DATE,
        FIELD_MESSAGE_ID, FIELD_REFERENCES,
    };
    /* Not article_parse(): its limits are for what comes in, and Xref may
       have brought this head past them. */
    struct article article = {.octets = record->payload};
    struct field_value xref;

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        (void)head_find(record->payload, record->head.head_octets,
                        field_name(fields[i]), &article.fields[fields[i]]);
    article_overview(&article, line);
    buffer_append_format(line, "\t%u\t%u\t", (unsigned)record->head.bytes,
                         (unsigned)record->head.lines);
    if (head_find(record->payload, record->head.head_octets,
                  field_name(FIELD_XREF), &xref)) {
        buffer_append_text(line, "Xref: ");
        field_unfold(&xref, line);
    }
}

/* Where to begin.  A rebuild looks up the low marks of all groups. */
static uint64_t
replay_after(const struct recovery *recovery)
{
    uint64_t applied =
        smallest(recovery->history_applied, recovery->overview_applied);

    return recovery->store->rebuilds
               ? applied
               : smallest(applied, recovery->overview_settled);
}

/*
 * Something has left the group.  Was it the lowest?  When the overview had
 * it already, a writer may have died before it came to raise the mark.
 */
static void
note_removal(struct recovery *recovery, const struct record *record,
             uint32_t id)
{
    if (record->head.sequence > recovery->overview_settled && id != 0
        && id <= GROUP_ID_MAX)
        groups_at(recovery->store, id)->low_unknown = true;
}

/* Marks from the article's numbers; counted only when the overview did not
   have it. */
static int
replay_marks(struct recovery *recovery, const struct record *record,
             bool counted, struct buffer *why)
{
    for (size_t i = 0; i < record_group_count(record); i++) {
        struct record_group place = record_group(record, i);
        struct group *group;

        if (place.group == 0 || place.group > GROUP_ID_MAX)
            return why_set(why, "record %llu is filed in newsgroup %u",
                           (unsigned long long)record->head.sequence,
                           (unsigned)place.group);
        group = groups_at(recovery->store, place.group);
        if (place.number > group->high)
            group->high = place.number;
        if (counted)
            group->count++;
    }
    return 0;
}

static int
replay_article(struct recovery *recovery, const struct record *record,
               struct buffer *why)
{
    bool wanted = record->head.sequence > recovery->overview_applied;
    struct replayed *replayed;

    if (replay_marks(recovery, record, wanted, why) < 0)
        return -1;
    collect_history(recovery, record, HISTORY_STORED, 0);
    if (!wanted)
        return 0;
    replayed = &recovery->articles[recovery->article_count++];
    *replayed = (struct replayed){
        .entry =
            {
                .sequence = record->head.sequence,
                .arrival = record->head.arrival,
                .token = record->token,
                .hash = record->head.hash,
                .group_count = record_group_count(record),
            },
        .groups_at = recovery->groups.used,
        .line_at = recovery->lines.used,
    };
    buffer_append(&recovery->groups, record->meta, record->head.meta_octets);
    recover_line(record, &recovery->lines);
    replayed->entry.line_octets = recovery->lines.used - replayed->line_at;
    return 0;
}

static int
replay_cancel(struct recovery *recovery, const struct record *record,
              struct buffer *why)
{
    struct removal removal;
    size_t count = record->head.meta_octets / sizeof(struct record_group);
    struct record_group *groups;
    int result;

    if (record->head.payload_octets < sizeof(removal))
        return why_set(why, "cancel record %llu is cut short",
                       (unsigned long long)record->head.sequence);
    memcpy(&removal, record->payload, sizeof(removal));
    collect_history(recovery, record, HISTORY_CANCELLED, removal.until);
    if (removal.sequence == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        note_removal(recovery, record, record_group(record, i).group);
    if (record->head.sequence <= recovery->overview_applied)
        return 0;
    if (put_articles(recovery, why) < 0 || begin_overview(recovery, why) < 0)
        return -1;
    groups = xcalloc(count + 1, sizeof(*groups));
    for (size_t i = 0; i < count; i++) {
        struct group *group;

        groups[i] = record_group(record, i);
        if (groups[i].group == 0 || groups[i].group > GROUP_ID_MAX)
            continue;
        group = groups_at(recovery->store, groups[i].group);
        /* From before the group was removed and made anew. */
        if (groups[i].number < group->low || group->count == 0)
            continue;
        group->count--;
        if (groups[i].number == group->low)
            group->low++;
    }
    result = overview_remove(recovery->store->overview, removal.sequence,
                             groups, count, true, why);
    free(groups);
    return result;
}

/* A range of numbers has left its group. */
static void
replay_range(struct recovery *recovery, const struct expired_range *range,
             uint64_t removed)
{
    struct group *group;

    if (range->group > GROUP_ID_MAX)
        return;
    group = groups_at(recovery->store, range->group);
    /* From before the group was removed and made anew.  (Its low mark says
       nothing: a snapshot may have told it before.) */
    if (range->last <= group->purge_to)
        return;
    group->count -= removed < group->count ? removed : group->count;
    if (range->first <= group->low)
        group->low = range->last + 1;
}

static int
replay_expire(struct recovery *recovery, const struct record *record,
              struct buffer *why)
{
    struct expiry expiry;
    uint64_t *removed;
    int result;

    if (expiry_parse(&expiry, record->payload, record->head.payload_octets,
                     why)
        < 0)
        return -1;
    if (record->head.sequence > recovery->history_applied)
        for (size_t i = 0; i < expiry.head.article_count; i++) {
            struct history_entry entry = expiry_entry(&expiry, i);

            collect_entry(recovery, &entry);
        }
    for (size_t i = 0; i < expiry.head.range_count; i++)
        note_removal(recovery, record, expiry_range(&expiry, i).group);
    if (record->head.sequence <= recovery->overview_applied)
        return 0;
    if (put_articles(recovery, why) < 0 || begin_overview(recovery, why) < 0)
        return -1;
    removed = xcalloc(expiry.head.range_count + (size_t)1, sizeof(*removed));
    result = expiry_remove(&expiry, recovery->store->overview, removed, why);
    for (size_t i = 0; i < expiry.head.range_count && result == 0; i++) {
        struct expired_range range = expiry_range(&expiry, i);

        replay_range(recovery, &range, removed[i]);
    }
    free(removed);
    return result;
}

/* What the history is to say of a remembered ID, unless an article of the same
   ID came later, or something longer is said already. */
static int
replay_remembered(struct recovery *recovery,
                  const struct remembered *remembered, struct buffer *why)
{
    struct history_entry entry = {.hash = remembered->hash};
    int found =
        history_lookup(recovery->store->history, &entry.hash, &entry, why);

    if (found < 0)
        return -1;
    if (found > 0 && entry.fate == HISTORY_STORED
        && entry.sequence > remembered->sequence)
        return 0;
    if (found > 0 && entry.fate != HISTORY_STORED
        && entry.until >= remembered->until)
        return 0;
    entry = (struct history_entry){
        .hash = remembered->hash,
        .fate = (enum history_fate)remembered->fate,
        .sequence = remembered->sequence,
        .until = remembered->until,
    };
    collect_entry(recovery, &entry);
    return 0;
}

static int
replay_remember(struct recovery *recovery, const struct record *record,
                struct buffer *why)
{
    int64_t count =
        remembered_count(record->payload, record->head.payload_octets, why);

    /* What came before must be there to be looked up. */
    if (count < 0 || finish_transaction(recovery, why) < 0)
        return -1;
    for (int64_t i = 0; i < count; i++) {
        struct remembered remembered =
            remembered_at(record->payload, (size_t)i);

        if (record->head.sequence > recovery->history_applied
            && replay_remembered(recovery, &remembered, why) < 0)
            return -1;
        if (record->head.sequence <= recovery->overview_applied
            || remembered.sequence == 0)
            continue;
        if (begin_overview(recovery, why) < 0
            || overview_drop(recovery->store->overview, &remembered.sequence,
                             1, why)
                   < 0)
            return -1;
    }
    return 0;
}

/* Does the record say what is known of the group anyway? */
static bool
group_is(const struct group *group, const struct overview_group *row)
{
    return group->flag == row->flag && group->alias == row->alias
           && group->created == row->created
           && strcmp(group->name, row->name) == 0
           && strcmp(group->creator, row->creator) == 0
           && strcmp(group->description, row->description) == 0;
}

/*
 * All that a removed group had goes out of the overview at once: a replay that
 * is cut short here remembers nothing, and the group may be made anew behind
 * it.
 */
static int
replay_purge(struct recovery *recovery, uint32_t id, struct group *group,
             struct buffer *why)
{
    struct expired_range all = {.group = id,
                                .first = 1,
                                .last = group->high,
                                .first_sequence = 1,
                                .last_sequence = INT64_MAX};
    uint64_t removed;

    group->count = 0;
    group->purge_to = group->high;
    return group->high == 0 ? 0
                            : overview_remove_ranges(recovery->store->overview,
                                                     &all, 1, &removed, why);
}

/* What a record says of a group, taken over. */
static int
replay_group(struct recovery *recovery, const struct overview_group *row,
             bool is_news, struct buffer *why)
{
    struct group *group = groups_at(recovery->store, row->group);
    bool removed = row->flag == 0;

    if (row->high > group->high)
        group->high = row->high;
    if (row->low > group->low)
        group->low = row->low;
    if (group->name != NULL && (!is_news || group_is(group, row)))
        return 0;
    group_assign(group, row);
    if (put_articles(recovery, why) < 0 || begin_overview(recovery, why) < 0
        || (removed && replay_purge(recovery, row->group, group, why) < 0))
        return -1;
    return overview_put_group(recovery->store->overview, row, why);
}

/* One group, or all of a snapshot. */
static int
replay_groups(struct recovery *recovery, const struct record *record,
              struct buffer *why)
{
    const char *at = record->payload;
    size_t left = record->head.payload_octets;
    bool is_news = record->head.sequence > recovery->overview_applied;

    while (left > 0) {
        struct overview_group row;
        int64_t octets = group_decode(&row, at, left, &recovery->text, why);

        if (octets < 0 || replay_group(recovery, &row, is_news, why) < 0)
            return -1;
        at += octets;
        left -= (size_t)octets;
    }
    return 0;
}

static int
replay_one(struct recovery *recovery, const struct record *record,
           struct buffer *why)
{
    switch (record->head.type) {
    case RECORD_ARTICLE:
        return replay_article(recovery, record, why);
    case RECORD_SUBMISSION:
        collect_history(recovery, record, HISTORY_SUBMITTED, 0);
        return 0;
    case RECORD_CANCEL:
        return replay_cancel(recovery, record, why);
    case RECORD_GROUP:
    case RECORD_SNAPSHOT:
        return replay_groups(recovery, record, why);
    case RECORD_EXPIRE:
        return replay_expire(recovery, record, why);
    case RECORD_REMEMBER:
        return replay_remember(recovery, record, why);
    case RECORD_TRUNC:
        return 0;
    default:
        recovery->unknown++;
        return 0;
    }
}

/* Sequence numbers are as good as a count of records, and where they end is
   known but for the newest segment. */
static void
show_progress(struct recovery *recovery)
{
    const struct store *store = recovery->store;
    uint64_t from = replay_after(recovery);
    uint64_t end = spool_sequence_estimate(store->spool);

    if (recovery->replayed < PROGRESS_FROM || store->quiet)
        return;
    if (recovery->progress == NULL)
        recovery->progress = progress_new(
            store->rebuilds ? "rebuild" : "recovery", "records", 0);
    progress_set_total(recovery->progress,
                       end > recovery->last ? end - from : 0);
    progress_update(recovery->progress, recovery->last - from);
}

static int
replay(void *context, const struct record *record, struct buffer *why)
{
    struct recovery *recovery = context;

    /* It has been copied, and the segment that it lay in was not removed. */
    if (record->head.type == RECORD_ARTICLE
        && record->head.sequence <= recovery->last)
        return 0;
    if (replay_one(recovery, record, why) < 0)
        return -1;
    recovery->last = largest(recovery->last, record->head.sequence);
    recovery->records++;
    recovery->replayed++;
    show_progress(recovery);
    if (recovery->store->interrupted != NULL && *recovery->store->interrupted)
        return why_set(why, "interrupted");
    if (recovery->records < REPLAY_RECORDS
        && recovery->lines.used < REPLAY_OCTETS)
        return 0;
    return finish_transaction(recovery, why);
}

/* --- groups --- */

/* What the overview knows of a group, before the replay. */
static int
take_group(void *context, const struct overview_group *row)
{
    struct store *store = context;
    struct group *group;

    if (row->group == 0 || row->group > GROUP_ID_MAX)
        return -1;
    group = groups_at(store, row->group);
    group_assign(group, row);
    group->high = row->high;
    group->low = row->low > 0 ? row->low : 1;
    group->count = row->count;
    return 0;
}

/* Every id has a name, or the shared table cannot hold those behind it. */
static void
name_lost_group(struct store *store, uint32_t id)
{
    struct buffer name = BUFFER_EMPTY;
    struct overview_group row = {
        .group = id, .creator = "", .description = ""};

    buffer_append_format(&name, "lost.group-%u", (unsigned)id);
    row.name = name.data;
    warn("store: what the log says of newsgroup %u is lost; its articles"
         " stay, by message-ID",
         (unsigned)id);
    group_assign(groups_at(store, id), &row);
    buffer_free(&name);
}

/* Show the groups to readers as they are now. */
static int
publish_groups(struct store *store, struct buffer *why)
{
    for (uint32_t id = 1; id <= store->group_count; id++) {
        struct group *group;
        struct group_marks marks;

        if (store->groups[id - 1].name == NULL)
            name_lost_group(store, id);
        group = &store->groups[id - 1];
        /* Empty, or gone: its next article is the lowest. */
        if (group->flag == 0 || group->count == 0) {
            group->count = 0;
            group->low = group->high + 1;
        }
        if (active_set(store->active, id, group->name, group->name_octets,
                       group->flag, group->alias, group->created,
                       group->creator, group->description, why)
            < 0)
            return -1;
        /* Readers that saw it higher were right: what is gone stays gone. */
        marks.low = largest(group->low, active_marks(store->active, id).low);
        marks.high = group->high;
        marks.count = group->count;
        if (marks.count > marks.high + 1 - marks.low)
            marks.count = marks.high + 1 - marks.low;
        active_set_marks(store->active, id, &marks);
    }
    return 0;
}

/* Groups whose lowest article was cancelled, and what removed ones left. */
static int
settle_groups(struct store *store, struct buffer *why)
{
    for (uint32_t id = 1; id <= store->group_count; id++) {
        const struct group *group = &store->groups[id - 1];

        if (group->flag == 0 && group->high > 0)
            commit_purge(store, id, group->high);
        else if (group->purge_to > 0)
            commit_purge(store, id, group->purge_to);
        if ((group->low_unknown || store->rebuilds) && group->flag != 0
            && commit_raise_low(store, id, group->low, why) < 0)
            return -1;
    }
    return commit_settle(store, why);
}

/* --- recovery --- */

static void
recovery_init(struct recovery *recovery, struct store *store)
{
    *recovery = (struct recovery){.store = store};
    recovery->history_applied = history_applied(store->history);
    recovery->overview_applied = overview_applied(store->overview);
    recovery->overview_settled = overview_settled(store->overview);
    recovery->articles = xcalloc(REPLAY_RECORDS, sizeof(*recovery->articles));
    recovery->entries = xcalloc(REPLAY_RECORDS, sizeof(*recovery->entries));
}

static void
recovery_free(struct recovery *recovery)
{
    if (recovery->progress != NULL)
        progress_end(&recovery->progress);
    free(recovery->history);
    free(recovery->articles);
    free(recovery->entries);
    buffer_free(&recovery->groups);
    buffer_free(&recovery->lines);
    buffer_free(&recovery->text);
}

/* Bring both indices up to the end of the log. */
static int
replay_log(struct store *store, struct recovery *recovery, struct buffer *why)
{
    uint32_t segment, end;
    uint64_t sequence;

    /* A writer of this master's is gone: what it is not known to have had on
       the disk may be in the page cache alone (a failed fdatasync). */
    active_durable(store->active, &segment, &end, &sequence);
    if (segment != 0)
        spool_set_durable(store->spool, segment, end);
    if (overview_groups(store->overview, take_group, store, why) < 0
        || spool_walk(store->spool, replay_after(recovery), replay, recovery,
                      why)
               < 0
        || finish_transaction(recovery, why) < 0)
        return -1;
    if (recovery->unknown > 0)
        warn("store: records of unknown types passed over: count=%llu",
             (unsigned long long)recovery->unknown);
    store->sequence = largest(spool_last_sequence(store->spool),
                              largest(history_applied(store->history),
                                      overview_applied(store->overview)));
    store->arrival = spool_last_arrival(store->spool);
    store->applied = store->sequence;
    return 0;
}

int
store_recover(struct store *store, const struct config *config,
              struct buffer *why)
{
    struct recovery recovery;
    int64_t begin_ms = clock_ms();
    int result;

    recovery_init(&recovery, store);
    result = replay_log(store, &recovery, why);
    recovery_free(&recovery);
    if (result < 0
        || store_key_read(&store->key, config->pathdb,
                          spool_last_segment(store->spool) == 0, why)
               < 0)
        return -1;
    active_set_key(store->active, &store->key);
    if (publish_groups(store, why) < 0)
        return -1;
    active_set_committed(store->active, store->sequence);
    active_note_removal(store->active);
    if (settle_groups(store, why) < 0)
        return -1;
    notice("store: recovered: records=%llu sequence=%llu groups=%u ms=%lld",
           (unsigned long long)recovery.replayed,
           (unsigned long long)store->sequence, (unsigned)store->group_count,
           (long long)(clock_ms() - begin_ms));
    return 0;
}
