#include "storage/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/ballast.h"
#include "storage/segment.h"
#include "storage/spool_ahead.h"
#include "storage/spool_private.h"

#define LOCK_NAME "writer.lock"

enum {
    LOCK_POLL_MS = 20,
    /* Somebody who asks whether the lock is held holds it for a moment. */
    LOCK_PATIENCE_MS = 200,
    DIRECTORY_MODE = 0750,
    LOCK_MODE = 0640,
    /* What the indices may need while the log takes its last batches. */
    INDEX_RESERVE_OCTETS = 64 * 1024 * 1024,
    BALLAST_SHARE = 4, /* a quarter of a segment, 64 MB */
};

/* --- the directory and its lock --- */

/* A new directory must not be lost together with what is synced in it. */
static int
directory_make(const char *path, struct buffer *why)
{
    char *parent;
    int fd;
    int status = 0;

    if (mkdir(path, DIRECTORY_MODE) < 0)
        return errno == EEXIST ? 0 : why_set_errno(why, "%s", path);
    parent = xasprintf("%s/..", path);
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        status = why_set_errno(why, "%s: fsync", parent);
    if (fd >= 0)
        close(fd);
    free(parent);
    return status;
}

/* Root's, made by a tool, would keep the server from starting. */
static int
lock_own(const struct spool *spool)
{
    struct stat st;

    if (geteuid() != 0)
        return 0;
    return fstat(spool->dir_fd, &st) < 0
               ? -1
               : fchown(spool->lock_fd, st.st_uid, st.st_gid);
}

static int
lock_take(struct spool *spool, int wait_seconds, struct buffer *why)
{
    const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000};
    int64_t deadline =
        clock_ms() + (int64_t)wait_seconds * 1000 + LOCK_PATIENCE_MS;

    spool->lock_fd =
        openat(spool->dir_fd, LOCK_NAME,
               O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, LOCK_MODE);
    if (spool->lock_fd < 0 || lock_own(spool) < 0)
        return why_set_errno(why, "%s/" LOCK_NAME, spool->path);
    while (flock(spool->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return why_set_errno(why, "%s/" LOCK_NAME, spool->path);
        if (clock_ms() >= deadline)
            return why_set(
                why, "%s/" LOCK_NAME " is held by another process that writes",
                spool->path);
        nanosleep(&pause, NULL);
    }
    return 0;
}

bool
spool_is_locked(const char *path)
{
    char *name = xasprintf("%s/" LOCK_NAME, path);
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool locked;

    free(name);
    if (fd < 0)
        return false;
    locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

/* --- what is there --- */

static void
fault_tell(const struct spool *spool, enum spool_fault_kind kind,
           uint32_t segment, const char *text)
{
    const struct spool_fault fault = {
        .kind = kind, .segment = segment, .text = text};

    spool->fault(spool->fault_context, &fault);
}

static int
segment_add(struct spool *spool, uint32_t number, struct buffer *why)
{
    struct found_segment found = {
        .number = number,
        /* What its head would say, were it damaged. */
        .storage_class = (number & (uint32_t)SEGMENT_COMPACTED) != 0
                             ? CLASS_SURVIVORS
                             : CLASS_LOG,
        .last_sequence = UINT64_MAX,
    };
    struct buffer reason = BUFFER_EMPTY;
    struct segment_head head;
    char name[SEGMENT_NAME_OCTETS];
    struct stat st;
    int fd;
    int status;

    segment_name(name, number, "seg");
    fd = openat(spool->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return why_set_errno(why, "%s/%s", spool->path, name);
    status = segment_head_read(fd, number, &head, &reason);
    if (fstat(fd, &st) == 0)
        found.octets = (uint64_t)st.st_blocks * 512;
    close(fd);
    if (status < 0 && spool->fault != NULL) {
        fault_tell(spool, SPOOL_FAULT_VERSION, number, buffer_text(&reason));
        buffer_free(&reason);
        return 0;
    }
    if (status < 0) {
        why_set(why, "store at %s (%s) %s", spool->path, name,
                buffer_text(&reason));
        buffer_free(&reason);
        return -1;
    }
    if (status == 1) {
        found.storage_class = head.storage_class;
        found.epoch = head.epoch;
        found.first_sequence = head.first_sequence;
        found.last_sequence = head.first_sequence + head.span;
        if (head.epoch > spool->epoch)
            spool->epoch = head.epoch;
    } else if (spool->fault != NULL) {
        fault_tell(spool, SPOOL_FAULT_HEAD, number, "");
    }
    spool->segments =
        xreallocarray(spool->segments, spool->count + 1, sizeof(found));
    spool->segments[spool->count++] = found;
    return 0;
}

static bool
name_is_ours(const char *name)
{
    static const char *const known[] = {".", "..", LOCK_NAME, BALLAST_NAME,
                                        "lost+found"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return segment_number(name, "bad") != 0
           || segment_number(name, "new") != 0;
}

static int
compare_segments(const void *left, const void *right)
{
    uint32_t a = ((const struct found_segment *)left)->number;
    uint32_t b = ((const struct found_segment *)right)->number;

    return a < b ? -1 : a > b;
}

static int
directory_read(struct spool *spool, struct buffer *why)
{
    int fd = dup(spool->dir_fd);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    struct buffer alien = BUFFER_EMPTY;
    unsigned aliens = 0;
    int status = 0;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return why_set_errno(why, "%s", spool->path);
    }
    while (status == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        uint32_t number = segment_number(entry->d_name, "seg");

        if (number != 0)
            status = segment_add(spool, number, why);
        else if (name_is_ours(entry->d_name))
            continue;
        else if (spool->fault != NULL)
            fault_tell(spool, SPOOL_FAULT_ALIEN, 0, entry->d_name);
        else if (aliens++ == 0)
            buffer_append_text(&alien, entry->d_name);
    }
    if (status == 0 && errno != 0)
        status = why_set_errno(why, "%s", spool->path);
    closedir(dir);
    if (aliens > 0)
        warn("spool: files in %s that are not ours are ignored: %s (%u)",
             spool->path, buffer_text(&alien), aliens);
    buffer_free(&alien);
    if (spool->count > 0)
        qsort(spool->segments, spool->count, sizeof(*spool->segments),
              compare_segments);
    return status;
}

static struct spool *
spool_new(const char *path)
{
    struct spool *spool = xcalloc(1, sizeof(*spool));

    spool->path = xstrdup(path);
    spool->lock_fd = -1;
    spool->fd = -1;
    spool->has_room = true;
    spool->dir_fd = -1;
    pthread_mutex_init(&spool->mutex, NULL);
    return spool;
}

struct spool *
spool_open(const char *path, uint64_t segment_octets, int wait_seconds,
           struct buffer *why)
{
    struct spool *spool = spool_new(path);

    spool->segment_octets = segment_octets;
    if (directory_make(path, why) < 0)
        goto fail;
    spool->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (spool->dir_fd < 0) {
        why_set_errno(why, "%s", path);
        goto fail;
    }
    if (lock_take(spool, wait_seconds, why) < 0
        || directory_read(spool, why) < 0)
        goto fail;
    return spool;

fail:
    spool_close(&spool);
    return NULL;
}

struct spool *
spool_open_reading(const char *path, bool lock, spool_fault_func *fault,
                   void *context, struct buffer *why)
{
    struct spool *spool = spool_new(path);

    spool->fault = fault;
    spool->fault_context = context;
    spool->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (spool->dir_fd < 0)
        why_set_errno(why, "%s", path);
    if (spool->dir_fd < 0 || (lock && lock_take(spool, 0, why) < 0)
        || directory_read(spool, why) < 0)
        spool_close(&spool);
    return spool;
}

uint64_t
spool_log_octets(const struct spool *spool)
{
    uint64_t octets = 0;

    for (size_t i = 0; i < spool->count; i++)
        octets += spool->segments[i].octets;
    return octets;
}

uint32_t
spool_next_segment(const struct spool *spool, uint32_t number)
{
    for (size_t i = 0; i < spool->count; i++)
        if (spool->segments[i].number > number)
            return spool->segments[i].number;
    return 0;
}

bool
spool_has_segment(const struct spool *spool, uint32_t number)
{
    char name[SEGMENT_NAME_OCTETS];
    struct stat st;

    segment_name(name, number, "seg");
    return fstatat(spool->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

void
spool_close(struct spool **spool)
{
    struct spool *old = *spool;

    if (old == NULL)
        return;
    spool_end(old);
    if (old->dir_fd >= 0)
        close(old->dir_fd);
    /* Last: the lock goes with it. */
    if (old->lock_fd >= 0)
        close(old->lock_fd);
    pthread_mutex_destroy(&old->mutex);
    free(old->segments);
    free(old->path);
    free(old);
    *spool = NULL;
}

/* --- room --- */

/* Free octets, and below which figure no article is taken. */
static int
room_ask(const struct spool *spool, uint64_t *free_r, uint64_t *reserve_r)
{
    struct statvfs st;
    uint64_t total;

    if (fstatvfs(spool->dir_fd, &st) < 0)
        return -1;
    total = (uint64_t)st.f_blocks * st.f_frsize;
    *free_r = (uint64_t)st.f_bavail * st.f_frsize;
    *reserve_r = 2 * spool->segment_octets + INDEX_RESERVE_OCTETS;
    if (*reserve_r < total / 100)
        *reserve_r = total / 100;
    return 0;
}

/* Its size is a share of a segment's, and needed when less than a share of
   itself is free. */
static void
ballast_look(const struct spool *spool, uint64_t free_octets, uint64_t reserve)
{
    uint64_t ballast = spool->segment_octets / BALLAST_SHARE;

    if (free_octets < ballast / BALLAST_SHARE)
        (void)ballast_release(spool->dir_fd); /* it may be gone already */
    else if (spool->has_room && free_octets >= reserve + ballast
             && !ballast_is_there(spool->dir_fd))
        ballast_make(spool->dir_fd, ballast);
}

bool
spool_has_room(struct spool *spool)
{
    int64_t now = clock_ms() / 1000 + 1;
    uint64_t free_octets, reserve;

    if (spool->room_asked == now)
        return spool->has_room;
    spool->room_asked = now;
    if (room_ask(spool, &free_octets, &reserve) < 0)
        return spool->has_room;
    /* Once full, a quarter more than the reserve must be free: a disk at the
       limit would otherwise be full and not full by turns. */
    spool->has_room =
        free_octets >= (spool->has_room ? reserve : reserve / 4 * 5);
    ballast_look(spool, free_octets, reserve);
    return spool->has_room;
}

void
spool_space(struct spool *spool, uint64_t *free_r, uint64_t *used_r)
{
    uint64_t reserve;
    DIR *dir;
    const struct dirent *entry;
    struct stat st;
    int fd;

    *used_r = 0;
    if (room_ask(spool, free_r, &reserve) < 0)
        *free_r = 0;
    /* A descriptor of its own: its place in the directory is its own too. */
    fd = openat(spool->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        if (fstatat(spool->dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW)
                == 0
            && S_ISREG(st.st_mode))
            *used_r += (uint64_t)st.st_blocks * 512;
    closedir(dir);
}

uint64_t
spool_sequence_estimate(const struct spool *spool)
{
    uint64_t sequence = 0;

    for (size_t i = 0; i < spool->count; i++)
        if (spool->segments[i].first_sequence > sequence)
            sequence = spool->segments[i].first_sequence;
    return sequence;
}

uint64_t
spool_last_sequence(const struct spool *spool)
{
    return spool->last_sequence;
}

int64_t
spool_last_arrival(const struct spool *spool)
{
    return spool->last_arrival;
}

uint32_t
spool_last_segment(const struct spool *spool)
{
    if (spool->segment != 0)
        return spool->segment;
    for (size_t i = spool->count; i > 0; i--)
        if (spool->segments[i - 1].storage_class == CLASS_LOG)
            return spool->segments[i - 1].number;
    return 0;
}
