/*
 * cmd_misc -- the commands about the session and the server (RFC 3977, 5 and
 * 7; MODE STREAM of RFC 4644).
 */
#include <time.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/date.h"
#include "nnrpd/cmd.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"

/* 200 also for a peer that may not post: it sends articles (INN's word for
   it is the same), and 201 would turn some senders away; and where a login
   may grant posting. */
static void
greet(struct session *session, bool may_post)
{
    may_post = may_post || session_denial(session) != 502;
    session_reply(session, "%d %s Renews news server ready (%s)",
                  may_post ? 200 : 201, session->worker->config->pathhost,
                  (session->access.rights & RIGHT_POST) != 0
                      ? "posting allowed"
                      : "no posting");
}

void
cmd_greet(struct session *session)
{
    greet(session, (session->access.rights & (RIGHT_POST | RIGHT_FEED)) != 0);
}

void
cmd_mode_reader(struct session *session, const struct arguments *arguments)
{
    (void)arguments; /* there are none */
    if ((session->access.rights & RIGHT_READ) == 0
        && session_denial(session) == 502) {
        session_reply(session, "502 Permission denied");
        session_end(session);
        return;
    }
    greet(session, (session->access.rights & RIGHT_POST) != 0);
}

void
cmd_mode_stream(struct session *session, const struct arguments *arguments)
{
    (void)arguments; /* there are none */
    session_reply(session, "203 Streaming permitted");
}

void
cmd_capabilities(struct session *session, const struct arguments *arguments)
{
    struct buffer text = BUFFER_EMPTY;

    (void)arguments; /* RFC 3977, 5.2.1: a keyword changes nothing */
    session->capable = true;
    buffer_append_text(&text, "101 Capability list:\r\nVERSION 2\r\n"
                              "IMPLEMENTATION Renews " PACKAGE_VERSION "\r\n");
    command_print_capabilities(session, &text);
    buffer_append_text(&text, ".\r\n");
    session_write(session, text.data, text.used);
    buffer_free(&text);
}

void
cmd_help(struct session *session, const struct arguments *arguments)
{
    struct buffer text = BUFFER_EMPTY;

    (void)arguments; /* there are none */
    buffer_append_text(&text, "100 Legal commands\r\n");
    command_print_help(&text);
    buffer_append_text(&text, ".\r\n");
    session_write(session, text.data, text.used);
    buffer_free(&text);
}

void
cmd_date(struct session *session, const struct arguments *arguments)
{
    char text[DATE_OCTETS];

    (void)arguments; /* there are none */
    date_format_compact(time(NULL), text);
    session_reply(session, "111 %s", text);
}

void
cmd_quit(struct session *session, const struct arguments *arguments)
{
    (void)arguments; /* there are none */
    session_reply(session, "205 Bye");
    session_end(session);
    /* The client has said its last word too. */
    session->lingers = false;
}

const char *
cmd_why_not_now(const struct session *session)
{
    static char reason[SHARED_REASON_OCTETS];
    const struct shared *shared = session->worker->shared;

    if (shared_mode(shared, reason) != MODE_RUNNING)
        return reason[0] == '\0' ? "No articles are taken at present" : reason;
    if (atomic_load(&shared->store_full) != 0)
        return "No room on the disk at present";
    if (writer_is_away(session->worker->writer))
        return "No articles can be stored at present";
    return NULL;
}
