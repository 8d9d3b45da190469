/*
 * client -- who is connected: which worker serves whom, how many come from one
 * address, and whether one more may come.
 *
 * An address counts as its IPv4 address or its IPv6 /48.  A peer has room of
 * its own, its section's maxconnections, that readers cannot take away; what
 * comes from its addresses beyond that counts as everybody's.
 */
#ifndef INND_CLIENT_H
#define INND_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clients;
struct config;

struct clients *clients_new(const struct config *config);
void clients_free(struct clients **clients);

/* NULL when one more from address may come, else the reason for its 400. */
const char *clients_refusal(const struct clients *clients,
                            const struct config *config, const char *address);
/* A client of worker; returns the number that the worker gives back. */
uint64_t clients_add(struct clients *clients, const struct config *config,
                     const char *address, unsigned worker);
/* False when worker has no client of this number. */
bool clients_remove(struct clients *clients, uint64_t client, unsigned worker);
/* All of a worker that has ended. */
void clients_remove_worker(struct clients *clients, unsigned worker);
/* Another configuration: find each client's peer anew.  What the others are
   given as config must be the one of the last call. */
void clients_reload(struct clients *clients, const struct config *config);
size_t clients_count(const struct clients *clients);

#endif
