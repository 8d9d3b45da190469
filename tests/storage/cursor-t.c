#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/cursor.h"
#include "lib/buffer.h"
#include "lib/memory.h"

struct world {
    char directory[32];
    char *path;
    struct cursor *cursor;
};

static void
reopen(struct world *world)
{
    struct buffer why = BUFFER_EMPTY;

    cursor_close(&world->cursor);
    world->cursor = cursor_open(world->path, &why);
    if (world->cursor == NULL)
        fail_msg("%s", buffer_text(&why));
}

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    strcpy(world->directory, "/tmp/renews-test-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    world->path = xasprintf("%s/cursor", world->directory);
    reopen(world);
    *state = world;
    return 0;
}

static int
teardown(void **state)
{
    struct world *world = *state;

    cursor_close(&world->cursor);
    (void)unlink(world->path);
    (void)rmdir(world->directory);
    free(world->path);
    free(world);
    return 0;
}

static void
put(struct world *world, uint32_t segment, uint32_t offset, uint64_t sequence)
{
    struct log_position position = {segment, offset, sequence};

    assert_int_equal(cursor_write(world->cursor, &position, NULL), 0);
}

static void
check(struct world *world, uint32_t segment, uint32_t offset,
      uint64_t sequence)
{
    struct log_position position;

    assert_int_equal(cursor_read(world->cursor, &position), 1);
    assert_int_equal(position.segment, segment);
    assert_int_equal(position.offset, offset);
    assert_int_equal(position.sequence, sequence);
}

static void
spoil(struct world *world, off_t offset)
{
    int fd = open(world->path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "spoilt", 6, offset), 6);
    close(fd);
}

static void
test_a_new_cursor_knows_nothing(void **state)
{
    struct world *world = *state;
    struct log_position position;

    assert_int_equal(cursor_read(world->cursor, &position), 0);
    assert_int_equal(position.sequence, 0);
}

static void
test_what_was_written_last_is_read(void **state)
{
    struct world *world = *state;

    for (unsigned i = 1; i < 10; i++) {
        put(world, i, i * 10, i * 100);
        check(world, i, i * 10, i * 100);
        reopen(world);
        check(world, i, i * 10, i * 100);
    }
}

static void
test_a_spoilt_slot_leaves_the_one_before(void **state)
{
    struct world *world = *state;

    put(world, 1, 4096, 10); /* generation 1: the second slot */
    put(world, 1, 8192, 20); /* the first */
    cursor_close(&world->cursor);
    spoil(world, 16);
    reopen(world);
    check(world, 1, 4096, 10);
    /* And it goes on from there. */
    put(world, 1, 9000, 30);
    reopen(world);
    check(world, 1, 9000, 30);
}

static void
test_with_both_spoilt_nothing_is_known(void **state)
{
    struct world *world = *state;
    struct log_position position;

    put(world, 1, 4096, 10);
    put(world, 1, 8192, 20);
    cursor_close(&world->cursor);
    spoil(world, 16);
    spoil(world, 512 + 16);
    reopen(world);
    assert_int_equal(cursor_read(world->cursor, &position), 0);
}

static void
test_a_path_that_cannot_be_opened_is_named(void **state)
{
    struct buffer why = BUFFER_EMPTY;

    (void)state;
    assert_null(cursor_open("/nonexistent/cursor", &why));
    assert_non_null(strstr(buffer_text(&why), "/nonexistent/cursor"));
    buffer_free(&why);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_new_cursor_knows_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_was_written_last_is_read,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_spoilt_slot_leaves_the_one_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_with_both_spoilt_nothing_is_known,
                                        setup, teardown),
        cmocka_unit_test(test_a_path_that_cannot_be_opened_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
