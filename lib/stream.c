/*
 * stream -- see stream.h.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>

#include "lib/deflate.h"
#include "lib/memory.h"
#include "lib/stream.h"
#include "lib/tls.h"

enum { TLS_RECORD_OCTETS = 16 * 1024 }; /* one holds no more */

struct stream {
    int fd;
    struct tls *tls; /* NULL: plain */
    bool securing;
    struct deflate *deflate;   /* NULL: none */
    struct evbuffer *packed;   /* came, and was not yet unpacked */
    struct evbuffer *to_layer; /* packed, and is to go */
    /* A read of the TLS layer waits until the socket takes octets. */
    bool read_waits;
    struct event readable;
    struct event writable;
    struct event again; /* more to read lies in a layer */
    struct evbuffer *input;
    struct evbuffer *output;
    bool wanted;
    bool ended;
    bool failed;
    bool full;
    uint64_t octets_read;
    uint64_t octets_written;
    stream_func *func;
    void *context;
};

/*
 * Octets pass through this one place and not straight into the input, where
 * they would lie in a chunk as large as what might have come: a client that
 * sends one octet and falls silent costs half a kilobyte, not 64.
 */
static char scratch[STREAM_READ_OCTETS];

static void
stream_read_no_more(struct stream *stream)
{
    event_del(&stream->readable);
    event_del(&stream->again);
}

static void
stream_fail(struct stream *stream)
{
    stream->failed = true;
    stream->securing = false;
    stream_read_no_more(stream);
    event_del(&stream->writable);
    evbuffer_drain(stream->output, evbuffer_get_length(stream->output));
}

/* There is more to read, which the socket need not tell of.  In the next turn:
   an event that is made active now would be served before anybody else's. */
static void
stream_read_again(struct stream *stream)
{
    static const struct timeval at_once = {0, 0};

    event_add(&stream->again, &at_once);
}

/* --- the layer below: as read() and write() --- */

/* As much as there is, and as fits. */
static ssize_t
layer_read(struct stream *stream)
{
    size_t size =
        stream->deflate == NULL ? sizeof scratch : STREAM_PACKED_OCTETS;
    ssize_t got, all = 0;

    if (stream->tls == NULL)
        return recv(stream->fd, scratch, size, 0);
    do {
        got = tls_read(stream->tls, scratch + all, size - (size_t)all);
        if (got > 0)
            all += got;
    } while (got > 0 && tls_has_pending(stream->tls)
             && (size_t)all <= size - TLS_RECORD_OCTETS);
    if (all == 0)
        return got;
    /* An end or a failure behind the last octet, which the socket may never
       tell of again: the next call hears of it. */
    if (got == 0 || (got < 0 && errno != EAGAIN))
        stream_read_again(stream);
    return all;
}

/* What the layer below takes from. */
static struct evbuffer *
stream_wire(const struct stream *stream)
{
    return stream->deflate == NULL ? stream->output : stream->to_layer;
}

static ssize_t
layer_write(struct stream *stream)
{
    struct evbuffer *output = stream_wire(stream);
    size_t length = evbuffer_get_length(output);
    ssize_t put;

    /* What was packed may still be in the packer. */
    if (length == 0)
        return 0;
    if (stream->tls == NULL)
        return evbuffer_write(output, stream->fd);
    if (length > TLS_RECORD_OCTETS)
        length = TLS_RECORD_OCTETS;
    put = tls_write(stream->tls, evbuffer_pullup(output, (ev_ssize_t)length),
                    length);
    if (put > 0)
        evbuffer_drain(output, (size_t)put);
    return put;
}

/* --- deflate, above it --- */

/* Are there octets to unpack? */
static bool
stream_has_packed(const struct stream *stream)
{
    return stream->deflate != NULL
           && (evbuffer_get_length(stream->packed) > 0
               || deflate_has_pending(stream->deflate));
}

static void
stream_unpack(struct stream *stream)
{
    int status = deflate_unpack(stream->deflate, stream->packed, stream->input,
                                STREAM_READ_OCTETS);

    if (status < 0) {
        stream_fail(stream);
    } else if (status == 0) {
        stream->ended = true;
        stream_read_no_more(stream);
    } else if (stream_has_packed(stream)) {
        stream_read_again(stream);
    }
}

/* False: no memory. */
static bool
stream_pack(struct stream *stream)
{
    return stream->deflate == NULL || evbuffer_get_length(stream->output) == 0
           || evbuffer_get_length(stream->to_layer) > 0
           || deflate_pack(stream->deflate, stream->output, stream->to_layer,
                           STREAM_PACK_OCTETS)
                  == 0;
}

/* --- events --- */

/* Input is awaited from the socket, or lies in the TLS layer already. */
static void
stream_await_input(struct stream *stream)
{
    event_add(&stream->readable, NULL);
    if (stream_has_packed(stream)
        || (stream->tls != NULL && tls_has_pending(stream->tls)))
        stream_read_again(stream);
}

/*
 * TLS has something of its own to say before it can read on (a new key, which
 * the other end has asked for).  Were we to go on waiting for input, which is
 * there, the loop would turn without end until the other end reads.
 */
static void
stream_read_later(struct stream *stream)
{
    stream->read_waits = true;
    stream_read_no_more(stream);
    event_add(&stream->writable, NULL);
}

static void
stream_secure(struct stream *stream)
{
    int done = tls_handshake(stream->tls);

    if (done < 0) {
        stream_fail(stream);
        stream->func(stream->context);
        return;
    }
    stream_read_no_more(stream);
    event_del(&stream->writable);
    if (done == 0) {
        event_add(tls_wants_write(stream->tls) ? &stream->writable
                                               : &stream->readable,
                  NULL);
        return;
    }
    stream->securing = false;
    if (stream->wanted)
        stream_await_input(stream);
    stream->func(stream->context);
}

/* Octets came, and lie in scratch. */
static void
stream_take(struct stream *stream, size_t octets)
{
    struct evbuffer *to =
        stream->deflate == NULL ? stream->input : stream->packed;

    stream->octets_read += octets;
    if (evbuffer_add(to, scratch, octets) < 0)
        stream_fail(stream);
    else if (stream->deflate != NULL)
        stream_unpack(stream);
    if (!stream->failed && !stream->ended && stream->tls != NULL
        && tls_has_pending(stream->tls))
        stream_read_again(stream);
}

static void
stream_read(struct stream *stream)
{
    ssize_t got;

    if (stream_has_packed(stream)) {
        stream_unpack(stream);
        stream->func(stream->context);
        return;
    }
    got = layer_read(stream);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (stream->tls != NULL && tls_wants_write(stream->tls))
            stream_read_later(stream);
        return;
    }
    if (got < 0) {
        stream_fail(stream);
    } else if (got == 0) {
        stream->ended = true;
        stream_read_no_more(stream);
    } else {
        stream_take(stream, (size_t)got);
    }
    stream->func(stream->context);
}

static void
stream_readable(evutil_socket_t fd, short events, void *context)
{
    struct stream *stream = context;

    (void)fd;
    (void)events; /* registered for one kind only */
    if (stream->securing)
        stream_secure(stream);
    else
        stream_read(stream);
}

static void
stream_writable(evutil_socket_t fd, short events, void *context)
{
    struct stream *stream = context;
    bool was_full = stream->full;

    (void)fd;
    (void)events; /* registered for one kind only */
    if (stream->securing) {
        stream_secure(stream);
        return;
    }
    if (stream->read_waits) {
        stream->read_waits = false;
        event_del(&stream->writable);
        if (stream->wanted) {
            event_add(&stream->readable, NULL);
            stream_read(stream);
        }
    }
    stream_flush(stream);
    if (stream->failed || (was_full && !stream_is_full(stream))
        || stream_unsent(stream) == 0)
        stream->func(stream->context);
}

struct stream *
stream_new(struct event_base *base, int fd, stream_func *func, void *context)
{
    struct stream *stream = xcalloc(1, sizeof *stream);

    stream->fd = fd;
    stream->func = func;
    stream->context = context;
    stream->input = evbuffer_new();
    stream->output = evbuffer_new();
    (void)evutil_make_socket_nonblocking(fd); /* cannot fail on a socket */
    event_assign(&stream->readable, base, fd, EV_READ | EV_PERSIST,
                 stream_readable, stream);
    event_assign(&stream->writable, base, fd, EV_WRITE | EV_PERSIST,
                 stream_writable, stream);
    event_assign(&stream->again, base, -1, 0, stream_readable, stream);
    stream_want_input(stream, true);
    return stream;
}

void
stream_free(struct stream **stream)
{
    if (*stream == NULL)
        return;
    stream_read_no_more(*stream);
    event_del(&(*stream)->writable);
    tls_free(&(*stream)->tls);
    deflate_free(&(*stream)->deflate);
    if ((*stream)->packed != NULL)
        evbuffer_free((*stream)->packed);
    if ((*stream)->to_layer != NULL)
        evbuffer_free((*stream)->to_layer);
    evbuffer_free((*stream)->input);
    evbuffer_free((*stream)->output);
    (void)close((*stream)->fd); /* nothing is written to it any more */
    free(*stream);
    *stream = NULL;
}

struct evbuffer *
stream_input(struct stream *stream)
{
    return stream->input;
}

struct evbuffer *
stream_output(struct stream *stream)
{
    return stream->output;
}

void
stream_start_tls(struct stream *stream, struct tls *tls)
{
    assert(stream->tls == NULL && stream->deflate == NULL);
    assert(evbuffer_get_length(stream->output) == 0);
    evbuffer_drain(stream->input, evbuffer_get_length(stream->input));
    stream->tls = tls;
    if (stream->failed || stream->ended)
        return;
    stream->securing = true;
    /* The client speaks first. */
    event_add(tls_is_client(tls) ? &stream->writable : &stream->readable,
              NULL);
}

bool
stream_is_securing(const struct stream *stream)
{
    return stream->securing;
}

struct tls *
stream_tls(const struct stream *stream)
{
    return stream->securing ? NULL : stream->tls;
}

void
stream_start_deflate(struct stream *stream, struct deflate *deflate)
{
    assert(stream->deflate == NULL);
    evbuffer_drain(stream->input, evbuffer_get_length(stream->input));
    stream->deflate = deflate;
    stream->packed = evbuffer_new();
    stream->to_layer = evbuffer_new();
    if (stream->packed == NULL || stream->to_layer == NULL
        || evbuffer_add_buffer(stream->to_layer, stream->output) < 0)
        stream_fail(stream);
}

bool
stream_is_compressed(const struct stream *stream)
{
    return stream->deflate != NULL;
}

bool
stream_splice(struct stream *stream, const void *packed, size_t length)
{
    if (stream->deflate == NULL
        || evbuffer_get_length(stream->output) > STREAM_PACK_OCTETS)
        return false;
    if (deflate_splice(stream->deflate, stream->output, stream->to_layer,
                       packed, length)
        < 0)
        stream_fail(stream);
    return true;
}

size_t
stream_unsent(const struct stream *stream)
{
    return evbuffer_get_length(stream->output)
           + (stream->deflate == NULL ? 0
                                      : evbuffer_get_length(stream->to_layer));
}

/* One piece, or all where there is no layer.  Returns whether to go on. */
static bool
stream_write(struct stream *stream)
{
    ssize_t written = layer_write(stream);

    if (written > 0)
        stream->octets_written += (uint64_t)written;
    if (written < 0 && errno != EAGAIN && errno != EINTR)
        stream_fail(stream);
    return written > 0;
}

void
stream_flush(struct stream *stream)
{
    if (stream->failed) {
        evbuffer_drain(stream->output, evbuffer_get_length(stream->output));
        return;
    }
    if (stream->securing || stream_unsent(stream) == 0)
        return;
    if (!stream_pack(stream)) {
        stream_fail(stream);
        return;
    }
    if (stream->tls == NULL)
        (void)stream_write(stream); /* the socket tells when it takes more */
    else
        while (evbuffer_get_length(stream_wire(stream)) > 0
               && stream_write(stream))
            continue;
    if (stream->failed)
        return;
    if (stream_unsent(stream) > 0)
        event_add(&stream->writable, NULL);
    else if (!stream->read_waits)
        event_del(&stream->writable);
}

void
stream_want_input(struct stream *stream, bool wanted)
{
    if (stream->wanted == wanted)
        return;
    stream->wanted = wanted;
    if (stream->ended || stream->failed || stream->securing
        || stream->read_waits)
        return;
    if (wanted)
        stream_await_input(stream);
    else
        stream_read_no_more(stream);
}

void
stream_shutdown(struct stream *stream)
{
    if (stream->tls != NULL && !stream->failed)
        tls_shutdown(stream->tls);
    /* A peer that is already gone is no news: the next read tells. */
    (void)shutdown(stream->fd, SHUT_WR);
}

int
stream_fd(const struct stream *stream)
{
    return stream->fd;
}

bool
stream_has_ended(const struct stream *stream)
{
    return stream->ended;
}

bool
stream_has_failed(const struct stream *stream)
{
    return stream->failed;
}

const char *
stream_failure(const struct stream *stream)
{
    if (stream->deflate != NULL && deflate_failure(stream->deflate)[0] != '\0')
        return deflate_failure(stream->deflate);
    return stream->tls == NULL ? "" : tls_failure(stream->tls);
}

bool
stream_is_full(struct stream *stream)
{
    size_t octets = evbuffer_get_length(stream->output);

    if (octets >= STREAM_OUTPUT_HIGH)
        stream->full = true;
    else if (octets < STREAM_OUTPUT_LOW)
        stream->full = false;
    return stream->full;
}

uint64_t
stream_octets_read(const struct stream *stream)
{
    return stream->octets_read;
}

uint64_t
stream_octets_written(const struct stream *stream)
{
    return stream->octets_written;
}
