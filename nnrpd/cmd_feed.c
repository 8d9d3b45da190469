/*
 * cmd_feed -- IHAVE, CHECK and TAKETHIS (RFC 3977, 6.3.2; RFC 4644).
 *
 * A peer goes by the code: 435, 437, 438 and 439 say never again, 431 and 436
 * say later.  TAKETHIS has no "later": 400, and the connection closes.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/message_id.h"
#include "nnrpd/cmd.h"
#include "nnrpd/incoming.h"
#include "nnrpd/receive.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"
#include "storage/active.h"
#include "storage/relay.h"

static const char later[] = "Article cannot be stored at present";

static void
count_received(struct session *session, const char *id)
{
    worker_count(session->worker, COUNTER_RECEIVED, 1);
    session->received++;
    debug("%s: received id=%s", session_name(session), id);
}

static void
count_duplicate(struct session *session)
{
    worker_count(session->worker, COUNTER_DUPLICATES, 1);
    session->duplicates++;
}

static void
count_refused(struct session *session, const char *id, const char *why)
{
    worker_count(session->worker, COUNTER_REFUSED, 1);
    session->refused++;
    debug("%s: refused id=%s reason=%s", session_name(session), id, why);
}

static void
count_deferred(struct session *session)
{
    worker_count(session->worker, COUNTER_DEFERRED, 1);
}

/* Stored lately?  Then the writer need not be asked. */
static bool
id_is_known(const struct session *session, const char *id,
            struct message_hash *hash_r)
{
    struct active *active = session->worker->active;
    struct message_key key = active_key(active);
    struct token token;
    uint64_t sequence;

    *hash_r = message_id_hash(&key, id, strlen(id));
    return active_known_find(active, hash_r, &sequence, &token);
}

/* --- CHECK --- */

static void
check_answered(void *context, const struct writer_answer *answer)
{
    struct pending_reply *reply = context;
    struct session *session = reply->session;

    reply->request = NULL;
    if (!answer->away && answer->check == CHECK_WANTED) {
        pending_know(reply, "238 %s", reply->id);
    } else if (!answer->away && answer->check == CHECK_KNOWN) {
        count_duplicate(session);
        pending_know(reply, "438 %s", reply->id);
    } else {
        count_deferred(session);
        pending_know(reply, "431 %s", reply->id);
    }
}

void
cmd_check(struct session *session, const struct arguments *arguments)
{
    const char *id = arguments->word[0];
    struct pending_reply *reply;
    struct writer_request *request;
    struct message_hash hash;
    bool known = id_is_known(session, id, &hash);

    reply = pending_add(session, id, &hash, false);
    if (!message_id_is_valid(id, strlen(id))) {
        pending_know(reply, "438 %s Bad message-ID", id);
    } else if (known) {
        count_duplicate(session);
        pending_know(reply, "438 %s", id);
    } else if (cmd_why_not_now(session) != NULL) {
        count_deferred(session);
        pending_know(reply, "431 %s", id);
    } else {
        request = writer_check(session->worker->writer, &hash, check_answered,
                               reply);
        /* NULL: it was answered at once, and the slot is gone. */
        if (request != NULL)
            reply->request = request;
    }
}

/* --- TAKETHIS --- */

/* Not now: RFC 4644, 2.5.1 has no code for it but the end of the session. */
static void
takethis_defer(struct pending_reply *reply, const char *why)
{
    count_deferred(reply->session);
    reply->closes = true;
    pending_know(reply, "400 %s", session_reason(why));
}

static void
takethis_refuse(struct pending_reply *reply, const char *why)
{
    count_refused(reply->session, reply->id, why);
    pending_know(reply, "439 %s %s", reply->id, session_reason(why));
}

static void
takethis_outcome(void *context, const struct writer_answer *answer)
{
    struct pending_reply *reply = context;

    reply->request = NULL;
    if (answer->away) {
        takethis_defer(reply, later);
        return;
    }
    switch (answer->outcome) {
    case STORE_STORED:
        count_received(reply->session, reply->id);
        pending_know(reply, "239 %s", reply->id);
        return;
    case STORE_DUPLICATE:
        count_duplicate(reply->session);
        pending_know(reply, "439 %s Duplicate", reply->id);
        return;
    case STORE_REFUSED:
        takethis_refuse(reply, answer->why);
        return;
    case STORE_LATER:
        takethis_defer(reply, answer->why);
        return;
    }
    takethis_defer(reply, later);
}

static void
takethis_submit(struct session *session, struct pending_reply *reply,
                struct buffer *payload)
{
    struct writer_request *request;

    pending_submitted(reply, payload->used);
    request = writer_submit(session->worker->writer, LINK_FEED, payload,
                            takethis_outcome, reply);
    /* NULL: it was answered at once, and the slot may be gone. */
    if (request != NULL)
        reply->request = request;
}

static void
takethis_received(struct session *session, struct receive *receive)
{
    struct buffer why = BUFFER_EMPTY, payload = BUFFER_EMPTY;
    struct pending_reply *reply = receive->reply;
    const char *fault = receive_fault(receive, &why);
    struct message_hash hash;

    if (fault == NULL && receive_deferral(receive) != NULL) {
        takethis_defer(reply, receive_deferral(receive));
    } else if (fault != NULL) {
        takethis_refuse(reply, fault);
    } else if (id_is_known(session, receive->id, &hash)) {
        count_duplicate(session);
        pending_know(reply, "439 %s Duplicate", reply->id);
    } else if (incoming_relayed(session, receive, &payload, &why) < 0) {
        takethis_refuse(reply, buffer_text(&why));
    } else {
        takethis_submit(session, reply, &payload);
    }
    buffer_free(&payload);
    buffer_free(&why);
}

void
cmd_takethis(struct session *session, const struct arguments *arguments)
{
    const char *id = arguments->word[0];
    const char *why = cmd_why_not_now(session);
    struct receive *receive;
    struct message_hash hash;
    struct message_key key = active_key(session->worker->active);

    if (!message_id_is_valid(id, strlen(id))) {
        cmd_takethis_refused(session, 439, id, "Bad message-ID");
        return;
    }
    hash = message_id_hash(&key, id, strlen(id));
    if (why != NULL) {
        takethis_defer(pending_add(session, id, &hash, true), why);
        /* Its article is not read: no command can be behind it. */
        session_end(session);
        return;
    }
    receive = receive_begin(
        session, id, relay_octets_max(session->worker->config->maxartsize),
        takethis_received);
    receive->reply = pending_add(session, id, &hash, true);
}

static void
takethis_refused_received(struct session *session, struct receive *receive)
{
    struct pending_reply *reply = receive->reply;

    if (receive->id == NULL) {
        pending_know(reply, "%u %s", receive->code,
                     session_reason(receive->refusal));
    } else {
        count_refused(session, receive->id, receive->refusal);
        pending_know(reply, "%u %s %s", receive->code, receive->id,
                     session_reason(receive->refusal));
    }
}

void
cmd_takethis_refused(struct session *session, unsigned code, const char *id,
                     const char *text)
{
    static const struct message_hash no_hash;
    struct receive *receive =
        receive_begin(session, id, 0, takethis_refused_received);

    receive->code = code;
    receive->refusal = xstrdup(text);
    receive->reply =
        pending_add(session, id == NULL ? "" : id, &no_hash, false);
}

/* --- IHAVE --- */

struct ihave_work {
    struct session *session;
    char *id;
    struct writer_request *request;
    bool done;
};

static void
ihave_outcome(struct session *session, const char *id,
              const struct writer_answer *answer)
{
    if (!answer->away) {
        switch (answer->outcome) {
        case STORE_STORED:
            count_received(session, id);
            session_reply(session, "235 Article transferred");
            return;
        case STORE_DUPLICATE:
            count_duplicate(session);
            session_reply(session, "437 Duplicate");
            return;
        case STORE_REFUSED:
            count_refused(session, id, answer->why);
            session_reply(session, "437 %s", session_reason(answer->why));
            return;
        case STORE_LATER:
            break;
        }
    }
    count_deferred(session);
    session_reply(session, "436 %s", later);
}

static void
ihave_received(struct session *session, struct receive *receive)
{
    struct buffer why = BUFFER_EMPTY, payload = BUFFER_EMPTY;
    const char *fault = receive_fault(receive, &why);

    if (fault == NULL && receive_deferral(receive) != NULL) {
        count_deferred(session);
        session_reply(session, "436 %s", receive_deferral(receive));
        return;
    }
    if (fault == NULL
        && incoming_relayed(session, receive, &payload, &why) < 0)
        fault = buffer_text(&why);
    if (fault != NULL) {
        count_refused(session, receive->id, fault);
        session_reply(session, "437 %s", session_reason(fault));
    } else {
        incoming_submit(session, LINK_FEED, &payload, receive->id,
                        ihave_outcome);
    }
    buffer_free(&payload);
    buffer_free(&why);
}

static void
ihave_send_it(struct session *session, const char *id)
{
    session_reply(session, "335 Send it");
    (void)receive_begin(session, id,
                        relay_octets_max(session->worker->config->maxartsize),
                        ihave_received); /* the session owns it */
}

static void
ihave_answered(void *context, const struct writer_answer *answer)
{
    struct ihave_work *work = context;
    struct session *session = work->session;

    work->request = NULL;
    work->done = true;
    session_wake(session);
    if (!answer->away && answer->check == CHECK_WANTED) {
        ihave_send_it(session, work->id);
    } else if (!answer->away && answer->check == CHECK_KNOWN) {
        count_duplicate(session);
        session_reply(session, "435 Duplicate");
    } else {
        count_deferred(session);
        session_reply(session, "436 %s", later);
    }
}

static enum step
ihave_step(void *context)
{
    struct ihave_work *work = context;

    return work->done ? STEP_DONE : STEP_WAIT;
}

static void
ihave_free(void *context)
{
    struct ihave_work *work = context;

    writer_forget(&work->request);
    free(work->id);
    free(work);
}

static const struct work_kind ihave_work_kind = {ihave_step, ihave_free};

void
cmd_ihave(struct session *session, const struct arguments *arguments)
{
    const char *id = arguments->word[0];
    const char *why = cmd_why_not_now(session);
    struct ihave_work *work;
    struct message_hash hash;

    if (!message_id_is_valid(id, strlen(id))) {
        session_reply(session, "435 Bad message-ID");
    } else if (id_is_known(session, id, &hash)) {
        count_duplicate(session);
        session_reply(session, "435 Duplicate");
    } else if (why != NULL) {
        count_deferred(session);
        session_reply(session, "436 %s", session_reason(why));
    } else {
        work = xcalloc(1, sizeof *work);
        work->session = session;
        work->id = xstrdup(id);
        session_begin(session, &ihave_work_kind, work);
        work->request =
            writer_check(session->worker->writer, &hash, ihave_answered, work);
    }
}
