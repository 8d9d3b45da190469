/*
 * bridge -- the process: its listening sockets, its loop, and what the master
 * says.
 *
 * The loop is libwebsockets' own (poll).  What is no browser's socket lies in
 * it as a raw descriptor: the listening sockets, the control socket with the
 * master, and our end of each client's socketpair.  lib/ipc.h speaks on the
 * control socket through a libevent base that is turned, without waiting,
 * whenever the control socket stirs and once a second.
 */
#ifndef WSBRIDGE_BRIDGE_H
#define WSBRIDGE_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libwebsockets.h>

struct child_arguments;
struct config;
struct event_base;
struct ipc;
struct ipc_bridge;
struct pages;
struct shared;
struct shared_slot;

enum {
    BRIDGE_MESSAGE_OCTETS_MAX = 64 * 1024, /* of one WebSocket message */
    BRIDGE_SOCKETS_MAX = 8,                /* that we listen on */
    BRIDGE_DRAIN_MS = 11000, /* the workers end their sessions within 10 s */
    BRIDGE_ORPHAN_MS = 3000, /* after the master's death */
};

struct bridge {
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct event_base *base;
    struct ipc *control; /* NULL: the master has gone */
    struct lws *control_wsi;
    struct lws *listeners[BRIDGE_SOCKETS_MAX];
    size_t listener_count;
    struct config *config;
    struct shared *shared;
    struct shared_slot *slot;
    struct pages *pages;
    lws_sorted_usec_list_t tick;
    bool accepting;
    bool stranger_told; /* the log has of this configuration a name not ours */
    bool draining;
    uint64_t drain_until_ms;
    /* for /metrics */
    uint64_t tunnels;        /* WebSocket clients now */
    uint64_t tunnels_served; /* ever */
    uint64_t upgrades_refused;
    uint64_t http_answers;
};

void bridge_open(struct bridge *bridge,
                 const struct child_arguments *arguments);
/* Until the master says so or is gone, and the clients have ended. */
void bridge_serve(struct bridge *bridge);
void bridge_close(struct bridge *bridge);

/* Give the master our client's end; fd is given away.  False when there is no
   master any more. */
bool bridge_send_client(struct bridge *bridge, int fd,
                        const struct ipc_bridge *client);
/* Whose socket this is: numeric, IPv4 within IPv6 as IPv4.  False when the
   socket is not connected any more. */
bool bridge_peer_address(struct lws *wsi, char address[48], unsigned *port_r);
/* Does it come from this machine? */
bool bridge_address_is_near(const char *address);
/* Whom a request comes from, through our proxies or not (forwarded.h), while
   its headers are there.  False: nobody can tell. */
bool bridge_client(struct lws *wsi, struct ipc_bridge *client);

/* The bridge that a connection belongs to. */
struct bridge *bridge_of(struct lws *wsi);

#endif
