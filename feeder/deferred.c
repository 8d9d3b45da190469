/*
 * deferred -- see deferred.h.
 */
#include "feeder/deferred.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/log.h"
#include "lib/memory.h"

enum { DEFERRED_MAGIC = 0x44464e52, DEFERRED_VERSION = 1 }; /* "RNFD" */

struct file_head {
    uint32_t magic;
    uint32_t version;
    uint32_t count;
    uint32_t crc; /* crc32c of the entries */
};
struct file_entry {
    uint64_t sequence;
    struct token token;
};
_Static_assert(sizeof(struct file_head) == 16, "on disk");
_Static_assert(sizeof(struct file_entry) == 24, "on disk");

struct deferred {
    char *path;
    struct deferred_entry *entries; /* ascending by sequence */
    size_t count, room;
    bool changed;
};

/* Where it is, or would be. */
static size_t
place_find(const struct deferred *deferred, uint64_t sequence)
{
    size_t low = 0, high = deferred->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (deferred->entries[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct deferred_entry *
entry_find(struct deferred *deferred, uint64_t sequence)
{
    size_t place = place_find(deferred, sequence);

    if (place < deferred->count
        && deferred->entries[place].sequence == sequence)
        return &deferred->entries[place];
    return NULL;
}

static struct deferred_entry *
entry_add(struct deferred *deferred, uint64_t sequence)
{
    size_t place = place_find(deferred, sequence);
    struct deferred_entry *entry;

    if (deferred->count == deferred->room) {
        deferred->room = deferred->room * 2 + 64;
        deferred->entries = xreallocarray(deferred->entries, deferred->room,
                                          sizeof(*deferred->entries));
    }
    entry = &deferred->entries[place];
    memmove(entry + 1, entry, (deferred->count - place) * sizeof(*entry));
    deferred->count++;
    *entry = (struct deferred_entry){.sequence = sequence};
    return entry;
}

static void
file_take(struct deferred *deferred, const char *octets, size_t length,
          uint64_t now_ms)
{
    struct file_head head = {0};
    struct file_entry entry;

    if (length >= sizeof(head))
        memcpy(&head, octets, sizeof(head));
    if (head.magic != DEFERRED_MAGIC || head.version != DEFERRED_VERSION
        || length != sizeof(head) + head.count * sizeof(entry)
        || head.crc
               != crc32c(0, octets + sizeof(head), length - sizeof(head))) {
        warn("%s: is damaged; the articles in it are not offered again",
             deferred->path);
        return;
    }
    for (uint32_t i = 0; i < head.count; i++) {
        struct deferred_entry *added;

        memcpy(&entry, octets + sizeof(head) + i * sizeof(entry),
               sizeof(entry));
        added = entry_add(deferred, entry.sequence);
        added->token = entry.token;
        added->retry_ms = now_ms;
    }
}

struct deferred *
deferred_open(const char *path, uint64_t now_ms, struct buffer *why)
{
    struct deferred *deferred = xcalloc(1, sizeof(*deferred));
    size_t room = sizeof(struct file_head)
                  + DEFERRED_MAX * 2 * sizeof(struct file_entry);
    char *octets;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    deferred->path = xstrdup(path);
    if (fd < 0 && errno == ENOENT)
        return deferred;
    octets = xmalloc(room);
    got = fd < 0 ? -1 : read(fd, octets, room);
    if (got >= 0)
        file_take(deferred, octets, (size_t)got, now_ms);
    else
        why_set_errno(why, "%s", path);
    free(octets);
    if (fd >= 0)
        close(fd);
    if (got < 0)
        deferred_close(&deferred);
    return deferred;
}

void
deferred_close(struct deferred **deferred)
{
    if (*deferred == NULL)
        return;
    free((*deferred)->entries);
    free((*deferred)->path);
    free(*deferred);
    *deferred = NULL;
}

size_t
deferred_count(const struct deferred *deferred)
{
    return deferred->count;
}

void
deferred_put(struct deferred *deferred, uint64_t sequence,
             const struct token *token, uint64_t now_ms)
{
    struct deferred_entry *entry = entry_find(deferred, sequence);
    uint64_t pause = DEFERRED_FIRST_MS;

    if (entry == NULL) {
        entry = entry_add(deferred, sequence);
        deferred->changed = true;
    }
    for (unsigned i = 0; i < entry->deferrals && pause < DEFERRED_MOST_MS; i++)
        pause *= 2;
    if (pause > DEFERRED_MOST_MS)
        pause = DEFERRED_MOST_MS;
    entry->token = *token;
    entry->retry_ms = now_ms + pause;
    entry->deferrals++;
    entry->out = false;
}

void
deferred_drop(struct deferred *deferred, uint64_t sequence)
{
    struct deferred_entry *entry = entry_find(deferred, sequence);
    size_t behind;

    if (entry == NULL)
        return;
    behind = deferred->count - (size_t)(entry - deferred->entries) - 1;
    memmove(entry, entry + 1, behind * sizeof(*entry));
    deferred->count--;
    deferred->changed = true;
}

const struct deferred_entry *
deferred_due(struct deferred *deferred, uint64_t now_ms)
{
    for (size_t i = 0; i < deferred->count; i++) {
        struct deferred_entry *entry = &deferred->entries[i];

        if (entry->out || entry->retry_ms > now_ms)
            continue;
        entry->out = true;
        return entry;
    }
    return NULL;
}

void
deferred_return(struct deferred *deferred, uint64_t sequence)
{
    struct deferred_entry *entry = entry_find(deferred, sequence);

    if (entry != NULL)
        entry->out = false;
}

static void
file_build(const struct deferred *deferred, struct buffer *octets)
{
    struct file_head head = {.magic = DEFERRED_MAGIC,
                             .version = DEFERRED_VERSION,
                             .count = (uint32_t)deferred->count};

    buffer_append(octets, &head, sizeof(head));
    for (size_t i = 0; i < deferred->count; i++) {
        struct file_entry entry = {.sequence = deferred->entries[i].sequence,
                                   .token = deferred->entries[i].token};

        buffer_append(octets, &entry, sizeof(entry));
    }
    head.crc =
        crc32c(0, octets->data + sizeof(head), octets->used - sizeof(head));
    memcpy(octets->data, &head, sizeof(head));
}

int
deferred_save(struct deferred *deferred, struct buffer *why)
{
    struct buffer octets = BUFFER_EMPTY;
    int status;

    if (!deferred->changed)
        return 0;
    file_build(deferred, &octets);
    status = file_replace(deferred->path, &octets, why);
    if (status == 0)
        deferred->changed = false;
    buffer_free(&octets);
    return status;
}
