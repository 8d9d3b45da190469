/*
 * account_postgresql -- accounts in PostgreSQL, where several servers may
 * share them.
 *
 * A connection that is lost is made again with the next statement.  Each
 * statement has its time and then fails, for whoever logs in waits for it.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "lib/account_database.h"
#include "lib/buffer.h"
#include "lib/memory.h"

enum { COLUMNS_MAX = 8 };

struct account_database {
    PGconn *handle;
};

/* One transaction, whoever else makes the tables at the same time. */
static const char schema[] =
    "BEGIN;"
    "SELECT pg_advisory_xact_lock(hashtext('renews accounts'));"
    "CREATE TABLE IF NOT EXISTS account (name text PRIMARY KEY,"
    " role text NOT NULL, hash text NOT NULL, scram text NOT NULL,"
    " moderates text NOT NULL, disabled integer NOT NULL,"
    " created bigint NOT NULL, changed bigint NOT NULL);"
    "CREATE TABLE IF NOT EXISTS account_setting (name text PRIMARY KEY,"
    " value text NOT NULL);"
    "INSERT INTO account_setting VALUES ('version', '2')"
    " ON CONFLICT DO NOTHING;"
    "COMMIT;";

static const char settings[] = "SET statement_timeout = '10s';"
                               "SET lock_timeout = '10s'";

static int
failed(struct account_database *database, const PGresult *result,
       struct buffer *why)
{
    const char *text = result != NULL ? PQresultErrorMessage(result)
                                      : PQerrorMessage(database->handle);
    size_t octets = strcspn(text, "\n");

    return why_set(why, "accounts: %.*s", (int)octets, text);
}

/* Statements without an answer. */
static int
execute(struct account_database *database, const char *sql, struct buffer *why)
{
    PGresult *result = PQexec(database->handle, sql);
    int status = 0;

    if (PQresultStatus(result) != PGRES_COMMAND_OK
        && PQresultStatus(result) != PGRES_TUPLES_OK)
        status = failed(database, result, why);
    PQclear(result);
    return status;
}

/* "IF NOT EXISTS" says something each time. */
static void
notice_ignore(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

/* Connected, perhaps anew. */
static int
connect_again(struct account_database *database, struct buffer *why)
{
    if (PQstatus(database->handle) == CONNECTION_OK)
        return 0;
    PQreset(database->handle);
    if (PQstatus(database->handle) != CONNECTION_OK)
        return failed(database, NULL, why);
    return execute(database, settings, why);
}

static int
row_pass(const PGresult *result, int number, account_row_func *row,
         void *context, struct buffer *why)
{
    const char *column[COLUMNS_MAX] = {NULL};

    for (int i = 0; i < PQnfields(result) && i < COLUMNS_MAX; i++)
        column[i] = PQgetvalue(result, number, i);
    return row(context, column, why);
}

static int64_t
result_take(struct account_database *database, const PGresult *result,
            account_row_func *row, void *context, struct buffer *why)
{
    if (PQresultStatus(result) == PGRES_COMMAND_OK)
        return strtoll(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return failed(database, result, why);
    for (int i = 0; row != NULL && i < PQntuples(result); i++)
        if (row_pass(result, i, row, context, why) < 0)
            return -1;
    return PQntuples(result);
}

static int64_t
postgresql_run(struct account_database *database, const char *sql,
               const struct account_parameters *parameters,
               account_row_func *row, void *context, struct buffer *why)
{
    PGresult *result;
    int64_t rows;

    if (connect_again(database, why) < 0)
        return -1;
    result = PQexecParams(database->handle, sql, parameters->count, NULL,
                          parameters->text, NULL, NULL, 0);
    /* It was lost while nobody used it: a question may be asked twice. */
    if (PQstatus(database->handle) != CONNECTION_OK
        && strncmp(sql, "SELECT", 6) == 0) {
        PQclear(result);
        if (connect_again(database, why) < 0)
            return -1;
        result = PQexecParams(database->handle, sql, parameters->count, NULL,
                              parameters->text, NULL, NULL, 0);
    }
    rows = result_take(database, result, row, context, why);
    PQclear(result);
    return rows;
}

static void
postgresql_close(struct account_database *database)
{
    PQfinish(database->handle);
    free(database);
}

static int
version_check(void *context, const char *const *column, struct buffer *why)
{
    (void)context;
    if (strtoll(column[0], NULL, 10) == ACCOUNT_SCHEMA_VERSION)
        return 0;
    return why_set(why, "accounts: version %s, not %d", column[0],
                   ACCOUNT_SCHEMA_VERSION);
}

static int
schema_make(struct account_database *database, struct buffer *why)
{
    static const struct account_parameters none = {0};

    if (execute(database, settings, why) < 0
        || execute(database, schema, why) < 0
        || postgresql_run(
               database,
               "SELECT value FROM account_setting WHERE name = 'version'",
               &none, version_check, NULL, why)
               < 0)
        return -1;
    return 0;
}

static struct account_database *
postgresql_open(const char *where, const char *directory, struct buffer *why)
{
    static const char *const keywords[] = {
        "dbname",           "connect_timeout", "application_name",
        "tcp_user_timeout", "client_encoding", NULL};
    const char *const values[] = {where,   "5",    "renews accounts",
                                  "10000", "UTF8", NULL};
    struct account_database *database = xcalloc(1, sizeof(*database));

    (void)directory; /* a file's */
    /* 1: the URL may say otherwise than what stands before it. */
    database->handle = PQconnectdbParams(keywords, values, 1);
    PQsetNoticeReceiver(database->handle, notice_ignore, NULL);
    if (PQstatus(database->handle) != CONNECTION_OK) {
        failed(database, NULL, why);
    } else if (schema_make(database, why) == 0) {
        return database;
    }
    postgresql_close(database);
    return NULL;
}

const struct account_database_ops account_postgresql = {
    postgresql_open,
    postgresql_run,
    postgresql_close,
};
