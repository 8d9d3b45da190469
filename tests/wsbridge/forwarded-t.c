/* Where a browser behind proxies comes from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "wsbridge/forwarded.h"

static const char configuration[] =
    "http_proxies = {\"127.0.0.1\", \"192.0.2.0/24\", \"2001:db8::/32\"}\n";

static void
test_whose_word_counts(void **state)
{
    static const struct {
        const char *peer;
        const char *x_forwarded_for;
        const char *client; /* NULL: refused */
        const char *promise;
    } rows[] = {
        {"203.0.113.9", "", "203.0.113.9", "no proxy"},
        {"203.0.113.9", "198.51.100.1", "203.0.113.9",
         "who is no proxy of ours is not believed"},
        {"203.0.113.9", "nonsense", "203.0.113.9", "nor refused for it"},
        {"127.0.0.1", "", "127.0.0.1", "a proxy that says nothing"},
        {"127.0.0.1", "198.51.100.1", "198.51.100.1", "one of ours is"},
        {"127.0.0.1", "10.0.0.1, 198.51.100.1", "198.51.100.1",
         "what the client itself said is not"},
        {"127.0.0.1", "127.0.0.1,198.51.100.1", "198.51.100.1",
         "even where it looks like us"},
        {"127.0.0.1", "10.0.0.1, 198.51.100.1, 192.0.2.7", "198.51.100.1",
         "a proxy before the proxy"},
        {"127.0.0.1", "192.0.2.8, 192.0.2.7", "192.0.2.8",
         "proxies alone: the first of them"},
        {"127.0.0.1", "\"x, 198.51.100.1", "198.51.100.1",
         "an open quote hides nothing"},
        {"127.0.0.1", "unknown", NULL, "what is no address"},
        {"127.0.0.1", "198.51.100.1,", NULL, "nothing at the end"},
        {"127.0.0.1", "198.51.100.1:4711", "198.51.100.1", "a port"},
        {"127.0.0.1", "[2001:db9::1]:4711", "2001:db9::1",
         "a port behind brackets"},
        {"127.0.0.1", "2001:db9:0:0::1", "2001:db9::1", "IPv6"},
        {"127.0.0.1", "::ffff:198.51.100.1", "198.51.100.1",
         "IPv4 within IPv6"},
        {"2001:db8::1", "198.51.100.1", "198.51.100.1", "a proxy by IPv6"},
    };
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_parse("t.conf", configuration, &why);

    (void)state;
    if (config == NULL)
        fail_msg("%s", buffer_text(&why));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char address[48];
        int status = forwarded_client(config, rows[i].peer,
                                      rows[i].x_forwarded_for, address);

        if (status != (rows[i].client == NULL ? -1 : 0)
            || (status == 0 && strcmp(address, rows[i].client) != 0))
            fail_msg("%s: %d \"%s\"", rows[i].promise, status, address);
    }
    config_free(&config);
    buffer_free(&why);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whose_word_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
