/*
 * The layer that unpacks, against zlib at once: the octets come cut into
 * pieces, and there is room for some only, as the input chooses.  And the
 * input, packed, unpacks to itself.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <zlib.h>

#include "lib/deflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REFERENCE_OCTETS_MAX = 128 * 1024 };

static void
must(bool holds)
{
    if (!holds)
        abort();
}

/* What inflate() makes of all octets at once, as far as there is room for it;
   what it says last. */
static int
reference_unpack(const uint8_t *data, size_t size, Bytef *octets,
                 size_t *length_r)
{
    z_stream stream = {0};
    int status;

    must(inflateInit2(&stream, -15) == Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = octets;
    stream.avail_out = REFERENCE_OCTETS_MAX;
    do
        status = inflate(&stream, Z_SYNC_FLUSH);
    while (status == Z_OK && stream.avail_in > 0 && stream.avail_out > 0);
    *length_r = REFERENCE_OCTETS_MAX - stream.avail_out;
    must(inflateEnd(&stream) == Z_OK);
    return status;
}

/* Piece by piece; the status of the last. */
static int
layer_unpack(const uint8_t *data, size_t size, size_t piece, size_t room,
             struct evbuffer *to)
{
    struct deflate *deflate = deflate_new();
    struct evbuffer *from = evbuffer_new();
    int status = 1;

    must(deflate != NULL && from != NULL);
    while (status == 1 && evbuffer_get_length(to) < REFERENCE_OCTETS_MAX
           && (size > 0 || evbuffer_get_length(from) > 0
               || deflate_has_pending(deflate))) {
        size_t before = evbuffer_get_length(to);

        if (evbuffer_get_length(from) == 0 && !deflate_has_pending(deflate)) {
            size_t octets = piece < size ? piece : size;

            must(evbuffer_add(from, data, octets) == 0);
            data += octets;
            size -= octets;
        }
        status = deflate_unpack(deflate, from, to, room);
        must(evbuffer_get_length(to) - before <= room);
        must((status < 0) == (deflate_failure(deflate)[0] != '\0'));
    }
    evbuffer_free(from);
    deflate_free(&deflate);
    return status;
}

static void
unpacking_is_true(const uint8_t *data, size_t size, size_t piece, size_t room)
{
    static Bytef reference[REFERENCE_OCTETS_MAX];
    struct evbuffer *to = evbuffer_new();
    size_t length, got;
    int expected = reference_unpack(data, size, reference, &length);
    int status = layer_unpack(data, size, piece, room, to);

    got = evbuffer_get_length(to);
    if (got > length)
        got = length; /* the reference had no more room */
    must(got == 0 || memcmp(evbuffer_pullup(to, -1), reference, got) == 0);
    if (length < REFERENCE_OCTETS_MAX) {
        must(evbuffer_get_length(to) == length);
        must((status == 0) == (expected == Z_STREAM_END));
        must((status < 0) == (expected == Z_DATA_ERROR));
    }
    evbuffer_free(to);
}

static void
packing_is_true(const uint8_t *data, size_t size, size_t step)
{
    struct deflate *deflate = deflate_new();
    struct evbuffer *plain = evbuffer_new();
    struct evbuffer *packed = evbuffer_new();
    struct evbuffer *again = evbuffer_new();

    must(evbuffer_add(plain, data, size) == 0);
    while (evbuffer_get_length(plain) > 0)
        must(deflate_pack(deflate, plain, packed, step) == 0);
    must(deflate_unpack(deflate, packed, again, size + 1) == 1);
    must(evbuffer_get_length(packed) == 0);
    must(evbuffer_get_length(again) == size);
    must(size == 0 || memcmp(evbuffer_pullup(again, -1), data, size) == 0);
    evbuffer_free(plain);
    evbuffer_free(packed);
    evbuffer_free(again);
    deflate_free(&deflate);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unpacking_is_true(data + 2, size - 2, (size_t)data[0] + 1,
                      ((size_t)data[1] + 1) * 16);
    packing_is_true(data + 2, size - 2, (size_t)data[0] + 1);
    return 0;
}
