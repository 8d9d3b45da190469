#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/message_id.h"
#include "nnrpd/overview_line.h"

static const char line[] = "17\tRe: news\tann <ann@x.invalid>\t"
                           "Mon, 23 Nov 2026 21:04:05 +0000\t<a@b>\t\t512\t3\t"
                           "Xref: news.x.invalid local.test:17\r\n";

static const struct {
    const char *name;
    int index;
    const char *value; /* NULL: not in the overview */
    const char *promise;
} fields[] = {
    {"Subject", 1, "Re: news", "a field"},
    {"subject", 1, "Re: news", "case does not matter"},
    {"From", 2, "ann <ann@x.invalid>", "spaces stay"},
    {"Message-ID", 4, "<a@b>", "the ID"},
    {"References", 5, "", "an empty field is there"},
    {":bytes", 6, "512", "metadata"},
    {":lines", 7, "3", "more of it"},
    {"Xref", 8, "news.x.invalid local.test:17",
     "the last one, without its name and CRLF"},
    {"Newsgroups", -1, NULL, "not every field is in the overview"},
    {"Lines", -1, NULL, "Lines is the poster's, :lines ours"},
};

static void
test_a_field_is_found_in_a_line(void **state)
{
    const char *value;
    size_t i, octets;
    int index;

    (void)state;
    for (i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        index = overview_line_index(fields[i].name);
        if (index != fields[i].index)
            fail_msg("%s", fields[i].promise);
        if (index < 0)
            continue;
        if (!overview_line_field(line, sizeof line - 1, index, &value, &octets)
            || octets != strlen(fields[i].value)
            || memcmp(value, fields[i].value, octets) != 0)
            fail_msg("%s: %.*s", fields[i].promise, (int)octets, value);
    }
}

static void
test_a_subject_that_looks_like_xref_is_left_alone(void **state)
{
    static const char odd[] = "1\tXref: me\tx\t\t<a@b>\t\t1\t1\r\n";
    const char *value;
    size_t octets;

    (void)state;
    assert_true(overview_line_field(odd, sizeof odd - 1, 1, &value, &octets));
    assert_int_equal(octets, strlen("Xref: me"));
}

static void
test_a_short_line_has_no_later_fields(void **state)
{
    static const char cut[] = "1\tSubject\tx\r\n";
    char id[MESSAGE_ID_OCTETS_MAX + 1];
    const char *value;
    size_t octets;

    (void)state;
    assert_false(overview_line_field(cut, sizeof cut - 1, 8, &value, &octets));
    overview_line_message_id(cut, sizeof cut - 1, id);
    assert_string_equal(id, "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_field_is_found_in_a_line),
        cmocka_unit_test(test_a_subject_that_looks_like_xref_is_left_alone),
        cmocka_unit_test(test_a_short_line_has_no_later_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
