#include "tests/storage/spool_world.h"

#include <dlfcn.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "storage/segment.h"
#include "storage/spool_reader.h"

/* --- the disk as the tests want it --- */

enum disk { DISK_WARM, DISK_COLD, DISK_HALF_COLD, DISK_BAD };

static _Atomic int disk; /* enum disk */

/* Blocking reads wait until this gate is open. */
static pthread_mutex_t gate_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_closed;
static unsigned at_gate;
static _Atomic unsigned blocking_reads;

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

ssize_t
preadv2(int fd, const struct iovec *vectors, int count, off_t offset,
        int flags)
{
    struct iovec half = vectors[0];

    if (disk == DISK_COLD || disk == DISK_BAD) {
        errno = EAGAIN;
        return -1;
    }
    half.iov_len /= 2;
    if (disk == DISK_HALF_COLD)
        return REAL(preadv2)(fd, &half, 1, offset, flags & ~RWF_NOWAIT);
    /* Whatever the file system of the test says to RWF_NOWAIT. */
    return REAL(preadv2)(fd, vectors, count, offset, flags & ~RWF_NOWAIT);
}

ssize_t
pread(int fd, void *octets, size_t count, off_t offset)
{
    blocking_reads++;
    pthread_mutex_lock(&gate_mutex);
    at_gate++;
    pthread_cond_broadcast(&gate_moved);
    while (gate_closed)
        pthread_cond_wait(&gate_moved, &gate_mutex);
    at_gate--;
    pthread_mutex_unlock(&gate_mutex);
    if (disk == DISK_BAD) {
        errno = EIO;
        return -1;
    }
    return REAL(pread)(fd, octets, count, offset);
}

static void
gate_set(bool closed)
{
    pthread_mutex_lock(&gate_mutex);
    gate_closed = closed;
    pthread_cond_broadcast(&gate_moved);
    pthread_mutex_unlock(&gate_mutex);
}

/* Until so many reads stand before the closed gate. */
static void
gate_wait(unsigned reads)
{
    pthread_mutex_lock(&gate_mutex);
    while (at_gate < reads)
        pthread_cond_wait(&gate_moved, &gate_mutex);
    pthread_mutex_unlock(&gate_mutex);
}

/* --- the world --- */

enum { SEGMENTS = 40, PER_SEGMENT = 5, ARTICLES_MAX = 400 };

struct world {
    char *path;
    struct event_base *base;
    struct spool_reader *reader;
    struct token tokens[ARTICLES_MAX]; /* by sequence; segment 0: none */
    uint64_t sequences;
};

struct asked {
    struct event_base *base;
    uint64_t sequence;
    unsigned calls;
    enum spool_result result;
    struct spooled *spooled;
};

static void
answered(void *context, enum spool_result result, struct spooled *spooled)
{
    struct asked *asked = context;

    asked->calls++;
    asked->result = result;
    asked->spooled = spooled;
    if (result == SPOOL_FOUND) {
        article_check(&spooled->record);
        assert_int_equal(spooled->record.head.sequence, asked->sequence);
    } else {
        assert_null(spooled);
    }
    event_base_loopbreak(asked->base);
}

static int
ignore(void *context, const struct record *record, struct buffer *why)
{
    (void)context;
    (void)record;
    (void)why;
    return 0;
}

/* Each start of a writer begins a segment. */
static void
segment_add(struct world *world)
{
    struct buffer why = BUFFER_EMPTY;
    struct buffer empty = BUFFER_EMPTY;
    struct batch *batch = batch_new();
    struct spool *spool = spool_open(world->path, 65536, 0, &why);
    uint32_t segment, offset;
    uint64_t first;

    assert_non_null(spool);
    assert_int_equal(spool_walk(spool, UINT64_MAX, ignore, NULL, &why), 0);
    world->sequences = spool_last_sequence(spool) + 1;
    assert_int_equal(spool_begin(spool, &empty, &world->sequences, &why), 0);
    first = world->sequences;
    while (world->sequences < first + PER_SEGMENT) {
        world->tokens[world->sequences] =
            article_append(batch, world->sequences);
        world->sequences++;
    }
    assert_int_equal(spool_seal(spool, batch, &segment, &offset, &why), 0);
    for (uint64_t s = first; s < world->sequences; s++) {
        world->tokens[s].segment = segment;
        world->tokens[s].offset += offset;
    }
    assert_int_equal(spool_write(spool, &batch, 1, &why), 0);
    batch_free(&batch);
    spool_close(&spool);
}

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    disk = DISK_WARM;
    gate_set(false);
    world->path = directory_new();
    segment_add(world);
    world->base = event_base_new();
    world->reader = spool_reader_new(world->path, world->base);
    blocking_reads = 0;
    *state = world;
    return 0;
}

static int
teardown(void **state)
{
    struct world *world = *state;

    gate_set(false);
    spool_reader_free(&world->reader);
    event_base_free(world->base);
    directory_free(&world->path);
    free(world);
    return 0;
}

static struct asked
ask_at(struct world *world, const struct token *token, uint64_t sequence)
{
    struct asked asked = {.base = world->base, .sequence = sequence};
    struct spool_read *read =
        spool_read(world->reader, token, sequence, answered, &asked);

    assert_int_equal(asked.calls, read == NULL ? 1 : 0);
    while (asked.calls == 0)
        event_base_dispatch(world->base);
    assert_int_equal(asked.calls, 1);
    return asked;
}

static struct asked
ask(struct world *world, uint64_t sequence)
{
    return ask_at(world, &world->tokens[sequence], sequence);
}

/* --- the promises --- */

static void
test_a_warm_record_is_given_at_once(void **state)
{
    struct world *world = *state;

    for (uint64_t s = 2; s < 2 + PER_SEGMENT; s++) {
        struct asked asked = ask(world, s);

        assert_int_equal(asked.result, SPOOL_FOUND);
        assert_memory_equal(&asked.spooled->record.token, &world->tokens[s],
                            sizeof(struct token));
        spooled_release(asked.spooled);
    }
    assert_int_equal(blocking_reads, 0);
}

static void
test_a_cold_record_comes_through_the_loop(void **state)
{
    static const enum disk disks[] = {DISK_COLD, DISK_HALF_COLD};
    struct world *world = *state;

    for (int i = 0; i < 2; i++)
        for (uint64_t s = 2; s < 2 + PER_SEGMENT; s++) {
            struct asked asked;

            disk = disks[i];
            asked = ask(world, s);
            assert_int_equal(asked.result, SPOOL_FOUND);
            spooled_release(asked.spooled);
        }
    assert_true(blocking_reads >= 2 * PER_SEGMENT);
}

static void
test_the_loop_goes_on_while_a_read_waits(void **state)
{
    struct world *world = *state;
    struct asked slow = {.base = world->base, .sequence = 2};
    struct asked quick;

    disk = DISK_COLD;
    gate_set(true);
    assert_non_null(
        spool_read(world->reader, &world->tokens[2], 2, answered, &slow));
    gate_wait(1);
    disk = DISK_WARM;
    quick = ask(world, 3);
    assert_int_equal(quick.result, SPOOL_FOUND);
    spooled_release(quick.spooled);
    assert_int_equal(slow.calls, 0);
    gate_set(false);
    while (slow.calls == 0)
        event_base_dispatch(world->base);
    assert_int_equal(slow.result, SPOOL_FOUND);
    spooled_release(slow.spooled);
}

static void
test_a_forgotten_read_is_never_answered(void **state)
{
    struct world *world = *state;
    struct spool_read *reads[12];
    struct asked asked[12];

    disk = DISK_COLD;
    gate_set(true);
    for (int i = 0; i < 12; i++) {
        asked[i] = (struct asked){.base = world->base, .sequence = 2};
        reads[i] = spool_read(world->reader, &world->tokens[2], 2, answered,
                              &asked[i]);
        assert_non_null(reads[i]);
    }
    gate_wait(4); /* four are being read, eight wait for a thread */
    for (int i = 0; i < 11; i++)
        spool_read_forget(reads[i]);
    gate_set(false);
    while (asked[11].calls == 0)
        event_base_dispatch(world->base);
    spooled_release(asked[11].spooled);
    for (int i = 0; i < 11; i++)
        assert_int_equal(asked[i].calls, 0);
}

static void
test_a_reader_may_end_with_reads_under_way(void **state)
{
    struct world *world = *state;
    struct asked asked = {.base = world->base, .sequence = 2};

    disk = DISK_COLD;
    for (int i = 0; i < 50; i++)
        assert_non_null(
            spool_read(world->reader, &world->tokens[2], 2, answered, &asked));
    spool_reader_free(&world->reader);
    assert_int_equal(asked.calls, 0);
}

static void
segment_flip(const struct world *world, off_t offset)
{
    char *path = xasprintf("%s/00000001.seg", world->path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char octet;

    assert_int_equal(REAL(pread)(fd, &octet, 1, offset), 1);
    octet ^= 16;
    assert_int_equal(pwrite(fd, &octet, 1, offset), 1);
    close(fd);
    free(path);
}

static void
test_each_thing_that_can_be_wrong_is_told_apart(void **state)
{
    struct world *world = *state;
    const struct token *good = &world->tokens[3];
    struct token token;

    for (int cold = 0; cold < 2; cold++) {
        disk = cold ? DISK_COLD : DISK_WARM;
        token = *good;
        token.segment = 99;
        assert_int_equal(ask_at(world, &token, 3).result, SPOOL_GONE);
        token.segment = 0;
        assert_int_equal(ask_at(world, &token, 3).result, SPOOL_GONE);
        token = *good;
        token.octets = UINT32_MAX;
        assert_int_equal(ask_at(world, &token, 3).result, SPOOL_GONE);
        token.octets = 20;
        assert_int_equal(ask_at(world, &token, 3).result, SPOOL_GONE);
        token.octets = good->octets;
        token.offset = 100;
        assert_int_equal(ask_at(world, &token, 3).result, SPOOL_GONE);
        /* Another record lies there. */
        assert_int_equal(ask_at(world, good, 4).result, SPOOL_GONE);
        /* Nothing lies there, or the half of something. */
        token.offset = good->offset + 8;
        assert_int_equal(ask_at(world, &token, 3).result, SPOOL_CORRUPT);
        token.offset = 60000;
        assert_int_equal(ask_at(world, &token, 3).result, SPOOL_CORRUPT);
    }
    disk = DISK_BAD;
    assert_int_equal(ask_at(world, good, 3).result, SPOOL_FAILED);
}

static void
test_no_octet_is_given_that_was_not_stored(void **state)
{
    struct world *world = *state;
    const struct token *token = &world->tokens[4];
    struct asked asked;

    for (uint32_t at = 0; at < token->octets; at++) {
        disk = at % 2 == 0 ? DISK_WARM : DISK_COLD;
        segment_flip(world, token->offset + at);
        asked = ask(world, 4);
        segment_flip(world, token->offset + at);
        if (asked.result == SPOOL_FOUND) {
            /* Padding is in no sum, and is nobody's. */
            assert_true(at >= token->octets - 7);
            spooled_release(asked.spooled);
        } else {
            assert_int_equal(asked.result, SPOOL_CORRUPT);
        }
    }
}

/* More segments than are kept open, each with a read under way. */
static void
test_many_segments_need_few_descriptors(void **state)
{
    struct world *world = *state;
    struct asked asked;
    int before, after;

    for (int i = 1; i < SEGMENTS; i++)
        segment_add(world);
    before = dup(0);
    close(before);
    for (int round = 0; round < 2; round++)
        for (uint64_t s = 1; s < world->sequences; s++)
            if (world->tokens[s].segment != 0) {
                disk = s % 3 == 0 ? DISK_COLD : DISK_WARM;
                asked = ask(world, s);
                assert_int_equal(asked.result, SPOOL_FOUND);
                spooled_release(asked.spooled);
            }
    after = dup(0);
    close(after);
    assert_true(after - before <= 32);
}

/* No segment is closed under a thread that reads it. */
static void
test_a_segment_in_use_stays_open(void **state)
{
    struct world *world = *state;
    struct asked asked[SEGMENTS];
    unsigned done = 0;

    for (int i = 1; i < SEGMENTS; i++)
        segment_add(world);
    disk = DISK_COLD;
    gate_set(true);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        /* The sequence of each segment's first article. */
        uint64_t sequence = world->sequences - 1;

        while (world->tokens[sequence].segment != i + 1)
            sequence--;
        asked[i] = (struct asked){.base = world->base, .sequence = sequence};
        assert_non_null(spool_read(world->reader, &world->tokens[sequence],
                                   sequence, answered, &asked[i]));
    }
    gate_set(false);
    while (done < SEGMENTS) {
        event_base_dispatch(world->base);
        done = 0;
        for (unsigned i = 0; i < SEGMENTS; i++)
            done += asked[i].calls;
    }
    for (unsigned i = 0; i < SEGMENTS; i++) {
        assert_int_equal(asked[i].result, SPOOL_FOUND);
        spooled_release(asked[i].spooled);
    }
}

static void
test_a_reference_keeps_a_record(void **state)
{
    struct world *world = *state;
    struct asked asked = ask(world, 2);

    spooled_hold(asked.spooled);
    spooled_release(asked.spooled);
    article_check(&asked.spooled->record);
    spooled_release(asked.spooled);
}

static void
test_a_tool_reads_without_a_loop(void **state)
{
    struct world *world = *state;
    struct spooled *spooled = NULL;
    struct token gone = world->tokens[2];

    assert_int_equal(
        spool_read_now(world->path, &world->tokens[2], 2, &spooled),
        SPOOL_FOUND);
    article_check(&spooled->record);
    spooled_release(spooled);
    gone.segment = 77;
    assert_int_equal(spool_read_now(world->path, &gone, 2, &spooled),
                     SPOOL_GONE);
    assert_int_equal(
        spool_read_now(world->path, &world->tokens[2], 3, &spooled),
        SPOOL_GONE);
    assert_int_equal(
        spool_read_now("/nonexistent", &world->tokens[2], 2, &spooled),
        SPOOL_FAILED);
    disk = DISK_BAD;
    assert_int_equal(
        spool_read_now(world->path, &world->tokens[2], 2, &spooled),
        SPOOL_FAILED);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_warm_record_is_given_at_once),
        TEST(test_a_cold_record_comes_through_the_loop),
        TEST(test_the_loop_goes_on_while_a_read_waits),
        TEST(test_a_forgotten_read_is_never_answered),
        TEST(test_a_reader_may_end_with_reads_under_way),
        TEST(test_each_thing_that_can_be_wrong_is_told_apart),
        TEST(test_no_octet_is_given_that_was_not_stored),
        TEST(test_many_segments_need_few_descriptors),
        TEST(test_a_segment_in_use_stays_open),
        TEST(test_a_reference_keeps_a_record),
        TEST(test_a_tool_reads_without_a_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
