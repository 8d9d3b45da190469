/* Which lines are made anew, and which are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buffer.h"
#include "nnrpd/access.h"
#include "nnrpd/ready_list.h"
#include "storage/active.h"

enum { GROUPS = 3 * ACTIVE_BLOCK };

static struct active *active;
static struct ready_lists *lists;
static unsigned made; /* lines */

static void
set(uint32_t id, char flag)
{
    char name[32];

    snprintf(name, sizeof name, "%s.%u", id % 2 == 0 ? "even" : "odd",
             (unsigned)id);
    assert_int_equal(
        active_set(active, id, name, strlen(name), flag, 0, 1, "", "", NULL),
        0);
}

static void
line_high(struct active *groups, uint32_t group, struct buffer *text)
{
    made++;
    buffer_append_format(text, "%s %u\r\n", active_name(groups, group, NULL),
                         (unsigned)active_marks(groups, group).high);
}

static void
line_name(struct active *groups, uint32_t group, struct buffer *text)
{
    made++;
    buffer_append_format(text, "%s\r\n", active_name(groups, group, NULL));
}

static int
begin(void **state)
{
    (void)state;
    active = active_new(GROUPS);
    lists = ready_lists_new(active);
    for (uint32_t id = 1; id <= GROUPS - 1; id++)
        set(id, 'y');
    made = 0;
    return 0;
}

static int
end(void **state)
{
    (void)state;
    ready_lists_free(&lists);
    active_close(&active);
    return 0;
}

/* The text of the block that id is in. */
static const char *
text_of(group_line_func *line, char *readable, uint32_t id)
{
    struct access access = {.readable = readable};
    unsigned lines;

    return buffer_text(
        &ready_lists_block(lists, line, &access, active_block(id), &lines)
             ->text);
}

static void
test_only_a_block_in_which_a_mark_moved_is_made_anew(void **state)
{
    (void)state;
    assert_non_null(strstr(text_of(line_high, NULL, 100), "even.100 0\r\n"));
    assert_int_equal(made, ACTIVE_BLOCK);
    (void)text_of(line_high, NULL, 100);
    assert_int_equal(made, ACTIVE_BLOCK);
    active_set_marks(active, 1, &(struct group_marks){1, 5, 5});
    (void)text_of(line_high, NULL, 100);
    assert_int_equal(made, ACTIVE_BLOCK);
    active_set_marks(active, 100, &(struct group_marks){1, 7, 7});
    assert_non_null(strstr(text_of(line_high, NULL, 100), "even.100 7\r\n"));
    assert_int_equal(made, 2 * ACTIVE_BLOCK);
    assert_non_null(strstr(text_of(line_high, NULL, 1), "odd.1 5\r\n"));
}

static void
test_a_group_comes_and_goes(void **state)
{
    (void)state;
    assert_null(strstr(text_of(line_name, NULL, GROUPS - 1), "even.192"));
    set(GROUPS, 'y');
    assert_non_null(strstr(text_of(line_name, NULL, GROUPS), "even.192\r\n"));
    assert_non_null(strstr(text_of(line_name, NULL, GROUPS - 1), "odd.191"));
    set(GROUPS - 1, 0);
    assert_null(strstr(text_of(line_name, NULL, GROUPS - 1), "odd.191"));
}

static void
test_each_has_the_lines_that_he_may_read(void **state)
{
    char odd[] = "odd.*", nothing[] = "!*";

    (void)state;
    assert_non_null(strstr(text_of(line_name, NULL, 2), "even.2\r\n"));
    assert_null(strstr(text_of(line_name, odd, 2), "even.2\r\n"));
    assert_non_null(strstr(text_of(line_name, odd, 2), "odd.3\r\n"));
    assert_string_equal(text_of(line_name, nothing, 2), "");
    assert_non_null(strstr(text_of(line_name, NULL, 2), "even.2\r\n"));
    assert_non_null(strstr(text_of(line_high, odd, 2), "odd.3 0\r\n"));
}

static void
test_the_list_that_was_used_longest_ago_makes_room(void **state)
{
    char wildmat[READY_LISTS + 1][16];
    unsigned before;

    (void)state;
    for (unsigned i = 0; i <= READY_LISTS; i++)
        snprintf(wildmat[i], sizeof wildmat[i], "*,!odd.%u", i);
    for (unsigned i = 0; i < READY_LISTS; i++)
        (void)text_of(line_name, wildmat[i], 1);
    (void)text_of(line_name, wildmat[0], 1);
    (void)text_of(line_name, wildmat[READY_LISTS], 1);
    before = made;
    (void)text_of(line_name, wildmat[0], 1);
    assert_int_equal(made, before);
    (void)text_of(line_name, wildmat[1], 1);
    assert_int_not_equal(made, before);
    assert_null(strstr(text_of(line_name, wildmat[1], 1), "odd.1\r\n"));
}

static void
test_packed_text_is_made_anew_with_the_text(void **state)
{
    struct access access = {0};
    const struct ready_block *block;
    struct buffer first = BUFFER_EMPTY;
    unsigned lines;

    (void)state;
    block = ready_lists_packed_block(lists, line_high, &access, 0, &lines);
    assert_true(block->packed.used > 0);
    assert_true(block->packed.used < block->text.used);
    buffer_append(&first, block->packed.data, block->packed.used);
    active_set_marks(active, 1, &(struct group_marks){1, 5, 5});
    block = ready_lists_packed_block(lists, line_high, &access, 0, &lines);
    assert_true(block->packed.used > 0);
    assert_true(block->packed.used != first.used
                || memcmp(block->packed.data, first.data, first.used) != 0);
    buffer_free(&first);
}

static void
test_a_turn_packs_no_more_than_its_share(void **state)
{
    struct access access = {0};
    const struct ready_block *block;
    unsigned lines;

    (void)state;
    for (unsigned i = 0; i < READY_PACKED_ANEW; i++) {
        active_set_marks(active, 1, &(struct group_marks){1, i + 1, 1});
        block = ready_lists_packed_block(lists, line_high, &access, 0, &lines);
        assert_true(block->packed.used > 0);
    }
    block = ready_lists_packed_block(lists, line_high, &access, 1, &lines);
    assert_int_equal(block->packed.used, 0);
    assert_true(block->text.used > 0);
    ready_lists_turn_ended(lists);
    block = ready_lists_packed_block(lists, line_high, &access, 1, &lines);
    assert_true(block->packed.used > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_only_a_block_in_which_a_mark_moved_is_made_anew, begin, end),
        cmocka_unit_test_setup_teardown(test_a_group_comes_and_goes, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
            test_each_has_the_lines_that_he_may_read, begin, end),
        cmocka_unit_test_setup_teardown(
            test_the_list_that_was_used_longest_ago_makes_room, begin, end),
        cmocka_unit_test_setup_teardown(
            test_packed_text_is_made_anew_with_the_text, begin, end),
        cmocka_unit_test_setup_teardown(
            test_a_turn_packs_no_more_than_its_share, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
