#include "storage/overview_postgresql_reader.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"

enum {
    /* How long a question waits for a database that is there. */
    REQUEST_MS = 15000,
    /* How long the questions of the time wait after it went away; those that
       come later are answered at once that they cannot be. */
    AWAY_MS = 5000,
    RETRY_FIRST_MS = 50,
    RETRY_LAST_MS = 2000,
    TICK_MS = 50,
    BLOCK_OCTETS = 24 * 1024, /* a first guess */
};

static const char *const reader_sql[READ_STATEMENTS] = {
    [READ_BEGIN] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    [READ_COMMIT] = "COMMIT",
    [READ_STATE] = "SELECT epoch, moved,"
                   " (SELECT coalesce(max(id), 0) FROM removed) FROM meta",
    [READ_REMOVED] = "SELECT id, sequence, last, numbers FROM removed"
                     " WHERE id > $1::int8 ORDER BY id",
    /* Not from what was folded on: see load_rows() of the writer. */
    [READ_RECENT] =
        "SELECT sequence, arrival, segment, position, octets, numbers, line"
        " FROM recent WHERE sequence >"
        " greatest($1::int8, (SELECT moved FROM meta)) ORDER BY sequence",
    [READ_BLOCKS_UP] = "SELECT key, data FROM block WHERE key BETWEEN $1::int8"
                       " AND $2::int8 ORDER BY key LIMIT $3::int8",
    [READ_BLOCKS_DOWN] =
        "SELECT key, data FROM block WHERE key BETWEEN $1::int8"
        " AND $2::int8 ORDER BY key DESC LIMIT $3::int8",
    [READ_ARTICLE] = "SELECT segment, position, octets, arrival FROM article"
                     " WHERE sequence = $1::int8",
    /* Arrival never goes back: the first that is late enough has the lowest
       sequence of those. */
    [READ_SINCE] =
        "SELECT sequence, segment, position, octets FROM article"
        " WHERE sequence >= greatest($1::int8, coalesce((SELECT sequence"
        " FROM article WHERE arrival >= $2::int8 ORDER BY arrival, sequence"
        " LIMIT 1), 9223372036854775807)) ORDER BY sequence LIMIT $3::int8",
};

static const char reader_settings[] =
    "SELECT version, set_config('default_transaction_read_only', 'on', false),"
    " set_config('statement_timeout', '30s', false),"
    " set_config('enable_seqscan', 'off', false),"
    " set_config('plan_cache_mode', 'force_generic_plan', false),"
    " set_config('jit', 'off', false) FROM meta";

static struct postgresql_reader *
postgresql_reader(struct overview_reader *reader)
{
    return (struct postgresql_reader *)reader;
}

/* While anything is awaited, the clock ticks. */
static void
reader_arm(struct postgresql_reader *reader)
{
    static const struct timeval tick = {0, TICK_MS * 1000};

    if ((reader->requests > 0 || reader->state != READER_READY)
        && event_pending(reader->tick, EV_TIMEOUT, NULL) == 0)
        event_add(reader->tick, &tick);
}

/* --- requests --- */

static void
request_free(struct postgresql_reader *reader,
             struct postgresql_request *request)
{
    reader->requests--;
    free(request);
}

/* Give the answer, and be done with it. */
static void
request_end(struct postgresql_reader *reader,
            struct postgresql_request *request,
            const struct overview_answer *answer)
{
    if (request->waits)
        TAILQ_REMOVE(&reader->waiting, request, next);
    if (request->done != NULL)
        request->done(request->context, answer);
    request_free(reader, request);
}

static void
request_fail(struct postgresql_reader *reader,
             struct postgresql_request *request)
{
    struct overview_answer answer = {.status = -1};

    request_end(reader, request, &answer);
}

static void
request_wait(struct postgresql_reader *reader,
             struct postgresql_request *request)
{
    request->waits = true;
    TAILQ_INSERT_TAIL(&reader->waiting, request, next);
}

/* --- the connection goes --- */

static void
event_drop(struct event **event)
{
    if (*event != NULL)
        event_free(*event);
    *event = NULL;
}

static void
reader_disconnect(struct postgresql_reader *reader)
{
    struct expected *expected;

    event_drop(&reader->readable);
    event_drop(&reader->writable);
    PQfinish(reader->db);
    reader->db = NULL;
    reader->state = READER_AWAY;
    reader->refreshing = reader->spoilt = false;
    postgresql_forget_recent(reader);
    while ((expected = STAILQ_FIRST(&reader->expected)) != NULL) {
        STAILQ_REMOVE_HEAD(&reader->expected, next);
        /* To be asked again, when it is back in time. */
        if (expected->kind == EXPECT_ANSWER) {
            if (expected->request->done != NULL)
                request_wait(reader, expected->request);
            else
                request_free(reader, expected->request);
        }
        free(expected);
    }
}

/* Whatever failed, the next try begins with a new connection.  A fault that
   lasts is logged at its first, second, fourth, eighth time. */
static void
reader_lost(struct postgresql_reader *reader)
{
    uint64_t times = ++reader->failures;
    int64_t now = clock_ms();

    if ((times & (times - 1)) == 0)
        warn("%s times=%llu", buffer_text(&reader->why),
             (unsigned long long)times);
    reader_disconnect(reader);
    if (reader->away_ms == 0) {
        reader->away_ms = now;
        reader->pause_ms = RETRY_FIRST_MS;
    }
    reader->retry_ms = now + reader->pause_ms;
    if (reader->pause_ms * 2 <= RETRY_LAST_MS)
        reader->pause_ms *= 2;
    reader_arm(reader);
}

static void
reader_failed(struct postgresql_reader *reader, const char *what,
              const PGresult *result)
{
    postgresql_why(&reader->why, what,
                   result != NULL ? PQresultErrorMessage(result)
                                  : PQerrorMessage(reader->db));
    reader_lost(reader);
}

/* --- sending --- */

static void
expect(struct postgresql_reader *reader, enum expected_kind kind,
       struct postgresql_request *request)
{
    struct expected *expected = xcalloc(1, sizeof(*expected));

    expected->kind = kind;
    expected->sent_ms = clock_ms();
    expected->request = request;
    STAILQ_INSERT_TAIL(&reader->expected, expected, next);
}

static struct postgresql_values *
reader_with(struct postgresql_reader *reader)
{
    postgresql_values_clear(&reader->values);
    return &reader->values;
}

/*
 * Only memory may fail this, and a connection that is gone, which is noticed
 * where it is read: an answer that never comes has a deadline besides.
 */
static void
send_statement(struct postgresql_reader *reader,
               enum reader_statement statement, enum expected_kind kind,
               struct postgresql_request *request)
{
    if (postgresql_send(reader->db, statement, &reader->values) != 1)
        debug("overview: %s", PQerrorMessage(reader->db));
    expect(reader, kind, request);
}

static void
send_mark(struct postgresql_reader *reader, enum expected_kind kind)
{
    if (PQpipelineSync(reader->db) != 1)
        debug("overview: %s", PQerrorMessage(reader->db));
    expect(reader, kind, NULL);
}

/* Let what was sent leave. */
static void
reader_flush(struct postgresql_reader *reader)
{
    int left;

    if (reader->db == NULL || reader->state == READER_CONNECTING)
        return;
    left = PQflush(reader->db);
    if (left > 0)
        event_add(reader->writable, NULL);
    else if (left < 0)
        reader_failed(reader, "sending", NULL);
}

/* Bring recent to the present moment. */
static void
send_refresh(struct postgresql_reader *reader)
{
    reader->refreshing = true;
    reader->spoilt = false;
    /* Before the transaction: it may be newer than the counter, never
       older. */
    reader->asked_published = active_published(reader->active);
    reader_with(reader);
    send_statement(reader, READ_BEGIN, EXPECT_NOTHING, NULL);
    send_statement(reader, READ_STATE, EXPECT_STATE, NULL);
    postgresql_add_number(reader_with(reader), (int64_t)reader->last_removed);
    send_statement(reader, READ_REMOVED, EXPECT_REMOVED, NULL);
    postgresql_add_number(reader_with(reader), (int64_t)reader->last);
    send_statement(reader, READ_RECENT, EXPECT_RECENT, NULL);
    reader_with(reader);
    send_statement(reader, READ_COMMIT, EXPECT_NOTHING, NULL);
    send_mark(reader, EXPECT_REFRESHED);
}

static void
send_question(struct postgresql_reader *reader,
              struct postgresql_request *request)
{
    const struct overview_query *query = &request->query;
    struct postgresql_values *values = reader_with(reader);
    enum reader_statement statement = READ_BLOCKS_UP;
    int64_t first = 0, last = -1;

    if (query->question == OVERVIEW_LOCATE) {
        statement = READ_ARTICLE;
        postgresql_add_number(values, (int64_t)query->low);
    } else if (query->question == OVERVIEW_SINCE) {
        statement = READ_SINCE;
        postgresql_add_number(values, (int64_t)query->low);
        postgresql_add_number(values, query->since);
        postgresql_add_number(values,
                              (int64_t)overview_answer_articles(query) + 1);
    } else {
        if (query->question == OVERVIEW_PREVIOUS)
            statement = READ_BLOCKS_DOWN;
        /* No key, where there is none that could have it. */
        (void)overview_answer_keys(query, &first, &last);
        postgresql_add_number(values, first);
        postgresql_add_number(values, last);
        postgresql_add_number(values, (int64_t)request->blocks);
    }
    send_statement(reader, statement, EXPECT_ANSWER, request);
    send_mark(reader, EXPECT_MARK);
}

/* --- answering --- */

/* Give its answer, or go on asking. */
static void
request_answer(struct postgresql_reader *reader,
               struct postgresql_request *request, const PGresult *result)
{
    struct overview_answer answer = {0};
    int status = postgresql_answer(reader, request, result, &answer);

    if (status < 0)
        request_fail(reader, request);
    else if (status > 0)
        send_question(reader, request);
    else
        request_end(reader, request, &answer);
}

/* Can recent answer it alone?  Then it has. */
static bool
request_answer_now(struct postgresql_reader *reader,
                   struct postgresql_request *request)
{
    struct overview_answer answer = {0};

    if (!postgresql_answer_now(reader, request, &answer))
        return false;
    request_end(reader, request, &answer);
    return true;
}

/* Send what waits and may go; refresh recent for what may not. */
static void
reader_dispatch(struct postgresql_reader *reader)
{
    struct postgresql_request *request, *next;
    bool stale = false;

    if (reader->state != READER_READY)
        return;
    for (request = TAILQ_FIRST(&reader->waiting); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, next);
        if (!reader->loaded || reader->published < request->published) {
            stale = true;
            continue;
        }
        TAILQ_REMOVE(&reader->waiting, request, next);
        request->waits = false;
        if (!request_answer_now(reader, request))
            send_question(reader, request);
        /* Whoever was answered may have asked, or forgotten, another. */
        next = TAILQ_FIRST(&reader->waiting);
        stale = false;
    }
    if (stale && !reader->refreshing)
        send_refresh(reader);
}

/* --- reading --- */

static void
take_refreshed(struct postgresql_reader *reader)
{
    reader->refreshing = false;
    if (reader->spoilt)
        return;
    reader->loaded = true;
    reader->published = reader->asked_published;
}

static void
take_ready(struct postgresql_reader *reader)
{
    reader->state = READER_READY;
    if (reader->failures > 0)
        notice("overview: the database is there again");
    reader->failures = 0;
    reader->away_ms = 0;
}

/* The answer to a question; recent may have been forgotten meanwhile. */
static void
take_answer(struct postgresql_reader *reader,
            struct postgresql_request *request, const PGresult *result)
{
    if (request->done == NULL)
        request_free(reader, request);
    else if (!reader->loaded)
        request_wait(reader, request);
    else
        request_answer(reader, request, result);
}

static int
check_version(struct postgresql_reader *reader, const PGresult *result)
{
    if (PQntuples(result) == 1
        && postgresql_number(result, 0, 0) == POSTGRESQL_SCHEMA_VERSION)
        return 0;
    return why_set(&reader->why,
                   "overview: the database has another version of the tables"
                   " than %d",
                   (int)POSTGRESQL_SCHEMA_VERSION);
}

/* 0, or -1: the connection was given up. */
static int
take_result(struct postgresql_reader *reader, const struct expected *expected,
            const PGresult *result)
{
    int status = 0;

    switch (expected->kind) {
    case EXPECT_VERSION:
        status = check_version(reader, result);
        break;
    case EXPECT_STATE:
        status = PQntuples(result) == 1
                     ? 0
                     : why_set(&reader->why, "overview: meta is empty");
        if (status == 0)
            postgresql_take_state(reader, result);
        break;
    case EXPECT_REMOVED:
        postgresql_take_removed(reader, result);
        break;
    case EXPECT_RECENT:
        status = postgresql_take_recent(reader, result);
        break;
    case EXPECT_REFRESHED:
        take_refreshed(reader);
        break;
    case EXPECT_READY:
        take_ready(reader);
        break;
    case EXPECT_ANSWER:
        take_answer(reader, expected->request, result);
        break;
    case EXPECT_NOTHING:
    case EXPECT_MARK:
        break;
    }
    if (status < 0)
        reader_lost(reader);
    return status;
}

static bool
is_expected(const struct expected *expected, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    if (expected->kind == EXPECT_READY || expected->kind == EXPECT_MARK
        || expected->kind == EXPECT_REFRESHED)
        return status == PGRES_PIPELINE_SYNC;
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/* All that has come.  False: the connection was given up. */
static bool
reader_take(struct postgresql_reader *reader)
{
    struct expected *expected;

    while ((expected = STAILQ_FIRST(&reader->expected)) != NULL
           && PQisBusy(reader->db) == 0) {
        PGresult *result = PQgetResult(reader->db);
        int status;

        /* What parts two statements' results. */
        if (result == NULL && PQstatus(reader->db) == CONNECTION_OK)
            continue;
        if (result == NULL || !is_expected(expected, result)) {
            reader_failed(reader, "reading", result);
            PQclear(result);
            return false;
        }
        STAILQ_REMOVE_HEAD(&reader->expected, next);
        status = take_result(reader, expected, result);
        free(expected);
        PQclear(result);
        if (status < 0)
            return false;
    }
    return true;
}

static void
on_readable(evutil_socket_t fd, short events, void *context)
{
    struct postgresql_reader *reader = context;

    (void)fd;
    (void)events;
    if (PQconsumeInput(reader->db) != 1) {
        reader_failed(reader, "reading", NULL);
        return;
    }
    if (!reader_take(reader))
        return;
    reader_dispatch(reader);
    reader_flush(reader);
}

static void
on_writable(evutil_socket_t fd, short events, void *context)
{
    (void)fd;
    (void)events;
    reader_flush(context);
}

/* --- connecting --- */

static void
reader_watch(struct postgresql_reader *reader)
{
    int fd = PQsocket(reader->db);

    event_drop(&reader->readable);
    event_drop(&reader->writable);
    reader->readable =
        event_new(reader->loop, fd, EV_READ | EV_PERSIST, on_readable, reader);
    reader->writable =
        event_new(reader->loop, fd, EV_WRITE, on_writable, reader);
    event_add(reader->readable, NULL);
}

/* The server has let us in. */
static void
reader_begin(struct postgresql_reader *reader)
{
    if (PQsetnonblocking(reader->db, 1) != 0
        || PQenterPipelineMode(reader->db) != 1
        || PQsendQueryParams(reader->db, reader_settings, 0, NULL, NULL, NULL,
                             NULL, 1)
               != 1) {
        reader_failed(reader, "beginning", NULL);
        return;
    }
    expect(reader, EXPECT_VERSION, NULL);
    for (unsigned i = 0; i < READ_STATEMENTS; i++) {
        if (postgresql_send_prepare(reader->db, i, reader_sql[i]) != 1) {
            reader_failed(reader, "preparing", NULL);
            return;
        }
        expect(reader, EXPECT_NOTHING, NULL);
    }
    /* READER_CONNECTING still: questions wait for the mark. */
    send_mark(reader, EXPECT_READY);
    reader_watch(reader);
    if (PQflush(reader->db) > 0)
        event_add(reader->writable, NULL);
}

static void
on_connecting(evutil_socket_t fd, short events, void *context)
{
    struct postgresql_reader *reader = context;
    short wanted;

    (void)fd;
    (void)events;
    event_drop(&reader->readable);
    switch (PQconnectPoll(reader->db)) {
    case PGRES_POLLING_OK:
        reader_begin(reader);
        return;
    case PGRES_POLLING_READING:
        wanted = EV_READ;
        break;
    case PGRES_POLLING_WRITING:
        wanted = EV_WRITE;
        break;
    default:
        reader_failed(reader, "connecting", NULL);
        return;
    }
    reader->readable = event_new(reader->loop, PQsocket(reader->db), wanted,
                                 on_connecting, reader);
    event_add(reader->readable, NULL);
}

static void
reader_connect(struct postgresql_reader *reader)
{
    reader->db = postgresql_connect_start(reader->url, "renews reader");
    reader->state = READER_CONNECTING;
    reader_arm(reader);
    reader->retry_ms = clock_ms() + POSTGRESQL_CONNECT_SECONDS * 1000;
    if (PQstatus(reader->db) == CONNECTION_BAD) {
        reader_failed(reader, "connecting", NULL);
        return;
    }
    /* PQconnectPoll() says so at first: wait until it can be written to. */
    reader->readable = event_new(reader->loop, PQsocket(reader->db), EV_WRITE,
                                 on_connecting, reader);
    event_add(reader->readable, NULL);
}

/* --- time --- */

static bool
reader_gives_up(const struct postgresql_reader *reader, int64_t now)
{
    return reader->away_ms != 0 && now - reader->away_ms > AWAY_MS;
}

/* Has the database had time enough? */
static bool
reader_is_late(const struct postgresql_reader *reader, int64_t now)
{
    const struct expected *oldest = STAILQ_FIRST(&reader->expected);

    if (reader->state == READER_CONNECTING)
        return reader->retry_ms < now;
    return oldest != NULL && oldest->sent_ms + REQUEST_MS < now;
}

static void
on_tick(evutil_socket_t fd, short events, void *context)
{
    struct postgresql_reader *reader = context;
    struct postgresql_request *request, *next;
    int64_t now = clock_ms();

    (void)fd;
    (void)events;
    if (reader_is_late(reader, now)) {
        why_set(&reader->why, "overview: the database does not answer");
        reader_lost(reader);
    }
    if (reader->state == READER_AWAY && reader->retry_ms <= now)
        reader_connect(reader);
    for (request = TAILQ_FIRST(&reader->waiting); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, next);
        if (reader_gives_up(reader, now) || request->deadline_ms < now) {
            request_fail(reader, request);
            next = TAILQ_FIRST(&reader->waiting);
        }
    }
    reader_arm(reader);
}

/* --- questions --- */

/* With a loop of our own nobody else is there to run it. */
static void
reader_wait(struct postgresql_reader *reader, const bool *done)
{
    while (!*done) {
        reader_flush(reader);
        if (event_base_loop(reader->loop, EVLOOP_ONCE) < 0)
            die(EXIT_SYSTEM, "event loop failed");
    }
}

struct waited {
    overview_done_func *done;
    void *context;
    bool is_done;
};

static void
waited_done(void *context, const struct overview_answer *answer)
{
    struct waited *waited = context;

    waited->is_done = true;
    waited->done(waited->context, answer);
}

static struct postgresql_request *
request_new(struct postgresql_reader *reader,
            const struct overview_query *query, overview_done_func *done,
            void *context)
{
    struct postgresql_request *request = xcalloc(1, sizeof(*request));

    request->base.reader = &reader->base;
    request->query = *query;
    request->done = done;
    request->context = context;
    request->published = active_published(reader->active);
    request->deadline_ms = clock_ms() + REQUEST_MS;
    request->blocks = postgresql_answer_blocks(reader, query);
    reader->requests++;
    return request;
}

struct overview_request *
postgresql_reader_ask(struct overview_reader *base,
                      const struct overview_query *query,
                      overview_done_func *done, void *context)
{
    struct postgresql_reader *reader = postgresql_reader(base);
    struct overview_answer failure = {.status = -1};
    struct waited waited = {.done = done, .context = context};
    struct postgresql_request *request;

    if (!reader->blocks && reader_gives_up(reader, clock_ms())) {
        done(context, &failure);
        return NULL;
    }
    /* Nobody has tried since the last question. */
    if (reader->blocks && reader->state == READER_AWAY)
        reader->away_ms = clock_ms();
    request = reader->blocks ? request_new(reader, query, waited_done, &waited)
                             : request_new(reader, query, done, context);
    /* An earlier question that waits is not overtaken. */
    if (reader->state == READER_READY && reader->loaded
        && TAILQ_EMPTY(&reader->waiting)
        && reader->published >= request->published) {
        if (request_answer_now(reader, request))
            return NULL;
        send_question(reader, request);
    } else {
        request_wait(reader, request);
        /* A refresh that was sent before may be of an earlier moment: its end
           looks at who waits. */
        if (reader->state == READER_READY && !reader->refreshing)
            send_refresh(reader);
    }
    reader_arm(reader);
    if (!reader->blocks)
        return &request->base;
    reader_wait(reader, &waited.is_done);
    return NULL;
}

void
postgresql_reader_forget(struct overview_request *base)
{
    struct postgresql_request *request = (struct postgresql_request *)base;
    struct postgresql_reader *reader = postgresql_reader(base->reader);

    request->done = NULL;
    if (!request->waits)
        return;
    TAILQ_REMOVE(&reader->waiting, request, next);
    request_free(reader, request);
}

void
postgresql_reader_turn_ended(struct overview_reader *base)
{
    reader_flush(postgresql_reader(base));
}

/* --- opening --- */

void
postgresql_reader_close(struct overview_reader *base)
{
    struct postgresql_reader *reader = postgresql_reader(base);
    struct postgresql_request *request;

    reader_disconnect(reader);
    while ((request = TAILQ_FIRST(&reader->waiting)) != NULL) {
        TAILQ_REMOVE(&reader->waiting, request, next);
        request_free(reader, request);
    }
    event_drop(&reader->tick);
    if (reader->blocks)
        event_base_free(reader->loop);
    overview_answering_free(&reader->answering);
    postgresql_values_free(&reader->values);
    buffer_free(&reader->list);
    buffer_free(&reader->why);
    free(reader->url);
    free(reader);
}

struct overview_reader *
postgresql_reader_open(const char *url, const char *path,
                       const struct active *active, struct event_base *base,
                       struct buffer *why)
{
    struct postgresql_reader *reader = xcalloc(1, sizeof(*reader));

    (void)path; /* the writer's */
    reader->base.ops = &overview_postgresql;
    reader->active = active;
    reader->url = xstrdup(url);
    TAILQ_INIT(&reader->waiting);
    STAILQ_INIT(&reader->expected);
    postgresql_forget_recent(reader);
    reader->block_octets = BLOCK_OCTETS;
    reader->blocks = base == NULL;
    reader->loop = base != NULL ? base : event_base_new();
    if (reader->loop != NULL)
        reader->tick = event_new(reader->loop, -1, 0, on_tick, reader);
    if (reader->tick == NULL) {
        why_set(why, "overview: no event loop");
        reader->blocks = reader->blocks && reader->loop != NULL;
        postgresql_reader_close(&reader->base);
        return NULL;
    }
    reader_connect(reader);
    return &reader->base;
}
