#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/buffer.h"
#include "storage/active.h"
#include "storage/overview_block.h"
#include "storage/overview_cache.h"

enum { GROUP = 7 };

static struct active *active;
static struct overview_cache *cache;

static int
begin(void **state)
{
    (void)state;
    active = active_new(16);
    cache = overview_cache_new(active);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    overview_cache_free(&cache);
    active_close(&active);
    return 0;
}

/* A block of the group with one line, of this number, sequence and text, read
   when the removals were those of now. */
static void
put(uint32_t group, uint64_t number, uint64_t sequence, const char *text)
{
    struct overview_line line = {.number = number,
                                 .sequence = sequence,
                                 .token = {.segment = 1, .octets = 100},
                                 .text = text,
                                 .octets = (uint32_t)strlen(text)};
    struct buffer data = BUFFER_EMPTY;

    overview_block_write(&data, &line, 1);
    overview_cache_put(cache, overview_block_key(group, number),
                       active_removals(active), data.data, data.used);
    buffer_free(&data);
}

static void
test_what_was_put_is_found(void **state)
{
    struct overview_line line;

    (void)state;
    assert_false(overview_cache_find(cache, GROUP, 130, &line));
    put(GROUP, 130, 1000, "130\ta\r\n");
    assert_true(overview_cache_find(cache, GROUP, 130, &line));
    assert_int_equal(line.number, 130);
    assert_int_equal(line.sequence, 1000);
    assert_int_equal(line.token.octets, 100);
    assert_memory_equal(line.text, "130\ta\r\n", line.octets);
}

static void
test_of_other_numbers_it_says_nothing(void **state)
{
    struct overview_line line;

    (void)state;
    put(GROUP, 130, 1000, "130\ta\r\n");
    assert_false(overview_cache_find(cache, GROUP, 131, &line));
    assert_false(overview_cache_find(cache, GROUP, 130 + 64, &line));
    assert_false(overview_cache_find(cache, GROUP + 1, 130, &line));
    assert_false(overview_cache_find(
        cache, GROUP, 130 + (uint64_t)64 * OVERVIEW_CACHE_BLOCKS, &line));
}

static void
test_a_block_that_was_read_again_is_the_new_one(void **state)
{
    struct overview_line line;

    (void)state;
    put(GROUP, 130, 1000, "130\ta\r\n");
    put(GROUP, 131, 1001, "131\tb\r\n");
    assert_true(overview_cache_find(cache, GROUP, 131, &line));
    assert_false(overview_cache_find(cache, GROUP, 130, &line));
}

static void
test_a_removal_makes_all_unknown(void **state)
{
    struct overview_line line;

    (void)state;
    put(GROUP, 130, 1000, "130\ta\r\n");
    active_note_removal(active);
    assert_false(overview_cache_find(cache, GROUP, 130, &line));
    put(GROUP, 130, 1000, "130\ta\r\n");
    assert_true(overview_cache_find(cache, GROUP, 130, &line));
}

static void
test_a_block_that_is_read_while_something_is_removed_is_not_believed(
    void **state)
{
    struct overview_line line;
    struct overview_line old = {
        .number = 130, .sequence = 1000, .text = "130\ta\r\n", .octets = 7};
    struct buffer data = BUFFER_EMPTY;
    uint64_t before = active_removals(active);

    (void)state;
    overview_block_write(&data, &old, 1);
    active_note_removal(active);
    overview_cache_put(cache, overview_block_key(GROUP, 130), before,
                       data.data, data.used);
    assert_false(overview_cache_find(cache, GROUP, 130, &line));
    buffer_free(&data);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_put_is_found, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_of_other_numbers_it_says_nothing,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            test_a_block_that_was_read_again_is_the_new_one, begin, end),
        cmocka_unit_test_setup_teardown(test_a_removal_makes_all_unknown,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            test_a_block_that_is_read_while_something_is_removed_is_not_believed,
            begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
