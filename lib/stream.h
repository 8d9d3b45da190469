/*
 * stream -- the octets between us and one client, whatever carries them.
 *
 * A non-blocking socket with an input and an output evbuffer.  The octets are
 * plain at first; TLS is a layer that may come between them and the socket,
 * and deflate one that may come between them and TLS.  They change nothing in
 * front of it: the owner reads from stream_input(), appends to
 * stream_output(), and calls stream_flush() once a turn, so that all answers
 * of a turn leave in one write.
 *
 * Output has two marks.  At STREAM_OUTPUT_HIGH the stream is full: its owner
 * stops taking commands and adding rows, and the client's pace is the only
 * queue.  It is full until fewer than STREAM_OUTPUT_LOW octets are left; then
 * func is called and the owner goes on.  Between the two lies enough to keep
 * the socket busy while the owner makes more.
 *
 * func is called from the event loop when input came, when the input ended or
 * failed, when the stream is full no more, when the last octet of output has
 * gone, and when a TLS handshake is done.  It must not free the stream.
 */
#ifndef LIB_STREAM_H
#define LIB_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct deflate;
struct event_base;
struct stream;
struct tls;

enum {
    STREAM_READ_OCTETS = 64 * 1024, /* at most, in one turn */
    /* A step of the owner may put 64 KiB on top of it: 256 KiB in all. */
    STREAM_OUTPUT_HIGH = 192 * 1024,
    STREAM_OUTPUT_LOW = 64 * 1024,
    /* Under deflate: read, and packed, in one turn, since both cost time. */
    STREAM_PACKED_OCTETS = 16 * 1024,
    STREAM_PACK_OCTETS = 64 * 1024,
};

typedef void stream_func(void *context);

/* Takes over a connected socket and makes it non-blocking; reads at once. */
struct stream *stream_new(struct event_base *base, int fd, stream_func *func,
                          void *context);
/* Closes the socket; octets not yet written are lost. */
void stream_free(struct stream **stream);

/*
 * From here on TLS: takes over tls, which is over the same socket.  No output
 * may wait.  What came before and was not taken is thrown away unread, since
 * nobody knows who has sent it (RFC 4642, 2.2.2; CVE-2011-0411).  Until the
 * handshake is done, nothing is read or written; output waits.
 */
void stream_start_tls(struct stream *stream, struct tls *tls);
/* The handshake is under way. */
bool stream_is_securing(const struct stream *stream);
/* The layer, once its handshake is done; NULL: the octets are plain. */
struct tls *stream_tls(const struct stream *stream);

/*
 * From here on deflate (RFC 8054): takes over deflate.  Output that waits goes
 * as it is; what came before and was not taken is thrown away unread.
 */
void stream_start_deflate(struct stream *stream, struct deflate *deflate);
bool stream_is_compressed(const struct stream *stream);
/*
 * Under deflate: a piece that deflate_alone() has packed goes in place of its
 * octets, behind all output so far.  False: too much output waits to be packed
 * before it; append the octets themselves.
 */
bool stream_splice(struct stream *stream, const void *packed, size_t length);

/* What came and was not yet taken; the owner drains it. */
struct evbuffer *stream_input(struct stream *stream);
/* What is to go; the owner appends. */
struct evbuffer *stream_output(struct stream *stream);
/* Octets that have not left yet. */
size_t stream_unsent(const struct stream *stream);
/* Write what the socket takes now; the rest follows when it takes more. */
void stream_flush(struct stream *stream);
/* Read from the socket, or leave it in the kernel and the sender waiting. */
void stream_want_input(struct stream *stream, bool wanted);
/* Send no more: the other end reads the end of our octets (after a flush). */
void stream_shutdown(struct stream *stream);

/* Borrowed: for a layer, and for what the system knows of it. */
int stream_fd(const struct stream *stream);
/* No input will come any more: the other end has ended its octets. */
bool stream_has_ended(const struct stream *stream);
/* The connection is of no use any more: reset, or a write failed. */
bool stream_has_failed(const struct stream *stream);
/* Why, in words; "" when it has not, or was just reset. */
const char *stream_failure(const struct stream *stream);
/* Between the marks: see above. */
bool stream_is_full(struct stream *stream);
/* Counted since stream_new(): whoever watches for progress compares. */
uint64_t stream_octets_read(const struct stream *stream);
uint64_t stream_octets_written(const struct stream *stream);

#endif
