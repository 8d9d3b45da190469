/*
 * cmd_group -- GROUP, LISTGROUP, LAST and NEXT (RFC 3977, 6.1).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/command_line.h"
#include "lib/memory.h"
#include "lib/message_id.h"
#include "nnrpd/cmd.h"
#include "nnrpd/overview_line.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"
#include "storage/overview.h"

/* --- GROUP and LISTGROUP: the marks, the first article, the numbers --- */

struct group_work {
    struct session *session;
    uint32_t group;
    struct group_marks marks;
    bool numbers; /* LISTGROUP */
    uint64_t low; /* what is left of its range */
    uint64_t high;
    bool begun; /* the reply's first line has gone */
    bool asking;
    bool done;
    struct overview_request *question;
};

static void
group_answer_first(struct group_work *work, uint64_t first)
{
    const struct group_marks *marks = &work->marks;
    struct session *session = work->session;

    session->group = work->group;
    session->number = first;
    session_reply(session, "211 %" PRIu64 " %" PRIu64 " %" PRIu64 " %s%s",
                  marks->count, marks->low, marks->high,
                  active_name(session->worker->active, work->group, NULL),
                  work->numbers ? " list follows" : "");
    work->begun = true;
    work->done = !work->numbers;
}

static void
group_first(void *context, const struct overview_answer *answer)
{
    struct group_work *work = context;

    work->asking = false;
    work->question = NULL;
    session_wake(work->session);
    if (answer->status < 0 && work->numbers) {
        session_reply(work->session, "403 Overview cannot be read at present");
        work->done = true;
        return;
    }
    /* The low mark is right but for a moment behind a removal. */
    if (answer->status < 0)
        group_answer_first(work, work->marks.low);
    else
        group_answer_first(work,
                           answer->count > 0 ? answer->lines[0].number : 0);
}

static void
group_numbers(void *context, const struct overview_answer *answer)
{
    struct group_work *work = context;
    struct buffer text = BUFFER_EMPTY;
    size_t i;

    work->asking = false;
    work->question = NULL;
    session_wake(work->session);
    if (answer->status < 0) {
        session_abort(work->session, "overview failed within a list");
        return;
    }
    for (i = 0; i < answer->count; i++)
        buffer_append_format(&text, "%" PRIu64 "\r\n",
                             answer->lines[i].number);
    work->low = answer->next;
    if (answer->next == 0) {
        buffer_append_text(&text, ".\r\n");
        work->done = true;
    }
    session_write(work->session, text.data, text.used);
    buffer_free(&text);
    (void)session_spend(work->session, (unsigned)answer->count);
}

static enum step
group_step(void *context)
{
    struct group_work *work = context;
    struct overview_query query = {.group = work->group};

    if (work->done) /* by an answer that came later */
        return STEP_DONE;
    if (work->asking)
        return STEP_WAIT;
    work->asking = true;
    if (!work->begun && work->marks.count == 0) {
        work->asking = false;
        group_answer_first(work, 0);
    } else if (!work->begun) {
        query.question = OVERVIEW_NEXT;
        query.low = work->marks.low;
        query.high = work->marks.high;
        query.limit = 1;
        work->question = overview_ask(work->session->worker->overview, &query,
                                      group_first, work);
    } else if (work->low > work->high) {
        session_write(work->session, ".\r\n", 3);
        work->done = true;
    } else {
        query.question = OVERVIEW_RANGE;
        query.low = work->low;
        query.high = work->high;
        query.limit = SESSION_ROWS;
        work->question = overview_ask(work->session->worker->overview, &query,
                                      group_numbers, work);
    }
    if (work->done)
        return STEP_DONE;
    return work->asking ? STEP_WAIT : STEP_MORE;
}

static void
group_free(void *context)
{
    struct group_work *work = context;

    if (work->question != NULL)
        overview_forget(work->question);
    free(work);
}

static const struct work_kind group_work_kind = {group_step, group_free};

static void
group_begin(struct session *session, uint32_t group, bool numbers,
            uint64_t low, uint64_t high)
{
    struct group_work *work = xcalloc(1, sizeof *work);

    work->session = session;
    work->group = group;
    work->numbers = numbers;
    work->marks = active_marks(session->worker->active, group);
    /* A group that never had an article: low water mark 0 stops Thunderbird,
       and 1 0 is what RFC 3977, 6.1.1.2 wants of an empty group. */
    if (work->marks.low == 0)
        work->marks.low = work->marks.high + 1;
    work->low = low > work->marks.low ? low : work->marks.low;
    work->high = high < work->marks.high ? high : work->marks.high;
    session_begin(session, &group_work_kind, work);
}

uint32_t
cmd_find_group(struct session *session, const char *name)
{
    uint32_t group = active_find(session->worker->active, name, strlen(name));

    /* Whether there is a group that he may not read is not told. */
    if (access_reads_group(&session->access, name, strlen(name))) {
        if (group == 0)
            session_reply(session, "411 No such group %s", name);
        return group;
    }
    switch (session_denial(session)) {
    case 480:
        session_reply(session, "480 Log in to read %s", name);
        break;
    case 483:
        session_reply(session, "483 Encrypt and log in to read %s", name);
        break;
    default:
        session_reply(session, "411 No such group %s", name);
        break;
    }
    return 0;
}

void
cmd_group(struct session *session, const struct arguments *arguments)
{
    uint32_t group = cmd_find_group(session, arguments->word[0]);

    if (group != 0)
        group_begin(session, group, false, 0, 0);
}

void
cmd_listgroup(struct session *session, const struct arguments *arguments)
{
    uint64_t low = 0, high = UINT64_MAX;
    uint32_t group = session->group;

    if (arguments->count > 1
        && !article_range_parse(arguments->word[1], &low, &high)) {
        session_reply_bad(session, "501 Bad range");
        return;
    }
    if (arguments->count > 0) {
        group = cmd_find_group(session, arguments->word[0]);
        if (group == 0)
            return;
    } else if (group == 0) {
        session_reply(session, "412 No newsgroup selected");
        return;
    }
    group_begin(session, group, true, low, high);
}

/* --- LAST and NEXT --- */

struct move_work {
    struct session *session;
    struct overview_query query;
    const char *none; /* the reply when there is no such article */
    bool begun;
    bool done;
    struct overview_request *question;
};

static void
move_answer(void *context, const struct overview_answer *answer)
{
    struct move_work *work = context;
    struct session *session = work->session;
    char id[MESSAGE_ID_OCTETS_MAX + 1];

    work->question = NULL;
    work->done = true;
    session_wake(session);
    if (answer->status < 0) {
        session_reply(session, "403 Overview cannot be read at present");
    } else if (answer->status == 0 || answer->count == 0) {
        session_reply(session, "%s", work->none);
    } else {
        session->number = answer->lines[0].number;
        overview_line_message_id(answer->lines[0].text,
                                 answer->lines[0].octets, id);
        session_reply(session, "223 %" PRIu64 " %s", session->number, id);
    }
}

static enum step
move_step(void *context)
{
    struct move_work *work = context;

    if (!work->begun) {
        work->begun = true;
        work->question = overview_ask(work->session->worker->overview,
                                      &work->query, move_answer, work);
    }
    return work->done ? STEP_DONE : STEP_WAIT;
}

static void
move_free(void *context)
{
    struct move_work *work = context;

    if (work->question != NULL)
        overview_forget(work->question);
    free(work);
}

static const struct work_kind move_work_kind = {move_step, move_free};

static void
move_begin(struct session *session, enum overview_question question,
           const char *none)
{
    struct group_marks marks;
    struct move_work *work;

    if (session->group == 0) {
        session_reply(session, "412 No newsgroup selected");
        return;
    }
    if (session->number == 0) {
        session_reply(session, "420 No current article");
        return;
    }
    marks = active_marks(session->worker->active, session->group);
    work = xcalloc(1, sizeof *work);
    work->session = session;
    work->none = none;
    work->query.question = question;
    work->query.group = session->group;
    work->query.limit = 1;
    if (question == OVERVIEW_NEXT) {
        work->query.low = session->number + 1;
        work->query.high = marks.high;
    } else {
        work->query.low = marks.low;
        work->query.high = session->number - 1;
    }
    session_begin(session, &move_work_kind, work);
}

void
cmd_next(struct session *session, const struct arguments *arguments)
{
    (void)arguments; /* there are none */
    move_begin(session, OVERVIEW_NEXT, "421 No next article");
}

void
cmd_last(struct session *session, const struct arguments *arguments)
{
    (void)arguments; /* there are none */
    move_begin(session, OVERVIEW_PREVIOUS, "422 No previous article");
}
