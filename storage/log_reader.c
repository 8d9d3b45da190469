/*
 * log_reader -- see log_reader.h.
 */
#include "storage/log_reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/batch.h"
#include "storage/segment.h"

enum {
    /* Heads are read by this much at once: a dozen small articles, or the
       head of one large one. */
    WINDOW_OCTETS = 32 * 1024,
    /* A segment's first batch begins with its TRUNC records. */
    FIRST_LOOK_OCTETS = 8192,
    RECORDS_PER_CALL = 2000,
};

struct log_reader {
    char *path;
    const struct active *active;
    enum record_type type; /* of the records that are given */
    uint64_t last;         /* sequence of the last record that is behind us */

    /* the segment */
    uint32_t segment; /* 0: none yet */
    int fd;           /* -1: not open */
    uint64_t epoch;
    uint32_t end; /* of the log in it; 0: not known */
    bool spoiled; /* damaged: the rest of it goes by the overview */

    /* the batch, and the record within it */
    uint32_t batch;     /* offset of its head, or of the next one's */
    uint32_t batch_end; /* 0: between two batches */
    uint32_t next;      /* offset of the next record in it */
    uint32_t left;      /* records in it that were not looked at yet */

    uint64_t gap_last; /* 0: no gap here */

    char *window;
    size_t window_size;
    uint64_t window_at;
    size_t window_used;
    uint64_t window_committed; /* what was visible before it was read */
};

/* --- reading --- */

/* The octets at offset, as many as asked for at least; NULL when they are not
   there. */
static const char *
window_get(struct log_reader *reader, uint64_t offset, size_t octets)
{
    size_t wanted = octets > WINDOW_OCTETS ? octets : WINDOW_OCTETS;
    ssize_t got;

    if (offset >= reader->window_at
        && offset + octets <= reader->window_at + reader->window_used)
        return reader->window + (offset - reader->window_at);
    if (reader->window_size < wanted) {
        free(reader->window);
        reader->window = xmalloc(wanted);
        reader->window_size = wanted;
    }
    reader->window_at = offset;
    reader->window_used = 0;
    reader->window_committed = active_committed(reader->active);
    got = pread(reader->fd, reader->window, wanted, (off_t)offset);
    if (got > 0)
        reader->window_used = (size_t)got;
    return reader->window_used >= octets ? reader->window : NULL;
}

static int
segment_fd(const struct log_reader *reader, uint32_t number)
{
    char name[SEGMENT_NAME_OCTETS];
    char *path;
    int fd;
    int error;

    segment_name(name, number, "seg");
    path = xasprintf("%s/%s", reader->path, name);
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    error = errno;
    free(path);
    errno = error;
    return fd;
}

static void
segment_leave(struct log_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = -1;
    reader->end = 0;
    reader->spoiled = false;
    reader->batch_end = 0;
    reader->batch = SEGMENT_HEAD_OCTETS;
    reader->window_used = 0;
}

/* --- which segment --- */

/* Is it a segment of the log, and what does its head say?  1, 0, or -1 when
   it is there and cannot be asked. */
static int
chain_head(const struct log_reader *reader, uint32_t number,
           struct segment_head *head_r, struct buffer *why)
{
    int fd = segment_fd(reader, number);
    int status;

    if (fd < 0)
        return errno == ENOENT
                   ? 0
                   : why_set_errno(why, "segment %08" PRIx32, number);
    status = segment_head_read(fd, number, head_r, why);
    close(fd);
    if (status <= 0)
        return status;
    return head_r->storage_class == 0 ? 1 : 0;
}

/*
 * The segment to go on in: of those above `above` the lowest, or, with
 * sequence, the highest that begins at or before it.  1, 0 none, -1 why.
 */
static int
chain_find(const struct log_reader *reader, uint32_t above, uint64_t sequence,
           uint32_t *number_r, struct segment_head *head_r, struct buffer *why)
{
    DIR *dir = opendir(reader->path);
    struct dirent *entry;
    uint32_t best = 0;
    int status = 0;

    if (dir == NULL)
        return why_set_errno(why, "%s", reader->path);
    while (status >= 0 && (entry = readdir(dir)) != NULL) {
        uint32_t number = segment_number(entry->d_name, "seg");
        struct segment_head head;

        if (number == 0 || number <= above
            || (best != 0 && sequence == 0 && number >= best))
            continue;
        status = chain_head(reader, number, &head, why);
        if (status <= 0)
            continue;
        if (sequence != 0 && (head.first_sequence > sequence || number < best))
            continue;
        best = number;
        *head_r = head;
    }
    closedir(dir);
    *number_r = best;
    if (status < 0)
        return -1;
    return best != 0;
}

/*
 * Where the log ends in our segment, by the TRUNC records that a later one
 * begins with.  0 when they do not say: then what has good sums counts.
 */
static uint32_t
trunc_find(const struct log_reader *reader, uint32_t later)
{
    char octets[FIRST_LOOK_OCTETS];
    struct batch_head head;
    struct record record;
    struct trunc trunc;
    size_t at = sizeof(head);
    uint32_t end = 0;
    int64_t length;
    ssize_t got;
    int fd = segment_fd(reader, later);

    if (fd < 0)
        return 0;
    got = pread(fd, octets, sizeof(octets), SEGMENT_HEAD_OCTETS);
    close(fd);
    if (got < (ssize_t)sizeof(head))
        return 0;
    memcpy(&head, octets, sizeof(head));
    if (!batch_head_is_good(&head, later, 0, SEGMENT_HEAD_OCTETS))
        return 0;
    while ((length = record_parse(&record, octets + at, (size_t)got - at, true,
                                  NULL))
               > 0
           && record.head.type == RECORD_TRUNC
           && record.head.payload_octets == sizeof(trunc)) {
        memcpy(&trunc, record.payload, sizeof(trunc));
        if (trunc.segment == reader->segment)
            end = trunc.end;
        at += (size_t)length;
    }
    return end;
}

/*
 * Begin in a segment, whose head was read.  A gap before it comes first.  The
 * sequence in its head is that of no article in it: its first records are
 * TRUNC and SNAPSHOT, and repeat the last sequence before it where the log has
 * rolled over to it.
 */
static int
segment_enter(struct log_reader *reader, uint32_t number,
              const struct segment_head *head, struct buffer *why)
{
    segment_leave(reader);
    reader->segment = number;
    reader->epoch = head->epoch;
    reader->fd = segment_fd(reader, number);
    if (reader->fd < 0 && errno != ENOENT)
        return why_set_errno(why, "segment %08" PRIx32, number);
    if (head->first_sequence > reader->last)
        reader->gap_last = head->first_sequence;
    return 0;
}

/* Go on in the next segment of the log.  1 done, 0 there is none, -1 why. */
static int
segment_advance(struct log_reader *reader, struct buffer *why)
{
    struct segment_head head;
    uint32_t number;
    int status = chain_find(reader, reader->segment, 0, &number, &head, why);

    if (status <= 0)
        return status;
    return segment_enter(reader, number, &head, why) < 0 ? -1 : 1;
}

/* With no place to begin at, or one in a segment that is gone. */
static int
segment_begin(struct log_reader *reader, struct buffer *why)
{
    uint32_t offset = reader->batch;
    struct segment_head head;
    uint32_t number;
    int status = 0;

    if (reader->segment != 0) {
        status = chain_head(reader, reader->segment, &head, why);
        if (status > 0) {
            if (segment_enter(reader, reader->segment, &head, why) < 0)
                return -1;
            if (offset >= SEGMENT_HEAD_OCTETS) {
                reader->batch = offset;
                reader->gap_last = 0;
            }
            return 1;
        }
        if (status < 0)
            return -1;
    }
    status = chain_find(reader, 0, reader->last, &number, &head, why);
    if (status == 0)
        status = chain_find(reader, 0, 0, &number, &head, why);
    if (status <= 0)
        return status;
    return segment_enter(reader, number, &head, why) < 0 ? -1 : 1;
}

/* --- batches --- */

/*
 * Where does the log end in our segment, as far as is known now?  A batch
 * behind that may have good sums and be no part of it: one that a writer wrote
 * and could not sync.
 */
static int
end_learn(struct log_reader *reader, struct buffer *why)
{
    uint32_t segment, offset, later;
    uint64_t sequence;
    struct segment_head head;
    int status;

    if (reader->end != 0)
        return 0;
    active_durable(reader->active, &segment, &offset, &sequence);
    if (segment == reader->segment)
        return 0;
    status = chain_find(reader, reader->segment, 0, &later, &head, why);
    if (status <= 0)
        return status;
    reader->end = trunc_find(reader, later);
    return 0;
}

static uint32_t
end_now(const struct log_reader *reader)
{
    uint32_t segment, offset;
    uint64_t sequence;

    if (reader->end != 0)
        return reader->end;
    active_durable(reader->active, &segment, &offset, &sequence);
    return segment == reader->segment ? offset : UINT32_MAX;
}

/* Is there a good batch where the next one would be? */
static bool
batch_head_get(struct log_reader *reader, struct batch_head *head)
{
    const char *octets = window_get(reader, reader->batch, sizeof(*head));

    if (octets == NULL)
        return false;
    memcpy(head, octets, sizeof(*head));
    return batch_head_is_good(head, reader->segment, reader->epoch,
                              reader->batch)
           && head->count > 0;
}

/* 1: in a batch; 0: none begins here, or none that is visible; -1 damage. */
static int
batch_enter(struct log_reader *reader, uint64_t committed)
{
    uint32_t end = end_now(reader);
    struct batch_head head;

    if ((uint64_t)reader->batch + sizeof(head) > end)
        return 0;
    /* The window may be from before this batch was written, or from within
       that moment. */
    if (!batch_head_get(reader, &head)
        || head.first_sequence > reader->window_committed) {
        reader->window_used = 0;
        if (!batch_head_get(reader, &head)
            || (uint64_t)reader->batch + head.octets > end)
            return end == UINT32_MAX ? 0 : -1;
    }
    if (head.first_sequence > committed)
        return 0;
    reader->batch_end = reader->batch + head.octets;
    reader->next = reader->batch + (uint32_t)sizeof(head);
    reader->left = head.count;
    return 1;
}

static void
batch_leave(struct log_reader *reader)
{
    reader->batch = reader->batch_end;
    reader->batch_end = 0;
}

/* The head of the next record, without its payload.  0, or -1: damage. */
static int
record_take(struct log_reader *reader, struct record *record)
{
    const char *octets =
        window_get(reader, reader->next, sizeof(record->head));
    uint32_t meta;

    if (octets == NULL)
        return -1;
    memcpy(&record->head, octets, sizeof(record->head));
    meta = record->head.meta_octets;
    if (meta > reader->batch_end - reader->next)
        return -1;
    octets = window_get(reader, reader->next, sizeof(record->head) + meta);
    if (octets == NULL
        || record_parse_head(record, octets, reader->batch_end - reader->next,
                             NULL)
               < 0)
        return -1;
    record->token.segment = reader->segment;
    record->token.offset = reader->next;
    return 0;
}

/* --- for the owner --- */

struct log_reader *
log_reader_new(const char *path, const struct active *active,
               const struct log_position *from)
{
    struct log_reader *reader = xcalloc(1, sizeof(*reader));

    if (access(path, R_OK | X_OK) < 0)
        sysdie(EXIT_IO, "spool %s", path);
    reader->path = xstrdup(path);
    reader->active = active;
    reader->type = RECORD_ARTICLE;
    reader->fd = -1;
    reader->last = from->sequence;
    reader->segment = from->segment;
    reader->batch = from->offset;
    return reader;
}

void
log_reader_want(struct log_reader *reader, enum record_type type)
{
    reader->type = type;
}

void
log_reader_free(struct log_reader **reader)
{
    if (*reader == NULL)
        return;
    segment_leave(*reader);
    free((*reader)->window);
    free((*reader)->path);
    free(*reader);
    *reader = NULL;
}

static void
damage_note(struct log_reader *reader)
{
    warn("spool: segment %08" PRIx32 " is damaged at %" PRIu32
         ": its articles from sequence %" PRIu64 " on come by the overview",
         reader->segment,
         reader->batch_end != 0 ? reader->next : reader->batch,
         reader->last + 1);
    reader->spoiled = true;
    reader->batch_end = 0;
}

/*
 * Be in a batch that has something visible.  1 yes, 0 there is none (or a gap
 * was met: gap_last), -1 why.
 */
static int
batch_find(struct log_reader *reader, uint64_t committed, struct buffer *why)
{
    int status = 1;

    if (reader->fd < 0) {
        status = segment_begin(reader, why);
        /* Unlinked between two calls: the next one looks again. */
        if (status > 0 && (reader->fd < 0 || reader->gap_last != 0))
            return 0;
    }
    while (status > 0) {
        if (reader->batch_end != 0)
            return 1;
        if (!reader->spoiled) {
            if (end_learn(reader, why) < 0)
                return -1;
            status = batch_enter(reader, committed);
            if (status > 0)
                return 1;
            if (status < 0)
                damage_note(reader);
        }
        status = segment_advance(reader, why);
        if (status == 0 && reader->spoiled)
            reader->gap_last = committed;
        if (reader->gap_last != 0)
            return 0;
    }
    return status;
}

/* One record.  1 it is an article that is not behind us, 0 not, -1 damage. */
static int
record_step(struct log_reader *reader, struct log_step *step)
{
    const struct log_position before = {reader->segment, reader->batch,
                                        reader->last};
    struct record_head *head = &step->record.head;
    bool is_new;

    if (record_take(reader, &step->record) < 0) {
        damage_note(reader);
        return -1;
    }
    reader->next += head->octets;
    if (--reader->left == 0)
        batch_leave(reader);
    is_new = head->sequence > reader->last;
    if (is_new)
        reader->last = head->sequence;
    step->before = before;
    return is_new && head->type == reader->type;
}

enum log_answer
log_reader_next(struct log_reader *reader, struct log_step *step_r,
                struct buffer *why)
{
    /* Asked first: what it covers was there before all that is read now. */
    uint64_t committed = active_committed(reader->active);
    int status;

    for (int i = 0; i < RECORDS_PER_CALL; i++) {
        if (reader->last >= committed)
            return LOG_END;
        if (reader->gap_last == 0) {
            status = batch_find(reader, committed, why);
            if (status < 0)
                return LOG_FAILED;
            if (status == 0 && reader->gap_last == 0)
                return LOG_END;
        }
        if (reader->gap_last != 0) {
            if (reader->gap_last <= reader->last) {
                reader->gap_last = 0;
                continue;
            }
            step_r->gap_first = reader->last + 1;
            step_r->gap_last = reader->gap_last;
            return LOG_GAP;
        }
        if (record_step(reader, step_r) > 0)
            return LOG_ARTICLE;
    }
    return LOG_END;
}

bool
log_reader_has_more(const struct log_reader *reader)
{
    return reader->last < active_committed(reader->active);
}

void
log_reader_skip(struct log_reader *reader, uint64_t sequence)
{
    if (sequence > reader->last)
        reader->last = sequence;
    if (reader->last >= reader->gap_last)
        reader->gap_last = 0;
}

struct log_position
log_reader_position(const struct log_reader *reader)
{
    return (struct log_position){reader->segment, reader->batch, reader->last};
}
