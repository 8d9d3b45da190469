#include "lib/address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An address or a network: so many leading bits of the octets count. */
struct network {
    uint8_t octets[16];
    unsigned bits;  /* 0-128 */
    bool version_4; /* kept as ::ffff:a.b.c.d, bits counted from the front */
};

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0,    0,
                                          0, 0, 0, 0, 0xff, 0xff};

static bool
address_parse(struct network *network, const char *text)
{
    network->bits = 128;
    network->version_4 = inet_pton(AF_INET, text, network->octets + 12) == 1;
    if (network->version_4) {
        memcpy(network->octets, mapped_prefix, sizeof(mapped_prefix));
        return true;
    }
    return inet_pton(AF_INET6, text, network->octets) == 1;
}

static bool
network_parse(struct network *network, const char *text)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash == NULL ? strlen(text) : (size_t)(slash - text);
    unsigned bits = 0;
    unsigned host_bits;

    if (length >= sizeof(address))
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (!address_parse(network, address))
        return false;
    if (slash == NULL)
        return true;
    if (slash[1] == '\0' || strlen(slash + 1) > 3)
        return false;
    for (const char *digit = slash + 1; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        bits = bits * 10 + (unsigned)(*digit - '0');
    }
    host_bits = network->version_4 ? 32 : 128;
    if (bits > host_bits)
        return false;
    network->bits = 128 - host_bits + bits;
    return true;
}

bool
address_is_valid(const char *address)
{
    struct network network;

    return address_parse(&network, address);
}

bool
address_is_network(const char *network)
{
    struct network parsed;

    return network_parse(&parsed, network);
}

bool
address_matches(const char *address, const char *network)
{
    struct network one;
    struct network all;
    unsigned whole;
    unsigned rest;

    if (!address_parse(&one, address) || !network_parse(&all, network))
        return false;
    whole = all.bits / 8;
    rest = all.bits % 8;
    if (memcmp(one.octets, all.octets, whole) != 0)
        return false;
    return rest == 0
           || ((one.octets[whole] ^ all.octets[whole]) >> (8 - rest)) == 0;
}
