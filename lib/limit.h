/*
 * limit -- how much each client has had of late, counted over all processes.
 *
 * A table in shared memory (struct shared) with a row for whoever has used
 * anything that is limited: an account, an address, a network, the server.
 * There is no lock, since whoever holds one may be killed: each number is
 * changed by one atomic exchange.
 *
 * A rate of N a period lets N through at once, and after that one each
 * period / N: what was used is given back evenly, so nobody waits for the end
 * of an hour.  All that a row says is when everything will have been given
 * back; a row whose moments have passed says nothing, and another may have it.
 * When the table is full of others, a newcomer goes uncounted.
 *
 * Times are CLOCK_MONOTONIC's, nanoseconds.
 */
#ifndef LIB_LIMIT_H
#define LIB_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

enum {
    LIMIT_ROWS = 8192,      /* a power of two */
    LIMIT_WORKERS = 128,    /* no worker's number is higher */
    LIMIT_SITE_OCTETS = 17, /* a kind of address, and the address */
};

/* Together with whom something is counted. */
enum limit_scope {
    LIMIT_SERVER,
    LIMIT_NETWORK, /* an IPv4 /24 or an IPv6 /32 */
    LIMIT_ADDRESS, /* an IPv4 address or an IPv6 /48 */
    LIMIT_USER,    /* an account */
    LIMIT_SCOPES
};

/* What is counted, and in what time; limit_period_seconds(). */
enum limit_kind {
    LIMIT_CONNECTIONS, /* new ones, a minute */
    LIMIT_COMMANDS,    /* a minute */
    LIMIT_POSTS,       /* an hour */
    LIMIT_OCTETS,      /* to and from the client, a day */
    LIMIT_KINDS
};

struct limit_row {
    _Atomic uint64_t given_back_ns[LIMIT_KINDS]; /* when nothing counts any
                                                    more of what was used */
    _Atomic uint64_t posted_ns; /* the last post, for the back-off */
    _Atomic uint64_t waits_ns;  /* how long the next one must wait then */
    _Atomic uint64_t posts;     /* that came one soon after the other */
    _Atomic uint16_t sessions[LIMIT_WORKERS]; /* each worker its own */
};

struct limit_table {
    _Atomic uint64_t secret[2]; /* so that nobody can choose who shares rows */
    _Atomic uint64_t keys[LIMIT_ROWS]; /* whose a row is; 0: nobody's.  By
                                          themselves, so that looking for one
                                          touches little memory */
    struct limit_row rows[LIMIT_ROWS];
};

/* So many a period at most; 0: any number. */
struct limit {
    enum limit_kind kind;
    int64_t most;
};

/* The master, once. */
void limit_table_init(struct limit_table *table);

/* The row of whom: an account's name, or what limit_site() made; for
   LIMIT_SERVER nothing.  Never 0. */
uint64_t limit_key(const struct limit_table *table, enum limit_scope scope,
                   const void *who, size_t octets);
/* The network or address that a numeric address belongs to; a text that is
   none stands for itself. */
void limit_site(const char *address, enum limit_scope scope,
                uint8_t site[LIMIT_SITE_OCTETS]);

/* Nanoseconds until there is room again; 0: there is. */
uint64_t limit_wait(struct limit_table *table, uint64_t key,
                    const struct limit *limit, uint64_t now_ns);
/* Take amount when it fits: 0, or how long until it would. */
uint64_t limit_take(struct limit_table *table, uint64_t key,
                    const struct limit *limit, uint64_t amount,
                    uint64_t now_ns);
/* Count what cannot be refused any more; the next one waits for it. */
void limit_charge(struct limit_table *table, uint64_t key,
                  const struct limit *limit, uint64_t amount, uint64_t now_ns);

/* Who posts fast waits longer and longer: INN's exponential back-off. */
struct limit_back_off {
    int64_t fast_seconds; /* a post sooner than this is fast; 0: none is */
    int64_t slow_seconds; /* one later than this ends the row */
    int64_t trigger;      /* so many in a row before the first wait */
    int64_t k;            /* each fast one: 1 s and 2^k times what it was */
};
/* Nanoseconds until the next post; 0: now. */
uint64_t limit_back_off_wait(struct limit_table *table, uint64_t key,
                             uint64_t now_ns);
/* Posted. */
void limit_back_off_count(struct limit_table *table, uint64_t key,
                          const struct limit_back_off *back_off,
                          uint64_t now_ns);

/* Sessions of whom, over all workers; by is 1 or -1. */
unsigned limit_sessions(struct limit_table *table, uint64_t key);
void limit_count_session(struct limit_table *table, uint64_t key,
                         unsigned worker, int by);
/* A worker begins: the one that had its number before has no sessions. */
void limit_forget_worker(struct limit_table *table, unsigned worker);

unsigned limit_period_seconds(enum limit_kind kind);
/* Append "at most 20 posts an hour; try again in 3 minutes". */
void limit_explain(const struct limit *limit, uint64_t wait_ns,
                   struct buffer *text);
/* Append "3 minutes", rounded up. */
void limit_print_wait(uint64_t wait_ns, struct buffer *text);

#endif
