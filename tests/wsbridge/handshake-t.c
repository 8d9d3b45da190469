/* Who may begin, by what a browser says of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "wsbridge/handshake.h"

static const char configuration[] =
    "pathhost = \"news.example.net\"\n"
    "http_hosts = {\"news.example.org\", \"backend\"}\n"
    "http_origins = {\"https://reader.example.com\", "
    "\"http://other.example:8080\"}\n";

static struct config *
config_make(void)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_parse("t.conf", configuration, &why);

    if (config == NULL)
        fail_msg("%s", buffer_text(&why));
    return config;
}

static void
test_names_that_are_ours(void **state)
{
    static const struct {
        const char *host;
        bool ours;
        const char *promise;
    } rows[] = {
        {"", true, "no browser"},
        {"127.0.0.1", true, "a numeric address"},
        {"127.0.0.1:8119", true, "... with a port"},
        {"192.0.2.1:80", true, "... of another interface"},
        {"[::1]:8119", true, "IPv6"},
        {"[2001:db8::1]", true, "... without a port"},
        {"localhost", true, "localhost"},
        {"LocalHost:8119", true, "case means nothing"},
        {"news.example.net:8119", true, "pathhost"},
        {"news.example.org", true, "a listed name"},
        {"news.example.org.:443", true, "... made absolute"},
        {"backend:8119", true, "a listed name without a dot"},
        {"evil.example", false, "a stranger's name"},
        {"evil.example:8119", false, "... with our port"},
        {"127.0.0.1.evil.example", false, "an address in front"},
        {"localhost.evil.example", false, "localhost in front"},
        {"evil.localhost", false, "localhost behind"},
        {"xnews.example.org", false, "ours behind"},
        {"news.example.org.evil.example", false, "ours in front"},
        {"news.example.org..", false, "two dots at the end"},
        {"127.1", false, "no browser shortens an address"},
        {"[127.0.0.1]", false, "brackets are for IPv6"},
        {"[::1", false, "a bracket too few"},
        {"[::1]x", false, "rubbish behind the bracket"},
        {"::1", false, "IPv6 without brackets"},
        {"localhost:80x", false, "rubbish in the port"},
        {"localhost:123456", false, "a port too long"},
        {"localhost:80:80", false, "two ports"},
        {":80", false, "a port alone"},
        {".", false, "a dot alone"},
        {"localhost/", false, "a path"},
        {"me@localhost", false, "a user"},
        {" localhost", false, "a space"},
    };
    struct config *config = config_make();

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (handshake_host_is_ours(config, rows[i].host) != rows[i].ours)
            fail_msg("%s: %s", rows[i].promise, rows[i].host);
    config_free(&config);
}

static void
test_a_name_that_no_host_has(void **state)
{
    char host[1000];
    struct config *config = config_make();

    (void)state;
    memset(host, 'a', sizeof(host) - 1);
    for (size_t octets = 250; octets < 260; octets++) {
        host[octets] = '\0';
        assert_false(handshake_host_is_ours(config, host));
        host[octets] = 'a';
    }
    config_free(&config);
}

static void
test_pages_that_may_begin(void **state)
{
    static const struct {
        const char *origin;
        const char *host;
        bool good;
        const char *promise;
    } rows[] = {
        {"", "127.0.0.1:8119", true, "no page"},
        {"http://127.0.0.1:8119", "127.0.0.1:8119", true, "our own"},
        {"http://[::1]:8119", "[::1]:8119", true, "our own by IPv6"},
        {"https://news.example.org", "news.example.org", true,
         "our own behind a proxy"},
        {"HTTP://LOCALHOST:8119", "localhost:8119", true, "case"},
        {"http://evil.example:8119", "evil.example:8119", false,
         "a stranger's name that was made to lead here"},
        {"http://evil.example", "127.0.0.1:8119", false, "a foreign page"},
        {"http://127.0.0.1:1", "127.0.0.1:8119", false,
         "another server of this machine"},
        {"http://127.0.0.1", "127.0.0.1:8119", false, "... at port 80"},
        {"https://reader.example.com", "127.0.0.1:8119", true, "a listed one"},
        {"https://reader.example.com", "", true, "... where Host is missing"},
        {"http://reader.example.com", "127.0.0.1:8119", false,
         "the scheme counts"},
        {"http://other.example:8080", "localhost", true, "... the port too"},
        {"http://other.example", "localhost", false, "... the port too"},
        {"null", "localhost", false, "a page without origin"},
        {"http://", "", false, "nothing is nobody's"},
        {"localhost", "localhost", false, "no scheme"},
        {"app://localhost", "localhost", false,
         "a page that is not the web's"},
        {"http://localhost/", "localhost", false, "an origin has no path"},
    };
    struct config *config = config_make();

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (handshake_origin_is_good(config, rows[i].origin, rows[i].host)
            != rows[i].good)
            fail_msg("%s: %s at %s", rows[i].promise, rows[i].origin,
                     rows[i].host);
    config_free(&config);
}

static void
test_a_subprotocol_is_offered_by_its_whole_name(void **state)
{
    static const char *const good[] = {"nntp", "chat, nntp", "nntp,chat",
                                       "\tchat ,nntp ", ",,nntp"};
    static const char *const bad[] = {"",      "nntpx",     "xnntp", "NNTP",
                                      "nn tp", "chat,nnt,", " ,\t"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(handshake_offers(good[i], "nntp"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(handshake_offers(bad[i], "nntp"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_that_are_ours),
        cmocka_unit_test(test_a_name_that_no_host_has),
        cmocka_unit_test(test_pages_that_may_begin),
        cmocka_unit_test(test_a_subprotocol_is_offered_by_its_whole_name),
    };

    return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}
