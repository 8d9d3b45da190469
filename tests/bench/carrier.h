/*
 * carrier -- what carries a connection's octets: a socket, with TLS or deflate
 * over it where they are asked for.
 */
#ifndef TESTS_BENCH_CARRIER_H
#define TESTS_BENCH_CARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct carrier;

/* Takes over a connected, non-blocking socket; with tls a handshake begins
   (no certificate is checked: the load never leaves this machine). */
struct carrier *carrier_new(int fd, bool tls);
/* Closes the socket. */
void carrier_free(struct carrier **carrier);

/* From here on both directions are deflated (RFC 8054). */
void carrier_compress(struct carrier *carrier);

/*
 * As recv() and send(): octets, 0 at the end, -1 with errno.  EAGAIN: nothing
 * now; carrier_wants_write() says whether that is for want of room in the
 * socket.
 */
ssize_t carrier_read(struct carrier *carrier, void *octets, size_t size);
ssize_t carrier_write(struct carrier *carrier, const void *octets,
                      size_t length);
bool carrier_wants_write(const struct carrier *carrier);
/* Go on with a handshake, and with octets that were deflated and not taken:
   0 when nothing is left of either, -1 with errno. */
int carrier_flush(struct carrier *carrier);
/* Octets that were read off the socket and not yet given out. */
bool carrier_has_more(const struct carrier *carrier);

#endif
