/*
 * tls_internal -- what lib/tls.c and lib/tls_context.c share.
 */
#ifndef LIB_TLS_INTERNAL_H
#define LIB_TLS_INTERNAL_H

#include <openssl/ssl.h>

struct tls_context;

/* One more reference. */
struct tls_context *tls_context_hold(struct tls_context *context);
SSL_CTX *tls_context_ssl(const struct tls_context *context);

#endif
