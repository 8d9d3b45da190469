/*
 * tls_context -- what all TLS connections of one process have in common: our
 * certificates, whom we believe, versions, ciphers, keys of tickets.
 *
 * Made from the configuration and the files that came with it
 * (lib/config_credentials.h), for our clients or for a peer that we connect
 * to; made anew at a reload.  A connection holds on to the one it began with,
 * so that nobody notices.
 *
 * TLS 1.2 at least, no compression, no renegotiation, ALPN "nntp" (and "nnsp",
 * for those who feed).  A client's certificate is never required: whoever
 * decides about rights asks for its names (lib/tls.h), and what they are
 * worth.
 */
#ifndef LIB_TLS_CONTEXT_H
#define LIB_TLS_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/tls_ticket.h"

struct buffer;
struct config;
struct config_peer;
struct tls_context;

/* Once, before the first key is read: keys lie where no core file and no swap
   has them. */
void tls_secure_memory(void);

/* For clients of ours.  NULL with why where a file is not what it should be
   ("FILE:LINE: KEY: found ..., expected ..."), and with an empty why where no
   certificate is configured. */
struct tls_context *tls_context_server(const struct config *config,
                                       struct buffer *why);
/* For our connections to a peer whose section has `tls`.  NULL with why. */
struct tls_context *tls_context_peer(const struct config *config,
                                     const struct config_peer *peer,
                                     struct buffer *why);
/* Give up a reference. */
void tls_context_free(struct tls_context **context);

/* Check all that the configuration says about TLS, for the master: 0 or -1
   with why.  Warns of certificates that have expired, or soon will have. */
int tls_check(const struct config *config, struct buffer *why);

/* Until this is called no tickets are given out. */
void tls_context_set_tickets(struct tls_context *context,
                             const struct tls_tickets *tickets);

#endif
