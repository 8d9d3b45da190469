#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feeder/deferred.h"
#include "lib/buffer.h"
#include "lib/memory.h"

struct world {
    char directory[32];
    char *path;
    struct deferred *deferred;
};

static void
reopen(struct world *world)
{
    struct buffer why = BUFFER_EMPTY;

    deferred_close(&world->deferred);
    world->deferred = deferred_open(world->path, 0, &why);
    if (world->deferred == NULL)
        fail_msg("%s", buffer_text(&why));
}

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    strcpy(world->directory, "/tmp/renews-test-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    world->path = xasprintf("%s/deferred", world->directory);
    reopen(world);
    *state = world;
    return 0;
}

static int
teardown(void **state)
{
    struct world *world = *state;

    deferred_close(&world->deferred);
    (void)unlink(world->path);
    (void)rmdir(world->directory);
    free(world->path);
    free(world);
    return 0;
}

static void
put(struct world *world, uint64_t sequence, uint64_t now_ms)
{
    struct token token = {.segment = 7, .offset = (uint32_t)sequence};

    deferred_put(world->deferred, sequence, &token, now_ms);
}

static void
test_each_is_due_after_its_pause_oldest_first(void **state)
{
    struct world *world = *state;
    const struct deferred_entry *entry;

    put(world, 30, 1000);
    put(world, 10, 1000);
    put(world, 20, 1000);
    assert_null(deferred_due(world->deferred, 1000));
    for (uint64_t sequence = 10; sequence <= 30; sequence += 10) {
        entry = deferred_due(world->deferred, 1000 + DEFERRED_FIRST_MS);
        assert_non_null(entry);
        assert_int_equal(entry->sequence, sequence);
        assert_int_equal(entry->token.offset, sequence);
    }
    /* They are under way now. */
    assert_null(deferred_due(world->deferred, UINT64_MAX));
    assert_int_equal(deferred_count(world->deferred), 3);
}

static void
test_pauses_grow_up_to_a_bound(void **state)
{
    struct world *world = *state;
    uint64_t now = 0, pause = 0, before;

    for (unsigned i = 0; i < 20; i++) {
        const struct deferred_entry *entry;

        put(world, 1, now);
        before = pause;
        pause = 1;
        while (deferred_due(world->deferred, now + pause - 1) == NULL) {
            assert_true(pause <= DEFERRED_MOST_MS);
            pause = pause < 1000 ? 1000 : pause + 1000;
        }
        assert_true(pause >= before);
        entry = deferred_due(world->deferred, UINT64_MAX);
        assert_null(entry);
        now += pause;
    }
}

static void
test_a_broken_connection_makes_it_due_again(void **state)
{
    struct world *world = *state;

    put(world, 1, 0);
    assert_non_null(deferred_due(world->deferred, DEFERRED_FIRST_MS));
    deferred_return(world->deferred, 1);
    assert_non_null(deferred_due(world->deferred, DEFERRED_FIRST_MS));
}

static void
test_what_was_saved_is_there_after_a_death(void **state)
{
    struct world *world = *state;

    for (uint64_t sequence = 1; sequence <= 100; sequence++)
        put(world, sequence, 0);
    assert_int_equal(deferred_save(world->deferred, NULL), 0);
    deferred_drop(world->deferred, 50);
    assert_int_equal(deferred_save(world->deferred, NULL), 0);
    put(world, 1000, 0); /* not saved */
    reopen(world);
    assert_int_equal(deferred_count(world->deferred), 99);
    for (uint64_t sequence = 1; sequence <= 100; sequence++) {
        const struct deferred_entry *entry;

        if (sequence == 50)
            continue;
        entry = deferred_due(world->deferred, 0);
        assert_non_null(entry);
        assert_int_equal(entry->sequence, sequence);
        assert_int_equal(entry->token.segment, 7);
    }
    assert_null(deferred_due(world->deferred, 0));
}

static void
test_a_damaged_file_is_an_empty_list(void **state)
{
    struct world *world = *state;
    int fd;

    put(world, 1, 0);
    put(world, 2, 0);
    assert_int_equal(deferred_save(world->deferred, NULL), 0);
    fd = open(world->path, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 20), 1);
    close(fd);
    reopen(world);
    assert_int_equal(deferred_count(world->deferred), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_each_is_due_after_its_pause_oldest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pauses_grow_up_to_a_bound, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_a_broken_connection_makes_it_due_again, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_what_was_saved_is_there_after_a_death, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_file_is_an_empty_list,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
