/*
 * The walk through the whole log: where it begins, where each segment ends,
 * and what becomes of a damaged one.
 */
#include "storage/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/batch.h"
#include "storage/segment.h"
#include "storage/spool_private.h"

/* A segment's first batch begins with its TRUNC records; so many octets hold
   more of them than ever stood there. */
enum { FIRST_LOOK_OCTETS = 8192 };

void
spool_set_durable(struct spool *spool, uint32_t segment, uint32_t end)
{
    spool->durable_segment = segment;
    spool->durable_end = end;
}

/*
 * The newest segment is of the highest epoch there is.  Where that is not the
 * epoch of the segment that we were told of, a later writer has walked the log
 * and gone on behind what it found.
 */
bool
durable_decides(const struct spool *spool, const struct found_segment *found)
{
    for (size_t i = 0; i < spool->count; i++)
        if (spool->segments[i].number == spool->durable_segment)
            return spool->segments[i].epoch == spool->epoch
                   && found->number >= spool->durable_segment;
    return false;
}

static int
found_open(struct spool *spool, const struct found_segment *found,
           struct buffer *why)
{
    char name[SEGMENT_NAME_OCTETS];
    int fd;

    segment_name(name, found->number, "seg");
    fd = openat(spool->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        spool->vanished = true;
    if (fd < 0)
        why_set_errno(why, "%s/%s", spool->path, name);
    return fd;
}

static struct found_segment *
found_by_number(struct spool *spool, uint32_t number)
{
    for (size_t i = spool->count; i > 0; i--)
        if (spool->segments[i - 1].number == number)
            return &spool->segments[i - 1];
    return NULL;
}

/* --- where segments end --- */

/*
 * Note what the TRUNC records of a segment say of the ones before it.  Each is
 * good by its own sums; what cannot be read says nothing, and the walk of the
 * segment in question finds its end by itself.
 */
static int
truncs_read(struct spool *spool, const struct found_segment *found,
            struct buffer *why)
{
    char octets[FIRST_LOOK_OCTETS];
    struct batch_head head;
    struct record record;
    struct trunc trunc;
    struct found_segment *ended;
    size_t at = sizeof(head);
    int64_t length;
    ssize_t got;
    int fd = found_open(spool, found, why);

    if (fd < 0)
        return -1;
    got = pread(fd, octets, sizeof(octets), SEGMENT_HEAD_OCTETS);
    close(fd);
    if (got < (ssize_t)sizeof(head))
        return 0;
    memcpy(&head, octets, sizeof(head));
    if (!batch_head_is_good(&head, found->number, found->epoch,
                            SEGMENT_HEAD_OCTETS))
        return 0;
    while ((length = record_parse(&record, octets + at, (size_t)got - at, true,
                                  NULL))
               > 0
           && record.head.type == RECORD_TRUNC
           && record.head.payload_octets == sizeof(trunc)) {
        memcpy(&trunc, record.payload, sizeof(trunc));
        ended = found_by_number(spool, trunc.segment);
        if (ended != NULL && trunc.segment < found->number
            && trunc.end >= SEGMENT_HEAD_OCTETS)
            ended->end = trunc.end;
        at += (size_t)length;
    }
    return 0;
}

/*
 * Find out where segments from the one at index on end.  A later TRUNC record
 * overrides an earlier one; what is known of the disk overrides them all.
 */
static int
ends_find(struct spool *spool, size_t from, struct buffer *why)
{
    for (size_t i = from; i < spool->count; i++)
        spool->segments[i].end = 0;
    for (size_t i = from; i < spool->count; i++)
        if (spool->segments[i].storage_class == 0
            && truncs_read(spool, &spool->segments[i], why) < 0)
            return -1;
    for (size_t i = from; i < spool->count; i++) {
        struct found_segment *found = &spool->segments[i];

        if (!durable_decides(spool, found))
            continue;
        found->end = found->number == spool->durable_segment
                         ? spool->durable_end
                         : SEGMENT_HEAD_OCTETS;
    }
    return 0;
}

/* --- the walk --- */

/*
 * Keep a damaged segment's octets whatever becomes of the segment: a second
 * name for the file.  That it has one already is as good.
 */
static void
quarantine(const struct spool *spool, uint32_t number)
{
    char name[SEGMENT_NAME_OCTETS];
    char bad[SEGMENT_NAME_OCTETS];

    segment_name(name, number, "seg");
    segment_name(bad, number, "bad");
    if (linkat(spool->dir_fd, name, spool->dir_fd, bad, 0) == 0)
        warn("spool: %s/%s is kept as %s", spool->path, name, bad);
    else if (errno != EEXIST)
        syswarn("spool: %s/%s cannot be kept as %s", spool->path, name, bad);
}

/* The next segment of the log, or NULL. */
static const struct found_segment *
found_next(const struct spool *spool, size_t index)
{
    for (size_t i = index + 1; i < spool->count; i++)
        if (spool->segments[i].storage_class == 0)
            return &spool->segments[i];
    return NULL;
}

/*
 * A segment whose end nobody has told, with another behind it: is anything
 * missing between them?  That takes two misfortunes, a bad tail here and a bad
 * beginning there.
 */
static bool
has_gap(const struct segment_walk *walk, const struct found_segment *next)
{
    if (walk->end != 0 || next == NULL || next->number != walk->segment + 1
        || next->first_sequence <= walk->last_sequence + 1)
        return false;
    return true;
}

/* What is wrong with a segment beside its batches: told, or logged and its
   octets kept. */
static void
damage_note(const struct spool *spool, const struct segment_walk *walk,
            const struct found_segment *found,
            const struct found_segment *next)
{
    struct spool_fault fault = {
        .kind = SPOOL_FAULT_GAP, .segment = found->number, .text = ""};
    bool gap = has_gap(walk, next);
    struct buffer lost = BUFFER_EMPTY;

    if (gap)
        buffer_append_format(&lost, "lost sequences: %" PRIu64 "-%" PRIu64,
                             walk->last_sequence + 1,
                             next->first_sequence - 1);
    if (spool->fault != NULL) {
        fault.text = buffer_text(&lost);
        if (gap)
            spool->fault(spool->fault_context, &fault);
    } else {
        if (found->epoch == 0)
            warn("spool: segment %08" PRIx32 " IS DAMAGED in its head",
                 found->number);
        if (gap)
            warn("spool: segment %08" PRIx32 " IS DAMAGED at its end: %s",
                 found->number, buffer_text(&lost));
        if (walk->damaged || found->epoch == 0 || gap)
            quarantine(spool, found->number);
    }
    buffer_free(&lost);
}

static int
walk_one(struct spool *spool, size_t index, uint64_t after,
         spool_walk_func *func, void *context, struct buffer *why)
{
    struct found_segment *found = &spool->segments[index];
    const struct found_segment *next = found_next(spool, index);
    struct segment_walk walk = {
        .fd = found_open(spool, found, why),
        .segment = found->number,
        .epoch = found->epoch,
        .end = found->end,
        .after = after,
        .func = func,
        .context = context,
        .fault = spool->fault,
        .fault_context = spool->fault_context,
        .last_sequence = spool->last_sequence,
        .last_arrival = spool->last_arrival,
    };
    int status;

    if (walk.fd < 0)
        return -1;
    /* Rolled over to, it repeats the last sequence of this one. */
    if (next != NULL && next->first_sequence != 0)
        walk.ceiling = next->first_sequence + (next->epoch == found->epoch);
    if (found->first_sequence > walk.last_sequence + 1)
        walk.last_sequence = found->first_sequence - 1;
    /*
     * What a killed writer wrote and did not sync is in the page cache only;
     * it is about to be believed.
     */
    if (next == NULL && spool->fault == NULL && fdatasync(walk.fd) < 0) {
        close(walk.fd);
        return why_set_errno(why, "segment %08" PRIx32 ": fdatasync",
                             found->number);
    }
    status = segment_walk(&walk, why);
    close(walk.fd);
    if (status == 0)
        damage_note(spool, &walk, found, next);
    found->end = walk.good_end;
    spool->last_sequence = walk.last_sequence;
    spool->last_arrival = walk.last_arrival;
    return status;
}

/* Where a walk behind `after` begins: the last segment whose first record is
   not behind it.  (One that begins just behind it may repeat the sequence of a
   record in the segment before.) */
static size_t
start_find(const struct spool *spool, uint64_t after)
{
    size_t start = 0;

    for (size_t i = 0; i < spool->count; i++)
        if (spool->segments[i].storage_class == 0
            && spool->segments[i].first_sequence != 0
            && spool->segments[i].first_sequence <= after)
            start = i;
    return start;
}

/* --- compaction segments --- */

/* A head that is damaged does not say where the segment belongs; its first
   batch does. */
static int
first_sequence_find(struct spool *spool, struct found_segment *found,
                    struct buffer *why)
{
    struct batch_head head;
    int fd = found_open(spool, found, why);

    if (fd < 0)
        return -1;
    if (pread(fd, &head, sizeof(head), SEGMENT_HEAD_OCTETS)
            == (ssize_t)sizeof(head)
        && batch_head_is_good(&head, found->number, 0, SEGMENT_HEAD_OCTETS))
        found->first_sequence = head.first_sequence;
    close(fd);
    /* Who reads has been told of the head. */
    if (found->first_sequence == 0 && spool->fault == NULL)
        warn("spool: segment %08" PRIx32 " IS DAMAGED at its beginning:"
             " its articles are lost to a rebuild",
             found->number);
    return 0;
}

static int
compaction_walk(struct spool *spool, const struct found_segment *found,
                uint64_t after, spool_walk_func *func, void *context,
                struct buffer *why)
{
    struct segment_walk walk = {
        .fd = found_open(spool, found, why),
        .segment = found->number,
        .epoch = found->epoch,
        .after = after,
        .func = func,
        .context = context,
        .fault = spool->fault,
        .fault_context = spool->fault_context,
    };
    struct stat st;
    int status;

    if (walk.fd < 0)
        return -1;
    /* It was complete and synced when it got its name: it has no torn tail. */
    if (fstat(walk.fd, &st) == 0)
        walk.end = (uint32_t)st.st_size;
    status = segment_walk(&walk, why);
    close(walk.fd);
    if (status == 0 && spool->fault == NULL
        && (walk.damaged || found->epoch == 0))
        quarantine(spool, found->number);
    return status;
}

/* Does a come before b?  Of two that begin alike one is left from a compaction
   that was cut short. */
static bool
comes_before(const struct found_segment *a, const struct found_segment *b)
{
    return a->first_sequence != b->first_sequence
               ? a->first_sequence < b->first_sequence
               : a->number < b->number;
}

/* Those that begin behind `from` and before `to`, in order. */
static int
compactions_walk(struct spool *spool, uint64_t from, uint64_t to,
                 uint64_t after, spool_walk_func *func, void *context,
                 struct buffer *why)
{
    struct found_segment last = {.first_sequence = from, .number = UINT32_MAX};

    for (;;) {
        const struct found_segment *next = NULL;

        for (size_t i = 0; i < spool->count; i++) {
            struct found_segment *found = &spool->segments[i];

            if (found->storage_class == CLASS_LOG
                || found->last_sequence <= after)
                continue;
            if (found->first_sequence == 0
                && first_sequence_find(spool, found, why) < 0)
                return -1;
            if (comes_before(&last, found) && found->first_sequence < to
                && (next == NULL || comes_before(found, next)))
                next = found;
        }
        if (next == NULL)
            return 0;
        if (compaction_walk(spool, next, after, func, context, why) < 0)
            return -1;
        last = *next;
    }
}

static int
walk_from(struct spool *spool, size_t start, uint64_t after,
          spool_walk_func *func, void *context, struct buffer *why)
{
    uint64_t done = 0; /* compaction segments that begin up to here */

    spool->last_sequence = 0;
    spool->last_arrival = 0;
    for (size_t i = start; i < spool->count; i++) {
        const struct found_segment *found = &spool->segments[i];

        if (found->storage_class != CLASS_LOG)
            continue;
        if (found->first_sequence > done) {
            if (compactions_walk(spool, done, found->first_sequence + 1, after,
                                 func, context, why)
                < 0)
                return -1;
            done = found->first_sequence;
        }
        if (walk_one(spool, i, after, func, context, why) < 0)
            return -1;
    }
    return compactions_walk(spool, done, UINT64_MAX, after, func, context,
                            why);
}

int
spool_walk(struct spool *spool, uint64_t after, spool_walk_func *func,
           void *context, struct buffer *why)
{
    size_t start = start_find(spool, after);

    assert(spool->segment == 0);
    if (ends_find(spool, start, why) < 0
        || walk_from(spool, start, after, func, context, why) < 0)
        return -1;
    /*
     * A newest segment without a good batch does not say when the last article
     * came: then the one before it does.
     */
    while (spool->last_arrival == 0 && start > 0) {
        start--;
        if (ends_find(spool, start, why) < 0
            || walk_from(spool, start, after, func, context, why) < 0)
            return -1;
    }
    spool->walked = true;
    return 0;
}

int
spool_segment_head(struct spool *spool, uint32_t number,
                   struct segment_head *head_r, struct buffer *why)
{
    struct found_segment *found = found_by_number(spool, number);
    int fd;
    int status;

    if (found == NULL)
        return why_set(why, "%s has no segment %08" PRIx32, spool->path,
                       number);
    fd = found_open(spool, found, why);
    if (fd < 0)
        return -1;
    status = segment_head_read(fd, number, head_r, why);
    close(fd);
    if (status == 0)
        *head_r = (struct segment_head){.segment = number};
    return status < 0 ? -1 : 0;
}

int
spool_examine_segment(struct spool *spool, uint32_t number, uint32_t *end_r,
                      spool_walk_func *func, void *context, struct buffer *why)
{
    struct found_segment *found = found_by_number(spool, number);
    int status;

    if (found == NULL)
        return why_set(why, "%s has no segment %08" PRIx32, spool->path,
                       number);
    spool->last_sequence = 0;
    spool->last_arrival = 0;
    if (found->storage_class != CLASS_LOG)
        status = compaction_walk(spool, found, 0, func, context, why);
    else if (ends_find(spool, 0, why) < 0)
        status = -1;
    else
        status = walk_one(spool, (size_t)(found - spool->segments), 0, func,
                          context, why);
    *end_r = (uint32_t)spool_segment_end(spool, number);
    return status;
}

int
spool_find_ends(struct spool *spool, struct buffer *why)
{
    uint32_t *known = xcalloc(spool->count + 1, sizeof(*known));
    int status;

    for (size_t i = 0; i < spool->count; i++)
        known[i] = spool->segments[i].end;
    status = ends_find(spool, 0, why);
    /* What a walk has found, and nothing else says. */
    for (size_t i = 0; i < spool->count; i++)
        if (spool->segments[i].end == 0)
            spool->segments[i].end = known[i];
    free(known);
    return status;
}

bool
spool_has_vanished(const struct spool *spool)
{
    return spool->vanished;
}

uint64_t
spool_segment_end(struct spool *spool, uint32_t number)
{
    const struct found_segment *found = found_by_number(spool, number);
    struct stat st;
    int fd;

    if (found == NULL)
        return 0;
    if (found->storage_class == 0)
        return found->end;
    fd = found_open(spool, found, NULL);
    if (fd < 0)
        return 0;
    if (fstat(fd, &st) < 0)
        st.st_size = 0;
    close(fd);
    return (uint64_t)st.st_size;
}
