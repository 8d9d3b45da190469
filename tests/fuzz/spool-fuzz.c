/*
 * The walk through a segment whose file has been spoiled as the input says.
 *
 * The input is a list of changes to a good image of a segment, each of
 * CHANGE_OCTETS octets.  Unless a change has made sums right again, what the
 * walk gives must be records of the image, as they were, in their order.  And
 * unless octets were copied from place to place, all those must be given that
 * no change touched before the good end.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/batch.h"
#include "storage/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SEGMENT = 5,
    EPOCH = 9,
    BATCHES = 12,
    PER_BATCH = 3,
    RECORDS = BATCHES * PER_BATCH,
    CHANGE_OCTETS = 6,
    CHANGES_MAX = 64,
};

/* --- the log is silent here: each change would be a line of it --- */

void
warn(const char *format, ...)
{
    (void)format;
}

void
syswarn(const char *format, ...)
{
    (void)format;
}

void
die(enum exit_status status, const char *format, ...)
{
    (void)status;
    (void)format;
    abort();
}

void
sysdie(enum exit_status status, const char *format, ...)
{
    (void)status;
    (void)format;
    abort();
}

static void
must(bool holds)
{
    if (!holds)
        abort();
}

/* --- the good image --- */

static struct buffer image;
static uint32_t record_offsets[RECORDS + 1]; /* by sequence */
static uint32_t record_ends[RECORDS + 1];
static uint32_t ends[BATCHES + 1]; /* of batches, the first 4096 */

static void
record_append(struct batch *batch, uint64_t sequence)
{
    char text[300];
    struct iovec payload = {text, 10 + sequence * 53 % 280};
    struct record_group group = {1, 0, sequence};
    struct record_head head = {.type = RECORD_ARTICLE,
                               .sequence = sequence,
                               .arrival = 1000 + (int64_t)sequence,
                               .body_offset = 3};

    memset(text, (int)('a' + sequence % 26), sizeof(text));
    record_offsets[sequence] =
        (uint32_t)image.used
        + batch_append(batch, &head, &group, sizeof(group), &payload, 1);
    record_ends[sequence] = record_offsets[sequence] + head.octets;
}

/* Two batches to each flush. */
static void
image_make(void)
{
    uint64_t sequence = 1;
    uint32_t previous = 0;

    memset(buffer_reserve(&image, SEGMENT_HEAD_OCTETS), 0,
           SEGMENT_HEAD_OCTETS);
    image.used = SEGMENT_HEAD_OCTETS;
    ends[0] = SEGMENT_HEAD_OCTETS;
    for (unsigned i = 0; i < BATCHES; i++) {
        struct batch *batch = batch_new();

        for (unsigned j = 0; j < PER_BATCH; j++)
            record_append(batch, sequence++);
        batch_place(batch, SEGMENT, EPOCH, ends[i], previous);
        batch_stamp(batch, ends[i / 2 * 2]);
        buffer_append(&image, batch->octets->data, batch->octets->used);
        previous = ends[i];
        ends[i + 1] = (uint32_t)image.used;
        batch_free(&batch);
    }
}

/* --- changes --- */

struct spoiled {
    char *octets;
    size_t used;
    bool mended;               /* sums were made right over changes */
    bool copied;               /* good records may lie where they should not */
    bool touched[RECORDS + 1]; /* by sequence */
};

static void
touch(struct spoiled *spoiled, size_t from, size_t length)
{
    for (uint64_t s = 1; s <= RECORDS; s++)
        if (from < record_ends[s] && from + length > record_offsets[s])
            spoiled->touched[s] = true;
}

/* Make the sum right of the batch head or record head at the place. */
static void
mend(struct spoiled *spoiled, size_t at)
{
    char *octets = spoiled->octets;
    struct batch_head batch;
    struct record_head record;

    at &= ~(size_t)7;
    spoiled->mended = true;
    if (at + sizeof(record) > spoiled->used)
        return;
    memcpy(&batch, octets + at, sizeof(batch));
    if (batch.magic == BATCH_MAGIC) {
        batch.crc =
            crc32c((uint32_t)at, &batch, offsetof(struct batch_head, crc));
        memcpy(octets + at, &batch, sizeof(batch));
        return;
    }
    memcpy(&record, octets + at, sizeof(record));
    if (record.meta_octets > spoiled->used - at - sizeof(record))
        return;
    record.magic = RECORD_MAGIC;
    record.crc = crc32c(0, &record, offsetof(struct record_head, crc));
    record.crc =
        crc32c(record.crc, octets + at + sizeof(record), record.meta_octets);
    memcpy(octets + at, &record, sizeof(record));
}

static void
change(struct spoiled *spoiled, const uint8_t *what)
{
    size_t room = spoiled->used - SEGMENT_HEAD_OCTETS;
    size_t at = SEGMENT_HEAD_OCTETS + (what[1] | what[2] << 8) % room;
    size_t length = 1 + (what[3] | (what[4] & 15) << 8);
    size_t from = SEGMENT_HEAD_OCTETS + (what[5] * 64u) % room;

    if (length > spoiled->used - at)
        length = spoiled->used - at;
    switch (what[0] % 8) {
    case 0: /* flip a bit */
        spoiled->octets[at] ^= (char)(1 << what[3] % 8);
        touch(spoiled, at, 1);
        break;
    case 1: /* set octets */
        memset(spoiled->octets + at, what[5], length);
        touch(spoiled, at, length);
        break;
    case 2: /* zeroes: a page that never came to the disk */
        memset(spoiled->octets + at, 0, length);
        touch(spoiled, at, length);
        break;
    case 3: /* octets of another place, perhaps whole records or batches */
        if (length > spoiled->used - from)
            length = spoiled->used - from;
        memmove(spoiled->octets + at, spoiled->octets + from, length);
        spoiled->copied = true;
        touch(spoiled, at, length);
        break;
    case 4: /* a cut */
        touch(spoiled, at, spoiled->used - at);
        spoiled->used =
            at > SEGMENT_HEAD_OCTETS ? at : SEGMENT_HEAD_OCTETS + 1;
        break;
    case 5: /* one field of the batch or record head at the place */
        at = (at & ~(size_t)7) + what[4] % 12 * 4;
        if (at + 4 > spoiled->used)
            break;
        memset(spoiled->octets + at, what[5], 4);
        touch(spoiled, at, 4);
        break;
    default:
        mend(spoiled, at);
        break;
    }
}

/* --- the walk --- */

struct given {
    const struct spoiled *spoiled;
    bool seen[RECORDS + 1];
    uint64_t last;
};

static int
give(void *context, const struct record *record, struct buffer *why)
{
    struct given *given = context;
    uint64_t sequence = record->head.sequence;
    const char *octets;

    (void)why;
    must(sequence >= given->last);
    given->last = sequence;
    must(record->token.offset % 8 == 0);
    must(crc32c(0, record->payload, record->head.payload_octets)
         == record->head.payload_crc);
    if (given->spoiled->mended)
        return 0;
    /* It is the record that had this sequence, wherever it lies now. */
    must(sequence >= 1 && sequence <= RECORDS && !given->seen[sequence]);
    given->seen[sequence] = true;
    octets = image.data + record_offsets[sequence];
    must(memcmp(&record->head, octets, sizeof(record->head)) == 0);
    must(memcmp(record->payload,
                octets + sizeof(record->head) + record->head.meta_octets,
                record->head.payload_octets)
         == 0);
    return 0;
}

static void
walk(struct spoiled *spoiled, int fd, uint32_t end, uint64_t epoch)
{
    struct given given = {.spoiled = spoiled};
    struct segment_walk walk = {.fd = fd,
                                .segment = SEGMENT,
                                .epoch = epoch,
                                .end = end,
                                .func = give,
                                .context = &given};

    must(segment_walk(&walk, NULL) == 0);
    must(walk.good_end >= SEGMENT_HEAD_OCTETS);
    must(walk.last_sequence >= given.last);
    if (spoiled->mended || spoiled->copied)
        return;
    for (uint64_t s = 1; s <= RECORDS; s++)
        if (!spoiled->touched[s] && record_ends[s] <= walk.good_end
            && (end == 0 || record_ends[s] <= end))
            must(given.seen[s]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct spoiled spoiled = {0};
    uint32_t end = 0;

    if (fd < 0) {
        image_make();
        fd = memfd_create("segment", MFD_CLOEXEC);
        must(fd >= 0);
    }
    if (size == 0)
        return 0;
    /* Some walks know where the segment ends, some not even its epoch. */
    if (data[0] % 4 == 1)
        end = ends[data[0] / 4 % (BATCHES + 1)];
    spoiled.used = image.used + data[0] / 16 * 256;
    spoiled.octets = xcalloc(1, spoiled.used);
    memcpy(spoiled.octets, image.data, image.used);
    for (size_t i = 1, n = 0; i + CHANGE_OCTETS <= size && n < CHANGES_MAX;
         i += CHANGE_OCTETS, n++)
        change(&spoiled, data + i);
    must(ftruncate(fd, 0) == 0);
    must(pwrite(fd, spoiled.octets, spoiled.used, 0) == (ssize_t)spoiled.used);
    walk(&spoiled, fd, end, data[0] % 4 == 2 ? 0 : EPOCH);
    free(spoiled.octets);
    return 0;
}
