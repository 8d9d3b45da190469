/*
 * backlog -- what is still to be sent: articles taken from the log that are
 * for the peer, until it has answered for good.
 *
 * An offer is one such article.  It is read from the log, loaded from the
 * spool, looked at, and then waits in the queue until a connection takes it.
 * The connection gives it back in one of four ways: done, deferred, returned
 * (the connection broke before an answer; it is the next to be offered), or
 * gone.  The cursor on disk stands before the oldest offer that has no final
 * answer.
 */
#ifndef FEEDER_BACKLOG_H
#define FEEDER_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/shared.h"
#include "lib/token.h"
#include "storage/log_reader.h"

struct backlog;
struct evbuffer;
struct feeder;
struct offer;
struct overview_request;
struct spool_read;
struct spooled;

enum {
    /* In hand at most; and octets of articles held in memory. */
    BACKLOG_OFFERS_MAX = 1000,
    BACKLOG_OCTETS_MAX = 8 * 1024 * 1024,
    /* A longer article is not held from CHECK to its answer: read again. */
    BACKLOG_HOLD_OCTETS = 64 * 1024,
    /* One that was not answered before so many connections broke may be the
       reason: it is deferred, and others get their turn. */
    BACKLOG_BREAKS_MAX = 3,
};

typedef void offer_loaded_func(void *context, struct offer *offer, bool found);

struct offer {
    TAILQ_ENTRY(offer)
    order;                    /* of all, by sequence; deferred ones are not in
                                 it */
    TAILQ_ENTRY(offer) place; /* the queue, or whoever took it */
    struct backlog *backlog;
    uint64_t sequence;
    struct token token;
    struct log_position before;
    bool is_deferred; /* from the list of deferred ones */
    bool is_known;    /* it was found to be for the peer, and is counted */
    char *message_id; /* once it was loaded */
    int64_t arrival;  /* here, seconds; 0: not known yet */
    unsigned breaks;
    unsigned sent_as; /* the taker's */
    /* private */
    struct spooled *spooled;
    struct spool_read *read;
    struct overview_request *locating;
    bool located;
    offer_loaded_func *loaded;
    void *loaded_context;
};
TAILQ_HEAD(offer_list, offer);

/* Dies when the files cannot be opened; since is where a peer that has no
   cursor begins. */
struct backlog *backlog_open(struct feeder *feeder, const char *directory,
                             uint64_t since);
/* Saves, and closes; offers in hand are forgotten. */
void backlog_close(struct backlog **backlog);

/* Read on, where there is room.  True: there is more to be read at once. */
bool backlog_pump(struct backlog *backlog);
/* Cursor and counters; each tick. */
void backlog_save(struct backlog *backlog);
void backlog_count(struct backlog *backlog, enum feed_counter counter,
                   uint64_t by);

/* Offers that wait in the queue. */
size_t backlog_waiting(const struct backlog *backlog);
/* The next one; NULL: none now. */
struct offer *backlog_take(struct backlog *backlog);
/* Have its article in memory, read again where need be; func is called once,
   perhaps before this returns. */
void offer_load(struct offer *offer, offer_loaded_func *func, void *context);
/* Append the article, as it goes out; it is loaded. */
void offer_append(struct offer *offer, struct evbuffer *output);
/* What became of it: FEED_ACCEPTED, FEED_REFUSED, FEED_REJECTED or
   FEED_MISSING.  Frees it. */
void offer_done(struct offer *offer, enum feed_counter outcome);
void offer_defer(struct offer *offer);
/* blamed: it was the one that the connection broke at. */
void offer_return(struct offer *offer, bool blamed);

#endif
