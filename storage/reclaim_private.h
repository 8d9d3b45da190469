/*
 * What reclaim*.c share, nobody else.
 *
 * reclaim_look.c finds out what of a segment is still needed; reclaim.c takes
 * the steps from there, and says whose turn it is; reclaim_move.c is the index
 * thread's turn.
 */
#ifndef STORAGE_RECLAIM_PRIVATE_H
#define STORAGE_RECLAIM_PRIVATE_H

#include "storage/commit.h"
#include "storage/reclaim.h"

/* Articles that the index thread moves before it looks for commits. */
enum { MOVES_PER_TURN = 256 };

/* One look at a segment, or, for an upkeep, at the history. */
struct look {
    struct store *store;
    struct reclaim *reclaim;
    struct spool_segment segment;
    struct spool_segment *all; /* owned */
    size_t all_count;
    uint64_t octets;    /* of its records */
    uint64_t survivors; /* octets of those that are to be copied */
    size_t survivor_count;
    struct token *from; /* owned: of each move, where it lies; segment 0: it
                           is not to be copied */
    size_t from_size;
    struct buffer remembered; /* struct remembered */
    struct buffer ranges;     /* struct expired_range */
    uint64_t *lows; /* owned, by group: below its low mark the log must say
                       that there is nothing, of sequences up to this; 0 */
    uint32_t lows_size;
    uint64_t moderated; /* what the moderators' queue has read; 0: nothing */
};

/* Walk the segment.  1 it may go, 0 too much of it is alive, -1 with why: it
   stays. */
int reclaim_look_segment(struct look *look, struct buffer *why);
/* What the log must say once the segment is gone: reclaim->records. */
void reclaim_look_records(struct look *look);
/* Add to reclaim->moves an article, alive or not, that is at this place now;
   from: where it is to be copied from, or NULL. */
void reclaim_look_move(struct look *look, const struct message_hash *hash,
                       uint64_t sequence, const struct token *token,
                       const struct token *from);

enum reclaim_stage reclaim_stage_of(struct store *store);
void reclaim_stage_set(struct store *store, enum reclaim_stage stage);

static inline bool
token_same_place(const struct token *a, const struct token *b)
{
    return a->segment == b->segment && a->offset == b->offset;
}

#endif
