/*
 * fetch -- see fetch.h.
 *
 * A machine of few steps.  Each begins one question, and the question's answer
 * says what the next step is; an answer that comes at once finds the loop
 * running and only leaves the next step for it, so nothing recurses.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "lib/message_id.h"
#include "nnrpd/fetch.h"
#include "nnrpd/finder.h"
#include "nnrpd/overview_line.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"
#include "storage/overview.h"
#include "storage/spool_reader.h"

enum fetch_step {
    FETCH_WAIT,
    FETCH_LOCATE_NUMBER, /* ask the overview by number */
    FETCH_FIND_ID,       /* ask the finder, then the writer */
    FETCH_READ,          /* read the record */
    FETCH_RELOCATE,      /* ask the overview where it lies now */
    FETCH_TELL,          /* call func */
};

struct fetch {
    struct worker *worker;
    fetch_func *func;
    void *context;
    bool record;
    bool relocated; /* once is enough: then it is gone */
    bool looping;
    bool told;
    enum fetch_step next;
    uint32_t group;
    uint64_t number;
    uint64_t sequence;
    struct token token;
    char id[MESSAGE_ID_OCTETS_MAX + 1];
    enum fetch_status status;
    struct spooled *spooled;
    struct overview_request *question;
    struct writer_request *find;
    struct spool_read *read;
};

static struct fetch *fetch_loop(struct fetch *fetch);

static void
fetch_free(struct fetch *fetch)
{
    if (fetch->question != NULL)
        overview_forget(fetch->question);
    if (fetch->read != NULL)
        spool_read_forget(fetch->read);
    writer_forget(&fetch->find);
    if (fetch->spooled != NULL)
        spooled_release(fetch->spooled);
    free(fetch);
}

static void
fetch_go_on(struct fetch *fetch, enum fetch_step next)
{
    fetch->next = next;
    (void)fetch_loop(fetch); /* nobody is there to hand it to */
}

static void
fetch_tell(struct fetch *fetch, enum fetch_status status)
{
    fetch->status = status;
    fetch_go_on(fetch, FETCH_TELL);
}

/* --- answers --- */

static void
fetch_located(void *context, const struct overview_answer *answer)
{
    struct fetch *fetch = context;
    const struct overview_line *line;

    fetch->question = NULL;
    if (answer->status != 1 || answer->count == 0) {
        fetch_tell(fetch, answer->status < 0 ? FETCH_FAILED : FETCH_ABSENT);
        return;
    }
    line = &answer->lines[0];
    fetch->number = line->number;
    fetch->sequence = line->sequence;
    fetch->token = line->token;
    overview_line_message_id(line->text, line->octets, fetch->id);
    if (fetch->record)
        fetch_go_on(fetch, FETCH_READ);
    else
        fetch_tell(fetch, FETCH_FOUND);
}

static void
fetch_found(struct fetch *fetch, uint64_t sequence, const struct token *token)
{
    fetch->sequence = sequence;
    fetch->token = *token;
    if (sequence == 0)
        fetch_tell(fetch, FETCH_ABSENT);
    else if (fetch->record)
        fetch_go_on(fetch, FETCH_READ);
    else
        fetch_tell(fetch, FETCH_FOUND);
}

static void
fetch_writer_found(void *context, const struct writer_answer *answer)
{
    struct fetch *fetch = context;

    fetch->find = NULL;
    if (answer->away)
        fetch_tell(fetch, FETCH_FAILED);
    else
        fetch_found(fetch, answer->sequence, &answer->token);
}

static void
fetch_read(void *context, enum spool_result result, struct spooled *spooled)
{
    struct fetch *fetch = context;

    fetch->read = NULL;
    switch (result) {
    case SPOOL_FOUND:
        fetch->spooled = spooled;
        fetch_tell(fetch, FETCH_FOUND);
        break;
    case SPOOL_GONE:
        if (fetch->relocated)
            fetch_tell(fetch, FETCH_ABSENT);
        else
            fetch_go_on(fetch, FETCH_RELOCATE);
        break;
    case SPOOL_CORRUPT:
    case SPOOL_FAILED:
        fetch_tell(fetch, FETCH_FAILED);
        break;
    }
}

static void
fetch_relocated(void *context, const struct overview_answer *answer)
{
    struct fetch *fetch = context;

    fetch->question = NULL;
    fetch->relocated = true;
    if (answer->status != 1) {
        fetch_tell(fetch, answer->status < 0 ? FETCH_FAILED : FETCH_ABSENT);
        return;
    }
    fetch->token = answer->token;
    fetch_go_on(fetch, FETCH_READ);
}

/* --- questions --- */

static void
fetch_locate_number(struct fetch *fetch)
{
    struct overview_query query = {.question = OVERVIEW_RANGE,
                                   .group = fetch->group,
                                   .low = fetch->number,
                                   .high = fetch->number,
                                   .limit = 1};

    fetch->question =
        overview_ask(fetch->worker->overview, &query, fetch_located, fetch);
}

static void
fetch_find_id(struct fetch *fetch)
{
    struct finder *finder = fetch->worker->finder;
    struct message_hash hash = finder_hash(finder, fetch->id);
    struct token token;
    uint64_t sequence;

    if (finder_knows(finder, &hash, &sequence, &token))
        fetch_found(fetch, sequence, &token);
    else
        fetch->find = writer_find(fetch->worker->writer, &hash,
                                  fetch_writer_found, fetch);
}

static void
fetch_relocate(struct fetch *fetch)
{
    struct overview_query query = {.question = OVERVIEW_LOCATE,
                                   .low = fetch->sequence};

    fetch->question =
        overview_ask(fetch->worker->overview, &query, fetch_relocated, fetch);
}

static void
fetch_step(struct fetch *fetch, enum fetch_step step)
{
    switch (step) {
    case FETCH_LOCATE_NUMBER:
        fetch_locate_number(fetch);
        break;
    case FETCH_FIND_ID:
        fetch_find_id(fetch);
        break;
    case FETCH_READ:
        fetch->read = spool_read(fetch->worker->spool, &fetch->token,
                                 fetch->sequence, fetch_read, fetch);
        break;
    case FETCH_RELOCATE:
        fetch_relocate(fetch);
        break;
    case FETCH_TELL:
        fetch->told = true;
        fetch->func(fetch->context,
                    &(struct fetch_result){.status = fetch->status,
                                           .number = fetch->number,
                                           .message_id = fetch->id,
                                           .spooled = fetch->spooled});
        break;
    case FETCH_WAIT:
        break;
    }
}

/* Returns the fetch, or NULL when func was called and it is free. */
static struct fetch *
fetch_loop(struct fetch *fetch)
{
    enum fetch_step step;

    if (fetch->looping)
        return fetch;
    fetch->looping = true;
    while (fetch->next != FETCH_WAIT) {
        step = fetch->next;
        fetch->next = FETCH_WAIT;
        fetch_step(fetch, step);
    }
    fetch->looping = false;
    if (!fetch->told)
        return fetch;
    fetch_free(fetch);
    return NULL;
}

static struct fetch *
fetch_new(struct worker *worker, bool record, fetch_func *func, void *context)
{
    struct fetch *fetch = xcalloc(1, sizeof *fetch);

    fetch->worker = worker;
    fetch->record = record;
    fetch->func = func;
    fetch->context = context;
    return fetch;
}

struct fetch *
fetch_by_number(struct worker *worker, uint32_t group, uint64_t number,
                bool record, fetch_func *func, void *context)
{
    struct fetch *fetch = fetch_new(worker, record, func, context);

    fetch->group = group;
    fetch->number = number;
    fetch->next = FETCH_LOCATE_NUMBER;
    return fetch_loop(fetch);
}

struct fetch *
fetch_by_message_id(struct worker *worker, const char *id, bool record,
                    fetch_func *func, void *context)
{
    struct fetch *fetch = fetch_new(worker, record, func, context);

    strncpy(fetch->id, id, MESSAGE_ID_OCTETS_MAX); /* valid: no longer */
    fetch->next = FETCH_FIND_ID;
    return fetch_loop(fetch);
}

struct fetch *
fetch_by_token(struct worker *worker, const struct token *token,
               uint64_t sequence, fetch_func *func, void *context)
{
    struct fetch *fetch = fetch_new(worker, true, func, context);

    fetch->token = *token;
    fetch->sequence = sequence;
    fetch->next = FETCH_READ;
    return fetch_loop(fetch);
}

void
fetch_forget(struct fetch **fetch)
{
    if (*fetch != NULL)
        fetch_free(*fetch);
    *fetch = NULL;
}
