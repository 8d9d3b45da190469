/*
 * tunnel -- one WebSocket client and the socketpair behind it.
 *
 * The octets of its messages, text or binary, are the octets of an NNTP
 * session (RFC 3977); where a message ends means nothing.  What the server
 * says goes back as binary messages, for news need not be UTF-8.  A message
 * of more than BRIDGE_MESSAGE_OCTETS_MAX octets ends the client with 1009.
 *
 * Neither side can make us hold much: what a worker does not take stops the
 * browser's socket, and we read from the worker only what the browser has
 * taken.
 */
#ifndef WSBRIDGE_TUNNEL_H
#define WSBRIDGE_TUNNEL_H

#include <libwebsockets.h>

#define TUNNEL_PROTOCOL "nntp" /* the subprotocol that a client asks for */

struct tunnel;
extern const size_t tunnel_octets; /* the user space of a connection */

/* The browser's side. */
int tunnel_callback(struct lws *wsi, enum lws_callback_reasons reason,
                    void *user, void *in, size_t octets);
/* The server's side: a raw descriptor whose opaque user data is its tunnel. */
int tunnel_pair_callback(struct lws *wsi, enum lws_callback_reasons reason,
                         void *user, void *in, size_t octets);

#endif
