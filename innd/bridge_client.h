/*
 * bridge_client -- is what the bridge calls a client of its own one?
 *
 * The bridge reads what anyone on the web may send, by a library that is not
 * ours: the master believes it no further than this.  The descriptor must be
 * a connected Unix-domain stream socket, so that a bridge in wrong hands can
 * pass a worker nothing else to read and write; the address a numeric one.
 */
#ifndef INND_BRIDGE_CLIENT_H
#define INND_BRIDGE_CLIENT_H

#include <stdbool.h>

struct ipc_bridge;

bool bridge_client_is_good(const struct ipc_bridge *client, int fd);

#endif
