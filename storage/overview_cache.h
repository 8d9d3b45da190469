/*
 * overview_cache -- blocks of the overview that a reader has read of late, for
 * questions about one number.
 *
 * Whoever reads articles by their numbers asks where one lies after the other,
 * mostly of few blocks; out of the database each costs a transaction and a
 * copy of 64 lines.  The line of a number never changes but by a removal,
 * which active_removals() tells, so a block that was read when the removals
 * were those of now says what is true of the numbers that it has.  Of others
 * it says nothing: the block may have grown.
 *
 * A cache of this process, nothing to rebuild.
 */
#ifndef STORAGE_OVERVIEW_CACHE_H
#define STORAGE_OVERVIEW_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct active;
struct overview_cache;
struct overview_line;

enum {
    OVERVIEW_CACHE_BLOCKS = 512, /* of some 20 KB: 32,768 articles */
    /* A block longer than this is not kept: at most 32 MB in all. */
    OVERVIEW_CACHE_BLOCK_OCTETS = 64 * 1024,
};

struct overview_cache *overview_cache_new(const struct active *active);
void overview_cache_free(struct overview_cache **cache);

/*
 * Keep a block that overview_block_read() has found good.  It was read by a
 * transaction that began after active_removals() had been removals.
 */
void overview_cache_put(struct overview_cache *cache, int64_t key,
                        uint64_t removals, const void *data, size_t octets);
/* The line of this number; false says nothing.  Its text is borrowed until the
   next put. */
bool overview_cache_find(const struct overview_cache *cache, uint32_t group,
                         uint64_t number, struct overview_line *line_r);

#endif
