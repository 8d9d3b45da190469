/*
 * backlog -- see backlog.h.
 */
#include "feeder/backlog.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "storage/cursor.h"
#include "feeder/deferred.h"
#include "feeder/feeder.h"
#include "feeder/selection.h"
#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/overview.h"
#include "storage/spool_reader.h"

enum {
    RECORDS_PER_PUMP = 500,
    GAP_LINES = 200, /* asked of the overview at once */
    COPY_OCTETS = 16 * 1024,
};

struct found {
    uint64_t sequence;
    struct token token;
};

struct backlog {
    struct feeder *feeder;
    struct cursor *cursor;
    struct deferred *deferred;
    struct log_reader *reader;
    struct offer_list all;   /* not deferred, by sequence */
    struct offer_list queue; /* to be offered, in order */
    size_t in_hand;          /* offers there are, deferred ones too */
    size_t known;            /* of all: counted as pending */
    size_t waiting;
    size_t held_octets;
    uint64_t counters[FEED_COUNTER_COUNT];
    struct log_step step; /* the gap that is being asked for */
    bool asking;
    struct overview_request *question; /* NULL: answered at once */
    struct found found[GAP_LINES];     /* what is left of it */
    size_t found_count;
    uint64_t found_last; /* the gap up to here is among them */
    bool failed;         /* reading the log: said once */
};

void
backlog_count(struct backlog *backlog, enum feed_counter counter, uint64_t by)
{
    backlog->counters[counter] += by;
}

/* --- an offer --- */

static struct offer *
offer_new(struct backlog *backlog, uint64_t sequence,
          const struct token *token)
{
    struct offer *offer = xcalloc(1, sizeof(*offer));

    offer->backlog = backlog;
    offer->sequence = sequence;
    offer->token = *token;
    backlog->in_hand++;
    return offer;
}

/* Let go of its article; what was learnt of it stays. */
static void
offer_unload(struct offer *offer)
{
    if (offer->spooled == NULL)
        return;
    offer->backlog->held_octets -= offer->spooled->record.head.octets;
    spooled_release(offer->spooled);
    offer->spooled = NULL;
}

/* Nobody waits for its article any more. */
static void
load_forget(struct offer *offer)
{
    if (offer->read != NULL)
        spool_read_forget(offer->read);
    if (offer->locating != NULL)
        overview_forget(offer->locating);
    offer->read = NULL;
    offer->locating = NULL;
}

static void
offer_free(struct offer *offer)
{
    struct backlog *backlog = offer->backlog;

    load_forget(offer);
    offer_unload(offer);
    if (!offer->is_deferred) {
        TAILQ_REMOVE(&backlog->all, offer, order);
        backlog->known -= offer->is_known;
    }
    backlog->in_hand--;
    free(offer->message_id);
    free(offer);
}

void
offer_done(struct offer *offer, enum feed_counter outcome)
{
    struct backlog *backlog = offer->backlog;

    backlog_count(backlog, outcome, 1);
    if (offer->is_deferred)
        deferred_drop(backlog->deferred, offer->sequence);
    offer_free(offer);
}

void
offer_defer(struct offer *offer)
{
    struct backlog *backlog = offer->backlog;

    backlog_count(backlog, FEED_DEFERRALS, 1);
    deferred_put(backlog->deferred, offer->sequence, &offer->token,
                 backlog->feeder->now_ms);
    offer_free(offer);
}

static void
queue_put(struct offer *offer, bool first)
{
    struct backlog *backlog = offer->backlog;

    if (first)
        TAILQ_INSERT_HEAD(&backlog->queue, offer, place);
    else
        TAILQ_INSERT_TAIL(&backlog->queue, offer, place);
    backlog->waiting++;
}

void
offer_return(struct offer *offer, bool blamed)
{
    load_forget(offer);
    offer->breaks += blamed;
    if (offer->breaks >= BACKLOG_BREAKS_MAX) {
        warn("peer %s: %s is deferred: connections broke at it",
             offer->backlog->feeder->peer->name, offer->message_id);
        offer_defer(offer);
        return;
    }
    queue_put(offer, true);
}

/* --- loading --- */

static void offer_read(struct offer *offer);

static void
load_end(struct offer *offer, bool found)
{
    offer->loaded(offer->loaded_context, offer, found);
}

/* Compaction has moved it, or it was removed. */
static void
on_located(void *context, const struct overview_answer *answer)
{
    struct offer *offer = context;

    offer->locating = NULL;
    if (answer->status <= 0) {
        load_end(offer, false);
        return;
    }
    offer->token = answer->token;
    offer_read(offer);
}

static void
offer_locate(struct offer *offer)
{
    struct overview_query query = {.question = OVERVIEW_LOCATE,
                                   .low = offer->sequence};

    struct overview_request *request;

    offer->located = true;
    request = overview_ask(offer->backlog->feeder->overview, &query,
                           on_located, offer);
    /* NULL: on_located was called, and the offer may be gone. */
    if (request != NULL)
        offer->locating = request;
}

static void
on_read(void *context, enum spool_result result, struct spooled *spooled)
{
    struct offer *offer = context;

    offer->read = NULL;
    if (result == SPOOL_FOUND) {
        offer->spooled = spooled;
        offer->backlog->held_octets += spooled->record.head.octets;
        load_end(offer, true);
    } else if (result == SPOOL_GONE && !offer->located) {
        offer_locate(offer);
    } else {
        load_end(offer, false);
    }
}

static void
offer_read(struct offer *offer)
{
    struct spool_read *read =
        spool_read(offer->backlog->feeder->spool, &offer->token,
                   offer->sequence, on_read, offer);

    /* NULL: on_read was called, and the offer may be gone. */
    if (read != NULL)
        offer->read = read;
}

void
offer_load(struct offer *offer, offer_loaded_func *func, void *context)
{
    if (offer->spooled != NULL) {
        func(context, offer, true);
        return;
    }
    offer->loaded = func;
    offer->loaded_context = context;
    offer->located = false;
    offer_read(offer);
}

/* --- sending --- */

static void
on_sent(const void *octets, size_t length, void *context)
{
    (void)octets;
    (void)length;
    spooled_release(context);
}

static void
piece_append(struct offer *offer, struct evbuffer *output, const char *octets,
             size_t length)
{
    if (length <= COPY_OCTETS) {
        (void)evbuffer_add(output, octets, length);
        return;
    }
    spooled_hold(offer->spooled);
    if (evbuffer_add_reference(output, octets, length, on_sent, offer->spooled)
        < 0)
        die(EXIT_TEMPORARY, "out of memory: output");
}

/*
 * As it is stored, but for Xref: its numbers are ours alone, and a relaying
 * agent takes it out (RFC 5537, 3.6).
 */
void
offer_append(struct offer *offer, struct evbuffer *output)
{
    const struct record *record = &offer->spooled->record;
    size_t octets = record->head.payload_octets;
    struct field_value xref;
    size_t end;

    backlog_count(offer->backlog, FEED_SENT_OCTETS, octets);
    if (!head_find(record->payload, record->head.head_octets, "Xref", &xref)) {
        piece_append(offer, output, record->payload, octets);
        return;
    }
    end = xref.line_offset + xref.line_octets;
    piece_append(offer, output, record->payload, xref.line_offset);
    piece_append(offer, output, record->payload + end, octets - end);
}

/* --- from the log to the queue --- */

/* It was counted as offered when it came; one that is deferred still is. */
static void
offer_know(struct offer *offer)
{
    if (offer->is_known || offer->is_deferred)
        return;
    offer->is_known = true;
    offer->backlog->known++;
    backlog_count(offer->backlog, FEED_OFFERED, 1);
}

/* What the article itself says; 1: it is for the peer. */
static bool
offer_examine(struct offer *offer)
{
    const struct feeder *feeder = offer->backlog->feeder;
    const struct record *record = &offer->spooled->record;
    const struct field_value *id;
    struct buffer why = BUFFER_EMPTY;
    struct article article;

    offer->arrival = record->head.arrival;
    if (!offer->is_deferred
        && !selection_may_want(feeder->peer, feeder->active, record))
        return false;
    if (article_parse(&article, record->payload, record->head.payload_octets,
                      &why)
        < 0) {
        warn("sequence %" PRIu64 " is not fed: %s", offer->sequence,
             buffer_text(&why));
        buffer_free(&why);
        return false;
    }
    if (!selection_wants(feeder->peer, &article))
        return false;
    id = &article.fields[FIELD_MESSAGE_ID];
    free(offer->message_id);
    offer->message_id = xmemdup(id->octets, id->length);
    return true;
}

/* Its article came from the spool the first time. */
static void
on_loaded(void *context, struct offer *offer, bool found)
{
    (void)context;
    if (!found) {
        offer_know(offer);
        offer_done(offer, FEED_MISSING);
        return;
    }
    if (!offer_examine(offer)) {
        /* One that was offered before, under other rules: it has its end. */
        if (offer->is_deferred)
            offer_done(offer, FEED_MISSING);
        else
            offer_free(offer);
        return;
    }
    offer_know(offer);
    if (offer->spooled->record.head.octets > BACKLOG_HOLD_OCTETS)
        offer_unload(offer);
    queue_put(offer, offer->is_deferred);
}

static void
offer_begin(struct backlog *backlog, uint64_t sequence,
            const struct token *token, const struct log_position *before)
{
    struct offer *offer = offer_new(backlog, sequence, token);

    offer->before = *before;
    TAILQ_INSERT_TAIL(&backlog->all, offer, order);
    offer_load(offer, on_loaded, backlog);
}

static bool
backlog_has_room(const struct backlog *backlog)
{
    return backlog->in_hand < BACKLOG_OFFERS_MAX
           && backlog->held_octets < BACKLOG_OCTETS_MAX
           && deferred_count(backlog->deferred) < DEFERRED_MAX;
}

/* --- gaps in the log --- */

static void
on_gap(void *context, const struct overview_answer *answer)
{
    struct backlog *backlog = context;
    uint64_t last = backlog->step.gap_last;

    backlog->asking = false;
    backlog->question = NULL;
    if (answer->status < 0)
        return; /* logged; asked again at the next turn */
    backlog->found_count = 0;
    for (size_t i = 0; i < answer->count && i < GAP_LINES; i++) {
        const struct overview_line *line = &answer->lines[i];

        if (line->sequence <= last)
            backlog->found[backlog->found_count++] =
                (struct found){line->sequence, line->token};
    }
    /* An answer that was cut short goes on behind its last line. */
    if (answer->next != 0 && answer->next <= last)
        last = answer->next - 1;
    backlog->found_last = last;
}

/* Take what the overview has of a gap.  True when it is dealt with. */
static bool
gap_take(struct backlog *backlog)
{
    struct log_position before = log_reader_position(backlog->reader);

    if (!backlog->asking && backlog->found_last == 0) {
        struct overview_query query = {.question = OVERVIEW_SINCE,
                                       .low = backlog->step.gap_first,
                                       .limit = GAP_LINES};

        backlog->asking = true;
        backlog->question =
            overview_ask(backlog->feeder->overview, &query, on_gap, backlog);
    }
    if (backlog->asking || backlog->found_last == 0)
        return false;
    for (size_t i = 0; i < backlog->found_count; i++) {
        const struct found *found = &backlog->found[i];

        before.sequence = found->sequence - 1;
        offer_begin(backlog, found->sequence, &found->token, &before);
    }
    log_reader_skip(backlog->reader, backlog->found_last);
    backlog->found_last = 0;
    return true;
}

/* --- reading on --- */

static void
deferred_pump(struct backlog *backlog)
{
    const struct deferred_entry *entry;

    while (
        backlog->in_hand < BACKLOG_OFFERS_MAX
        && (entry = deferred_due(backlog->deferred, backlog->feeder->now_ms))
               != NULL) {
        struct offer *offer =
            offer_new(backlog, entry->sequence, &entry->token);

        offer->is_deferred = true;
        offer_load(offer, on_loaded, backlog);
    }
}

static bool
log_failed(struct backlog *backlog, struct buffer *why)
{
    if (!backlog->failed)
        warn("reading the log: %s", buffer_text(why));
    backlog->failed = true;
    buffer_free(why);
    return false;
}

bool
backlog_pump(struct backlog *backlog)
{
    struct buffer why = BUFFER_EMPTY;

    deferred_pump(backlog);
    if (backlog->asking)
        return false;
    for (int i = 0; i < RECORDS_PER_PUMP; i++) {
        const struct record *record = &backlog->step.record;

        if (!backlog_has_room(backlog))
            return false;
        switch (log_reader_next(backlog->reader, &backlog->step, &why)) {
        case LOG_FAILED:
            return log_failed(backlog, &why);
        case LOG_END:
            return log_reader_has_more(backlog->reader);
        case LOG_GAP:
            return gap_take(backlog);
        case LOG_ARTICLE:
            backlog->failed = false;
            if (selection_may_want(backlog->feeder->peer,
                                   backlog->feeder->active, record))
                offer_begin(backlog, record->head.sequence, &record->token,
                            &backlog->step.before);
            break;
        }
    }
    return true;
}

size_t
backlog_waiting(const struct backlog *backlog)
{
    return backlog->waiting;
}

struct offer *
backlog_take(struct backlog *backlog)
{
    struct offer *offer = TAILQ_FIRST(&backlog->queue);

    if (offer == NULL)
        return NULL;
    TAILQ_REMOVE(&backlog->queue, offer, place);
    backlog->waiting--;
    return offer;
}

/* --- what is kept --- */

static void
counters_publish(struct backlog *backlog)
{
    struct shared_slot *slot = backlog->feeder->slot;
    const struct offer *oldest = TAILQ_FIRST(&backlog->all);
    int64_t now = time(NULL);

    backlog->counters[FEED_DEFERRED] = deferred_count(backlog->deferred);
    backlog->counters[FEED_PENDING] = backlog->known;
    backlog->counters[FEED_SEQUENCE] =
        log_reader_position(backlog->reader).sequence;
    backlog->counters[FEED_LAG_SECONDS] = 0;
    if (oldest != NULL && oldest->arrival != 0 && now > oldest->arrival)
        backlog->counters[FEED_LAG_SECONDS] =
            (uint64_t)(now - oldest->arrival);
    for (size_t i = 0; i < FEED_COUNTER_COUNT; i++)
        if (i != FEED_CONNECTIONS)
            atomic_store_explicit(&slot->feed[i], backlog->counters[i],
                                  memory_order_relaxed);
}

void
backlog_save(struct backlog *backlog)
{
    const struct offer *oldest = TAILQ_FIRST(&backlog->all);
    struct log_position position =
        oldest != NULL ? oldest->before : log_reader_position(backlog->reader);
    struct buffer why = BUFFER_EMPTY;

    counters_publish(backlog);
    /* In this order: the cursor may pass a deferred article only when the list
       has it. */
    if (deferred_save(backlog->deferred, &why) < 0
        || cursor_write(backlog->cursor, &position, &why) < 0) {
        if (!backlog->failed)
            warn("what is sent may be offered again: %s", buffer_text(&why));
        backlog->failed = true;
        buffer_free(&why);
    }
}

/* Where to begin. */
static struct log_position
position_first(const struct backlog *backlog, uint64_t since)
{
    uint64_t committed = active_committed(backlog->feeder->active);
    struct log_position position;

    if (cursor_read(backlog->cursor, &position)
        && position.sequence <= committed)
        return position;
    if (position.sequence > committed)
        warn("peer %s: its cursor (%" PRIu64 ") is not of this store",
             backlog->feeder->peer->name, position.sequence);
    else if (!backlog->feeder->peer->backlog)
        return (struct log_position){.sequence = since};
    return (struct log_position){.sequence = 0};
}

/* Those before us had counts too: the sums go on. */
static void
counters_take(struct backlog *backlog)
{
    struct shared_slot *slot = backlog->feeder->slot;
    uint64_t *counters = backlog->counters;

    for (size_t i = 0; i < FEED_COUNTER_COUNT; i++)
        counters[i] = atomic_load(&slot->feed[i]);
    counters[FEED_OFFERED] = counters[FEED_ACCEPTED] + counters[FEED_REFUSED]
                             + counters[FEED_REJECTED] + counters[FEED_MISSING]
                             + deferred_count(backlog->deferred);
    atomic_store(&slot->feed[FEED_CONNECTIONS], 0);
}

struct backlog *
backlog_open(struct feeder *feeder, const char *directory, uint64_t since)
{
    struct backlog *backlog = xcalloc(1, sizeof(*backlog));
    char *cursor = xasprintf("%s/cursor", directory);
    char *deferred = xasprintf("%s/deferred", directory);
    struct buffer why = BUFFER_EMPTY;
    struct log_position position;

    backlog->feeder = feeder;
    TAILQ_INIT(&backlog->all);
    TAILQ_INIT(&backlog->queue);
    backlog->cursor = cursor_open(cursor, &why);
    if (backlog->cursor == NULL)
        die(EXIT_IO, "%s", buffer_text(&why));
    backlog->deferred = deferred_open(deferred, feeder->now_ms, &why);
    if (backlog->deferred == NULL)
        die(EXIT_IO, "%s", buffer_text(&why));
    position = position_first(backlog, since);
    backlog->reader =
        log_reader_new(feeder->config->pathspool, feeder->active, &position);
    counters_take(backlog);
    backlog_save(backlog);
    free(cursor);
    free(deferred);
    return backlog;
}

void
backlog_close(struct backlog **backlog)
{
    struct backlog *old = *backlog;
    struct offer *offer;

    if (old == NULL)
        return;
    backlog_save(old);
    if (old->question != NULL)
        overview_forget(old->question);
    while ((offer = TAILQ_FIRST(&old->queue)) != NULL) {
        TAILQ_REMOVE(&old->queue, offer, place);
        offer_free(offer);
    }
    while ((offer = TAILQ_FIRST(&old->all)) != NULL)
        offer_free(offer);
    log_reader_free(&old->reader);
    deferred_close(&old->deferred);
    cursor_close(&old->cursor);
    free(old);
    *backlog = NULL;
}
