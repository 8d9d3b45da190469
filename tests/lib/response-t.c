#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "lib/response.h"

static const struct {
    const char *line;
    size_t octets; /* 0: strlen */
    bool good;
    unsigned code;
    const char *text;
    const char *promise;
} lines[] = {
    {"200 hello\r\n", 0, true, 200, "hello", "a line"},
    {"200 hello\n", 0, true, 200, "hello", "a bare LF ends it"},
    {"203\r\n", 0, true, 203, "", "a code alone"},
    {"203 \r\n", 0, true, 203, "", "a code and a space"},
    {"238 <a@b> x", 0, true, 238, "<a@b> x", "no end is needed"},
    {"400\tlater\r\n", 0, true, 400, "later", "a tab"},
    {"599 x\r\n", 0, true, 599, "x", "the highest"},
    {"", 0, false, 0, NULL, "nothing"},
    {"\r\n", 0, false, 0, NULL, "an empty line"},
    {"20\r\n", 0, false, 0, NULL, "two digits"},
    {"2000 x\r\n", 0, false, 0, NULL, "four digits"},
    {"x00 x\r\n", 0, false, 0, NULL, "no digit"},
    {"000 x\r\n", 0, false, 0, NULL, "there is no class 0"},
    {"600 x\r\n", 0, false, 0, NULL, "there is no class 6"},
    {"200 a\rb\r\n", 0, false, 0, NULL, "a bare CR"},
    {"200 a\0b\r\n", 9, false, 0, NULL, "a NUL"},
};

static void
test_a_line_is_a_code_and_a_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        size_t octets =
            lines[i].octets != 0 ? lines[i].octets : strlen(lines[i].line);
        struct buffer why = BUFFER_EMPTY;
        struct response response;
        bool good =
            response_parse(&response, lines[i].line, octets, &why) == 0;

        if (good != lines[i].good || (!good && why.used == 0))
            fail_msg("%s", lines[i].promise);
        if (good) {
            assert_int_equal(response.code, lines[i].code);
            assert_int_equal(response.octets, strlen(lines[i].text));
            assert_memory_equal(response.text, lines[i].text, response.octets);
        }
        buffer_free(&why);
    }
}

static void
test_a_line_is_measured(void **state)
{
    char endless[RESPONSE_ENDLESS_OCTETS];

    (void)state;
    memset(endless, 'x', sizeof(endless));
    assert_int_equal(response_line_octets("200 a\r\n201", 10), 7);
    assert_int_equal(response_line_octets("200 a\r", 6), 0);
    assert_int_equal(response_line_octets(endless, sizeof(endless) - 1), 0);
    assert_int_equal(response_line_octets(endless, sizeof(endless)),
                     RESPONSE_ENDLESS_OCTETS);
}

static const struct {
    const char *line;
    const char *id; /* NULL: none */
} ids[] = {
    {"238 <a@b>", "<a@b>"}, {"438 <a@b> no", "<a@b>"},
    {"438 no <a@b>", NULL}, {"438 <a@b", NULL},
    {"438", NULL},          {"438  <a@b>", NULL},
};

static void
test_a_message_id_comes_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct response response;
        const char *id;
        size_t octets;
        bool has;

        assert_int_equal(
            response_parse(&response, ids[i].line, strlen(ids[i].line), NULL),
            0);
        has = response_message_id(&response, &id, &octets);
        if (has != (ids[i].id != NULL))
            fail_msg("%s", ids[i].line);
        if (!has)
            continue;
        assert_int_equal(octets, strlen(ids[i].id));
        assert_memory_equal(id, ids[i].id, octets);
    }
}

static void
test_numbers_are_read_until_something_else(void **state)
{
    static const struct {
        const char *line;
        size_t count;
        uint64_t numbers[3];
    } cases[] = {
        {"211 3 4 17 local.test", 3, {3, 4, 17}},
        {"211 3 4", 2, {3, 4, 0}},
        {"211 3 4x 5", 1, {3, 0, 0}},
        {"211 -1 2 3", 0, {0, 0, 0}},
        {"211 99999999999999999 1 2", 0, {0, 0, 0}},
        {"211", 0, {0, 0, 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t numbers[3] = {0};
        struct response response;

        assert_int_equal(response_parse(&response, cases[i].line,
                                        strlen(cases[i].line), NULL),
                         0);
        assert_int_equal(response_numbers(&response, numbers, 3),
                         cases[i].count);
        for (size_t j = 0; j < cases[i].count; j++)
            assert_int_equal(numbers[j], cases[i].numbers[j]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_a_code_and_a_text),
        cmocka_unit_test(test_a_line_is_measured),
        cmocka_unit_test(test_a_message_id_comes_first),
        cmocka_unit_test(test_numbers_are_read_until_something_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
