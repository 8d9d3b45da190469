/*
 * tls -- TLS on one connected, non-blocking socket.
 *
 * A layer of lib/stream.h, which alone calls what reads and writes; everybody
 * else asks who is at the other end.
 */
#ifndef LIB_TLS_H
#define LIB_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct buffer;
struct tls;
struct tls_context;

enum {
    /* From the first octet to the last of a handshake. */
    TLS_HANDSHAKE_MS = 10 * 1000,
    TLS_BINDING_OCTETS_MAX = 64,
};

/* As the server of a connection.  The socket stays its owner's, and open. */
struct tls *tls_accept(struct tls_context *context, int fd);
/* As the client of one: whoever is at the other end must be who the context's
   peer section says, or the handshake fails. */
struct tls *tls_connect(struct tls_context *context, int fd);
bool tls_is_client(const struct tls *tls);
void tls_free(struct tls **tls);

/* 1: done, 0: when the socket is ready (tls_wants_write() says for what) call
   again, -1: failed, tls_failure() says why. */
int tls_handshake(struct tls *tls);
/* As read() and write(): octets, 0 at the end, -1 with errno; EAGAIN as above,
   anything else is a failure. */
ssize_t tls_read(struct tls *tls, void *octets, size_t size);
/* After EAGAIN the same octets, and perhaps more, must be given again. */
ssize_t tls_write(struct tls *tls, const void *octets, size_t size);
/* Say that nothing will follow. */
void tls_shutdown(struct tls *tls);
/* Does the last of the above wait until the socket takes octets? */
bool tls_wants_write(const struct tls *tls);
/* Have octets been taken from the socket that tls_read() has not given yet?
   They may be a piece of a record, for which it asks the socket again. */
bool tls_has_pending(const struct tls *tls);
const char *tls_failure(const struct tls *tls);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384", for the log. */
const char *tls_description(const struct tls *tls);

/*
 * The certificate that the other end has shown: how it is known.  names are
 * its DNS names, mail addresses and common name, and mean something only when
 * it is trusted: when one of the authorities we believe has vouched for it,
 * now. fingerprint is the certificate's SHA-256, as "sha256:" and 64 small
 * hexadecimal digits, and means something in any case.
 */
struct tls_identity {
    bool trusted;
    char fingerprint[7 + 64 + 1];
    char key_fingerprint[12 + 64 + 1];
    const char *subject; /* the common name; "" there is none */
    char **names;
    size_t name_count;
};
/* NULL: it has shown none.  Owned by the connection. */
const struct tls_identity *tls_identity(struct tls *tls);

/* What binds a login to this very connection (RFC 5929, 4; RFC 9266): the
   octets, how many, or 0 where this connection has no such binding. */
enum tls_binding { TLS_SERVER_END_POINT, TLS_EXPORTER };
size_t tls_binding(struct tls *tls, enum tls_binding kind,
                   unsigned char octets_r[TLS_BINDING_OCTETS_MAX]);

#endif
