/*
 * address -- numeric addresses and networks of clients and peers.
 *
 * An IPv4 address that arrives mapped into IPv6 (::ffff:192.0.2.1) is the IPv4
 * address.  Names are never resolved.
 */
#ifndef LIB_ADDRESS_H
#define LIB_ADDRESS_H

#include <stdbool.h>

/* A numeric IPv4 or IPv6 address. */
bool address_is_valid(const char *address);
/* An address, or an address with a prefix length ("192.0.2.0/24"). */
bool address_is_network(const char *network);
/* Does address (numeric, IPv4-mapped IPv6 counted as IPv4) lie in network
   ("192.0.2.0/24", "2001:db8::1")?  "localhost" is not resolved. */
bool address_matches(const char *address, const char *network);

#endif
