#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "innd/bridge_client.h"
#include "lib/ipc.h"

static struct ipc_bridge
client_named(const char *address)
{
    struct ipc_bridge client = {.port = 4711};

    strncpy(client.address, address, sizeof(client.address));
    return client;
}

static int
pair_half(int type)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
    /* The other half is the bridge's; whether it still is there is no
       question of kind. */
    close(pair[1]);
    return pair[0];
}

static void
test_a_connected_unix_stream_socket_is_a_client(void **state)
{
    struct ipc_bridge client = client_named("2001:db8::1");
    int fd = pair_half(SOCK_STREAM);

    (void)state;
    assert_true(bridge_client_is_good(&client, fd));
    close(fd);
}

static void
test_no_other_descriptor_is_a_client(void **state)
{
    struct ipc_bridge client = client_named("192.0.2.1");
    struct sockaddr_un_any {
        sa_family_t family;
    } any = {.family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fds[] = {
        open("/dev/null", O_RDWR | O_CLOEXEC),
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
        pair_half(SOCK_DGRAM),
        pair_half(SOCK_SEQPACKET),
        listener,
    };

    (void)state;
    assert_int_equal(
        bind(listener, (const struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(listener, 1), 0);
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        assert_true(fds[i] >= 0);
        assert_false(bridge_client_is_good(&client, fds[i]));
        close(fds[i]);
    }
}

static void
test_an_address_is_numeric_and_ends(void **state)
{
    static const char *const bad[] = {
        "",
        "localhost",
        "192.0.2.1 ",
        "192.0.2.0/24",
        "000000000000000000000000000000000000000000000000",
    };
    int fd = pair_half(SOCK_STREAM);
    struct ipc_bridge client = client_named("192.0.2.1");

    (void)state;
    client.port = 65536;
    assert_false(bridge_client_is_good(&client, fd));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        client = client_named(bad[i]);
        assert_false(bridge_client_is_good(&client, fd));
    }
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connected_unix_stream_socket_is_a_client),
        cmocka_unit_test(test_no_other_descriptor_is_a_client),
        cmocka_unit_test(test_an_address_is_numeric_and_ends),
    };

    return cmocka_run_group_tests_name("bridge_client", tests, NULL, NULL);
}
