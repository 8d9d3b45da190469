/*
 * The header values of a browser: three lines, Host, Origin and subprotocols.
 * Whatever they are, a name that is accepted is one of ours, and a page that
 * is accepted is ours or listed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/memory.h"
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
                     "http_origins = {\"https://reader.example.com\"}\n",
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config *config;
    char *host = line_take(&data, &size);
    char *origin = line_take(&data, &size);
    char *offered = line_take(&data, &size);

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
    free(host);
    free(origin);
    free(offered);
    return 0;
}
