/*
 * incoming -- see incoming.h.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/article.h"
#include "lib/ascii.h"
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
#include "storage/submission.h"

enum { SHOWN_OCTETS = 80 }; /* of a name that a refusal repeats */

struct article_rules
incoming_rules(const struct session *session, size_t octets_max)
{
    const struct config *config = session->worker->config;

    return (struct article_rules){
        .pathhost = config->pathhost,
        .now = time(NULL),
        .cutoff_seconds = config->artcutoff * 24 * 60 * 60,
        .size_octets_max = octets_max,
    };
}

size_t
incoming_octets_max(int64_t configured)
{
    if (configured <= 0 || configured > ARTICLE_OCTETS_HARD_MAX)
        return ARTICLE_OCTETS_HARD_MAX;
    return (size_t)configured;
}

int
incoming_check_size(const struct session *session,
                    const struct article *article, size_t octets,
                    struct buffer *why)
{
    const struct field_value *field = &article->fields[FIELD_NEWSGROUPS];
    const char *name;
    size_t length, at = 0;

    if (session->worker->config->group_size_count == 0
        || field->octets == NULL)
        return 0;
    while (
        newsgroups_next(field->octets, field->length, &at, &name, &length)) {
        size_t most =
            config_group_octets_max(session->worker->config, name, length);

        if (octets > most)
            return why_set(why,
                           "Article of %zu octets is over the limit of %zu "
                           "of newsgroup %.*s",
                           octets, most, (int)length, name);
    }
    return 0;
}

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
check_groups_are_here(const struct session *session,
                      const struct article *article, struct buffer *why)
{
    const struct field_value *field = &article->fields[FIELD_NEWSGROUPS];
    const struct active *active = session->worker->active;
    const char *name;
    size_t octets, at = 0;

    while (
        newsgroups_next(field->octets, field->length, &at, &name, &octets)) {
        uint32_t group = active_find(active, name, octets);

        if (group == 0 || active_flag(active, group) == 0)
            return why_set(why, "There is no newsgroup %.*s here",
                           octets < SHOWN_OCTETS ? (int)octets : SHOWN_OCTETS,
                           name);
    }
    return 0;
}

int
incoming_check_site(const struct session *session,
                    const struct article *article, struct buffer *why)
{
    const struct config *config = session->worker->config;
    const struct field_value *path = &article->fields[FIELD_PATH];

    if (article_check_distribution(article, config->acceptdistributions, why)
        < 0)
        return -1;
    for (size_t i = 0; path->octets != NULL && i < config->exclude_count; i++)
        if (path_has(path, config->exclude[i]))
            return why_set(why, "Nothing that came by %s is taken here",
                           config->exclude[i]);
    if (config->verifygroups
        && article->fields[FIELD_NEWSGROUPS].octets != NULL)
        return check_groups_are_here(session, article, why);
    return 0;
}

/* Is this name the first entry of Path? */
static bool
path_begins(const struct field_value *path, const char *name)
{
    const char *bang = memchr(path->octets, '!', path->length);
    size_t octets =
        bang != NULL ? (size_t)(bang - path->octets) : path->length;

    return octets == strlen(name) && ascii_same(path->octets, name, octets);
}

/* Is the peer the one that Path names first?  (RFC 5537, 3.2.1.) */
static void
append_diagnostic(const struct session *session,
                  const struct field_value *path, struct buffer *prefix)
{
    const struct config *config = session->worker->config;
    const struct config_peer *peer =
        session->access.peer_number == 0
            ? NULL
            : config_find_peer(config, session->access.peer);
    bool same = peer != NULL && path_begins(path, peer->name);

    for (size_t i = 0; peer != NULL && i < peer->exclude_count; i++)
        same = same || path_begins(path, peer->exclude[i]);
    if (same)
        buffer_append_char(prefix, '!');
    else
        buffer_append_format(prefix, "!.%s.%s",
                             peer == NULL ? "SEEN" : "MISMATCH",
                             session->address);
}

/* What goes before the Path of a relayed article. */
static void
path_prefix(const struct session *session, const struct field_value *path,
            struct buffer *prefix)
{
    const struct config *config = session->worker->config;

    if (config->pathcluster[0] != '\0'
        && !path_begins(path, config->pathcluster))
        buffer_append_format(prefix, "%s!", config->pathcluster);
    buffer_append_text(prefix, config->pathhost);
    if (config->pathalias[0] != '\0' && !path_has(path, config->pathalias))
        buffer_append_format(prefix, "!%s", config->pathalias);
    if (config->pathdiagnostics)
        append_diagnostic(session, path, prefix);
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
    struct article_rules rules = incoming_rules(session, receive->octets_max);
    struct buffer prefix = BUFFER_EMPTY;
    struct article article;
    unsigned flags = worker->config->wanttrash ? SUBMISSION_TRASH : 0;
    int result;

    if (article_parse(&article, receive->octets.data, receive->octets.used,
                      why)
        < 0)
        return -1;
    if (article_check_relayed(&article, &rules, why) < 0
        || check_offered(&article, receive->id, why) < 0
        || incoming_check_size(session, &article, receive->octets.used, why)
               < 0) {
        remember_refused(session, &article, receive->id);
        return -1;
    }
    if (incoming_check_site(session, &article, why) < 0
        || check_peer_groups(session, &article, why) < 0)
        return -1;
    if (article.fields[FIELD_APPROVED].octets != NULL)
        flags |= SUBMISSION_APPROVED;
    path_prefix(session, &article.fields[FIELD_PATH], &prefix);
    result = submission_build(payload, &article, worker->active, prefix.data,
                              true, flags, 0, why);
    buffer_free(&prefix);
    if (result < 0) {
        remember_refused(session, &article, receive->id);
        return -1;
    }
    memcpy(payload->data + offsetof(struct submission, peer),
           &session->access.peer_number, sizeof session->access.peer_number);
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
