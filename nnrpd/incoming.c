/*
 * incoming -- see incoming.h.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/memory.h"
#include "lib/newsgroup.h"
#include "lib/wildmat.h"
#include "nnrpd/incoming.h"
#include "nnrpd/receive.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"
#include "storage/active.h"
#include "storage/relay.h"

/* One of the groups must be the peer's to send, and none poison. */
static int
check_peer_groups(const struct session *session, const struct article *article,
                  struct buffer *why)
{
    const struct field_value *field = &article->fields[FIELD_NEWSGROUPS];
    const char *wildmat = session->access.peer_newsgroups;
    bool wanted = false;
    const char *name;
    size_t octets, at = 0;

    while (newsgroups_next(field->octets, field->length, &at, &name, &octets))
        switch (wildmat_match_poison(wildmat, strlen(wildmat), name, octets)) {
        case WILDMAT_POISON:
            return why_set(why, "Not from you: newsgroup %.*s", (int)octets,
                           name);
        case WILDMAT_YES:
            wanted = true;
            break;
        case WILDMAT_NO:
            break;
        }
    return wanted ? 0 : why_set(why, "None of these newsgroups from you");
}

static int
check_offered(const struct article *article, const char *id,
              struct buffer *why)
{
    const struct field_value *field = &article->fields[FIELD_MESSAGE_ID];

    if (field->length != strlen(id)
        || memcmp(field->octets, id, field->length) != 0)
        return why_set(why, "Message-ID is not the one that was offered");
    return 0;
}

/*
 * The article was refused for what it is: no other peer needs to offer it.
 * Nothing is said of an ID that another article may have, and nothing where
 * our own name in Path says that it has been here.
 */
static void
remember_refused(const struct session *session, const struct article *article,
                 const char *id)
{
    struct worker *worker = session->worker;
    struct message_key key = active_key(worker->active);
    struct message_hash hash = message_id_hash(&key, id, strlen(id));

    if (worker->config->remembertrash && check_offered(article, id, NULL) == 0
        && !path_has(&article->fields[FIELD_PATH], worker->config->pathhost))
        writer_refused(worker->writer, &hash);
}

int
incoming_relayed(const struct session *session, const struct receive *receive,
                 struct buffer *payload, struct buffer *why)
{
    const struct worker *worker = session->worker;
    const struct config *config = worker->config;
    const struct relay relay = {
        .config = config,
        .active = worker->active,
        .peer = session->access.peer_number == 0
                    ? NULL
                    : config_find_peer(config, session->access.peer),
        .address = session->address,
        .peer_number = session->access.peer_number,
    };
    struct article article;

    if (article_parse(&article, receive->octets.data, receive->octets.used,
                      why)
        < 0)
        return -1;
    if (relay_check(&relay, &article, receive->octets.used, why) < 0
        || check_offered(&article, receive->id, why) < 0) {
        remember_refused(session, &article, receive->id);
        return -1;
    }
    if (relay_check_site(config, worker->active, &article, why) < 0
        || check_peer_groups(session, &article, why) < 0)
        return -1;
    if (relay_build(&relay, &article, 0, payload, why) < 0) {
        remember_refused(session, &article, receive->id);
        return -1;
    }
    return 0;
}

/* --- a command that waits for the outcome --- */

struct submit_work {
    struct session *session;
    char *id;
    size_t octets; /* counted as submitted */
    incoming_reply_func *reply;
    struct writer_request *request;
    bool done;
};

static void
submit_outcome(void *context, const struct writer_answer *answer)
{
    struct submit_work *work = context;

    work->request = NULL;
    work->done = true;
    session_wake(work->session);
    work->reply(work->session, work->id, answer);
}

static enum step
submit_step(void *context)
{
    struct submit_work *work = context;

    return work->done ? STEP_DONE : STEP_WAIT;
}

static void
submit_free(void *context)
{
    struct submit_work *work = context;

    worker_submitted(work->session->worker, 0, work->octets);
    writer_forget(&work->request);
    free(work->id);
    free(work);
}

static const struct work_kind submit_work_kind = {submit_step, submit_free};

void
incoming_submit(struct session *session, enum ipc_link_kind kind,
                struct buffer *payload, const char *id,
                incoming_reply_func *reply)
{
    struct submit_work *work = xcalloc(1, sizeof *work);

    work->session = session;
    work->id = xstrdup(id);
    work->octets = payload->used;
    work->reply = reply;
    worker_submitted(session->worker, work->octets, 0);
    session_begin(session, &submit_work_kind, work);
    work->request = writer_submit(session->worker->writer, kind, payload,
                                  submit_outcome, work);
}
