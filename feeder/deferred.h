/*
 * deferred -- articles that the peer wants to be offered later (431, 436): a
 * bounded list, in a file, with the time of the next try.
 *
 * The file is written whole and synced before the cursor passes an article
 * that came into the list, so that nothing is lost between the two.  At
 * DEFERRED_MAX the feeder reads no more of the log until some are answered.
 */
#ifndef FEEDER_DEFERRED_H
#define FEEDER_DEFERRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/token.h"

struct buffer;
struct deferred;

enum {
    DEFERRED_MAX = 10000,
    DEFERRED_FIRST_MS = 2 * 1000,
    DEFERRED_MOST_MS = 5 * 60 * 1000,
};

struct deferred_entry {
    uint64_t sequence;
    struct token token; /* a hint */
    uint64_t retry_ms;  /* when to offer it again */
    unsigned deferrals;
    bool out; /* it is just being offered */
};

/* Reads the file, where there is one; its articles are due at now_ms.  NULL
   with why when it cannot be read; what does not sum is logged and left. */
struct deferred *deferred_open(const char *path, uint64_t now_ms,
                               struct buffer *why);
void deferred_close(struct deferred **deferred);
size_t deferred_count(const struct deferred *deferred);

/* The peer has deferred it, now or again. */
void deferred_put(struct deferred *deferred, uint64_t sequence,
                  const struct token *token, uint64_t now_ms);
/* It is answered for good, or gone. */
void deferred_drop(struct deferred *deferred, uint64_t sequence);
/* One that is due, marked as being offered; NULL when there is none. */
const struct deferred_entry *deferred_due(struct deferred *deferred,
                                          uint64_t now_ms);
/* It was being offered, and the connection broke: due at once. */
void deferred_return(struct deferred *deferred, uint64_t sequence);

/* Write the file, synced, when the list has changed.  0 or -1 with why. */
int deferred_save(struct deferred *deferred, struct buffer *why);

#endif
