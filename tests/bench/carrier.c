/*
 * carrier -- see carrier.h.
 */
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "tests/bench/carrier.h"

enum { RAW_OCTETS = 64 * 1024 };

struct carrier {
    int fd;
    SSL *ssl; /* NULL: plain */
    bool wants_write;
    /* NULL: not compressed */
    z_stream *inflate, *deflate;
    char *raw;         /* deflated octets that came; inflate's input */
    struct buffer out; /* deflated octets on their way */
};

static SSL_CTX *
tls_context(void)
{
    static SSL_CTX *context;

    if (context == NULL) {
        context = SSL_CTX_new(TLS_client_method());
        if (context == NULL)
            die(EXIT_SOFTWARE, "no TLS context");
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE
                                      | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                      | SSL_MODE_RELEASE_BUFFERS);
    }
    return context;
}

struct carrier *
carrier_new(int fd, bool tls)
{
    struct carrier *carrier = xcalloc(1, sizeof *carrier);

    carrier->fd = fd;
    if (tls) {
        carrier->ssl = SSL_new(tls_context());
        SSL_set_fd(carrier->ssl, fd);
        SSL_set_connect_state(carrier->ssl);
        carrier->wants_write = true; /* the client speaks first */
    }
    return carrier;
}

void
carrier_free(struct carrier **carrier)
{
    struct carrier *c = *carrier;

    *carrier = NULL;
    if (c == NULL)
        return;
    SSL_free(c->ssl);
    close(c->fd);
    if (c->inflate != NULL) {
        inflateEnd(c->inflate);
        deflateEnd(c->deflate);
        free(c->inflate);
        free(c->deflate);
        free(c->raw);
    }
    buffer_free(&c->out);
    free(c);
}

void
carrier_compress(struct carrier *c)
{
    c->inflate = xcalloc(1, sizeof *c->inflate);
    c->deflate = xcalloc(1, sizeof *c->deflate);
    c->raw = xmalloc(RAW_OCTETS);
    if (inflateInit2(c->inflate, -15) != Z_OK
        || deflateInit2(c->deflate, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY)
               != Z_OK)
        die(EXIT_SOFTWARE, "zlib");
}

/* --- the socket, or TLS over it --- */

static ssize_t
tls_result(struct carrier *c, int result)
{
    int error;

    if (result > 0)
        return result;
    error = SSL_get_error(c->ssl, result);
    ERR_clear_error();
    switch (error) {
    case SSL_ERROR_WANT_WRITE:
        c->wants_write = true;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_READ:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        /* A server that closes without a word of TLS has closed. */
        errno = EPIPE;
        return SSL_in_init(c->ssl) ? -1 : 0;
    }
}

static ssize_t
raw_read(struct carrier *c, void *octets, size_t size)
{
    c->wants_write = false;
    if (c->ssl != NULL)
        return tls_result(c, SSL_read(c->ssl, octets, (int)size));
    return recv(c->fd, octets, size, 0);
}

static ssize_t
raw_write(struct carrier *c, const void *octets, size_t length)
{
    c->wants_write = false;
    if (c->ssl == NULL) {
        ssize_t sent = send(c->fd, octets, length, MSG_NOSIGNAL);

        c->wants_write = sent < 0 && errno == EAGAIN;
        return sent;
    }
    return tls_result(c, SSL_write(c->ssl, octets, (int)length));
}

/* --- deflate over that --- */

ssize_t
carrier_read(struct carrier *c, void *octets, size_t size)
{
    if (c->inflate == NULL)
        return raw_read(c, octets, size);
    for (;;) {
        int status;

        c->inflate->next_out = octets;
        c->inflate->avail_out = (unsigned)size;
        if (c->inflate->avail_in > 0) {
            status = inflate(c->inflate, Z_SYNC_FLUSH);
            if (status != Z_OK && status != Z_BUF_ERROR)
                die(EXIT_DATA, "what the server sent does not inflate: %s",
                    c->inflate->msg != NULL ? c->inflate->msg : "ended");
            if (c->inflate->avail_out < size)
                return (ssize_t)(size - c->inflate->avail_out);
        }

        ssize_t got = raw_read(c, c->raw, RAW_OCTETS);

        if (got <= 0)
            return got;
        c->inflate->next_in = (unsigned char *)c->raw;
        c->inflate->avail_in = (unsigned)got;
    }
}

bool
carrier_has_more(const struct carrier *c)
{
    return (c->inflate != NULL && c->inflate->avail_in > 0)
           || (c->ssl != NULL && SSL_pending(c->ssl) > 0);
}

int
carrier_flush(struct carrier *c)
{
    if (c->ssl != NULL && SSL_in_init(c->ssl)) {
        c->wants_write = false;
        if (tls_result(c, SSL_do_handshake(c->ssl)) < 0)
            return -1;
    }
    while (c->out.used > 0) {
        ssize_t sent = raw_write(c, c->out.data, c->out.used);

        if (sent <= 0)
            return -1;
        buffer_drop(&c->out, (size_t)sent);
    }
    return 0;
}

ssize_t
carrier_write(struct carrier *c, const void *octets, size_t length)
{
    unsigned char piece[16 * 1024];

    if (c->deflate == NULL)
        return raw_write(c, octets, length);
    if (carrier_flush(c) < 0)
        return -1;
    c->deflate->next_in = (unsigned char *)(uintptr_t)octets;
    c->deflate->avail_in = (unsigned)length;
    do {
        c->deflate->next_out = piece;
        c->deflate->avail_out = sizeof piece;
        (void)deflate(c->deflate, Z_SYNC_FLUSH);
        buffer_append(&c->out, piece, sizeof piece - c->deflate->avail_out);
    } while (c->deflate->avail_out == 0);
    if (carrier_flush(c) < 0 && errno != EAGAIN)
        return -1;
    return (ssize_t)length;
}

bool
carrier_wants_write(const struct carrier *c)
{
    return c->wants_write || c->out.used > 0;
}
