/*
 * deflate -- both directions of a compressed connection (RFC 8054: raw
 * deflate, RFC 1951).
 *
 * A layer of lib/stream.h.  What is packed is flushed when nothing more is to
 * come for now, so that the other end can read all that was said.  What comes
 * is unpacked in small steps and only as far as there is room: a few octets
 * that unfold to a million cost their sender as many turns as a million would,
 * and one that goes on unfolding is cut off.
 *
 * Memory: we pack with a window of 4 KiB (32 KiB in all; a longer one costs up
 * to 256 KiB and makes overview and articles smaller by less than 2 %), and
 * must unpack with one of 32 KiB, since the other end chooses (RFC 8054,
 * 2.2.2), which makes 40 KiB.  A process has DEFLATE_CONNECTIONS_MAX of them.
 */
#ifndef LIB_DEFLATE_H
#define LIB_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct deflate;
struct evbuffer;

enum {
    DEFLATE_OCTETS = 80 * 1024,     /* memory of one, about */
    DEFLATE_CONNECTIONS_MAX = 1000, /* 80 MB */
    DEFLATE_STEP_OCTETS = 16 * 1024,
    /* Deflate makes at most 1,032 octets of one; news 3 to 10, and a long row
       of equal lines some hundreds.  Above this and the ratio it ends. */
    DEFLATE_GRACE_OCTETS = 4 * 1024 * 1024,
    DEFLATE_RATIO_MAX = 100,
};

/* NULL: no memory, or too many. */
struct deflate *deflate_new(void);
void deflate_free(struct deflate **deflate);

/* Take at most step octets out of from; where it is empty then, flush.  -1:
   no memory. */
int deflate_pack(struct deflate *deflate, struct evbuffer *from,
                 struct evbuffer *to, size_t step);
/*
 * A piece that was packed by itself, in place of its octets: from is packed
 * first, all of it, and what comes behind refers to nothing before.  -1: no
 * memory.
 */
int deflate_splice(struct deflate *deflate, struct evbuffer *from,
                   struct evbuffer *to, const void *packed, size_t length);
/* Pack such a piece: append it to packed.  It refers to nothing before it.
   -1: no memory. */
int deflate_alone(const void *octets, size_t length, struct buffer *packed);
/* Take octets out of from until it is empty or room octets were put into to.
   1: go on, 0: the other end has ended, -1: nonsense, or far too much of
   little; deflate_failure() says which. */
int deflate_unpack(struct deflate *deflate, struct evbuffer *from,
                   struct evbuffer *to, size_t room);
/* Are there octets that were taken, and had no room yet? */
bool deflate_has_pending(const struct deflate *deflate);
const char *deflate_failure(const struct deflate *deflate);

#endif
