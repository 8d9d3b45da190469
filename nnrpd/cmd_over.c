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
#include "lib/stream.h"
#include "nnrpd/cmd.h"
#include "nnrpd/fetch.h"
#include "nnrpd/overview_line.h"
#include "nnrpd/packed.h"
#include "nnrpd/rows.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"
#include "storage/overview.h"
#include "storage/spool_reader.h"

struct over_work {
    struct session *session;
    struct rows rows;
    char *id;
    const char *empty; /* the reply to an empty range */
    bool begun;        /* 224 has gone */
    bool asking;
    bool done;
    uint64_t removals; /* of the store, when the question was asked */
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

/* --- under COMPRESS: whole blocks are deflated once for everybody --- */

static bool
over_splice(struct session *session, const struct packed_block *block)
{
    return block != NULL
           && stream_splice(session->stream, block->octets.data,
                            block->octets.used);
}

/* Blocks from the next number on that are at hand; there is more to ask for
   when this returns. */
static void
over_write_kept(struct over_work *work)
{
    struct session *session = work->session;
    const struct packed_block *block;
    uint64_t first;

    while (!session_spend(session, 0)) {
        first = work->rows.low;
        if (first % PACKED_NUMBERS != 0
            || work->rows.high < first + PACKED_NUMBERS)
            return;
        block = packed_find(session->worker->packed, work->rows.group, first);
        if (block == NULL)
            return;
        over_begin_list(work);
        if (!over_splice(session, block))
            return;
        (void)session_spend(session, block->lines);
        work->rows.low = first + PACKED_NUMBERS;
    }
}

/*
 * Lines of an answer, block by block: one of which all lines are here goes out
 * as a whole.  An answer that was cut within a block (next) gives back what it
 * has of it, where it has more than that, so that the next one begins at the
 * block.  Returns where to go on.
 */
static uint64_t
over_write_packed(struct over_work *work, const struct overview_answer *answer)
{
    struct session *session = work->session;
    const struct overview_line *line = answer->lines;
    const struct overview_line *end = line + answer->count;
    const struct overview_line *block_end;
    uint64_t last;

    while (line < end) {
        last = packed_first(line->number) + PACKED_NUMBERS - 1;
        block_end = line;
        while (block_end < end && block_end->number <= last)
            block_end++;
        if (answer->next != 0 && answer->next <= last && line > answer->lines)
            return packed_first(line->number);
        if (packed_first(line->number) < work->rows.low
            || work->rows.high < last
            || (answer->next != 0 && answer->next <= last)
            || !over_splice(session,
                            packed_put(session->worker->packed,
                                       work->rows.group, work->removals, line,
                                       (size_t)(block_end - line))))
            over_write_lines(session, line, (size_t)(block_end - line));
        line = block_end;
    }
    return answer->next;
}

static void
over_answer(void *context, const struct overview_answer *answer)
{
    struct over_work *work = context;
    struct session *session = work->session;
    uint64_t next = answer->next;

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
        if (stream_is_compressed(session->stream))
            next = over_write_packed(work, answer);
        else
            over_write_lines(session, answer->lines, answer->count);
        (void)session_spend(session, (unsigned)answer->count);
    }
    work->rows.low = next;
    if (next == 0)
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
               || !access_reads_record(&work->session->access,
                                       work->session->worker->active,
                                       &result->spooled->record)
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
                                   .high = work->rows.high,
                                   .limit = SESSION_ROWS};

    if (work->done) /* by an answer that came later */
        return STEP_DONE;
    if (work->asking)
        return STEP_WAIT;
    if (work->id == NULL && stream_is_compressed(work->session->stream)) {
        over_write_kept(work);
        if (session_spend(work->session, 0))
            return STEP_MORE;
    }
    query.low = work->rows.low;
    work->removals = active_removals(worker->active);
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
