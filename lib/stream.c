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

#include "lib/memory.h"
#include "lib/stream.h"
#include "lib/tls.h"

enum { TLS_RECORD_OCTETS = 16 * 1024 }; /* one holds no more */

struct stream {
    int fd;
    struct tls *tls; /* NULL: plain */
    bool securing;
    /* A read of the TLS layer waits until the socket takes octets. */
    bool read_waits;
    struct event readable;
    struct event writable;
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
stream_fail(struct stream *stream)
{
    stream->failed = true;
    stream->securing = false;
    event_del(&stream->readable);
    event_del(&stream->writable);
    evbuffer_drain(stream->output, evbuffer_get_length(stream->output));
}

/* --- the layer below: as read() and write() --- */

/* As much as there is, and as fits. */
static ssize_t
layer_read(struct stream *stream)
{
    ssize_t got, all = 0;

    if (stream->tls == NULL)
        return recv(stream->fd, scratch, sizeof scratch, 0);
    do {
        got = tls_read(stream->tls, scratch + all,
                       sizeof scratch - (size_t)all);
        if (got > 0)
            all += got;
    } while (got > 0
             && (size_t)all <= sizeof scratch - TLS_RECORD_OCTETS);
    if (all == 0)
        return got;
    /* An end or a failure behind the last octet, which the socket may never
       tell of again: the next call hears of it. */
    if (got == 0 || (got < 0 && errno != EAGAIN))
        event_active(&stream->readable, EV_READ, 0);
    return all;
}

static ssize_t
layer_write(struct stream *stream)
{
    size_t length = evbuffer_get_length(stream->output);
    ssize_t put;

    if (stream->tls == NULL)
        return evbuffer_write(stream->output, stream->fd);
    if (length > TLS_RECORD_OCTETS)
        length = TLS_RECORD_OCTETS;
    put = tls_write(stream->tls,
                    evbuffer_pullup(stream->output, (ev_ssize_t)length),
                    length);
    if (put > 0)
        evbuffer_drain(stream->output, (size_t)put);
    return put;
}

/* --- events --- */

/* Input is awaited from the socket, or lies in the TLS layer already. */
static void
stream_await_input(struct stream *stream)
{
    event_add(&stream->readable, NULL);
    if (stream->tls != NULL && tls_has_pending(stream->tls))
        event_active(&stream->readable, EV_READ, 0);
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
    event_del(&stream->readable);
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
    event_del(&stream->readable);
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

static void
stream_read(struct stream *stream)
{
    ssize_t got = layer_read(stream);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (stream->tls != NULL && tls_wants_write(stream->tls))
            stream_read_later(stream);
        return;
    }
    if (got < 0) {
        stream_fail(stream);
    } else if (got == 0) {
        stream->ended = true;
        event_del(&stream->readable);
    } else {
        stream->octets_read += (uint64_t)got;
        if (evbuffer_add(stream->input, scratch, (size_t)got) < 0)
            stream_fail(stream);
        else if (stream->tls != NULL && tls_has_pending(stream->tls))
            event_active(&stream->readable, EV_READ, 0);
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
        || evbuffer_get_length(stream->output) == 0)
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
    stream_want_input(stream, true);
    return stream;
}

void
stream_free(struct stream **stream)
{
    if (*stream == NULL)
        return;
    event_del(&(*stream)->readable);
    event_del(&(*stream)->writable);
    tls_free(&(*stream)->tls);
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
    assert(stream->tls == NULL && evbuffer_get_length(stream->output) == 0);
    evbuffer_drain(stream->input, evbuffer_get_length(stream->input));
    stream->tls = tls;
    if (stream->failed || stream->ended)
        return;
    stream->securing = true;
    event_add(&stream->readable, NULL);
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
stream_flush(struct stream *stream)
{
    ssize_t written;

    if (stream->failed) {
        evbuffer_drain(stream->output, evbuffer_get_length(stream->output));
        return;
    }
    if (stream->securing || evbuffer_get_length(stream->output) == 0)
        return;
    do {
        written = layer_write(stream);
        if (written > 0)
            stream->octets_written += (uint64_t)written;
    } while (written > 0 && stream->tls != NULL
             && evbuffer_get_length(stream->output) > 0);
    if (written < 0 && errno != EAGAIN && errno != EINTR) {
        stream_fail(stream);
        return;
    }
    if (evbuffer_get_length(stream->output) > 0)
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
        event_del(&stream->readable);
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
