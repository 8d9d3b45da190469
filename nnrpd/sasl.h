/*
 * sasl -- the exchange of an AUTHINFO SASL, as the rest of a session sees it
 * (cmd_sasl.c).
 */
#ifndef NNRPD_SASL_H
#define NNRPD_SASL_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct sasl;
struct session;

void sasl_free(struct sasl **sasl);
/* A line of the client's while session->sasl is there: a response, with the
   line's end.  It may be as long as any line, and is the caller's to wipe. */
void sasl_respond(struct session *session, const char *line, size_t octets);

/* Is there a mechanism that is of use to this client, here and now? */
bool sasl_is_offered(const struct session *session);
/* These mechanisms, a space before each. */
void sasl_print(const struct session *session, struct buffer *text);

#endif
