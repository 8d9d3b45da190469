#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/utf8.h"

static void
test_what_is_utf8(void **state)
{
    static const struct {
        const char *text;
        size_t length; /* of the first character; 0: it is none */
        uint32_t character;
        const char *promise;
    } rows[] = {
        {"a", 1, 'a', "ASCII"},
        {"\x7f", 1, 0x7f, "the last of one octet"},
        {"\xc2\x80", 2, 0x80, "the first of two"},
        {"\xdf\xbf", 2, 0x7ff, "the last of two"},
        {"\xe0\xa0\x80", 3, 0x800, "the first of three"},
        {"\xe2\x82\xac", 3, 0x20ac, "the euro"},
        {"\xef\xbf\xbf", 3, 0xffff, "the last of three"},
        {"\xf0\x90\x80\x80", 4, 0x10000, "the first of four"},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff, "the last of all"},
        {"\xf4\x90\x80\x80", 0, 0, "beyond the last"},
        {"\xf5\x80\x80\x80", 0, 0, "a lead that is none"},
        {"\xc0\x80", 0, 0, "NUL in two octets"},
        {"\xc1\xbf", 0, 0, "ASCII in two octets"},
        {"\xe0\x9f\xbf", 0, 0, "two octets' worth in three"},
        {"\xf0\x8f\xbf\xbf", 0, 0, "three octets' worth in four"},
        {"\xed\xa0\x80", 0, 0, "a surrogate"},
        {"\xed\x9f\xbf", 3, 0xd7ff, "the one before surrogates"},
        {"\xee\x80\x80", 3, 0xe000, "the one behind them"},
        {"\x80", 0, 0, "a stray octet"},
        {"\xe9"
         "a",
         0, 0, "Latin-1"},
        {"\xc3", 0, 0, "cut short"},
        {"\xe2\x82", 0, 0, "cut shorter"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t character = 0;
        const size_t length =
            utf8_read(rows[i].text, strlen(rows[i].text), &character);

        if (length != rows[i].length
            || (length > 0 && character != rows[i].character))
            fail_msg("%s", rows[i].promise);
        if (utf8_is_valid(rows[i].text, strlen(rows[i].text))
            != (rows[i].length > 0))
            fail_msg("valid: %s", rows[i].promise);
    }
    /* What lies beyond the text does not complete a character. */
    assert_false(utf8_is_valid("\xc3\xa9", 1));
    assert_true(utf8_is_valid("", 0));
    assert_true(utf8_is_valid("a\0b", 3));
    assert_false(utf8_is_valid("ok\xff", 3));
}

/* Is the text UTF-8, when it comes cut in two at this place? */
static bool
continues(const char *text, size_t octets, size_t cut)
{
    struct utf8_torn torn = {{0}, 0};

    return utf8_continues(&torn, text, cut)
           && utf8_continues(&torn, text + cut, octets - cut)
           && torn.used == 0;
}

static void
test_text_in_pieces_is_what_it_is_in_one(void **state)
{
    static const char *const texts[] = {
        "",
        "plain",
        "Gr\xc3\xbc\xc3\x9f"
        "e, \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80.",
        "\xc3",
        "a\xe6\x97",
        "\xf0\x9f\x98",
        "\xff"
        "abc",
        "ab\xc3"
        "A",
        "\xed\xa0\x80",
        "\xc0\xaf",
        "\x80\x80\x80\x80",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const size_t octets = strlen(texts[i]);

        for (size_t cut = 0; cut <= octets; cut++)
            assert_int_equal(continues(texts[i], octets, cut),
                             utf8_is_valid(texts[i], octets));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_utf8),
        cmocka_unit_test(test_text_in_pieces_is_what_it_is_in_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
