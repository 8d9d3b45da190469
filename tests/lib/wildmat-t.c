#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buffer.h"
#include "lib/wildmat.h"

static const struct {
    const char *pattern;
    const char *text;
    bool matches;
    const char *promise;
} patterns[] = {
    {"", "", true, "nothing matches nothing"},
    {"", "a", false, "and only that"},
    {"a", "a", true, "an octet"},
    {"a", "A", false, "case matters"},
    {"a", "ab", false, "the whole text must match"},
    {"ab", "a", false, "and the whole pattern"},
    {"*", "", true, "a star takes nothing"},
    {"*", "abc", true, "or all"},
    {"**", "a", true, "two stars are one"},
    {"a*c", "abbbc", true, "a star within"},
    {"a*c", "abbbd", false, "and what must follow it"},
    {"*b*d", "abcbd", true, "two stars"},
    {"*aab", "aaaaab", true, "a star gives back what it took"},
    {"*.test", "local.test", true, "a star in front"},
    {"local.*", "local.", true, "a star at the end"},
    {"local.*", "local", false, "what is before it"},
    {"?", "a", true, "one character"},
    {"?", "", false, "not none"},
    {"?", "ab", false, "not two"},
    {"a?c", "abc", true, "within"},
    {"?", "\xc3\xa9", true, "a character of two octets"},
    {"??", "\xc3\xa9", false, "is one"},
    {"*??", "\xe2\x82\xac", false, "behind a star, too"},
    {"*[^\xc3\xa9]b",
     "\xc3\xa9"
     "b",
     false, "a star takes whole characters"},
    {"?", "\xe9", true, "a stray octet is a character"},
    {"\xc3\xa9*", "\xc3\xa9t\xc3\xa9", true, "UTF-8 in a pattern"},
    {"[abc]", "b", true, "one of a set"},
    {"[abc]", "d", false, "not another"},
    {"[a-c]", "b", true, "a range"},
    {"[a-c]", "d", false, "its end"},
    {"[^a-c]", "d", true, "all but a set"},
    {"[^a-c]", "b", false, "not these"},
    {"[]]", "]", true, "a bracket first is a member"},
    {"[^]]", "]", false, "behind ^ too"},
    {"[a-]", "-", true, "a minus at the end is a member"},
    {"[-a]", "-", true, "and one in front"},
    {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true, "a range of UTF-8"},
    {"[z-a]", "m", false, "a range backwards has no members"},
    {"[]", "[]", true, "an open bracket without its end is ordinary"},
    {"[abc", "[abc", true, "this one too"},
    {"a[", "a[", true, "at the very end"},
    {"[^", "[^", true, "with its ^"},
    {"*[0-9]", "abc7", true, "a set behind a star"},
    {"\\*", "*", true, "a backslash makes a star ordinary"},
    {"\\*", "a", false, "and nothing else"},
    {"\\[a]", "[a]", true, "or a bracket"},
    {"\\\\", "\\", true, "or itself"},
    {"a\\", "a\\", true, "at the end it is ordinary"},
    {"]*[", "]a[", true, "a bracket is not ended by one before it"},
    {"!a", "!a", true, "! is ordinary in one pattern"},
    {"@a,b", "@a,b", true, "so are @ and ,"},
};

static void
test_one_pattern(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        if (wildmat_match_pattern(patterns[i].pattern,
                                  strlen(patterns[i].pattern),
                                  patterns[i].text, strlen(patterns[i].text))
            != patterns[i].matches)
            fail_msg("%s: \"%s\" and \"%s\"", patterns[i].promise,
                     patterns[i].pattern, patterns[i].text);
    assert_true(wildmat_match_pattern("a\0?", 3, "a\0b", 3));
    assert_false(wildmat_match_pattern("a", 1, "a\0", 2));
}

static const struct {
    const char *wildmat;
    const char *text;
    enum wildmat_answer answer; /* with poison */
    bool without_poison;
    const char *promise;
} lists[] = {
    {"*", "alt.test", WILDMAT_YES, true, "a star is all"},
    {"*,!alt.*", "alt.test", WILDMAT_NO, false,
     "the last matching pattern decides"},
    {"!alt.*,*", "alt.test", WILDMAT_YES, true, "and not the first"},
    {"*,!alt.*,alt.test", "alt.test", WILDMAT_YES, true,
     "an exception from an exception"},
    {"comp.*,alt.*", "misc.x", WILDMAT_NO, false, "none matches"},
    {"!alt.*", "misc.x", WILDMAT_NO, false, "nothing says yes"},
    {"*,@alt.bin*", "alt.binaries", WILDMAT_POISON, true, "poison"},
    {"*,@alt.bin*", "alt.test", WILDMAT_YES, true, "for its groups"},
    {"@alt.*,alt.test", "alt.test", WILDMAT_YES, true,
     "a later pattern outvotes it for the same name"},
    {"*,@alt.*,!alt.test", "alt.test", WILDMAT_NO, false, "either way"},
    {"[a,b]x", "bx", WILDMAT_YES, true, "a comma in a set separates nothing"},
    {"a\\,b", "a,b", WILDMAT_YES, true, "nor one behind a backslash"},
    {"a[,b", "b", WILDMAT_YES, true, "but one behind an open bracket does"},
    {"a][,b", "b", WILDMAT_YES, true, "whatever stands before it"},
    {"b,a\\", "a\\", WILDMAT_YES, true, "a backslash may end a wildmat"},
    {"", "", WILDMAT_YES, true, "an empty wildmat matches nothing else"},
    {"", "a", WILDMAT_NO, false, "than an empty text"},
};

static void
test_a_list_of_patterns(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const char *wildmat = lists[i].wildmat;
        const char *text = lists[i].text;

        if (wildmat_match_poison(wildmat, strlen(wildmat), text, strlen(text))
            != lists[i].answer)
            fail_msg("with poison: %s", lists[i].promise);
        if (wildmat_match(wildmat, strlen(wildmat), text, strlen(text))
            != lists[i].without_poison)
            fail_msg("%s: %s", lists[i].promise, wildmat);
    }
}

static void
test_a_wildmat_is_checked(void **state)
{
    static const struct {
        const char *wildmat;
        const char *why; /* NULL: it is good */
    } rows[] = {
        {"*", NULL},
        {"comp.*,!comp.os.*,@alt.*", NULL},
        {"[a,b]", NULL},
        {"\\[", NULL},
        {"a\\", NULL},
        {"[]]", NULL},
        {"", "empty pattern"},
        {"a,", "empty pattern"},
        {",a", "empty pattern"},
        {"a,,b", "empty pattern"},
        {"a,!", "empty pattern"},
        {"\xe9", "not UTF-8"},
        {"[a", "without its"},
        {"a[,b", "without its"},
        {"[]", "without its"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer why = BUFFER_EMPTY;
        const int result =
            wildmat_check(rows[i].wildmat, strlen(rows[i].wildmat), &why);

        if (result != (rows[i].why == NULL ? 0 : -1)
            || (rows[i].why != NULL
                && strstr(buffer_text(&why), rows[i].why) == NULL))
            fail_msg("\"%s\": %s", rows[i].wildmat, buffer_text(&why));
        buffer_free(&why);
    }
}

static void
test_the_limits_of_a_wildmat(void **state)
{
    static char wildmat[8200];

    (void)state;
    memset(wildmat, 'a', sizeof(wildmat));
    assert_int_equal(wildmat_check(wildmat, 8192, NULL), 0);
    assert_int_equal(wildmat_check(wildmat, 8193, NULL), -1);
    for (int i = 1; i < 1100; i += 2)
        wildmat[i] = ',';
    assert_int_equal(wildmat_check(wildmat, 512 * 2 - 1, NULL), 0);
    assert_int_equal(wildmat_check(wildmat, 513 * 2 - 1, NULL), -1);
}

/* With backtracking this would not end in this world's time. */
static void
test_stars_do_not_blow_up(void **state)
{
    static char pattern[4000];
    static char text[4000];

    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[sizeof(pattern) - 1] = 'b';
    memset(text, 'a', sizeof(text));
    assert_false(
        wildmat_match_pattern(pattern, sizeof(pattern), text, sizeof(text)));
    memset(pattern, '[', sizeof(pattern));
    assert_false(
        wildmat_match_pattern(pattern, sizeof(pattern), text, sizeof(text)));
    assert_false(wildmat_match(pattern, sizeof(pattern), text, sizeof(text)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_pattern),
        cmocka_unit_test(test_a_list_of_patterns),
        cmocka_unit_test(test_a_wildmat_is_checked),
        cmocka_unit_test(test_the_limits_of_a_wildmat),
        cmocka_unit_test(test_stars_do_not_blow_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
