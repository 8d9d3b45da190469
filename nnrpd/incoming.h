/*
 * incoming -- an article that came in, on its way to the writer.
 *
 * What POST, IHAVE and TAKETHIS have in common: the checks, the submission,
 * and the command that waits for the outcome.
 */
#ifndef NNRPD_INCOMING_H
#define NNRPD_INCOMING_H

#include "lib/ipc.h"

struct buffer;
struct receive;
struct session;
struct writer_answer;

/*
 * A relayed article: it must be the one that was offered, acceptable, and of
 * newsgroups that this peer may send.  Builds the payload for the writer.
 * Returns 0 or -1 with the text of the refusal.
 */
int incoming_relayed(const struct session *session,
                     const struct receive *receive, struct buffer *payload,
                     struct buffer *why);

/* What to reply; called once, the session is free for its next command
   afterwards.  id is the article's. */
typedef void incoming_reply_func(struct session *session, const char *id,
                                 const struct writer_answer *answer);
/* Submit the payload; the session's command is done when reply has run. */
void incoming_submit(struct session *session, enum ipc_link_kind kind,
                     struct buffer *payload, const char *id,
                     incoming_reply_func *reply);

#endif
