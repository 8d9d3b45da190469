/*
 * overview_sqlite_reader -- a reader's connection and what it keeps of
 * `recent`; for overview_sqlite_reader.c, which brings it to the present
 * moment, and overview_sqlite_answer.c, which answers from it.
 */
#ifndef STORAGE_OVERVIEW_SQLITE_READER_H
#define STORAGE_OVERVIEW_SQLITE_READER_H

#include <sys/types.h>

#include "storage/overview_answer.h"
#include "storage/overview_cache.h"
#include "storage/overview_sqlite.h"

enum reader_statement {
    READ_BEGIN,
    READ_END,
    READ_VERSION,
    READ_FIRST_RECENT,
    READ_RECENT,
    READ_LAST_REMOVED,
    READ_REMOVED,
    READ_BLOCKS_UP,
    READ_BLOCKS_DOWN,
    READ_ARTICLE,
    READ_ARTICLES,
    READ_LAST_ARTICLE,
    READ_COUNT
};

struct sqlite_reader {
    struct overview_reader base;
    const struct active *active;
    struct buffer file;
    sqlite3 *db; /* NULL: to be opened at the next question */
    sqlite3_stmt *statements[READ_COUNT];
    dev_t device; /* of the file that is open: a damaged one is replaced */
    ino_t inode;
    bool in_transaction;
    /* The counters of active, read just before the transaction began. */
    uint64_t published;
    uint64_t removals;
    struct overview_answering answering; /* recent as of the transaction */
    struct overview_cache *cache;
    bool loaded;
    uint64_t last;         /* sequence of the last row ever read */
    uint64_t last_removed; /* id */
    struct buffer list;
    struct buffer why;
    uint64_t failures;
};

/* Step a statement: 1 a row, 0 none (it is reset then), -1 with the reason in
   reader->why. */
int sqlite_reader_step(struct sqlite_reader *reader,
                       enum reader_statement statement);
/* The one number that a statement gives, missing when it is NULL. */
int sqlite_reader_number(struct sqlite_reader *reader,
                         enum reader_statement statement, uint64_t missing,
                         uint64_t *number_r);

/*
 * Answer from what is in memory, without a transaction; false: there it is
 * not.  The lines are borrowed as those of the next one.
 */
bool sqlite_reader_has_answer(struct sqlite_reader *reader,
                              const struct overview_query *query,
                              struct overview_answer *answer);
/*
 * Answer, within the transaction that is open and from recent as of it.  The
 * lines borrow from the reader until the next answer.  0, or -1 with the
 * reason in reader->why.
 */
int sqlite_reader_answer(struct sqlite_reader *reader,
                         const struct overview_query *query,
                         struct overview_answer *answer);

#endif
