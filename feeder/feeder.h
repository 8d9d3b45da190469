/*
 * feeder -- the process that serves one peer: what it holds open, its turns.
 *
 * A turn is: wait for events (at most until the next tick), take what the log
 * has, let each connection do what it can, let go of the overview's read
 * transaction.  The tick comes each 100 ms: it looks whether the writer has
 * made more articles visible, which costs one read of shared memory, and so a
 * new article leaves within that time.
 */
#ifndef FEEDER_FEEDER_H
#define FEEDER_FEEDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/shared.h"

struct active;
struct backlog;
struct child_arguments;
struct config;
struct config_peer;
struct event;
struct event_base;
struct ipc;
struct overview_reader;
struct pull;
struct push;
struct spool_reader;
struct submit;
struct tls_context;

enum {
    FEEDER_TICK_MS = 100,
    /* What the peer has been sent may be answered this long. */
    FEEDER_DRAIN_MS = 5 * 1000,
    FEEDER_ORPHAN_MS = 2 * 1000,
    /* Pauses after failures: this, and twice as long each time. */
    FEEDER_PAUSE_FIRST_MS = 1000,
    FEEDER_PAUSE_MOST_MS = 60 * 1000,
};

struct feeder {
    struct event_base *base;
    struct config *config;          /* replaced as a whole by IPC_CONFIG */
    const struct config_peer *peer; /* in it */
    char *name;
    struct shared *shared;
    struct shared_slot *slot;
    struct active *active;
    struct overview_reader *overview;
    struct spool_reader *spool;
    struct ipc *control;     /* NULL: the master has gone */
    struct tls_context *tls; /* NULL: the peer's section has none */
    struct event *tick;
    struct event *terminated;
    char *directory; /* pathdb/feeds/NAME */
    uint64_t since;
    struct backlog *backlog; /* NULL until the store is there */
    struct push *push;
    struct submit *submit;
    struct pull *pull;
    uint64_t now_ms; /* CLOCK_MONOTONIC at the turn's begin */
    bool draining;
    uint64_t drain_until_ms;
};

/* Maps and opens all that a feeder inherited; dies when it cannot. */
void feeder_open(struct feeder *feeder,
                 const struct child_arguments *arguments);
/* Turns, until it is to end. */
void feeder_serve(struct feeder *feeder);
/* In the reverse order of feeder_open(). */
void feeder_close(struct feeder *feeder);

/* The pause after so many failures in a row. */
uint64_t feeder_pause_ms(unsigned failures);
/* Is a failure worth a line?  A peer that is away is no news each minute. */
bool feeder_tells(unsigned failures);

#endif
