/*
 * listener -- the sockets that clients connect to.
 *
 * Bound by the master while it is still root, or taken from systemd.  A
 * client's socket goes, with its address, to one function; the master reads
 * nothing from it.
 */
#ifndef INND_LISTENER_H
#define INND_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct config;
struct event_base;
struct listeners;

/* A new client: its socket (now the callee's), whether it speaks TLS at once,
   its numeric address and port.  address is borrowed. */
typedef void listener_client_func(void *context, int fd, bool tls,
                                  const char *address, unsigned port);

/* NULL with why, which names address and port. */
struct listeners *listeners_open(const struct config *config,
                                 struct buffer *why);
/* The sockets of the bridge, which accepts for itself; none where no port is
   configured. */
struct listeners *listeners_open_bridge(const struct config *config,
                                        struct buffer *why);
/* The sockets, borrowed; returns how many. */
size_t listeners_fds(const struct listeners *listeners, const int **fds_r);
void listeners_close(struct listeners **listeners);
/* Where the first listens, for a port that the system chose.  Those that
   systemd passes speak TLS at once where their port is tls_port. */
unsigned listeners_port(const struct listeners *listeners);
/* "127.0.0.1 port 119, :: port 119" */
void listeners_describe(const struct listeners *listeners,
                        struct buffer *text);
/* Join a loop; nothing is accepted before listeners_accept(). */
void listeners_join(struct listeners *listeners, struct event_base *base,
                    listener_client_func *client, void *context);
/* Begin or stop to accept; connections wait in the kernel meanwhile. */
void listeners_accept(struct listeners *listeners, bool accept);

#endif
