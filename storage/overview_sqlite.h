/*
 * overview_sqlite -- the overview in one SQLite file: PATH/overview.sqlite.
 *
 * This header is for the files overview_sqlite*.c alone: the connection
 * (overview_sqlite.c), what the writer puts and removes (_writer.c), the fold
 * (_fold.c), and readers (_reader.c, _answer.c).  Numbers within octets (the
 * column numbers) are little-endian, as in the spool.
 *
 * The tables:
 *   meta     key -> value: version of these tables, applied
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
#include "storage/overview_backend.h"

enum {
    SQLITE_SCHEMA_VERSION = 1,
    /* A group's number above this is damage: nobody has so many. */
    SQLITE_GROUP_MAX = 1 << 24,
};

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
    STATEMENT_GET_BLOCK,
    STATEMENT_PUT_BLOCK,
    STATEMENT_DROP_BLOCK,
    STATEMENT_GET_ARTICLE,
    STATEMENT_PUT_ARTICLE,
    STATEMENT_DROP_ARTICLE,
    STATEMENT_PUT_GROUP,
    STATEMENT_FOLD_GROUP,
    STATEMENT_LESS_GROUP,
    STATEMENT_RAISE_GROUP,
    STATEMENT_GROUPS,
    STATEMENT_GROUPS_RECENT,
    STATEMENT_COUNT
};

/* A row of recent that is being folded. */
struct fold_row {
    uint64_t sequence;
    int64_t arrival;
    struct token token;
    size_t line; /* offset in the fold's lines */
    uint32_t line_octets;
    bool gone; /* removed meanwhile: it gets no article row */
};

/* One number of such a row. */
struct fold_place {
    uint64_t number;
    uint32_t group;
    uint32_t row; /* index of its fold_row */
    bool gone;    /* removed meanwhile */
};

enum fold_stage {
    FOLD_NONE,
    FOLD_LOAD,   /* rows are read; nothing has been written */
    FOLD_BLOCKS, /* next: the first place not yet in its block */
    FOLD_GROUPS, /* next: the first place whose group is not yet counted */
    FOLD_ROWS,   /* next: the first row not yet moved to article */
};

/*
 * The fold under way.  It is memory only: a writer that dies loses it, and
 * the next one folds the same rows again, which are still in recent, over
 * what is already in the blocks.
 */
struct fold {
    enum fold_stage stage;
    size_t wanted; /* rows */
    size_t next;
    struct fold_row *rows; /* ascending by sequence */
    size_t row_count;
    size_t row_size;
    struct fold_place *places; /* sorted by group and number, once loaded */
    size_t place_count;
    size_t place_size;
    struct buffer lines;
};

struct sqlite_overview {
    struct overview base;
    struct buffer file; /* its path */
    sqlite3 *db;
    sqlite3 *checkpoint_db; /* the checkpoint thread's own connection */
    sqlite3_stmt *statements[STATEMENT_COUNT];
    uint64_t applied;
    uint64_t last_put; /* the highest sequence ever put */
    size_t recent;     /* rows */
    uint64_t *folded;  /* by group: its row counts articles up to this */
    size_t folded_size;
    bool in_transaction;
    bool removed_noted; /* in this transaction */
    _Atomic uint64_t log_octets;
    struct fold fold;
    struct buffer block; /* a block being written */
    struct buffer text;  /* lines on their way into it */
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

static inline void
sqlite_bind(sqlite3_stmt *statement, int column, uint64_t value)
{
    sqlite3_bind_int64(statement, column, (sqlite3_int64)value);
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
/*
 * The list of groups in a column.  Returns their count, or -1 when it is no
 * such list.  *groups_r borrows from list, which is cleared first.
 */
int sqlite_groups(sqlite3_stmt *statement, int column, struct buffer *list,
                  const struct record_group **groups_r);
void sqlite_put_groups(struct buffer *list, const struct record_group *groups,
                       size_t count);

/* --- overview_sqlite_writer.c --- */

int sqlite_load(struct sqlite_overview *overview, struct buffer *why);
int sqlite_overview_groups(struct overview *overview,
                           overview_group_func *func, void *context,
                           struct buffer *why);
int sqlite_put(struct overview *overview, const struct overview_entry *entries,
               size_t count, struct buffer *why);
int sqlite_put_group(struct overview *overview,
                     const struct overview_group *group, struct buffer *why);
int sqlite_remove(struct overview *overview, uint64_t sequence,
                  const struct record_group *groups, size_t group_count,
                  bool last, struct buffer *why);
int sqlite_locate(struct overview *overview, uint64_t sequence,
                  struct token *token_r, int64_t *arrival_r,
                  struct buffer *why);
/* The lines of a block, borrowed from the statement until it is reset; -1
   with why, 0 when there is no such block. */
int sqlite_get_block(struct sqlite_overview *overview, int64_t key,
                     struct overview_line lines[], struct buffer *why);
/* Write a block, or drop it when it has no lines. */
int sqlite_put_block(struct sqlite_overview *overview, int64_t key,
                     const struct overview_line *lines, size_t count,
                     struct buffer *why);
uint64_t sqlite_folded(const struct sqlite_overview *overview, uint32_t group);
void sqlite_set_folded(struct sqlite_overview *overview, uint32_t group,
                       uint64_t sequence);

/* --- overview_sqlite_fold.c --- */

int sqlite_fold(struct overview *overview, size_t keep, struct buffer *why);
/* A row that may be in the fold under way has left these groups. */
void sqlite_fold_remove(struct sqlite_overview *overview, uint64_t sequence,
                        const struct record_group *groups, size_t group_count,
                        bool last);
void sqlite_fold_free(struct fold *fold);

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
