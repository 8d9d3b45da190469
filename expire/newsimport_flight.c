#include "expire/newsimport_flight.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "expire/newsimport_summary.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/submission.h"

enum {
    LATER_PAUSE_NS = 200000000,
    LATER_TRIES = 150, /* 30 s of "not now", a paused server or a full disk */
    WAIT_MS = 1000,
};

void
flight_init(struct flight *flight, struct summary *summary)
{
    *flight = (struct flight){.summary = summary, .first = 1, .next = 1};
}

static struct flight_article *
flight_article(struct flight *flight, uint64_t cookie)
{
    return &flight->articles[cookie % FLIGHT_ARTICLES];
}

static void
article_decided(struct flight *flight, struct flight_article *article)
{
    flight->octets -= article->payload.used;
    buffer_free(&article->payload);
    source_position_free(&article->position);
    free(article->name);
    *article = (struct flight_article){.tries = 0};
    while (flight->first < flight->next
           && flight_article(flight, flight->first)->payload.used == 0)
        flight->first++;
}

void
flight_free(struct flight *flight)
{
    for (uint64_t i = flight->first; i < flight->next; i++)
        if (flight_article(flight, i)->payload.used > 0)
            article_decided(flight, flight_article(flight, i));
}

void
flight_outcome(void *context, uint64_t cookie, enum store_outcome outcome,
               const char *why)
{
    struct flight *flight = context;
    struct flight_article *article = flight_article(flight, cookie);

    /* A RESUBMIT may be answered twice: for the first one, too. */
    if (cookie < flight->first || cookie >= flight->next
        || article->payload.used == 0)
        return;
    switch (outcome) {
    case STORE_STORED:
        flight->summary->stored++;
        break;
    case STORE_DUPLICATE:
        flight->summary->duplicate++;
        break;
    case STORE_REFUSED:
        summary_refused(flight->summary, article->name, why);
        break;
    case STORE_LATER:
        article->later = true;
        flight->any_later = true;
        return;
    }
    article_decided(flight, article);
}

/* Submit all that wait for it: those put off, or every one. */
static int
flight_submit_again(struct flight *flight, bool all, struct buffer *why)
{
    flight->any_later = false;
    for (uint64_t i = flight->first; i < flight->next; i++) {
        struct flight_article *article = flight_article(flight, i);

        if (article->payload.used == 0 || (!all && !article->later))
            continue;
        if (article->later && ++article->tries > LATER_TRIES) {
            flight->any_later = true;
            return why_set(why, "the server takes no articles now");
        }
        article->later = false;
        if (target_submit(flight->target, article->payload.data,
                          article->payload.used, why)
            < 0)
            return -1;
    }
    return 0;
}

int
flight_recover(struct flight *flight, struct buffer *why)
{
    if (!target_is_lost(flight->target))
        return -1;
    for (uint64_t i = flight->first; i < flight->next; i++)
        if (flight_article(flight, i)->payload.used > 0)
            submission_mark_resubmit(&flight_article(flight, i)->payload);
    while (target_is_lost(flight->target)) {
        if (target_reopen(flight->target, why) < 0)
            return -1;
        if (flight_submit_again(flight, true, why) < 0
            && !target_is_lost(flight->target))
            return -1;
    }
    return 0;
}

/* Wait for an outcome, or for the time to ask once more. */
static int
flight_wait(struct flight *flight, struct buffer *why)
{
    static const struct timespec pause = {.tv_nsec = LATER_PAUSE_NS};

    if (flight->any_later) {
        nanosleep(&pause, NULL);
        if (flight_submit_again(flight, false, why) < 0)
            return flight_recover(flight, why);
    }
    if (target_wait(flight->target, flight->any_later ? 0 : WAIT_MS, why) < 0)
        return flight_recover(flight, why);
    return 0;
}

uint64_t
flight_cookie(const struct flight *flight)
{
    return flight->next;
}

static bool
flight_is_full(const struct flight *flight)
{
    return flight->next - flight->first >= FLIGHT_ARTICLES
           || flight->octets >= FLIGHT_OCTETS;
}

int
flight_add(struct flight *flight, struct buffer *payload,
           const struct source_position *position, const char *name,
           struct buffer *why)
{
    struct flight_article *article;

    while (flight_is_full(flight))
        if (flight_wait(flight, why) < 0)
            return -1;
    article = flight_article(flight, flight->next++);
    article->payload = *payload;
    *payload = BUFFER_EMPTY;
    article->name = xstrdup(name);
    source_position_copy(&article->position, position);
    flight->octets += article->payload.used;
    if (target_submit(flight->target, article->payload.data,
                      article->payload.used, why)
        < 0)
        return flight_recover(flight, why);
    return 0;
}

int
flight_drain(struct flight *flight, struct buffer *why)
{
    while (flight->first < flight->next)
        if (flight_wait(flight, why) < 0)
            return -1;
    return 0;
}

const struct source_position *
flight_position(const struct flight *flight)
{
    if (flight->first == flight->next)
        return NULL;
    return &flight->articles[flight->first % FLIGHT_ARTICLES].position;
}
