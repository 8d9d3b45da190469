/*
 * expire_outgoing -- what has been chosen to go, collected into batches of
 * storage/expiry.h and sent.
 *
 * Articles are brought in order of arrival, all groups of one together.  Runs
 * of numbers that go become one range, as long as nothing that stays lies
 * among them; numbers that are not there any more do no harm in a range.
 */
#ifndef EXPIRE_EXPIRE_OUTGOING_H
#define EXPIRE_EXPIRE_OUTGOING_H

#include <stddef.h>
#include <stdint.h>

#include "storage/expiry.h"

struct buffer;
struct outgoing;
struct target;

/* target: NULL sends nothing (a dry run).  until: the IDs are refused so
   long. */
struct outgoing *outgoing_new(struct target *target, int64_t until);
void outgoing_free(struct outgoing **outgoing);

/*
 * An article with so many groups comes next: send what is there if that might
 * not fit.  Returns 0, or -1 with why when the store takes it no more.
 */
int outgoing_make_room(struct outgoing *outgoing, size_t groups,
                       struct buffer *why);
/* It leaves this group; it stays in that one; it leaves altogether. */
void outgoing_leaves(struct outgoing *outgoing, uint64_t sequence,
                     const struct record_group *place);
void outgoing_stays(struct outgoing *outgoing, uint32_t group);
void outgoing_goes(struct outgoing *outgoing, uint64_t sequence,
                   const struct message_hash *hash);
/* Send what is left, and wait until it is done.  0 or -1 with why. */
int outgoing_send(struct outgoing *outgoing, struct buffer *why);

#endif
