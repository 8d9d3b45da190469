/* What the threads behind the store do when nobody waits for them. */
#include "storage/store_private.h"
#include "tests/storage/store_world.h"

#include <poll.h>
#include <time.h>

enum { ARTICLES = 1500, SECONDS = 30 };

static int
setup(void **state)
{
    static struct world world;

    world_init(&world, "");
    world_open(&world);
    world_group(&world, "newgroup local.one");
    *state = &world;
    return 0;
}

static int
teardown(void **state)
{
    world_free(*state);
    return 0;
}

static void
submit_all(struct world *world, struct outcome outcomes[ARTICLES])
{
    struct buffer payload = BUFFER_EMPTY;

    for (unsigned i = 0; i < ARTICLES; i++) {
        char id[32];

        outcomes[i] = (struct outcome){0};
        snprintf(id, sizeof(id), "<quiet-%u@x>", i + 1);
        world_build(world, &payload, id, "local.one", "", "body\r\n", 0, i);
        store_submit(world->store, payload.data, payload.used, outcome_note,
                     &outcomes[i]);
    }
    world_drain(world);
    buffer_free(&payload);
}

static void
test_a_quiet_moment_is_used_to_fold_what_is_new(void **state)
{
    static struct outcome outcomes[ARTICLES];
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    struct world *world = *state;
    time_t deadline = time(NULL) + SECONDS;

    submit_all(world, outcomes);
    for (unsigned i = 0; i < ARTICLES; i++)
        assert_int_equal(outcomes[i].outcome, STORE_STORED);
    assert_true(overview_recent(world->store->overview) > 1024);
    while (overview_recent(world->store->overview) > 0) {
        assert_true(time(NULL) < deadline);
        nanosleep(&pause, NULL);
    }
    /* It is where it was, from blocks now. */
    world_assert_marks(world, "local.one", 1, ARTICLES, ARTICLES);
    for (unsigned i = 0; i < ARTICLES; i += 97) {
        char part[32];

        snprintf(part, sizeof(part), "\t<quiet-%u@x>\t", i + 1);
        assert_int_equal(world_lines(world, "local.one", i + 1, i + 1),
                         outcomes[i].sequence);
        assert_non_null(strstr(buffer_text(&world->text), part));
    }
    world_reopen(world);
    world_assert_marks(world, "local.one", 1, ARTICLES, ARTICLES);
}

/* Then a start has nothing to replay. */
static void
test_a_quiet_moment_is_used_to_drain_the_history(void **state)
{
    static struct outcome outcomes[ARTICLES];
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    struct world *world = *state;
    time_t deadline = time(NULL) + SECONDS;

    submit_all(world, outcomes);
    assert_true(history_is_waiting(world->store->history));
    while (history_is_waiting(world->store->history)) {
        assert_true(time(NULL) < deadline);
        nanosleep(&pause, NULL);
    }
    assert_int_equal(history_applied(world->store->history),
                     outcomes[ARTICLES - 1].sequence);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_quiet_moment_is_used_to_fold_what_is_new, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_quiet_moment_is_used_to_drain_the_history, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
