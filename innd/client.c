#include "innd/client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/limit.h"
#include "lib/memory.h"

/* A scope of lib/limit.h, and the network or address of limit_site(). */
enum { BUCKETS = 4096, PEER_NONE = -1, SITE_OCTETS = 1 + LIMIT_SITE_OCTETS };

/* Where clients come from: an address, or a network. */
struct site {
    uint8_t octets[SITE_OCTETS];
    size_t clients;
    struct site *next; /* of the same bucket */
};

struct client {
    uint32_t serial; /* with the index the number of the client; 0: free */
    unsigned worker;
    int peer; /* whose room it takes, by the configuration's list */
    char address[INET6_ADDRSTRLEN];
    size_t next_free;
};

struct clients {
    struct client *rows;
    size_t size;
    size_t free; /* the first free row, size when none is */
    size_t count;
    size_t *of_peer; /* by peer: clients in its room */
    size_t of_peers; /* the sum of that */
    uint32_t serial;
    struct limit_table *limits;
    struct site *buckets[BUCKETS];
};

struct clients *
clients_new(const struct config *config, struct limit_table *limits)
{
    struct clients *clients = xcalloc(1, sizeof(*clients));

    clients->limits = limits;
    clients->of_peer = xcalloc(config->peer_count, sizeof(size_t));
    return clients;
}

void
clients_free(struct clients **clients)
{
    struct clients *old = *clients;

    if (old == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (old->buckets[i] != NULL) {
            struct site *site = old->buckets[i];

            old->buckets[i] = site->next;
            free(site);
        }
    }
    free(old->of_peer);
    free(old->rows);
    free(old);
    *clients = NULL;
}

static void
site_octets(const char *address, enum limit_scope scope,
            uint8_t octets[SITE_OCTETS])
{
    octets[0] = (uint8_t)scope;
    limit_site(address, scope, octets + 1);
}

/* FNV-1a: who may open so many connections that a bucket grows long is
   stopped by maxconnections long before. */
static size_t
site_bucket(const uint8_t octets[SITE_OCTETS])
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < SITE_OCTETS; i++)
        hash = (hash ^ octets[i]) * 16777619u;
    return hash % BUCKETS;
}

/* The place that points to the site, or to NULL. */
static struct site **
site_find(const struct clients *clients, const uint8_t octets[SITE_OCTETS])
{
    struct site **at =
        (struct site **)(uintptr_t)&clients->buckets[site_bucket(octets)];

    while (*at != NULL && memcmp((*at)->octets, octets, SITE_OCTETS) != 0)
        at = &(*at)->next;
    return at;
}

static size_t
site_clients(const struct clients *clients, const char *address,
             enum limit_scope scope)
{
    uint8_t octets[SITE_OCTETS];
    const struct site *site;

    site_octets(address, scope, octets);
    site = *site_find(clients, octets);
    return site == NULL ? 0 : site->clients;
}

static void
site_count(struct clients *clients, const char *address,
           enum limit_scope scope)
{
    uint8_t octets[SITE_OCTETS];
    struct site **at;

    site_octets(address, scope, octets);
    at = site_find(clients, octets);
    if (*at == NULL) {
        *at = xcalloc(1, sizeof(**at));
        memcpy((*at)->octets, octets, SITE_OCTETS);
    }
    (*at)->clients++;
}

static void
site_discount(struct clients *clients, const char *address,
              enum limit_scope scope)
{
    uint8_t octets[SITE_OCTETS];
    struct site **at;
    struct site *site;

    site_octets(address, scope, octets);
    at = site_find(clients, octets);
    site = *at;
    assert(site != NULL && site->clients > 0);
    site->clients--;
    if (site->clients == 0) {
        *at = site->next;
        free(site);
    }
}

/* The peer whose room one more from address would take. */
static int
peer_find(const struct clients *clients, const struct config *config,
          const char *address)
{
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct config_peer *peer = &config->peers[i];

        if (clients->of_peer[i] >= (size_t)peer->maxconnections)
            continue;
        for (size_t j = 0; j < peer->address_count; j++)
            if (address_matches(address, peer->addresses[j]))
                return (int)i;
    }
    return PEER_NONE;
}

/* Count a client where it belongs: to its peer, or to everybody, its address
   and its network. */
static void
row_count(struct clients *clients, struct client *row, int peer)
{
    row->peer = peer;
    if (peer == PEER_NONE) {
        site_count(clients, row->address, LIMIT_ADDRESS);
        site_count(clients, row->address, LIMIT_NETWORK);
    } else {
        clients->of_peer[peer]++;
        clients->of_peers++;
    }
}

static void
row_discount(struct clients *clients, struct client *row)
{
    if (row->peer == PEER_NONE) {
        site_discount(clients, row->address, LIMIT_ADDRESS);
        site_discount(clients, row->address, LIMIT_NETWORK);
    } else {
        clients->of_peer[row->peer]--;
        clients->of_peers--;
    }
}

/* What is counted with whom, in the order in which it is looked at. */
static const struct {
    enum limit_scope scope;
    const char *words;
} scopes[] = {
    {LIMIT_ADDRESS, " from your address"},
    {LIMIT_NETWORK, " from your network"},
    {LIMIT_SERVER, ""},
};
enum { SCOPES = sizeof(scopes) / sizeof(scopes[0]) };

/* Are so many here that one more is too many? */
static bool
room_is_none(const struct clients *clients, const struct config *config,
             const char *address, struct buffer *why)
{
    const int64_t most[SCOPES] = {config->maxconnections_per_address,
                                  config->maxconnections_per_network,
                                  config->maxconnections};

    for (size_t i = 0; i < SCOPES; i++) {
        size_t now = scopes[i].scope == LIMIT_SERVER
                         ? clients->count - clients->of_peers
                         : site_clients(clients, address, scopes[i].scope);

        if (most[i] == 0 || now < (size_t)most[i])
            continue;
        buffer_append_format(why,
                             "Too many connections%s: at most %" PRId64
                             " at once; try again when one has ended",
                             scopes[i].words, most[i]);
        return true;
    }
    return false;
}

/* Have so many come of late that one more is too many? */
static bool
rate_is_over(const struct clients *clients, const struct config *config,
             const char *address, struct buffer *why)
{
    uint64_t now_ns = clock_ns();

    for (size_t i = 0; i < SCOPES; i++) {
        enum limit_scope scope = scopes[i].scope;
        struct limit limit = {LIMIT_CONNECTIONS,
                              config->limits[LIMIT_CONNECTIONS][scope]};
        uint8_t site[LIMIT_SITE_OCTETS];
        uint64_t wait_ns;

        limit_site(scope == LIMIT_SERVER ? "" : address, scope, site);
        wait_ns =
            limit_take(clients->limits,
                       limit_key(clients->limits, scope, site, sizeof(site)),
                       &limit, 1, now_ns);
        if (wait_ns == 0)
            continue;
        buffer_append_format(why, "Too many connections%s: ", scopes[i].words);
        limit_explain(&limit, wait_ns, why);
        return true;
    }
    return false;
}

bool
clients_refuse(struct clients *clients, const struct config *config,
               const char *address, struct buffer *why)
{
    if (peer_find(clients, config, address) != PEER_NONE)
        return false;
    return room_is_none(clients, config, address, why)
           || rate_is_over(clients, config, address, why);
}

static struct client *
row_take(struct clients *clients)
{
    struct client *row;

    if (clients->free == clients->size) {
        size_t size = clients->size == 0 ? 64 : clients->size * 2;

        clients->rows =
            xreallocarray(clients->rows, size, sizeof(*clients->rows));
        for (size_t i = clients->size; i < size; i++) {
            clients->rows[i].serial = 0;
            clients->rows[i].next_free = i + 1;
        }
        clients->size = size;
    }
    row = &clients->rows[clients->free];
    clients->free = row->next_free;
    clients->serial++;
    if (clients->serial == 0)
        clients->serial = 1;
    row->serial = clients->serial;
    return row;
}

uint64_t
clients_add(struct clients *clients, const struct config *config,
            const char *address, unsigned worker)
{
    struct client *row = row_take(clients);
    size_t length = strnlen(address, sizeof(row->address) - 1);

    memcpy(row->address, address, length);
    row->address[length] = '\0';
    row->worker = worker;
    row_count(clients, row, peer_find(clients, config, address));
    clients->count++;
    return (uint64_t)row->serial << 32 | (uint64_t)(row - clients->rows);
}

static void
row_give_back(struct clients *clients, struct client *row)
{
    row_discount(clients, row);
    clients->count--;
    row->serial = 0;
    row->next_free = clients->free;
    clients->free = (size_t)(row - clients->rows);
}

bool
clients_remove(struct clients *clients, uint64_t client, unsigned worker)
{
    size_t index = (uint32_t)client;
    uint32_t serial = (uint32_t)(client >> 32);

    if (index >= clients->size || serial == 0
        || clients->rows[index].serial != serial
        || clients->rows[index].worker != worker)
        return false;
    row_give_back(clients, &clients->rows[index]);
    return true;
}

void
clients_remove_worker(struct clients *clients, unsigned worker)
{
    for (size_t i = 0; i < clients->size; i++)
        if (clients->rows[i].serial != 0 && clients->rows[i].worker == worker)
            row_give_back(clients, &clients->rows[i]);
}

void
clients_reload(struct clients *clients, const struct config *config)
{
    for (size_t i = 0; i < clients->size; i++)
        if (clients->rows[i].serial != 0)
            row_discount(clients, &clients->rows[i]);
    free(clients->of_peer);
    clients->of_peer = xcalloc(config->peer_count, sizeof(size_t));
    for (size_t i = 0; i < clients->size; i++) {
        struct client *row = &clients->rows[i];

        if (row->serial != 0)
            row_count(clients, row, peer_find(clients, config, row->address));
    }
}

size_t
clients_count(const struct clients *clients)
{
    return clients->count;
}
