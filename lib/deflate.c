#include "lib/deflate.h"

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "lib/buffer.h"
#include "lib/memory.h"

enum {
    LEVEL = 3, /* 50 MB/s; 6 takes twice the time for 7 % less */
    /* Negative: raw deflate, without zlib's head. */
    PACK_WINDOW = -12,
    PACK_MEMORY = 5,
    ALONE_WINDOW = -15, /* for the short time that it takes */
    ALONE_MEMORY = 8,
    UNPACK_WINDOW = -15,
};

struct deflate {
    z_stream packer;
    z_stream unpacker;
    uint64_t taken; /* by the unpacker */
    uint64_t made;
    bool pending; /* it had no room for all that it knew */
    const char *failure;
};

static unsigned connections; /* of this process */

struct deflate *
deflate_new(void)
{
    struct deflate *deflate;

    if (connections >= DEFLATE_CONNECTIONS_MAX)
        return NULL;
    deflate = xcalloc(1, sizeof(*deflate));
    deflate->failure = "";
    if (deflateInit2(&deflate->packer, LEVEL, Z_DEFLATED, PACK_WINDOW,
                     PACK_MEMORY, Z_DEFAULT_STRATEGY)
        != Z_OK) {
        free(deflate);
        return NULL;
    }
    if (inflateInit2(&deflate->unpacker, UNPACK_WINDOW) != Z_OK) {
        deflateEnd(&deflate->packer);
        free(deflate);
        return NULL;
    }
    connections++;
    return deflate;
}

void
deflate_free(struct deflate **deflate)
{
    if (*deflate == NULL)
        return;
    deflateEnd(&(*deflate)->packer);
    inflateEnd(&(*deflate)->unpacker);
    free(*deflate);
    *deflate = NULL;
    connections--;
}

/* --- packing --- */

/* All of the packer's input; with flush, so that it can be unpacked. */
static int
packer_run(z_stream *packer, struct evbuffer *to, int flush)
{
    Bytef octets[4096];

    do {
        int status;

        packer->next_out = octets;
        packer->avail_out = sizeof(octets);
        status = deflate(packer, flush);
        /* Z_BUF_ERROR: there was nothing to be done. */
        if (status != Z_OK && status != Z_BUF_ERROR)
            return -1;
        if (evbuffer_add(to, octets, sizeof(octets) - packer->avail_out) < 0)
            return -1;
    } while (packer->avail_out == 0);
    return 0;
}

/* At most step octets of from. */
static int
packer_take(struct deflate *deflate, struct evbuffer *from,
            struct evbuffer *to, size_t step)
{
    struct evbuffer_iovec piece;

    while (step > 0 && evbuffer_peek(from, 1, NULL, &piece, 1) > 0
           && piece.iov_len > 0) {
        if (piece.iov_len > step)
            piece.iov_len = step;
        deflate->packer.next_in = piece.iov_base;
        deflate->packer.avail_in = (uInt)piece.iov_len;
        if (packer_run(&deflate->packer, to, Z_NO_FLUSH) < 0)
            return -1;
        evbuffer_drain(from, piece.iov_len);
        step -= piece.iov_len;
    }
    return 0;
}

int
deflate_pack(struct deflate *deflate, struct evbuffer *from,
             struct evbuffer *to, size_t step)
{
    if (packer_take(deflate, from, to, step) < 0)
        return -1;
    return evbuffer_get_length(from) > 0
               ? 0
               : packer_run(&deflate->packer, to, Z_SYNC_FLUSH);
}

int
deflate_splice(struct deflate *deflate, struct evbuffer *from,
               struct evbuffer *to, const void *packed, size_t length)
{
    /* A full flush ends at an octet and empties the packer's window: behind
       the piece its distances count from the flush on again. */
    if (packer_take(deflate, from, to, SIZE_MAX) < 0
        || packer_run(&deflate->packer, to, Z_FULL_FLUSH) < 0)
        return -1;
    return evbuffer_add(to, packed, length);
}

int
deflate_alone(const void *octets, size_t length, struct buffer *packed)
{
    z_stream packer = {0};
    size_t size;
    int status;

    if (deflateInit2(&packer, LEVEL, Z_DEFLATED, ALONE_WINDOW, ALONE_MEMORY,
                     Z_DEFAULT_STRATEGY)
        != Z_OK)
        return -1;
    /* The flush is not in zlib's bound. */
    size = deflateBound(&packer, (uLong)length) + 16;
    packer.next_in = (Bytef *)(uintptr_t)octets;
    packer.avail_in = (uInt)length;
    packer.next_out = (Bytef *)buffer_reserve(packed, size);
    packer.avail_out = (uInt)size;
    status = deflate(&packer, Z_FULL_FLUSH);
    if (status == Z_OK && packer.avail_in == 0 && packer.avail_out > 0)
        buffer_used(packed, size - packer.avail_out);
    else
        status = Z_BUF_ERROR;
    deflateEnd(&packer);
    return status == Z_OK ? 0 : -1;
}

/* --- unpacking --- */

static bool
unpacker_is_bombed(const struct deflate *deflate)
{
    return deflate->made
           > DEFLATE_GRACE_OCTETS + deflate->taken * DEFLATE_RATIO_MAX;
}

/* One step, at most room octets: what inflate() says. */
static int
unpacker_step(struct deflate *deflate, struct evbuffer *to, size_t room)
{
    static Bytef octets[DEFLATE_STEP_OCTETS];
    z_stream *unpacker = &deflate->unpacker;
    uInt before = unpacker->avail_in;
    size_t made;
    int status;

    unpacker->next_out = octets;
    unpacker->avail_out =
        (uInt)(room < sizeof(octets) ? room : sizeof(octets));
    made = unpacker->avail_out;
    status = inflate(unpacker, Z_SYNC_FLUSH);
    made -= unpacker->avail_out;
    deflate->pending = unpacker->avail_out == 0;
    deflate->taken += before - unpacker->avail_in;
    deflate->made += made;
    if (evbuffer_add(to, octets, made) < 0)
        return Z_MEM_ERROR;
    return status;
}

static int
unpacker_fail(struct deflate *deflate, int status)
{
    if (status == Z_MEM_ERROR)
        deflate->failure = "no memory to unpack";
    else
        deflate->failure = "what came is not deflate";
    return -1;
}

int
deflate_unpack(struct deflate *deflate, struct evbuffer *from,
               struct evbuffer *to, size_t room)
{
    size_t limit = evbuffer_get_length(to) + room;

    while (evbuffer_get_length(to) < limit
           && (deflate->pending || evbuffer_get_length(from) > 0)) {
        struct evbuffer_iovec piece = {NULL, 0};
        int status;

        (void)evbuffer_peek(from, 1, NULL, &piece, 1); /* none: no octets */
        deflate->unpacker.next_in = piece.iov_base;
        deflate->unpacker.avail_in = (uInt)piece.iov_len;
        status = unpacker_step(deflate, to, limit - evbuffer_get_length(to));
        evbuffer_drain(from, piece.iov_len - deflate->unpacker.avail_in);
        if (status == Z_STREAM_END)
            return 0;
        if (status != Z_OK && status != Z_BUF_ERROR)
            return unpacker_fail(deflate, status);
        if (unpacker_is_bombed(deflate)) {
            deflate->failure = "it unfolds without end";
            return -1;
        }
    }
    return 1;
}

bool
deflate_has_pending(const struct deflate *deflate)
{
    return deflate->pending;
}

const char *
deflate_failure(const struct deflate *deflate)
{
    return deflate->failure;
}
