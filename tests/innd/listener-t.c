#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "innd/listener.h"
#include "lib/buffer.h"
#include "lib/config.h"

static unsigned served;

/* A client whose machine has vanished is found out: asked after a minute of
   silence, given up when it takes nothing for two. */
static void
check_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 120 * 1000},
        {IPPROTO_TCP, TCP_NODELAY, 1},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        int value = -1;
        socklen_t octets = sizeof(value);

        assert_int_equal(
            getsockopt(fd, options[i].level, options[i].name, &value, &octets),
            0);
        assert_int_equal(value, options[i].value);
    }
}

static void
serve(void *context, int fd, bool tls, const char *address, unsigned port)
{
    (void)context;
    (void)port;
    assert_false(tls);
    assert_string_equal(address, "127.0.0.1");
    check_options(fd);
    served++;
    close(fd);
}

static int
client_connect(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)),
                     0);
    return fd;
}

/* With none left a client is told so, and does not wait for ever. */
static void
test_no_descriptor_is_left(void **state)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *config =
        config_parse("t.conf", "listen = 127.0.0.1 port = 0", &why);
    struct listeners *listeners;
    struct event_base *base = event_base_new();
    struct rlimit before, none;
    char said[64] = "";
    int client;

    (void)state;
    assert_non_null(config);
    listeners = listeners_open(config, &why);
    assert_non_null(listeners);
    listeners_join(listeners, base, serve, NULL);
    listeners_accept(listeners, true);
    client = client_connect(listeners_port(listeners));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)client + 1; /* all below are taken */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(served, 0);
    assert_true(recv(client, said, sizeof(said) - 1, 0) > 0);
    assert_string_equal(said, "400 Too many connections\r\n");
    assert_int_equal(recv(client, said, sizeof(said), 0), 0);
    close(client);
    /* The next one is served: the spare descriptor is there again. */
    client = client_connect(listeners_port(listeners));
    event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(served, 1);
    close(client);
    listeners_close(&listeners);
    event_base_free(base);
    config_free(&config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_descriptor_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
