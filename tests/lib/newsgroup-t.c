#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buffer.h"
#include "lib/newsgroup.h"

static void
test_which_names_can_be_and_be_created(void **state)
{
    static const struct {
        const char *name;
        bool valid;
        bool creatable;
        const char *promise;
    } rows[] = {
        {"local.test", true, true, "an ordinary name"},
        {"comp.lang.c++", true, true, "plus"},
        {"alt.2600", true, false, "a component of digits is not created"},
        {"alt.2600a", true, true, "digits and a letter are"},
        {"PowerBook", true, true, "upper case"},
        {"a_b.c-d", true, true, "underline and minus"},
        {"test", true, true, "one component"},
        {"poster", true, false, "reserved: poster"},
        {"junk", true, false, "reserved: junk"},
        {"example", true, false, "reserved: example"},
        {"example.test", true, false, "reserved: example.*"},
        {"comp.example", true, true, "example elsewhere"},
        {"to.peer", true, false, "reserved: to.*"},
        {"control.cancel", true, false, "reserved: control.*"},
        {"comp.all", true, false, "reserved: all anywhere"},
        {"comp.ctl.x", true, false, "reserved: ctl anywhere"},
        {"comp.allow", true, true, "all only as a component"},
        {"a/b", true, false, "an odd sign"},
        {"gr\xc3\xbc\xc3\x9f", true, false, "UTF-8 exists, is not made"},
        {"gr\xfc\xdf", false, false, "no UTF-8"},
        {"", false, false, "nothing"},
        {".a", false, false, "an empty component in front"},
        {"a.", false, false, "an empty component at the end"},
        {"a..b", false, false, "an empty component within"},
        {"a b", false, false, "a space"},
        {"a,b", false, false, "a comma"},
        {"a\x01", false, false, "a control octet"},
        {"a\x7f", false, false, "DEL"},
        {"a*", false, false, "a star"},
        {"a?", false, false, "a question mark"},
        {"!a", false, false, "an exclamation mark"},
        {"a[b]", false, false, "brackets"},
        {"a\\b", false, false, "a backslash"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const size_t octets = strlen(rows[i].name);

        if (newsgroup_is_valid(rows[i].name, octets) != rows[i].valid)
            fail_msg("valid: %s: %s", rows[i].name, rows[i].promise);
        if (newsgroup_is_creatable(rows[i].name, octets) != rows[i].creatable)
            fail_msg("creatable: %s: %s", rows[i].name, rows[i].promise);
    }
    assert_false(newsgroup_is_valid("a\0b", 3));
}

static void
test_460_octets_are_the_most(void **state)
{
    char name[461];

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_true(newsgroup_is_valid(name, 460));
    assert_false(newsgroup_is_valid(name, 461));
}

static void
test_a_field_is_walked_name_by_name(void **state)
{
    static const struct {
        const char *field;
        const char *names; /* with "|" behind each */
        const char *promise;
    } rows[] = {
        {"a.b", "a.b|", "one"},
        {"a,b,c", "a|b|c|", "three"},
        {" a , b ", "a|b|", "spaces round them"},
        {"a,\r\n\tb", "a|b|", "folded"},
        {"a,b,", "a|b|", "a trailing comma"},
        {",,a,,b,,", "a|b|", "empty places"},
        {"", "", "nothing"},
        {" , ,\t", "", "nothing but separators"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer names = BUFFER_EMPTY;
        const char *name;
        size_t octets;
        size_t at = 0;

        while (newsgroups_next(rows[i].field, strlen(rows[i].field), &at,
                               &name, &octets)) {
            buffer_append(&names, name, octets);
            buffer_append_char(&names, '|');
        }
        if (strcmp(buffer_text(&names), rows[i].names) != 0)
            fail_msg("%s: %s", rows[i].promise, buffer_text(&names));
        buffer_free(&names);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_names_can_be_and_be_created),
        cmocka_unit_test(test_460_octets_are_the_most),
        cmocka_unit_test(test_a_field_is_walked_name_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
