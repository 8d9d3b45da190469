/*
 * http -- what is answered to a browser that does not speak WebSocket yet:
 * the page's files, /metrics, /healthz, and whether it may begin.
 *
 * Every answer forbids the browser to guess types, to run anything but the
 * page's own files, and to show the page inside another one.  /metrics and
 * /healthz are for this machine alone, and not for what a proxy on it hands
 * on (X-Forwarded-For).
 */
#ifndef WSBRIDGE_HTTP_H
#define WSBRIDGE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <libwebsockets.h>

struct config;

extern const size_t http_octets; /* the user space of a connection */

int http_callback(struct lws *wsi, enum lws_callback_reasons reason,
                  void *user, void *in, size_t octets);

/* May a page of this origin (RFC 6454; "" where the client named none and so
   is no browser) speak with the server that its browser calls host? */
bool http_origin_is_good(const struct config *config, const char *origin,
                         const char *host);

#endif
