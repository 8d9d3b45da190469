/*
 * account_database -- where accounts are kept: a table of functions for each
 * kind of database.
 *
 * Within lib/ only: everybody else uses lib/account.h, which knows what the
 * tables mean.  A kind makes the tables and carries out statements.
 * Parameters are texts, $1 and on; what comes back is text.
 *
 *   account          name (key), role, hash, scram ("": none), moderates,
 *                    disabled (0 or 1), created, changed (seconds)
 *   account_setting  name (key), value
 */
#ifndef LIB_ACCOUNT_DATABASE_H
#define LIB_ACCOUNT_DATABASE_H

#include <stddef.h>
#include <stdint.h>

struct account_database;
struct buffer;

enum { ACCOUNT_SCHEMA_VERSION = 2, ACCOUNT_PARAMETERS_MAX = 6 };

struct account_parameters {
    int count;
    const char *text[ACCOUNT_PARAMETERS_MAX];
};

/* One row; the texts are borrowed.  0, or -1 with why. */
typedef int account_row_func(void *context, const char *const *column,
                             struct buffer *why);

struct account_database_ops {
    /* NULL with why. */
    struct account_database *(*open)(const char *where, const char *directory,
                                     struct buffer *why);
    /* Carry out one statement, calling row (which may be NULL) with each row
       of the answer.  How many rows there were, or were changed; -1 with
       why. */
    int64_t (*run)(struct account_database *database, const char *sql,
                   const struct account_parameters *parameters,
                   account_row_func *row, void *context, struct buffer *why);
    void (*close)(struct account_database *database);
};

extern const struct account_database_ops account_sqlite, account_postgresql;

#endif
