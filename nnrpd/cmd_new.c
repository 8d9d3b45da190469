/*
 * cmd_new -- NEWGROUPS and NEWNEWS (RFC 3977, 7.3 and 7.4).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/date.h"
#include "lib/memory.h"
#include "lib/wildmat.h"
#include "nnrpd/cmd.h"
#include "nnrpd/fetch.h"
#include "nnrpd/group_list.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"
#include "storage/overview.h"
#include "storage/spool_reader.h"

/* The arguments from the date on; false: 501 was replied.  The server's zone
   is GMT in any case. */
static bool
since_parse(struct session *session, const struct arguments *arguments,
            int first, int64_t *since_r)
{
    bool gmt = arguments->count <= first + 2
               || strcasecmp(arguments->word[first + 2], "GMT") == 0;

    if (gmt
        && date_parse_command(arguments->word[first],
                              arguments->word[first + 1], time(NULL), since_r)
               == 0)
        return true;
    session_reply_bad(session, "501 Bad date or time");
    return false;
}

void
cmd_newgroups(struct session *session, const struct arguments *arguments)
{
    int64_t since;

    if (since_parse(session, arguments, 0, &since))
        group_list_begin(session, "231 List of new newsgroups follows", NULL,
                         since > 0 ? since : 1, list_line_active);
}

/* --- NEWNEWS: a walk over arrivals, reading each record for its groups --- */

enum { NEWNEWS_FETCHES = 64 };

struct arrival {
    uint64_t sequence;
    struct token token;
};

/* Is a group one of those that he asks about, and may read? */
enum verdict { VERDICT_NONE, VERDICT_NO, VERDICT_YES };

struct newnews_work {
    struct session *session;
    char *wildmat;
    unsigned char *verdicts; /* enum verdict, by group: a pattern that takes
                                long is matched once with each name */
    uint32_t groups;         /* that there were when it began */
    int64_t since;
    uint64_t next; /* sequence to go on from; 0: no more */
    bool asking;
    struct arrival arrivals[NEWNEWS_FETCHES];
    size_t count;
    size_t at;
    struct overview_request *question;
    struct fetch *fetch;
};

static void
newnews_answer(void *context, const struct overview_answer *answer)
{
    struct newnews_work *work = context;
    size_t i;

    work->asking = false;
    work->question = NULL;
    session_wake(work->session);
    if (answer->status < 0) {
        session_abort(work->session, "overview failed within a list");
        return;
    }
    assert(answer->count <= NEWNEWS_FETCHES); /* as asked */
    work->at = 0;
    work->count = answer->count;
    for (i = 0; i < answer->count; i++)
        work->arrivals[i] = (struct arrival){answer->lines[i].sequence,
                                             answer->lines[i].token};
    work->next = answer->next;
}

static enum verdict
newnews_judge(const struct newnews_work *work, uint32_t group)
{
    const struct session *session = work->session;
    size_t octets;
    const char *name = active_name(session->worker->active, group, &octets);

    return access_reads_group(&session->access, name, octets)
                   && wildmat_match(work->wildmat, strlen(work->wildmat), name,
                                    octets)
               ? VERDICT_YES
               : VERDICT_NO;
}

static bool
newnews_wants(struct newnews_work *work, const struct record *record)
{
    const struct active *active = work->session->worker->active;
    uint32_t group;
    size_t i;

    for (i = 0; i < record_group_count(record); i++) {
        group = record_group(record, i).group;
        if (group > work->groups || active_flag(active, group) == 0)
            continue;
        if (work->verdicts[group] == VERDICT_NONE)
            work->verdicts[group] = newnews_judge(work, group);
        if (work->verdicts[group] == VERDICT_YES)
            return true;
    }
    return false;
}

static void
newnews_fetched(void *context, const struct fetch_result *result)
{
    struct newnews_work *work = context;
    struct session *session = work->session;
    const struct record *record;
    struct field_value id;

    work->asking = false;
    work->fetch = NULL;
    work->at++;
    session_wake(session);
    (void)session_spend(session, 1); /* asked before the next step */
    /* What has gone meanwhile is no news. */
    if (result->status != FETCH_FOUND)
        return;
    record = &result->spooled->record;
    if (record->head.type != RECORD_ARTICLE || !newnews_wants(work, record)
        || !head_find(record->payload, record->head.head_octets, "Message-ID",
                      &id))
        return;
    session_reply(session, "%.*s", (int)id.length, id.octets);
}

static void
newnews_fetch(struct newnews_work *work)
{
    const struct arrival *arrival = &work->arrivals[work->at];

    work->asking = true;
    work->fetch = fetch_by_token(work->session->worker, &arrival->token,
                                 arrival->sequence, newnews_fetched, work);
}

static void
newnews_locate(struct newnews_work *work)
{
    struct overview_query query = {.question = OVERVIEW_SINCE,
                                   .low = work->next,
                                   .since = work->since,
                                   .limit = NEWNEWS_FETCHES};

    work->asking = true;
    work->question = overview_ask(work->session->worker->overview, &query,
                                  newnews_answer, work);
}

static enum step
newnews_step(void *context)
{
    struct newnews_work *work = context;

    if (work->asking)
        return STEP_WAIT;
    if (work->at < work->count) {
        newnews_fetch(work);
    } else if (work->next > 0) {
        newnews_locate(work);
    } else {
        session_write(work->session, ".\r\n", 3);
        return STEP_DONE;
    }
    return work->asking ? STEP_WAIT : STEP_MORE;
}

static void
newnews_free(void *context)
{
    struct newnews_work *work = context;

    fetch_forget(&work->fetch);
    if (work->question != NULL)
        overview_forget(work->question);
    free(work->verdicts);
    free(work->wildmat);
    free(work);
}

static const struct work_kind newnews_work_kind = {newnews_step, newnews_free};

void
cmd_newnews(struct session *session, const struct arguments *arguments)
{
    const char *wildmat = arguments->word[0];
    struct buffer why = BUFFER_EMPTY;
    struct newnews_work *work;
    int64_t since;

    if (wildmat_check(wildmat, strlen(wildmat), &why) < 0) {
        session_reply_bad(session, "501 Bad wildmat: %s", buffer_text(&why));
        buffer_free(&why);
        return;
    }
    if (!since_parse(session, arguments, 1, &since))
        return;
    work = xcalloc(1, sizeof *work);
    work->session = session;
    work->wildmat = xstrdup(wildmat);
    work->groups = active_count(session->worker->active);
    work->verdicts = xcalloc((size_t)work->groups + 1, 1);
    work->since = since;
    work->next = 1;
    session_reply(session, "230 List of new articles follows");
    session_begin(session, &newnews_work_kind, work);
}
