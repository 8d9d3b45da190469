#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/child.h"

static const struct {
    const char *words[5];
    bool good;
    const char *role;
    unsigned slot;
    unsigned worker;
    const char *promise;
} cases[] = {
    {{"nnrpd", "--slot=3", "--worker=2"},
     true,
     NULL,
     3,
     2,
     "a program of one role"},
    {{"innd", "--role=writer", "--slot=0", "--worker=0"},
     true,
     "writer",
     0,
     0,
     "a role"},
    {{"nnrpd", "--worker=2", "--slot=3"}, true, NULL, 3, 2, "any order"},
    {{"feeder", "--slot=3", "--worker=2", "--peer=b.example", "--since=7"},
     true,
     NULL,
     3,
     2,
     "a peer's"},
    {{"nnrpd"}, false, NULL, 0, 0, "run by hand"},
    {{"nnrpd", "--slot=3"}, false, NULL, 0, 0, "no worker"},
    {{"nnrpd", "--worker=3"}, false, NULL, 0, 0, "no slot"},
    {{"nnrpd", "--slot=256", "--worker=2"},
     false,
     NULL,
     0,
     0,
     "a slot that is not there"},
    {{"nnrpd", "--slot=x", "--worker=2"}, false, NULL, 0, 0, "no number"},
    {{"nnrpd", "--slot=", "--worker=2"}, false, NULL, 0, 0, "nothing"},
    {{"nnrpd", "--slot=-1", "--worker=2"}, false, NULL, 0, 0, "negative"},
    {{"nnrpd", "--slot=1", "--worker=2", "x"},
     false,
     NULL,
     0,
     0,
     "a word too many"},
};

static void
test_only_what_the_master_passes_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct child_arguments arguments;
        char **argv = (char **)(uintptr_t)cases[i].words;
        int argc = 0;
        bool good;

        while (argc < 5 && argv[argc] != NULL)
            argc++;
        good = child_arguments_parse(&arguments, argc, argv) == 0;
        if (good != cases[i].good)
            fail_msg("%s", cases[i].promise);
        if (!good)
            continue;
        assert_int_equal(arguments.slot, cases[i].slot);
        assert_int_equal(arguments.worker, cases[i].worker);
        if (cases[i].role == NULL)
            assert_null(arguments.role);
        else
            assert_string_equal(arguments.role, cases[i].role);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_the_master_passes_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
