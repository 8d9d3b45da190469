#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/buffer.h"
#include "lib/file.h"
#include "lib/memory.h"

/* More than is read at once. */
enum { OCTETS = 200 * 1000 };

struct world {
    char directory[32];
    char *path;
    struct buffer octets, found, why;
};

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    strcpy(world->directory, "/tmp/renews-file-XXXXXX");
    if (mkdtemp(world->directory) == NULL)
        return -1;
    world->path = xasprintf("%s/file", world->directory);
    for (size_t i = 0; i < OCTETS; i++)
        buffer_append(&world->octets, &(char){(char)(i % 251)}, 1);
    *state = world;
    return file_replace(world->path, &world->octets, &world->why);
}

static int
teardown(void **state)
{
    struct world *world = *state;

    unlink(world->path);
    rmdir(world->directory);
    free(world->path);
    buffer_free(&world->octets);
    buffer_free(&world->found);
    buffer_free(&world->why);
    free(world);
    return 0;
}

static void
test_a_file_is_read_whole_behind_what_is_there(void **state)
{
    struct world *world = *state;

    buffer_append_text(&world->found, "before");
    assert_int_equal(file_read(world->path, 0, OCTETS, &world->found), 0);
    assert_int_equal(world->found.used, 6 + OCTETS);
    assert_memory_equal(world->found.data, "before", 6);
    assert_memory_equal(world->found.data + 6, world->octets.data, OCTETS);
}

static void
test_an_octet_too_many_is_said(void **state)
{
    struct world *world = *state;

    assert_int_equal(file_read(world->path, 0, OCTETS - 1, &world->found), -1);
    assert_int_equal(errno, EFBIG);
}

static void
test_what_is_not_there_or_is_a_link_is_said(void **state)
{
    struct world *world = *state;
    char *link = xasprintf("%s/link", world->directory);

    assert_int_equal(file_read(link, 0, OCTETS, &world->found), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(symlink(world->path, link), 0);
    assert_int_equal(file_read(link, O_NOFOLLOW, OCTETS, &world->found), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(world->found.used, 0);
    assert_int_equal(file_read(link, 0, OCTETS, &world->found), 0);
    assert_int_equal(world->found.used, OCTETS);
    unlink(link);
    free(link);
}

static void
test_a_file_that_cannot_be_replaced_stays(void **state)
{
    struct world *world = *state;
    char *new = xasprintf("%s.new", world->path);
    struct buffer other = BUFFER_EMPTY;

    buffer_append_text(&other, "other");
    assert_int_equal(symlink("elsewhere", new), 0);
    assert_int_equal(file_replace(world->path, &other, &world->why), -1);
    assert_non_null(strstr(buffer_text(&world->why), new));
    assert_int_equal(file_read(world->path, 0, OCTETS, &world->found), 0);
    assert_int_equal(world->found.used, OCTETS);
    unlink(new);
    assert_int_equal(file_replace(world->path, &other, &world->why), 0);
    buffer_clear(&world->found);
    assert_int_equal(file_read(world->path, 0, OCTETS, &world->found), 0);
    assert_string_equal(buffer_text(&world->found), "other");
    assert_int_equal(access(new, F_OK), -1);
    buffer_free(&other);
    free(new);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_file_is_read_whole_behind_what_is_there),
        TEST(test_an_octet_too_many_is_said),
        TEST(test_what_is_not_there_or_is_a_link_is_said),
        TEST(test_a_file_that_cannot_be_replaced_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
