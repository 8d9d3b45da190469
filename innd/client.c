#include "innd/client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config.h"
#include "lib/memory.h"

enum { BUCKETS = 4096, PEER_NONE = -1, SITE_OCTETS = 16 };

/* Where clients come from: an IPv4 address or an IPv6 /48. */
struct site {
    uint8_t octets[SITE_OCTETS];
    size_t clients;
    struct site *next; /* of the same bucket */
};

struct client {
    uint32_t serial; /* with the index the number of the client; 0: free */
    unsigned worker;
    int peer; /* whose room it takes, by the configuration's list */
    uint8_t site[SITE_OCTETS];
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
    struct site *buckets[BUCKETS];
};

struct clients *
clients_new(const struct config *config)
{
    struct clients *clients = xcalloc(1, sizeof(*clients));

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

/* IPv4 as ::ffff:a.b.c.d whole, IPv6 without what lies behind its /48. */
static void
site_octets(const char *address, uint8_t octets[SITE_OCTETS])
{
    memset(octets, 0, SITE_OCTETS);
    if (inet_pton(AF_INET, address, octets + 12) == 1) {
        octets[10] = 0xff;
        octets[11] = 0xff;
    } else if (inet_pton(AF_INET6, address, octets) == 1) {
        memset(octets + 6, 0, SITE_OCTETS - 6);
    }
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

static void
site_count(struct clients *clients, const uint8_t octets[SITE_OCTETS])
{
    struct site **at = site_find(clients, octets);

    if (*at == NULL) {
        *at = xcalloc(1, sizeof(**at));
        memcpy((*at)->octets, octets, SITE_OCTETS);
    }
    (*at)->clients++;
}

static void
site_discount(struct clients *clients, const uint8_t octets[SITE_OCTETS])
{
    struct site **at = site_find(clients, octets);
    struct site *site = *at;

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

/* Count a client where it belongs: to its peer, or to everybody and its site.
 */
static void
row_count(struct clients *clients, struct client *row, int peer)
{
    row->peer = peer;
    if (peer == PEER_NONE) {
        site_count(clients, row->site);
    } else {
        clients->of_peer[peer]++;
        clients->of_peers++;
    }
}

static void
row_discount(struct clients *clients, struct client *row)
{
    if (row->peer == PEER_NONE) {
        site_discount(clients, row->site);
    } else {
        clients->of_peer[row->peer]--;
        clients->of_peers--;
    }
}

const char *
clients_refusal(const struct clients *clients, const struct config *config,
                const char *address)
{
    uint8_t octets[SITE_OCTETS];
    const struct site *site;

    if (peer_find(clients, config, address) != PEER_NONE)
        return NULL;
    if (clients->count - clients->of_peers >= (size_t)config->maxconnections)
        return "Too many connections";
    site_octets(address, octets);
    site = *site_find(clients, octets);
    if (site != NULL
        && site->clients >= (size_t)config->maxconnections_per_address)
        return "Too many connections from your address";
    return NULL;
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
    site_octets(address, row->site);
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
