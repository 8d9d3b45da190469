/*
 * reclaim -- giving back what is not needed any more.  One segment of the
 * spool is looked at, and taken away when nothing, or next to nothing, of it
 * is needed; and in an upkeep IDs whose time is over are forgotten, and the
 * overview gets what its database wants done now and then.
 *
 * A thread of the store's walks the segment and asks the history of each ID in
 * it.  Then, in this order, each when the one before is durable:
 *
 *   copied   what is alive goes to a compaction segment
 *   moved    both indices learn where that lies now          (index thread)
 *   carried  the log gets what the segment alone says: IDs that must still be
 *            refused, removals whose targets may still lie in another segment
 *                                                            (caller's thread)
 *   kept     both indices make a checkpoint                  (their threads)
 *   removed  the file goes
 *
 * A death in between leaves the segment, and perhaps a copy of what is alive
 * in it, which the indices or the next look at it find.
 *
 * Whether a record is needed is a row of a table by its type; a segment with a
 * record of a type that is not in it stays.
 */
#ifndef STORAGE_RECLAIM_H
#define STORAGE_RECLAIM_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/buffer.h"
#include "storage/history.h"
#include "storage/spool.h"
#include "storage/store.h"

/* Whose turn it is; each goes on from its own stages alone. */
enum reclaim_stage {
    RECLAIM_IDLE,
    RECLAIM_WANTED,  /* -> its own thread: look at the segment */
    RECLAIM_MOVING,  /* -> index thread */
    RECLAIM_MOVED,   /* -> its own thread */
    RECLAIM_CARRY,   /* -> caller's thread */
    RECLAIM_CARRIED, /* -> its own thread */
    RECLAIM_DONE,    /* -> caller's thread: answer */
};

/* Where an article lies now; segment 0: the ID is to be forgotten, if the
   history still says the same of it. */
struct reclaim_move {
    struct message_hash hash;
    uint64_t sequence;
    struct token token;
};

/* A record that the log gets. */
struct reclaim_record {
    enum record_type type;
    struct buffer payload; /* owned */
};

struct reclaim {
    /* under the store's lock */
    enum reclaim_stage stage;
    pthread_cond_t wake; /* its own thread */
    uint64_t checkpoint; /* the number of the one that is waited for */
    uint64_t overview_kept, history_kept; /* the last ones that were made */

    /* of whose turn it is */
    uint32_t segment; /* 0: an upkeep */
    int64_t now;      /* no record that comes later arrives before it */
    uint64_t cookie;
    store_changed_func *changed;
    void *context;
    uint64_t last_sequence; /* of the segment */
    struct reclaim_move *moves;
    size_t move_count, move_size, moved;
    bool drains;   /* all have been moved; the history must have it */
    uint64_t mark; /* of the history, then */
    struct reclaim_record *records;
    size_t record_count, record_size, carried;
    bool upkeep;   /* the overview is to be seen to */
    bool carrying; /* they have been appended */
    bool refused;  /* a record found no room */
    int status;
    struct buffer answer;
};

struct folding;

void reclaim_init(struct store *store);
void reclaim_free(struct store *store);
/* Its thread. */
void *reclaim_run(void *context);
/* The index thread: is there something to do, and some of it.  0 or -1. */
bool reclaim_is_moving(struct store *store);
int reclaim_move(struct store *store, struct folding *folding,
                 struct buffer *why);
/* The checkpoint threads: the number of the checkpoint that is waited for, and
   that it was made. */
uint64_t reclaim_checkpoint(struct store *store);
void reclaim_note_checkpoint(struct store *store, uint64_t *kept,
                             uint64_t checkpoint);
/* The caller's thread, from store_reap(). */
void reclaim_reap(struct store *store);
/* A command: "reclaim SEGMENT", eight hexadecimal digits. */
void store_reclaim(struct store *store, int words, const char *const *word,
                   uint64_t cookie, store_changed_func *changed,
                   void *context);
/* "upkeep". */
void store_upkeep(struct store *store, int words, const char *const *word,
                  uint64_t cookie, store_changed_func *changed, void *context);

#endif
