/* What is still needed of a segment. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "storage/active.h"
#include "storage/reclaim_private.h"

enum {
    /* So much of a segment may be alive for it to be compacted: copying that
       gives back three times as much. */
    SURVIVORS_PERCENT = 25,
    /* IDs in one record. */
    REMEMBERED_PER_RECORD = 1024,
};

/* --- of a record --- */

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

void
reclaim_look_move(struct look *look, const struct message_hash *hash,
                  uint64_t sequence, const struct token *token,
                  const struct token *from)
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
    if (!token_same_place(&entry.token, &record->token)) {
        reclaim_look_move(look, hash, entry.sequence, &entry.token, NULL);
        return 0;
    }
    look->survivors += record->head.octets;
    look->survivor_count++;
    reclaim_look_move(look, hash, entry.sequence, &entry.token,
                      &record->token);
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
        reclaim_look_move(look, hash, record->head.sequence, &nowhere, NULL);
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

/* --- of all of them --- */

int
reclaim_look_segment(struct look *look, struct buffer *why)
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
void
reclaim_look_records(struct look *look)
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
