#include "innd/moderation_queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/spool.h"

enum { NAME_DIGITS = 16 };

static char *
file_path(const struct moderation_queue *queue, uint64_t sequence)
{
    return xasprintf("%s/%016" PRIx64, queue->path, sequence);
}

/* The sequence that a file's name says; 0: it is none of ours. */
static uint64_t
name_sequence(const char *name)
{
    if (strlen(name) != NAME_DIGITS
        || strspn(name, "0123456789abcdef") != NAME_DIGITS)
        return 0;
    return strtoull(name, NULL, 16);
}

/* A name in the directory is on the disk only when the directory is. */
static int
directory_sync(const char *path, struct buffer *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fsync(fd);

    if (result < 0)
        why_set_errno(why, "%s: fsync", path);
    if (fd >= 0)
        close(fd);
    return result;
}

/* --- what is known of each --- */

static struct waiting *
waiting_find(const struct moderation_queue *queue, uint64_t sequence)
{
    struct waiting *waiting;

    TAILQ_FOREACH (waiting, &queue->waiting, entry)
        if (waiting->sequence == sequence)
            return waiting;
    return NULL;
}

/* They come nearly in order: look for the place from the end. */
static void
waiting_insert(struct moderation_queue *queue, struct waiting *waiting)
{
    struct waiting *before;

    TAILQ_FOREACH_REVERSE(before, &queue->waiting, waiting_list, entry)
    if (before->sequence < waiting->sequence)
        break;
    if (before != NULL)
        TAILQ_INSERT_AFTER(&queue->waiting, before, waiting, entry);
    else
        TAILQ_INSERT_HEAD(&queue->waiting, waiting, entry);
    queue->count++;
}

static void
waiting_free(struct moderation_queue *queue, struct waiting *waiting)
{
    TAILQ_REMOVE(&queue->waiting, waiting, entry);
    queue->count--;
    free(waiting->group);
    free(waiting);
}

/* "GROUP ARRIVAL\n"; how many octets that is, 0 when it is not there. */
static size_t
head_parse(const struct buffer *file, int64_t *arrival_r, size_t *group_r)
{
    const char *text = buffer_text(file);
    const char *end = memchr(text, '\n', file->used);
    size_t group = strcspn(text, " \n");

    if (end == NULL || group == 0 || text[group] != ' ')
        return 0;
    *group_r = group;
    *arrival_r = strtoll(text + group, NULL, 10);
    return (size_t)(end - text) + 1;
}

static void
take_file(struct moderation_queue *queue, const char *name)
{
    struct buffer file = BUFFER_EMPTY;
    struct waiting *waiting;
    uint64_t sequence = name_sequence(name);
    int64_t arrival;
    size_t group;
    char *path;

    if (sequence == 0 || waiting_find(queue, sequence) != NULL)
        return;
    path = file_path(queue, sequence);
    if (file_read(path, O_NOFOLLOW, SIZE_MAX, &file) < 0)
        syswarn("%s", path);
    else if (head_parse(&file, &arrival, &group) == 0)
        warn("%s: is no post that waits", path);
    else {
        waiting = xcalloc(1, sizeof(*waiting));
        waiting->sequence = sequence;
        waiting->arrival = arrival;
        waiting->group = xmemdup(file.data, group);
        waiting_insert(queue, waiting);
    }
    free(path);
    buffer_free(&file);
}

/* --- the directory --- */

static DIR *
directory_open(const char *path, struct buffer *why)
{
    DIR *dir;

    if (mkdir(path, 0750) < 0 && errno != EEXIST) {
        why_set_errno(why, "%s", path);
        return NULL;
    }
    dir = opendir(path);
    if (dir == NULL)
        why_set_errno(why, "%s", path);
    return dir;
}

int
moderation_queue_scan(struct moderation_queue *queue, struct buffer *why)
{
    char *path = xasprintf("%s/failed", queue->path);
    DIR *dir = directory_open(queue->path, why);
    DIR *failed = dir == NULL ? NULL : directory_open(path, why);
    const struct dirent *entry;

    queue->failed = 0;
    while (failed != NULL && (entry = readdir(failed)) != NULL)
        queue->failed += name_sequence(entry->d_name) != 0;
    while (failed != NULL && (entry = readdir(dir)) != NULL)
        take_file(queue, entry->d_name);
    free(path);
    if (dir != NULL)
        closedir(dir);
    if (failed == NULL)
        return -1;
    closedir(failed);
    return 0;
}

int
moderation_queue_open(struct moderation_queue *queue, const char *pathdb,
                      struct buffer *why)
{
    *queue = (struct moderation_queue){0};
    TAILQ_INIT(&queue->waiting);
    queue->path = xasprintf("%s/moderation", pathdb);
    return moderation_queue_scan(queue, why);
}

void
moderation_queue_close(struct moderation_queue *queue)
{
    while (!TAILQ_EMPTY(&queue->waiting))
        waiting_free(queue, TAILQ_FIRST(&queue->waiting));
    free(queue->path);
    queue->path = NULL;
}

/* --- in and out --- */

int
moderation_queue_add(struct moderation_queue *queue,
                     const struct record *record, const char *group,
                     struct buffer *why)
{
    struct waiting *waiting;
    struct buffer file = BUFFER_EMPTY;
    char *path;
    int result;

    if (waiting_find(queue, record->head.sequence) != NULL)
        return 0;
    path = file_path(queue, record->head.sequence);
    buffer_append_format(&file, "%s %" PRId64 "\n", group,
                         record->head.arrival);
    buffer_append(&file, record->payload, record->head.payload_octets);
    result = file_replace(path, &file, why) < 0
                     || directory_sync(queue->path, why) < 0
                 ? -1
                 : 0;
    free(path);
    buffer_free(&file);
    if (result < 0)
        return -1;
    waiting = xcalloc(1, sizeof(*waiting));
    waiting->sequence = record->head.sequence;
    waiting->arrival = record->head.arrival;
    waiting->group = xstrdup(group);
    waiting_insert(queue, waiting);
    return 0;
}

int
moderation_queue_read(const struct moderation_queue *queue,
                      const struct waiting *waiting, struct buffer *post,
                      struct buffer *why)
{
    char *path = file_path(queue, waiting->sequence);
    int result = file_read(path, O_NOFOLLOW, SIZE_MAX, post);
    int64_t arrival;
    size_t group;

    if (result < 0)
        why_set_errno(why, "%s", path);
    else
        buffer_drop(post, head_parse(post, &arrival, &group));
    free(path);
    return result;
}

/* What stays behind is mailed once more, which is better than never. */
void
moderation_queue_remove(struct moderation_queue *queue,
                        struct waiting *waiting)
{
    char *path = file_path(queue, waiting->sequence);

    if (unlink(path) < 0 && errno != ENOENT)
        syswarn("%s", path);
    free(path);
    waiting_free(queue, waiting);
}

void
moderation_queue_fail(struct moderation_queue *queue, struct waiting *waiting)
{
    char *path = file_path(queue, waiting->sequence);
    char *aside =
        xasprintf("%s/failed/%016" PRIx64, queue->path, waiting->sequence);

    if (rename(path, aside) < 0)
        syswarn("%s: cannot be moved to failed", path);
    else
        queue->failed++;
    free(path);
    free(aside);
    waiting_free(queue, waiting);
}
