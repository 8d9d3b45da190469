/*
 * overview_block -- the overview lines of 64 numbers of a group as one run of
 * octets: what lies in the table `block`.
 *
 * A head, an array that says for each line its number, sequence, token and
 * where its text is, then the texts "number<TAB>Subject...<CRLF>", ascending
 * and touching: any neighbours can be sent as one run.  Numbers are
 * little-endian.  A block is read from disk, so reading checks everything
 * that a later step would follow.
 */
#ifndef STORAGE_OVERVIEW_BLOCK_H
#define STORAGE_OVERVIEW_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/overview.h"

struct buffer;

enum { OVERVIEW_BLOCK_NUMBERS = 64 };

/* The key of the block that holds this number; keys of a group are one range,
   ascending with the numbers. */
static inline int64_t
overview_block_key(uint32_t group, uint64_t number)
{
    return (int64_t)((uint64_t)group << 32
                     | (number / OVERVIEW_BLOCK_NUMBERS & UINT32_MAX));
}

/* The first number that lies in the block of this key. */
static inline uint64_t
overview_block_first(int64_t key)
{
    return ((uint64_t)key & UINT32_MAX) * OVERVIEW_BLOCK_NUMBERS;
}

/* Append "number<TAB>line<CRLF>". */
void overview_block_text(struct buffer *text, uint64_t number,
                         const char *line, size_t octets);
/*
 * Write lines, ascending and all of one block, into data, which is cleared
 * first.  No text may lie in data.
 */
void overview_block_write(struct buffer *data,
                          const struct overview_line *lines, size_t count);
/*
 * Take a block apart; first is overview_block_first() of its key.  The texts
 * point into data.  Returns how many lines there are, or -1 with why.
 */
int overview_block_read(struct overview_line lines[OVERVIEW_BLOCK_NUMBERS],
                        uint64_t first, const void *data, size_t octets,
                        struct buffer *why);
/* The line of one number, false when it has none.  Of data that
   overview_block_read() has found good. */
bool overview_block_find(const void *data, uint64_t number,
                         struct overview_line *line_r);

#endif
