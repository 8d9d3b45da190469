/*
 * newsimport_flight -- the articles that are on their way: submitted, and not
 * decided yet.
 *
 * Each is kept until its outcome.  A writer that dies gets replaced, and its
 * successor gets them again, marked RESUBMIT; an article that the writer does
 * not want now is tried again a little later.
 */
#ifndef EXPIRE_NEWSIMPORT_FLIGHT_H
#define EXPIRE_NEWSIMPORT_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "expire/newsimport_source.h"
#include "expire/target.h"
#include "lib/buffer.h"

struct summary;

enum {
    FLIGHT_ARTICLES = 512,
    FLIGHT_OCTETS = 8 * 1024 * 1024,
};

struct flight_article {
    struct buffer payload; /* empty: decided */
    struct source_position position;
    char *name; /* for a complaint; owned */
    unsigned tries;
    bool later; /* to be tried again */
};

/* Cookies are numbers of articles from 1; cookie % FLIGHT_ARTICLES is the
   place. */
struct flight {
    struct target *target;   /* borrowed */
    struct summary *summary; /* borrowed */
    struct flight_article articles[FLIGHT_ARTICLES];
    uint64_t first; /* the oldest that may be undecided */
    uint64_t next;  /* cookie of the next one */
    size_t octets;  /* of payloads */
    bool any_later;
};

void flight_init(struct flight *flight, struct summary *summary);
void flight_free(struct flight *flight);
/* A target_outcome_func; context is the struct flight. */
void flight_outcome(void *context, uint64_t cookie, enum store_outcome outcome,
                    const char *why);

/* The cookie that the next flight_add() will use, for submission_build(). */
uint64_t flight_cookie(const struct flight *flight);
/*
 * Submit a payload (taken over; empty afterwards), waiting first while too
 * much is on its way.  0, or -1 with why: nothing more can be submitted.
 */
int flight_add(struct flight *flight, struct buffer *payload,
               const struct source_position *position, const char *name,
               struct buffer *why);
/* Wait until all are decided.  0 or -1 with why. */
int flight_drain(struct flight *flight, struct buffer *why);
/* Connect to the next writer when the last one is gone, and submit again.  0
   or -1 with why. */
int flight_recover(struct flight *flight, struct buffer *why);
/* Where the oldest undecided article stands; NULL: all are decided. */
const struct source_position *flight_position(const struct flight *flight);

#endif
