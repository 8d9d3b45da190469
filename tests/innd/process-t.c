#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "innd/process.h"

static void
test_what_never_served_waits_longer_each_time(void **state)
{
    static const int64_t pauses[] = {0,    0,     1000,  2000, 4000,
                                     8000, 16000, 30000, 30000};

    (void)state;
    for (unsigned i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++)
        assert_int_equal(process_pause_ms(i, false), pauses[i]);
    assert_int_equal(process_pause_ms(1000000, false), 30000);
}

static void
test_what_had_served_is_back_within_half_a_second(void **state)
{
    static const int64_t pauses[] = {0, 0, 125, 250, 500, 500, 500};

    (void)state;
    for (unsigned i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++)
        assert_int_equal(process_pause_ms(i, true), pauses[i]);
    assert_int_equal(process_pause_ms(1000000, true), 500);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_never_served_waits_longer_each_time),
        cmocka_unit_test(test_what_had_served_is_back_within_half_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
