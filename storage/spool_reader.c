#include "storage/spool_reader.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/thread.h"
#include "storage/segment.h"

enum {
    /* So many reads a cold disk has at once, to sort them by their places. */
    THREADS = 16,
    SEGMENTS_MAX = 32, /* open at a time, but for those in use */
    /* Nothing that a token may ask for is longer. */
    RECORD_OCTETS_MAX = ARTICLE_OCTETS_HARD_MAX + 1024 * 1024,
    /* How long an unlinked segment may keep its space because we have it
       open. */
    SWEEP_SECONDS = 30,
};

/* An open segment.  Only the loop's thread looks at these. */
struct open_segment {
    struct open_segment *next; /* the one used last is first */
    uint32_t number;
    int fd;
    unsigned reads; /* of threads, under way */
};

struct spool_read {
    struct spool_read *next; /* in wanted or finished */
    struct spool_reader *reader;
    struct token token;
    uint64_t sequence;
    struct open_segment *segment;
    /* The loop's thread alone touches these two. */
    spool_read_func *func; /* NULL: forgotten */
    void *context;
    /* Set by a thread before the read is finished. */
    struct spooled *spooled;
    ssize_t got;
    int error;
};

struct reads { /* a queue */
    struct spool_read *first;
    struct spool_read **end;
};

struct spool_reader {
    char *path;
    int dir_fd;
    struct open_segment *segments;
    unsigned segment_count;
    uint64_t faults; /* so far, for the log */
    struct event *finished_event;
    struct event *sweep_event;
    int finished_fd;

    pthread_t threads[THREADS];
    bool started;
    pthread_mutex_t mutex; /* over what follows */
    pthread_cond_t work;
    bool stopping;
    struct reads wanted;
    struct reads finished;
};

/* --- records in memory --- */

/* The octets of the record lie behind the struct. */
static char *
spooled_octets(struct spooled *spooled)
{
    return (char *)(spooled + 1);
}

static struct spooled *
spooled_new(uint32_t octets)
{
    struct spooled *spooled = xmalloc(sizeof(*spooled) + octets);

    spooled->references = 1;
    return spooled;
}

void
spooled_hold(struct spooled *spooled)
{
    __atomic_add_fetch(&spooled->references, 1, __ATOMIC_RELAXED);
}

void
spooled_release(struct spooled *spooled)
{
    if (__atomic_sub_fetch(&spooled->references, 1, __ATOMIC_ACQ_REL) == 0)
        free(spooled);
}

/* --- what was read --- */

static bool
token_is_possible(const struct token *token)
{
    return token->segment != 0 && token->offset >= SEGMENT_HEAD_OCTETS
           && token->octets >= sizeof(struct record_head)
           && token->octets <= RECORD_OCTETS_MAX;
}

/* Check what was read; got is what the system said.  Says in why what is wrong
   when it is to be logged. */
static enum spool_result
record_check(struct spooled *spooled, const struct token *token,
             uint64_t sequence, ssize_t got, struct buffer *why)
{
    struct record *record = &spooled->record;

    if (got != (ssize_t)token->octets) {
        why_set(why, "segment ends within the record");
        return SPOOL_CORRUPT;
    }
    if (record_parse(record, spooled_octets(spooled), token->octets, true, why)
        < 0)
        return SPOOL_CORRUPT;
    if (record->head.sequence != sequence)
        return SPOOL_GONE;
    record->token.segment = token->segment;
    record->token.offset = token->offset;
    return SPOOL_FOUND;
}

static void
fault_log(const char *path, uint64_t times, const struct token *token,
          uint64_t sequence, const char *why)
{
    warn("spool: %s: record sequence=%" PRIu64 " segment=%08" PRIx32
         " offset=%" PRIu32 ": %s (faults=%" PRIu64 ")",
         path, sequence, token->segment, token->offset, why, times);
}

/* A damaged segment that many ask for must not fill the log: the first ten
   faults are told, then each time that their number has doubled. */
static void
fault_note(struct spool_reader *reader, const struct token *token,
           uint64_t sequence, const char *why)
{
    uint64_t times = ++reader->faults;

    if (times <= 10 || (times & (times - 1)) == 0)
        fault_log(reader->path, times, token, sequence, why);
}

/* --- open segments --- */

/* O_NOATIME is the owner's privilege; reading need not change the inode. */
static int
segment_open(int dir_fd, uint32_t number)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
    char name[SEGMENT_NAME_OCTETS];
    int fd;

    segment_name(name, number, "seg");
    fd = openat(dir_fd, name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(dir_fd, name, flags);
    return fd;
}

static void
segment_close(struct spool_reader *reader, struct open_segment **at)
{
    struct open_segment *segment = *at;

    *at = segment->next;
    close(segment->fd);
    free(segment);
    reader->segment_count--;
}

/* Make room: close the one not used for longest. */
static void
segments_trim(struct spool_reader *reader)
{
    struct open_segment **oldest = NULL;

    if (reader->segment_count < SEGMENTS_MAX)
        return;
    for (struct open_segment **at = &reader->segments; *at != NULL;
         at = &(*at)->next)
        if ((*at)->reads == 0)
            oldest = at;
    if (oldest != NULL)
        segment_close(reader, oldest);
}

/* NULL with errno when it cannot be opened. */
static struct open_segment *
segment_get(struct spool_reader *reader, uint32_t number)
{
    struct open_segment **at = &reader->segments;
    struct open_segment *segment;
    int fd;

    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    segment = *at;
    if (segment != NULL) {
        *at = segment->next;
    } else {
        fd = segment_open(reader->dir_fd, number);
        if (fd < 0)
            return NULL;
        segments_trim(reader);
        segment = xcalloc(1, sizeof(*segment));
        segment->number = number;
        segment->fd = fd;
        reader->segment_count++;
    }
    segment->next = reader->segments;
    reader->segments = segment;
    return segment;
}

static void
sweep(evutil_socket_t fd, short events, void *context)
{
    struct spool_reader *reader = context;
    struct open_segment **at = &reader->segments;
    struct stat st;

    (void)fd;
    (void)events;
    while (*at != NULL)
        if ((*at)->reads == 0 && fstat((*at)->fd, &st) == 0
            && st.st_nlink == 0)
            segment_close(reader, at);
        else
            at = &(*at)->next;
}

/* --- threads --- */

static void
reads_init(struct reads *reads)
{
    reads->first = NULL;
    reads->end = &reads->first;
}

static void
reads_put(struct reads *reads, struct spool_read *read)
{
    read->next = NULL;
    *reads->end = read;
    reads->end = &read->next;
}

static struct spool_read *
reads_take(struct reads *reads)
{
    struct spool_read *read = reads->first;

    if (read == NULL)
        return NULL;
    reads->first = read->next;
    if (reads->first == NULL)
        reads->end = &reads->first;
    return read;
}

static void
read_whole(struct spool_read *read)
{
    char *octets = spooled_octets(read->spooled);
    ssize_t got;

    while (read->got < (ssize_t)read->token.octets) {
        got = pread(read->segment->fd, octets + read->got,
                    read->token.octets - (size_t)read->got,
                    (off_t)read->token.offset + read->got);
        if (got < 0)
            read->error = errno;
        if (got <= 0)
            return;
        read->got += got;
    }
}

static void *
thread_run(void *context)
{
    struct spool_reader *reader = context;
    const uint64_t one = 1;
    struct spool_read *read;
    bool first;

    pthread_mutex_lock(&reader->mutex);
    while (!reader->stopping) {
        read = reads_take(&reader->wanted);
        if (read == NULL) {
            pthread_cond_wait(&reader->work, &reader->mutex);
            continue;
        }
        pthread_mutex_unlock(&reader->mutex);
        read_whole(read);
        pthread_mutex_lock(&reader->mutex);
        first = reader->finished.first == NULL;
        reads_put(&reader->finished, read);
        /* Adding 1 to an eventfd that is read before it fills cannot fail. */
        if (first
            && write(reader->finished_fd, &one, sizeof(one))
                   != (ssize_t)sizeof(one))
            sysdie(EXIT_SYSTEM, "spool reader: eventfd");
    }
    pthread_mutex_unlock(&reader->mutex);
    return NULL;
}

static void
threads_start(struct spool_reader *reader)
{
    for (int i = 0; i < THREADS; i++) {
        errno = thread_begin(&reader->threads[i], thread_run, reader);
        if (errno != 0)
            sysdie(EXIT_SYSTEM, "spool reader: no thread");
    }
    reader->started = true;
}

static void
read_free(struct spool_read *read)
{
    if (read->spooled != NULL)
        spooled_release(read->spooled);
    free(read);
}

/* Tell the asker of a read that a thread has done. */
static void
read_finish(struct spool_read *read)
{
    struct spool_reader *reader = read->reader;
    struct buffer why = BUFFER_EMPTY;
    enum spool_result result = SPOOL_FAILED;
    struct spooled *spooled = NULL;

    read->segment->reads--;
    if (read->func != NULL) {
        if (read->error != 0) {
            errno = read->error;
            why_set_errno(&why, "read");
        } else {
            result = record_check(read->spooled, &read->token, read->sequence,
                                  read->got, &why);
        }
        if (why.used > 0)
            fault_note(reader, &read->token, read->sequence,
                       buffer_text(&why));
        buffer_free(&why);
        if (result == SPOOL_FOUND) {
            spooled = read->spooled;
            read->spooled = NULL;
        }
        read->func(read->context, result, spooled);
    }
    read_free(read);
}

static void
reads_finished(evutil_socket_t fd, short events, void *context)
{
    struct spool_reader *reader = context;
    struct reads finished;
    struct spool_read *read;
    uint64_t count;

    (void)events;
    /* Empties it; that it is empty already is as good. */
    if (eventfd_read(fd, &count) < 0 && errno != EAGAIN)
        sysdie(EXIT_SYSTEM, "spool reader: eventfd");
    pthread_mutex_lock(&reader->mutex);
    finished = reader->finished;
    reads_init(&reader->finished);
    pthread_mutex_unlock(&reader->mutex);
    while ((read = finished.first) != NULL) {
        finished.first = read->next;
        read_finish(read);
    }
}

/* --- for the loop --- */

struct spool_reader *
spool_reader_new(const char *path, struct event_base *base)
{
    const struct timeval sweep_every = {.tv_sec = SWEEP_SECONDS};
    struct spool_reader *reader = xcalloc(1, sizeof(*reader));

    reader->path = xstrdup(path);
    reader->dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (reader->dir_fd < 0)
        sysdie(EXIT_IO, "spool reader: %s", path);
    reader->finished_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (reader->finished_fd < 0)
        sysdie(EXIT_SYSTEM, "spool reader: eventfd");
    pthread_mutex_init(&reader->mutex, NULL);
    pthread_cond_init(&reader->work, NULL);
    reads_init(&reader->wanted);
    reads_init(&reader->finished);
    reader->finished_event =
        event_new(base, reader->finished_fd, EV_READ | EV_PERSIST,
                  reads_finished, reader);
    reader->sweep_event = event_new(base, -1, EV_PERSIST, sweep, reader);
    if (reader->finished_event == NULL || reader->sweep_event == NULL
        || event_add(reader->finished_event, NULL) < 0
        || event_add(reader->sweep_event, &sweep_every) < 0)
        die(EXIT_SYSTEM, "spool reader: no event");
    return reader;
}

void
spool_reader_free(struct spool_reader **reader)
{
    struct spool_reader *old = *reader;
    struct spool_read *read;

    if (old == NULL)
        return;
    pthread_mutex_lock(&old->mutex);
    old->stopping = true;
    pthread_cond_broadcast(&old->work);
    pthread_mutex_unlock(&old->mutex);
    for (int i = 0; old->started && i < THREADS; i++)
        pthread_join(old->threads[i], NULL);
    while ((read = reads_take(&old->wanted)) != NULL
           || (read = reads_take(&old->finished)) != NULL)
        read_free(read);
    while (old->segments != NULL)
        segment_close(old, &old->segments);
    event_free(old->sweep_event);
    event_free(old->finished_event);
    close(old->finished_fd);
    close(old->dir_fd);
    pthread_cond_destroy(&old->work);
    pthread_mutex_destroy(&old->mutex);
    free(old->path);
    free(old);
    *reader = NULL;
}

/* Leave a read to the threads. */
static struct spool_read *
read_queue(struct spool_reader *reader, struct open_segment *segment,
           struct spooled *spooled, const struct token *token,
           uint64_t sequence, spool_read_func *func, void *context)
{
    struct spool_read *read = xcalloc(1, sizeof(*read));

    read->reader = reader;
    read->token = *token;
    read->sequence = sequence;
    read->segment = segment;
    read->func = func;
    read->context = context;
    read->spooled = spooled;
    segment->reads++;
    if (!reader->started)
        threads_start(reader);
    pthread_mutex_lock(&reader->mutex);
    reads_put(&reader->wanted, read);
    pthread_cond_signal(&reader->work);
    pthread_mutex_unlock(&reader->mutex);
    return read;
}

/*
 * Opening may have to look a name up on a cold disk, once per segment and
 * process: that is done here, by the loop.
 */
static struct open_segment *
segment_for(struct spool_reader *reader, const struct token *token,
            uint64_t sequence, enum spool_result *result_r)
{
    struct buffer why = BUFFER_EMPTY;
    struct open_segment *segment = NULL;

    *result_r = SPOOL_GONE;
    if (!token_is_possible(token))
        return NULL;
    segment = segment_get(reader, token->segment);
    if (segment == NULL && errno != ENOENT) {
        *result_r = SPOOL_FAILED;
        why_set_errno(&why, "open");
        fault_note(reader, token, sequence, buffer_text(&why));
        buffer_free(&why);
    }
    return segment;
}

struct spool_read *
spool_read(struct spool_reader *reader, const struct token *token,
           uint64_t sequence, spool_read_func *func, void *context)
{
    enum spool_result result;
    struct open_segment *segment =
        segment_for(reader, token, sequence, &result);
    struct buffer why = BUFFER_EMPTY;
    struct spooled *spooled;
    struct iovec whole;
    ssize_t got;

    if (segment == NULL) {
        func(context, result, NULL);
        return NULL;
    }
    spooled = spooled_new(token->octets);
    whole.iov_base = spooled_octets(spooled);
    whole.iov_len = token->octets;
    got = preadv2(segment->fd, &whole, 1, (off_t)token->offset, RWF_NOWAIT);
    /* EAGAIN, a part only, a file system that cannot say, a failing disk: the
       thread finds out which. */
    if (got != (ssize_t)token->octets)
        return read_queue(reader, segment, spooled, token, sequence, func,
                          context);
    result = record_check(spooled, token, sequence, got, &why);
    if (why.used > 0)
        fault_note(reader, token, sequence, buffer_text(&why));
    buffer_free(&why);
    if (result != SPOOL_FOUND) {
        spooled_release(spooled);
        spooled = NULL;
    }
    func(context, result, spooled);
    return NULL;
}

void
spool_read_forget(struct spool_read *read)
{
    /* A thread may be at work on it: it is freed when that is done. */
    read->func = NULL;
}

/* --- without a loop --- */

/* Read and check; why when there is something to say. */
static enum spool_result
read_blocking(const char *path, const struct token *token, uint64_t sequence,
              struct spooled *spooled, struct buffer *why)
{
    struct open_segment segment = {.fd = -1};
    struct spool_read read = {
        .token = *token, .segment = &segment, .spooled = spooled};
    int dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error;

    if (dir_fd < 0) {
        why_set_errno(why, "open");
        return SPOOL_FAILED;
    }
    segment.fd = segment_open(dir_fd, token->segment);
    error = errno;
    close(dir_fd);
    if (segment.fd < 0 && error == ENOENT)
        return SPOOL_GONE;
    if (segment.fd < 0) {
        errno = error;
        why_set_errno(why, "open");
        return SPOOL_FAILED;
    }
    read_whole(&read);
    close(segment.fd);
    if (read.error != 0) {
        errno = read.error;
        why_set_errno(why, "read");
        return SPOOL_FAILED;
    }
    return record_check(spooled, token, sequence, read.got, why);
}

enum spool_result
spool_read_now(const char *path, const struct token *token, uint64_t sequence,
               struct spooled **spooled_r)
{
    struct buffer why = BUFFER_EMPTY;
    struct spooled *spooled;
    enum spool_result result;

    if (!token_is_possible(token))
        return SPOOL_GONE;
    spooled = spooled_new(token->octets);
    result = read_blocking(path, token, sequence, spooled, &why);
    if (why.used > 0)
        fault_log(path, 1, token, sequence, buffer_text(&why));
    buffer_free(&why);
    if (result == SPOOL_FOUND)
        *spooled_r = spooled;
    else
        spooled_release(spooled);
    return result;
}
