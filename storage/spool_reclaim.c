/*
 * Taking segments away: what lies in one, copying what is to stay, and
 * removing it.  Nothing here touches the segment that is being written, so it
 * goes on beside the threads that write.
 */
#include "storage/spool.h"

#include <dirent.h>
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

enum {
    /* One batch of a compaction segment; written in pieces as any other. */
    COMPACTION_BATCH_OCTETS = 1024 * 1024,
};

static int
open_in(int dir_fd, uint32_t number, int flags, struct buffer *why)
{
    char name[SEGMENT_NAME_OCTETS];
    int fd;

    segment_name(name, number, "seg");
    fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        why_set_errno(why, "segment %08" PRIx32, number);
    return fd;
}

static int
segment_open(const struct spool *spool, uint32_t number, int flags,
             struct buffer *why)
{
    return open_in(spool->dir_fd, number, flags, why);
}

/* --- which there are --- */

/* 1 and *segment_r, 0 when its head is damaged or it has just gone, -1 with
   why. */
static int
segment_look(int dir_fd, uint32_t number, struct spool_segment *segment_r,
             struct buffer *why)
{
    struct segment_head head;
    struct stat st;
    int fd = open_in(dir_fd, number, O_RDONLY, why);
    int status;

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    status = segment_head_read(fd, number, &head, why);
    if (status > 0 && fstat(fd, &st) < 0)
        status = why_set_errno(why, "segment %08" PRIx32, number);
    close(fd);
    if (status <= 0)
        return status;
    *segment_r = (struct spool_segment){
        .number = number,
        .storage_class = head.storage_class,
        .first_sequence = head.first_sequence,
        .last_sequence = head.storage_class != CLASS_LOG
                             ? head.first_sequence + head.span
                             : 0,
        .created = head.created,
        .octets = st.st_size > SEGMENT_HEAD_OCTETS
                      ? (uint64_t)st.st_size - SEGMENT_HEAD_OCTETS
                      : 0,
    };
    return 1;
}

static int
compare_segments(const void *left, const void *right)
{
    uint32_t a = ((const struct spool_segment *)left)->number;
    uint32_t b = ((const struct spool_segment *)right)->number;

    return a < b ? -1 : a > b;
}

int
spool_list(const char *path, struct spool_segment **list_r, size_t *count_r,
           struct buffer *why)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    struct spool_segment *list = NULL;
    size_t count = 0;
    int status = 0;

    if (dir == NULL)
        return why_set_errno(why, "%s", path);
    while (status >= 0 && (entry = readdir(dir)) != NULL) {
        uint32_t number = segment_number(entry->d_name, "seg");

        if (number == 0)
            continue;
        list = xreallocarray(list, count + 1, sizeof(*list));
        status = segment_look(dirfd(dir), number, &list[count], why);
        count += status > 0;
    }
    closedir(dir);
    if (status < 0) {
        free(list);
        return -1;
    }
    if (count > 0)
        qsort(list, count, sizeof(*list), compare_segments);
    *list_r = list;
    *count_r = count;
    return 0;
}

/* --- what lies in one --- */

int
spool_walk_left(const struct spool *spool, const struct spool_segment *segment,
                spool_walk_func *func, void *context, struct buffer *why)
{
    struct segment_walk walk = {
        .fd = segment_open(spool, segment->number, O_RDONLY, why),
        .segment = segment->number,
        .func = func,
        .context = context,
        .last_sequence =
            segment->first_sequence > 0 ? segment->first_sequence - 1 : 0,
    };
    int status;

    if (walk.fd < 0)
        return -1;
    status = segment_walk(&walk, why);
    close(walk.fd);
    if (status == 0 && walk.damaged)
        status =
            why_set(why, "segment %08" PRIx32 " is damaged", segment->number);
    return status;
}

int
spool_cut(const struct spool *spool, uint32_t number, uint32_t end,
          struct buffer *why)
{
    char bad[SEGMENT_NAME_OCTETS];
    struct stat st;
    int fd = segment_open(spool, number, O_RDWR, why);
    int status = 0;

    if (fd < 0)
        return -1;
    segment_name(bad, number, "bad");
    if (fstat(fd, &st) < 0)
        status = why_set_errno(why, "segment %08" PRIx32, number);
    else if ((uint64_t)st.st_size <= end)
        status = 0;
    else if (faccessat(spool->dir_fd, bad, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        status =
            why_set(why, "segment %08" PRIx32 " was found damaged", number);
    else if (ftruncate(fd, (off_t)end) < 0 || fsync(fd) < 0)
        status = why_set_errno(why, "segment %08" PRIx32 ": cut", number);
    close(fd);
    return status;
}

int
spool_remove(const struct spool *spool, uint32_t number, struct buffer *why)
{
    char name[SEGMENT_NAME_OCTETS];

    segment_name(name, number, "seg");
    if (unlinkat(spool->dir_fd, name, 0) < 0 || fsync(spool->dir_fd) < 0)
        return why_set_errno(why, "%s/%s: remove", spool->path, name);
    return 0;
}

/* --- compaction --- */

struct compaction {
    const struct spool *spool;
    struct segment_head head;
    int fd;
    uint64_t end;
    uint32_t previous;
    uint64_t last_sequence;
    struct batch *batch;
    int from_fd;
    uint32_t from_segment;
    char *record;
    size_t record_size;
    bool adopted;
};

/* One more than the highest there is. */
static int
number_find(const struct spool *spool, uint32_t *number_r, struct buffer *why)
{
    struct spool_segment *list;
    size_t count;

    *number_r = (uint32_t)SEGMENT_COMPACTED + 1;
    if (spool_list(spool->path, &list, &count, why) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (list[i].number >= *number_r)
            *number_r = list[i].number + 1;
    free(list);
    return 0;
}

struct compaction *
compaction_begin(const struct spool *spool, uint64_t octets, int64_t created,
                 struct buffer *why)
{
    struct compaction *compaction = xcalloc(1, sizeof(*compaction));
    /* A head for each batch, which are not full to the last octet. */
    uint64_t size = SEGMENT_HEAD_OCTETS + octets + octets / 8 + 4096;
    uint32_t number;

    compaction->spool = spool;
    compaction->fd = -1;
    compaction->from_fd = -1;
    compaction->end = SEGMENT_HEAD_OCTETS;
    compaction->batch = batch_new();
    if (number_find(spool, &number, why) < 0)
        goto fail;
    compaction->head = (struct segment_head){
        .segment = number,
        .storage_class = CLASS_SURVIVORS,
        .epoch = spool->own_epoch,
        .created = created,
    };
    compaction->fd =
        segment_create(spool->dir_fd, number, size, spool->own_epoch, why);
    if (compaction->fd >= 0)
        return compaction;

fail:
    compaction_free(&compaction);
    return NULL;
}

void
compaction_free(struct compaction **compaction)
{
    struct compaction *old = *compaction;
    char name[SEGMENT_NAME_OCTETS];

    if (old == NULL)
        return;
    segment_name(name, old->head.segment, "new");
    if (old->fd >= 0 && !old->adopted
        && unlinkat(old->spool->dir_fd, name, 0) < 0)
        syswarn("spool: %s/%s cannot be removed", old->spool->path, name);
    if (old->fd >= 0)
        close(old->fd);
    if (old->from_fd >= 0)
        close(old->from_fd);
    batch_free(&old->batch);
    free(old->record);
    free(old);
    *compaction = NULL;
}

/* Write the batch that has been collected. */
static int
batch_write(struct compaction *compaction, struct buffer *why)
{
    struct batch *batch = compaction->batch;
    size_t octets;
    ssize_t written;

    if (batch->count == 0)
        return 0;
    octets = batch->octets->used;
    batch_place(batch, compaction->head.segment, compaction->head.epoch,
                (uint32_t)compaction->end, compaction->previous);
    /* Nothing was synced before: the whole is, before it has its name. */
    batch_stamp(batch, SEGMENT_HEAD_OCTETS);
    written = pwrite(compaction->fd, batch->octets->data, octets,
                     (off_t)compaction->end);
    if (written < 0)
        return why_set_errno(why, "compaction: write");
    if ((size_t)written != octets)
        return why_set(why, "compaction: short write, %zd of %zu octets",
                       written, octets);
    compaction->previous = (uint32_t)compaction->end;
    compaction->end += octets;
    batch_clear(batch);
    return 0;
}

/* The record that lies there, in compaction->record. */
static int
record_fetch(struct compaction *compaction, const struct token *from,
             uint64_t sequence, struct record *record, struct buffer *why)
{
    ssize_t got;

    if (compaction->from_fd < 0 || compaction->from_segment != from->segment) {
        if (compaction->from_fd >= 0)
            close(compaction->from_fd);
        compaction->from_fd =
            segment_open(compaction->spool, from->segment, O_RDONLY, why);
        compaction->from_segment = from->segment;
        if (compaction->from_fd < 0)
            return -1;
    }
    if (from->octets > compaction->record_size) {
        free(compaction->record);
        compaction->record = xmalloc(from->octets);
        compaction->record_size = from->octets;
    }
    got = pread(compaction->from_fd, compaction->record, from->octets,
                (off_t)from->offset);
    if (got < 0)
        return why_set_errno(why, "segment %08" PRIx32, from->segment);
    if (record_parse(record, compaction->record, (size_t)got, true, why) < 0)
        return -1;
    if (record->head.sequence != sequence)
        return why_set(why,
                       "segment %08" PRIx32 " has record %" PRIu64
                       " where %" PRIu64 " should be",
                       from->segment, record->head.sequence, sequence);
    return 0;
}

int
compaction_add(struct compaction *compaction, const struct token *from,
               uint64_t sequence, struct token *token_r, struct buffer *why)
{
    struct batch *batch = compaction->batch;
    struct record record;
    struct iovec payload;
    uint32_t offset;

    if (record_fetch(compaction, from, sequence, &record, why) < 0)
        return -1;
    if (batch->count > 0
        && batch->octets->used + record.head.octets > COMPACTION_BATCH_OCTETS
        && batch_write(compaction, why) < 0)
        return -1;
    if (compaction->head.first_sequence == 0)
        compaction->head.first_sequence = sequence;
    compaction->last_sequence = sequence;
    payload = (struct iovec){(void *)(uintptr_t)record.payload,
                             record.head.payload_octets};
    record.head.storage_class = CLASS_SURVIVORS;
    offset = batch_append(batch, &record.head, record.meta,
                          record.head.meta_octets, &payload, 1);
    *token_r = (struct token){
        .segment = compaction->head.segment,
        .offset = (uint32_t)compaction->end + offset,
        .octets = record.head.octets,
    };
    return 0;
}

int
compaction_finish(struct compaction *compaction, struct buffer *why)
{
    if (batch_write(compaction, why) < 0)
        return -1;
    compaction->head.span = (uint32_t)(compaction->last_sequence
                                       - compaction->head.first_sequence);
    if (ftruncate(compaction->fd, (off_t)compaction->end) < 0
        || fsync(compaction->fd) < 0)
        return why_set_errno(why, "compaction: fsync");
    if (segment_adopt(compaction->spool->dir_fd, compaction->fd,
                      &compaction->head, why)
        < 0)
        return -1;
    compaction->adopted = true;
    return 0;
}
