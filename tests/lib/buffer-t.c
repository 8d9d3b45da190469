#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/buffer.h"

static void
test_numbers_are_decimal_and_padded(void **state)
{
    static const struct {
        uint64_t number;
        unsigned digits_min;
        const char *text;
    } cases[] = {
        {0, 0, "0"},
        {0, 1, "0"},
        {7, 1, "7"},
        {1234567890, 1, "1234567890"},
        {12, 10, "0000000012"},
        {0, 10, "0000000000"},
        {12345678901, 10, "12345678901"},
        {UINT64_MAX, 1, "18446744073709551615"},
    };
    struct buffer text = BUFFER_EMPTY;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_clear(&text);
        buffer_append_number(&text, cases[i].number, cases[i].digits_min);
        assert_string_equal(buffer_text(&text), cases[i].text);
    }
    buffer_append_number(&text, 42, 1);
    assert_string_equal(buffer_text(&text), "1844674407370955161542");
    buffer_free(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_decimal_and_padded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
