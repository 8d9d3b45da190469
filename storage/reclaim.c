#include "storage/reclaim.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/commit.h"
#include "storage/cursor.h"

enum {
    /* So much of a segment may be alive for it to be compacted: copying that
       gives back three times as much. */
    SURVIVORS_PERCENT = 25,
    /* The writer's other threads come first. */
    RECLAIM_NICE = 10,
    /* Articles that the index thread moves before it looks for commits. */
    MOVES_PER_TURN = 256,
    /* Entries of the history that an upkeep lists while nobody else may look:
       some ms.  Each time it goes through all that it has in memory. */
    ENTRIES_LISTED = 1024,
    /* IDs in one record. */
    REMEMBERED_PER_RECORD = 1024,
    /* A reader may hold up a checkpoint for a while. */
    CHECKPOINT_MS = 60 * 1000,
    RECORD_SPARE_OCTETS = 256,
};

/* One look at a segment. */
struct look {
    struct store *store;
    struct reclaim *reclaim;
    struct spool_segment segment;
    struct spool_segment *all; /* owned */
    size_t all_count;
    uint64_t octets;    /* of its records */
    uint64_t survivors; /* octets of those that are to be copied */
    size_t survivor_count;
    struct token *from; /* owned: of each move, where it lies; segment 0: it
                           is not to be copied */
    size_t from_size;
    struct buffer remembered; /* struct remembered */
    struct buffer ranges;     /* struct expired_range */
    uint64_t *lows; /* owned, by group: below its low mark the log must say
                       that there is nothing, of sequences up to this; 0 */
    uint32_t lows_size;
    uint64_t moderated; /* what the moderators' queue has read; 0: nothing */
};

void
reclaim_init(struct store *store)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->reclaim.wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Forget what the last one had collected. */
static void
reclaim_clear(struct reclaim *reclaim)
{
    for (size_t i = 0; i < reclaim->record_count; i++)
        buffer_free(&reclaim->records[i].payload);
    reclaim->record_count = 0;
    reclaim->carried = 0;
    reclaim->move_count = 0;
    reclaim->moved = 0;
    reclaim->drains = false;
    reclaim->last_sequence = 0;
    reclaim->refused = false;
    reclaim->upkeep = false;
    reclaim->status = 0;
    buffer_clear(&reclaim->answer);
}

void
reclaim_free(struct store *store)
{
    struct reclaim *reclaim = &store->reclaim;

    reclaim_clear(reclaim);
    free(reclaim->moves);
    free(reclaim->records);
    buffer_free(&reclaim->answer);
    pthread_cond_destroy(&reclaim->wake);
}

/* --- whose turn it is --- */

static enum reclaim_stage
stage_of(struct store *store)
{
    enum reclaim_stage stage;

    pthread_mutex_lock(&store->lock);
    stage = store->reclaim.stage;
    pthread_mutex_unlock(&store->lock);
    return stage;
}

static void
stage_set(struct store *store, enum reclaim_stage stage)
{
    pthread_mutex_lock(&store->lock);
    store->reclaim.stage = stage;
    pthread_cond_signal(&store->reclaim.wake);
    pthread_cond_signal(&store->index_wake);
    pthread_mutex_unlock(&store->lock);
    if (stage == RECLAIM_CARRY || stage == RECLAIM_DONE)
        wake_caller(store);
}

/* The thread waits until it is at this stage.  -1 with why: the store ends. */
static int
stage_wait(struct store *store, enum reclaim_stage stage, struct buffer *why)
{
    bool ends;

    pthread_mutex_lock(&store->lock);
    while (store->reclaim.stage != stage && !store->stopping && !store->broken)
        pthread_cond_wait(&store->reclaim.wake, &store->lock);
    ends = store->stopping || store->broken;
    pthread_mutex_unlock(&store->lock);
    return ends ? why_set(why, "the store is closing") : 0;
}

/* Another thread does its part. */
static int
turn_give(struct store *store, enum reclaim_stage stage,
          enum reclaim_stage until, struct buffer *why)
{
    stage_set(store, stage);
    return stage_wait(store, until, why);
}

/* --- what is still needed of a record --- */

/*
 * May an article of one of these sequences still lie in another segment, that
 * was gone as a whole at this time?  In a segment of the log it does when its
 * sequence falls into it; in a compaction segment only when that was made
 * before.
 */
static bool
is_elsewhere(const struct look *look, uint64_t first, uint64_t last,
             int64_t gone)
{
    for (size_t i = 0; i < look->all_count; i++) {
        const struct spool_segment *other = &look->all[i];
        uint64_t end = other->last_sequence;

        if (other->number == look->segment.number)
            continue;
        if (other->storage_class == CLASS_LOG) {
            const struct spool_segment *next = other + 1;

            end = i + 1 < look->all_count && next->storage_class == CLASS_LOG
                      ? next->first_sequence
                      : UINT64_MAX;
        } else if (gone < other->created) {
            continue;
        }
        if (other->first_sequence <= last && first <= end)
            return true;
    }
    return false;
}

static void
remember(struct look *look, const struct message_hash *hash, uint64_t sequence,
         enum history_fate fate, int64_t until)
{
    struct remembered remembered = {
        .hash = *hash,
        .sequence = sequence,
        .until = until,
        .fate = fate,
    };

    buffer_append(&look->remembered, &remembered, sizeof(remembered));
}

/* An article, alive or not, at this place now; from: it is to be copied. */
static void
move(struct look *look, const struct message_hash *hash, uint64_t sequence,
     const struct token *token, const struct token *from)
{
    struct reclaim *reclaim = look->reclaim;

    if (reclaim->move_count == reclaim->move_size) {
        reclaim->move_size = reclaim->move_size * 2 + 256;
        reclaim->moves = xreallocarray(reclaim->moves, reclaim->move_size,
                                       sizeof(*reclaim->moves));
    }
    if (reclaim->move_count >= look->from_size) {
        look->from_size = reclaim->move_size;
        look->from =
            xreallocarray(look->from, look->from_size, sizeof(*look->from));
    }
    look->from[reclaim->move_count] = from != NULL ? *from : (struct token){0};
    reclaim->moves[reclaim->move_count++] = (struct reclaim_move){
        .hash = *hash, .sequence = sequence, .token = *token};
}

static bool
same_place(const struct token *a, const struct token *b)
{
    return a->segment == b->segment && a->offset == b->offset;
}

static int
look_article(struct look *look, const struct record *record,
             struct buffer *why)
{
    const struct message_hash *hash = &record->head.hash;
    struct history_entry entry;
    int found = history_lookup(look->store->history, hash, &entry, why);

    if (found < 0)
        return -1;
    if (found == 0 || entry.fate == HISTORY_SUBMITTED)
        return 0;
    if (entry.fate != HISTORY_STORED) {
        if (entry.until > look->reclaim->now)
            remember(look, hash, record->head.sequence, entry.fate,
                     entry.until);
        return 0;
    }
    if (entry.sequence != record->head.sequence)
        return 0;
    /* A copy that is there already; the overview may not know of it. */
    if (!same_place(&entry.token, &record->token)) {
        move(look, hash, entry.sequence, &entry.token, NULL);
        return 0;
    }
    look->survivors += record->head.octets;
    look->survivor_count++;
    move(look, hash, entry.sequence, &entry.token, &record->token);
    return 0;
}

/* What the segment says of the ID of an article that was removed. */
static int
look_removed(struct look *look, const struct remembered *removed,
             int64_t arrival, struct buffer *why)
{
    bool elsewhere =
        removed->sequence != 0
        && is_elsewhere(look, removed->sequence, removed->sequence, arrival);
    struct remembered kept = *removed;
    struct history_entry entry;
    int found =
        history_lookup(look->store->history, &removed->hash, &entry, why);

    if (found < 0)
        return -1;
    if (found > 0 && entry.fate != HISTORY_STORED
        && entry.fate != HISTORY_SUBMITTED) {
        kept.fate = entry.fate;
        kept.until = entry.until;
    }
    /* Another article has the ID now, or nothing is known of it. */
    if ((found == 0 || entry.fate == HISTORY_STORED
         || entry.fate == HISTORY_SUBMITTED
         || kept.until <= look->reclaim->now)
        && !elsewhere)
        return 0;
    buffer_append(&look->remembered, &kept, sizeof(kept));
    return 0;
}

/*
 * What may be copied while it is in another group is copied with all of its
 * groups.  All that went at the beginning of a group is one range.
 */
static void
look_range(struct look *look, const struct expired_range *range)
{
    const struct active *active = look->store->active;
    uint64_t *low;

    if (range->group == 0 || range->group >= look->lows_size
        || !is_elsewhere(look, range->first_sequence, range->last_sequence,
                         INT64_MAX))
        return;
    if (range->last >= active_marks(active, range->group).low) {
        buffer_append(&look->ranges, range, sizeof(*range));
        return;
    }
    low = &look->lows[range->group];
    if (range->last_sequence > *low)
        *low = range->last_sequence;
}

static void
lows_collect(struct look *look)
{
    for (uint32_t id = 1; id < look->lows_size; id++) {
        struct expired_range range = {
            .group = id,
            .first = 1,
            .last = active_marks(look->store->active, id).low - 1,
            .first_sequence = 1,
            .last_sequence = look->lows[id],
        };

        if (look->lows[id] != 0)
            buffer_append(&look->ranges, &range, sizeof(range));
    }
}

static int
look_cancel(struct look *look, const struct record *record, struct buffer *why)
{
    struct removal removal;
    struct remembered removed = {.hash = record->head.hash,
                                 .fate = HISTORY_CANCELLED};
    size_t count = record->head.meta_octets / sizeof(struct record_group);

    if (record->head.payload_octets < sizeof(removal))
        return why_set(why, "cancel record %" PRIu64 " is cut short",
                       record->head.sequence);
    memcpy(&removal, record->payload, sizeof(removal));
    removed.sequence = removal.sequence;
    removed.until = removal.until;
    for (size_t i = 0; i < count && removal.sequence != 0; i++) {
        struct record_group place = record_group(record, i);
        struct expired_range range = {
            .group = place.group,
            .first = place.number,
            .last = place.number,
            .first_sequence = removal.sequence,
            .last_sequence = removal.sequence,
        };

        look_range(look, &range);
    }
    return look_removed(look, &removed, record->head.arrival, why);
}

static int
look_expire(struct look *look, const struct record *record, struct buffer *why)
{
    struct expiry expiry;

    if (expiry_parse(&expiry, record->payload, record->head.payload_octets,
                     why)
        < 0)
        return -1;
    for (size_t i = 0; i < expiry.head.range_count; i++) {
        struct expired_range range = expiry_range(&expiry, i);

        look_range(look, &range);
    }
    for (size_t i = 0; i < expiry.head.article_count; i++) {
        struct history_entry entry = expiry_entry(&expiry, i);
        struct remembered removed = {
            .hash = entry.hash,
            .sequence = entry.sequence,
            .until = entry.until,
            .fate = entry.fate,
        };

        if (look_removed(look, &removed, record->head.arrival, why) < 0)
            return -1;
    }
    return 0;
}

static int
look_remember(struct look *look, const struct record *record,
              struct buffer *why)
{
    int64_t count =
        remembered_count(record->payload, record->head.payload_octets, why);

    for (int64_t i = 0; i < count; i++) {
        struct remembered removed = remembered_at(record->payload, (size_t)i);

        if (look_removed(look, &removed, record->head.arrival, why) < 0)
            return -1;
    }
    return count < 0 ? -1 : 0;
}

/* A post stays until the moderators' queue has it. */
static int
look_submission(struct look *look, const struct record *record,
                struct buffer *why)
{
    const struct message_hash *hash = &record->head.hash;
    const struct token nowhere = {0};
    struct history_entry entry;
    int found;

    if (record->head.sequence > look->moderated)
        return why_set(why, "a post in it waits for a moderator");
    found = history_lookup(look->store->history, hash, &entry, why);
    if (found > 0 && entry.fate == HISTORY_SUBMITTED
        && entry.sequence == record->head.sequence)
        move(look, hash, record->head.sequence, &nowhere, NULL);
    return found < 0 ? -1 : 0;
}

/* It says where another segment ends: that one is cut there. */
static int
look_trunc(struct look *look, const struct record *record, struct buffer *why)
{
    struct trunc trunc;

    if (record->head.payload_octets < sizeof(trunc))
        return why_set(why, "a TRUNC record is cut short");
    memcpy(&trunc, record->payload, sizeof(trunc));
    for (size_t i = 0; i < look->all_count; i++)
        if (look->all[i].number == trunc.segment
            && look->all[i].number < look->segment.number)
            return spool_cut(look->store->spool, trunc.segment, trunc.end,
                             why);
    return 0;
}

/* Every segment of the log begins with all groups: a later one has them. */
static int
look_groups(struct look *look, const struct record *record, struct buffer *why)
{
    (void)look;
    (void)record;
    (void)why;
    return 0;
}

static const struct {
    enum record_type type;
    int (*look)(struct look *look, const struct record *record,
                struct buffer *why);
} looks[] = {
    {RECORD_ARTICLE, look_article},       {RECORD_CANCEL, look_cancel},
    {RECORD_EXPIRE, look_expire},         {RECORD_REMEMBER, look_remember},
    {RECORD_SUBMISSION, look_submission}, {RECORD_TRUNC, look_trunc},
    {RECORD_GROUP, look_groups},          {RECORD_SNAPSHOT, look_groups},
};

static int
look_record(void *context, const struct record *record, struct buffer *why)
{
    struct look *look = context;

    if (record->head.sequence > look->reclaim->last_sequence)
        look->reclaim->last_sequence = record->head.sequence;
    look->octets += record->head.octets;
    for (size_t i = 0; i < sizeof(looks) / sizeof(*looks); i++)
        if (looks[i].type == record->head.type)
            return looks[i].look(look, record, why);
    return why_set(why, "it has a record of type %u",
                   (unsigned)record->head.type);
}

/* --- what the log gets --- */

static struct buffer *
record_new(struct look *look, enum record_type type)
{
    struct reclaim *reclaim = look->reclaim;
    struct reclaim_record *record;

    if (reclaim->record_count == reclaim->record_size) {
        reclaim->record_size = reclaim->record_size * 2 + 16;
        reclaim->records = xreallocarray(
            reclaim->records, reclaim->record_size, sizeof(*reclaim->records));
    }
    record = &reclaim->records[reclaim->record_count++];
    *record = (struct reclaim_record){.type = type};
    return &record->payload;
}

/* By ID and article; of several that say the same the longest comes first. */
static int
compare_remembered(const void *left, const void *right)
{
    const struct remembered *a = left;
    const struct remembered *b = right;
    int order = memcmp(&a->hash, &b->hash, sizeof(a->hash));

    if (order != 0)
        return order;
    if (a->sequence != b->sequence)
        return a->sequence < b->sequence ? -1 : 1;
    return a->until > b->until ? -1 : a->until < b->until;
}

/* A segment may say the same more than once.  How many there are then. */
static size_t
remembered_sort(struct look *look)
{
    struct remembered *ids =
        (struct remembered *)(void *)look->remembered.data;
    size_t count = look->remembered.used / sizeof(*ids);
    size_t kept = 0;

    if (count > 0)
        qsort(ids, count, sizeof(*ids), compare_remembered);
    for (size_t i = 0; i < count; i++)
        if (kept == 0
            || memcmp(&ids[kept - 1].hash, &ids[i].hash, sizeof(ids[i].hash))
                   != 0
            || ids[kept - 1].sequence != ids[i].sequence)
            ids[kept++] = ids[i];
    look->remembered.used = kept * sizeof(*ids);
    return kept;
}

/* Ranges first: a replay takes an article out of its groups, and then away. */
static void
records_collect(struct look *look)
{
    size_t count = remembered_sort(look);
    struct expired_range *range;
    size_t ranges;

    lows_collect(look);
    range = (struct expired_range *)(void *)look->ranges.data;
    ranges = look->ranges.used / sizeof(*range);
    for (size_t i = 0; i < ranges; i += EXPIRY_RANGES_MAX)
        expiry_build(record_new(look, RECORD_EXPIRE), 0, range + i,
                     ranges - i < EXPIRY_RANGES_MAX ? ranges - i
                                                    : EXPIRY_RANGES_MAX,
                     NULL, 0);
    for (size_t i = 0; i < count; i += REMEMBERED_PER_RECORD) {
        size_t some = count - i < REMEMBERED_PER_RECORD
                          ? count - i
                          : REMEMBERED_PER_RECORD;

        buffer_append(record_new(look, RECORD_REMEMBER),
                      look->remembered.data + i * sizeof(struct remembered),
                      some * sizeof(struct remembered));
    }
}

/* --- the steps --- */

/* 1 it may go, 0 too much of it is alive, -1 with why: it stays. */
static int
segment_look(struct look *look, struct buffer *why)
{
    struct reclaim *reclaim = look->reclaim;
    uint64_t used;

    if (spool_walk_left(look->store->spool, &look->segment, look_record, look,
                        why)
        < 0)
        return -1;
    if (reclaim->last_sequence > active_committed(look->store->active))
        return why_set(why, "it has just been written");
    used = look->segment.octets;
    return look->survivors * 100 <= used * SURVIVORS_PERCENT;
}

static int
survivors_copy(struct look *look, struct buffer *why)
{
    struct reclaim *reclaim = look->reclaim;
    struct compaction *compaction;
    int status = 0;

    if (look->survivor_count == 0)
        return 0;
    compaction = compaction_begin(look->store->spool, look->survivors,
                                  reclaim->now, why);
    if (compaction == NULL)
        return -1;
    for (size_t i = 0; i < reclaim->move_count && status == 0; i++)
        if (look->from[i].segment != 0)
            status = compaction_add(compaction, &look->from[i],
                                    reclaim->moves[i].sequence,
                                    &reclaim->moves[i].token, why);
    if (status == 0)
        status = compaction_finish(compaction, why);
    compaction_free(&compaction);
    return status;
}

/* Both indices make what they have durable. */
static int
checkpoint_wait(struct store *store, struct buffer *why)
{
    struct reclaim *reclaim = &store->reclaim;
    int64_t until = clock_ms() + CHECKPOINT_MS;
    uint64_t wanted;
    bool done;

    pthread_mutex_lock(&store->lock);
    wanted = ++reclaim->checkpoint;
    pthread_cond_broadcast(&store->checkpoint_wake);
    for (;;) {
        done = reclaim->overview_kept >= wanted
               && reclaim->history_kept >= wanted;
        if (done || store->stopping || store->broken || clock_ms() >= until)
            break;
        wait_until(&reclaim->wake, &store->lock, until);
    }
    pthread_mutex_unlock(&store->lock);
    return done ? 0 : why_set(why, "the indices made no checkpoint in time");
}

static int
segment_take(struct look *look, struct buffer *why)
{
    struct store *store = look->store;

    records_collect(look);
    if (survivors_copy(look, why) < 0
        || turn_give(store, RECLAIM_MOVING, RECLAIM_MOVED, why) < 0)
        return -1;
    if (look->reclaim->record_count > 0
        && turn_give(store, RECLAIM_CARRY, RECLAIM_CARRIED, why) < 0)
        return -1;
    if (look->reclaim->refused)
        return why_set(why, "there is no room for what must be kept");
    if (checkpoint_wait(store, why) < 0)
        return -1;
    return spool_remove(store->spool, look->segment.number, why);
}

/* Which segment it is; -1 with why when it cannot go. */
static int
segment_find(struct look *look, struct buffer *why)
{
    struct store *store = look->store;
    uint32_t open, end;
    uint64_t sequence;

    if (spool_list(store->pathspool, &look->all, &look->all_count, why) < 0)
        return -1;
    active_durable(store->active, &open, &end, &sequence);
    for (size_t i = 0; i < look->all_count; i++) {
        if (look->all[i].number != look->reclaim->segment)
            continue;
        look->segment = look->all[i];
        if (look->segment.storage_class == CLASS_LOG
            && look->segment.number >= open)
            return why_set(why, "it is being written");
        return 0;
    }
    return why_set(why, "there is no such segment");
}

/* What the moderators' queue has read. */
static uint64_t
moderated_read(const struct store *store)
{
    char *path = xasprintf("%s/moderation/cursor", store->pathdb);
    struct log_position position = {.sequence = 0};
    struct cursor *cursor = NULL;
    uint64_t sequence = 0;

    if (access(path, R_OK) == 0)
        cursor = cursor_open(path, NULL);
    if (cursor != NULL && cursor_read(cursor, &position) > 0)
        sequence = position.sequence;
    cursor_close(&cursor);
    free(path);
    return sequence;
}

/* --- upkeep --- */

/* Of these entries, those whose time is over go, some in a turn. */
static int
overdue_drop(struct look *look, const struct history_entry *entries,
             size_t count, size_t *forgotten, struct buffer *why)
{
    const struct token nowhere = {0};
    struct reclaim *reclaim = look->reclaim;

    for (size_t i = 0; i < count;) {
        reclaim_clear(reclaim);
        for (; i < count && reclaim->move_count < MOVES_PER_TURN; i++)
            if (entries[i].fate != HISTORY_STORED
                && entries[i].fate != HISTORY_SUBMITTED
                && entries[i].until <= reclaim->now)
                move(look, &entries[i].hash, entries[i].sequence, &nowhere,
                     NULL);
        if (reclaim->move_count > 0
            && turn_give(look->store, RECLAIM_MOVING, RECLAIM_MOVED, why) < 0)
            return -1;
        *forgotten += reclaim->move_count;
    }
    return 0;
}

/* The whole history, some entries at a time. */
static int
overdue_forget(struct look *look, size_t *forgotten, struct buffer *why)
{
    struct history *history = look->store->history;
    struct history_entry *entries = xcalloc(ENTRIES_LISTED, sizeof(*entries));
    struct message_hash from = {{0}};
    int count, status = 0;

    while (
        status == 0
        && (count = history_list(history, &from, entries, ENTRIES_LISTED, why))
               != 0) {
        status = count < 0 ? -1
                           : overdue_drop(look, entries, (size_t)count,
                                          forgotten, why);
        if (status < 0)
            break;
        from = entries[count - 1].hash;
        if (!message_hash_next(&from))
            break;
    }
    free(entries);
    return status;
}

static void
reclaim_upkeep(struct store *store)
{
    struct reclaim *reclaim = &store->reclaim;
    struct look look = {.store = store, .reclaim = reclaim};
    struct buffer why = BUFFER_EMPTY;
    size_t forgotten = 0;
    int status = overdue_forget(&look, &forgotten, &why);

    reclaim_clear(reclaim);
    reclaim->upkeep = true;
    if (status == 0)
        status = turn_give(store, RECLAIM_MOVING, RECLAIM_MOVED, &why);
    if (status == 0)
        status = checkpoint_wait(store, &why);
    reclaim->status = status;
    if (status < 0)
        buffer_append_format(&reclaim->answer, "upkeep: %s",
                             buffer_text(&why));
    else
        buffer_append_format(&reclaim->answer, "forgotten=%zu", forgotten);
    free(look.from);
    buffer_free(&why);
}

/* --- one segment --- */

static void
reclaim_segment(struct store *store)
{
    struct reclaim *reclaim = &store->reclaim;
    struct look look = {.store = store, .reclaim = reclaim};
    struct buffer why = BUFFER_EMPTY;
    int status;

    reclaim_clear(reclaim);
    look.moderated = moderated_read(store);
    look.lows_size = active_count(store->active) + 1;
    look.lows = xcalloc(look.lows_size, sizeof(*look.lows));
    status = segment_find(&look, &why);
    if (status == 0)
        status = segment_look(&look, &why);
    if (status == 0)
        buffer_append_format(&reclaim->answer, "kept: alive=%" PRIu64,
                             look.survivors);
    else if (status > 0)
        status = segment_take(&look, &why);
    if (status < 0) {
        reclaim->status = -1;
        buffer_append_format(&reclaim->answer,
                             "segment %08" PRIx32 " stays: %s",
                             reclaim->segment, buffer_text(&why));
    } else if (reclaim->answer.used == 0) {
        buffer_append_format(&reclaim->answer,
                             "%s: octets=%" PRIu64 " alive=%" PRIu64
                             " remembered=%zu",
                             look.survivor_count > 0 ? "compacted" : "removed",
                             look.segment.octets, look.survivors,
                             look.remembered.used / sizeof(struct remembered));
        notice("store: segment %08" PRIx32 " %s", reclaim->segment,
               buffer_text(&reclaim->answer));
    }
    free(look.all);
    free(look.from);
    free(look.lows);
    buffer_free(&look.remembered);
    buffer_free(&look.ranges);
    buffer_free(&why);
}

void *
reclaim_run(void *context)
{
    struct store *store = context;

    /* Of this thread alone; that it cannot be had is no reason to stop. */
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), RECLAIM_NICE) < 0)
        syswarn("store: nice");
    while (stage_wait(store, RECLAIM_WANTED, NULL) == 0) {
        if (store->reclaim.segment == 0)
            reclaim_upkeep(store);
        else
            reclaim_segment(store);
        stage_set(store, RECLAIM_DONE);
    }
    return NULL;
}

/* --- the index thread's part --- */

bool
reclaim_is_moving(struct store *store)
{
    return stage_of(store) == RECLAIM_MOVING;
}

/* Still where it was found, and to be found elsewhere now? */
static int
move_history(struct store *store, const struct reclaim_move *move,
             struct buffer *why)
{
    struct history_entry entry;
    int found = history_lookup(store->history, &move->hash, &entry, why);

    if (found <= 0 || entry.sequence != move->sequence)
        return found < 0 ? -1 : 0;
    if (move->token.segment == 0)
        return entry.fate == HISTORY_SUBMITTED
                       || (entry.fate != HISTORY_STORED
                           && entry.until <= store->reclaim.now)
                   ? history_drop(store->history, &move->hash, 1, why)
                   : 0;
    if (entry.fate != HISTORY_STORED || same_place(&entry.token, &move->token))
        return 0;
    entry.token = move->token;
    active_known_drop(store->active, &move->hash);
    return history_put(store->history, &entry, 1, store->applied, why);
}

static int
move_some(struct store *store, struct buffer *why)
{
    struct reclaim *reclaim = &store->reclaim;
    size_t end = reclaim->moved + MOVES_PER_TURN;

    if (end > reclaim->move_count)
        end = reclaim->move_count;
    if (transaction_begin(store, why) < 0)
        return -1;
    for (size_t i = reclaim->moved; i < end; i++) {
        const struct reclaim_move *move = &reclaim->moves[i];

        if (move_history(store, move, why) < 0
            || (move->token.segment != 0
                && overview_move(store->overview, move->sequence, &move->token,
                                 why)
                       < 0))
            return -1;
    }
    if (transaction_end(store, why) < 0)
        return -1;
    reclaim->moved = end;
    return 0;
}

/* The log does not say where an article was moved to, so Berkeley DB must;
   some of it between two commits.  1: there is more to do. */
static int
moves_drain(struct store *store, struct buffer *why)
{
    struct reclaim *reclaim = &store->reclaim;

    if (!reclaim->drains)
        reclaim->mark = history_mark(store->history);
    reclaim->drains = true;
    if (history_is_drained(store->history, reclaim->mark))
        return 0;
    return history_drain(store->history, DRAIN_ENTRIES, why) < 0 ? -1 : 1;
}

/* What is forgotten and comes back with a death, the next upkeep forgets. */
static int
moves_keep(struct store *store, struct buffer *why)
{
    const struct reclaim *reclaim = &store->reclaim;
    int more = 0;

    if (reclaim->upkeep)
        more = overview_upkeep(store->overview, why);
    else if (reclaim->segment != 0)
        more = moves_drain(store, why);
    if (more == 0 && (reclaim->upkeep || reclaim->segment != 0))
        more = overview_flush(store->overview, why);
    return more;
}

int
reclaim_move(struct store *store, struct folding *folding, struct buffer *why)
{
    struct reclaim *reclaim = &store->reclaim;
    uint64_t recent;
    int more;

    if (overview_recent_begin(store->overview, &recent, why) < 0)
        return -1;
    /* What a reader holds of recent is not told that an article has moved. */
    if (reclaim->move_count > 0 && recent <= reclaim->last_sequence)
        return transaction_begin(store, why) < 0
                       || fold_idle(store, folding, why) < 0
                   ? -1
                   : 0;
    if (reclaim->moved < reclaim->move_count)
        return move_some(store, why);
    if (transaction_end(store, why) < 0)
        return -1;
    if ((more = moves_keep(store, why)) != 0)
        return more < 0 ? -1 : 0;
    if (reclaim->move_count > 0)
        active_note_removal(store->active);
    stage_set(store, RECLAIM_MOVED);
    return 0;
}

/* --- the checkpoint threads' part --- */

uint64_t
reclaim_checkpoint(struct store *store)
{
    uint64_t checkpoint;

    pthread_mutex_lock(&store->lock);
    checkpoint = store->reclaim.checkpoint;
    pthread_mutex_unlock(&store->lock);
    return checkpoint;
}

void
reclaim_note_checkpoint(struct store *store, uint64_t *kept,
                        uint64_t checkpoint)
{
    pthread_mutex_lock(&store->lock);
    *kept = checkpoint;
    pthread_cond_signal(&store->reclaim.wake);
    pthread_mutex_unlock(&store->lock);
}

/* --- the caller's thread's part --- */

static void
record_carried(void *context, uint64_t cookie, int status, const char *text)
{
    struct store *store = context;
    struct reclaim *reclaim = &store->reclaim;

    (void)cookie;
    (void)text; /* for a person; the answer says the same */
    reclaim->refused = reclaim->refused || status < 0;
    if (++reclaim->carried == reclaim->record_count)
        stage_set(store, RECLAIM_CARRIED);
}

static void
records_carry(struct store *store)
{
    struct reclaim *reclaim = &store->reclaim;
    size_t count = reclaim->record_count;

    for (size_t i = 0; i < count; i++) {
        const struct reclaim_record *record = &reclaim->records[i];
        struct change change = {
            .kind = CHANGE_CARRIED,
            .changed = record_carried,
            .context = store,
        };

        store_make_room(store, record->payload.used + RECORD_SPARE_OCTETS);
        store_append(store, record->type, NULL, NULL, 0, record->payload.data,
                     record->payload.used);
        store_change(store, &change);
    }
}

void
reclaim_reap(struct store *store)
{
    struct reclaim *reclaim = &store->reclaim;
    enum reclaim_stage stage = stage_of(store);

    if (stage == RECLAIM_CARRY && reclaim->carried == 0
        && !reclaim->carrying) {
        reclaim->carrying = true;
        records_carry(store);
    }
    if (stage != RECLAIM_DONE)
        return;
    stage_set(store, RECLAIM_IDLE);
    reclaim->changed(reclaim->context, reclaim->cookie, reclaim->status,
                     buffer_text(&reclaim->answer));
}

/* Give the thread something to do; segment 0 is an upkeep. */
static void
reclaim_begin(struct store *store, uint32_t segment, uint64_t cookie,
              store_changed_func *changed, void *context)
{
    struct reclaim *reclaim = &store->reclaim;

    if (stage_of(store) != RECLAIM_IDLE) {
        changed(context, cookie, -1, "another tool is at work here");
        return;
    }
    reclaim->segment = segment;
    reclaim->now = store_now(store);
    reclaim->cookie = cookie;
    reclaim->changed = changed;
    reclaim->context = context;
    reclaim->carrying = false;
    stage_set(store, RECLAIM_WANTED);
}

void
store_upkeep(struct store *store, int words, const char *const *word,
             uint64_t cookie, store_changed_func *changed, void *context)
{
    (void)words;
    (void)word;
    reclaim_begin(store, 0, cookie, changed, context);
}

void
store_reclaim(struct store *store, int words, const char *const *word,
              uint64_t cookie, store_changed_func *changed, void *context)
{
    unsigned long number;
    char *end;

    (void)words;
    errno = 0;
    number = strtoul(word[1], &end, 16);
    if (errno != 0 || *end != '\0' || number == 0 || number > UINT32_MAX) {
        changed(context, cookie, -1, "that is no number of a segment");
        return;
    }
    reclaim_begin(store, (uint32_t)number, cookie, changed, context);
}
