/*
 * moderation_queue -- the posts that wait for a moderator, each in a file.
 *
 * PATHDB/moderation/SEQUENCE (16 hexadecimal digits) holds the newsgroup and
 * the time it came, on one line, then the post as it was submitted, in wire
 * form.  A file is there, synced, before the cursor passes its record, and is
 * removed when it was mailed.  One that cannot be mailed for good is moved to
 * PATHDB/moderation/failed, where an admin finds it: moved back, it is tried
 * again at the next reload or start.
 */
#ifndef INND_MODERATION_QUEUE_H
#define INND_MODERATION_QUEUE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct buffer;
struct record;

/* One post in the queue. */
struct waiting {
    TAILQ_ENTRY(waiting) entry;
    uint64_t sequence;
    int64_t arrival; /* seconds since the epoch */
    char *group;     /* owned; the moderated newsgroup */
    unsigned attempts;
    int64_t due_ms; /* monotonic: not to be tried before */
    pid_t pid;      /* of the command that is mailing it; 0: none */
    int error_fd;   /* what the command says; with pid */
    int64_t begun_ms;
};

struct moderation_queue {
    char *path;                                /* PATHDB/moderation */
    TAILQ_HEAD(waiting_list, waiting) waiting; /* in order of sequence */
    size_t count;
    size_t failed; /* files set aside */
};

/* Makes the directories and reads what is there.  0 or -1 with why. */
int moderation_queue_open(struct moderation_queue *queue, const char *pathdb,
                          struct buffer *why);
void moderation_queue_close(struct moderation_queue *queue);
/* Look into the directory again: an admin may have moved a file back.  0 or -1
   with why. */
int moderation_queue_scan(struct moderation_queue *queue, struct buffer *why);

/* A submission from the log: its file is on the disk when this returns 0; does
   nothing when it is there already.  -1 with why. */
int moderation_queue_add(struct moderation_queue *queue,
                         const struct record *record, const char *group,
                         struct buffer *why);
/* The post's octets as they were submitted.  0 or -1 with why. */
int moderation_queue_read(const struct moderation_queue *queue,
                          const struct waiting *waiting, struct buffer *post,
                          struct buffer *why);
/* It was mailed; waiting is freed. */
void moderation_queue_remove(struct moderation_queue *queue,
                             struct waiting *waiting);
/* It is set aside; waiting is freed. */
void moderation_queue_fail(struct moderation_queue *queue,
                           struct waiting *waiting);

#endif
