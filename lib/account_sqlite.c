/*
 * account_sqlite -- accounts in PATHDB/accounts.sqlite.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/account.h"
#include "lib/account_database.h"
#include "lib/buffer.h"
#include "lib/memory.h"

enum {
    BUSY_MS = 2000, /* a ctlinnd, or a backup, has it for a moment */
    COLUMNS_MAX = 8,
};

struct account_database {
    sqlite3 *handle;
};

/* Each brings a database to the version behind its own; the first begins with
   none. */
static const char *const migrations[ACCOUNT_SCHEMA_VERSION] = {
    "CREATE TABLE account (name TEXT PRIMARY KEY,"
    " role TEXT NOT NULL, hash TEXT NOT NULL,"
    " created INTEGER NOT NULL, changed INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;",
    "ALTER TABLE account ADD COLUMN scram TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE account ADD COLUMN moderates TEXT NOT NULL DEFAULT '*';"
    "ALTER TABLE account ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE account_setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
    " STRICT, WITHOUT ROWID;",
};

static int
failed(struct account_database *database, struct buffer *why)
{
    return why_set(why, "accounts: %s", sqlite3_errmsg(database->handle));
}

static int
execute(struct account_database *database, const char *sql, struct buffer *why)
{
    if (sqlite3_exec(database->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return failed(database, why);
    return 0;
}

static void
parameters_bind(sqlite3_stmt *statement,
                const struct account_parameters *parameters)
{
    for (int i = 0; i < parameters->count; i++) {
        char name[16];

        snprintf(name, sizeof(name), "$%d", i + 1);
        /* Fails only where the statement has no such parameter, and where
           memory is short, which its step says too. */
        (void)sqlite3_bind_text(statement,
                                sqlite3_bind_parameter_index(statement, name),
                                parameters->text[i], -1, SQLITE_STATIC);
    }
}

static int
row_pass(sqlite3_stmt *statement, account_row_func *row, void *context,
         struct buffer *why)
{
    const char *column[COLUMNS_MAX] = {NULL};
    int columns = sqlite3_column_count(statement);

    for (int i = 0; i < columns && i < COLUMNS_MAX; i++)
        column[i] = (const char *)sqlite3_column_text(statement, i);
    return row(context, column, why);
}

static int64_t
sqlite_run(struct account_database *database, const char *sql,
           const struct account_parameters *parameters, account_row_func *row,
           void *context, struct buffer *why)
{
    sqlite3_stmt *statement;
    int64_t rows = 0;
    int status;

    if (sqlite3_prepare_v2(database->handle, sql, -1, &statement, NULL)
        != SQLITE_OK)
        return failed(database, why);
    parameters_bind(statement, parameters);
    while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
        rows++;
        if (row != NULL && row_pass(statement, row, context, why) < 0)
            break;
    }
    if (status == SQLITE_DONE && sqlite3_column_count(statement) == 0)
        rows = sqlite3_changes(database->handle);
    if (status == SQLITE_ROW)
        rows = -1; /* the caller's function has said why */
    else if (status != SQLITE_DONE)
        rows = failed(database, why);
    sqlite3_finalize(statement);
    return rows;
}

static int
version_take(void *context, const char *const *column, struct buffer *why)
{
    if (column[0] == NULL)
        return why_set(why, "accounts: out of memory");
    *(int64_t *)context = strtoll(column[0], NULL, 10);
    return 0;
}

static int
migrate(struct account_database *database, int64_t version, struct buffer *why)
{
    char *sql = xasprintf("%sPRAGMA user_version = %" PRId64,
                          migrations[version], version + 1);
    int result = execute(database, sql, why);

    free(sql);
    return result;
}

/*
 * The journal stays where it is between transactions (PERSIST): the auth
 * process may write to these two files and create none.
 */
static int
schema_make(struct account_database *database, struct buffer *why)
{
    static const struct account_parameters none = {0};
    int64_t version = 0;

    if (execute(database,
                "PRAGMA journal_mode = PERSIST; PRAGMA synchronous = FULL;"
                "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;"
                "BEGIN IMMEDIATE",
                why)
            < 0
        || sqlite_run(database, "PRAGMA user_version", &none, version_take,
                      &version, why)
               < 0)
        return -1;
    if (version < 0 || version > ACCOUNT_SCHEMA_VERSION)
        return why_set(why, "accounts: version %" PRId64 ", not %d", version,
                       ACCOUNT_SCHEMA_VERSION);
    for (; version < ACCOUNT_SCHEMA_VERSION; version++)
        if (migrate(database, version, why) < 0)
            return -1;
    return execute(database, "COMMIT", why);
}

static int
journal_make(const char *path, struct buffer *why)
{
    char *journal = xasprintf("%s-journal", path);
    int fd = open(journal, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int result = 0;

    if (fd < 0)
        result = why_set_errno(why, "%s", journal);
    else
        close(fd);
    free(journal);
    return result;
}

static int
file_open(struct account_database *database, const char *path,
          struct buffer *why)
{
    if (sqlite3_open_v2(path, &database->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                            | SQLITE_OPEN_NOFOLLOW,
                        NULL)
        != SQLITE_OK)
        return why_set(why, "%s: %s", path, sqlite3_errmsg(database->handle));
    if (sqlite3_busy_timeout(database->handle, BUSY_MS) != SQLITE_OK)
        return failed(database, why);
    if (schema_make(database, why) < 0)
        return -1;
    return journal_make(path, why);
}

static void
sqlite_close(struct account_database *database)
{
    sqlite3_close(database->handle);
    free(database);
}

static struct account_database *
sqlite_open(const char *where, const char *directory, struct buffer *why)
{
    struct account_database *database = xcalloc(1, sizeof(*database));
    char *path = xasprintf("%s/accounts.sqlite", directory);
    /* Hashes of passwords: nobody else's business. */
    mode_t mask = umask(077);

    (void)where; /* the word "sqlite" */
    if (file_open(database, path, why) < 0) {
        sqlite_close(database);
        database = NULL;
    }
    umask(mask);
    free(path);
    return database;
}

int
accounts_copy(const char *directory, const char *to, struct buffer *why)
{
    char *path = xasprintf("%s/accounts.sqlite", directory);
    mode_t mask = umask(077);
    sqlite3 *database = NULL;
    sqlite3_stmt *copy = NULL;
    int result = access(path, F_OK) < 0 && errno == ENOENT ? 0 : -1;

    if (result == 0)
        goto done;
    if (sqlite3_open_v2(path, &database,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL)
            != SQLITE_OK
        || sqlite3_busy_timeout(database, BUSY_MS) != SQLITE_OK
        || sqlite3_prepare_v2(database, "VACUUM INTO ?1", -1, &copy, NULL)
               != SQLITE_OK
        || sqlite3_bind_text(copy, 1, to, -1, SQLITE_STATIC) != SQLITE_OK
        || sqlite3_step(copy) != SQLITE_DONE)
        why_set(why, "%s: %s", path, sqlite3_errmsg(database));
    else
        result = 1;
    sqlite3_finalize(copy);
    sqlite3_close(database);
done:
    umask(mask);
    free(path);
    return result;
}

const struct account_database_ops account_sqlite = {
    sqlite_open,
    sqlite_run,
    sqlite_close,
};
