/*
 * cmd_over -- OVER and XOVER (RFC 3977, 8.3; RFC 2980, 2.8).
 *
 * The overview keeps lines exactly as they are sent; neighbours that touch in
 * memory are copied as one.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "nnrpd/cmd.h"
#include "nnrpd/fetch.h"
#include "nnrpd/overview_line.h"
#include "nnrpd/rows.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/overview.h"

struct over_work {
    struct session *session;
    struct rows rows;
    char *id;
    const char *empty; /* the reply to an empty range */
    bool begun;        /* 224 has gone */
    bool asking;
    bool done;
    struct overview_request *question;
    struct fetch *fetch;
};

static void
over_begin_list(struct over_work *work)
{
    if (!work->begun)
        session_reply(work->session, "224 Overview information follows");
    work->begun = true;
}

static void
over_end_list(struct over_work *work)
{
    if (work->begun)
        session_write(work->session, ".\r\n", 3);
    else
        session_reply(work->session, "%s", work->empty);
    work->done = true;
}

static void
over_write_lines(struct session *session, const struct overview_line *lines,
                 size_t count)
{
    size_t i, octets;

    while (count > 0) {
        octets = lines[0].octets;
        for (i = 1; i < count && lines[i].text == lines[0].text + octets; i++)
            octets += lines[i].octets;
        session_write(session, lines[0].text, octets);
        lines += i;
        count -= i;
    }
}

static void
over_answer(void *context, const struct overview_answer *answer)
{
    struct over_work *work = context;
    struct session *session = work->session;

    work->asking = false;
    work->question = NULL;
    session_wake(session);
    if (answer->status < 0 && work->begun) {
        session_abort(session, "overview failed within a list");
        return;
    }
    if (answer->status < 0) {
        session_reply(session, "403 Overview cannot be read at present");
        work->done = true;
        return;
    }
    if (answer->count > 0) {
        over_begin_list(work);
        over_write_lines(session, answer->lines, answer->count);
        (void)session_spend(session, (unsigned)answer->count);
    }
    work->rows.low = answer->next;
    if (answer->next == 0)
        over_end_list(work);
}

static void
over_fetched(void *context, const struct fetch_result *result)
{
    struct over_work *work = context;
    struct buffer line = BUFFER_EMPTY;

    work->asking = false;
    work->fetch = NULL;
    work->done = true;
    session_wake(work->session);
    if (result->status == FETCH_FAILED) {
        session_reply(work->session, "403 Article cannot be read at present");
    } else if (result->status == FETCH_ABSENT
               || !overview_line_build(&line, result->spooled)) {
        session_reply(work->session, "430 No such article");
    } else {
        over_begin_list(work);
        session_write(work->session, line.data, line.used);
        over_end_list(work);
    }
    buffer_free(&line);
}

static enum step
over_step(void *context)
{
    struct over_work *work = context;
    struct worker *worker = work->session->worker;
    struct overview_query query = {.question = OVERVIEW_RANGE,
                                   .group = work->rows.group,
                                   .low = work->rows.low,
                                   .high = work->rows.high,
                                   .limit = SESSION_ROWS};

    if (work->done) /* by an answer that came later */
        return STEP_DONE;
    if (work->asking)
        return STEP_WAIT;
    work->asking = true;
    if (work->id != NULL) {
        work->fetch =
            fetch_by_message_id(worker, work->id, true, over_fetched, work);
    } else if (query.low > query.high) {
        work->asking = false;
        over_end_list(work);
    } else {
        work->question =
            overview_ask(worker->overview, &query, over_answer, work);
    }
    if (work->done)
        return STEP_DONE;
    return work->asking ? STEP_WAIT : STEP_MORE;
}

static void
over_free(void *context)
{
    struct over_work *work = context;

    fetch_forget(&work->fetch);
    if (work->question != NULL)
        overview_forget(work->question);
    free(work->id);
    free(work);
}

static const struct work_kind over_work_kind = {over_step, over_free};

static void
over_command(struct session *session, const struct arguments *arguments,
             const char *empty)
{
    struct over_work *work;
    struct rows rows;

    if (!rows_parse(&rows, session,
                    arguments->count == 0 ? NULL : arguments->word[0]))
        return;
    work = xcalloc(1, sizeof *work);
    work->session = session;
    work->rows = rows;
    work->id = rows.id == NULL ? NULL : xstrdup(rows.id);
    work->empty = rows.current ? "420 Current article is gone" : empty;
    session_begin(session, &over_work_kind, work);
}

void
cmd_over(struct session *session, const struct arguments *arguments)
{
    over_command(session, arguments, "423 No articles in that range");
}

/* An empty list, and no error: what newsreaders have always got, and INN kept
   on purpose. */
void
cmd_xover(struct session *session, const struct arguments *arguments)
{
    over_command(session, arguments, "224 Overview information follows\r\n.");
}
