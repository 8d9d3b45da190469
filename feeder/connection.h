/*
 * connection -- one connection to the peer, from the look-up of its name to
 * the end: greeting, login, lines, articles, deadlines.
 *
 * What is said over it is its owner's concern (push.c, pull.c).  Nothing here
 * waits: names are looked up by a thread of the C library.  The owner's
 * functions are called from connection_run() only, which the feeder calls in
 * each turn of its loop; they may write, and may close the connection.
 *
 * A connection that fails, is refused, or is answered nonsense closes by
 * itself and says why, once.  Where the peer's section has TLS, nothing is
 * said before the handshake, or but STARTTLS, and a peer that cannot is one
 * that has failed.
 */
#ifndef FEEDER_CONNECTION_H
#define FEEDER_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct connection;
struct evbuffer;
struct feeder;
struct response;

struct connection_owner {
    /* Greeted, and logged in where the configuration says so. */
    void (*ready)(void *context);
    /* A line has come.  0, or -1 with why: the connection closes. */
    int (*response)(void *context, const struct response *response,
                    struct buffer *why);
    /* What connection_want_article() asked for: an article in wire form, its
       terminator included, and its faults (lib/wire.h); NULL: longer than was
       asked for. */
    void (*article)(void *context, const struct buffer *wire, unsigned faults);
    /* It is closed; why is "" when the owner has asked for that. */
    void (*closed)(void *context, const char *why);
};

struct connection *connection_new(struct feeder *feeder,
                                  const struct connection_owner *owner,
                                  void *context);
void connection_free(struct connection **connection);

/* Begin; the peer's address is that of the configuration of now. */
void connection_open(struct connection *connection);
/* Close it now, as asked for: closed() is called, before this returns. */
void connection_close(struct connection *connection);
/* Is there one, open or opening? */
bool connection_is_up(const struct connection *connection);

/* How it is encrypted, for the log: "none", "TLSv1.3 ..."; it is ready. */
const char *connection_tls(const struct connection *connection);

/* Append what is to be sent; leaves at the end of connection_run(), or with
   connection_flush(). */
struct evbuffer *connection_output(struct connection *connection);
bool connection_is_full(struct connection *connection);
void connection_flush(struct connection *connection);
/* The next octets are an article of at most so many octets. */
void connection_want_article(struct connection *connection, size_t octets_max);
/* Is an answer owed to us?  Then the time for it runs. */
void connection_expect(struct connection *connection, bool expect);

/* Do what there is to do. */
void connection_run(struct connection *connection);
/* Each tick: deadlines, names that were looked up. */
void connection_tick(struct connection *connection);

#endif
