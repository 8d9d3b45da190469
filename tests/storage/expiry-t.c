#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/buffer.h"
#include "storage/expiry.h"

static struct expired_range
range_of(uint32_t group, uint64_t first, uint64_t last)
{
    return (struct expired_range){
        .group = group,
        .first = first,
        .last = last,
        .first_sequence = first * 10,
        .last_sequence = last * 10,
    };
}

static void
test_a_batch_comes_back_in_order_and_joined(void **state)
{
    struct expired_range ranges[] = {
        range_of(2, 5, 9),   range_of(1, 20, 29), range_of(1, 1, 9),
        range_of(1, 10, 10), range_of(1, 12, 12),
    };
    struct expired_article articles[] = {{.sequence = 7}, {.sequence = 5}};
    struct buffer octets = BUFFER_EMPTY;
    struct expiry expiry;
    struct expired_range range;

    (void)state;
    memset(articles[1].hash.octets, 0x5a, 16);
    expiry_build(&octets, 1234, ranges, 5, articles, 2);
    assert_int_equal(expiry_parse(&expiry, octets.data, octets.used, NULL), 0);
    assert_int_equal(expiry.head.until, 1234);
    assert_int_equal(expiry.head.range_count, 4);
    range = expiry_range(&expiry, 0);
    assert_int_equal(range.group, 1);
    assert_int_equal(range.first, 1);
    assert_int_equal(range.last, 10);
    assert_int_equal(range.first_sequence, 10);
    assert_int_equal(range.last_sequence, 100);
    assert_int_equal(expiry_range(&expiry, 1).first, 12);
    assert_int_equal(expiry_range(&expiry, 2).first, 20);
    assert_int_equal(expiry_range(&expiry, 3).group, 2);
    assert_int_equal(expiry.head.article_count, 2);
    assert_int_equal(expiry_article(&expiry, 1).sequence, 5);
    assert_int_equal(expiry_entry(&expiry, 1).hash.octets[15], 0x5a);
    assert_int_equal(expiry_entry(&expiry, 1).until, 1234);
    assert_int_equal(expiry_entry(&expiry, 1).fate, HISTORY_EXPIRED);
    buffer_free(&octets);
}

static void
test_an_empty_batch_is_one(void **state)
{
    struct buffer octets = BUFFER_EMPTY;
    struct expiry expiry;

    (void)state;
    expiry_build(&octets, 0, NULL, 0, NULL, 0);
    assert_int_equal(expiry_parse(&expiry, octets.data, octets.used, NULL), 0);
    assert_int_equal(expiry.head.range_count + expiry.head.article_count, 0);
    buffer_free(&octets);
}

/* A batch as it would come from nobody of ours. */
static void
build_raw(struct buffer *octets, const struct expired_range *ranges,
          size_t count)
{
    struct expired head = {.range_count = (uint32_t)count};

    buffer_clear(octets);
    buffer_append(octets, &head, sizeof(head));
    buffer_append(octets, ranges, count * sizeof(*ranges));
}

static void
test_what_is_no_batch_is_refused_with_a_reason(void **state)
{
    struct {
        struct expired_range ranges[2];
        const char *why;
    } cases[] = {
        {{range_of(0, 1, 2), range_of(1, 1, 2)}, "no range"},
        {{range_of(1, 0, 2), range_of(2, 1, 2)}, "no range"},
        {{range_of(1, 3, 2), range_of(2, 1, 2)}, "no range"},
        {{range_of(1, 1, UINT64_MAX), range_of(2, 1, 2)}, "no range"},
        {{range_of(2, 1, 2), range_of(1, 1, 2)}, "out of order"},
        {{range_of(1, 1, 2), range_of(1, 2, 3)}, "out of order"},
        {{range_of(1, 1, 2), range_of(1, 3, 3)}, "out of order"},
        {{range_of(1, 5, 6), range_of(1, 1, 2)}, "out of order"},
    };
    struct buffer octets = BUFFER_EMPTY, why = BUFFER_EMPTY;
    struct expiry expiry;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        build_raw(&octets, cases[i].ranges, 2);
        assert_int_equal(expiry_parse(&expiry, octets.data, octets.used, &why),
                         -1);
        if (strstr(why.data, cases[i].why) == NULL)
            fail_msg("case %zu: %s", i, why.data);
    }
    /* A length that does not fit the counts, to either side. */
    cases[0].ranges[0] = range_of(1, 1, 2);
    build_raw(&octets, cases[0].ranges, 1);
    assert_int_equal(expiry_parse(&expiry, octets.data, octets.used, &why), 0);
    for (size_t length = 0; length < octets.used; length++)
        assert_int_equal(expiry_parse(&expiry, octets.data, length, &why), -1);
    buffer_append_char(&octets, '\0');
    assert_int_equal(expiry_parse(&expiry, octets.data, octets.used, &why),
                     -1);
    buffer_free(&octets);
    buffer_free(&why);
}

static void
test_remembered_ids_are_checked(void **state)
{
    struct remembered ids[] = {
        {.sequence = 4, .until = 9, .fate = HISTORY_EXPIRED},
        {.until = 8, .fate = HISTORY_CANCELLED},
    };

    (void)state;
    assert_int_equal(remembered_count(ids, sizeof(ids), NULL), 2);
    assert_int_equal(remembered_at(ids, 1).until, 8);
    assert_int_equal(remembered_count(ids, sizeof(ids) - 1, NULL), -1);
    ids[1].fate = HISTORY_STORED;
    assert_int_equal(remembered_count(ids, sizeof(ids), NULL), -1);
    ids[1].fate = 5;
    assert_int_equal(remembered_count(ids, sizeof(ids), NULL), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_comes_back_in_order_and_joined),
        cmocka_unit_test(test_an_empty_batch_is_one),
        cmocka_unit_test(test_what_is_no_batch_is_refused_with_a_reason),
        cmocka_unit_test(test_remembered_ids_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
