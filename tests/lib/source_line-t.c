/* The lines of a helper program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buffer.h"
#include "lib/source_line.h"

static void
test_a_question_has_no_octet_that_could_end_it(void **state)
{
    static const char password[] = "a b%c\n\0\xff!";
    const struct ipc_login_request request = {
        .address = "192.0.2.1",
        .name = "j\xc3\xb6rg",
        .name_octets = 5,
        .secret = password,
        .secret_octets = sizeof(password) - 1,
    };
    struct buffer line = BUFFER_EMPTY;

    (void)state;
    source_login_build(&line, 12, &request);
    assert_string_equal(buffer_text(&line),
                        "login 12 192.0.2.1 j%C3%B6rg a%20b%25c%0A%00%FF!\n");
    buffer_free(&line);
}

static void
test_answers(void **state)
{
    static const struct {
        const char *line;
        int result;
        struct source_answer answer;
        const char *promise;
    } rows[] = {
        {"7 yes reader", 0, {7, SOURCE_YES, ACCOUNT_READER, "*"}, "a role"},
        {"7 yes moderator mod.*,!mod.x",
         0,
         {7, SOURCE_YES, ACCOUNT_MODERATOR, "mod.*,!mod.x"},
         "and what it moderates"},
        {"0 no", 0, {0, SOURCE_NO, 0, ""}, "another password"},
        {"1 unknown", 0, {1, SOURCE_UNKNOWN, 0, ""}, "no account"},
        {"1 failed", 0, {1, SOURCE_FAILED, 0, ""}, "it cannot tell"},
        {"1 failed to ask it", 0, {1, SOURCE_FAILED, 0, ""}, "and says why"},
        {"7 yes", -1, {.id = 0}, "no role"},
        {"7 yes king", -1, {.id = 0}, "a role that is none"},
        {"7 yes reader a b", -1, {.id = 0}, "a wildmat that is none"},
        {"7 no reason", -1, {.id = 0}, "something behind it"},
        {"7 maybe", -1, {.id = 0}, "another word"},
        {"7", -1, {.id = 0}, "a number alone"},
        {"-7 no", -1, {.id = 0}, "no number"},
        {"7x no", -1, {.id = 0}, "no number"},
        {"1234567890123456789 no", -1, {.id = 0}, "a number too long"},
        {" no", -1, {.id = 0}, "an empty word"},
        {"", -1, {.id = 0}, "nothing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct source_answer *wanted = &rows[i].answer;
        struct source_answer answer;
        int result =
            source_answer_parse(rows[i].line, strlen(rows[i].line), &answer);

        if (result != rows[i].result
            || (result == 0
                && (answer.id != wanted->id
                    || answer.verdict != wanted->verdict
                    || answer.role != wanted->role
                    || strcmp(answer.moderates, wanted->moderates) != 0)))
            fail_msg("%s: %s", rows[i].promise, rows[i].line);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_question_has_no_octet_that_could_end_it),
        cmocka_unit_test(test_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
