/*
 * client -- who is connected: which worker serves whom, how many come from one
 * address, and whether one more may come.
 *
 * An address counts as its IPv4 address or its IPv6 /48, a network as its
 * IPv4 /24 or its IPv6 /32 (lib/limit.h).  A peer has room of its own, its
 * section's maxconnections, that readers cannot take away; what comes from its
 * addresses beyond that counts as everybody's.
 */
#ifndef INND_CLIENT_H
#define INND_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct clients;
struct config;
struct limit_table;

/* limits, where rates are counted, is borrowed. */
struct clients *clients_new(const struct config *config,
                            struct limit_table *limits);
void clients_free(struct clients **clients);

/* Must one more from address go?  Then why is the text of its 400; else it is
   counted among the new ones of this minute. */
bool clients_refuse(struct clients *clients, const struct config *config,
                    const char *address, struct buffer *why);
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
