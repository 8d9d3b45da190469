#include "wsbridge/handshake.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"
#include "lib/config.h"

enum { HOST_OCTETS = 254 }; /* of a name, with its NUL (RFC 1035, 2.3.4) */

static bool
port_is_good(const char *port)
{
    size_t digits = strspn(port, "0123456789");

    return digits <= 5 && port[digits] == '\0';
}

/*
 * The name or address in a Host: without its port, the brackets of an IPv6
 * address, and the dot at the end that makes a name absolute.  False when it
 * is no Host at all.
 */
static bool
host_copy(char name[HOST_OCTETS], const char *host)
{
    bool is_bracketed = host[0] == '[';
    const char *begin = is_bracketed ? host + 1 : host;
    size_t length = strcspn(begin, is_bracketed ? "]" : ":");
    const char *rest = begin + length;

    if (length == 0 || length >= HOST_OCTETS)
        return false;
    if (is_bracketed && *rest++ != ']')
        return false;
    if (*rest != '\0' && (*rest != ':' || !port_is_good(rest + 1)))
        return false;
    memcpy(name, begin, length);
    name[length] = '\0';
    if (is_bracketed)
        return strchr(name, ':') != NULL && address_is_valid(name);
    if (length > 1 && name[length - 1] == '.')
        name[length - 1] = '\0';
    return true;
}

bool
handshake_host_is_ours(const struct config *config, const char *host)
{
    char name[HOST_OCTETS];

    if (host[0] == '\0')
        return true;
    if (!host_copy(name, host))
        return false;
    if (address_is_valid(name) || strcasecmp(name, "localhost") == 0
        || strcasecmp(name, config->pathhost) == 0)
        return true;
    for (size_t i = 0; i < config->http_host_count; i++)
        if (strcasecmp(name, config->http_hosts[i]) == 0)
            return true;
    return false;
}

/* What follows the scheme of a page's origin; NULL: it is no page from the
   web. */
static const char *
origin_authority(const char *origin)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncasecmp(origin, schemes[i], strlen(schemes[i])) == 0)
            return origin + strlen(schemes[i]);
    return NULL;
}

bool
handshake_origin_is_good(const struct config *config, const char *origin,
                         const char *host)
{
    const char *authority = origin_authority(origin);

    if (origin[0] == '\0')
        return true;
    /* Our own page: the browser has it from where it connects to now. */
    if (authority != NULL && host[0] != '\0'
        && strcasecmp(authority, host) == 0
        && handshake_host_is_ours(config, host))
        return true;
    for (size_t i = 0; i < config->http_origin_count; i++)
        if (strcasecmp(config->http_origins[i], origin) == 0)
            return true;
    return false;
}

bool
handshake_offers(const char *offered, const char *protocol)
{
    static const char between[] = ", \t";
    size_t length = strlen(protocol);

    while (*(offered += strspn(offered, between)) != '\0') {
        size_t word = strcspn(offered, between);

        if (word == length && memcmp(offered, protocol, length) == 0)
            return true;
        offered += word;
    }
    return false;
}
