/*
 * injection -- what this site adds to a post, by its configuration and by who
 * posts it (RFC 5537, 3.5): Injection-Info, Cancel-Lock, Sender and the like.
 */
#ifndef NNRPD_INJECTION_H
#define NNRPD_INJECTION_H

#include "lib/article.h"
#include "lib/buffer.h"

struct session;

/* For article_inject(); the texts that were made for it are in the buffers. */
struct own_fields {
    struct injection injection;
    struct buffer locks, keys, sender, account, host, distribution;
};

/* offered: the message-ID of the 340; borrowed. */
void own_fields_make(struct own_fields *own, const struct session *session,
                     const struct article *proto, const char *offered);
void own_fields_free(struct own_fields *own);

#endif
