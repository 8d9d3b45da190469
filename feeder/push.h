/*
 * push -- sends the backlog to the peer, over some connections.
 *
 * Streaming (RFC 4644): up to PUSH_WINDOW articles are asked about with CHECK
 * at once, and those that are wanted follow with TAKETHIS.  Where the peer
 * refuses MODE STREAM, or the configuration says so, each goes by IHAVE.  A
 * connection is opened when there is something to send; one more when a queue
 * has gathered; an idle one is closed after a while.  Each has its own pauses
 * after failures.
 */
#ifndef FEEDER_PUSH_H
#define FEEDER_PUSH_H

#include <stdbool.h>

struct feeder;
struct push;

enum {
    PUSH_WINDOW = 100,     /* articles under way on one connection */
    PUSH_QUEUE_MORE = 100, /* waiting for each connection there is: one more */
    PUSH_IDLE_MS = 120 * 1000,
    PUSH_IDLE_MORE_MS = 15 * 1000, /* all but the first */
};

struct push *push_new(struct feeder *feeder);
void push_free(struct push **push);

/* Each turn, and each tick. */
void push_run(struct push *push);
void push_tick(struct push *push);
/* Try again now, whatever failed before (ctlinnd begin). */
void push_begin(struct push *push);
/* The peer's section has changed: go by the new one. */
void push_restart(struct push *push);
/* Take no more; true when nothing is under way any longer. */
bool push_drained(struct push *push);

#endif
