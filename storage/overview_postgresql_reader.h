/*
 * overview_postgresql_reader -- a reader's connection, what it has asked, and
 * what it keeps of `recent`; for overview_postgresql_reader.c (the connection
 * and the questions), _recent.c and _answer.c.
 *
 * One connection in pipeline mode.  What is sent is answered in that order, so
 * memory (recent) and the blocks of a question fit each other: recent is
 * brought to one moment by a transaction of its own, and a question sent
 * behind it is answered with blocks of that moment or a later one, while
 * recent stands as that transaction, or the next one before it, left it.
 */
#ifndef STORAGE_OVERVIEW_POSTGRESQL_READER_H
#define STORAGE_OVERVIEW_POSTGRESQL_READER_H

#include <sys/queue.h>

#include "storage/overview_answer.h"
#include "storage/overview_postgresql.h"

struct event;

enum reader_statement {
    READ_BEGIN,
    READ_COMMIT,
    READ_STATE,
    READ_REMOVED,
    READ_RECENT,
    READ_BLOCKS_UP,
    READ_BLOCKS_DOWN,
    READ_ARTICLE,
    READ_SINCE,
    READ_STATEMENTS
};

/* What the next result in the pipeline is. */
enum expected_kind {
    EXPECT_VERSION,
    EXPECT_NOTHING, /* a statement without rows */
    EXPECT_READY,   /* the mark behind the beginning */
    EXPECT_MARK,
    EXPECT_STATE,
    EXPECT_REMOVED,
    EXPECT_RECENT,
    EXPECT_REFRESHED, /* the mark behind recent's transaction */
    EXPECT_ANSWER,
};

struct expected {
    STAILQ_ENTRY(expected) next;
    enum expected_kind kind;
    int64_t sent_ms;
    struct postgresql_request *request; /* EXPECT_ANSWER */
};

struct postgresql_request {
    struct overview_request base;
    TAILQ_ENTRY(postgresql_request) next; /* while it waits to be sent */
    struct overview_query query;          /* what is left of it */
    overview_done_func *done;             /* NULL: forgotten, or done */
    void *context;
    uint64_t published; /* recent must be of this moment or a later one */
    int64_t deadline_ms;
    size_t blocks; /* asked for at once */
    bool waits;    /* to be sent */
};

enum reader_state { READER_AWAY, READER_CONNECTING, READER_READY };

struct postgresql_reader {
    struct overview_reader base;
    const struct active *active;
    struct event_base *loop;
    bool blocks; /* the loop is our own: every question waits */
    char *url;
    PGconn *db;
    enum reader_state state;
    struct event *readable;
    struct event *writable;
    struct event *tick;
    TAILQ_HEAD(, postgresql_request) waiting;
    STAILQ_HEAD(, expected) expected;
    size_t requests; /* waiting or sent */
    int64_t away_ms; /* since when; 0: it is not */
    int64_t retry_ms;
    int64_t pause_ms;
    /* recent, and the moment it stands for */
    struct overview_answering answering;
    bool loaded;
    bool refreshing;
    bool spoilt; /* this refresh brings too little: another is needed */
    uint64_t asked_published; /* what the refresh under way is for */
    uint64_t published;
    uint64_t last; /* sequence */
    uint64_t last_removed;
    int64_t epoch;
    size_t block_octets; /* of late */
    struct postgresql_values values;
    struct buffer list;
    struct buffer why;
    uint64_t failures;
};

/* --- overview_postgresql_recent.c --- */

void postgresql_forget_recent(struct postgresql_reader *reader);
/* Take the rows of the three questions of a refresh, in this order. */
void postgresql_take_state(struct postgresql_reader *reader,
                           const PGresult *result);
void postgresql_take_removed(struct postgresql_reader *reader,
                             const PGresult *result);
/* -1 with the reason in reader->why: a row is damaged. */
int postgresql_take_recent(struct postgresql_reader *reader,
                           const PGresult *result);

/* --- overview_postgresql_answer.c --- */

/* How many blocks to ask for: as many as may fill an answer, or hold the
   limit. */
size_t postgresql_answer_blocks(const struct postgresql_reader *reader,
                                const struct overview_query *query);
/* 0 answered, 1 what is left of the query is to be asked, -1 damage (logged).
   The lines are borrowed until the next answer is made. */
int postgresql_answer(struct postgresql_reader *reader,
                      struct postgresql_request *request,
                      const PGresult *result, struct overview_answer *answer);
/* Is recent enough to answer it? */
bool postgresql_answer_now(struct postgresql_reader *reader,
                           const struct postgresql_request *request,
                           struct overview_answer *answer);

#endif
