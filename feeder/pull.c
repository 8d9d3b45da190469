/*
 * pull -- see pull.h.
 */
#include "feeder/pull.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "feeder/backlog.h"
#include "feeder/connection.h"
#include "feeder/feeder.h"
#include "feeder/pull_marks.h"
#include "feeder/submit.h"
#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/response.h"
#include "lib/wildmat.h"
#include "lib/wire.h"
#include "storage/active.h"
#include "storage/relay.h"

enum { SAVE_MS = 1000 };

enum visit { VISIT_NONE, VISIT_MODE, VISIT_GROUP, VISIT_ARTICLES, VISIT_QUIT };

/* One number of the group that we are in. */
struct fetch {
    TAILQ_ENTRY(fetch) order;
    uint64_t number;
    bool answered; /* by the peer */
    bool finished; /* the mark may pass it */
};

struct pull {
    struct feeder *feeder;
    struct connection *connection;
    struct pull_marks *marks;
    enum visit visit;
    uint32_t group;      /* id of ours, 0: before the first */
    uint64_t next, high; /* numbers of the peer's still to be asked for */
    TAILQ_HEAD(, fetch) fetches; /* in order of number */
    size_t asked;                /* not answered */
    bool later;                  /* the writer takes none now */
    uint64_t stored, refused;    /* in this visit */
    unsigned failures;
    uint64_t visit_ms; /* when the next one is due */
    uint64_t save_ms;
};

static bool
pull_is_wanted(const struct pull *pull)
{
    return strcmp(pull->feeder->peer->pull, "!*") != 0;
}

static void
say(struct pull *pull, const char *line)
{
    (void)evbuffer_add_printf(connection_output(pull->connection), "%s\r\n",
                              line);
}

/* --- groups --- */

static bool
group_is_wanted(const struct pull *pull, uint32_t id)
{
    const struct active *active = pull->feeder->active;
    const char *wildmat = pull->feeder->peer->pull;
    char flag = active_flag(active, id);
    const char *name;
    size_t octets;

    if (flag == 0 || flag == '=')
        return false;
    name = active_name(active, id, &octets);
    return wildmat_match(wildmat, strlen(wildmat), name, octets);
}

static const char *
group_name(const struct pull *pull)
{
    size_t octets;

    return active_name(pull->feeder->active, pull->group, &octets);
}

/* Go on to the next group, or end the visit. */
static void
group_next(struct pull *pull)
{
    while (++pull->group <= active_count(pull->feeder->active)) {
        if (!group_is_wanted(pull, pull->group))
            continue;
        (void)evbuffer_add_printf(connection_output(pull->connection),
                                  "GROUP %s\r\n", group_name(pull));
        pull->visit = VISIT_GROUP;
        return;
    }
    pull->visit = VISIT_QUIT;
    say(pull, "QUIT");
}

static int
group_answered(struct pull *pull, const struct response *response,
               struct buffer *why)
{
    uint64_t numbers[3]; /* count, low, high */
    uint64_t done = pull_marks_get(pull->marks, group_name(pull));

    if (response->code == 411) {
        debug("peer %s: has no group %s", pull->feeder->peer->name,
              group_name(pull));
        group_next(pull);
        return 0;
    }
    if (response->code != 211 || response_numbers(response, numbers, 3) != 3
        || numbers[2] > ARTICLE_NUMBER_MAX)
        return why_set(why, "to GROUP %s: %u %.*s", group_name(pull),
                       response->code, (int)response->octets, response->text);
    if (done > numbers[2]) {
        /* Numbers never fall (RFC 3977, 6.1.1): it is a new server. */
        warn("peer %s: its numbers of %s have fallen from %" PRIu64
             " to %" PRIu64 ": all are fetched",
             pull->feeder->peer->name, group_name(pull), done, numbers[2]);
        done = 0;
    }
    pull->next = done + 1 > numbers[1] ? done + 1 : numbers[1];
    pull->high = numbers[2];
    pull->visit = VISIT_ARTICLES;
    return 0;
}

/* --- articles --- */

static void
articles_ask(struct pull *pull)
{
    while (pull->next <= pull->high && pull->asked < PULL_WINDOW
           && submit_octets(pull->feeder->submit) < PULL_OCTETS_MAX) {
        struct fetch *fetch = xcalloc(1, sizeof(*fetch));

        fetch->number = pull->next++;
        TAILQ_INSERT_TAIL(&pull->fetches, fetch, order);
        pull->asked++;
        (void)evbuffer_add_printf(connection_output(pull->connection),
                                  "ARTICLE %" PRIu64 "\r\n", fetch->number);
    }
}

static void
fetch_free(struct pull *pull, struct fetch *fetch)
{
    TAILQ_REMOVE(&pull->fetches, fetch, order);
    free(fetch);
}

/* Move the mark over all that are finished. */
static void
mark_move(struct pull *pull)
{
    struct fetch *fetch;

    while ((fetch = TAILQ_FIRST(&pull->fetches)) != NULL && fetch->finished) {
        pull_marks_set(pull->marks, group_name(pull), fetch->number);
        fetch_free(pull, fetch);
    }
}

/* Answers come in the order of the questions. */
static struct fetch *
fetch_asked(struct pull *pull)
{
    struct fetch *fetch;

    TAILQ_FOREACH (fetch, &pull->fetches, order)
        if (!fetch->answered)
            return fetch;
    return NULL;
}

static void
on_outcome(void *context, uint64_t number, enum store_outcome outcome,
           const char *why)
{
    struct pull *pull = context;
    struct fetch *fetch;

    TAILQ_FOREACH (fetch, &pull->fetches, order)
        if (fetch->number == number)
            break;
    if (fetch == NULL)
        return;
    if (outcome == STORE_LATER) {
        pull->later = true;
        return;
    }
    if (outcome == STORE_STORED) {
        pull->stored++;
        backlog_count(pull->feeder->backlog, FEED_PULLED, 1);
    } else {
        pull->refused += outcome == STORE_REFUSED;
        debug("peer %s: pulled number=%" PRIu64 " refused why=%s",
              pull->feeder->peer->name, number,
              outcome == STORE_DUPLICATE ? "Duplicate" : why);
    }
    fetch->finished = true;
    mark_move(pull);
}

/* Check an article as one that a peer sends, and make the submission. */
static int
submission_make(struct pull *pull, const struct buffer *wire, unsigned faults,
                struct buffer *payload, struct buffer *why)
{
    const struct feeder *feeder = pull->feeder;
    const struct config *config = feeder->config;
    const struct relay relay = {
        .config = config,
        .active = feeder->active,
        .peer = feeder->peer,
        .peer_number = (uint32_t)(feeder->peer - config->peers) + 1,
        .address = feeder->peer->host,
    };
    struct article article;

    if (wire == NULL)
        return why_set(why, "it is longer than %" PRId64 " octets",
                       config->maxartsize);
    if (faults != 0)
        return why_set(why, "%s", wire_fault_text(faults));
    if (article_parse(&article, wire->data, wire->used, why) < 0
        || relay_check(&relay, &article, wire->used, why) < 0
        || relay_check_site(config, feeder->active, &article, why) < 0)
        return -1;
    return relay_build(&relay, &article, 0, payload, why);
}

static void
on_article(void *context, const struct buffer *wire, unsigned faults)
{
    struct pull *pull = context;
    struct fetch *fetch = fetch_asked(pull);
    struct buffer payload = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;

    pull->asked--;
    fetch->answered = true;
    if (submission_make(pull, wire, faults, &payload, &why) == 0) {
        submit_article(pull->feeder->submit, &payload, fetch->number,
                       on_outcome, pull);
    } else {
        debug("peer %s: pulled number=%" PRIu64 " refused why=%s",
              pull->feeder->peer->name, fetch->number, buffer_text(&why));
        pull->refused++;
        fetch->finished = true;
        mark_move(pull);
    }
    buffer_free(&payload);
    buffer_free(&why);
}

static int
article_answered(struct pull *pull, const struct response *response,
                 struct buffer *why)
{
    struct fetch *fetch = fetch_asked(pull);

    if (fetch != NULL && response->code == 220) {
        connection_want_article(pull->connection,
                                (size_t)pull->feeder->config->maxartsize
                                    + ARTICLE_HEAD_OCTETS_MAX);
        return 0;
    }
    if (fetch == NULL || (response->code != 423 && response->code != 430))
        return why_set(why, "to ARTICLE: %u %.*s", response->code,
                       (int)response->octets, response->text);
    pull->asked--;
    fetch->answered = true;
    fetch->finished = true;
    mark_move(pull);
    return 0;
}

/* --- the visit --- */

static void
on_ready(void *context)
{
    struct pull *pull = context;

    pull->group = 0;
    pull->stored = 0;
    pull->refused = 0;
    pull->later = false;
    pull->visit = VISIT_MODE;
    say(pull, "MODE READER");
}

static int
on_response(void *context, const struct response *response, struct buffer *why)
{
    struct pull *pull = context;

    switch (pull->visit) {
    case VISIT_MODE:
        /* A server that knows no such mode may serve readers all the same. */
        if (response->code == 400 || response->code == 480)
            return why_set(why, "it refuses: %u %.*s", response->code,
                           (int)response->octets, response->text);
        group_next(pull);
        return 0;
    case VISIT_GROUP:
        return group_answered(pull, response, why);
    case VISIT_ARTICLES:
        return article_answered(pull, response, why);
    case VISIT_QUIT:
    case VISIT_NONE:
        connection_close(pull->connection);
        break;
    }
    return 0;
}

static void
on_closed(void *context, const char *why)
{
    struct pull *pull = context;
    struct feeder *feeder = pull->feeder;
    bool broke = why[0] != '\0' && pull->visit != VISIT_QUIT;
    uint64_t pause = (uint64_t)feeder->peer->pullinterval * 1000;

    submit_forget(feeder->submit);
    while (!TAILQ_EMPTY(&pull->fetches))
        fetch_free(pull, TAILQ_FIRST(&pull->fetches));
    pull->asked = 0;
    pull->visit = VISIT_NONE;
    if (broke) {
        pause = feeder_pause_ms(++pull->failures);
        if (feeder_tells(pull->failures))
            warn("peer %s: pulling failed: %s; failures=%u next try in "
                 "%" PRIu64 " s",
                 feeder->peer->name, why, pull->failures,
                 (pause + 999) / 1000);
    } else {
        pull->failures = 0;
    }
    if (pull->stored + pull->refused > 0)
        notice("peer %s: pulled stored=%" PRIu64 " refused=%" PRIu64,
               feeder->peer->name, pull->stored, pull->refused);
    pull->visit_ms = feeder->now_ms + pause;
}

static const struct connection_owner owner = {
    .ready = on_ready,
    .response = on_response,
    .article = on_article,
    .closed = on_closed,
};

void
pull_run(struct pull *pull)
{
    connection_run(pull->connection);
    if (!connection_is_up(pull->connection))
        return;
    if (pull->later) {
        /* The marks stand where they stood: they are fetched once more. */
        connection_close(pull->connection);
        return;
    }
    if (pull->visit == VISIT_ARTICLES) {
        articles_ask(pull);
        if (TAILQ_EMPTY(&pull->fetches) && pull->next > pull->high)
            group_next(pull);
    }
    connection_expect(pull->connection,
                      pull->visit != VISIT_ARTICLES || pull->asked > 0);
    connection_flush(pull->connection);
}

static void
marks_save(struct pull *pull)
{
    struct buffer why = BUFFER_EMPTY;

    pull->save_ms = pull->feeder->now_ms + SAVE_MS;
    if (pull_marks_save(pull->marks, &why) < 0)
        warn("what was pulled may be fetched again: %s", buffer_text(&why));
    buffer_free(&why);
}

void
pull_tick(struct pull *pull)
{
    const struct feeder *feeder = pull->feeder;

    connection_tick(pull->connection);
    if (!connection_is_up(pull->connection) && pull_is_wanted(pull)
        && !feeder->draining && feeder->now_ms >= pull->visit_ms)
        connection_open(pull->connection);
    if (feeder->now_ms >= pull->save_ms)
        marks_save(pull);
}

void
pull_begin(struct pull *pull)
{
    pull->failures = 0;
    pull->visit_ms = 0;
}

void
pull_restart(struct pull *pull)
{
    connection_close(pull->connection);
    pull_begin(pull);
}

struct pull *
pull_new(struct feeder *feeder)
{
    struct pull *pull = xcalloc(1, sizeof(*pull));
    char *path = xasprintf("%s/pull", feeder->directory);
    struct buffer why = BUFFER_EMPTY;

    pull->feeder = feeder;
    TAILQ_INIT(&pull->fetches);
    pull->marks = pull_marks_open(path, &why);
    if (pull->marks == NULL)
        die(EXIT_IO, "%s", buffer_text(&why));
    pull->connection = connection_new(feeder, &owner, pull);
    free(path);
    return pull;
}

void
pull_free(struct pull **pull)
{
    if (*pull == NULL)
        return;
    connection_close((*pull)->connection);
    connection_free(&(*pull)->connection);
    marks_save(*pull);
    pull_marks_close(&(*pull)->marks);
    free(*pull);
    *pull = NULL;
}
