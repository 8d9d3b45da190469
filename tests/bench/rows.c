/*
 * rows -- what each row of the benchmark sends, and what it counts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "tests/bench/load.h"

enum tag {
    TAG_GROUP = 1,
    TAG_OFFER,   /* CHECK, IHAVE, POST: the article comes behind the answer */
    TAG_ARTICLE, /* the answer to an article sent */
    TAG_READ,
    TAG_LAST, /* QUIT */
};

/* INN's transit side hands a reader on at MODE READER, and loses what was sent
   behind it: so all else waits for the answer. */
static void
reader_greeted(struct connection *connection)
{
    load_command(connection, TAG_LAST, REPLY_LINE, "MODE READER");
}

static bool
reader_is_ready(struct connection *connection)
{
    return load_marks(connection)->ready;
}

/* --- feeding --- */

static bool
takethis_next(struct connection *connection)
{
    struct buffer wire = BUFFER_EMPTY;
    struct buffer id = BUFFER_EMPTY;
    uint64_t number;

    if (!load_claim(&number))
        return false;
    article_id(number, &id);
    article_make(number, false, &wire);
    load_command(connection, TAG_ARTICLE, REPLY_LINE, "TAKETHIS %s",
                 buffer_text(&id));
    load_octets(connection, wire.data, wire.used);
    buffer_free(&id);
    buffer_free(&wire);
    return true;
}

static uint64_t
stored_replied(struct connection *connection, unsigned tag,
               const struct reply *reply)
{
    (void)connection;
    (void)tag;
    if (reply->code != 239 && reply->code != 235 && reply->code != 240)
        load_wrong(reply);
    return 1;
}

static bool
offer_next(struct connection *connection, const char *verb)
{
    struct buffer id = BUFFER_EMPTY;
    uint64_t number;

    if (!load_claim(&number))
        return false;
    load_remember(connection, number);
    article_id(number, &id);
    load_command(connection, TAG_OFFER, REPLY_LINE, "%s %s", verb,
                 buffer_text(&id));
    buffer_free(&id);
    return true;
}

static bool
ihave_next(struct connection *connection)
{
    return offer_next(connection, "IHAVE");
}

static bool
check_next(struct connection *connection)
{
    return offer_next(connection, "CHECK");
}

static bool
post_next(struct connection *connection)
{
    uint64_t number;

    if (!reader_is_ready(connection) || !load_claim(&number))
        return false;
    load_remember(connection, number);
    load_command(connection, TAG_OFFER, REPLY_LINE, "POST");
    return true;
}

/* IHAVE and POST: 335 or 340 asks for the article. */
static uint64_t
offer_replied(struct connection *connection, unsigned tag,
              const struct reply *reply)
{
    struct buffer wire = BUFFER_EMPTY;
    uint64_t number;

    if (tag == TAG_LAST) {
        load_marks(connection)->ready = true;
        return 0;
    }
    if (tag == TAG_ARTICLE)
        return stored_replied(connection, tag, reply);
    number = load_recall(connection);
    if (reply->code != 335 && reply->code != 340) {
        load_wrong(reply);
        return 1;
    }
    article_make(number, reply->code == 340, &wire);
    load_octets(connection, wire.data, wire.used);
    load_expect(connection, TAG_ARTICLE, REPLY_LINE);
    buffer_free(&wire);
    return 0;
}

/* CHECK: 238 asks for a TAKETHIS. */
static uint64_t
check_replied(struct connection *connection, unsigned tag,
              const struct reply *reply)
{
    struct buffer wire = BUFFER_EMPTY;
    struct buffer id = BUFFER_EMPTY;
    uint64_t number;

    if (tag == TAG_ARTICLE)
        return stored_replied(connection, tag, reply);
    number = load_recall(connection);
    if (reply->code != 238) {
        load_wrong(reply);
        return 1;
    }
    article_id(number, &id);
    article_make(number, false, &wire);
    load_command(connection, TAG_ARTICLE, REPLY_LINE, "TAKETHIS %s",
                 buffer_text(&id));
    load_octets(connection, wire.data, wire.used);
    buffer_free(&id);
    buffer_free(&wire);
    return 0;
}

/* Half of the IDs are known, those of the first --range articles; odd numbers
   were never sent. */
static bool
known_next(struct connection *connection)
{
    struct buffer id = BUFFER_EMPTY;
    uint64_t number;

    if (!load_claim(&number))
        return false;
    article_id(number % 2 == 0 ? number / 2 % load_options()->range
                               : number + (1ull << 40),
               &id);
    load_command(connection, TAG_READ, REPLY_LINE, "CHECK %s",
                 buffer_text(&id));
    buffer_free(&id);
    return true;
}

static uint64_t
known_replied(struct connection *connection, unsigned tag,
              const struct reply *reply)
{
    (void)connection;
    (void)tag;
    if (reply->code != 238 && reply->code != 438)
        load_wrong(reply);
    return 1;
}

/* --- reading --- */

/* Remembers the marks of 211; returns whether this reply was to a command of
   the setting up. */
static bool
reader_is_setting_up(struct connection *connection, unsigned tag,
                     const struct reply *reply)
{
    struct load_marks *marks = load_marks(connection);

    if (tag == TAG_LAST) {
        if (load_options()->group != NULL)
            load_command(connection, TAG_GROUP, REPLY_LINE, "GROUP %s",
                         load_options()->group);
        else
            marks->ready = true;
        return true;
    }
    if (tag != TAG_GROUP)
        return false;
    marks->ready = true;
    if (sscanf(reply->line, "211 %*u %" SCNu64 " %" SCNu64, &marks->low,
               &marks->high)
            != 2
        || marks->high < marks->low)
        die(EXIT_DATA, "group %s: %s", load_options()->group, reply->line);
    return true;
}

static bool
over_next(struct connection *connection)
{
    struct load_marks *marks = load_marks(connection);
    uint64_t range = load_options()->range;
    uint64_t number, last = marks->high;

    if (!reader_is_ready(connection) || !load_claim(&number))
        return false;
    load_command(
        connection, TAG_READ, REPLY_MULTILINE, "OVER %" PRIu64 "-%" PRIu64,
        last - marks->low >= range ? last - range + 1 : marks->low, last);
    return true;
}

static uint64_t
lines_replied(struct connection *connection, unsigned tag,
              const struct reply *reply)
{
    if (reader_is_setting_up(connection, tag, reply))
        return 0;
    if (reply->code != 224 && reply->code != 215)
        load_wrong(reply);
    return reply->lines;
}

static uint64_t
ranges_replied(struct connection *connection, unsigned tag,
               const struct reply *reply)
{
    return lines_replied(connection, tag, reply) > 0 ? 1 : 0;
}

static bool
article_next(struct connection *connection)
{
    struct load_marks *marks = load_marks(connection);
    uint64_t number, state;

    if (!reader_is_ready(connection) || !load_claim(&number))
        return false;
    state = number * 77 + load_options()->seed;
    load_command(connection, TAG_READ, REPLY_MULTILINE, "ARTICLE %" PRIu64,
                 marks->low
                     + random_below(&state, marks->high - marks->low + 1));
    return true;
}

static bool
article_id_next(struct connection *connection)
{
    struct buffer id = BUFFER_EMPTY;
    uint64_t number, state;

    if (!reader_is_ready(connection) || !load_claim(&number))
        return false;
    state = number * 77 + load_options()->seed;
    /* --range says how many articles were fed with this seed. */
    article_id(random_below(&state, load_options()->range), &id);
    load_command(connection, TAG_READ, REPLY_MULTILINE, "ARTICLE %s",
                 buffer_text(&id));
    buffer_free(&id);
    return true;
}

static uint64_t
article_replied(struct connection *connection, unsigned tag,
                const struct reply *reply)
{
    if (reader_is_setting_up(connection, tag, reply))
        return 0;
    if (reply->code != 220)
        load_wrong(reply);
    return 1;
}

static bool
list_next(struct connection *connection)
{
    uint64_t number;

    if (!reader_is_ready(connection) || !load_claim(&number))
        return false;
    load_command(connection, TAG_READ, REPLY_MULTILINE, "LIST ACTIVE");
    return true;
}

static uint64_t
list_replied(struct connection *connection, unsigned tag,
             const struct reply *reply)
{
    if (reader_is_setting_up(connection, tag, reply))
        return 0;
    if (reply->code != 215)
        load_wrong(reply);
    return 1;
}

static bool
date_next(struct connection *connection)
{
    uint64_t number;

    if (!reader_is_ready(connection) || !load_claim(&number))
        return false;
    load_command(connection, TAG_READ, REPLY_LINE, "DATE");
    return true;
}

static uint64_t
date_replied(struct connection *connection, unsigned tag,
             const struct reply *reply)
{
    if (reader_is_setting_up(connection, tag, reply))
        return 0;
    if (reply->code != 111)
        load_wrong(reply);
    return 1;
}

/* --- whole sessions --- */

static bool
quit_next(struct connection *connection)
{
    load_command(connection, TAG_LAST, REPLY_LINE, "QUIT");
    return false;
}

static uint64_t
quit_replied(struct connection *connection, unsigned tag,
             const struct reply *reply)
{
    (void)connection;
    (void)tag;
    if (reply->code != 205)
        load_wrong(reply);
    return 1;
}

/* A newsreader's visit: each command when the one before is answered. */
static void
session_greeted(struct connection *connection)
{
    load_marks(connection)->at = 0;
    load_command(connection, TAG_LAST, REPLY_LINE, "MODE READER");
}

static bool
session_next(struct connection *connection)
{
    (void)connection;
    return false;
}

static uint64_t
session_replied(struct connection *connection, unsigned tag,
                const struct reply *reply)
{
    struct load_marks *marks = load_marks(connection);
    uint64_t state = marks->high + marks->at;
    uint64_t step = marks->at++;

    if (reply->code >= 400)
        load_wrong(reply);
    if (tag == TAG_GROUP)
        (void)reader_is_setting_up(connection, tag, reply);
    if (step == 0)
        load_command(connection, TAG_READ, REPLY_MULTILINE, "LIST");
    else if (step == 1)
        load_command(connection, TAG_GROUP, REPLY_LINE, "GROUP %s",
                     load_options()->group);
    else if (step == 2)
        load_command(connection, TAG_READ, REPLY_MULTILINE,
                     "OVER %" PRIu64 "-%" PRIu64,
                     marks->high > 299 ? marks->high - 299 : 1, marks->high);
    else if (step < 13)
        load_command(connection, TAG_READ, REPLY_MULTILINE, "ARTICLE %" PRIu64,
                     marks->low
                         + random_below(&state, marks->high - marks->low + 1));
    else if (step == 13)
        load_command(connection, TAG_READ, REPLY_LINE, "QUIT");
    else
        return 1;
    return 0;
}

static const struct row rows[] = {
    {"takethis", "articles", "TAKETHIS, pipelined in a window", NULL,
     takethis_next, stored_replied, false},
    {"ihave", "articles", "IHAVE, one after the other", NULL, ihave_next,
     offer_replied, false},
    {"check-takethis", "articles", "CHECK, then TAKETHIS when wanted", NULL,
     check_next, check_replied, false},
    {"check", "IDs", "CHECK, half of the IDs known", NULL, known_next,
     known_replied, false},
    {"post", "articles", "POST", reader_greeted, post_next, offer_replied,
     false},
    {"over", "lines", "OVER of the last --range numbers", reader_greeted,
     over_next, lines_replied, false},
    {"over-ranges", "ranges", "the same, counted in ranges", reader_greeted,
     over_next, ranges_replied, false},
    {"article", "articles", "ARTICLE by random number", reader_greeted,
     article_next, article_replied, false},
    {"article-id", "articles", "ARTICLE by message-ID", reader_greeted,
     article_id_next, article_replied, false},
    {"list", "lists", "LIST ACTIVE", reader_greeted, list_next, list_replied,
     false},
    {"date", "commands", "DATE", reader_greeted, date_next, date_replied,
     false},
    {"connect", "connections", "connect and QUIT", NULL, quit_next,
     quit_replied, true},
    {"session", "sessions", "connect, LIST, GROUP, OVER 300, 10 ARTICLE, QUIT",
     session_greeted, session_next, session_replied, true},
    {"idle", "connections", "connect and stay until standard input closes",
     NULL, NULL, NULL, false},
};

const struct row *
row_find(const char *name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

void
rows_print(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        printf("  %-15s %s (%s)\n", rows[i].name, rows[i].what, rows[i].unit);
}
