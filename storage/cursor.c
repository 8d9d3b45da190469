/*
 * cursor -- see cursor.h.
 */
#include "storage/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/memory.h"

enum {
    CURSOR_MAGIC = 0x43464e52, /* "RNFC" */
    CURSOR_VERSION = 1,
    SLOTS = 2,
    SLOT_OCTETS = 512, /* a sector each: they are not torn together */
};

struct slot {
    uint32_t magic;
    uint32_t version;
    uint64_t generation; /* the higher one counts */
    uint64_t sequence;
    uint32_t segment;
    uint32_t offset;
    uint32_t zero;
    uint32_t crc; /* crc32c of all before it */
};
_Static_assert(sizeof(struct slot) == 40, "on disk");

struct cursor {
    char *path;
    int fd;
    bool known;
    uint64_t generation;
    struct log_position position;
};

static bool
slot_read(int fd, int number, struct slot *slot)
{
    return pread(fd, slot, sizeof(*slot), number * SLOT_OCTETS)
               == (ssize_t)sizeof(*slot)
           && slot->magic == CURSOR_MAGIC && slot->version == CURSOR_VERSION
           && slot->crc == crc32c(0, slot, offsetof(struct slot, crc));
}

struct cursor *
cursor_open(const char *path, struct buffer *why)
{
    struct cursor *cursor;
    struct slot slot;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);

    if (fd < 0) {
        why_set_errno(why, "%s", path);
        return NULL;
    }
    cursor = xcalloc(1, sizeof(*cursor));
    cursor->path = xstrdup(path);
    cursor->fd = fd;
    for (int i = 0; i < SLOTS; i++) {
        if (!slot_read(fd, i, &slot)
            || (cursor->known && slot.generation <= cursor->generation))
            continue;
        cursor->known = true;
        cursor->generation = slot.generation;
        cursor->position =
            (struct log_position){slot.segment, slot.offset, slot.sequence};
    }
    return cursor;
}

void
cursor_close(struct cursor **cursor)
{
    if (*cursor == NULL)
        return;
    close((*cursor)->fd);
    free((*cursor)->path);
    free(*cursor);
    *cursor = NULL;
}

int
cursor_read(const struct cursor *cursor, struct log_position *position_r)
{
    *position_r = cursor->position;
    return cursor->known;
}

static bool
position_is(const struct log_position *one, const struct log_position *other)
{
    return one->segment == other->segment && one->offset == other->offset
           && one->sequence == other->sequence;
}

int
cursor_write(struct cursor *cursor, const struct log_position *position,
             struct buffer *why)
{
    struct slot slot = {
        .magic = CURSOR_MAGIC,
        .version = CURSOR_VERSION,
        .generation = cursor->generation + 1,
        .sequence = position->sequence,
        .segment = position->segment,
        .offset = position->offset,
    };
    ssize_t written;

    if (cursor->known && position_is(&cursor->position, position))
        return 0;
    slot.crc = crc32c(0, &slot, offsetof(struct slot, crc));
    written = pwrite(cursor->fd, &slot, sizeof(slot),
                     (off_t)(slot.generation % SLOTS) * SLOT_OCTETS);
    if (written < 0)
        return why_set_errno(why, "%s", cursor->path);
    if (written != (ssize_t)sizeof(slot))
        return why_set(why, "%s: short write", cursor->path);
    cursor->known = true;
    cursor->generation = slot.generation;
    cursor->position = *position;
    return 0;
}
