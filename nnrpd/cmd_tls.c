/*
 * cmd_tls -- STARTTLS (RFC 4642).
 *
 * The reply leaves in the clear, with all that was said before; then the
 * session waits for the handshake, and begins anew.
 */
#include <event2/buffer.h>

#include "lib/ipc.h"
#include "lib/stream.h"
#include "nnrpd/cmd.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"

bool
session_may_start_tls(const struct session *session)
{
    return session->worker->tls != NULL && !session_is_secure(session)
           && session->access.user == NULL
           && !stream_is_compressed(session->stream)
           && session->listener != LISTENER_BRIDGE;
}

static enum step
starttls_step(void *work)
{
    struct session *session = work;

    stream_flush(session->stream);
    if (evbuffer_get_length(stream_output(session->stream)) > 0)
        return STEP_WAIT;
    session_start_tls(session);
    return STEP_DONE;
}

/* It is the session itself. */
static void
starttls_free(void *work)
{
    (void)work;
}

static const struct work_kind starttls_kind = {starttls_step, starttls_free};

void
cmd_starttls(struct session *session, const struct arguments *arguments)
{
    (void)arguments; /* there are none */
    if (session_is_secure(session)) {
        session_reply(session, "502 TLS is already active");
    } else if (session->access.user != NULL) {
        session_reply(session, "502 Already logged in");
    } else if (!session_may_start_tls(session)) {
        session_reply(session, "580 Can not initiate TLS negotiation");
    } else {
        session_reply(session, "382 Continue with TLS negotiation");
        session_begin(session, &starttls_kind, session);
    }
}
