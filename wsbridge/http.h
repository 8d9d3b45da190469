/*
 * http -- what is answered to a browser that does not speak WebSocket yet:
 * the page's files, /metrics, /healthz, and whether it may begin.
 *
 * Every answer forbids the browser to guess types, to run anything but the
 * page's own files, and to show the page inside another one.  /metrics and
 * /healthz are for this machine alone, and not for what a proxy on it hands
 * on (X-Forwarded-For).  Who calls us by a name that is none of ours
 * (handshake.h) is answered 421, whatever he asks for.
 */
#ifndef WSBRIDGE_HTTP_H
#define WSBRIDGE_HTTP_H

#include <stddef.h>

#include <libwebsockets.h>

extern const size_t http_octets; /* the user space of a connection */

int http_callback(struct lws *wsi, enum lws_callback_reasons reason,
                  void *user, void *in, size_t octets);

#endif
