#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "storage/overview_recent.h"
#include "storage/spool.h"

enum { GROUPS = 3 };

/* Row n has sequence 10 * n and is in group n % GROUPS with number n, and in
   group GROUPS too. */
static void
add_row(struct overview_recent *recent, unsigned n)
{
    char line[200];
    struct record_group groups[] = {
        {.group = n % GROUPS, .number = n},
        {.group = GROUPS, .number = n},
    };
    struct recent_row row = {
        .sequence = 10 * n,
        .arrival = n,
        .line = line,
        .line_octets = (uint32_t)snprintf(line, sizeof(line), "line %u", n),
        .groups = groups,
        .group_count = 2,
    };

    overview_recent_add(recent, &row);
}

/* The numbers of a group are first, first + step, ... end. */
static void
check_numbers(const struct overview_recent *recent, uint32_t group,
              unsigned first, unsigned end, unsigned step)
{
    size_t count;
    const struct recent_number *numbers =
        overview_recent_numbers(recent, group, &count);

    for (size_t i = 0; i < count; i++, first += step) {
        const struct recent_row *row =
            overview_recent_row(recent, numbers[i].ordinal);
        char line[32];

        assert_int_equal(numbers[i].number, first);
        assert_int_equal(row->sequence, 10 * first);
        snprintf(line, sizeof(line), "line %u", first);
        assert_memory_equal(row->line, line, row->line_octets);
    }
    assert_true(first > end);
}

static void
test_rows_are_found_by_group_and_by_sequence(void **state)
{
    struct overview_recent *recent = overview_recent_new();
    const struct recent_row *rows;
    size_t count;

    (void)state;
    assert_null(overview_recent_numbers(recent, 1, &count));
    assert_int_equal(count, 0);
    assert_null(overview_recent_since(recent, 0, &count));
    assert_int_equal(count, 0);
    for (unsigned n = 1; n <= 100; n++)
        add_row(recent, n);
    check_numbers(recent, 0, 3, 99, GROUPS);
    check_numbers(recent, 1, 1, 100, GROUPS);
    check_numbers(recent, GROUPS, 1, 100, 1);
    overview_recent_numbers(recent, 77, &count);
    assert_int_equal(count, 0);
    rows = overview_recent_since(recent, 41, &count);
    assert_int_equal(count, 96);
    assert_int_equal(rows[0].sequence, 50);
    assert_null(overview_recent_since(recent, 1001, &count));
    overview_recent_free(&recent);
    assert_null(recent);
}

static void
test_rows_come_and_go_in_bounded_memory(void **state)
{
    struct overview_recent *recent = overview_recent_new();

    (void)state;
    for (unsigned n = 1; n <= 100000; n++) {
        add_row(recent, n);
        if (n > 500)
            overview_recent_drop_below(recent, 10 * (n - 499));
        if (n % 10007 == 0) {
            check_numbers(recent, GROUPS, n - 499, n, 1);
            assert_true(overview_recent_octets(recent) < 512 * 1024);
        }
    }
    overview_recent_drop_below(recent, UINT64_MAX);
    assert_int_equal(overview_recent_octets(recent), 0);
    add_row(recent, 200000);
    check_numbers(recent, GROUPS, 200000, 200000, 1);
    overview_recent_free(&recent);
}

static void
test_a_removed_row_is_gone_from_its_groups(void **state)
{
    struct overview_recent *recent = overview_recent_new();
    struct record_group one = {.group = GROUPS, .number = 1};
    struct record_group both[] = {{.group = 2, .number = 2},
                                  {.group = GROUPS, .number = 2}};
    const struct recent_row *rows;
    size_t count;

    (void)state;
    for (unsigned n = 1; n <= 4; n++)
        add_row(recent, n);
    overview_recent_remove(recent, 10, &one, 1, false);
    check_numbers(recent, GROUPS, 2, 4, 1);
    check_numbers(recent, 1, 1, 4, GROUPS);
    overview_recent_remove(recent, 20, both, 2, true);
    check_numbers(recent, GROUPS, 3, 4, 1);
    overview_recent_numbers(recent, 2, &count);
    assert_int_equal(count, 0);
    rows = overview_recent_since(recent, 0, &count);
    assert_non_null(rows[0].line);
    assert_null(rows[1].line);
    /* Absent ones are passed over. */
    overview_recent_remove(recent, 20, both, 2, true);
    overview_recent_remove(recent, 15, both, 2, true);
    overview_recent_remove(recent, 999, both, 2, true);
    overview_recent_drop_below(recent, 40);
    check_numbers(recent, GROUPS, 4, 4, 1);
    overview_recent_free(&recent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_found_by_group_and_by_sequence),
        cmocka_unit_test(test_rows_come_and_go_in_bounded_memory),
        cmocka_unit_test(test_a_removed_row_is_gone_from_its_groups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
