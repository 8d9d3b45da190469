#include "tests/storage/spool_world.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>

#include "lib/crc32c.h"
#include "storage/batch.h"
#include "storage/segment.h"

/*
 * Images of a segment in memory.  Batch i of an image has PER_BATCH articles;
 * `synced` of each says which batches were written together.
 */
enum { PER_BATCH = 3, BATCHES_MAX = 12, SEGMENT = 7, EPOCH = 3 };

struct image {
    int fd;
    struct buffer octets;
    unsigned batches;
    uint32_t offsets[BATCHES_MAX + 1];                /* the last: the end */
    struct token tokens[BATCHES_MAX * PER_BATCH + 1]; /* by sequence */
};

/* flushes: a digit for each batch, equal ones were written together. */
static void
image_make(struct image *image, const char *flushes)
{
    uint64_t sequence = 1;
    uint32_t synced = SEGMENT_HEAD_OCTETS;
    uint32_t previous = 0;

    memset(image, 0, sizeof(*image));
    memset(buffer_reserve(&image->octets, SEGMENT_HEAD_OCTETS), 0,
           SEGMENT_HEAD_OCTETS);
    image->octets.used = SEGMENT_HEAD_OCTETS;
    for (size_t i = 0; flushes[i] != '\0'; i++) {
        struct batch *batch = batch_new();
        uint32_t offset = (uint32_t)image->octets.used;

        if (i > 0 && flushes[i] != flushes[i - 1])
            synced = offset;
        for (unsigned j = 0; j < PER_BATCH; j++, sequence++) {
            image->tokens[sequence] = article_append(batch, sequence);
            image->tokens[sequence].offset += offset;
        }
        batch_place(batch, SEGMENT, EPOCH, offset, previous);
        batch_stamp(batch, synced);
        buffer_append(&image->octets, batch->octets->data,
                      batch->octets->used);
        previous = offset;
        image->offsets[image->batches++] = offset;
        batch_free(&batch);
    }
    image->offsets[image->batches] = (uint32_t)image->octets.used;
    image->fd = memfd_create("segment", MFD_CLOEXEC);
    assert_true(image->fd >= 0);
}

/* Bring the file to what octets has, and zeroes behind it up to size. */
static void
image_write(struct image *image, size_t size)
{
    size_t octets = image->octets.used < size ? image->octets.used : size;

    assert_int_equal(ftruncate(image->fd, 0), 0);
    assert_int_equal(ftruncate(image->fd, (off_t)size), 0);
    assert_int_equal(pwrite(image->fd, image->octets.data, octets, 0), octets);
}

static void
image_free(struct image *image)
{
    buffer_free(&image->octets);
    close(image->fd);
}

static struct segment_walk
image_walk(struct image *image, uint32_t end, struct collected *collected)
{
    struct buffer why = BUFFER_EMPTY;
    struct segment_walk walk = {.fd = image->fd,
                                .segment = SEGMENT,
                                .epoch = EPOCH,
                                .end = end,
                                .func = collect,
                                .context = collected};

    memset(collected, 0, sizeof(*collected));
    assert_int_equal(segment_walk(&walk, &why), 0);
    buffer_free(&why);
    return walk;
}

static bool
collected_has(const struct collected *collected, uint64_t sequence)
{
    for (size_t i = 0; i < collected->count; i++)
        if (collected->sequences[i] == sequence)
            return true;
    return false;
}

/* --- a disk that cannot read some octets --- */

static off_t bad_from, bad_to;

ssize_t
pread(int fd, void *octets, size_t count, off_t offset)
{
    __typeof__(&pread) real = (__typeof__(&pread))dlsym(RTLD_NEXT, "pread");

    if (offset < bad_to && offset + (off_t)count > bad_from) {
        if (offset >= bad_from) {
            errno = EIO;
            return -1;
        }
        count = (size_t)(bad_from - offset);
    }
    return real(fd, octets, count, offset);
}

/* Batches as large as a few blocks of the disk, and one block of them bad. */
static void
test_a_block_that_cannot_be_read_takes_what_lies_in_it(void **state)
{
    struct image image;
    struct collected collected;
    struct segment_walk walk;

    (void)state;
    image_make(&image, "01234567");
    for (off_t from = 4096; from < (off_t)image.octets.used; from += 512) {
        image_write(&image, image.octets.used);
        bad_from = from;
        bad_to = from + 512;
        walk = image_walk(&image, 0, &collected);
        bad_from = bad_to = 0;
        /* Never taken for a torn tail, wherever it is. */
        assert_true(walk.damaged);
        for (uint64_t s = 1; s <= 8 * PER_BATCH; s++) {
            off_t begin = image.tokens[s].offset;
            off_t end = begin + image.tokens[s].octets;

            /* The walk steps over what the disk reads at a time. */
            if (end <= from || begin >= (from / 4096 + 1) * 4096)
                assert_true(collected_has(&collected, s));
            if (begin < from + 512 && end > from)
                assert_false(collected_has(&collected, s));
        }
        collected_free(&collected);
    }
    image_free(&image);
}

/* --- torn tails --- */

enum tear {
    TEAR_CUT,     /* the file ends there */
    TEAR_ZERO,    /* zeroes follow, to the segment's end */
    TEAR_GARBAGE, /* other octets follow */
};

static void
tear_at(struct image *image, const struct buffer *whole, size_t at,
        enum tear tear)
{
    image->octets.used = at;
    if (tear == TEAR_GARBAGE) {
        /* Other than what was there, octet by octet. */
        memcpy(image->octets.data + at, whole->data + at, whole->used - at);
        for (size_t i = at; i < whole->used; i++)
            image->octets.data[i] ^= 0x5a;
        image->octets.used = whole->used;
    }
    image_write(image, tear == TEAR_CUT ? at : whole->used + 65536);
    memcpy(image->octets.data, whole->data, whole->used);
    image->octets.used = whole->used;
}

/* The last 4,096 octets of the log, torn at each. */
static void
test_a_tear_anywhere_never_hurts_an_older_batch(void **state)
{
    struct image image;
    struct buffer whole = BUFFER_EMPTY;
    struct collected collected;

    (void)state;
    image_make(&image, "012345678");
    assert_true(image.octets.used > SEGMENT_HEAD_OCTETS + 4096);
    buffer_append(&whole, image.octets.data, image.octets.used);
    for (size_t at = whole.used - 4096; at < whole.used; at++)
        for (enum tear tear = TEAR_CUT; tear <= TEAR_GARBAGE; tear++) {
            struct segment_walk walk;
            unsigned whole_batches = 0;
            const char *padding = whole.data + at;

            while (image.offsets[whole_batches + 1] <= at)
                whole_batches++;
            /* Where only zeroes of padding were torn off, nothing was. */
            if (tear == TEAR_ZERO && image.offsets[whole_batches + 1] - at < 8
                && memcmp(padding, "\0\0\0\0\0\0\0",
                          image.offsets[whole_batches + 1] - at)
                       == 0)
                whole_batches++;
            tear_at(&image, &whole, at, tear);
            walk = image_walk(&image, 0, &collected);
            if (tear == TEAR_GARBAGE
                && walk.good_end == image.offsets[whole_batches + 1])
                whole_batches++; /* changed padding only */
            assert_int_equal(collected.count, whole_batches * PER_BATCH);
            assert_int_equal(walk.good_end, image.offsets[whole_batches]);
            assert_int_equal(walk.last_sequence, whole_batches * PER_BATCH);
            assert_false(walk.damaged);
            collected_free(&collected);
        }
    buffer_free(&whole);
    image_free(&image);
}

struct flush_case {
    const char *flushes;
    const char *bad;  /* batches with an octet flipped: 'x' */
    unsigned batches; /* that are given, from the first on */
    bool damaged;
    const char *promise;
};

static void
test_what_a_bad_batch_means(void **state)
{
    static const struct flush_case cases[] = {
        {"0123", "....", 4, false, "a whole log is whole"},
        {"0123", "...x", 3, false, "the last batch bad: torn"},
        {"0122", "..xx", 2, false, "the last flush bad: torn"},
        {"0122", "..x.", 2, false,
         "a flush is dropped from its first bad batch on, though its last one"
         " reached the disk: nobody waited for that"},
        {"0122", "...x", 3, false, "the second of a flush bad: torn"},
        {"0000", "x...", 0, false, "one flush, its first bad: torn"},
        {"0123", "..x.", 4, true, "what was synced is damaged, not torn"},
        {"0011", "x...", 4, true, "a later flush proves the first"},
        {"0112", "..x.", 4, true, "and each batch of it"},
        {"0123", "x...", 4, true, "the first of a segment"},
        {"0123", "xx..", 4, true, "two in a row"},
        {"0123", "x.x.", 4, true, "two apart"},
        {"01233", "x..x.", 3, true, "damage, and a torn tail behind it"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct flush_case *c = &cases[i];
        struct image image;
        struct collected collected;
        struct segment_walk walk;
        unsigned lost = 0;

        image_make(&image, c->flushes);
        /* In the payload of each bad batch's second article. */
        for (unsigned j = 0; c->bad[j] != '\0'; j++)
            if (c->bad[j] == 'x') {
                uint64_t sequence = j * PER_BATCH + 2;
                const struct token *token = &image.tokens[sequence];

                image.octets.data[token->offset + token->octets - 12] ^= 1;
                lost += j < c->batches;
            }
        image_write(&image, image.octets.used + 8192);
        walk = image_walk(&image, 0, &collected);
        if (walk.damaged != c->damaged
            || walk.good_end != image.offsets[c->batches]
            || collected.count != c->batches * PER_BATCH - lost)
            fail_msg("%s", c->promise);
        collected_free(&collected);
        image_free(&image);
    }
}

/* --- damage --- */

/*
 * Flip a bit of each octet of the second batch of four.  What was hit is lost,
 * and nothing else.
 */
static void
test_a_flipped_bit_takes_one_record_at_most(void **state)
{
    struct image image;
    struct collected collected;

    (void)state;
    image_make(&image, "0123");
    for (uint32_t at = image.offsets[1]; at < image.offsets[2]; at++) {
        struct segment_walk walk;
        uint64_t hit = 0;

        for (uint64_t s = 1; s <= 4 * PER_BATCH; s++)
            if (at >= image.tokens[s].offset
                && at < image.tokens[s].offset + image.tokens[s].octets)
                hit = s;
        image.octets.data[at] ^= (char)(1 << at % 8);
        image_write(&image, image.octets.used);
        image.octets.data[at] ^= (char)(1 << at % 8);
        walk = image_walk(&image, 0, &collected);
        assert_int_equal(walk.good_end, image.offsets[4]);
        for (uint64_t s = 1; s <= 4 * PER_BATCH; s++)
            if (s != hit)
                assert_true(collected_has(&collected, s));
        /* Only padding is in no sum. */
        if (collected.count == 4 * PER_BATCH && !walk.damaged)
            assert_true(hit != 0
                        && at >= image.tokens[hit].offset
                                     + image.tokens[hit].octets - 7);
        collected_free(&collected);
    }
    image_free(&image);
}

/* What a TRUNC record says counts: damage before it, nothing behind it. */
static void
test_a_known_end_decides(void **state)
{
    struct image image;
    struct collected collected;
    struct segment_walk walk;

    (void)state;
    image_make(&image, "0123");
    image_write(&image, image.octets.used);
    walk = image_walk(&image, image.offsets[2], &collected);
    assert_int_equal(collected.count, 2 * PER_BATCH);
    assert_int_equal(walk.good_end, image.offsets[2]);
    assert_false(walk.damaged);
    collected_free(&collected);

    /* The last batch before the end is bad: it was synced. */
    image.octets.data[image.tokens[12].offset + 100] ^= 1;
    image_write(&image, image.octets.used);
    walk = image_walk(&image, image.offsets[4], &collected);
    assert_true(walk.damaged);
    assert_int_equal(collected.count, 4 * PER_BATCH - 1);
    collected_free(&collected);

    /* The file was cut before the end. */
    image.octets.used = image.offsets[2] + 10;
    image_write(&image, image.octets.used);
    walk = image_walk(&image, image.offsets[4], &collected);
    assert_true(walk.damaged);
    assert_int_equal(collected.count, 2 * PER_BATCH);
    collected_free(&collected);
    image_free(&image);
}

/* Octets of another segment, or of another life of this one, sum by
   themselves and must not be taken for a batch of this one. */
static void
test_stale_batches_never_chain_in(void **state)
{
    static const struct {
        uint32_t segment;
        uint64_t epoch;
        uint32_t previous_too_low;
        uint64_t sequence;
        const char *promise;
    } cases[] = {
        {SEGMENT + 1, EPOCH, 0, 7, "of another segment"},
        {SEGMENT, EPOCH - 1, 0, 7, "of an earlier epoch"},
        {SEGMENT, EPOCH, 8, 7, "not chained to the batch before"},
        {SEGMENT, EPOCH, 0, 6, "with a sequence that was there before"},
        {SEGMENT, EPOCH, 0, 0, "of another place in the segment"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct image image;
        struct collected collected;
        struct batch *batch = batch_new();

        image_make(&image, "01");
        article_append(batch, cases[i].sequence != 0 ? cases[i].sequence : 7);
        batch_place(batch, cases[i].segment, cases[i].epoch,
                    (uint32_t)image.octets.used
                        + (cases[i].sequence == 0 ? 8 : 0),
                    image.offsets[1] - cases[i].previous_too_low);
        batch_stamp(batch, image.offsets[1]);
        buffer_append(&image.octets, batch->octets->data, batch->octets->used);
        image_write(&image, image.octets.used);
        image_walk(&image, 0, &collected);
        if (collected.count != 2 * PER_BATCH)
            fail_msg("a batch %s was taken", cases[i].promise);
        collected_free(&collected);
        batch_free(&batch);
        image_free(&image);
    }
}

/* A good record where it should not be, in a damaged batch: taking it would
   put all that comes before it out of order. */
static void
test_a_record_from_elsewhere_is_not_saved(void **state)
{
    struct image image;
    struct collected collected;
    const struct token *from, *to;

    (void)state;
    image_make(&image, "0123");
    from = &image.tokens[11];
    to = &image.tokens[4];
    memmove(image.octets.data + to->offset, image.octets.data + from->offset,
            from->octets);
    image_write(&image, image.octets.used);
    image_walk(&image, 0, &collected);
    for (uint64_t s = 1; s <= 4 * PER_BATCH; s++)
        assert_int_equal(collected_has(&collected, s),
                         image.tokens[s].offset < to->offset
                             || image.tokens[s].offset
                                    >= to->offset + from->octets);
    collected_free(&collected);
    image_free(&image);
}

/* A record that sums, but is not the one that was sealed here: an older
   life of the same octets. */
static void
test_a_batch_with_another_record_in_it_is_no_batch(void **state)
{
    struct image image;
    struct collected collected;
    const struct token *token;
    struct record_head head;
    struct segment_walk walk;

    (void)state;
    image_make(&image, "0123");
    token = &image.tokens[11];
    memcpy(&head, image.octets.data + token->offset, sizeof(head));
    head.lines++;
    head.crc = crc32c(0, &head, offsetof(struct record_head, crc));
    head.crc =
        crc32c(head.crc, image.octets.data + token->offset + sizeof(head),
               head.meta_octets);
    memcpy(image.octets.data + token->offset, &head, sizeof(head));
    image_write(&image, image.octets.used);
    walk = image_walk(&image, 0, &collected);
    assert_int_equal(collected.count, 3 * PER_BATCH);
    assert_int_equal(walk.good_end, image.offsets[3]);
    collected_free(&collected);
    image_free(&image);
}

static void
test_a_walk_gives_what_is_behind_a_sequence(void **state)
{
    struct image image;

    (void)state;
    image_make(&image, "01123");
    image_write(&image, 1 << 20);
    for (uint64_t after = 0; after <= 16; after++) {
        struct buffer why = BUFFER_EMPTY;
        struct collected collected = {0};
        struct segment_walk walk = {.fd = image.fd,
                                    .segment = SEGMENT,
                                    .epoch = EPOCH,
                                    .after = after,
                                    .func = collect,
                                    .context = &collected};

        assert_int_equal(segment_walk(&walk, &why), 0);
        assert_int_equal(collected.count, after > 15 ? 0 : 15 - after);
        for (size_t i = 0; i < collected.count; i++)
            assert_int_equal(collected.sequences[i], after + 1 + i);
        assert_int_equal(walk.last_sequence, 15);
        assert_int_equal(walk.last_arrival, ARRIVAL + 15);
        collected_free(&collected);
    }
    image_free(&image);
}

/* A segment whose head is gone still tells its epoch by its batches. */
static void
test_the_epoch_comes_from_the_batches_when_the_head_is_lost(void **state)
{
    struct image image;
    struct buffer why = BUFFER_EMPTY;
    struct collected collected = {0};
    struct segment_walk walk = {
        .segment = SEGMENT, .func = collect, .context = &collected};

    (void)state;
    image_make(&image, "0123");
    image_write(&image, image.octets.used);
    walk.fd = image.fd;
    assert_int_equal(segment_walk(&walk, &why), 0);
    assert_int_equal(collected.count, 4 * PER_BATCH);
    assert_int_equal(walk.epoch, EPOCH);
    collected_free(&collected);
    image_free(&image);
}

static int
stop_at_five(void *context, const struct record *record, struct buffer *why)
{
    ++*(unsigned *)context;
    return record->head.sequence < 5 ? 0 : why_set(why, "five");
}

static void
test_a_walk_stops_when_told(void **state)
{
    struct image image;
    struct buffer why = BUFFER_EMPTY;
    unsigned calls = 0;
    struct segment_walk walk = {.segment = SEGMENT,
                                .epoch = EPOCH,
                                .func = stop_at_five,
                                .context = &calls};

    (void)state;
    image_make(&image, "0123");
    image_write(&image, image.octets.used);
    walk.fd = image.fd;
    assert_int_equal(segment_walk(&walk, &why), -1);
    assert_string_equal(buffer_text(&why), "five");
    assert_int_equal(calls, 5);
    buffer_free(&why);
    image_free(&image);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tear_anywhere_never_hurts_an_older_batch),
        cmocka_unit_test(test_what_a_bad_batch_means),
        cmocka_unit_test(test_a_flipped_bit_takes_one_record_at_most),
        cmocka_unit_test(
            test_a_block_that_cannot_be_read_takes_what_lies_in_it),
        cmocka_unit_test(test_a_known_end_decides),
        cmocka_unit_test(test_stale_batches_never_chain_in),
        cmocka_unit_test(test_a_record_from_elsewhere_is_not_saved),
        cmocka_unit_test(test_a_batch_with_another_record_in_it_is_no_batch),
        cmocka_unit_test(test_a_walk_gives_what_is_behind_a_sequence),
        cmocka_unit_test(
            test_the_epoch_comes_from_the_batches_when_the_head_is_lost),
        cmocka_unit_test(test_a_walk_stops_when_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
