#include "wsbridge/forwarded.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "lib/address.h"
#include "lib/config.h"

enum { ADDRESS_OCTETS = 48 };

struct span {
    const char *at;
    const char *end;
};

static struct span
span_trim(struct span span)
{
    while (span.at < span.end && (*span.at == ' ' || *span.at == '\t'))
        span.at++;
    while (span.at < span.end && (span.end[-1] == ' ' || span.end[-1] == '\t'))
        span.end--;
    return span;
}

/* --- one address --- */

/* As inet_ntop() writes it, so that one client has one name. */
static bool
address_read(struct span text, char address[ADDRESS_OCTETS])
{
    char copy[ADDRESS_OCTETS] = {0};
    unsigned char octets[16];
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (text.end - text.at >= ADDRESS_OCTETS)
        return false;
    memcpy(copy, text.at, (size_t)(text.end - text.at));
    if (inet_pton(AF_INET, copy, octets) == 1)
        return inet_ntop(AF_INET, octets, address, ADDRESS_OCTETS) != NULL;
    if (inet_pton(AF_INET6, copy, octets) != 1)
        return false;
    if (memcmp(octets, mapped, sizeof(mapped)) == 0)
        return inet_ntop(AF_INET, octets + 12, address, ADDRESS_OCTETS)
               != NULL;
    return inet_ntop(AF_INET6, octets, address, ADDRESS_OCTETS) != NULL;
}

/* An address, one of IPv6 perhaps in brackets, and perhaps a port: false for
   "unknown" and whatever else is none. */
static bool
node_read(struct span node, char address[ADDRESS_OCTETS])
{
    const char *colon;
    const char *close;

    node = span_trim(node);
    if (node.at < node.end && *node.at == '[') {
        close = memchr(node.at, ']', (size_t)(node.end - node.at));
        return close != NULL && (close + 1 == node.end || close[1] == ':')
               && address_read((struct span){node.at + 1, close}, address);
    }
    colon = memchr(node.at, ':', (size_t)(node.end - node.at));
    if (colon != NULL && memchr(node.at, '.', (size_t)(colon - node.at)))
        node.end = colon;
    return address_read(node, address);
}

static bool
is_proxy(const struct config *config, const char *address)
{
    for (size_t i = 0; i < config->http_proxy_count; i++)
        if (address_matches(address, config->http_proxies[i]))
            return true;
    return false;
}

/* Cut the last one off. */
static struct span
last_cut(struct span *list)
{
    const char *comma = memrchr(list->at, ',', (size_t)(list->end - list->at));
    struct span last = {comma == NULL ? list->at : comma + 1, list->end};

    list->end = comma == NULL ? list->at : comma;
    return last;
}

int
forwarded_client(const struct config *config, const char *peer,
                 const char *x_forwarded_for, char address[ADDRESS_OCTETS])
{
    struct span list = {x_forwarded_for,
                        x_forwarded_for + strlen(x_forwarded_for)};

    memset(address, 0, ADDRESS_OCTETS);
    memcpy(address, peer, strnlen(peer, ADDRESS_OCTETS - 1));
    while (is_proxy(config, address) && list.at < list.end)
        if (!node_read(last_cut(&list), address))
            return -1;
    return 0;
}
