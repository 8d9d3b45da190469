/*
 * handshake -- what a browser says before it may speak with the server: whom
 * it believes it calls (Host), whose page it runs (Origin), and what it would
 * speak (Sec-WebSocket-Protocol).
 *
 * A browser lets the scripts of a page speak with whatever host the page came
 * from.  So a page of a stranger could reach a server inside our network under
 * the stranger's own name, once that name's address has been changed to ours
 * (DNS rebinding).  Hence nobody is served who calls us by a name that is none
 * of ours: ours are numeric addresses, which nobody can rebind, "localhost",
 * which is never asked of the DNS (RFC 6761, 6.3), pathhost, and http_hosts.
 *
 * Header values are text without their line end, "" where there is none.
 */
#ifndef WSBRIDGE_HANDSHAKE_H
#define WSBRIDGE_HANDSHAKE_H

#include <stdbool.h>

struct config;

/* Is this Host (RFC 9110, 7.2: a name or address, perhaps a port) one of ours?
   "" is: who sends none is no browser. */
bool handshake_host_is_ours(const struct config *config, const char *host);
/* May a page of this Origin (RFC 6454, 7; "" where there is no page) speak
   with the server that its browser calls host?  Our own page may, and those of
   http_origins. */
bool handshake_origin_is_good(const struct config *config, const char *origin,
                              const char *host);
/* Is protocol among those offered (RFC 6455, 4.1)?  Case counts. */
bool handshake_offers(const char *offered, const char *protocol);

#endif
