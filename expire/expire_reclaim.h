/*
 * expire_reclaim -- the space of what has gone: segments of the spool in which
 * next to nothing is alive any more are taken away by the store.
 */
#ifndef EXPIRE_EXPIRE_RECLAIM_H
#define EXPIRE_EXPIRE_RECLAIM_H

#include <signal.h>

struct buffer;
struct config;
struct tally;
struct target;
struct walk;

/* Which segments those are, the overview tells; the store looks again, and
   one that must stay is named and passed over.  Ends early once *stop is set.
   0, or -1 with why. */
int reclaim_segments(struct target *target, const struct config *config,
                     struct walk *walk, struct tally *tally,
                     const volatile sig_atomic_t *stop, struct buffer *why);
/* IDs whose time is over are forgotten, and the indices seen to.  0, or -1
   with why. */
int reclaim_upkeep(struct target *target, struct tally *tally,
                   struct buffer *why);

#endif
