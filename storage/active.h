/*
 * active -- the newsgroups of this server with their water marks, in shared
 * memory: what INN's active file is, without a file.
 *
 * The writer alone changes it, after the change is durable; every other
 * process maps it read-only and answers GROUP and LIST from it.  A group has a
 * number, its id, for ever: a removed group keeps its slot, and with it its
 * high mark, so that a number a reader has seen never names another article.
 * Ids count from 1 and are never used again.  Names are found by a hash table
 * in the same memory.
 *
 * The commit counters tell readers when their view of the overview is old.
 * Order: the overview's transaction is committed first, then `committed`
 * moves, then the marks are set: a reader that sees a new high mark must know
 * that its own view is older.
 */
#ifndef STORAGE_ACTIVE_H
#define STORAGE_ACTIVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/message_id.h"

struct buffer;

/* RFC 3977, 6.1.1: 31 bits on the wire; 64 inside. */
enum { ARTICLE_NUMBER_MAX = 2147483647 };

enum { ACTIVE_BLOCK = 64 }; /* groups of a block: see active_block() */

/* One group's state, copied out of shared memory. */
struct group_marks {
    uint64_t low;   /* never falls; low = high + 1 when empty */
    uint64_t high;  /* never falls; 0: never had an article */
    uint64_t count; /* articles now */
};

struct active;

/*
 * The master makes the memory, empty, for groups_max groups; the kernel gives
 * pages only as they are used.  Returns a descriptor, or -1 with why.
 */
int active_create(size_t groups_max, struct buffer *why);
/* Map it; the descriptor may be closed afterwards.  NULL with why. */
struct active *active_map(int fd, bool writable, struct buffer *why);
/* For a tool with no server: private memory, writable. */
struct active *active_new(size_t groups_max);
void active_close(struct active **active);

/* --- reading, any process --- */

/* Ids run from 1 to this, removed groups among them. */
uint32_t active_count(const struct active *active);
/* The id of a living group, 0 when there is none of this name. */
uint32_t active_find(const struct active *active, const char *name,
                     size_t octets);
/* The same, removed groups too. */
uint32_t active_find_any(const struct active *active, const char *name,
                         size_t octets);
/* NUL-terminated, stays for ever.  id must be one that was given out. */
const char *active_name(const struct active *active, uint32_t id,
                        size_t *octets_r);
/* 'y', 'n', 'm', 'j', 'x', '=' as in INN's active file; 0: removed. */
char active_flag(const struct active *active, uint32_t id);
/* The group an alias ('=') stands for, 0 for others. */
uint32_t active_alias(const struct active *active, uint32_t id);
/* A consistent copy of the three. */
struct group_marks active_marks(const struct active *active, uint32_t id);
/* When it was created (seconds), by whom, and its line for LIST NEWSGROUPS;
   copies into the buffers (either may be NULL). */
int64_t active_origin(const struct active *active, uint32_t id,
                      struct buffer *creator, struct buffer *description);
/*
 * For ready-made lists.  Groups lie in blocks by their ids, and this is raised
 * with every change of a group of the block, its marks included: what was made
 * of the block's groups after it was read holds until it is another.  Odd: a
 * group is being changed, and what is made now holds for no later moment.
 */
uint64_t active_block_changes(const struct active *active, uint32_t block);
static inline uint32_t
active_block(uint32_t id)
{
    return id / ACTIVE_BLOCK;
}

/* Raised before marks, committed or removals change: whoever has seen one of
   these sees this moved too.  A view of the overview that was begun at this
   value has all that anyone can have been told of. */
uint64_t active_published(const struct active *active);
/* The last sequence number whose article readers may see. */
uint64_t active_committed(const struct active *active);
/* Raised when rows that readers may hold were removed or rewritten other than
   by folding (cancel, expire, rmgroup): drop what is cached. */
uint64_t active_removals(const struct active *active);
/* The store's secret for message_id_hash(); valid once the writer is ready. */
struct message_key active_key(const struct active *active);
/* How far the log is durable: what a new writer's TRUNC record says. */
void active_durable(const struct active *active, uint32_t *segment_r,
                    uint32_t *offset_r, uint64_t *sequence_r);

/* --- writing, the writer only --- */

/* Make or change a group.  id must be the next free one or an old one of the
   same name.  -1 with why when there is no room. */
int active_set(struct active *active, uint32_t id, const char *name,
               size_t octets, char flag, uint32_t alias, int64_t created,
               const char *creator, const char *description,
               struct buffer *why);
void active_set_marks(struct active *active, uint32_t id,
                      const struct group_marks *marks);
void active_set_committed(struct active *active, uint64_t sequence);
void active_note_removal(struct active *active);
void active_set_key(struct active *active, const struct message_key *key);
void active_set_durable(struct active *active, uint32_t segment,
                        uint32_t offset, uint64_t sequence);

/* --- recent message-IDs: a cache, nothing to rebuild ---
   An ID has a set of places; the oldest article of the set gives way.  48
   octets a place: 24 MiB where so many came. */

enum { ACTIVE_KNOWN_SETS = 1 << 17, ACTIVE_KNOWN_WAYS = 4 };

struct token;
/* Writer: this article is stored and findable. */
void active_known_put(struct active *active, const struct message_hash *hash,
                      uint64_t sequence, const struct token *token);
void active_known_drop(struct active *active, const struct message_hash *hash);
/* Readers: true when it is known to be stored; false says nothing. */
bool active_known_find(const struct active *active,
                       const struct message_hash *hash, uint64_t *sequence_r,
                       struct token *token_r);

#endif
