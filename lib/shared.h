/*
 * shared -- what all processes of one server see in shared memory that is no
 * part of the store: that each child is alive, counters, and the mode.
 *
 * A memfd made by the master, mapped by every child (descriptor SHARED_FD).
 * Every member is written with C11 atomics; each counter has one writer, the
 * process whose slot it is in.
 */
#ifndef LIB_SHARED_H
#define LIB_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/limit.h"

enum { SHARED_SLOTS = 256, SHARED_REASON_OCTETS = 256 };
/* Not counted yet: there may be some. */
#define SHARED_ACCOUNTS_UNKNOWN UINT32_MAX

/* Does the server take articles?  (ctlinnd pause, throttle, go.) */
enum server_mode { MODE_RUNNING, MODE_PAUSED, MODE_THROTTLED };

/* What is counted, each by the worker or writer that did it. */
enum counter {
    COUNTER_CLIENTS_NOW,
    COUNTER_CLIENTS_SERVED,
    COUNTER_COMMANDS,
    COUNTER_ARTICLES_SENT,
    COUNTER_OCTETS_SENT,
    COUNTER_LONG_TURNS, /* of a worker's loop, in which all its clients waited
                         */
    COUNTER_POSTED,     /* 240 */
    COUNTER_RECEIVED,   /* 235 and 239 */
    COUNTER_DUPLICATES, /* 435, 438, 439 for an ID we had */
    COUNTER_REFUSED,    /* 437, 439, 441 for another reason */
    COUNTER_DEFERRED,   /* 431, 436, 400 */
    COUNTER_STORED,     /* the writer's: articles made durable */
    COUNTER_STORED_OCTETS,
    COUNTER_GROUPS_COMMITTED, /* the writer's: commit groups */
    COUNTER_COUNT
};
const char *counter_name(enum counter counter); /* "articles_sent" */

/* What a feeder has done for its peer; written by it alone.  offered is the
   sum of those behind it, each article once since the counts began. */
enum feed_counter {
    FEED_OFFERED,  /* articles of the log that are for this peer */
    FEED_ACCEPTED, /* 235, 239 */
    FEED_REFUSED,  /* 435, 438: it has them already, or does not want them */
    FEED_REJECTED, /* 437, 439 */
    FEED_MISSING,  /* removed here before they were sent */
    FEED_DEFERRED, /* now: 431, 436, to be offered again later */
    FEED_PENDING,  /* now: not offered, or not answered yet */
    FEED_SEQUENCE, /* now: the log has been read up to here */
    FEED_LAG_SECONDS, /* now: how long the oldest pending one has been here */
    FEED_CONNECTIONS, /* now */
    FEED_DEFERRALS,   /* answers 431 and 436 */
    FEED_SENT_OCTETS,
    FEED_PULLED, /* articles fetched from it and stored here */
    FEED_COUNTER_COUNT
};
const char *feed_counter_name(enum feed_counter counter);

/* One running process. */
struct shared_slot {
    _Atomic uint32_t pid;   /* 0: free */
    _Atomic uint32_t role;  /* enum process_role of innd, for status */
    _Atomic uint64_t loops; /* bumped each turn, at least each second */
    _Atomic uint64_t counters[COUNTER_COUNT];
    _Atomic uint64_t feed[FEED_COUNTER_COUNT]; /* a feeder's */
};

/* A text that one process writes and all may read. */
struct shared_text {
    _Atomic uint32_t sequence; /* odd while it is written */
    char text[SHARED_REASON_OCTETS];
};

/* The queue for moderators, as `ctlinnd status` shows it; its process's. */
struct shared_moderation {
    _Atomic uint64_t waiting; /* posts */
    _Atomic uint64_t failed;  /* set aside */
    _Atomic uint64_t mailed;  /* since the server's start */
    _Atomic int64_t oldest;   /* when the oldest that waits came; 0: none */
    struct shared_text error; /* the last one */
};

struct shared {
    uint32_t magic;
    uint32_t version;
    _Atomic uint32_t mode;          /* enum server_mode */
    _Atomic uint32_t mode_sequence; /* odd while the reason is written */
    char mode_reason[SHARED_REASON_OCTETS];
    _Atomic uint32_t writer_ready; /* 1 from the writer's IPC_READY until its
                                      death */
    _Atomic uint32_t store_full;   /* 1: no room, new articles are refused */
    _Atomic uint32_t store_away;   /* 1: the overview is, for long; articles
                                      in hand wait for it */
    _Atomic uint32_t accounts;     /* how many there are to log in to; the auth
                                      process's; SHARED_ACCOUNTS_UNKNOWN until
                                      it has counted them */
    _Atomic uint32_t accounts_scram;      /* how many of them by SCRAM */
    _Atomic uint64_t accounts_generation; /* raised with each change of an
                                      account; the auth process's */
    _Atomic int64_t started;              /* seconds since the epoch */
    struct shared_moderation moderation;
    struct shared_slot slots[SHARED_SLOTS];
    struct limit_table limits; /* written by all workers and the master */
};

/* The master makes it; returns the descriptor and maps it.  Dies on failure.
 */
struct shared *shared_create(int *fd_r);
/* A child maps what it inherited.  Dies when it is not what it should be. */
struct shared *shared_map(int fd);

void shared_set_mode(struct shared *shared, enum server_mode mode,
                     const char *reason);
/* A consistent copy of the mode and its reason. */
enum server_mode shared_mode(const struct shared *shared,
                             char reason[SHARED_REASON_OCTETS]);
/* Write a text, cut to what fits; only its one process does. */
void shared_text_set(struct shared_text *text, const char *value);
/* A consistent copy. */
void shared_text_get(const struct shared_text *text,
                     char copy_r[SHARED_REASON_OCTETS]);
/* The sum of a counter over all slots, those of ended processes included:
   a slot keeps its counters when its next process begins. */
uint64_t shared_sum(const struct shared *shared, enum counter counter);

static inline void
shared_count(struct shared_slot *slot, enum counter counter, uint64_t by)
{
    /* One writer per slot: a plain load and store is enough, and cheaper. */
    atomic_store_explicit(
        &slot->counters[counter],
        atomic_load_explicit(&slot->counters[counter], memory_order_relaxed)
            + by,
        memory_order_relaxed);
}

#endif
