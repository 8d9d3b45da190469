/*
 * access -- see access.h.
 */
#include <stdlib.h>

#include "lib/config.h"
#include "lib/memory.h"
#include "nnrpd/access.h"

static bool
peer_has_address(const struct config_peer *peer, const char *address)
{
    size_t i;

    for (i = 0; i < peer->address_count; i++)
        if (address_matches(address, peer->addresses[i]))
            return true;
    return false;
}

void
access_evaluate(struct access *access, const struct config *config,
                const char *address)
{
    size_t i;

    *access = (struct access){0};
    if (config->anonymous >= ACCESS_READ) {
        access->rights |= RIGHT_READ;
        if (config->allownewnews)
            access->rights |= RIGHT_NEWNEWS;
    }
    if (config->anonymous >= ACCESS_POST)
        access->rights |= RIGHT_POST;
    for (i = 0; i < config->peer_count; i++) {
        if (!peer_has_address(&config->peers[i], address))
            continue;
        access->rights |= RIGHT_FEED;
        access->peer = xstrdup(config->peers[i].name);
        access->peer_newsgroups = xstrdup(config->peers[i].newsgroups);
        access->peer_number = (uint32_t)i + 1;
        return;
    }
}

void
access_free(struct access *access)
{
    free(access->peer);
    free(access->peer_newsgroups);
    *access = (struct access){0};
}
