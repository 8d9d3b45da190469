#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lib/buffer.h"
#include "storage/overview_block.h"

/* Where things lie in a block: a head, then lines. */
enum {
    COUNT = 4,
    LINES = 8,
    LINE_OCTETS = 32,
    PLACE = 20, /* within a line */
    TEXT_OFFSET = 24,
    TEXT_OCTETS = 28,
};

static void
make_lines(struct overview_line *lines, struct buffer *text,
           const uint64_t *numbers, size_t count)
{
    const char *at;

    for (size_t i = 0; i < count; i++) {
        char line[64];
        size_t used = text->used;

        snprintf(line, sizeof(line), "Subject %zu\t<a@b>", i * i);
        overview_block_text(text, numbers[i], line, strlen(line));
        lines[i] = (struct overview_line){
            .number = numbers[i],
            .sequence = 1000 + i,
            .token = {.segment = 3, .offset = 88 * (uint32_t)i, .octets = 9},
            .octets = (uint32_t)(text->used - used),
        };
    }
    at = buffer_text(text);
    for (size_t i = 0; i < count; i++) {
        lines[i].text = at;
        at += lines[i].octets;
    }
}

static void
test_a_text_is_number_tab_line_crlf(void **state)
{
    static const struct {
        uint64_t number;
        const char *line;
        const char *text;
    } cases[] = {
        {1, "a\tb", "1\ta\tb\r\n"},
        {10, "", "10\t\r\n"},
        {2147483647, "x", "2147483647\tx\r\n"},
        {UINT64_MAX, "x", "18446744073709551615\tx\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer text = BUFFER_EMPTY;

        overview_block_text(&text, cases[i].number, cases[i].line,
                            strlen(cases[i].line));
        assert_string_equal(buffer_text(&text), cases[i].text);
        assert_int_equal(text.used, strlen(cases[i].text));
        buffer_free(&text);
    }
}

static void
test_keys_of_a_group_are_a_range_of_64_numbers_each(void **state)
{
    (void)state;
    assert_int_equal(overview_block_key(7, 64), overview_block_key(7, 127));
    assert_int_equal(overview_block_key(7, 128),
                     overview_block_key(7, 127) + 1);
    assert_true(overview_block_key(7, UINT64_C(2147483647))
                < overview_block_key(8, 1));
    assert_int_equal(overview_block_first(overview_block_key(7, 200)), 192);
}

static void
test_what_is_written_is_read(void **state)
{
    static const struct {
        size_t count;
        uint64_t numbers[OVERVIEW_BLOCK_NUMBERS];
    } cases[] = {
        {1, {128}},
        {1, {191}},
        {3, {128, 150, 191}},
        {2, {129, 130}},
    };
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct overview_line written[OVERVIEW_BLOCK_NUMBERS];
        struct buffer text = BUFFER_EMPTY, block = BUFFER_EMPTY;

        make_lines(written, &text, cases[i].numbers, cases[i].count);
        overview_block_write(&block, written, cases[i].count);
        assert_int_equal(
            overview_block_read(lines, 128, block.data, block.used, NULL),
            cases[i].count);
        for (size_t j = 0; j < cases[i].count; j++) {
            assert_int_equal(lines[j].number, written[j].number);
            assert_int_equal(lines[j].sequence, written[j].sequence);
            assert_memory_equal(&lines[j].token, &written[j].token,
                                sizeof(lines[j].token));
            assert_int_equal(lines[j].octets, written[j].octets);
        }
        /* One run. */
        assert_memory_equal(lines[0].text, text.data, text.used);
        for (uint64_t number = 128; number < 192; number++) {
            struct overview_line found;
            size_t j = 0;

            while (j < cases[i].count && lines[j].number != number)
                j++;
            assert_int_equal(overview_block_find(block.data, number, &found),
                             j < cases[i].count);
            if (j < cases[i].count)
                assert_memory_equal(&found, &lines[j], sizeof(found));
        }
        buffer_free(&text);
        buffer_free(&block);
    }
}

static void
test_a_full_block_is_read(void **state)
{
    uint64_t numbers[OVERVIEW_BLOCK_NUMBERS];
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    struct buffer text = BUFFER_EMPTY, block = BUFFER_EMPTY;

    (void)state;
    for (size_t i = 0; i < OVERVIEW_BLOCK_NUMBERS; i++)
        numbers[i] = 640 + i;
    make_lines(lines, &text, numbers, OVERVIEW_BLOCK_NUMBERS);
    overview_block_write(&block, lines, OVERVIEW_BLOCK_NUMBERS);
    assert_int_equal(
        overview_block_read(lines, 640, block.data, block.used, NULL),
        OVERVIEW_BLOCK_NUMBERS);
    assert_int_equal(lines[63].number, 703);
    buffer_free(&text);
    buffer_free(&block);
}

static void
test_a_damaged_block_is_refused(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
        const char *promise;
    } cases[] = {
        {0, 0, "the magic number"},
        {0, 0x024f4e52, "another version"},
        {COUNT, 65, "more lines than a block has"},
        {COUNT, UINT32_MAX, "a count whose product overflows"},
        {COUNT, 2, "fewer lines than there are texts for"},
        {COUNT, 4, "more lines than are there"},
        {LINES + PLACE, 64, "a place outside the block"},
        {LINES + PLACE, 20, "places that do not ascend"},
        {LINES + LINE_OCTETS + PLACE, 0, "a place twice"},
        {LINES + TEXT_OFFSET, 0, "a text in the head"},
        {LINES + TEXT_OFFSET, UINT32_MAX, "a text outside"},
        {LINES + TEXT_OCTETS, UINT32_MAX, "a text that ends outside"},
        {LINES + TEXT_OCTETS, 1, "a gap between texts"},
        {LINES + 2 * LINE_OCTETS + TEXT_OCTETS, 0, "octets left over"},
    };
    static const uint64_t numbers[] = {128, 130, 140};
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    struct buffer text = BUFFER_EMPTY, block = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;

    (void)state;
    make_lines(lines, &text, numbers, 3);
    overview_block_write(&block, lines, 3);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char damaged[512];

        assert_true(block.used <= sizeof(damaged));
        memcpy(damaged, block.data, block.used);
        memcpy(damaged + cases[i].offset, &cases[i].value,
               sizeof(cases[i].value));
        if (overview_block_read(lines, 128, damaged, block.used, &why) >= 0)
            fail_msg("not noticed: %s", cases[i].promise);
        assert_true(why.used > 0);
    }
    for (size_t cut = 0; cut < block.used; cut++)
        assert_int_equal(
            overview_block_read(lines, 128, block.data, cut, &why), -1);
    buffer_free(&text);
    buffer_free(&block);
    buffer_free(&why);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_is_number_tab_line_crlf),
        cmocka_unit_test(test_keys_of_a_group_are_a_range_of_64_numbers_each),
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_a_full_block_is_read),
        cmocka_unit_test(test_a_damaged_block_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
