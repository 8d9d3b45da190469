#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buffer.h"
#include "lib/listing.h"

static const struct {
    listing_check_func *check;
    const char *text;
    const char *error; /* NULL: good */
    const char *promise;
} checks[] = {
    {NULL, "Hello\n\n.dots\t\xc3\xa9\n", NULL, "a message is any text"},
    {NULL, "one\r\ntwo\r\n", NULL, "CRLF is a line end"},
    {NULL, "one\r\r\n", "F:1: found the octet 0x0d, expected text",
     "a CR elsewhere is none"},
    {NULL, "good\n\x1b[2J\n", "F:2: found the octet 0x1b, expected text",
     "no control octets reach a terminal"},
    {NULL, "caf\xe9\n", "F:1: found a line that is not UTF-8, expected UTF-8",
     "not UTF-8"},
    {listing_check_moderator, "# c\n;c\n\n local.*:mod@example.com\n", NULL,
     "comments and empty lines say nothing"},
    {listing_check_moderator, "local.*:%s@example.com", NULL,
     "the last line needs no line end"},
    {listing_check_moderator, "local.*\n",
     "F:1: found \"local.*\", expected PATTERN:ADDRESS", "no address"},
    {listing_check_moderator, "a:b\nlocal.*: x\n",
     "F:2: found \"local.*: x\", expected PATTERN:ADDRESS",
     "no space in an address"},
    {listing_check_moderator, "local.*:-oQ/tmp\n",
     "F:1: found \"local.*:-oQ/tmp\", expected PATTERN:ADDRESS",
     "no option of the mail program's"},
    {listing_check_moderator, "local.[a:b@c\n",
     "F:1: found \"local.[a:b@c\", expected PATTERN:ADDRESS", "no pattern"},
    {listing_check_distrib_pat, "10:local.*:local\n90:*.test:\n", NULL,
     "an empty distribution says: none"},
    {listing_check_distrib_pat, "x:local.*:local\n",
     "F:1: found \"x:local.*:local\", expected WEIGHT:PATTERN:DISTRIBUTION",
     "a weight is a number"},
    {listing_check_distrib_pat, "1:local.*\n",
     "F:1: found \"1:local.*\", expected WEIGHT:PATTERN:DISTRIBUTION",
     "two parts are not three"},
    {listing_check_distrib_pat, "1:*:a b\n",
     "F:1: found \"1:*:a b\", expected WEIGHT:PATTERN:DISTRIBUTION",
     "a distribution is one word"},
    {listing_check_distribution, "local\tOnly here\n", NULL, "a name, a text"},
    {listing_check_distribution, "local\n",
     "F:1: found \"local\", expected a distribution and what it means",
     "no text"},
    {listing_check_subscription, "local.test\n", NULL, "a newsgroup"},
    {listing_check_subscription, "local test\n",
     "F:1: found \"local test\", expected a newsgroup", "two words"},
};

static void
test_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        struct buffer text = BUFFER_EMPTY;
        struct buffer why = BUFFER_EMPTY;
        int result;

        buffer_append_text(&text, checks[i].text);
        result = listing_check("F", &text, checks[i].check, &why);
        if (result != (checks[i].error == NULL ? 0 : -1))
            fail_msg("%s: %s", checks[i].promise, buffer_text(&why));
        if (checks[i].error != NULL)
            assert_string_equal(buffer_text(&why), checks[i].error);
        assert_null(
            memchr(buffer_text(&text), '\r', result == 0 ? text.used : 0));
        buffer_free(&text);
        buffer_free(&why);
    }
}

static void
test_nul_is_no_text(void **state)
{
    struct buffer text = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;

    (void)state;
    buffer_append(&text, "a\0b\n", 4);
    assert_int_equal(listing_check("F", &text, NULL, &why), -1);
    assert_string_equal(buffer_text(&why), "F: found NUL, expected text");
    buffer_free(&text);
    buffer_free(&why);
}

static const struct {
    const char *group;
    const char *address; /* NULL: nobody */
    const char *promise;
} moderators[] = {
    {"local.jokes", "jokes@example.com", "the first line that matches"},
    {"local.a-b.c", "local-a-b-c@mod.example", "%s: dots become dashes"},
    {"comp.lang.c", NULL, "nobody moderates it"},
    {"odd", "%odd%@x", "%s in the middle, and a % that is one"},
};

static void
test_moderator(void **state)
{
    static const char text[] = "# who\nlocal.jokes:jokes@example.com\n"
                               "local.*:%s@mod.example\nodd:%%s%@x\n"
                               "local.jokes:second@example.com\n";

    (void)state;
    for (size_t i = 0; i < sizeof(moderators) / sizeof(moderators[0]); i++) {
        struct buffer address = BUFFER_EMPTY;
        bool found = listing_moderator(text, moderators[i].group,
                                       strlen(moderators[i].group), &address);

        if (found != (moderators[i].address != NULL))
            fail_msg("%s", moderators[i].promise);
        if (found)
            assert_string_equal(buffer_text(&address), moderators[i].address);
        buffer_free(&address);
    }
}

static const struct {
    const char *group;
    const char *value; /* NULL: no line matches */
    int64_t weight;
    const char *promise;
} distributions[] = {
    {"local.test", "here", 20, "the greatest weight"},
    {"local.wide", "", 30, "an empty value is an answer"},
    {"de.test", "de2", 5, "the later one of equals"},
    {"fr.test", NULL, 0, "no line"},
};

static void
test_distribution(void **state)
{
    static const char text[] = "20:local.*:here\n10:local.t*:there\n"
                               "30:local.wide:\n5:de.*:de1\n5:de.test:de2\n";

    (void)state;
    for (size_t i = 0; i < sizeof(distributions) / sizeof(*distributions);
         i++) {
        const char *group = distributions[i].group;
        const char *value;
        size_t octets;
        int64_t weight;
        bool found = listing_distribution(text, group, strlen(group), &weight,
                                          &value, &octets);

        if (found != (distributions[i].value != NULL))
            fail_msg("%s", distributions[i].promise);
        assert_int_equal(weight, distributions[i].weight);
        if (found) {
            assert_int_equal(octets, strlen(distributions[i].value));
            assert_memory_equal(value, distributions[i].value, octets);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_nul_is_no_text),
        cmocka_unit_test(test_moderator),
        cmocka_unit_test(test_distribution),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
