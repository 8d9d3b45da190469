/*
 * The header values of a browser, a line each: Host, Origin, subprotocols, and
 * X-Forwarded-For.  Whatever they are, a name that is accepted is one of ours,
 * a page that is accepted is ours or listed, and who comes through a proxy has
 * an address, the last that is no proxy's.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/memory.h"
#include "wsbridge/forwarded.h"
#include "wsbridge/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char listed[] = "https://reader.example.com";

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static struct config *
config_make(void)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *config =
        config_parse("fuzz",
                     "pathhost = \"news.example.net\"\n"
                     "http_hosts = {\"news.example.org\"}\n"
                     "http_origins = {\"https://reader.example.com\"}\n"
                     "http_proxies = {\"127.0.0.1\", \"192.0.2.0/24\"}\n",
                     &why);

    must(config != NULL);
    return config;
}

/* The next line, as text of its own: a read too far is seen. */
static char *
line_take(const uint8_t **data, size_t *size)
{
    const uint8_t *end = *size == 0 ? NULL : memchr(*data, '\n', *size);
    size_t octets = end == NULL ? *size : (size_t)(end - *data);
    char *line = xcalloc(1, octets + 1);

    if (octets > 0)
        memcpy(line, *data, octets);
    *data += end == NULL ? octets : octets + 1;
    *size -= end == NULL ? octets : octets + 1;
    return line;
}

/* Only what begins or ends so can be ours. */
static void
host_must_be_ours(const char *host)
{
    static const char *const names[] = {"localhost", "news.example.net",
                                        "news.example.org"};
    size_t length = strcspn(host, ":");

    if (host[0] == '[')
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncasecmp(host, names[i], strlen(names[i])) == 0
            && length <= strlen(names[i]) + 1)
            return;
    must(strspn(host, "0123456789.") >= length - 1);
}

/* Who cannot be told from a proxy was named by nobody, or by proxies alone. */
static void
forwarded_must_be_good(const struct config *config, const char *forwarded)
{
    char address[48], again[48];

    if (forwarded_client(config, "127.0.0.1", forwarded, address) < 0)
        return;
    must(address_is_valid(address));
    must(forwarded_client(config, "127.0.0.1", address, again) == 0);
    must(strcmp(address, again) == 0);
    must(forwarded_client(config, "203.0.113.1", forwarded, address) == 0);
    must(strcmp(address, "203.0.113.1") == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config *config;
    char *host = line_take(&data, &size);
    char *origin = line_take(&data, &size);
    char *offered = line_take(&data, &size);
    char *forwarded = line_take(&data, &size);

    if (config == NULL)
        config = config_make();
    if (host[0] != '\0' && handshake_host_is_ours(config, host))
        host_must_be_ours(host);
    if (origin[0] != '\0' && handshake_origin_is_good(config, origin, host)
        && strcasecmp(origin, listed) != 0) {
        must(strlen(origin) > strlen(host));
        must(handshake_host_is_ours(config, host));
    }
    if (handshake_offers(offered, "nntp"))
        must(strstr(offered, "nntp") != NULL);
    forwarded_must_be_good(config, forwarded);
    free(host);
    free(origin);
    free(offered);
    free(forwarded);
    return 0;
}
