/*
 * cmd_hdr -- HDR, XHDR and XPAT (RFC 3977, 8.5; RFC 2980, 2.6 and 2.9).
 *
 * A field that the overview has is answered from it.  Any other means reading
 * each article: the overview says which there are, a bounded number at a
 * time, and they are fetched one after the other.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/memory.h"
#include "lib/wildmat.h"
#include "nnrpd/cmd.h"
#include "nnrpd/fetch.h"
#include "nnrpd/overview_line.h"
#include "nnrpd/rows.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/overview.h"
#include "storage/spool_reader.h"

enum { HDR_FETCHES = 64 }; /* located at a time */

/* How the three differ. */
struct hdr_kind {
    const char *follows; /* the first line of the list */
    const char *empty;   /* the reply to an empty range */
    const char *missing; /* what stands for a field that is not there */
    bool names_id;       /* by message-ID: the line begins with it, not 0 */
};

static const struct hdr_kind kind_hdr = {
    "225 Headers follow", "423 No articles in that range", "", false};
static const struct hdr_kind kind_xhdr = {
    "221 Header follows", "221 Header follows\r\n.", "(none)", true};
static const struct hdr_kind kind_xpat = {"221 Header matches follow",
                                          "221 Header matches follow\r\n.",
                                          "(none)", true};

struct place {
    uint64_t number;
    uint64_t sequence;
    struct token token;
};

struct hdr_work {
    struct session *session;
    const struct hdr_kind *kind;
    struct rows rows;
    char *id;
    char *header;
    int index;     /* in the overview's line; -1: not there */
    char *pattern; /* XPAT; else NULL */
    const char *empty;
    bool begun;
    bool asking;
    bool done;
    bool located_all; /* no further places to come */
    struct place places[HDR_FETCHES];
    size_t place_count;
    size_t place;
    struct overview_request *question;
    struct fetch *fetch;
};

/* --- writing --- */

static void
hdr_begin_list(struct hdr_work *work)
{
    if (!work->begun)
        session_reply(work->session, "%s", work->kind->follows);
    work->begun = true;
}

static void
hdr_end_list(struct hdr_work *work)
{
    if (work->begun)
        session_write(work->session, ".\r\n", 3);
    else
        session_reply(work->session, "%s", work->empty);
    work->done = true;
}

static bool
hdr_matches(const struct hdr_work *work, const char *value, size_t octets)
{
    return work->pattern == NULL
           || wildmat_match_pattern(work->pattern, strlen(work->pattern),
                                    value, octets);
}

static void
hdr_write(struct hdr_work *work, uint64_t number, const char *value,
          size_t octets)
{
    struct buffer line = BUFFER_EMPTY;

    hdr_begin_list(work);
    if (!hdr_matches(work, value, octets))
        return;
    if (work->id != NULL && work->kind->names_id)
        buffer_append_text(&line, work->id);
    else
        buffer_append_format(&line, "%" PRIu64, number);
    buffer_append_char(&line, ' ');
    buffer_append(&line, value, octets);
    buffer_append(&line, "\r\n", 2);
    session_write(work->session, line.data, line.used);
    buffer_free(&line);
}

static void
hdr_write_text(struct hdr_work *work, uint64_t number, const char *text)
{
    hdr_write(work, number, text, strlen(text));
}

/* --- from the overview --- */

/* Returns where to go on: a pattern can take long with each line, and then
   those left are for another turn. */
static uint64_t
hdr_write_lines(struct hdr_work *work, const struct overview_answer *answer)
{
    const struct overview_line *line;
    const char *field;
    size_t i, octets;

    for (i = 0; i < answer->count; i++) {
        line = &answer->lines[i];
        if (i > 0 && session_spend(work->session, 1))
            return line->number;
        if (overview_line_field(line->text, line->octets, work->index, &field,
                                &octets)
            && octets > 0)
            hdr_write(work, line->number, field, octets);
        else
            hdr_write_text(work, line->number, work->kind->missing);
    }
    return answer->next;
}

static void
hdr_keep_places(struct hdr_work *work, const struct overview_answer *answer)
{
    size_t i;

    assert(answer->count <= HDR_FETCHES); /* as asked */
    work->place = 0;
    work->place_count = answer->count;
    for (i = 0; i < answer->count; i++)
        work->places[i] =
            (struct place){answer->lines[i].number, answer->lines[i].sequence,
                           answer->lines[i].token};
}

static void
hdr_answer(void *context, const struct overview_answer *answer)
{
    struct hdr_work *work = context;

    work->asking = false;
    work->question = NULL;
    session_wake(work->session);
    if (answer->status < 0 && work->begun) {
        session_abort(work->session, "overview failed within a list");
        return;
    }
    if (answer->status < 0) {
        session_reply(work->session, "403 Overview cannot be read at present");
        work->done = true;
        return;
    }
    work->rows.low = answer->next;
    if (work->index >= 0)
        work->rows.low = hdr_write_lines(work, answer);
    else
        hdr_keep_places(work, answer);
    work->located_all = work->rows.low == 0;
}

/* --- from the articles --- */

/* The value from a record: of the overview's line, or of the header field. */
static bool
hdr_value(const struct hdr_work *work, const struct spooled *spooled,
          struct buffer *value)
{
    struct buffer line = BUFFER_EMPTY;
    struct field_value field;
    const char *text;
    size_t octets;
    bool found;

    if (work->index < 0) {
        found =
            head_find(spooled->record.payload,
                      spooled->record.head.head_octets, work->header, &field);
        if (found)
            field_unfold(&field, value);
        return found;
    }
    found = overview_line_build(&line, spooled)
            && overview_line_field(line.data, line.used, work->index, &text,
                                   &octets);
    if (found)
        buffer_append(value, text, octets);
    buffer_free(&line);
    return found;
}

static void
hdr_fetched(void *context, const struct fetch_result *result)
{
    struct hdr_work *work = context;
    struct buffer value = BUFFER_EMPTY;
    enum fetch_status status = result->status;
    uint64_t number =
        work->id != NULL ? 0 : work->places[work->place++].number;

    work->asking = false;
    work->fetch = NULL;
    session_wake(work->session);
    /* By message-ID: of groups that he may read. */
    if (status == FETCH_FOUND && work->id != NULL
        && !access_reads_record(&work->session->access,
                                work->session->worker->active,
                                &result->spooled->record))
        status = FETCH_ABSENT;
    if (status == FETCH_FOUND) {
        if (hdr_value(work, result->spooled, &value) && value.used > 0)
            hdr_write(work, number, value.data, value.used);
        else
            hdr_write_text(work, number, work->kind->missing);
    } else if (work->id != NULL) {
        session_reply(work->session, "%s",
                      status == FETCH_ABSENT
                          ? "430 No such article"
                          : "403 Article cannot be read at present");
        work->done = true;
    }
    /* One of a range that has gone meanwhile, or cannot be read, has no line;
       the others have. */
    buffer_free(&value);
    (void)session_spend(work->session, 1); /* asked before the next step */
}

static void
hdr_fetch(struct hdr_work *work)
{
    struct worker *worker = work->session->worker;
    struct place *place = &work->places[work->place];

    work->asking = true;
    if (work->id != NULL)
        work->fetch =
            fetch_by_message_id(worker, work->id, true, hdr_fetched, work);
    else
        work->fetch = fetch_by_token(worker, &place->token, place->sequence,
                                     hdr_fetched, work);
    if (work->id != NULL)
        work->located_all = true;
}

static void
hdr_locate(struct hdr_work *work)
{
    struct overview_query query = {.question = OVERVIEW_RANGE,
                                   .group = work->rows.group,
                                   .low = work->rows.low,
                                   .high = work->rows.high,
                                   .limit = work->index >= 0 ? SESSION_ROWS
                                                             : HDR_FETCHES};

    work->asking = true;
    work->question = overview_ask(work->session->worker->overview, &query,
                                  hdr_answer, work);
}

static enum step
hdr_step(void *context)
{
    struct hdr_work *work = context;

    if (work->done) /* by an answer that came later */
        return STEP_DONE;
    if (work->asking)
        return STEP_WAIT;
    if (work->place < work->place_count
        || (work->id != NULL && !work->located_all))
        hdr_fetch(work);
    else if (work->located_all || work->rows.low > work->rows.high)
        hdr_end_list(work);
    else
        hdr_locate(work);
    if (work->done)
        return STEP_DONE;
    return work->asking ? STEP_WAIT : STEP_MORE;
}

static void
hdr_free(void *context)
{
    struct hdr_work *work = context;

    fetch_forget(&work->fetch);
    if (work->question != NULL)
        overview_forget(work->question);
    free(work->id);
    free(work->header);
    free(work->pattern);
    free(work);
}

static const struct work_kind hdr_work_kind = {hdr_step, hdr_free};

/* What XHDR calls by the header's name is, in the overview, metadata. */
static int
hdr_index(const struct hdr_kind *kind, const char *header)
{
    if (kind != &kind_hdr && strcasecmp(header, "Lines") == 0)
        return overview_line_index(":lines");
    if (kind != &kind_hdr && strcasecmp(header, "Bytes") == 0)
        return overview_line_index(":bytes");
    return overview_line_index(header);
}

/* pattern is taken over; NULL: every value. */
static void
hdr_command(struct session *session, const struct hdr_kind *kind,
            const char *header, const char *which, char *pattern)
{
    struct hdr_work *work;
    struct rows rows;
    int index = hdr_index(kind, header);

    if (index < 0 && header[0] == ':') {
        session_reply(session, "503 No metadata item %s", header);
        free(pattern);
        return;
    }
    if (!rows_parse(&rows, session, which)) {
        free(pattern);
        return;
    }
    work = xcalloc(1, sizeof *work);
    work->session = session;
    work->kind = kind;
    work->rows = rows;
    work->id = rows.id == NULL ? NULL : xstrdup(rows.id);
    work->header = xstrdup(header);
    work->index = index;
    work->pattern = pattern;
    work->empty = rows.current ? "420 Current article is gone" : kind->empty;
    session_begin(session, &hdr_work_kind, work);
}

void
cmd_hdr(struct session *session, const struct arguments *arguments)
{
    hdr_command(session, &kind_hdr, arguments->word[0],
                arguments->count > 1 ? arguments->word[1] : NULL, NULL);
}

void
cmd_xhdr(struct session *session, const struct arguments *arguments)
{
    hdr_command(session, &kind_xhdr, arguments->word[0],
                arguments->count > 1 ? arguments->word[1] : NULL, NULL);
}

/* RFC 2980, 2.9: several patterns are one, with the spaces between. */
void
cmd_xpat(struct session *session, const struct arguments *arguments)
{
    struct buffer pattern = BUFFER_EMPTY;
    int i;

    for (i = 2; i < arguments->count; i++) {
        if (i > 2)
            buffer_append_char(&pattern, ' ');
        buffer_append_text(&pattern, arguments->word[i]);
    }
    hdr_command(session, &kind_xpat, arguments->word[0], arguments->word[1],
                buffer_take(&pattern));
}
