/*
 * overview_sqlite -- the overview in one SQLite file: PATH/overview.sqlite.
 *
 * This header is for the files overview_sqlite*.c alone: the connection
 * (overview_sqlite.c), what the writer does with rows (_writer.c), and readers
 * (_reader.c).  Numbers within octets (the
 * column numbers) are little-endian, as in the spool.
 *
 * The tables:
 *   meta     key -> value: version of these tables, applied, settled (missing:
 *            as applied)
 *   groups   one row a group, removed ones too.  high, count: as of the
 *            articles up to the sequence `folded` (and of any greater mark
 *            that was given); articles behind it are counted from recent
 *   recent   an article that has not been folded: numbers is its list of
 *            struct record_group, line its overview without the number
 *   block    key (storage/overview_block.h) -> lines of 64 numbers
 *   article  sequence -> token, arrival, once it is folded
 *   removed  what left `recent` other than by folding, for readers that hold
 *            rows of it
 */
#ifndef STORAGE_OVERVIEW_SQLITE_H
#define STORAGE_OVERVIEW_SQLITE_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "lib/buffer.h"
#include "storage/overview_writer.h"

enum { SQLITE_SCHEMA_VERSION = 1 };

/* Every statement of the writer's connection, kept prepared. */
enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_SET_META,
    STATEMENT_PUT_RECENT,
    STATEMENT_GET_RECENT,
    STATEMENT_SET_RECENT,
    STATEMENT_DROP_RECENT,
    STATEMENT_FOLD_RECENT,
    STATEMENT_FOLDED_RECENT,
    STATEMENT_NOTE_REMOVED,
    STATEMENT_TRIM_REMOVED,
    STATEMENT_RECENT_PLACES,
    STATEMENT_RECENT_BEGIN,
    STATEMENT_GET_BLOCK,
    STATEMENT_NEXT_BLOCK,
    STATEMENT_PUT_BLOCK,
    STATEMENT_DROP_BLOCK,
    STATEMENT_GET_ARTICLE,
    STATEMENT_PUT_ARTICLE,
    STATEMENT_DROP_ARTICLES,
    STATEMENT_MOVE_ARTICLE,
    STATEMENT_PUT_GROUP,
    STATEMENT_FOLD_GROUP,
    STATEMENT_LESS_GROUP,
    STATEMENT_RAISE_GROUP,
    STATEMENT_SET_GROUP,
    STATEMENT_GROUPS,
    STATEMENT_GROUPS_FOLDED,
    STATEMENT_GROUPS_RECENT,
    STATEMENT_COUNT
};

struct sqlite_overview {
    struct overview_writer writer;
    struct buffer file; /* its path */
    sqlite3 *db;
    sqlite3 *checkpoint_db; /* the checkpoint thread's own connection */
    sqlite3_stmt *statements[STATEMENT_COUNT];
    uint64_t settled_kept; /* what meta says */
    bool is_full;          /* the last failure was for want of room */
    _Atomic uint64_t log_octets;
    int64_t vacuum_until;  /* upkeep is under way: so many pages stay free */
    struct buffer block;   /* a block being written */
    struct buffer text;    /* a column of octets, a list of groups */
    sqlite3_stmt *reading; /* whose lines of a block are borrowed; NULL */
};

static inline struct sqlite_overview *
sqlite_overview(struct overview *overview)
{
    return (struct sqlite_overview *)overview;
}

/* --- overview_sqlite.c: what all of them use --- */

/* Say what SQLite says.  Always -1. */
int sqlite_why(sqlite3 *db, struct buffer *why, const char *what);
/* Run a statement that gives no rows, and make it ready for the next time.
   A writer that meets damage leaves word for the next start. */
int sqlite_run(struct sqlite_overview *overview, enum statement statement,
               struct buffer *why);
/* Step a statement: 1 a row, 0 no more (it is reset then), -1 with why. */
int sqlite_step(struct sqlite_overview *overview, enum statement statement,
                struct buffer *why);
/* Prepare count statements; 0 or -1. */
int sqlite_prepare(sqlite3 *db, const char *const *sql,
                   sqlite3_stmt **statements, size_t count,
                   struct buffer *why);
void sqlite_finalize(sqlite3_stmt **statements, size_t count);
/* The file of an overview in the directory path. */
void sqlite_file(struct buffer *file, const char *path);
/* Damage was found: the next overview_open() begins with an empty one. */
void sqlite_note_damage(const struct sqlite_overview *overview);

/*
 * Binding.  A value that could not be bound would be NULL, so whoever binds
 * asks afterwards: the next step of a statement in this thread, which fails
 * then as if it were its own failure.
 */
void sqlite_note_bind(int result);
/* SQLITE_OK, or the first failure since the last time. */
int sqlite_bind_result(void);

/* --- overview_sqlite_rebuild.c --- */

char *sqlite_rebuild_begin(const char *url, const char *path, bool resume,
                           struct buffer *why);
int sqlite_rebuild_end(const char *url, const char *path, struct buffer *why);

static inline void
sqlite_bind(sqlite3_stmt *statement, int column, uint64_t value)
{
    sqlite_note_bind(
        sqlite3_bind_int64(statement, column, (sqlite3_int64)value));
}

/* Octets and text are borrowed until the step. */
static inline void
sqlite_bind_octets(sqlite3_stmt *statement, int column, const void *octets,
                   size_t count)
{
    sqlite_note_bind(sqlite3_bind_blob(statement, column, octets, (int)count,
                                       SQLITE_STATIC));
}

static inline void
sqlite_bind_text(sqlite3_stmt *statement, int column, const char *text)
{
    sqlite_note_bind(
        sqlite3_bind_text(statement, column, text, -1, SQLITE_STATIC));
}

static inline uint64_t
sqlite_number(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

/* Columns segment, position, octets from column on. */
void sqlite_bind_token(sqlite3_stmt *statement, int column,
                       const struct token *token);
struct token sqlite_token(sqlite3_stmt *statement, int column);
/* As overview_groups_read(), of a column. */
int sqlite_groups(sqlite3_stmt *statement, int column, struct buffer *list,
                  const struct record_group **groups_r);
/* A row of recent, from the columns sequence, arrival, token, numbers, line;
   the groups borrow from list.  -1: its list of groups is none. */
int sqlite_recent_row(sqlite3_stmt *statement, struct buffer *list,
                      struct recent_row *row_r);

/* --- overview_sqlite_writer.c --- */

extern const struct overview_rows sqlite_rows;

int sqlite_load(struct sqlite_overview *overview, struct buffer *why);
int sqlite_overview_groups(struct overview *overview,
                           overview_group_func *func, void *context,
                           struct buffer *why);
int sqlite_put(struct overview *overview, const struct overview_entry *entries,
               size_t count, struct buffer *why);
int sqlite_put_group(struct overview *overview,
                     const struct overview_group *group, struct buffer *why);
int sqlite_locate(struct overview *overview, uint64_t sequence,
                  struct token *token_r, int64_t *arrival_r,
                  struct buffer *why);

/* --- overview_sqlite_reader.c --- */

struct overview_reader *sqlite_reader_open(const char *url, const char *path,
                                           const struct active *active,
                                           struct event_base *base,
                                           struct buffer *why);
void sqlite_reader_close(struct overview_reader *reader);
struct overview_request *sqlite_ask(struct overview_reader *reader,
                                    const struct overview_query *query,
                                    overview_done_func *done, void *context);
void sqlite_forget(struct overview_request *request);
void sqlite_turn_ended(struct overview_reader *reader);

#endif
