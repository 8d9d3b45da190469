/*
 * The walk through one segment.  From good batch to good batch it is short;
 * most of this file is about what a bad one means, and what is left of it.
 */
#include "storage/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/batch.h"

enum {
    WINDOW_OCTETS = 1024 * 1024,
    SCAN_OCTETS = 64 * 1024,
    BLOCK_OCTETS = 4096, /* what a disk fails to read at a time */
};

/* --- what is wrong --- */

static void
fault_tell(const struct segment_walk *walk, enum spool_fault_kind kind,
           uint64_t from, uint64_t to, const char *text)
{
    const struct spool_fault fault = {.kind = kind,
                                      .segment = walk->segment,
                                      .from = from,
                                      .to = to,
                                      .text = text};

    walk->fault(walk->fault_context, &fault);
}

/* --- reading --- */

static void
note_unreadable(struct segment_walk *walk, uint64_t offset)
{
    if (!walk->unreadable && walk->fault != NULL)
        fault_tell(walk, SPOOL_FAULT_UNREADABLE, offset, offset,
                   strerror(errno));
    else if (!walk->unreadable)
        syswarn("spool: segment %08" PRIx32 " cannot be read at %" PRIu64,
                walk->segment, offset);
    walk->unreadable = true;
}

/*
 * The octets from offset on, at least as many as asked for; valid until the
 * next call.  NULL when they are not there or cannot be read.
 */
static const char *
window_get(struct segment_walk *walk, uint64_t offset, size_t octets)
{
    size_t wanted = octets > WINDOW_OCTETS ? octets : WINDOW_OCTETS;
    ssize_t got;

    if (offset + octets > walk->limit)
        return NULL;
    if (offset >= walk->window_at
        && offset + octets <= walk->window_at + walk->window_used)
        return walk->window + (offset - walk->window_at);
    if (wanted > walk->limit - offset)
        wanted = (size_t)(walk->limit - offset);
    if (walk->window_size < wanted) {
        free(walk->window);
        walk->window = xmalloc(wanted);
        walk->window_size = wanted;
    }
    walk->window_at = offset;
    walk->window_used = 0;
    while (walk->window_used < octets) {
        got = pread(walk->fd, walk->window + walk->window_used,
                    wanted - walk->window_used,
                    (off_t)(offset + walk->window_used));
        if (got < 0)
            note_unreadable(walk, offset + walk->window_used);
        if (got <= 0)
            return NULL;
        walk->window_used += (size_t)got;
    }
    return walk->window;
}

/* Read a batch head without moving the window; is it a good one? */
static bool
head_read(struct segment_walk *walk, uint64_t offset, struct batch_head *head)
{
    if (offset + sizeof(*head) > walk->limit)
        return false;
    if (offset >= walk->window_at
        && offset + sizeof(*head) <= walk->window_at + walk->window_used) {
        memcpy(head, walk->window + (offset - walk->window_at), sizeof(*head));
    } else {
        ssize_t got = pread(walk->fd, head, sizeof(*head), (off_t)offset);

        if (got < 0)
            note_unreadable(walk, offset);
        if (got != (ssize_t)sizeof(*head))
            return false;
    }
    return batch_head_is_good(head, walk->segment, walk->epoch, offset);
}

/*
 * Look from `from` on, at multiples of 8, for the first good batch head which
 * was written after what lies before `synced` was synced.  Returns its offset,
 * or 0.
 *
 * An article cannot forge one: a head has NUL octets in it, articles have not.
 */
static uint64_t
head_find(struct segment_walk *walk, uint64_t from, uint64_t synced,
          struct batch_head *head_r)
{
    const uint32_t magic = BATCH_MAGIC;

    for (;;) {
        const char *octets;
        size_t length, at;

        from = segment_data_begin(walk->fd, from, walk->limit);
        if (from + sizeof(*head_r) > walk->limit)
            return 0;
        length = SCAN_OCTETS;
        if (length > walk->limit - from)
            length = (size_t)(walk->limit - from);
        octets = window_get(walk, from, length);
        if (octets == NULL) {
            from = (from / BLOCK_OCTETS + 1) * BLOCK_OCTETS;
            continue;
        }
        for (at = 0; at + sizeof(*head_r) <= length; at += 8) {
            if (memcmp(octets + at, &magic, sizeof(magic)) != 0)
                continue;
            memcpy(head_r, octets + at, sizeof(*head_r));
            if (batch_head_is_good(head_r, walk->segment, walk->epoch,
                                   from + at)
                && (synced == 0 || head_r->synced > synced))
                return from + at;
        }
        from += at;
    }
}

/* --- giving records --- */

static int
record_give(struct segment_walk *walk, struct record *record, uint64_t offset,
            struct buffer *why)
{
    record->token.segment = walk->segment;
    record->token.offset = (uint32_t)offset;
    if (record->head.sequence > walk->last_sequence)
        walk->last_sequence = record->head.sequence;
    if (record->head.arrival > walk->last_arrival)
        walk->last_arrival = record->head.arrival;
    if (record->head.sequence <= walk->after)
        return 0;
    return walk->func(walk->context, record, why);
}

static int
batch_give(struct segment_walk *walk, const struct batch_head *head,
           const char *octets, uint64_t offset, struct buffer *why)
{
    size_t at = sizeof(*head);
    struct record record;

    for (uint32_t i = 0; i < head->count; i++) {
        /* Its sums have been checked with the batch's. */
        int64_t length =
            record_parse(&record, octets + at, head->octets - at, false, why);

        if (length < 0 || record_give(walk, &record, offset + at, why) < 0)
            return -1;
        at += (size_t)length;
    }
    return 0;
}

/* --- good batches --- */

/* Does a batch with a good head stand where the log would have it? */
static bool
head_fits(const struct segment_walk *walk, const struct batch_head *head,
          uint64_t offset)
{
    if (offset + head->octets > walk->limit)
        return false;
    if (walk->chained && head->previous != walk->previous)
        return false;
    /* The first batch of a segment may repeat the last sequence. */
    if (offset == SEGMENT_HEAD_OCTETS)
        return head->first_sequence >= walk->last_sequence;
    return head->first_sequence > walk->last_sequence;
}

/*
 * Has the caller all records of a batch already?  What a batch ends with only
 * the next one's head tells; the last batch is therefore always read, and the
 * last sequence and arrival come from it.
 */
static bool
batch_is_known(struct segment_walk *walk, const struct batch_head *head,
               uint64_t offset)
{
    struct batch_head next;

    if (head->first_sequence > walk->after
        || !head_read(walk, offset + head->octets, &next)
        || next.first_sequence == 0 || next.first_sequence - 1 > walk->after)
        return false;
    if (next.first_sequence - 1 > walk->last_sequence)
        walk->last_sequence = next.first_sequence - 1;
    return true;
}

/* Take the batch at offset.  1 and its end in *next_r, 0 when there is no good
   batch here, -1 when func said so. */
static int
batch_take(struct segment_walk *walk, uint64_t offset, uint64_t *next_r,
           struct buffer *why)
{
    struct batch_head head;
    const char *octets;

    if (!head_read(walk, offset, &head) || !head_fits(walk, &head, offset))
        return 0;
    if (!batch_is_known(walk, &head, offset)) {
        octets = window_get(walk, offset, head.octets);
        if (octets == NULL || !batch_is_good(&head, octets))
            return 0;
        walk->epoch = head.epoch;
        if (batch_give(walk, &head, octets, offset, why) < 0)
            return -1;
    }
    walk->epoch = head.epoch;
    walk->previous = (uint32_t)offset;
    walk->chained = true;
    *next_r = offset + head.octets;
    return 1;
}

/* --- bad ones --- */

/*
 * Was what lies at offset on the disk once, and perhaps acknowledged?  It was
 * when the segment is known to go on behind it, or when a batch lies there
 * that was written after a sync of this one.  What could not be read is taken
 * for lost, not for torn.
 */
static bool
was_synced(struct segment_walk *walk, uint64_t offset)
{
    struct batch_head head;

    if (walk->end != 0 || offset < walk->certain || walk->unreadable)
        return true;
    if (head_find(walk, offset + 8, offset, &head) == 0)
        return false;
    walk->certain = head.synced;
    return true;
}

static void
lost_add(struct buffer *lost, uint64_t first, uint64_t last)
{
    if (first > last)
        return;
    buffer_append_format(lost, "%s%" PRIu64, lost->used > 0 ? ", " : "",
                         first);
    if (last > first)
        buffer_append_format(lost, "-%" PRIu64, last);
}

/*
 * Give what records are good by themselves between from and to.  They lie on
 * multiples of 8; their sequence must be one that the log lacks here.
 */
static int
records_save(struct segment_walk *walk, uint64_t from, uint64_t to,
             uint64_t ceiling, unsigned *saved, struct buffer *lost,
             struct buffer *why)
{
    struct record record;
    const char *octets;
    int64_t length;

    while ((from = segment_data_begin(walk->fd, from, to)) < to) {
        octets = window_get(walk, from, sizeof(record.head));
        if (octets == NULL) {
            from = (from / BLOCK_OCTETS + 1) * BLOCK_OCTETS;
            continue;
        }
        memcpy(&record.head, octets, sizeof(record.head));
        length = -1;
        if (record.head.magic == RECORD_MAGIC
            && record.head.octets <= to - from
            && record.head.sequence > walk->last_sequence
            && record.head.sequence < ceiling
            && (octets = window_get(walk, from, record.head.octets)) != NULL)
            length =
                record_parse(&record, octets, record.head.octets, true, NULL);
        if (length < 0) {
            from += 8;
            continue;
        }
        lost_add(lost, walk->last_sequence + 1, record.head.sequence - 1);
        if (record_give(walk, &record, from, why) < 0)
            return -1;
        ++*saved;
        from += (uint64_t)length;
    }
    return 0;
}

static void
damage_tell(const struct segment_walk *walk, uint64_t from, uint64_t to,
            unsigned saved, const struct buffer *lost, bool open_ended)
{
    struct buffer text = BUFFER_EMPTY;

    buffer_append_format(&text, "saved=%u lost sequences: %s%s", saved,
                         lost->used > 0 ? buffer_text(lost) : "none known",
                         open_ended ? " and perhaps what followed" : "");
    if (walk->fault != NULL)
        fault_tell(walk, SPOOL_FAULT_DAMAGE, from, to, buffer_text(&text));
    else
        warn("spool: segment %08" PRIx32 " IS DAMAGED from %" PRIu64
             " to %" PRIu64 ": %s",
             walk->segment, from, to, buffer_text(&text));
    buffer_free(&text);
}

/* Step over corruption at offset to the next good batch, saving what can be
   saved. */
static int
damage_pass(struct segment_walk *walk, uint64_t offset, uint64_t *next_r,
            struct buffer *why)
{
    struct buffer lost = BUFFER_EMPTY;
    struct batch_head head;
    uint64_t next = head_find(walk, offset + 8, 0, &head);
    uint64_t ceiling = walk->ceiling;
    unsigned saved = 0;
    int status;

    if (next != 0)
        ceiling = head.first_sequence;
    else
        next = walk->limit;
    status =
        records_save(walk, offset, next, ceiling != 0 ? ceiling : UINT64_MAX,
                     &saved, &lost, why);
    if (status == 0) {
        if (ceiling != 0)
            lost_add(&lost, walk->last_sequence + 1, ceiling - 1);
        damage_tell(walk, offset, next, saved, &lost, ceiling == 0);
    }
    buffer_free(&lost);
    walk->damaged = true;
    walk->chained = false;
    *next_r = next;
    return status;
}

int
segment_walk(struct segment_walk *walk, struct buffer *why)
{
    uint64_t offset = SEGMENT_HEAD_OCTETS;
    uint64_t next = offset;
    struct stat st;
    int status = 0;

    if (fstat(walk->fd, &st) < 0)
        return why_set_errno(why, "segment %08" PRIx32, walk->segment);
    walk->limit = (uint64_t)st.st_size;
    if (walk->limit > UINT32_MAX)
        walk->limit = UINT32_MAX;
    if (walk->end > walk->limit) {
        if (walk->fault != NULL)
            fault_tell(walk, SPOOL_FAULT_CUT, walk->limit, walk->end, "");
        else
            warn("spool: segment %08" PRIx32 " IS DAMAGED: its file ends at"
                 " %" PRIu64 ", the log in it at %" PRIu32,
                 walk->segment, walk->limit, walk->end);
        walk->damaged = true;
    } else if (walk->end != 0) {
        walk->limit = walk->end;
    }
    walk->chained = true;

    while (offset < walk->limit) {
        status = batch_take(walk, offset, &next, why);
        if (status == 0) {
            if (!was_synced(walk, offset))
                break;
            status = damage_pass(walk, offset, &next, why);
        }
        if (status < 0)
            break;
        offset = next;
    }
    walk->good_end = (uint32_t)offset;
    free(walk->window);
    walk->window = NULL;
    return status < 0 ? -1 : 0;
}
