/*
 * push -- see push.h.
 */
#include "feeder/push.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "feeder/backlog.h"
#include "feeder/connection.h"
#include "feeder/feeder.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/response.h"

/* What the peer owes us an answer to. */
enum sent {
    SENT_NOTHING,
    SENT_CHECK,
    SENT_TAKETHIS,
    SENT_IHAVE,
    SENT_ARTICLE
};

enum mode { MODE_UNKNOWN, MODE_ASKED, MODE_STREAM, MODE_IHAVE, MODE_QUIT };

/* One connection of the peer's. */
struct pusher {
    struct push *push;
    unsigned number;
    struct connection *connection;
    enum mode mode;
    struct offer_list sent;    /* oldest first */
    struct offer_list wanted;  /* 238 or 335: to be sent */
    struct offer_list loading; /* of those, being read again */
    size_t under_way;          /* in the three lists */
    unsigned failures;
    uint64_t retry_ms; /* not before */
    uint64_t busy_ms;  /* when something was last under way */
    uint64_t answers;  /* on this connection */
};

struct push {
    struct feeder *feeder;
    struct pusher *pushers;
    size_t count;
};

static const struct config_peer *
peer_of(const struct pusher *pusher)
{
    return pusher->push->feeder->peer;
}

/* --- sending --- */

static void
say_id(struct pusher *pusher, const char *command, struct offer *offer,
       enum sent as)
{
    (void)evbuffer_add_printf(connection_output(pusher->connection),
                              "%s %s\r\n", command, offer->message_id);
    offer->sent_as = as;
    TAILQ_INSERT_TAIL(&pusher->sent, offer, place);
}

static void
article_send(struct pusher *pusher, struct offer *offer)
{
    if (pusher->mode == MODE_STREAM) {
        say_id(pusher, "TAKETHIS", offer, SENT_TAKETHIS);
    } else {
        offer->sent_as = SENT_ARTICLE;
        TAILQ_INSERT_TAIL(&pusher->sent, offer, place);
    }
    offer_append(offer, connection_output(pusher->connection));
}

static void
on_loaded(void *context, struct offer *offer, bool found)
{
    struct pusher *pusher = context;

    TAILQ_REMOVE(&pusher->loading, offer, place);
    if (found) {
        article_send(pusher, offer);
        return;
    }
    pusher->under_way--;
    offer_done(offer, FEED_MISSING);
    /* 335 waits for an article that is not there: there is no other way to
       say so. */
    if (pusher->mode == MODE_IHAVE)
        connection_close(pusher->connection);
}

static void
wanted_send(struct pusher *pusher)
{
    struct offer *offer;

    while (!connection_is_full(pusher->connection)
           && (offer = TAILQ_FIRST(&pusher->wanted)) != NULL) {
        TAILQ_REMOVE(&pusher->wanted, offer, place);
        TAILQ_INSERT_TAIL(&pusher->loading, offer, place);
        offer_load(offer, on_loaded, pusher);
        if (!connection_is_up(pusher->connection))
            return;
    }
}

static void
offers_send(struct pusher *pusher)
{
    size_t window = pusher->mode == MODE_STREAM ? PUSH_WINDOW : 1;
    bool stream = pusher->mode == MODE_STREAM;
    struct offer *offer;

    while (pusher->under_way < window
           && !connection_is_full(pusher->connection)
           && (offer = backlog_take(pusher->push->feeder->backlog)) != NULL) {
        pusher->under_way++;
        say_id(pusher, stream ? "CHECK" : "IHAVE", offer,
               stream ? SENT_CHECK : SENT_IHAVE);
    }
}

/* --- answers --- */

/* The offer that the response is about, taken out of the list; NULL: none. */
static struct offer *
answered_find(struct pusher *pusher, const struct response *response)
{
    struct offer *offer = TAILQ_FIRST(&pusher->sent);
    const char *id;
    size_t octets;

    if (offer != NULL && pusher->mode == MODE_STREAM
        && response_message_id(response, &id, &octets))
        while (offer != NULL
               && (strlen(offer->message_id) != octets
                   || memcmp(offer->message_id, id, octets) != 0))
            offer = TAILQ_NEXT(offer, place);
    if (offer != NULL)
        TAILQ_REMOVE(&pusher->sent, offer, place);
    return offer;
}

enum verdict {
    VERDICT_SEND,
    VERDICT_ACCEPTED,
    VERDICT_REFUSED,
    VERDICT_REJECTED,
    VERDICT_DEFERRED,
};

/* What each code means, by what it answers (RFC 4644, 2.4 and 2.5; RFC 3977,
   6.3.2).  501 to an offer: the peer cannot read this message-ID. */
static const struct {
    enum sent sent;
    unsigned code;
    enum verdict verdict;
} verdicts[] = {
    {SENT_CHECK, 238, VERDICT_SEND},
    {SENT_CHECK, 431, VERDICT_DEFERRED},
    {SENT_CHECK, 436, VERDICT_DEFERRED},
    {SENT_CHECK, 438, VERDICT_REFUSED},
    {SENT_CHECK, 435, VERDICT_REFUSED},
    {SENT_CHECK, 501, VERDICT_REFUSED},
    {SENT_TAKETHIS, 239, VERDICT_ACCEPTED},
    {SENT_TAKETHIS, 439, VERDICT_REJECTED},
    {SENT_TAKETHIS, 437, VERDICT_REJECTED},
    {SENT_TAKETHIS, 438, VERDICT_REFUSED},
    {SENT_TAKETHIS, 431, VERDICT_DEFERRED},
    {SENT_TAKETHIS, 436, VERDICT_DEFERRED},
    {SENT_TAKETHIS, 501, VERDICT_REJECTED},
    {SENT_IHAVE, 335, VERDICT_SEND},
    {SENT_IHAVE, 435, VERDICT_REFUSED},
    {SENT_IHAVE, 436, VERDICT_DEFERRED},
    {SENT_IHAVE, 501, VERDICT_REFUSED},
    {SENT_ARTICLE, 235, VERDICT_ACCEPTED},
    {SENT_ARTICLE, 436, VERDICT_DEFERRED},
    {SENT_ARTICLE, 437, VERDICT_REJECTED},
};

static int
verdict_find(enum sent sent, unsigned code)
{
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
        if (verdicts[i].sent == sent && verdicts[i].code == code)
            return (int)verdicts[i].verdict;
    return -1;
}

static void
offer_end(struct pusher *pusher, struct offer *offer, enum verdict verdict,
          const struct response *response)
{
    const char *name = peer_of(pusher)->name;

    pusher->under_way--;
    switch (verdict) {
    case VERDICT_ACCEPTED:
        debug("peer %s: accepted id=%s", name, offer->message_id);
        offer_done(offer, FEED_ACCEPTED);
        break;
    case VERDICT_REFUSED:
        debug("peer %s: refused id=%s", name, offer->message_id);
        offer_done(offer, FEED_REFUSED);
        break;
    case VERDICT_REJECTED:
        debug("peer %s: rejected id=%s why=%u %.*s", name, offer->message_id,
              response->code, (int)response->octets, response->text);
        offer_done(offer, FEED_REJECTED);
        break;
    case VERDICT_DEFERRED:
        offer_defer(offer);
        break;
    case VERDICT_SEND:
        break; /* it has not ended */
    }
}

static int
offer_answered(struct pusher *pusher, const struct response *response,
               struct buffer *why)
{
    struct offer *offer = answered_find(pusher, response);
    int verdict = offer == NULL ? -1
                                : verdict_find((enum sent)offer->sent_as,
                                               response->code);

    if (verdict < 0 && offer != NULL)
        TAILQ_INSERT_HEAD(&pusher->sent, offer, place);
    if (verdict < 0)
        return why_set(why, "%s: %u %.*s",
                       response->code == 400 || response->code == 480
                               || response->code == 502
                           ? "it refuses"
                           : "nonsense",
                       response->code, (int)response->octets, response->text);
    pusher->answers++;
    pusher->failures = 0;
    if (verdict == VERDICT_SEND)
        TAILQ_INSERT_TAIL(&pusher->wanted, offer, place);
    else
        offer_end(pusher, offer, (enum verdict)verdict, response);
    return 0;
}

static int
on_response(void *context, const struct response *response, struct buffer *why)
{
    struct pusher *pusher = context;

    if (pusher->mode == MODE_QUIT) {
        connection_close(pusher->connection);
        return 0;
    }
    if (pusher->mode != MODE_ASKED)
        return offer_answered(pusher, response, why);
    if (response->code == 400 || response->code == 480)
        return why_set(why, "it refuses: %u %.*s", response->code,
                       (int)response->octets, response->text);
    pusher->mode = response->code == 203 ? MODE_STREAM : MODE_IHAVE;
    return 0;
}

/* --- the connection's life --- */

static void
on_ready(void *context)
{
    struct pusher *pusher = context;
    const struct config_peer *peer = peer_of(pusher);

    pusher->answers = 0;
    pusher->busy_ms = pusher->push->feeder->now_ms;
    notice("peer %s: connected connection=%u host=%s port=%" PRId64 " tls=%s",
           peer->name, pusher->number, peer->host, peer->port,
           connection_tls(pusher->connection));
    if (peer->streaming) {
        (void)evbuffer_add_printf(connection_output(pusher->connection),
                                  "MODE STREAM\r\n");
        pusher->mode = MODE_ASKED;
    } else {
        pusher->mode = MODE_IHAVE;
    }
}

/* Back into the queue, in their order: the oldest is the first again. */
static void
list_return(struct offer_list *list, bool blame)
{
    struct offer *offer;

    while ((offer = TAILQ_LAST(list, offer_list)) != NULL) {
        bool first = offer == TAILQ_FIRST(list);

        TAILQ_REMOVE(list, offer, place);
        offer_return(offer, blame && first);
    }
}

static void
on_closed(void *context, const char *why)
{
    struct pusher *pusher = context;
    struct feeder *feeder = pusher->push->feeder;
    bool broke = why[0] != '\0';
    uint64_t pause;

    /* The end of one that has nothing to do is no failure. */
    if (pusher->under_way == 0
        && (pusher->mode == MODE_STREAM || pusher->mode == MODE_IHAVE
            || pusher->mode == MODE_QUIT))
        broke = false;
    list_return(&pusher->loading, false);
    list_return(&pusher->wanted, false);
    list_return(&pusher->sent, broke && pusher->mode != MODE_ASKED);
    pusher->under_way = 0;
    pusher->mode = MODE_UNKNOWN;
    if (!broke) {
        pusher->retry_ms = feeder->now_ms;
        debug("peer %s: closed connection=%u %s", feeder->peer->name,
              pusher->number, why);
        return;
    }
    pause = feeder_pause_ms(++pusher->failures);
    pusher->retry_ms = feeder->now_ms + pause;
    if (feeder_tells(pusher->failures))
        warn("peer %s: connection=%u failed: %s; failures=%u answers=%" PRIu64
             " next try in %" PRIu64 " s",
             feeder->peer->name, pusher->number, why, pusher->failures,
             pusher->answers, (pause + 999) / 1000);
}

static const struct connection_owner owner = {
    .ready = on_ready,
    .response = on_response,
    .article = NULL, /* none is ever asked for */
    .closed = on_closed,
};

static void
pusher_quit(struct pusher *pusher)
{
    pusher->mode = MODE_QUIT;
    pusher->busy_ms = pusher->push->feeder->now_ms;
    (void)evbuffer_add_printf(connection_output(pusher->connection),
                              "QUIT\r\n");
}

static bool
is_feeding(const struct pusher *pusher)
{
    return connection_is_up(pusher->connection)
           && (pusher->mode == MODE_STREAM || pusher->mode == MODE_IHAVE);
}

static void
pusher_run(struct pusher *pusher)
{
    struct feeder *feeder = pusher->push->feeder;

    connection_run(pusher->connection);
    if (is_feeding(pusher)) {
        wanted_send(pusher);
        if (is_feeding(pusher) && !feeder->draining)
            offers_send(pusher);
        if (pusher->under_way > 0)
            pusher->busy_ms = feeder->now_ms;
    }
    if (connection_is_up(pusher->connection))
        connection_expect(pusher->connection,
                          pusher->under_way > 0 || !is_feeding(pusher));
    connection_flush(pusher->connection);
}

void
push_run(struct push *push)
{
    for (size_t i = 0; i < push->count; i++)
        pusher_run(&push->pushers[i]);
}

/* --- time --- */

static void
pusher_tick(struct pusher *pusher)
{
    struct feeder *feeder = pusher->push->feeder;
    uint64_t patience = pusher->number == 0 ? PUSH_IDLE_MS : PUSH_IDLE_MORE_MS;
    size_t waiting = backlog_waiting(feeder->backlog);

    connection_tick(pusher->connection);
    if (connection_is_up(pusher->connection)) {
        if (is_feeding(pusher) && pusher->under_way == 0
            && (feeder->draining
                || feeder->now_ms > pusher->busy_ms + patience))
            pusher_quit(pusher);
        return;
    }
    if (waiting > pusher->number * (size_t)PUSH_QUEUE_MORE
        && feeder->now_ms >= pusher->retry_ms && !feeder->draining)
        connection_open(pusher->connection);
}

void
push_tick(struct push *push)
{
    unsigned up = 0;

    for (size_t i = 0; i < push->count; i++) {
        pusher_tick(&push->pushers[i]);
        up += is_feeding(&push->pushers[i]);
    }
    atomic_store(&push->feeder->slot->feed[FEED_CONNECTIONS], up);
}

void
push_begin(struct push *push)
{
    for (size_t i = 0; i < push->count; i++) {
        push->pushers[i].failures = 0;
        push->pushers[i].retry_ms = 0;
    }
}

static void
pushers_open(struct push *push)
{
    push->count = (size_t)push->feeder->peer->connections;
    push->pushers = xcalloc(push->count, sizeof(*push->pushers));
    for (size_t i = 0; i < push->count; i++) {
        struct pusher *pusher = &push->pushers[i];

        pusher->push = push;
        pusher->number = (unsigned)i;
        TAILQ_INIT(&pusher->sent);
        TAILQ_INIT(&pusher->wanted);
        TAILQ_INIT(&pusher->loading);
        pusher->connection = connection_new(push->feeder, &owner, pusher);
    }
}

static void
pushers_close(struct push *push)
{
    for (size_t i = 0; i < push->count; i++) {
        connection_close(push->pushers[i].connection);
        connection_free(&push->pushers[i].connection);
    }
    free(push->pushers);
}

void
push_restart(struct push *push)
{
    pushers_close(push);
    pushers_open(push);
}

bool
push_drained(struct push *push)
{
    for (size_t i = 0; i < push->count; i++)
        if (connection_is_up(push->pushers[i].connection)
            && (push->pushers[i].under_way > 0
                || push->pushers[i].mode == MODE_STREAM
                || push->pushers[i].mode == MODE_IHAVE))
            return false;
    return true;
}

struct push *
push_new(struct feeder *feeder)
{
    struct push *push = xcalloc(1, sizeof(*push));

    push->feeder = feeder;
    pushers_open(push);
    return push;
}

void
push_free(struct push **push)
{
    if (*push == NULL)
        return;
    pushers_close(*push);
    free(*push);
    *push = NULL;
}
