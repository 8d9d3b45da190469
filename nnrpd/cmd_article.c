/*
 * cmd_article -- ARTICLE, HEAD, BODY and STAT (RFC 3977, 6.2).
 *
 * What the spool holds is what goes over the wire: an article is sent from the
 * record's memory as it lies there.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "lib/buffer.h"
#include "lib/command_line.h"
#include "lib/memory.h"
#include "lib/message_id.h"
#include "lib/stream.h"
#include "nnrpd/cmd.h"
#include "nnrpd/fetch.h"
#include "nnrpd/finder.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"
#include "storage/spool_reader.h"

enum { REPLY_OCTETS = 100 }; /* nearly all are shorter */

struct article_kind {
    unsigned code;
    bool head;
    bool body;
};

static const struct article_kind kind_article = {220, true, true};
static const struct article_kind kind_head = {221, true, false};
static const struct article_kind kind_body = {222, false, true};
static const struct article_kind kind_stat = {223, false, false};

struct article_work {
    struct session *session;
    const struct article_kind *kind;
    const char *absent; /* the reply when there is no such article */
    char *id;           /* NULL: by number */
    uint64_t number;
    struct fetch *fetch;
    bool begun;
    bool told;
};

static void
spooled_cleanup(const void *octets, size_t length, void *context)
{
    (void)octets;
    (void)length; /* the record is released as a whole */
    spooled_release(context);
}

/* Append a piece of the record without copying it. */
static void
session_write_spooled(struct session *session, struct spooled *spooled,
                      size_t from, size_t to)
{
    spooled_hold(spooled);
    if (evbuffer_add_reference(stream_output(session->stream),
                               spooled->record.payload + from, to - from,
                               spooled_cleanup, spooled)
        < 0) {
        spooled_release(spooled);
        session_abort(session, "no memory for an article");
    }
}

/* "220 number message-ID", without the cost of a format. */
static void
article_reply(struct session *session, const struct article_kind *kind,
              const struct fetch_result *result)
{
    struct buffer line = BUFFER_EMPTY;

    (void)buffer_reserve(&line, REPLY_OCTETS);
    buffer_append_number(&line, kind->code, 3);
    buffer_append_char(&line, ' ');
    buffer_append_number(&line, result->number, 1);
    buffer_append_char(&line, ' ');
    buffer_append_text(&line, result->message_id);
    buffer_append(&line, "\r\n", 2);
    session_write(session, line.data, line.used);
    buffer_free(&line);
}

static void
article_send(struct article_work *work, const struct fetch_result *result)
{
    struct session *session = work->session;
    const struct record_head *head = &result->spooled->record.head;

    if (!work->kind->head && !work->kind->body)
        return;
    if (work->kind->head && work->kind->body) {
        session_write_spooled(session, result->spooled, 0,
                              head->payload_octets);
    } else if (work->kind->head) {
        session_write_spooled(session, result->spooled, 0, head->head_octets);
        session_write(session, ".\r\n", 3);
    } else {
        session_write_spooled(session, result->spooled, head->body_offset,
                              head->payload_octets);
    }
    worker_count(session->worker, COUNTER_ARTICLES_SENT, 1);
}

static void
article_fetched(void *context, const struct fetch_result *result)
{
    struct article_work *work = context;
    struct session *session = work->session;

    work->fetch = NULL;
    work->told = true;
    session_wake(session);
    /* By message-ID: of groups that he may read. */
    if (result->status == FETCH_FOUND && work->id != NULL
        && result->spooled != NULL
        && !access_reads_record(&session->access, session->worker->active,
                                &result->spooled->record)) {
        session_reply(session, "%s", work->absent);
        return;
    }
    switch (result->status) {
    case FETCH_FOUND:
        if (work->id == NULL)
            session->number = result->number;
        article_reply(session, work->kind, result);
        if (result->spooled != NULL)
            article_send(work, result);
        break;
    case FETCH_ABSENT:
        session_reply(session, "%s", work->absent);
        break;
    case FETCH_FAILED:
        session_reply(session, "403 Article cannot be read at present");
        break;
    }
}

static enum step
article_step(void *context)
{
    struct article_work *work = context;
    struct worker *worker = work->session->worker;
    bool record = work->kind->head || work->kind->body
                  || work->session->access.readable != NULL;

    if (!work->begun) {
        work->begun = true;
        work->fetch =
            work->id != NULL
                ? fetch_by_message_id(worker, work->id, record,
                                      article_fetched, work)
                : fetch_by_number(worker, work->session->group, work->number,
                                  record, article_fetched, work);
        if (work->id != NULL && !work->told)
            finder_look_ahead(worker->finder, work->session);
    }
    return work->told ? STEP_DONE : STEP_WAIT;
}

static void
article_free(void *context)
{
    struct article_work *work = context;

    fetch_forget(&work->fetch);
    free(work->id);
    free(work);
}

static const struct work_kind article_work_kind = {article_step, article_free};

/*
 * By message-ID, by number in the group, or the current article (RFC 3977,
 * 6.2.1).
 */
static void
article_command(struct session *session, const struct arguments *arguments,
                const struct article_kind *kind)
{
    const char *which = arguments->count == 0 ? NULL : arguments->word[0];
    struct article_work work = {.session = session, .kind = kind};
    struct article_work *kept;

    if (which != NULL && which[0] == '<') {
        work.absent = "430 No such article";
        if (!message_id_is_valid(which, strlen(which))) {
            session_reply(session, "%s", work.absent);
            return;
        }
        work.id = xstrdup(which);
    } else if (which != NULL && !article_number_parse(which, &work.number)) {
        session_reply_bad(session, "501 Bad article number or message-ID");
        return;
    } else if (session->group == 0) {
        session_reply(session, "412 No newsgroup selected");
        return;
    } else if (which != NULL) {
        work.absent = "423 No article with that number";
        if (work.number == 0 || work.number > ARTICLE_NUMBER_MAX) {
            session_reply(session, "%s", work.absent);
            return;
        }
    } else {
        work.absent = "420 Current article is gone";
        work.number = session->number;
        if (work.number == 0) {
            session_reply(session, "420 No current article");
            return;
        }
    }
    kept = xmalloc(sizeof *kept);
    *kept = work;
    session_begin(session, &article_work_kind, kept);
}

void
cmd_article(struct session *session, const struct arguments *arguments)
{
    article_command(session, arguments, &kind_article);
}

void
cmd_head(struct session *session, const struct arguments *arguments)
{
    article_command(session, arguments, &kind_head);
}

void
cmd_body(struct session *session, const struct arguments *arguments)
{
    article_command(session, arguments, &kind_body);
}

void
cmd_stat(struct session *session, const struct arguments *arguments)
{
    article_command(session, arguments, &kind_stat);
}
