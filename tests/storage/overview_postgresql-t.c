#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/overview.h"
#include "tests/storage/postgresql_world.h"

/* What only a database can do to an overview; what any overview does is in
   tests/storage/overview-t.c. */

enum { LINES_MAX = 2000 };

struct world {
    char url[200];
    char path[64];
    struct active *active;
    struct overview *overview;
    struct event_base *loop;
    struct overview_reader *reader;
    uint64_t count; /* articles: sequence, and number in group 1 */
    struct buffer why;
};

static struct world *
world_new(void)
{
    struct world *world = xcalloc(1, sizeof(*world));

    snprintf(world->path, sizeof(world->path), "/tmp/overview_pg-t.XXXXXX");
    assert_non_null(mkdtemp(world->path));
    postgresql_make_schema(world->url, sizeof(world->url));
    world->active = active_new(8);
    world->loop = event_base_new();
    world->overview =
        overview_open(world->url, world->path, 1 << 20, &world->why);
    if (world->overview == NULL)
        fail_msg("%s", buffer_text(&world->why));
    world->reader = overview_reader_open(
        world->url, world->path, world->active, world->loop, &world->why);
    assert_non_null(world->reader);
    return world;
}

static void
world_free(struct world *world)
{
    char file[100];

    overview_reader_close(&world->reader);
    overview_close(&world->overview);
    event_base_free(world->loop);
    active_close(&world->active);
    snprintf(file, sizeof(file), "%s/overview.id", world->path);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(world->path), 0);
    buffer_free(&world->why);
    free(world);
}

static void
check(struct world *world, int status)
{
    if (status < 0)
        fail_msg("%s", buffer_text(&world->why));
}

/* -1 or 0 of the step that fails first. */
static int
try_put(struct world *world, uint64_t from, uint64_t to)
{
    int status = overview_begin(world->overview, &world->why);

    for (uint64_t sequence = from; status == 0 && sequence <= to; sequence++) {
        struct record_group group = {.group = 1, .number = sequence};
        struct overview_entry entry = {.sequence = sequence,
                                       .arrival = (int64_t)sequence,
                                       .groups = &group,
                                       .group_count = 1,
                                       .line = "subject\tfrom",
                                       .line_octets = 12};

        status = overview_put(world->overview, &entry, 1, &world->why);
    }
    if (status == 0)
        status = overview_commit(world->overview, to, &world->why);
    if (status == 0)
        active_set_committed(world->active, to);
    return status;
}

static void
put(struct world *world, unsigned count)
{
    check(world, try_put(world, world->count + 1, world->count + count));
    world->count += count;
}

static void
fold(struct world *world)
{
    int more = 1;

    check(world, overview_begin(world->overview, &world->why));
    while (more > 0) {
        more = overview_fold(world->overview, 0, &world->why);
        check(world, more);
    }
    check(world, overview_commit(world->overview, world->count, &world->why));
}

/* --- questions in a loop --- */

struct seen {
    unsigned calls;
    int status;
    size_t count;
    uint64_t first, last, next;
};

static void
note_answer(void *context, const struct overview_answer *answer)
{
    struct seen *seen = context;

    seen->calls++;
    seen->status = answer->status;
    seen->count = answer->count;
    seen->next = answer->next;
    if (answer->count > 0) {
        seen->first = answer->lines[0].number;
        seen->last = answer->lines[answer->count - 1].number;
    }
}

static struct overview_request *
ask(struct world *world, uint64_t low, uint64_t high, struct seen *seen)
{
    struct overview_query query = {
        .question = OVERVIEW_RANGE, .group = 1, .low = low, .high = high};

    *seen = (struct seen){0};
    return overview_ask(world->reader, &query, note_answer, seen);
}

static void
wait_for(struct world *world, const struct seen *seen)
{
    time_t deadline = time(NULL) + 30;

    while (seen->calls == 0) {
        overview_reader_turn_ended(world->reader);
        assert_true(event_base_loop(world->loop, EVLOOP_ONCE) >= 0);
        assert_true(time(NULL) < deadline);
    }
    assert_int_equal(seen->calls, 1);
}

/* All lines are there, each once. */
static void
check_lines(struct world *world)
{
    uint64_t low = 1, expected = 1;

    while (low != 0) {
        struct seen seen;

        (void)ask(world, low, UINT64_MAX, &seen);
        wait_for(world, &seen);
        assert_true(seen.status >= 0);
        if (seen.count > 0) {
            assert_int_equal(seen.first, expected);
            assert_int_equal(seen.last - seen.first + 1, seen.count);
            expected = seen.last + 1;
        }
        low = seen.next;
    }
    assert_int_equal(expected, world->count + 1);
}

/* --- sessions are ended --- */

static void
end_sessions(const struct world *world, const char *name)
{
    char url[200], sql[200];

    (void)world;
    postgresql_url(url, sizeof(url), NULL);
    snprintf(sql, sizeof(sql),
             "SELECT count(pg_terminate_backend(pid, 10000)) FROM"
             " pg_stat_activity WHERE application_name LIKE '%s%%'",
             name);
    assert_true(postgresql_execute(url, sql) > 0);
}

static void
test_a_transaction_whose_session_ended_is_done_again(void **state)
{
    struct world *world = world_new();

    (void)state;
    put(world, 100);
    for (int i = 0; i < 3; i++) {
        struct record_group group = {.group = 1, .number = 1};

        /* In the middle of a transaction that folds, puts and removes. */
        check(world, overview_begin(world->overview, &world->why));
        check(world, overview_fold(world->overview, 0, &world->why));
        check(world, overview_remove(world->overview, 1, &group, 1, true,
                                     &world->why));
        end_sessions(world, "renews writer");
        assert_int_equal(
            overview_commit(world->overview, world->count, &world->why), -1);
        check(world, overview_resume(world->overview, &world->why));
        assert_int_equal(overview_applied(world->overview), world->count);
        assert_int_equal(overview_recent(world->overview), world->count);
        put(world, 100);
    }
    fold(world);
    check_lines(world);
    world_free(world);
}

static void
test_what_failed_for_good_is_not_done_again(void **state)
{
    struct world *world = world_new();

    (void)state;
    put(world, 10);
    /* It is there: that was not it. */
    assert_int_equal(overview_resume(world->overview, &world->why), -1);
    put(world, 10);
    postgresql_execute(world->url, "ALTER TABLE recent RENAME TO mislaid");
    assert_int_equal(try_put(world, 21, 30), -1);
    assert_int_equal(overview_resume(world->overview, &world->why), -1);
    world_free(world);
}

static void
test_commits_that_a_crash_took_are_noticed(void **state)
{
    struct world *world = world_new();

    (void)state;
    put(world, 10);
    postgresql_execute(world->url, "UPDATE meta SET applied = 7");
    end_sessions(world, "renews writer");
    assert_int_equal(try_put(world, 11, 12), -1);
    assert_int_equal(overview_resume(world->overview, &world->why), -1);
    assert_non_null(strstr(buffer_text(&world->why), "has lost"));
    world_free(world);
}

static void
test_readers_whose_sessions_end_ask_again(void **state)
{
    struct world *world = world_new();
    struct seen seen[20];

    (void)state;
    put(world, 1000);
    fold(world);
    put(world, 100);
    check_lines(world);
    for (int i = 0; i < 20; i++)
        assert_non_null(ask(world, (uint64_t)i * 10 + 1, 1000, &seen[i]));
    overview_reader_turn_ended(world->reader);
    end_sessions(world, "renews reader");
    for (int i = 0; i < 20; i++) {
        wait_for(world, &seen[i]);
        assert_int_equal(seen[i].status, 1);
        assert_int_equal(seen[i].first, i * 10 + 1);
    }
    check_lines(world);
    world_free(world);
}

/* --- one writer --- */

static void
test_a_writer_that_still_lives_is_ended_by_the_next_of_its_store(void **state)
{
    struct world *world = world_new();
    struct overview *dead = world->overview;
    struct buffer why = BUFFER_EMPTY;

    (void)state;
    put(world, 10);
    check(world, overview_begin(dead, &world->why));
    world->overview =
        overview_open(world->url, world->path, 1 << 20, &world->why);
    if (world->overview == NULL)
        fail_msg("%s", buffer_text(&world->why));
    assert_int_equal(overview_applied(world->overview), 10);
    assert_int_equal(overview_commit(dead, 11, &why), -1);
    overview_close(&dead);
    put(world, 10);
    check_lines(world);
    buffer_free(&why);
    world_free(world);
}

static void
test_a_writer_whose_epoch_is_over_commits_nothing(void **state)
{
    struct world *world = world_new();

    (void)state;
    put(world, 10);
    postgresql_execute(world->url, "UPDATE meta SET epoch = epoch + 1");
    assert_int_equal(try_put(world, 11, 20), -1);
    assert_non_null(strstr(buffer_text(&world->why), "another writer"));
    assert_int_equal(overview_resume(world->overview, &world->why), -1);
    assert_int_equal(
        postgresql_execute(world->url, "SELECT count(*) FROM recent"), 10);
    world_free(world);
}

static void
test_another_store_and_another_writer_are_refused(void **state)
{
    struct world *world = world_new();
    char other[64] = "/tmp/overview_pg-t.XXXXXX", file[100];

    (void)state;
    put(world, 10);
    assert_non_null(mkdtemp(other));
    assert_null(overview_open(world->url, other, 1 << 20, &world->why));
    assert_non_null(strstr(buffer_text(&world->why), "has another writer"));
    overview_close(&world->overview);
    assert_null(overview_open(world->url, other, 1 << 20, &world->why));
    assert_non_null(strstr(buffer_text(&world->why), "another store's"));
    snprintf(file, sizeof(file), "%s/overview.id", other);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(other), 0);
    world->overview =
        overview_open(world->url, world->path, 1 << 20, &world->why);
    assert_non_null(world->overview);
    assert_int_equal(overview_applied(world->overview), 10);
    world_free(world);
}

/* --- the tables --- */

static void
test_another_version_is_named_and_left_alone(void **state)
{
    struct world *world = world_new();

    (void)state;
    put(world, 10);
    overview_close(&world->overview);
    postgresql_execute(world->url, "UPDATE meta SET version = 77");
    assert_null(overview_open(world->url, world->path, 1 << 20, &world->why));
    assert_non_null(strstr(buffer_text(&world->why), "version 77"));
    assert_int_equal(
        postgresql_execute(world->url, "SELECT count(*) FROM recent"), 10);
    world_free(world);
}

static void
test_damage_found_at_work_makes_the_next_start_begin_anew(void **state)
{
    struct world *world = world_new();
    struct record_group group = {.group = 1, .number = 1};

    (void)state;
    put(world, 100);
    fold(world);
    check_lines(world);
    postgresql_execute(world->url, "UPDATE block SET data = '\\x00'");
    check(world, overview_begin(world->overview, &world->why));
    assert_int_equal(
        overview_remove(world->overview, 1, &group, 1, true, &world->why), -1);
    assert_non_null(strstr(buffer_text(&world->why), "damaged"));
    overview_close(&world->overview);
    world->overview =
        overview_open(world->url, world->path, 1 << 20, &world->why);
    assert_non_null(world->overview);
    assert_int_equal(overview_applied(world->overview), 0);
    assert_int_equal(overview_recent(world->overview), 0);
    /* The reader, which knew the old rows, goes along. */
    world->count = 0;
    put(world, 50);
    check_lines(world);
    world_free(world);
}

static void
test_octets_that_are_no_text_are_kept(void **state)
{
    struct world *world = world_new();
    struct overview_group row = {.group = 1,
                                 .flag = 'y',
                                 .low = 1,
                                 .name = "local.test",
                                 .creator = "'; DROP TABLE recent; --",
                                 .description = "\xff\xfe \\x41 $1 %s"};
    struct record_group group = {.group = 1, .number = 1};
    struct overview_entry entry = {.sequence = 1,
                                   .groups = &group,
                                   .group_count = 1,
                                   .line = "\xe9\0'\\",
                                   .line_octets = 4};

    (void)state;
    check(world, overview_begin(world->overview, &world->why));
    check(world, overview_put_group(world->overview, &row, &world->why));
    check(world, overview_put(world->overview, &entry, 1, &world->why));
    check(world, overview_commit(world->overview, 1, &world->why));
    assert_int_equal(postgresql_execute(world->url,
                                        "SELECT count(*) FROM recent WHERE"
                                        " line = '\\xe900275c'"),
                     1);
    assert_int_equal(postgresql_execute(world->url,
                                        "SELECT count(*) FROM groups WHERE"
                                        " description = '\\xfffe205c7834312024"
                                        "31202573'"),
                     1);
    world_free(world);
}

/* --- readers in a loop --- */

static void
test_a_question_that_was_forgotten_is_not_answered(void **state)
{
    struct world *world = world_new();
    struct seen seen[3];
    struct overview_request *forgotten;

    (void)state;
    put(world, 100);
    fold(world);
    check_lines(world);
    assert_non_null(ask(world, 1, 10, &seen[0]));
    forgotten = ask(world, 1, 20, &seen[1]);
    assert_non_null(ask(world, 1, 30, &seen[2]));
    overview_reader_turn_ended(world->reader);
    overview_forget(forgotten);
    wait_for(world, &seen[2]);
    assert_int_equal(seen[0].count, 10);
    assert_int_equal(seen[1].calls, 0);
    assert_int_equal(seen[2].count, 30);
    /* One that was not sent yet, behind a change. */
    put(world, 1);
    forgotten = ask(world, 1, 20, &seen[0]);
    assert_non_null(forgotten);
    overview_forget(forgotten);
    check_lines(world);
    assert_int_equal(seen[0].calls, 0);
    /* And some that nobody will wait for. */
    (void)ask(world, 1, 20, &seen[0]);
    (void)ask(world, 1, 30, &seen[1]);
    world_free(world);
}

static void
test_recent_answers_at_once(void **state)
{
    struct world *world = world_new();
    struct seen seen;

    (void)state;
    put(world, 300);
    fold(world);
    put(world, 50);
    check_lines(world);
    assert_null(ask(world, 310, 330, &seen));
    assert_int_equal(seen.count, 21);
    assert_non_null(ask(world, 290, 330, &seen));
    wait_for(world, &seen);
    assert_int_equal(seen.count, 41);
    world_free(world);
}

static void
test_the_next_line_may_be_in_a_further_block(void **state)
{
    struct world *world = world_new();
    struct overview_query query = {
        .question = OVERVIEW_NEXT, .group = 1, .low = 1, .high = 1000000};
    struct seen seen = {0};

    (void)state;
    put(world, 1);
    check(world, overview_begin(world->overview, &world->why));
    /* One number in each block, the lowest. */
    for (uint64_t i = 2; i <= 600; i++) {
        struct record_group group = {.group = 1, .number = i * 64};
        struct overview_entry entry = {.sequence = i,
                                       .groups = &group,
                                       .group_count = 1,
                                       .line = "x",
                                       .line_octets = 1};

        check(world, overview_put(world->overview, &entry, 1, &world->why));
    }
    check(world, overview_commit(world->overview, 600, &world->why));
    world->count = 600;
    active_set_committed(world->active, 600);
    fold(world);
    query.low = 600 * 64 - 63;
    (void)overview_ask(world->reader, &query, note_answer, &seen);
    wait_for(world, &seen);
    assert_int_equal(seen.first, 600 * 64);
    seen = (struct seen){0};
    query = (struct overview_query){
        .question = OVERVIEW_PREVIOUS, .group = 1, .low = 1, .high = 127};
    (void)overview_ask(world->reader, &query, note_answer, &seen);
    wait_for(world, &seen);
    assert_int_equal(seen.first, 1);
    seen = (struct seen){0};
    query = (struct overview_query){
        .question = OVERVIEW_RANGE, .group = 1, .low = 2, .high = 127};
    (void)overview_ask(world->reader, &query, note_answer, &seen);
    wait_for(world, &seen);
    assert_int_equal(seen.status, 0);
    assert_int_equal(seen.next, 0);
    world_free(world);
}

static void
test_a_database_that_stays_away_is_said_to_be(void **state)
{
    struct world *world = world_new();
    struct seen seen[2];
    time_t began;

    (void)state;
    put(world, 100);
    fold(world);
    check_lines(world);
    assert_int_equal(postgresql_do("stop"), 0);
    began = time(NULL);
    (void)ask(world, 1, 10, &seen[0]);
    wait_for(world, &seen[0]);
    assert_int_equal(seen[0].status, -1);
    assert_true(time(NULL) - began < 15);
    /* Whoever comes now does not wait. */
    assert_null(ask(world, 1, 10, &seen[1]));
    assert_int_equal(seen[1].status, -1);
    assert_int_equal(postgresql_do("start"), 0);
    do {
        (void)ask(world, 1, 10, &seen[0]);
        assert_true(event_base_loop(world->loop, EVLOOP_ONCE) >= 0);
        wait_for(world, &seen[0]);
        assert_true(time(NULL) - began < 40);
    } while (seen[0].status < 0);
    check_lines(world);
    world_free(world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_transaction_whose_session_ended_is_done_again),
        cmocka_unit_test(test_what_failed_for_good_is_not_done_again),
        cmocka_unit_test(test_commits_that_a_crash_took_are_noticed),
        cmocka_unit_test(test_readers_whose_sessions_end_ask_again),
        cmocka_unit_test(
            test_a_writer_that_still_lives_is_ended_by_the_next_of_its_store),
        cmocka_unit_test(test_a_writer_whose_epoch_is_over_commits_nothing),
        cmocka_unit_test(test_another_store_and_another_writer_are_refused),
        cmocka_unit_test(test_another_version_is_named_and_left_alone),
        cmocka_unit_test(
            test_damage_found_at_work_makes_the_next_start_begin_anew),
        cmocka_unit_test(test_octets_that_are_no_text_are_kept),
        cmocka_unit_test(test_a_question_that_was_forgotten_is_not_answered),
        cmocka_unit_test(test_recent_answers_at_once),
        cmocka_unit_test(test_the_next_line_may_be_in_a_further_block),
        cmocka_unit_test(test_a_database_that_stays_away_is_said_to_be),
    };

    return cmocka_run_group_tests(tests, postgresql_begin, postgresql_end);
}
