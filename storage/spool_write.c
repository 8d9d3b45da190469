/*
 * Adding to the log.  Two threads work here: one seals batches (gives them
 * their place), the other writes them.  What goes from the first to the second
 * is the batches themselves, and for each new segment one struct opening.
 */
#include "storage/spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/ballast.h"
#include "storage/batch.h"
#include "storage/segment.h"
#include "storage/spool_ahead.h"
#include "storage/spool_private.h"

enum {
    /*
     * More than this goes to the disk in pieces: the disk begins with the
     * first while the next is copied, and the fdatasync finds little to do.
     */
    PIECE_OCTETS = 512 * 1024,
    VECTORS = 128, /* in one pwritev */
};

/* A segment that the log goes on in, sealed but not yet written. */
struct opening {
    struct opening *next;
    int fd;
    uint64_t octets;     /* its length */
    struct batch *first; /* its TRUNC and SNAPSHOT */
};

/* --- the first batch of a segment --- */

static void
append_trunc(struct batch *batch, uint64_t sequence, int64_t arrival,
             uint32_t segment, uint64_t end)
{
    struct trunc trunc = {.segment = segment, .end = (uint32_t)end};
    struct iovec payload = {.iov_base = &trunc, .iov_len = sizeof(trunc)};
    struct record_head head = {
        .type = RECORD_TRUNC,
        .sequence = sequence,
        .arrival = arrival,
    };

    batch_append(batch, &head, NULL, 0, &payload, 1);
}

static void
append_snapshot(struct batch *batch, uint64_t sequence, int64_t arrival,
                const struct buffer *snapshot)
{
    struct iovec payload = {.iov_base = snapshot->data,
                            .iov_len = snapshot->used};
    struct record_head head = {
        .type = RECORD_SNAPSHOT,
        .sequence = sequence,
        .arrival = arrival,
    };

    batch_append(batch, &head, NULL, 0, &payload, 1);
}

/* --- writing --- */

/* Write all of the vectors, in pieces when they are many octets. */
static int
vectors_write(int fd, const struct iovec *vectors, size_t count,
              uint64_t offset, size_t octets, struct buffer *why)
{
    size_t piece = octets > PIECE_OCTETS ? PIECE_OCTETS : octets;
    size_t index = 0, skip = 0; /* where we are in the vectors */

    while (index < count) {
        struct iovec slice[VECTORS];
        size_t used = 0;
        int n = 0;
        ssize_t written;

        while (index < count && n < VECTORS && used < piece) {
            size_t left = vectors[index].iov_len - skip;
            size_t part = left < piece - used ? left : piece - used;

            slice[n].iov_base = (char *)vectors[index].iov_base + skip;
            slice[n++].iov_len = part;
            used += part;
            skip += part;
            if (part == left) {
                index++;
                skip = 0;
            }
        }
        written = pwritev(fd, slice, n, (off_t)offset);
        if (written < 0)
            return why_set_errno(why, "spool: write");
        if ((size_t)written != used)
            return why_set(why, "spool: short write, %zd of %zu octets",
                           written, used);
        if (piece < octets
            && sync_file_range(fd, (off_t)offset, (off_t)used,
                               SYNC_FILE_RANGE_WRITE)
                   < 0)
            return why_set_errno(why, "spool: sync_file_range");
        offset += used;
    }
    return 0;
}

/*
 * Write a run of batches of the open segment, first (unless NULL) before the
 * others, and sync it.
 */
static int
run_write(struct spool *spool, struct batch *first,
          struct batch *const *batches, size_t count, struct buffer *why)
{
    struct iovec *vectors = xcalloc(count + 1, sizeof(*vectors));
    uint64_t end = spool->synced;
    size_t n = 0;
    int status;

    for (size_t i = 0; i <= count; i++) {
        // cppcheck-suppress nullPointer ; count is 0 then
        struct batch *batch = i == 0 ? first : batches[i - 1];

        if (batch == NULL)
            continue;
        assert(batch->segment == spool->open_segment && batch->offset == end);
        batch_stamp(batch, (uint32_t)spool->synced);
        vectors[n].iov_base = batch->octets->data;
        vectors[n++].iov_len = batch->octets->used;
        end += batch->octets->used;
    }
    if (spool->ahead != NULL)
        ahead_writing(spool->ahead, end - spool->synced);
    status = vectors_write(spool->fd, vectors, n, spool->synced,
                           end - spool->synced, why);
    free(vectors);
    if (status < 0)
        return -1;
    if (fdatasync(spool->fd) < 0)
        return why_set_errno(why, "spool: fdatasync");
    spool->synced = end;
    return 0;
}

/* --- segments, the writing thread's side --- */

static void
opening_free(struct opening *opening)
{
    batch_free(&opening->first);
    free(opening);
}

static struct opening *
opening_take(struct spool *spool)
{
    struct opening *opening;

    pthread_mutex_lock(&spool->mutex);
    opening = spool->openings;
    assert(opening != NULL);
    spool->openings = opening->next;
    pthread_mutex_unlock(&spool->mutex);
    return opening;
}

/* Go on in the segment of an opening, whose descriptor is ours from now on. */
static int
opening_enter(struct spool *spool, struct opening *opening, struct buffer *why)
{
    struct batch *first = opening->first;
    const struct segment_head head = {
        .segment = first->segment,
        .epoch = spool->own_epoch,
        .first_sequence = first->first_sequence,
        .created = time(NULL),
    };
    int old_fd = spool->fd;
    uint64_t old_end = spool->synced;

    spool->fd = opening->fd;
    spool->open_segment = first->segment;
    spool->synced = SEGMENT_HEAD_OCTETS;
    if (segment_adopt(spool->dir_fd, spool->fd, &head, why) < 0) {
        if (old_fd >= 0)
            close(old_fd);
        return -1;
    }
    if (spool->ahead != NULL) {
        ahead_follow(spool->ahead, first->segment, opening->octets,
                     SEGMENT_HEAD_OCTETS);
        ahead_retire(spool->ahead, old_fd, old_end);
    }
    return 0;
}

/* The batches are all of one segment. */
static int
segment_write(struct spool *spool, struct batch *const *batches, size_t count,
              struct buffer *why)
{
    struct opening *opening;
    int status;

    if (batches[0]->segment == spool->open_segment)
        return run_write(spool, NULL, batches, count, why);
    opening = opening_take(spool);
    status = opening_enter(spool, opening, why);
    if (status == 0)
        status = run_write(spool, opening->first, batches, count, why);
    opening_free(opening);
    return status;
}

int
spool_write(struct spool *spool, struct batch *const *batches, size_t count,
            struct buffer *why)
{
    size_t from = 0;
    size_t to;

    if (spool->broken)
        return why_set(why, "spool: an earlier write failed");
    for (; from < count; from = to) {
        to = from + 1;
        while (to < count && batches[to]->segment == batches[from]->segment)
            to++;
        /* Each segment is on the disk before the next one begins. */
        if (segment_write(spool, batches + from, to - from, why) < 0) {
            spool->broken = true;
            return -1;
        }
    }
    return 0;
}

bool
spool_is_broken(const struct spool *spool)
{
    return spool->broken;
}

void
spool_durable(const struct spool *spool, uint32_t *segment_r, uint32_t *end_r)
{
    *segment_r = spool->open_segment;
    *end_r = (uint32_t)spool->synced;
}

/* --- sealing --- */

void
spool_set_snapshot(struct spool *spool, spool_snapshot_func *func,
                   void *context)
{
    spool->snapshot = func;
    spool->snapshot_context = context;
}

static void
place(struct spool *spool, struct batch *batch)
{
    assert(spool->tail + batch->octets->used <= UINT32_MAX);
    batch_place(batch, spool->segment, spool->own_epoch, (uint32_t)spool->tail,
                spool->previous);
    spool->previous = (uint32_t)spool->tail;
    spool->tail += batch->octets->used;
    spool->sealed_sequence = batch->last_sequence;
    spool->sealed_arrival = batch->last_arrival;
}

static void
enter(struct spool *spool, uint32_t segment, uint64_t size)
{
    spool->segment = segment;
    spool->size = size;
    spool->tail = SEGMENT_HEAD_OCTETS;
    spool->previous = 0;
}

static void
opening_put(struct spool *spool, int fd, uint64_t octets, struct batch *first)
{
    struct opening *opening = xcalloc(1, sizeof(*opening));
    struct opening **last = &spool->openings;

    opening->fd = fd;
    opening->octets = octets;
    opening->first = first;
    pthread_mutex_lock(&spool->mutex);
    while (*last != NULL)
        last = &(*last)->next;
    *last = opening;
    pthread_mutex_unlock(&spool->mutex);
}

/* The batch with which the segment begins that the log rolls over to. */
static struct batch *
roll_over_batch(struct spool *spool, const struct batch *next)
{
    struct batch *first = batch_new();
    struct buffer snapshot = BUFFER_EMPTY;
    uint64_t sequence = next->first_sequence - 1;

    if (spool->snapshot != NULL)
        spool->snapshot(spool->snapshot_context, &snapshot);
    append_trunc(first, sequence, next->first_arrival, spool->segment,
                 spool->tail);
    append_snapshot(first, sequence, next->first_arrival, &snapshot);
    buffer_free(&snapshot);
    return first;
}

/* Go on to the next segment, in which batch will be the first but one. */
static int
roll_over(struct spool *spool, const struct batch *batch, struct buffer *why)
{
    struct batch *first;
    uint64_t size, made;
    int fd = ahead_take(spool->ahead, &made, why);

    if (fd < 0)
        return -1;
    first = roll_over_batch(spool, batch);
    size = SEGMENT_HEAD_OCTETS + first->octets->used + batch->octets->used;
    /* A batch may be greater than the segments are meant to be. */
    if (size <= made) {
        size = made;
    } else if (fallocate(fd, 0, 0, (off_t)size) < 0 && errno != EOPNOTSUPP) {
        why_set_errno(why, "space for segment %08" PRIx32, spool->segment + 1);
        ahead_return(spool->ahead, fd);
        batch_free(&first);
        return -1;
    }
    enter(spool, spool->segment + 1, size);
    place(spool, first);
    opening_put(spool, fd, size, first);
    ahead_prepare(spool->ahead, spool->segment + 1);
    return 0;
}

int
spool_seal(struct spool *spool, struct batch *batch, uint32_t *segment_r,
           uint32_t *offset_r, struct buffer *why)
{
    assert(spool->segment != 0);
    assert(batch->first_sequence > spool->sealed_sequence);
    assert(batch->first_arrival >= spool->sealed_arrival);
    if (spool->broken)
        return why_set(why, "spool: an earlier write failed");
    if (spool->tail + batch->octets->used > spool->size
        && roll_over(spool, batch, why) < 0)
        return -1;
    place(spool, batch);
    *segment_r = batch->segment;
    *offset_r = batch->offset;
    return 0;
}

/* --- beginning and ending --- */

/* Segments that an earlier writer made ready and never used. */
static int
unused_remove(struct spool *spool, struct buffer *why)
{
    int fd = openat(spool->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int status = 0;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return why_set_errno(why, "%s", spool->path);
    }
    while (status == 0 && (entry = readdir(dir)) != NULL)
        if (segment_number(entry->d_name, "new") != 0
            && unlinkat(spool->dir_fd, entry->d_name, 0) < 0)
            status = why_set_errno(why, "%s/%s", spool->path, entry->d_name);
    closedir(dir);
    return status;
}

/*
 * The index of the first segment of which the next one will say where it ends:
 * the newest of the log, and those whose end was not found in the log but told
 * to us.  count when there is none.
 */
static size_t
first_left(const struct spool *spool)
{
    size_t first = spool->count;

    for (size_t i = spool->count; i > 0; i--) {
        const struct found_segment *found = &spool->segments[i - 1];

        if (found->storage_class != 0)
            continue;
        if (first < spool->count && !durable_decides(spool, found))
            break;
        first = i - 1;
    }
    return first;
}

static struct batch *
begin_batch(struct spool *spool, const struct buffer *snapshot,
            uint64_t *sequence)
{
    struct batch *batch = batch_new();
    int64_t arrival;

    /* Not the clock: it may be set back before the first article comes. */
    if (spool->last_arrival == 0)
        spool->last_arrival = time(NULL);
    arrival = spool->last_arrival;
    for (size_t i = first_left(spool); i < spool->count; i++)
        if (spool->segments[i].storage_class == 0)
            append_trunc(batch, (*sequence)++, arrival,
                         spool->segments[i].number, spool->segments[i].end);
    append_snapshot(batch, (*sequence)++, arrival, snapshot);
    return batch;
}

/*
 * Release what the file system gave to segments left behind and nobody wrote.
 * What was written stays, torn or not: nothing is lost by keeping it.  Failing
 * here costs space and no article.
 */
static void
left_release(struct spool *spool)
{
    for (size_t i = first_left(spool); i < spool->count; i++) {
        char name[SEGMENT_NAME_OCTETS];
        uint64_t used;
        int fd;

        if (spool->segments[i].storage_class != 0)
            continue;
        segment_name(name, spool->segments[i].number, "seg");
        fd = openat(spool->dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        used = fd < 0 ? 0 : segment_used_end(fd, spool->segments[i].end);
        if (used > spool->segments[i].end)
            notice("spool: segment %08" PRIx32 " has a torn tail, never"
                   " acknowledged: left behind octets=%" PRIu64,
                   spool->segments[i].number, used - spool->segments[i].end);
        if (fd < 0 || ftruncate(fd, (off_t)((used + 7) & ~UINT64_C(7))) < 0)
            syswarn("spool: unused space of %s/%s cannot be released",
                    spool->path, name);
        if (fd >= 0)
            close(fd);
    }
}

/*
 * The segment that a writer begins with.  On a full disk that is small, or
 * made of the ballast: a writer that could not start would take no removals
 * either, and there would never be room again.
 */
static int
segment_begin(struct spool *spool, uint32_t number, uint64_t *octets,
              const struct batch *first, struct buffer *why)
{
    uint64_t least = SEGMENT_HEAD_OCTETS + first->octets->used;
    int fd;

    if (*octets < least)
        *octets = least;
    fd = segment_create_fitting(spool->dir_fd, number, octets,
                                spool->own_epoch, why);
    if (fd < 0 && ballast_release(spool->dir_fd))
        fd = segment_create_fitting(spool->dir_fd, number, octets,
                                    spool->own_epoch, why);
    if (fd < 0 || *octets >= least)
        return fd;
    /* More groups than a small one has room for. */
    *octets = least;
    if (fallocate(fd, 0, 0, (off_t)least) == 0 || errno == EOPNOTSUPP)
        return fd;
    close(fd);
    return why_set_errno(why, "space for segment %08" PRIx32, number);
}

int
spool_begin(struct spool *spool, const struct buffer *snapshot,
            uint64_t *sequence, struct buffer *why)
{
    uint32_t number = spool_last_segment(spool) + 1;
    struct opening *opening;
    uint64_t size = spool->segment_octets;
    int status;

    assert(spool->walked && spool->segment == 0);
    assert(*sequence > spool->last_sequence);
    if (unused_remove(spool, why) < 0)
        return -1;
    spool->own_epoch = spool->epoch + 1;
    opening = xcalloc(1, sizeof(*opening));
    opening->first = begin_batch(spool, snapshot, sequence);
    left_release(spool);
    opening->fd = segment_begin(spool, number, &size, opening->first, why);
    if (opening->fd < 0) {
        opening_free(opening);
        return -1;
    }
    enter(spool, number, size);
    place(spool, opening->first);
    status = opening_enter(spool, opening, why);
    if (status == 0)
        status = run_write(spool, opening->first, NULL, 0, why);
    opening_free(opening);
    if (status < 0) {
        spool->broken = true;
        return -1;
    }
    spool->ahead =
        ahead_start(spool->dir_fd, spool->segment_octets, spool->own_epoch);
    ahead_prepare(spool->ahead, number + 1);
    ahead_follow(spool->ahead, number, size, spool->synced);
    return 0;
}

void
spool_end(struct spool *spool)
{
    struct opening *opening;

    ahead_stop(&spool->ahead);
    /* What was sealed and not written is nobody's any more; the files of such
       segments are removed at the next start. */
    while ((opening = spool->openings) != NULL) {
        spool->openings = opening->next;
        close(opening->fd);
        opening_free(opening);
    }
    if (spool->fd < 0)
        return;
    if (!spool->broken && ftruncate(spool->fd, (off_t)spool->synced) < 0)
        syswarn("spool: unused space of a segment cannot be released");
    close(spool->fd);
    spool->fd = -1;
}
