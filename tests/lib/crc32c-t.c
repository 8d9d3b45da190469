#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/crc32c.h"

struct row {
    const char *octets;
    size_t length;
    uint32_t sum;
    const char *promise;
};

/* RFC 3720, B.4, and the check value of the polynomial's catalogue. */
static void
test_the_known_sums(void **state)
{
    static const char zeros[32];
    char ones[32];
    char ascending[32];
    const struct row rows[] = {
        {"", 0, 0, "nothing sums to zero"},
        {"123456789", 9, 0xe3069283, "the check value"},
        {zeros, 32, 0x8a9136aa, "32 octets of 0"},
        {ones, 32, 0x62a8ab43, "32 octets of 0xff"},
        {ascending, 32, 0x46dd794e, "0, 1, 2 ... 31"},
    };

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 32; i++)
        ascending[i] = (char)i;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (crc32c(0, rows[i].octets, rows[i].length) != rows[i].sum)
            fail_msg("%s", rows[i].promise);
        if (crc32c_by_table(0, rows[i].octets, rows[i].length) != rows[i].sum)
            fail_msg("by table: %s", rows[i].promise);
    }
}

static void
test_pieces_and_table_give_the_same_sum(void **state)
{
    /* More than two times what is summed in lanes side by side. */
    unsigned char octets[1800];

    (void)state;
    for (size_t i = 0; i < sizeof(octets); i++)
        octets[i] = (unsigned char)(i * 37 + i / 7);
    for (size_t begin = 0; begin < 9; begin++)
        for (size_t length = 0; length < 1790; length++) {
            const unsigned char *at = octets + begin;
            const size_t cut = length / 3;
            const uint32_t whole = crc32c(0, at, length);

            assert_int_equal(crc32c_by_table(0, at, length), whole);
            assert_int_equal(
                crc32c(crc32c(0, at, cut), at + cut, length - cut), whole);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_known_sums),
        cmocka_unit_test(test_pieces_and_table_give_the_same_sum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
