/*
 * ready_list -- lists of newsgroups as text that is ready to be sent.
 *
 * LIST without a wildmat is the same text for all who may read the same
 * groups, and from one to the next few marks have moved.  So a worker keeps
 * the lines of each block of groups (storage/active.h) as they are sent, and
 * makes those of a block anew when a group of it has changed.  A list is known
 * by what makes its lines and by the wildmat of who may read what; the
 * READY_LISTS that were used last are kept, each as large as what is sent.
 *
 * A cache of this worker, nothing to rebuild.
 */
#ifndef NNRPD_READY_LIST_H
#define NNRPD_READY_LIST_H

#include <stdint.h>

#include "lib/buffer.h"
#include "nnrpd/group_list.h"

struct access;
struct active;
struct ready_lists;

enum {
    READY_LISTS = 4,
    /* Blocks deflated in one turn of the loop, at 0.1 ms each; others are left
       to the clients' own compressors. */
    READY_PACKED_ANEW = 16,
};

struct ready_block {
    uint64_t changes; /* private */
    struct buffer text;
    struct buffer packed; /* the same for stream_splice(), or empty */
};

struct ready_lists *ready_lists_new(struct active *active);
void ready_lists_free(struct ready_lists **lists);
/* A turn of the loop has ended. */
void ready_lists_turn_ended(struct ready_lists *lists);

/*
 * The lines of the groups of a block which one with this access may read.
 * *rows_r is what it cost, in lines.  Borrowed until the next call.
 */
const struct ready_block *ready_lists_block(struct ready_lists *lists,
                                            group_line_func *line,
                                            const struct access *access,
                                            uint32_t block, unsigned *rows_r);
/* The same, and deflate it too where it is not yet and this turn still may. */
const struct ready_block *ready_lists_packed_block(struct ready_lists *lists,
                                                   group_line_func *line,
                                                   const struct access *access,
                                                   uint32_t block,
                                                   unsigned *rows_r);

#endif
