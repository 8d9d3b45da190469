#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/address.h"

static const struct {
    const char *address;
    const char *network;
    bool matches;
    const char *promise;
} cases[] = {
    {"192.0.2.1", "192.0.2.1", true, "an address is a network of one"},
    {"192.0.2.2", "192.0.2.1", false, "and of no other"},
    {"192.0.2.255", "192.0.2.0/24", true, "the last address of a network"},
    {"192.0.3.0", "192.0.2.0/24", false, "the first one behind it"},
    {"192.0.3.255", "192.0.2.0/23", true, "bits within an octet count"},
    {"192.0.4.0", "192.0.2.0/23", false, "and end where they end"},
    {"203.0.113.9", "0.0.0.0/0", true, "no bits: everybody of IPv4"},
    {"2001:db8::1", "0.0.0.0/0", false, "but nobody of IPv6"},
    {"::ffff:192.0.2.1", "192.0.2.0/24", true, "mapped IPv4 is IPv4"},
    {"192.0.2.1", "::ffff:192.0.2.1", true, "also in the network"},
    {"2001:db8:0:1::7", "2001:db8::/32", true, "IPv6 network"},
    {"2001:db9::", "2001:db8::/32", false, "another IPv6 network"},
    {"2001:db8::7", "2001:DB8::7", true, "letters have no case"},
    {"::1", "::/0", true, "all of IPv6"},
    {"127.0.0.1", "localhost", false, "names are not resolved"},
    {"localhost", "127.0.0.1", false, "nor is an address a name"},
    {"192.0.2.1", "192.0.2.0/33", false, "more bits than there are"},
    {"192.0.2.1", "192.0.2.0/", false, "no bits behind the slash"},
    {"192.0.2.1", "192.0.2.0/2x", false, "bits that are no number"},
    {"192.0.2.1", "192.0.2.0/-1", false, "nor a negative one"},
    {"192.0.2.1", "192.0.2/24", false, "a short address"},
    {"", "0.0.0.0/0", false, "no address at all"},
};

static void
test_matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (address_matches(cases[i].address, cases[i].network)
            != cases[i].matches)
            fail_msg("%s in %s: %s", cases[i].address, cases[i].network,
                     cases[i].promise);
}

static void
test_a_network_is_an_address_or_has_its_bits(void **state)
{
    (void)state;
    assert_true(address_is_valid("::"));
    assert_true(address_is_valid("0.0.0.0"));
    assert_false(address_is_valid("0.0.0.0/0"));
    assert_false(address_is_valid("news.example.net"));
    assert_true(address_is_network("::/128"));
    assert_true(address_is_network("10.0.0.0/8"));
    assert_false(address_is_network("::/129"));
    assert_false(address_is_network("10.0.0.0/33"));
    assert_false(address_is_network("10.0.0.0/008x"));
    assert_false(address_is_network(
        "1111111111111111111111111111111111111111111111/8"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_a_network_is_an_address_or_has_its_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
