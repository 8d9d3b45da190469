#include "storage/store_early.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"

enum {
    CHAINS = 1024,
    /* A file of more entries is written anew, with those that still count. */
    FILE_ENTRIES_MAX = 2 * EARLY_MAX,
};

struct early {
    TAILQ_ENTRY(early) age;
    LIST_ENTRY(early) chain;
    struct message_hash hash; /* of the article that has not come */
    int64_t until;
    char *keys;
};

TAILQ_HEAD(early_list, early);
LIST_HEAD(early_chain, early);

/* In the file, before the keys. */
struct early_entry {
    uint32_t crc; /* crc32c of all that follows, the keys included */
    uint32_t keys_octets;
    int64_t until;
    struct message_hash hash;
};
_Static_assert(sizeof(struct early_entry) == 32, "on disk");

struct early_table {
    struct early_list list; /* the oldest first */
    struct early_chain chains[CHAINS];
    size_t count;
    char *path;
    int fd;      /* -1: not open yet */
    bool failed; /* the file: it was said, once */
    size_t in_file;
};

/* --- in memory --- */

static void
early_drop(struct early_table *table, struct early *early)
{
    TAILQ_REMOVE(&table->list, early, age);
    LIST_REMOVE(early, chain);
    table->count--;
    free(early->keys);
    free(early);
}

static struct early_chain *
early_chain(struct early_table *table, const struct message_hash *hash)
{
    uint64_t bits;

    memcpy(&bits, hash, sizeof(bits));
    return &table->chains[bits % CHAINS];
}

/* Several may speak of one article, each with keys of its own. */
static struct early *
early_insert(struct early_table *table, const struct message_hash *hash,
             int64_t until, const char *keys, size_t keys_octets)
{
    struct early *early = xcalloc(1, sizeof(*early));

    if (table->count == EARLY_MAX)
        early_drop(table, TAILQ_FIRST(&table->list));
    early->hash = *hash;
    early->until = until;
    early->keys = xmemdup(keys, keys_octets);
    TAILQ_INSERT_TAIL(&table->list, early, age);
    LIST_INSERT_HEAD(early_chain(table, hash), early, chain);
    table->count++;
    return early;
}

/* --- the file --- */

static uint32_t
entry_crc(const struct early_entry *entry, const char *keys)
{
    uint32_t crc = crc32c(0, (const char *)entry + sizeof(entry->crc),
                          sizeof(*entry) - sizeof(entry->crc));

    return crc32c(crc, keys, entry->keys_octets);
}

static void
entry_append(struct buffer *octets, const struct early *early)
{
    struct early_entry entry = {
        .keys_octets = (uint32_t)strlen(early->keys),
        .until = early->until,
        .hash = early->hash,
    };

    entry.crc = entry_crc(&entry, early->keys);
    buffer_append(octets, &entry, sizeof(entry));
    buffer_append(octets, early->keys, entry.keys_octets);
}

/* What is torn, or is no entry, ends it. */
static void
file_take(struct early_table *table, const struct buffer *octets, int64_t now)
{
    size_t at = 0;

    while (octets->used - at >= sizeof(struct early_entry)) {
        const char *keys = octets->data + at + sizeof(struct early_entry);
        struct early_entry entry;

        memcpy(&entry, octets->data + at, sizeof(entry));
        at += sizeof(entry);
        if (entry.keys_octets > EARLY_KEYS_OCTETS_MAX
            || octets->used - at < entry.keys_octets
            || entry.crc != entry_crc(&entry, keys))
            break;
        at += entry.keys_octets;
        if (entry.until >= now)
            (void)early_insert(table, &entry.hash, entry.until, keys,
                               entry.keys_octets);
    }
}

/* What cannot be read is begun anew. */
static void
file_load(struct early_table *table, int64_t now)
{
    struct buffer octets = BUFFER_EMPTY;

    if (file_read(table->path, O_NOFOLLOW, SIZE_MAX, &octets) < 0
        && errno != ENOENT)
        syswarn("removals that came early are forgotten: %s", table->path);
    file_take(table, &octets, now);
    buffer_free(&octets);
}

static void
file_fail(struct early_table *table)
{
    if (!table->failed)
        syswarn("removals that come early will not outlast this process: %s",
                table->path);
    table->failed = true;
    if (table->fd >= 0)
        (void)close(table->fd); /* whatever is in it ends where it is torn */
    table->fd = -1;
}

/* All of them, in a file of their own that takes the name of the old one. */
static void
file_write_anew(struct early_table *table)
{
    struct buffer octets = BUFFER_EMPTY;
    char *path = xasprintf("%s.new", table->path);
    const struct early *early;
    int fd = open(
        path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
        0600);

    TAILQ_FOREACH (early, &table->list, age)
        entry_append(&octets, early);
    if (table->fd >= 0)
        (void)close(table->fd); /* the new one has all that counts */
    table->fd = fd;
    if (fd < 0
        || write(fd, buffer_text(&octets), octets.used) != (ssize_t)octets.used
        || rename(path, table->path) < 0)
        file_fail(table);
    table->in_file = table->count;
    buffer_free(&octets);
    free(path);
}

static void
file_append(struct early_table *table, const struct early *early)
{
    struct buffer octets = BUFFER_EMPTY;

    if (table->failed)
        return;
    if (table->fd < 0 || table->in_file >= FILE_ENTRIES_MAX) {
        file_write_anew(table);
        return;
    }
    entry_append(&octets, early);
    table->in_file++;
    if (write(table->fd, octets.data, octets.used) != (ssize_t)octets.used)
        file_fail(table);
    buffer_free(&octets);
}

/* --- for all --- */

struct early_table *
early_open(const char *pathspool, int64_t now)
{
    struct early_table *table = xcalloc(1, sizeof(*table));

    TAILQ_INIT(&table->list);
    table->path = xasprintf("%s/early-removals", pathspool);
    table->fd = -1;
    file_load(table, now);
    return table;
}

void
early_close(struct early_table **table)
{
    if (*table == NULL)
        return;
    while (!TAILQ_EMPTY(&(*table)->list))
        early_drop(*table, TAILQ_FIRST(&(*table)->list));
    if ((*table)->fd >= 0)
        (void)close((*table)->fd); /* no flush is waited for */
    free((*table)->path);
    free(*table);
    *table = NULL;
}

void
early_add(struct early_table *table, const struct message_hash *hash,
          const char *keys, int64_t now)
{
    size_t octets = strlen(keys);

    if (octets <= EARLY_KEYS_OCTETS_MAX)
        file_append(table, early_insert(table, hash, now + EARLY_SECONDS, keys,
                                        octets));
}

bool
early_find(struct early_table *table, const struct message_hash *hash,
           int64_t now, early_allows_func *allows, void *context)
{
    struct early *early, *next;

    if (table->count == 0)
        return false;
    for (early = LIST_FIRST(early_chain(table, hash)); early != NULL;
         early = next) {
        next = LIST_NEXT(early, chain);
        if (memcmp(&early->hash, hash, sizeof(*hash)) != 0)
            continue;
        if (early->until < now)
            early_drop(table, early);
        else if (allows(context, early->keys))
            return true;
    }
    return false;
}
