#include "storage/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/log.h"

enum { SCAN_OCTETS = 64 * 1024 };

void
segment_name(char name[SEGMENT_NAME_OCTETS], uint32_t number,
             const char *suffix)
{
    snprintf(name, SEGMENT_NAME_OCTETS, "%08" PRIx32 ".%s", number, suffix);
}

uint32_t
segment_number(const char *name, const char *suffix)
{
    char again[SEGMENT_NAME_OCTETS];
    uint32_t number = (uint32_t)strtoul(name, NULL, 16);

    /* The name made from the number must be this one: then no other spelling
       ("1.seg", "0000000A.seg") is ever taken for a segment. */
    segment_name(again, number, suffix);
    return strcmp(name, again) == 0 ? number : 0;
}

static int
head_write(int fd, const struct segment_head *identity, struct buffer *why)
{
    char octets[SEGMENT_HEAD_OCTETS] = {0};
    struct iovec whole = {.iov_base = octets, .iov_len = sizeof(octets)};
    struct segment_head head = *identity;
    uint32_t number = head.segment;
    ssize_t written;

    head.magic = SEGMENT_MAGIC;
    head.version = SPOOL_VERSION;
    head.crc = crc32c(0, &head, offsetof(struct segment_head, crc));
    memcpy(octets, &head, sizeof(head));
    written = pwritev(fd, &whole, 1, 0);
    if (written < 0)
        return why_set_errno(why, "head of segment %08" PRIx32, number);
    if ((size_t)written != sizeof(octets))
        return why_set(why, "head of segment %08" PRIx32 ": short write",
                       number);
    return 0;
}

/*
 * Have the file system give the whole space now, so that a batch never meets
 * a full disk; the size is set with it, so that no later fdatasync has to
 * write a new one.  Where the file system cannot give space ahead, the size
 * alone must do.
 */
static int
space_take(int fd, uint32_t number, uint64_t octets, struct buffer *why)
{
    if (fallocate(fd, 0, 0, (off_t)octets) == 0)
        return 0;
    if (errno == EOPNOTSUPP && ftruncate(fd, (off_t)octets) == 0)
        return 0;
    return why_set_errno(why, "space for segment %08" PRIx32, number);
}

int
segment_create(int dir_fd, uint32_t number, uint64_t octets, uint64_t epoch,
               struct buffer *why)
{
    const struct segment_head head = {
        .segment = number, .epoch = epoch, .created = time(NULL)};
    char name[SEGMENT_NAME_OCTETS];
    int fd;

    segment_name(name, number, "new");
    fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return why_set_errno(why, "%s", name);
    if (space_take(fd, number, octets, why) < 0
        || head_write(fd, &head, why) < 0)
        goto fail;
    if (fdatasync(fd) < 0) {
        why_set_errno(why, "%s: fdatasync", name);
        goto fail;
    }
    return fd;

fail:
    close(fd);
    if (unlinkat(dir_fd, name, 0) < 0)
        syswarn("spool: %s cannot be removed", name);
    return -1;
}

int
segment_create_fitting(int dir_fd, uint32_t number, uint64_t *octets,
                       uint64_t epoch, struct buffer *why)
{
    int fd = segment_create(dir_fd, number, *octets, epoch, why);

    if (fd >= 0 || *octets <= SEGMENT_SMALL_OCTETS)
        return fd;
    fd = segment_create(dir_fd, number, SEGMENT_SMALL_OCTETS, epoch, why);
    if (fd >= 0) {
        warn("spool: segment %08" PRIx32 " is a small one: there is no room"
             " for %" PRIu64 " octets",
             number, *octets);
        *octets = SEGMENT_SMALL_OCTETS;
    }
    return fd;
}

int
segment_adopt(int dir_fd, int fd, const struct segment_head *head,
              struct buffer *why)
{
    char made[SEGMENT_NAME_OCTETS];
    char name[SEGMENT_NAME_OCTETS];

    segment_name(made, head->segment, "new");
    segment_name(name, head->segment, "seg");
    if (head_write(fd, head, why) < 0)
        return -1;
    if (fdatasync(fd) < 0)
        return why_set_errno(why, "%s: fdatasync", made);
    if (renameat(dir_fd, made, dir_fd, name) < 0)
        return why_set_errno(why, "%s: rename to %s", made, name);
    if (fsync(dir_fd) < 0)
        return why_set_errno(why, "spool's directory: fsync");
    return 0;
}

int
segment_head_read(int fd, uint32_t number, struct segment_head *head_r,
                  struct buffer *why)
{
    ssize_t octets = pread(fd, head_r, sizeof(*head_r), 0);

    if (octets < 0)
        return why_set_errno(why, "segment %08" PRIx32, number);
    if ((size_t)octets < sizeof(*head_r) || head_r->magic != SEGMENT_MAGIC
        || head_r->crc
               != crc32c(0, head_r, offsetof(struct segment_head, crc)))
        return 0;
    if (head_r->version != SPOOL_VERSION)
        return why_set(why, "has version %" PRIu32 ", this program reads %d",
                       head_r->version, SPOOL_VERSION);
    return head_r->segment == number && head_r->epoch != 0;
}

uint64_t
segment_data_begin(int fd, uint64_t from, uint64_t limit)
{
    off_t data = lseek(fd, (off_t)from, SEEK_DATA);

    if (data < 0)
        return errno == ENXIO ? limit : from;
    if ((uint64_t)data <= from)
        return from;
    return (uint64_t)data & ~UINT64_C(7);
}

uint64_t
segment_used_end(int fd, uint64_t from)
{
    char octets[SCAN_OCTETS];
    uint64_t used = from;
    ssize_t got;

    for (;;) {
        from = segment_data_begin(fd, from, UINT64_MAX);
        if (from > INT64_MAX)
            return used;
        got = pread(fd, octets, sizeof(octets), (off_t)from);
        if (got <= 0)
            return used;
        for (ssize_t i = got; i > 0; i--)
            if (octets[i - 1] != 0) {
                used = from + (uint64_t)i;
                break;
            }
        from += (uint64_t)got;
    }
}
