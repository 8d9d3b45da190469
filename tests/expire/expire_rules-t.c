#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "expire/expire_rules.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "storage/active.h"

enum { DAY = 86400, ARRIVAL = 1000 * DAY };

static const char sections[] =
    "expire \"*,!none.*\" {\n keep = 10\n minimum = 1\n maximum = 30\n}\n"
    "expire \"b.*\" {\n keep = 0.5\n}\n"
    "expire \"b.kept,!b.kept.not\" {\n keep = never\n minimum = never\n}\n";

/* In days from arrival; NEVER, and NOW for what goes at once. */
enum { NEVER = -1, NONE = -1000, NOW = -2 };

static const struct {
    const char *group;
    double expires;
    double end;
    const char *promise;
} cases[] = {
    {"a.x", NONE, 10, "keep, where there is no Expires"},
    {"a.x", 5, 5, "Expires between the bounds"},
    {"a.x", 1, 1, "Expires at the lower bound"},
    {"a.x", 0.5, 1, "not before the lower bound"},
    {"a.x", -100, 1, "an Expires before the arrival"},
    {"a.x", 30, 30, "Expires at the upper bound"},
    {"a.x", 31, 30, "not behind the upper bound"},
    {"none.x", NONE, NEVER, "no section: for ever"},
    {"none.x", 5, NEVER, "no section: whatever Expires says"},
    {"b.x", NONE, 0.5, "the last section that matches decides"},
    {"b.x", 5000, 5000, "and has bounds of its own: no upper one"},
    {"b.x", -5, 0, "its lower bound is 0"},
    {"b.kept", NONE, NEVER, "never"},
    {"b.kept", 5, NEVER, "never, whatever Expires says"},
    {"gone.x", NONE, NOW, "a group that was removed has let go"},
};

static struct active *
groups_make(void)
{
    struct active *active = active_new(64);
    uint32_t id = 0;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *name = cases[i].group;
        char flag = strcmp(name, "gone.x") == 0 ? 0 : 'y';

        if (active_find_any(active, name, strlen(name)) == 0)
            assert_int_equal(active_set(active, ++id, name, strlen(name), flag,
                                        0, 1, "", "", NULL),
                             0);
    }
    return active;
}

static void
test_the_table_decides(void **state)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_parse("t.conf", sections, &why);
    struct active *active = groups_make();
    struct rules *rules;

    (void)state;
    if (config == NULL)
        fail_msg("%s", buffer_text(&why));
    rules = rules_new(config, active);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint32_t id =
            active_find_any(active, cases[i].group, strlen(cases[i].group));
        int64_t expires = cases[i].expires == NONE
                              ? 0
                              : ARRIVAL + (int64_t)(cases[i].expires * DAY);
        int64_t expected = cases[i].end == NEVER ? INT64_MAX
                           : cases[i].end == NOW
                               ? 0
                               : ARRIVAL + (int64_t)(cases[i].end * DAY);

        if (rules_end(rules, id, ARRIVAL, expires) != expected)
            fail_msg("%s: %s", cases[i].group, cases[i].promise);
    }
    assert_int_equal(rules_shortest(rules), 0);
    rules_free(&rules);
    config_free(&config);
    active_close(&active);
}

static void
test_without_sections_nothing_ever_goes(void **state)
{
    struct config *config = config_parse("t.conf", "", NULL);
    struct active *active = groups_make();
    struct rules *rules = rules_new(config, active);

    (void)state;
    assert_int_equal(rules_end(rules, 1, ARRIVAL, ARRIVAL), INT64_MAX);
    assert_true(rules_shortest(rules) == CONFIG_NEVER);
    rules_free(&rules);
    config_free(&config);
    active_close(&active);
}

static void
test_the_end_of_time_is_never(void **state)
{
    struct config_expire rule = {.keep_seconds = 36500LL * DAY,
                                 .maximum_seconds = CONFIG_NEVER};

    (void)state;
    assert_int_equal(rule_end(&rule, INT64_MAX - 5, 0), INT64_MAX);
    assert_int_equal(rule_end(&rule, 0, INT64_MAX - 5), INT64_MAX - 5);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_decides),
        cmocka_unit_test(test_without_sections_nothing_ever_goes),
        cmocka_unit_test(test_the_end_of_time_is_never),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
