#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/admin.h"
#include "lib/buffer.h"

static void
test_the_words_of_inn_are_there(void **state)
{
    static const char *const names[] = {
        "newgroup", "rmgroup", "changegroup", "mode",    "status",
        "reload",   "pause",   "throttle",    "go",      "cancel",
        "shutdown", "help",    "begin",       "drop",    "feedinfo",
        "useradd",  "userdel", "userlist",    "usermod", "userpasswd"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_non_null(admin_find(names[i]));
    assert_true(admin_word_count >= sizeof(names) / sizeof(names[0]));
    assert_null(admin_find("xabort"));
    assert_null(admin_find(""));
}

static void
test_free_text_is_joined_and_nothing_else(void **state)
{
    const char *reason[] = {"pause", "we", "move", "the disk"};
    const char *group[] = {"newgroup", "a.b", "y", "me", "all", "of it"};
    const char *plain[] = {"rmgroup", "a.b", "c.d"};
    struct buffer joined = BUFFER_EMPTY;

    (void)state;
    assert_int_equal(admin_join(admin_find("pause"), 4, reason, &joined), 2);
    assert_string_equal(reason[1], "we move the disk");
    buffer_free(&joined);
    assert_int_equal(admin_join(admin_find("newgroup"), 6, group, &joined), 5);
    assert_string_equal(group[3], "me");
    assert_string_equal(group[4], "all of it");
    assert_int_equal(admin_join(admin_find("rmgroup"), 3, plain, &joined), 3);
    assert_string_equal(plain[1], "a.b");
    buffer_free(&joined);
}

static void
test_the_number_of_arguments_is_bounded_on_both_sides(void **state)
{
    const struct admin_word *newgroup = admin_find("newgroup");

    (void)state;
    assert_false(admin_takes(newgroup, 1));
    assert_true(admin_takes(newgroup, 2));
    assert_true(admin_takes(newgroup, 5));
    assert_false(admin_takes(newgroup, 6));
    assert_true(admin_takes(admin_find("mode"), 1));
    assert_false(admin_takes(admin_find("mode"), 2));
}

static void
test_a_password_is_one_word_more_than_was_typed(void **state)
{
    const struct admin_word *useradd = admin_find("useradd");

    (void)state;
    assert_int_equal(useradd->place, ADMIN_AUTH_PASSWORD);
    assert_true(admin_takes(useradd, 2));
    assert_false(admin_takes(useradd, 4));
    assert_false(admin_takes_sent(useradd, 2));
    assert_true(admin_takes_sent(useradd, 3));
    assert_true(admin_takes_sent(useradd, 4));
    assert_false(admin_takes_sent(useradd, 5));
    assert_true(admin_takes_sent(admin_find("userdel"), 2));
    assert_false(admin_takes_sent(admin_find("userdel"), 3));
}

static void
test_usage_and_help_name_the_arguments(void **state)
{
    struct buffer text = BUFFER_EMPTY;

    (void)state;
    admin_usage(admin_find("changegroup"), &text);
    assert_string_equal(buffer_text(&text),
                        "usage: ctlinnd changegroup group flag");
    buffer_clear(&text);
    admin_usage(admin_find("mode"), &text);
    assert_string_equal(buffer_text(&text), "usage: ctlinnd mode");
    buffer_clear(&text);
    admin_help(&text);
    for (size_t i = 0; i < admin_word_count; i++)
        assert_non_null(strstr(buffer_text(&text), admin_words[i].name));
    buffer_free(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_words_of_inn_are_there),
        cmocka_unit_test(test_free_text_is_joined_and_nothing_else),
        cmocka_unit_test(
            test_the_number_of_arguments_is_bounded_on_both_sides),
        cmocka_unit_test(test_a_password_is_one_word_more_than_was_typed),
        cmocka_unit_test(test_usage_and_help_name_the_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
