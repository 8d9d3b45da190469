#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mailbox.h"

static void
test_who_can_be_the_author(void **state)
{
    static const struct {
        const char *text;
        bool valid;
        const char *promise;
    } rows[] = {
        {"joe@example.com", true, "an address"},
        {"joe@example.com (Joe)", true, "a name in a comment"},
        {"Joe <joe@example.com>", true, "a name in front"},
        {"<joe@example.com>", true, "only brackets"},
        {"\"Joe, the \\\" one\" <joe@example.com>", true, "a quoted name"},
        {"Joe X. Smith <joe@example.com>", true, "dots in a name"},
        {"Jos\xc3\xa9 <joe@example.com>", true, "UTF-8 in a name"},
        {"Jos\xe9 <joe@example.com>", true, "Latin-1 in a name"},
        {"=?utf-8?q?J=C3=B6?= <joe@example.com>", true, "an encoded name"},
        {"a@b, C <c@d>", true, "two authors"},
        {"joe@localhost", true, "one label"},
        {"joe@[192.0.2.1]", true, "a literal"},
        {"\"joe x\"@example.com", true, "a quoted left side"},
        {"joe.x+y@example.com", true, "dots and signs"},
        {"Joe\r\n <joe@example.com>", true, "folded"},
        {"Joe (the (nested) \\) one) <joe@example.com>", true, "comments"},
        {"joe", false, "no address"},
        {"", false, "nothing"},
        {"  ", false, "white space"},
        {"Joe <joe>", false, "no right side"},
        {"joe@", false, "an empty right side"},
        {"@example.com", false, "an empty left side"},
        {"joe@example..com", false, "two dots"},
        {"joe@.example.com", false, "a dot first"},
        {"joe.@example.com", false, "a dot last"},
        {"Joe <joe@example.com", false, "an open bracket"},
        {"Joe joe@example.com>", false, "a closed one only"},
        {"Joe <joe@example.com> x", false, "something behind"},
        {"joe@example.com joe", false, "the same without brackets"},
        {"joe@example.com (Joe", false, "an open comment"},
        {"\"Joe <joe@example.com>", false, "an open quote"},
        {"joe@[192.0.2.1", false, "an open literal"},
        {"a@b,", false, "a comma at the end"},
        {",a@b", false, "one in front"},
        {"joe smith@example.com", false, "a space in the left side"},
        {"joe@exa mple.com", false, "a space in the right side"},
        {"jos\xe9@example.com", false, "8 bits in an address"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (mailbox_list_is_valid(rows[i].text, strlen(rows[i].text))
            != rows[i].valid)
            fail_msg("%s: %s", rows[i].promise, rows[i].text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_can_be_the_author),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
