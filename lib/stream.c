/*
 * stream -- see stream.h.
 */
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

struct stream {
    int fd;
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
    event_del(&stream->readable);
    event_del(&stream->writable);
    evbuffer_drain(stream->output, evbuffer_get_length(stream->output));
}

static void
stream_readable(evutil_socket_t fd, short events, void *context)
{
    struct stream *stream = context;
    ssize_t got;

    (void)events; /* registered for one kind only */
    got = recv(fd, scratch, sizeof scratch, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0) {
        stream_fail(stream);
    } else if (got == 0) {
        stream->ended = true;
        event_del(&stream->readable);
    } else {
        stream->octets_read += (uint64_t)got;
        if (evbuffer_add(stream->input, scratch, (size_t)got) < 0)
            stream_fail(stream);
    }
    stream->func(stream->context);
}

static void
stream_writable(evutil_socket_t fd, short events, void *context)
{
    struct stream *stream = context;
    bool was_full = stream->full;

    (void)fd;
    (void)events; /* registered for one kind only */
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
stream_flush(struct stream *stream)
{
    int written;

    if (stream->failed) {
        evbuffer_drain(stream->output, evbuffer_get_length(stream->output));
        return;
    }
    if (evbuffer_get_length(stream->output) == 0)
        return;
    written = evbuffer_write(stream->output, stream->fd);
    if (written < 0 && errno != EAGAIN && errno != EINTR) {
        stream_fail(stream);
        return;
    }
    if (written > 0)
        stream->octets_written += (uint64_t)written;
    if (evbuffer_get_length(stream->output) > 0)
        event_add(&stream->writable, NULL);
    else
        event_del(&stream->writable);
}

void
stream_want_input(struct stream *stream, bool wanted)
{
    if (stream->wanted == wanted)
        return;
    stream->wanted = wanted;
    if (stream->ended || stream->failed)
        return;
    if (wanted)
        event_add(&stream->readable, NULL);
    else
        event_del(&stream->readable);
}

void
stream_shutdown(struct stream *stream)
{
    /* A peer that is already gone is no news: the next read tells. */
    (void)shutdown(stream->fd, SHUT_WR);
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
