/* What the threads behind the store do when nobody waits for them. */
#include "storage/store_private.h"
#include "tests/storage/store_world.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>

enum { ARTICLES = 1500, SECONDS = 30 };

/* What the store sees of the disk: all there is, or nothing free. */
static atomic_bool disk_is_full;
static atomic_uint disk_asked;

int
statvfs(const char *path, struct statvfs *status)
{
    struct statfs disk;

    disk_asked++;
    if (statfs(path, &disk) < 0)
        return -1;
    *status = (struct statvfs){
        .f_bsize = (unsigned long)disk.f_bsize,
        .f_frsize = (unsigned long)disk.f_frsize,
        .f_blocks = disk.f_blocks,
        .f_bavail = disk_is_full ? 0 : disk.f_bavail,
    };
    return 0;
}

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

static void
wait_for_drained(struct world *world)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    time_t deadline = time(NULL) + SECONDS;

    while (history_is_waiting(world->store->history)) {
        assert_true(time(NULL) < deadline);
        nanosleep(&pause, NULL);
    }
}

/* Then a start has nothing to replay. */
static void
test_a_quiet_moment_is_used_to_drain_the_history(void **state)
{
    static struct outcome outcomes[ARTICLES];
    struct world *world = *state;

    submit_all(world, outcomes);
    assert_true(history_is_waiting(world->store->history));
    wait_for_drained(world);
    assert_int_equal(history_applied(world->store->history),
                     outcomes[ARTICLES - 1].sequence);
}

/* It would end the writer for want of room, and nobody waits for it. */
static void
test_a_quiet_moment_on_a_full_disk_is_not(void **state)
{
    static struct outcome outcomes[ARTICLES];
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    struct world *world = *state;
    time_t deadline = time(NULL) + SECONDS;
    unsigned asked;

    submit_all(world, outcomes);
    disk_is_full = true;
    asked = disk_asked;
    /* What followed the first answer is over when it asks again. */
    while (disk_asked < asked + 4) {
        assert_true(time(NULL) < deadline);
        nanosleep(&pause, NULL);
    }
    assert_true(history_is_waiting(world->store->history));
    assert_false(store_is_broken(world->store));
    disk_is_full = false;
    wait_for_drained(world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_quiet_moment_is_used_to_fold_what_is_new, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_quiet_moment_is_used_to_drain_the_history, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_quiet_moment_on_a_full_disk_is_not, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
