#include "storage/spool_ahead.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/thread.h"
#include "storage/segment.h"

enum {
    AHEAD_OCTETS = 8 * 1024 * 1024,
    ZERO_OCTETS = 1024 * 1024, /* written at a time */
    /*
     * Greater writes gain little.  A write and its sync without and with
     * zeroes ahead took, on ext4: 231 and 124 us for 15 KB, 261 and 170 for 60
     * KB, 369 and 308 for 180 KB, but 413 and 415 for 240 KB.  And a feed is
     * short of processors and not of time: with batches of 60 KB its articles
     * cost 46 us with zeroes ahead and 41 without.
     */
    LARGE_OCTETS = 32 * 1024,
    BLOCK_OCTETS = 4096,
};

enum spare_state { SPARE_NONE, SPARE_WANTED, SPARE_READY, SPARE_FAILED };

struct retired {
    struct retired *next;
    int fd;
    uint64_t end;
};

struct ahead {
    int dir_fd;
    uint64_t segment_octets;
    uint64_t epoch;
    pthread_t thread;

    pthread_mutex_t mutex; /* over all that follows */
    pthread_cond_t work;   /* the thread has something to do */
    pthread_cond_t done;   /* the thread has done something */
    bool stopping;

    enum spare_state spare;
    uint32_t spare_number;
    int spare_fd;
    uint64_t spare_octets;
    struct buffer spare_why;

    struct retired *retired;

    uint32_t number;       /* the segment that is written, 0: none yet */
    uint64_t octets;       /* its length */
    uint64_t tail;         /* batches have taken it up to here */
    uint64_t zeroed;       /* and zeroes up to here */
    bool zeroing;          /* a piece is being written, */
    uint64_t zeroing_from; /* from here on */
    bool large;            /* the last write was a large one */
    bool given_up;         /* zeroing failed in this segment */
};

/* --- the thread --- */

static uint64_t
zero_goal(const struct ahead *ahead)
{
    uint64_t goal = ahead->tail + AHEAD_OCTETS;

    return goal < ahead->octets ? goal : ahead->octets;
}

static bool
zero_is_due(const struct ahead *ahead)
{
    return ahead->number != 0 && !ahead->large && !ahead->given_up
           && ahead->zeroed < zero_goal(ahead);
}

/* Called and returns with the mutex held. */
static void
spare_make(struct ahead *ahead)
{
    uint32_t number = ahead->spare_number;
    uint64_t octets = ahead->segment_octets;
    struct buffer why = BUFFER_EMPTY;
    int fd;

    pthread_mutex_unlock(&ahead->mutex);
    fd = segment_create_fitting(ahead->dir_fd, number, &octets, ahead->epoch,
                                &why);
    pthread_mutex_lock(&ahead->mutex);
    ahead->spare = fd < 0 ? SPARE_FAILED : SPARE_READY;
    ahead->spare_fd = fd;
    ahead->spare_octets = octets;
    buffer_free(&ahead->spare_why);
    ahead->spare_why = why;
    pthread_cond_broadcast(&ahead->done);
}

/* Called and returns with the mutex held. */
static void
retired_release(struct ahead *ahead)
{
    struct retired *retired = ahead->retired;

    ahead->retired = retired->next;
    pthread_mutex_unlock(&ahead->mutex);
    if (ftruncate(retired->fd, (off_t)retired->end) < 0)
        syswarn("spool: unused space of a segment cannot be released");
    close(retired->fd);
    free(retired);
    pthread_mutex_lock(&ahead->mutex);
}

/*
 * The segment that is zeroed, open apart from the writer's descriptor: the
 * system reports a failed write once per open file, and the writer's fdatasync
 * must be the one that hears of its own.
 */
struct target {
    uint32_t number;
    int fd;
};

static int
target_open(struct ahead *ahead, struct target *target, uint32_t number)
{
    char name[SEGMENT_NAME_OCTETS];

    if (target->number == number)
        return 0;
    if (target->fd >= 0)
        close(target->fd);
    segment_name(name, number, "seg");
    target->number = number;
    target->fd = openat(ahead->dir_fd, name, O_WRONLY | O_CLOEXEC);
    return target->fd < 0 ? -1 : 0;
}

/* Write one piece of zeroes and see it to the disk.  Called and returns with
   the mutex held. */
static void
zero_piece(struct ahead *ahead, struct target *target)
{
    static const char zeroes[ZERO_OCTETS];
    uint64_t from = ahead->zeroed;
    uint64_t to = from + ZERO_OCTETS;
    uint32_t number = ahead->number;
    struct iovec piece = {.iov_base = (char *)zeroes};
    bool good;

    if (to > ahead->octets)
        to = ahead->octets;
    piece.iov_len = (size_t)(to - from);
    ahead->zeroed = to;
    ahead->zeroing = true;
    ahead->zeroing_from = from;
    pthread_mutex_unlock(&ahead->mutex);
    good = target_open(ahead, target, number) == 0
           && pwritev(target->fd, &piece, 1, (off_t)from)
                  == (ssize_t)piece.iov_len;
    pthread_mutex_lock(&ahead->mutex);
    ahead->zeroing = false;
    pthread_cond_broadcast(&ahead->done);
    /* Now in the page cache: a batch may write over it from here on. */
    pthread_mutex_unlock(&ahead->mutex);
    /*
     * To the disk, but without waiting for the journal as fdatasync would: the
     * next batch's fdatasync brings that along.
     */
    good =
        good
        && sync_file_range(target->fd, (off_t)from, (off_t)piece.iov_len,
                           SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE
                               | SYNC_FILE_RANGE_WAIT_AFTER)
               == 0;
    if (!good)
        syswarn("spool: zeroes cannot be written ahead in segment %08" PRIx32,
                number);
    pthread_mutex_lock(&ahead->mutex);
    if (!good && ahead->number == number)
        ahead->given_up = true;
}

static void *
ahead_run(void *context)
{
    struct ahead *ahead = context;
    struct target target = {.fd = -1};

    pthread_mutex_lock(&ahead->mutex);
    for (;;) {
        if (ahead->spare == SPARE_WANTED && !ahead->stopping)
            spare_make(ahead);
        else if (ahead->retired != NULL)
            retired_release(ahead);
        else if (ahead->stopping)
            break;
        else if (zero_is_due(ahead))
            zero_piece(ahead, &target);
        else
            pthread_cond_wait(&ahead->work, &ahead->mutex);
    }
    pthread_mutex_unlock(&ahead->mutex);
    if (target.fd >= 0)
        close(target.fd);
    return NULL;
}

/* --- its master --- */

struct ahead *
ahead_start(int dir_fd, uint64_t segment_octets, uint64_t epoch)
{
    struct ahead *ahead = xcalloc(1, sizeof(*ahead));

    ahead->dir_fd = dir_fd;
    ahead->segment_octets = segment_octets;
    ahead->epoch = epoch;
    ahead->spare_fd = -1;
    pthread_mutex_init(&ahead->mutex, NULL);
    pthread_cond_init(&ahead->work, NULL);
    pthread_cond_init(&ahead->done, NULL);
    errno = thread_begin(&ahead->thread, ahead_run, ahead);
    if (errno != 0)
        sysdie(EXIT_SYSTEM, "spool: no thread");
    return ahead;
}

void
ahead_stop(struct ahead **ahead)
{
    struct ahead *old = *ahead;
    char name[SEGMENT_NAME_OCTETS];

    if (old == NULL)
        return;
    pthread_mutex_lock(&old->mutex);
    old->stopping = true;
    pthread_cond_signal(&old->work);
    pthread_mutex_unlock(&old->mutex);
    pthread_join(old->thread, NULL);
    if (old->spare == SPARE_READY) {
        close(old->spare_fd);
        segment_name(name, old->spare_number, "new");
        if (unlinkat(old->dir_fd, name, 0) < 0)
            syswarn("spool: %s cannot be removed", name);
    }
    buffer_free(&old->spare_why);
    pthread_cond_destroy(&old->done);
    pthread_cond_destroy(&old->work);
    pthread_mutex_destroy(&old->mutex);
    free(old);
    *ahead = NULL;
}

void
ahead_prepare(struct ahead *ahead, uint32_t number)
{
    pthread_mutex_lock(&ahead->mutex);
    assert(ahead->spare == SPARE_NONE);
    ahead->spare = SPARE_WANTED;
    ahead->spare_number = number;
    pthread_cond_signal(&ahead->work);
    pthread_mutex_unlock(&ahead->mutex);
}

int
ahead_take(struct ahead *ahead, uint64_t *octets_r, struct buffer *why)
{
    int fd = -1;

    pthread_mutex_lock(&ahead->mutex);
    assert(ahead->spare != SPARE_NONE);
    if (ahead->spare == SPARE_FAILED) {
        ahead->spare = SPARE_WANTED;
        pthread_cond_signal(&ahead->work);
    }
    while (ahead->spare == SPARE_WANTED)
        pthread_cond_wait(&ahead->done, &ahead->mutex);
    if (ahead->spare == SPARE_READY) {
        fd = ahead->spare_fd;
        *octets_r = ahead->spare_octets;
        ahead->spare = SPARE_NONE;
    } else {
        why_set(why, "%s", buffer_text(&ahead->spare_why));
    }
    pthread_mutex_unlock(&ahead->mutex);
    return fd;
}

void
ahead_return(struct ahead *ahead, int fd)
{
    pthread_mutex_lock(&ahead->mutex);
    assert(ahead->spare == SPARE_NONE);
    ahead->spare = SPARE_READY;
    ahead->spare_fd = fd;
    pthread_mutex_unlock(&ahead->mutex);
}

void
ahead_retire(struct ahead *ahead, int fd, uint64_t end)
{
    struct retired *retired = xmalloc(sizeof(*retired));

    pthread_mutex_lock(&ahead->mutex);
    *retired = (struct retired){ahead->retired, fd, end};
    ahead->retired = retired;
    pthread_cond_signal(&ahead->work);
    pthread_mutex_unlock(&ahead->mutex);
}

static uint64_t
block_end(uint64_t offset)
{
    return (offset + BLOCK_OCTETS - 1) & ~(uint64_t)(BLOCK_OCTETS - 1);
}

void
ahead_follow(struct ahead *ahead, uint32_t number, uint64_t octets,
             uint64_t tail)
{
    pthread_mutex_lock(&ahead->mutex);
    ahead->number = number;
    ahead->octets = octets;
    ahead->tail = tail;
    ahead->zeroed = block_end(tail);
    ahead->given_up = false;
    pthread_cond_signal(&ahead->work);
    pthread_mutex_unlock(&ahead->mutex);
}

void
ahead_writing(struct ahead *ahead, size_t octets)
{
    uint64_t tail;

    pthread_mutex_lock(&ahead->mutex);
    tail = ahead->tail + octets;
    while (ahead->zeroing && tail > ahead->zeroing_from)
        pthread_cond_wait(&ahead->done, &ahead->mutex);
    ahead->tail = tail;
    ahead->large = octets > LARGE_OCTETS;
    if (ahead->zeroed < block_end(tail))
        ahead->zeroed = block_end(tail);
    /* Small writes are many: the thread is called when there is a whole piece
       for it to do. */
    if (zero_is_due(ahead) && zero_goal(ahead) - ahead->zeroed >= ZERO_OCTETS)
        pthread_cond_signal(&ahead->work);
    pthread_mutex_unlock(&ahead->mutex);
}
