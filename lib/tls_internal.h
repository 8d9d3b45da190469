/*
 * tls_internal -- what lib/tls.c and lib/tls_context.c share.
 */
#ifndef LIB_TLS_INTERNAL_H
#define LIB_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <stdbool.h>

struct tls_context;
struct tls_identity;

/* One more reference. */
struct tls_context *tls_context_hold(struct tls_context *context);
SSL_CTX *tls_context_ssl(const struct tls_context *context);
/* Of a peer's: the name to ask for, and what must be one of its pins. */
const char *tls_context_name(const struct tls_context *context);
bool tls_context_pins(const struct tls_context *context,
                      const struct tls_identity *identity);

#endif
