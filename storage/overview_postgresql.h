/*
 * overview_postgresql -- the overview in a PostgreSQL database, 13 or later:
 * overview = "postgresql://...", a URL as libpq has it.
 *
 * This header is for the files overview_postgresql*.c alone: the connection,
 * its lock and its tables (overview_postgresql.c), what the writer does with
 * rows (_writer.c), and readers (_reader.c).
 *
 * The tables are those of overview_sqlite.h, in the schema that comes first in
 * search_path, but for:
 *   meta     one row: version of these tables; store, whose they are (the
 *            secret in PATH/overview.id); epoch, one more with every writer;
 *            applied; settled; damaged; moved: the rows of recent up to it
 *            were folded
 *   article  has an index by arrival
 *
 * One writer: it holds a session's advisory lock, and each of its transactions
 * fails when the epoch is no longer its own.  A pooler that gives each
 * transaction another session cannot stand in between.  synchronous_commit is
 * off: a crash may take the last commits, which the spool gives back.
 */
#ifndef STORAGE_OVERVIEW_POSTGRESQL_H
#define STORAGE_OVERVIEW_POSTGRESQL_H

#include "storage/overview_writer.h"
#include "storage/postgresql.h"

enum {
    POSTGRESQL_SCHEMA_VERSION = 2,
    POSTGRESQL_STORE_OCTETS = 16,
    POSTGRESQL_REMOVED_KEPT = 1000, /* rows of removed */
};

/* Every statement of the writer's connection, kept prepared. */
enum writer_statement {
    WRITER_BEGIN,
    WRITER_COMMIT,
    WRITER_DURABLY,
    WRITER_SET_META,
    WRITER_LOAD,
    WRITER_PUT_RECENT,
    WRITER_GET_RECENT,
    WRITER_SET_RECENT,
    WRITER_DROP_RECENT,
    WRITER_LOAD_RECENT,
    WRITER_MOVED_RECENT,
    WRITER_NOTE_REMOVED,
    WRITER_TRIM_REMOVED,
    WRITER_RECENT_PLACES,
    WRITER_GET_BLOCK,
    WRITER_NEXT_BLOCK,
    WRITER_PUT_BLOCK,
    WRITER_DROP_BLOCK,
    WRITER_GET_ARTICLE,
    WRITER_PUT_ARTICLES,
    WRITER_DROP_ARTICLES,
    WRITER_MOVE_ARTICLE,
    WRITER_PUT_GROUP,
    WRITER_COUNT_GROUP,
    WRITER_LESS_GROUP,
    WRITER_RAISE_GROUP,
    WRITER_SET_GROUP,
    WRITER_GROUPS,
    WRITER_GROUPS_RECENT,
    WRITER_STATEMENTS
};

struct postgresql_overview {
    struct overview_writer writer;
    char *url;
    char *name; /* of our connections: tells a dead writer's from others' */
    unsigned char store[POSTGRESQL_STORE_OCTETS];
    PGconn *db;     /* in pipeline mode; NULL: lost */
    bool failed;    /* what was sent on it, for good */
    size_t awaited; /* statements whose results have not been read */
    int64_t epoch;
    uint64_t moved;
    uint64_t last_removed; /* id */
    uint64_t committed;    /* the highest applied that a commit has said */
    struct postgresql_values values;
    PGresult *block;    /* whose lines are borrowed; NULL: none */
    struct buffer data; /* a block being written */
    struct buffer list; /* a list of groups */
};

static inline struct postgresql_overview *
postgresql_overview(struct overview *overview)
{
    return (struct postgresql_overview *)overview;
}

/* --- overview_postgresql.c --- */

/* The values of the next statement, to be added. */
struct postgresql_values *
postgresql_with(struct postgresql_overview *overview);
/* Send a statement with them, and go on.  Its failure comes up later. */
int postgresql_run(struct postgresql_overview *overview,
                   enum writer_statement statement, struct buffer *why);
/* Send it and wait: its rows, which the caller clears; NULL with why. */
PGresult *postgresql_ask(struct postgresql_overview *overview,
                         enum writer_statement statement, struct buffer *why);
/* The database does not say what our own code would have put there: the next
   overview_open() begins with empty tables.  Always -1. */
int postgresql_damaged(struct postgresql_overview *overview,
                       struct buffer *why, const char *what);

/* --- overview_postgresql_writer.c --- */

extern const struct overview_rows postgresql_rows;
extern const char *const postgresql_writer_sql[WRITER_STATEMENTS];

/* What the tables say, into an overview that was cleared. */
int postgresql_load(struct postgresql_overview *overview, struct buffer *why);
int postgresql_groups(struct overview *overview, overview_group_func *func,
                      void *context, struct buffer *why);
int postgresql_put(struct overview *overview,
                   const struct overview_entry *entries, size_t count,
                   struct buffer *why);
int postgresql_put_group(struct overview *overview,
                         const struct overview_group *group,
                         struct buffer *why);
int postgresql_locate(struct overview *overview, uint64_t sequence,
                      struct token *token_r, int64_t *arrival_r,
                      struct buffer *why);

/* --- overview_postgresql_reader.c --- */

struct overview_reader *postgresql_reader_open(const char *url,
                                               const char *path,
                                               const struct active *active,
                                               struct event_base *base,
                                               struct buffer *why);
void postgresql_reader_close(struct overview_reader *reader);
struct overview_request *
postgresql_reader_ask(struct overview_reader *reader,
                      const struct overview_query *query,
                      overview_done_func *done, void *context);
void postgresql_reader_forget(struct overview_request *request);
void postgresql_reader_turn_ended(struct overview_reader *reader);

#endif
