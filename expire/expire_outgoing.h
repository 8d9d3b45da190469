/*
 * expire_outgoing -- what has been chosen to go, collected and sent in batches
 * of storage/expiry.h.
 *
 * Articles are brought in order of arrival, all groups of one together.  Runs
 * of numbers that go become one range, as long as nothing that stays lies
 * among them; numbers that are not there any more do no harm in a range.
 *
 * Much is collected before anything is sent, for the overview has 64 numbers
 * of a group in one block: what leaves a group together costs a tenth of what
 * leaves it a few at a time, among articles of a hundred other groups.  All
 * ranges go before the articles that they take out of their last group; of an
 * article that was in between when all ended, the next run finds that no group
 * has it.
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

/* Another article comes: send what is there if it has become much.  Returns 0,
   or -1 with why when the store takes it no more. */
int outgoing_make_room(struct outgoing *outgoing, struct buffer *why);
/* It leaves this group; it stays in that one; it leaves altogether. */
void outgoing_leaves(struct outgoing *outgoing, uint64_t sequence,
                     const struct record_group *place);
void outgoing_stays(struct outgoing *outgoing, uint32_t group);
void outgoing_goes(struct outgoing *outgoing, uint64_t sequence,
                   const struct message_hash *hash);
/* Send what is left, and wait until it is done.  0 or -1 with why. */
int outgoing_send(struct outgoing *outgoing, struct buffer *why);

#endif
