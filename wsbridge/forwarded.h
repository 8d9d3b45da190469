/*
 * forwarded -- where a browser behind proxies comes from.
 *
 * A proxy connects to us in the place of the browser, and appends to
 * X-Forwarded-For, a list of addresses, whom it does that for.  What stands
 * further left was said by whoever came to that proxy, and may be invented. So
 * the list is read from its end: the word of a proxy in http_proxies is
 * believed, and so on as long as it names another one of these; nobody else's
 * is.  (Of Forwarded, RFC 7239, libwebsockets gives the first header only,
 * which is the client's where the proxy adds one of its own: it is not looked
 * at.)
 */
#ifndef WSBRIDGE_FORWARDED_H
#define WSBRIDGE_FORWARDED_H

struct config;

/*
 * Whom does the connection from this address come from?  x_forwarded_for is
 * "" where there is none, all of them joined by commas.  Fills address with
 * him (numeric, IPv4 within IPv6 as IPv4), peer itself where that is no proxy
 * of ours or says nothing.  -1 when one of ours says what is no address: who
 * cannot be told apart from the proxy is not to have the proxy's rights.
 */
int forwarded_client(const struct config *config, const char *peer,
                     const char *x_forwarded_for, char address[48]);

#endif
