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

static void
test_one_address_gets_its_share_and_no_more(void **state)
{
    struct config *config = config_make("maxconnections_per_address = 2");
    struct clients *clients = clients_new(config);
    uint64_t first;

    (void)state;
    assert_null(clients_refusal(clients, config, "192.0.2.1"));
    first = clients_add(clients, config, "192.0.2.1", 0);
    clients_add(clients, config, "192.0.2.1", 1);
    assert_non_null(clients_refusal(clients, config, "192.0.2.1"));
    assert_null(clients_refusal(clients, config, "192.0.2.2"));
    assert_true(clients_remove(clients, first, 0));
    assert_null(clients_refusal(clients, config, "192.0.2.1"));
    assert_int_equal(clients_count(clients), 1);
    clients_free(&clients);
    config_free(&config);
}

static void
test_an_ipv6_site_counts_as_one_address(void **state)
{
    struct config *config = config_make("maxconnections_per_address = 2");
    struct clients *clients = clients_new(config);

    (void)state;
    clients_add(clients, config, "2001:db8:1:2::3", 0);
    clients_add(clients, config, "2001:db8:1:ffff::4", 0);
    assert_non_null(clients_refusal(clients, config, "2001:db8:1::5"));
    assert_null(clients_refusal(clients, config, "2001:db8:2::5"));
    clients_free(&clients);
    config_free(&config);
}

static void
test_the_whole_server_has_a_limit(void **state)
{
    struct config *config = config_make("maxconnections = 3");
    struct clients *clients = clients_new(config);
    char address[32];

    (void)state;
    for (int i = 0; i < 3; i++) {
        snprintf(address, sizeof(address), "192.0.2.%d", i);
        assert_null(clients_refusal(clients, config, address));
        clients_add(clients, config, address, 0);
    }
    assert_string_equal(clients_refusal(clients, config, "192.0.2.9"),
                        "Too many connections");
    clients_free(&clients);
    config_free(&config);
}

static void
test_a_peer_keeps_its_room_when_the_server_is_full(void **state)
{
    struct config *config =
        config_make("maxconnections = 1\n"
                    "peer a { address = 198.51.100.0/24 maxconnections = 2 }");
    struct clients *clients = clients_new(config);
    uint64_t one;

    (void)state;
    clients_add(clients, config, "192.0.2.1", 0);
    assert_non_null(clients_refusal(clients, config, "192.0.2.2"));
    assert_null(clients_refusal(clients, config, "198.51.100.7"));
    one = clients_add(clients, config, "198.51.100.7", 0);
    clients_add(clients, config, "198.51.100.8", 0);
    assert_non_null(clients_refusal(clients, config, "198.51.100.9"));
    assert_true(clients_remove(clients, one, 0));
    assert_null(clients_refusal(clients, config, "198.51.100.9"));
    clients_free(&clients);
    config_free(&config);
}

static void
test_readers_at_a_peers_address_are_not_bound_by_its_room(void **state)
{
    struct config *config =
        config_make("peer a { address = 127.0.0.1 maxconnections = 1 }");
    struct clients *clients = clients_new(config);

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_null(clients_refusal(clients, config, "127.0.0.1"));
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
    struct clients *clients = clients_new(config);
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
    struct clients *clients = clients_new(config);

    (void)state;
    for (int i = 0; i < 600; i++)
        clients_add(clients, config, "192.0.2.1", (unsigned)i % 3);
    assert_non_null(clients_refusal(clients, config, "192.0.2.1"));
    clients_remove_worker(clients, 1);
    assert_int_equal(clients_count(clients), 400);
    assert_null(clients_refusal(clients, config, "192.0.2.1"));
    for (int i = 0; i < 200; i++)
        clients_add(clients, config, "192.0.2.1", 1);
    assert_non_null(clients_refusal(clients, config, "192.0.2.1"));
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
    struct clients *clients = clients_new(old);
    uint64_t client = clients_add(clients, old, "192.0.2.1", 0);

    (void)state;
    assert_null(clients_refusal(clients, old, "203.0.113.1"));
    clients_reload(clients, new);
    assert_non_null(clients_refusal(clients, new, "203.0.113.1"));
    assert_null(clients_refusal(clients, new, "192.0.2.3"));
    assert_true(clients_remove(clients, client, 0));
    assert_null(clients_refusal(clients, new, "203.0.113.1"));
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
        cmocka_unit_test(test_the_whole_server_has_a_limit),
        cmocka_unit_test(test_a_peer_keeps_its_room_when_the_server_is_full),
        cmocka_unit_test(
            test_readers_at_a_peers_address_are_not_bound_by_its_room),
        cmocka_unit_test(test_a_client_is_given_back_once_and_by_its_worker),
        cmocka_unit_test(test_a_worker_that_ends_takes_only_its_own),
        cmocka_unit_test(test_a_reload_finds_peers_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
