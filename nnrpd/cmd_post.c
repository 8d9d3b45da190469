/*
 * cmd_post -- POST (RFC 3977, 6.3.1; injection: RFC 5537, 3.5).
 */
#include <stdlib.h>
#include <string.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/listing.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/message_id.h"
#include "lib/newsgroup.h"
#include "nnrpd/cmd.h"
#include "nnrpd/incoming.h"
#include "nnrpd/injection.h"
#include "nnrpd/receive.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"
#include "storage/active.h"
#include "storage/relay.h"
#include "storage/submission.h"

/* Refused posts with a line of their own in the log, in a session; further
   ones are counted in its last line. */
enum { POST_REFUSALS_LOGGED = 3 };

static void
post_refuse(struct session *session, const char *id, const char *why)
{
    worker_count(session->worker, COUNTER_REFUSED, 1);
    session->refused++;
    if (session->refused <= POST_REFUSALS_LOGGED)
        notice("%s: post refused id=%s reason=%s", session_name(session), id,
               why);
    session_reply(session, "441 %s", session_reason(why));
}

static void
post_defer(struct session *session, const char *why)
{
    worker_count(session->worker, COUNTER_DEFERRED, 1);
    session_reply(session, "441 %s; try again later", session_reason(why));
}

static void
post_outcome(struct session *session, const char *id,
             const struct writer_answer *answer)
{
    if (answer->away) {
        post_defer(session, "Article cannot be stored at present");
        return;
    }
    switch (answer->outcome) {
    case STORE_STORED:
        worker_count(session->worker, COUNTER_POSTED, 1);
        session->posted++;
        notice("%s: posted id=%s%s%s", session_name(session), id,
               answer->why[0] != '\0' ? " moderated: " : "", answer->why);
        session_reply(session, "240 Article received %s%s%s", id,
                      answer->why[0] != '\0' ? "; " : "", answer->why);
        return;
    case STORE_DUPLICATE:
        worker_count(session->worker, COUNTER_DUPLICATES, 1);
        session->duplicates++;
        session_reply(session, "441 Duplicate: %s is here already", id);
        return;
    case STORE_REFUSED:
        post_refuse(session, id, answer->why);
        return;
    case STORE_LATER:
        post_defer(session, answer->why);
        return;
    }
    post_defer(session, "Article cannot be stored at present");
}

/* He may post to each of the groups, and approve only where he moderates. */
static int
post_check_access(const struct session *session, const struct article *proto,
                  struct buffer *why)
{
    const struct field_value *field = &proto->fields[FIELD_NEWSGROUPS];
    const char *name;
    size_t octets, at = 0;
    bool approved = proto->fields[FIELD_APPROVED].octets != NULL;

    if (approved && (session->access.rights & RIGHT_APPROVE) == 0)
        return why_set(why, "You may not approve articles");
    while (field->octets != NULL
           && newsgroups_next(field->octets, field->length, &at, &name,
                              &octets)) {
        if (!access_posts_to_group(&session->access, name, octets))
            return why_set(why, "You may not post to %.*s", (int)octets, name);
        if (approved && !access_approves_group(&session->access, name, octets))
            return why_set(why, "You may not approve articles in %.*s",
                           (int)octets, name);
    }
    return 0;
}

/* A post that waits for a moderator needs one whose address is known. */
static int
check_moderator(const struct config *config, const char *name, size_t octets,
                struct buffer *why)
{
    struct buffer address = BUFFER_EMPTY;
    bool known = config->moderatormailer[0] != '\0'
                 || (config->moderators.text != NULL
                     && listing_moderator(config->moderators.text, name,
                                          octets, &address));

    buffer_free(&address);
    return known ? 0
                 : why_set(why,
                           "%.*s is moderated, and no address of its "
                           "moderator is known here",
                           (int)octets, name);
}

/* The first of its groups that is moderated decides who sees it. */
static int
post_check_moderated(const struct session *session,
                     const struct article *proto, struct buffer *why)
{
    const struct field_value *field = &proto->fields[FIELD_NEWSGROUPS];
    const struct active *active = session->worker->active;
    const char *name;
    size_t octets, at = 0;

    if (proto->fields[FIELD_APPROVED].octets != NULL || field->octets == NULL)
        return 0;
    while (
        newsgroups_next(field->octets, field->length, &at, &name, &octets)) {
        uint32_t group = active_find(active, name, octets);

        if (group != 0 && active_flag(active, group) == '=')
            group = active_alias(active, group);
        if (group != 0 && active_flag(active, group) == 'm') {
            name = active_name(active, group, &octets);
            return check_moderator(session->worker->config, name, octets, why);
        }
    }
    return 0;
}

/* Make the article of what was posted, and the submission of the article. */
static int
post_build(struct session *session, const struct receive *receive,
           struct buffer *payload, char **id_r, struct buffer *why)
{
    struct worker *worker = session->worker;
    const struct config *config = worker->config;
    const struct article_rules rules =
        relay_rules(config, receive->octets_max);
    struct own_fields own = {0};
    struct article proto, article;
    struct buffer wire = BUFFER_EMPTY;
    unsigned flags = SUBMISSION_POSTED;
    int status = -1;

    usage_charge(session, LIMIT_OCTETS, receive->octets.used);
    if (article_parse(&proto, receive->octets.data, receive->octets.used, why)
            < 0
        || relay_check_size(config, &proto, receive->octets.used, why) < 0
        || post_check_access(session, &proto, why) < 0
        || relay_check_site(config, worker->active, &proto, why) < 0
        || post_check_moderated(session, &proto, why) < 0)
        goto out;
    own_fields_make(&own, session, &proto, receive->id);
    if (article_inject(&proto, &rules, &own.injection, &wire, why) < 0
        || article_parse(&article, wire.data, wire.used, why) < 0)
        goto out;
    if (article.fields[FIELD_APPROVED].octets != NULL)
        flags |= SUBMISSION_APPROVED;
    *id_r = xmemdup(article.fields[FIELD_MESSAGE_ID].octets,
                    article.fields[FIELD_MESSAGE_ID].length);
    status = submission_build(payload, &article, worker->active,
                              config->pathhost, false, flags, 0, why);
out:
    buffer_free(&wire);
    own_fields_free(&own);
    return status;
}

static void
post_received(struct session *session, struct receive *receive)
{
    struct buffer why = BUFFER_EMPTY, payload = BUFFER_EMPTY;
    const char *fault = receive_fault(receive, &why);
    char *id = NULL;

    if (fault == NULL && receive_deferral(receive) != NULL) {
        post_defer(session, receive_deferral(receive));
        return;
    }
    if (fault == NULL && post_build(session, receive, &payload, &id, &why) < 0)
        fault = buffer_text(&why);
    if (fault != NULL)
        post_refuse(session, id == NULL ? receive->id : id, fault);
    else
        incoming_submit(session, LINK_POST, &payload, id, post_outcome);
    free(id);
    buffer_free(&payload);
    buffer_free(&why);
}

static size_t
post_octets_max(const struct session *session)
{
    int64_t own = session->access.localmaxartsize;

    return relay_octets_max(
        own > 0 ? own : session->worker->config->localmaxartsize);
}

/* A limit: the next one in the log of this session says how many there were.
 */
static void
post_forbid(struct session *session, const char *why)
{
    worker_count(session->worker, COUNTER_DEFERRED, 1);
    if (++session->limited == 1)
        notice("%s: %s", session_name(session), why);
    session_reply(session, "440 %s", session_reason(why));
}

void
cmd_post(struct session *session, const struct arguments *arguments)
{
    const struct config *config = session->worker->config;
    const char *why = cmd_why_not_now(session);
    struct buffer id = BUFFER_EMPTY;
    struct buffer limited = BUFFER_EMPTY;

    (void)arguments; /* there are none */
    if (why != NULL) {
        worker_count(session->worker, COUNTER_DEFERRED, 1);
        session_reply(session, "440 %s", session_reason(why));
        return;
    }
    if (usage_post(session, &limited) > 0) {
        post_forbid(session, buffer_text(&limited));
        buffer_free(&limited);
        return;
    }
    message_id_generate(&id, config->pathhost);
    session_reply(session, "340 Ok, recommended message-ID %s", id.data);
    (void)receive_begin(session, id.data, post_octets_max(session),
                        post_received); /* the session owns it */
    buffer_free(&id);
}
