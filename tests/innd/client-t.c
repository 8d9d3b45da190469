#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "innd/client.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/limit.h"

static struct config *
config_make(const char *text)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_parse("t.conf", text, &why);

    if (config == NULL)
        fail_msg("%s", buffer_text(&why));
    buffer_free(&why);
    return config;
}

static struct limit_table limits;
static char reason[256]; /* of the last refusal */

static bool
is_refused(struct clients *clients, const struct config *config,
           const char *address)
{
    struct buffer why = BUFFER_EMPTY;
    bool refused = clients_refuse(clients, config, address, &why);

    snprintf(reason, sizeof(reason), "%s", buffer_text(&why));
    buffer_free(&why);
    return refused;
}

static void
test_one_address_gets_its_share_and_no_more(void **state)
{
    struct config *config = config_make("maxconnections_per_address = 2");
    struct clients *clients = clients_new(config, &limits);
    uint64_t first;

    (void)state;
    assert_false(is_refused(clients, config, "192.0.2.1"));
    first = clients_add(clients, config, "192.0.2.1", 0);
    clients_add(clients, config, "192.0.2.1", 1);
    assert_true(is_refused(clients, config, "192.0.2.1"));
    assert_false(is_refused(clients, config, "192.0.2.2"));
    assert_true(clients_remove(clients, first, 0));
    assert_false(is_refused(clients, config, "192.0.2.1"));
    assert_int_equal(clients_count(clients), 1);
    clients_free(&clients);
    config_free(&config);
}

static void
test_an_ipv6_site_counts_as_one_address(void **state)
{
    struct config *config = config_make("maxconnections_per_address = 2");
    struct clients *clients = clients_new(config, &limits);

    (void)state;
    clients_add(clients, config, "2001:db8:1:2::3", 0);
    clients_add(clients, config, "2001:db8:1:ffff::4", 0);
    assert_true(is_refused(clients, config, "2001:db8:1::5"));
    assert_false(is_refused(clients, config, "2001:db8:2::5"));
    clients_free(&clients);
    config_free(&config);
}

static void
test_a_network_has_a_limit(void **state)
{
    struct config *config = config_make("maxconnections_per_network = 2");
    struct clients *clients = clients_new(config, &limits);
    uint64_t one;

    (void)state;
    one = clients_add(clients, config, "192.0.2.1", 0);
    clients_add(clients, config, "192.0.2.200", 0);
    assert_true(is_refused(clients, config, "192.0.2.3"));
    assert_string_equal(reason,
                        "Too many connections from your network: at most 2 "
                        "at once; try again when one has ended");
    assert_false(is_refused(clients, config, "192.0.3.1"));
    assert_true(clients_remove(clients, one, 0));
    assert_false(is_refused(clients, config, "192.0.2.3"));
    clients_add(clients, config, "2001:db8:1::1", 0);
    clients_add(clients, config, "2001:db8:2::1", 0);
    assert_true(is_refused(clients, config, "2001:db8:3::1"));
    assert_false(is_refused(clients, config, "2001:db9:3::1"));
    clients_free(&clients);
    config_free(&config);
}

static void
test_new_clients_have_a_rate(void **state)
{
    struct config *config =
        config_make("connectionrate_per_address = 3\n"
                    "peer a { address = 198.51.100.1 maxconnections = 9 }");
    struct clients *clients = clients_new(config, &limits);

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_false(is_refused(clients, config, "203.0.113.1"));
    assert_true(is_refused(clients, config, "203.0.113.1"));
    assert_string_equal(reason,
                        "Too many connections from your address: at most 3 "
                        "new connections a minute; try again in 20 seconds");
    assert_false(is_refused(clients, config, "203.0.113.2"));
    for (int i = 0; i < 9; i++)
        assert_false(is_refused(clients, config, "198.51.100.1"));
    clients_free(&clients);
    config_free(&config);
}

static void
test_the_whole_server_has_a_limit(void **state)
{
    struct config *config = config_make("maxconnections = 3");
    struct clients *clients = clients_new(config, &limits);
    char address[32];

    (void)state;
    for (int i = 0; i < 3; i++) {
        snprintf(address, sizeof(address), "192.0.2.%d", i);
        assert_false(is_refused(clients, config, address));
        clients_add(clients, config, address, 0);
    }
    assert_true(is_refused(clients, config, "192.0.2.9"));
    assert_string_equal(reason, "Too many connections: at most 3 at once; "
                                "try again when one has ended");
    clients_free(&clients);
    config_free(&config);
}

static void
test_a_peer_keeps_its_room_when_the_server_is_full(void **state)
{
    struct config *config =
        config_make("maxconnections = 1\n"
                    "peer a { address = 198.51.100.0/24 maxconnections = 2 }");
    struct clients *clients = clients_new(config, &limits);
    uint64_t one;

    (void)state;
    clients_add(clients, config, "192.0.2.1", 0);
    assert_true(is_refused(clients, config, "192.0.2.2"));
    assert_false(is_refused(clients, config, "198.51.100.7"));
    one = clients_add(clients, config, "198.51.100.7", 0);
    clients_add(clients, config, "198.51.100.8", 0);
    assert_true(is_refused(clients, config, "198.51.100.9"));
    assert_true(clients_remove(clients, one, 0));
    assert_false(is_refused(clients, config, "198.51.100.9"));
    clients_free(&clients);
    config_free(&config);
}

static void
test_readers_at_a_peers_address_are_not_bound_by_its_room(void **state)
{
    struct config *config =
        config_make("peer a { address = 127.0.0.1 maxconnections = 1 }");
    struct clients *clients = clients_new(config, &limits);

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_false(is_refused(clients, config, "127.0.0.1"));
        clients_add(clients, config, "127.0.0.1", 0);
    }
    assert_int_equal(clients_count(clients), 100);
    clients_free(&clients);
    config_free(&config);
}

static void
test_a_client_is_given_back_once_and_by_its_worker(void **state)
{
    struct config *config = config_make("");
    struct clients *clients = clients_new(config, &limits);
    uint64_t old = clients_add(clients, config, "192.0.2.1", 1);
    uint64_t new;

    (void)state;
    assert_false(clients_remove(clients, old, 0));
    assert_true(clients_remove(clients, old, 1));
    assert_false(clients_remove(clients, old, 1));
    /* The row is used again, the number is not. */
    new = clients_add(clients, config, "192.0.2.1", 1);
    assert_int_not_equal(old, new);
    assert_false(clients_remove(clients, old, 1));
    assert_true(clients_remove(clients, new, 1));
    assert_false(clients_remove(clients, UINT64_MAX, 1));
    assert_false(clients_remove(clients, 0, 1));
    assert_int_equal(clients_count(clients), 0);
    clients_free(&clients);
    config_free(&config);
}

static void
test_a_worker_that_ends_takes_only_its_own(void **state)
{
    struct config *config = config_make("maxconnections_per_address = 600");
    struct clients *clients = clients_new(config, &limits);

    (void)state;
    for (int i = 0; i < 600; i++)
        clients_add(clients, config, "192.0.2.1", (unsigned)i % 3);
    assert_true(is_refused(clients, config, "192.0.2.1"));
    clients_remove_worker(clients, 1);
    assert_int_equal(clients_count(clients), 400);
    assert_false(is_refused(clients, config, "192.0.2.1"));
    for (int i = 0; i < 200; i++)
        clients_add(clients, config, "192.0.2.1", 1);
    assert_true(is_refused(clients, config, "192.0.2.1"));
    clients_free(&clients);
    config_free(&config);
}

static void
test_a_reload_finds_peers_anew(void **state)
{
    struct config *old =
        config_make("maxconnections = 1 peer a { address = 192.0.2.1 }");
    struct config *new =
        config_make("maxconnections = 1 peer b { address = 192.0.2.2 }\n"
                    "peer c { address = 192.0.2.3 }");
    struct clients *clients = clients_new(old, &limits);
    uint64_t client = clients_add(clients, old, "192.0.2.1", 0);

    (void)state;
    assert_false(is_refused(clients, old, "203.0.113.1"));
    clients_reload(clients, new);
    assert_true(is_refused(clients, new, "203.0.113.1"));
    assert_false(is_refused(clients, new, "192.0.2.3"));
    assert_true(clients_remove(clients, client, 0));
    assert_false(is_refused(clients, new, "203.0.113.1"));
    clients_free(&clients);
    config_free(&old);
    config_free(&new);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_address_gets_its_share_and_no_more),
        cmocka_unit_test(test_an_ipv6_site_counts_as_one_address),
        cmocka_unit_test(test_a_network_has_a_limit),
        cmocka_unit_test(test_new_clients_have_a_rate),
        cmocka_unit_test(test_the_whole_server_has_a_limit),
        cmocka_unit_test(test_a_peer_keeps_its_room_when_the_server_is_full),
        cmocka_unit_test(
            test_readers_at_a_peers_address_are_not_bound_by_its_room),
        cmocka_unit_test(test_a_client_is_given_back_once_and_by_its_worker),
        cmocka_unit_test(test_a_worker_that_ends_takes_only_its_own),
        cmocka_unit_test(test_a_reload_finds_peers_anew),
    };

    limit_table_init(&limits);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
