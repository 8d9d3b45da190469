/*
 * packed -- blocks of overview lines, deflated once for every client that
 * reads under COMPRESS (RFC 8054).
 *
 * A block is the lines of 64 numbers of a group, from a multiple of 64 on, as
 * OVER sends them.  Once the group's high mark has passed its last number it
 * can only lose lines; what was deflated before a removal is not used after
 * it.  Lines that a client's own compressor packs cost 4 us each, a kept block
 * 0.03 us a line.
 *
 * A cache of this worker, nothing to rebuild.
 */
#ifndef NNRPD_PACKED_H
#define NNRPD_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buffer.h"

struct active;
struct overview_line;
struct packed;

enum {
    PACKED_NUMBERS = 64,  /* of a block */
    PACKED_BLOCKS = 1024, /* kept; some 5 MB when all are */
    /* Deflated anew in one turn of the loop, at 0.3 ms each; the rest is left
       to the clients' own compressors, which have their share of the turn. */
    PACKED_ANEW = 8,
};

struct packed_block {
    uint64_t key; /* private, as the next */
    uint64_t removals;
    struct buffer octets; /* deflated, for stream_splice() */
    unsigned lines;       /* 0: none are kept here */
};

struct packed *packed_new(const struct active *active);
void packed_free(struct packed **packed);
/* A turn of the loop has ended. */
void packed_turn_ended(struct packed *packed);

/* The first number of the block in which number is. */
static inline uint64_t
packed_first(uint64_t number)
{
    return number - number % PACKED_NUMBERS;
}

/* The block that begins at this number, NULL: not at hand.  Borrowed until
   the next call of packed_put(). */
const struct packed_block *packed_find(const struct packed *packed,
                                       uint32_t group, uint64_t first);
/*
 * The same, and where it is not at hand deflate and keep it: lines are all
 * that it has, seen by a question that was asked when the store's removals
 * (active_removals()) were these.  NULL when it may still grow, when enough
 * was deflated in this turn, or without memory.  Borrowed until the next call.
 */
const struct packed_block *packed_put(struct packed *packed, uint32_t group,
                                      uint64_t removals,
                                      const struct overview_line *lines,
                                      size_t count);

#endif
