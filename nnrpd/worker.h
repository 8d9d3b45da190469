/*
 * worker -- one nnrpd process: what it holds open, its sessions, its turns.
 *
 * Everything runs in one event loop.  A turn is: wait for events, run each
 * session that has something to do once, send what was gathered for the
 * writer, let go of the overview's read transaction.  Nothing waits anywhere
 * else.
 *
 * A turn ends after WORKER_TURN_NS even when not all have run, so that events
 * are looked at in time: however many ask for much, who asks for little is
 * served before those of them whose share of the turn before was too small.
 */
#ifndef NNRPD_WORKER_H
#define NNRPD_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/shared.h"
#include "lib/tls_ticket.h"
#include "nnrpd/session.h"

struct active;
struct child_arguments;
struct config;
struct event;
struct event_base;
struct finder;
struct ipc;
struct login_link;
struct overview_reader;
struct packed;
struct ready_lists;
struct session;
struct spool_reader;
struct tls_context;
struct writer_link;

enum {
    /* A draining worker gives answers that are on their way this long; with
       no master left it must be gone within 5 s. */
    WORKER_DRAIN_MS = 10 * 1000,
    WORKER_ORPHAN_MS = 3 * 1000,
    /* Articles that are being received or on their way to the writer, over
       all sessions: above it no peer begins another one, and at twice that
       (they are many, and large) what comes is answered "later". */
    WORKER_SUBMITTED_OCTETS_MAX = 64 * 1024 * 1024,
    WORKER_RECEIVED_OCTETS_MAX = 2 * WORKER_SUBMITTED_OCTETS_MAX,
    /* What sessions have of a turn, together; the last one's share comes on
       top.  Longer is too long: such turns are counted. */
    WORKER_TURN_NS = 5 * 1000 * 1000,
    WORKER_TURN_LONG_NS = 10 * 1000 * 1000,
    /* So much memory that nobody uses stays, to be used again. */
    WORKER_UNUSED_OCTETS = 3 * 1024 * 1024,
    WORKER_MEMORY_MS = 5 * 1000, /* its memory is looked at so often */
};

struct worker {
    struct event_base *base;
    struct config *config; /* replaced as a whole by IPC_CONFIG */
    struct shared *shared;
    struct shared_slot *slot;
    unsigned number; /* which worker, from 0 */
    struct active *active;
    struct overview_reader *overview; /* NULL until the store is there */
    struct spool_reader *spool;
    struct packed *packed;
    struct ready_lists *ready_lists;
    struct writer_link *writer;
    struct finder *finder;
    struct login_link *auth;
    struct tls_context *tls; /* NULL: no TLS */
    struct tls_tickets tickets;
    struct ipc *control;      /* NULL: the master has gone */
    struct event *tick;       /* each second */
    struct event *terminated; /* SIGTERM: it retires */
    struct event *opening;    /* while the store is not there yet */
    struct session_list sessions;
    struct session_list ready; /* have something to do */
    struct session_list busy;  /* ... and had more to do than their share */
    unsigned clients;
    uint64_t now_ms;   /* CLOCK_MONOTONIC at the turn's begin */
    uint64_t clock_ns; /* ... when the session that runs began to */
    size_t submitted_octets;
    bool feeders_wait; /* some session waits for submitted_octets to fall */
    uint64_t memory_seen_ms;
    uint64_t memory_unused; /* that malloc_trim() could not give back */
    bool retires;           /* has asked the master to be replaced */
    bool draining;
    uint64_t drain_until_ms;
};

/* All zero, and no sessions. */
void worker_init(struct worker *worker);
/* Maps and opens all that a worker inherited; dies when it cannot. */
void worker_open(struct worker *worker,
                 const struct child_arguments *arguments);
/* Turns, until the worker is to end. */
void worker_serve(struct worker *worker);
/* One turn; with wait, only when something has happened. */
void worker_turn(struct worker *worker, bool wait);
/* In the reverse order of worker_open(). */
void worker_close(struct worker *worker);

/* Octets of articles come, and go: where these fall, feeding sessions may go
   on. */
void worker_submitted(struct worker *worker, size_t more, size_t less);
/* A session is gone: the master may hand out its place again. */
void worker_client_gone(struct worker *worker, uint64_t client);

static inline void
worker_count(struct worker *worker, enum counter counter, uint64_t by)
{
    shared_count(worker->slot, counter, by);
}

#endif
