#include "tests/storage/spool_world.h"

#include <errno.h>

#include "storage/active.h"
#include "storage/log_reader.h"
#include "storage/segment.h"

enum { SEGMENT_OCTETS = 64 * 1024 };

struct world {
    char *path;
    struct active *active;
    struct spool *spool;
    struct batch *batch;
    uint64_t sequence; /* the next free one */
    struct log_reader *reader;
    struct log_position position; /* of the reader, when it was closed */
    uint32_t segment, end;        /* of the last batch */
    struct buffer why;
};

static void
check(struct world *world, int status)
{
    if (status < 0)
        fail_msg("%s", buffer_text(&world->why));
}

/* What every start of a writer does. */
static void
start(struct world *world)
{
    struct collected collected = {0};
    struct buffer snapshot = BUFFER_EMPTY;

    world->spool = spool_open(world->path, SEGMENT_OCTETS, 0, &world->why);
    check(world, world->spool == NULL ? -1 : 0);
    check(world,
          spool_walk(world->spool, 0, collect, &collected, &world->why));
    collected_free(&collected);
    world->sequence = spool_last_sequence(world->spool) + 1;
    buffer_append_text(&snapshot, "snapshot");
    check(world,
          spool_begin(world->spool, &snapshot, &world->sequence, &world->why));
    buffer_free(&snapshot);
    active_set_committed(world->active, world->sequence - 1);
}

/* A batch, durable and not yet visible. */
static void
add(struct world *world, unsigned articles)
{
    batch_clear(world->batch);
    for (unsigned i = 0; i < articles; i++, world->sequence++)
        article_append(world->batch, world->sequence);
    check(world, spool_seal(world->spool, world->batch, &world->segment,
                            &world->end, &world->why));
    check(world, spool_write(world->spool, &world->batch, 1, &world->why));
    world->end += (uint32_t)world->batch->octets->used;
}

static void
publish(struct world *world)
{
    active_set_durable(world->active, world->segment, world->end,
                       world->sequence - 1);
    active_set_committed(world->active, world->sequence - 1);
}

static void
reader_open(struct world *world)
{
    world->reader =
        log_reader_new(world->path, world->active, &world->position);
}

static void
reader_close(struct world *world)
{
    world->position = log_reader_position(world->reader);
    log_reader_free(&world->reader);
}

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world->path = directory_new();
    world->batch = batch_new();
    world->active = active_new(16);
    *state = world;
    start(world);
    reader_open(world);
    return 0;
}

static int
teardown(void **state)
{
    struct world *world = *state;

    log_reader_free(&world->reader);
    spool_close(&world->spool);
    batch_free(&world->batch);
    active_close(&world->active);
    buffer_free(&world->why);
    directory_free(&world->path);
    free(world);
    return 0;
}

/* The number of a writer's first snapshot looks like a gap: no article has it.
 */
static enum log_answer
next_step(struct world *world, struct log_step *step)
{
    enum log_answer answer = log_reader_next(world->reader, step, &world->why);

    if (answer != LOG_GAP || step->gap_first != step->gap_last)
        return answer;
    log_reader_skip(world->reader, step->gap_last);
    return log_reader_next(world->reader, step, &world->why);
}

/* The articles from first to last come, in order, and nothing else. */
static void
expect(struct world *world, uint64_t first, uint64_t last)
{
    struct log_step step;

    for (uint64_t sequence = first; sequence <= last; sequence++) {
        assert_int_equal(next_step(world, &step), LOG_ARTICLE);
        assert_int_equal(step.record.head.sequence, sequence);
        assert_int_equal(step.record.head.lines, sequence);
        assert_int_equal(record_group_count(&step.record), sequence % 4);
        assert_int_equal(step.record.token.octets, step.record.head.octets);
        assert_true(step.before.sequence < sequence);
    }
    assert_int_equal(next_step(world, &step), LOG_END);
}

static void
test_what_is_visible_comes_once_and_in_order(void **state)
{
    struct world *world = *state;
    uint64_t first = world->sequence;

    add(world, 10);
    expect(world, 1, 0); /* durable, and not yet visible */
    publish(world);
    expect(world, first, first + 9);
    add(world, 1);
    publish(world);
    add(world, 5);
    expect(world, first + 10, first + 10);
    publish(world);
    expect(world, first + 11, first + 15);
}

static void
test_segments_follow_each_other(void **state)
{
    struct world *world = *state;
    uint64_t first = world->sequence;

    for (int i = 0; i < 60; i++)
        add(world, 20);
    publish(world);
    assert_true(directory_count(world->path, ".seg") > 5);
    expect(world, first, first + 1199);
}

static void
test_a_position_is_where_to_go_on(void **state)
{
    struct world *world = *state;
    uint64_t next = world->sequence;
    struct log_step step;

    for (int i = 0; i < 30; i++)
        add(world, 20);
    publish(world);
    /* Closed and opened at each article, within batches and between them. */
    for (; next < world->sequence; next++) {
        assert_int_equal(next_step(world, &step), LOG_ARTICLE);
        assert_int_equal(step.record.head.sequence, next);
        /* Who stands before it gets it again. */
        if (next % 7 == 0) {
            log_reader_free(&world->reader);
            world->position = step.before;
            reader_open(world);
            assert_int_equal(next_step(world, &step), LOG_ARTICLE);
            assert_int_equal(step.record.head.sequence, next);
        }
        reader_close(world);
        reader_open(world);
    }
    expect(world, 1, 0);
}

static void
test_a_sequence_alone_is_enough(void **state)
{
    struct world *world = *state;
    uint64_t first = world->sequence;

    for (int i = 0; i < 30; i++)
        add(world, 20);
    publish(world);
    log_reader_free(&world->reader);
    world->position = (struct log_position){.sequence = first + 399};
    reader_open(world);
    expect(world, first + 400, first + 599);
}

static void
test_another_writers_segment_is_found(void **state)
{
    struct world *world = *state;
    uint64_t first = world->sequence;

    add(world, 10);
    publish(world);
    expect(world, first, first + 9);
    spool_close(&world->spool);
    start(world);
    expect(world, 1, 0); /* a snapshot is nothing for us */
    first = world->sequence;
    add(world, 10);
    publish(world);
    expect(world, first, first + 9);
}

/*
 * A batch that was written and could not be synced has good sums, and is no
 * part of the log: the next writer says where the log ended, and gives its
 * sequence numbers to others.
 */
static void
test_what_a_later_writer_disowned_is_passed_over(void **state)
{
    struct world *world = *state;
    struct collected collected = {0};
    struct buffer snapshot = BUFFER_EMPTY;
    uint64_t first = world->sequence;
    uint32_t segment, end;

    add(world, 10);
    publish(world);
    expect(world, first, first + 9);
    segment = world->segment;
    end = world->end;
    add(world, 3); /* disowned */
    spool_close(&world->spool);
    world->spool = spool_open(world->path, SEGMENT_OCTETS, 0, &world->why);
    check(world, world->spool == NULL ? -1 : 0);
    spool_set_durable(world->spool, segment, end);
    check(world,
          spool_walk(world->spool, 0, collect, &collected, &world->why));
    collected_free(&collected);
    world->sequence = spool_last_sequence(world->spool) + 1;
    assert_int_equal(world->sequence, first + 10);
    check(world,
          spool_begin(world->spool, &snapshot, &world->sequence, &world->why));
    /* The snapshot has taken numbers of the disowned ones. */
    first = world->sequence;
    add(world, 5);
    publish(world);
    expect(world, first, first + 4);
}

static void
test_a_removed_segment_is_a_gap(void **state)
{
    struct world *world = *state;
    uint64_t first = world->sequence;
    char name[SEGMENT_NAME_OCTETS];
    struct log_step step;
    char *path;

    for (int i = 0; i < 60; i++)
        add(world, 20);
    publish(world);
    segment_name(name, 2, "seg");
    path = xasprintf("%s/%s", world->path, name);
    assert_int_equal(unlink(path), 0);
    free(path);
    while (next_step(world, &step) == LOG_ARTICLE)
        first = step.record.head.sequence;
    /* The same gap until it is dealt with. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(next_step(world, &step), LOG_GAP);
        assert_int_equal(step.gap_first, first + 1);
        assert_true(step.gap_last >= step.gap_first);
    }
    log_reader_skip(world->reader, step.gap_first);
    assert_int_equal(next_step(world, &step), LOG_GAP);
    assert_int_equal(step.gap_first, first + 2);
    log_reader_skip(world->reader, step.gap_last);
    expect(world, step.gap_last + 1, world->sequence - 1);
}

static void
test_a_damaged_batch_is_a_gap_to_the_next_segment(void **state)
{
    struct world *world = *state;
    uint64_t last = 0;
    char name[SEGMENT_NAME_OCTETS];
    struct log_step step;
    char *path;
    int fd;

    for (int i = 0; i < 60; i++)
        add(world, 20);
    publish(world);
    segment_name(name, 2, "seg");
    path = xasprintf("%s/%s", world->path, name);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    /* The record heads of its middle. */
    for (int i = 0; i < 4000; i++)
        assert_int_equal(pwrite(fd, "\xff", 1, 30000 + i), 1);
    close(fd);
    free(path);
    while (next_step(world, &step) == LOG_ARTICLE)
        last = step.record.head.sequence;
    assert_int_equal(next_step(world, &step), LOG_GAP);
    assert_int_equal(step.gap_first, last + 1);
    log_reader_skip(world->reader, step.gap_last);
    expect(world, step.gap_last + 1, world->sequence - 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_visible_comes_once_and_in_order),
        TEST(test_segments_follow_each_other),
        TEST(test_a_position_is_where_to_go_on),
        TEST(test_a_sequence_alone_is_enough),
        TEST(test_another_writers_segment_is_found),
        TEST(test_what_a_later_writer_disowned_is_passed_over),
        TEST(test_a_removed_segment_is_a_gap),
        TEST(test_a_damaged_batch_is_a_gap_to_the_next_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
