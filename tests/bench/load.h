/*
 * load -- a load generator for any NNTP server: many connections in one epoll
 * loop, commands pipelined in a window, each reply timed.
 *
 * A row of the benchmark (tests/bench/rows.c) says what a connection sends
 * next and what it makes of a reply; the engine (tests/bench/engine.c) does
 * the rest.  It refuses any address but the loopback, and ends by itself.
 */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buffer.h"

struct load_options {
    const char *row;
    const char *host;
    const char *source; /* our own address; NULL: the system's choice */
    unsigned sources;   /* so many addresses from there on, in turn */
    bool tls;           /* from the first octet on */
    bool delayed_acks;  /* as a kernel does by itself; else at once */
    bool compress;      /* COMPRESS DEFLATE before the row's first command */
    double rate;        /* units a second at most; 0: as many as go */
    uint16_t port;
    unsigned connections;
    unsigned window;         /* replies that may be outstanding a connection */
    uint64_t count;          /* units to do in all */
    unsigned octets;         /* mean size of an article made here */
    const char *group;       /* for rows that read */
    const char *groups_file; /* names to post to, by Zipf's law; one a line */
    unsigned range;          /* lines of an OVER */
    unsigned seed; /* articles of two runs with one seed are the same */
    unsigned timeout_seconds;
};

struct connection;

/* What a reply looks like on the wire. */
enum reply_kind { REPLY_LINE, REPLY_MULTILINE };

struct reply {
    unsigned code;
    const char *line; /* the first line, without CRLF; NUL-terminated */
    uint64_t octets;  /* of all of it */
    uint64_t lines;   /* behind the first one of a multi-line reply */
};

struct row {
    const char *name;
    const char *unit;
    const char *what; /* one line for the list of rows */
    /* After the greeting; NULL: nothing. */
    void (*greeted)(struct connection *connection);
    /* Called while there is room in the window: send one more unit's first
       command, or return false when there is no more to do. */
    bool (*next)(struct connection *connection);
    /* A reply came.  Returns how many units are finished by it. */
    uint64_t (*replied)(struct connection *connection, unsigned tag,
                        const struct reply *reply);
    bool reconnects; /* each unit is a connection of its own */
};

const struct row *row_find(const char *name);
void rows_print(void);

/* --- what a row uses --- */

const struct load_options *load_options(void);
/* Queue a command (CRLF is added); tag comes back with the reply. */
void load_command(struct connection *connection, unsigned tag,
                  enum reply_kind kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Queue octets that belong to the last command or answer a 335 or 340; the
   next reply is of this kind and has this tag. */
void load_octets(struct connection *connection, const void *octets,
                 size_t length);
void load_expect(struct connection *connection, unsigned tag,
                 enum reply_kind kind);
/* A reply of an unexpected code: counted, the first one printed. */
void load_wrong(const struct reply *reply);
/* The next unit's number, counted over all connections; false: enough. */
bool load_claim(uint64_t *number_r);
/* A place for the row to remember a unit's number in order of its replies. */
void load_remember(struct connection *connection, uint64_t number);
uint64_t load_recall(struct connection *connection);
/* Per connection, for rows that read: is the group chosen, its water marks,
   and how far a session has come. */
struct load_marks {
    bool ready;
    uint64_t low, high;
    uint64_t at;
};
struct load_marks *load_marks(struct connection *connection);

/* --- articles made here --- */

/* Read the groups; exits when there are none. */
void articles_open(const struct load_options *options);
/* "<bench.SEED.NUMBER@load.example>" */
void article_id(uint64_t number, struct buffer *id);
/* Append article number NUMBER in wire form with ".CRLF"; always the same for
   one seed.  posted: without Path, as a proto-article. */
void article_make(uint64_t number, bool posted, struct buffer *wire);
uint64_t random_below(uint64_t *state, uint64_t bound);

int engine_run(const struct row *row, const struct load_options *options);

#endif
