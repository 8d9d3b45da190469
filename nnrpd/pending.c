/*
 * pending -- see pending.h.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "nnrpd/pending.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"

void
pending_init(struct pending *pending)
{
    *pending = (struct pending){0};
    TAILQ_INIT(&pending->replies);
}

static void
pending_uncount(struct pending_reply *reply)
{
    struct session *session = reply->session;

    session->pending.submitted_octets -= reply->submitted_octets;
    worker_submitted(session->worker, 0, reply->submitted_octets);
    reply->submitted_octets = 0;
}

static void
pending_release(struct pending_reply *reply)
{
    struct pending *pending = &reply->session->pending;

    pending->count--;
    if (reply->takethis)
        pending->takethis_count--;
    pending_uncount(reply);
    writer_forget(&reply->request);
    free(reply->id);
    free(reply->text);
    free(reply);
}

void
pending_free(struct session *session)
{
    struct pending_reply *reply, *next;

    for (reply = TAILQ_FIRST(&session->pending.replies); reply != NULL;
         reply = next) {
        next = TAILQ_NEXT(reply, entry);
        pending_release(reply);
    }
    TAILQ_INIT(&session->pending.replies);
}

struct pending_reply *
pending_add(struct session *session, const char *id,
            const struct message_hash *hash, bool takethis)
{
    struct pending_reply *reply = xcalloc(1, sizeof *reply);

    reply->session = session;
    reply->id = xstrdup(id);
    reply->hash = *hash;
    reply->takethis = takethis;
    TAILQ_INSERT_TAIL(&session->pending.replies, reply, entry);
    session->pending.count++;
    if (takethis)
        session->pending.takethis_count++;
    return reply;
}

void
pending_submitted(struct pending_reply *reply, size_t octets)
{
    reply->submitted_octets = octets;
    reply->session->pending.submitted_octets += octets;
    worker_submitted(reply->session->worker, octets, 0);
}

/* Send what is known from the first slot on. */
static void
pending_send(struct session *session)
{
    struct pending_reply *reply;
    bool closes = false;

    while ((reply = TAILQ_FIRST(&session->pending.replies)) != NULL
           && reply->text != NULL && !closes) {
        session_reply(session, "%s", reply->text);
        closes = reply->closes;
        TAILQ_REMOVE(&session->pending.replies, reply, entry);
        pending_release(reply);
    }
    /* What came behind is offered again on another connection: after "400"
       nobody reads an answer. */
    if (closes) {
        pending_free(session);
        session_end(session);
    }
}

void
pending_know(struct pending_reply *reply, const char *format, ...)
{
    struct session *session = reply->session;
    struct buffer text = BUFFER_EMPTY;
    va_list args;

    va_start(args, format);
    buffer_append_vformat(&text, format, args);
    va_end(args);
    reply->text = buffer_take(&text);
    pending_uncount(reply);
    session_wake(session);
    if (TAILQ_FIRST(&session->pending.replies) == reply)
        pending_send(session);
}

bool
pending_has_takethis(const struct session *session,
                     const struct message_hash *hash)
{
    const struct pending_reply *reply;

    if (session->pending.takethis_count == 0)
        return false;
    for (reply = TAILQ_FIRST(&session->pending.replies); reply != NULL;
         reply = TAILQ_NEXT(reply, entry))
        if (reply->takethis && reply->text == NULL
            && memcmp(&reply->hash, hash, sizeof *hash) == 0)
            return true;
    return false;
}

bool
pending_is_full(const struct session *session)
{
    return session->pending.count >= PENDING_MAX
           || session->pending.submitted_octets >= PENDING_SUBMITTED_OCTETS_MAX
           || session->worker->submitted_octets >= WORKER_SUBMITTED_OCTETS_MAX;
}
