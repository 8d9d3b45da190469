/*
 * cmd_compress -- COMPRESS (RFC 8054).
 *
 * Once it is on there are no logins any more, and no STARTTLS (command.c): a
 * password that is compressed together with what others have said shows by its
 * length what it is.
 */
#include <strings.h>

#include "lib/deflate.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/stream.h"
#include "nnrpd/cmd.h"
#include "nnrpd/session.h"

bool
session_may_compress(const struct session *session)
{
    /* Between a page and its bridge there is no network. */
    return !stream_is_compressed(session->stream)
           && session->listener != LISTENER_BRIDGE;
}

void
cmd_compress(struct session *session, const struct arguments *arguments)
{
    struct deflate *deflate;

    if (strcasecmp(arguments->word[0], "DEFLATE") != 0) {
        session_reply(session, "503 Unknown compression algorithm");
        return;
    }
    deflate = session_may_compress(session) ? deflate_new() : NULL;
    if (deflate == NULL) {
        session_reply(session, "403 No memory for compression at present");
        return;
    }
    session_reply(session, "206 Compression active");
    stream_start_deflate(session->stream, deflate);
    debug("%s: compressed", session_name(session));
}
