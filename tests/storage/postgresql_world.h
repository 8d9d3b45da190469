/*
 * postgresql_world -- a private PostgreSQL for the unit tests of this folder,
 * and a schema in it for each world.
 */
#ifndef TESTS_STORAGE_POSTGRESQL_WORLD_H
#define TESTS_STORAGE_POSTGRESQL_WORLD_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* "": the tests run with SQLite. */
static char postgresql_directory[64];

/* tests/support/postgresql VERB; the working directory is the source's. */
static inline int
postgresql_do(const char *verb)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        /* What it prints is for shells. */
        if (freopen("/dev/null", "w", stdout) != NULL)
            execl("tests/support/postgresql", "postgresql", verb,
                  postgresql_directory, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int
postgresql_begin(void **state)
{
    (void)state;
    snprintf(postgresql_directory, sizeof(postgresql_directory),
             "/tmp/postgresql-t.XXXXXX");
    assert_non_null(mkdtemp(postgresql_directory));
    return postgresql_do("start");
}

static inline int
postgresql_end(void **state)
{
    (void)state;
    return postgresql_do("remove");
}

/* The URL for a schema of its own, or of the whole database for NULL. */
static inline void
postgresql_url(char *url, size_t size, const char *schema)
{
    snprintf(url, size, "postgresql://renews@/renews?host=%s%s%s",
             postgresql_directory,
             schema != NULL ? "&options=-csearch_path%3D" : "",
             schema != NULL ? schema : "");
}

/* Carry out SQL; the first number that it gives, or 0. */
static inline long
postgresql_execute(const char *url, const char *sql)
{
    PGconn *db = PQconnectdb(url);
    PGresult *result = PQexec(db, sql);
    long number = 0;

    if (PQresultStatus(result) != PGRES_COMMAND_OK
        && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(db));
    if (PQntuples(result) > 0)
        number = atol(PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(db);
    return number;
}

/* A new, empty schema. */
static inline void
postgresql_make_schema(char *url, size_t size)
{
    static unsigned last;
    char schema[32], sql[64], whole[160];

    snprintf(schema, sizeof(schema), "world%u_%u", (unsigned)getpid(), ++last);
    snprintf(sql, sizeof(sql), "CREATE SCHEMA %s", schema);
    postgresql_url(whole, sizeof(whole), NULL);
    postgresql_execute(whole, sql);
    postgresql_url(url, size, schema);
}

#endif
