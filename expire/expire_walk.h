/*
 * expire_walk -- the articles that are in the store, in order of arrival, with
 * what decides how long they stay.
 *
 * Which there are the overview says; the groups of each, its arrival and its
 * Expires header field come from its record in the spool, of which the head
 * alone is read.  Both are read as by any reader: nothing waits for us, and
 * what is removed meanwhile is passed over.
 */
#ifndef EXPIRE_EXPIRE_WALK_H
#define EXPIRE_EXPIRE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/spool.h"

struct active;
struct buffer;
struct config;
struct walk;

struct walked {
    uint64_t sequence;
    int64_t arrival;
    int64_t expires; /* 0: it has no such field, or none that is a date */
    struct message_hash hash;
    const struct record_group *groups; /* borrowed until walk_next() */
    size_t group_count;
};

/* NULL with why. */
struct walk *walk_open(const struct config *config,
                       const struct active *active, struct buffer *why);
void walk_close(struct walk **walk);
/* The next article: 1, 0 at the end, -1 with why when the overview or the
   spool cannot be read. */
int walk_next(struct walk *walk, struct walked *walked_r, struct buffer *why);
/* Articles that the overview has and whose record could not be read. */
uint64_t walk_unreadable(const struct walk *walk);

/*
 * Add up what lies alive in each segment of `segments`, in alive_r, octets:
 * all articles that the overview has, from the first to the last.  0, or -1
 * with why.
 */
int walk_measure(struct walk *walk, const struct spool_segment *segments,
                 size_t count, uint64_t *alive_r, struct buffer *why);

/* Is this article still in the group under this number?  1, 0, -1. */
int walk_is_filed(struct walk *walk, uint64_t sequence,
                  const struct record_group *place, struct buffer *why);

#endif
