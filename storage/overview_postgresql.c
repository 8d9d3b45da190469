#include "storage/overview_postgresql.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"

enum {
    /* How long overview_open() waits for the database, and for the lock. */
    OPEN_MS = 5000,
    LOCK_MS = 10000,
    /* A dead writer's session ends by itself at once, mostly. */
    TERMINATE_MS = 1000,
    PAUSE_MS = 50,
    /* Away: the pauses between two tries. */
    RETRY_FIRST_MS = 100,
    RETRY_LAST_MS = 5000,
};

/* Every question is by a primary key, whatever has been analysed so far. */
static const char settings[] =
    "SELECT set_config('synchronous_commit', 'off', false),"
    " set_config('statement_timeout', '60s', false),"
    " set_config('lock_timeout', '10s', false),"
    " set_config('idle_in_transaction_session_timeout', '0', false),"
    " set_config('enable_seqscan', 'off', false),"
    " set_config('plan_cache_mode', 'force_generic_plan', false),"
    " set_config('jit', 'off', false)";

/* "RENS" */
#define LOCK_CLASS "1380273747"

static const char lock[] =
    "SELECT pg_try_advisory_lock(" LOCK_CLASS ", hashtext(current_schema()))";
static const char lock_holder[] =
    "SELECT l.pid, coalesce(a.application_name, ''),"
    " coalesce(host(a.client_addr), 'the same machine')"
    " FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = " LOCK_CLASS
    " AND l.database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND l.objid::int8 ="
    " (hashtext(current_schema())::int8 & 4294967295)";

/* Texts are octets: a description need not be UTF-8.  Blocks go uncompressed:
   they are read far more often than they are written. */
static const char schema[] =
    "CREATE TABLE meta (only_row bigint PRIMARY KEY CHECK (only_row = 1),"
    " version bigint NOT NULL, store bytea NOT NULL, epoch bigint NOT NULL,"
    " applied bigint NOT NULL, settled bigint NOT NULL,"
    " moved bigint NOT NULL, damaged bigint NOT NULL);"
    "CREATE TABLE groups (id bigint PRIMARY KEY, flag bigint NOT NULL,"
    " alias bigint NOT NULL, created bigint NOT NULL, low bigint NOT NULL,"
    " high bigint NOT NULL, count bigint NOT NULL, folded bigint NOT NULL,"
    " name bytea NOT NULL, creator bytea NOT NULL,"
    " description bytea NOT NULL);"
    "CREATE TABLE recent (sequence bigint PRIMARY KEY,"
    " arrival bigint NOT NULL, segment bigint NOT NULL,"
    " position bigint NOT NULL, octets bigint NOT NULL, hash bytea NOT NULL,"
    " numbers bytea NOT NULL, line bytea NOT NULL)"
    " WITH (autovacuum_vacuum_scale_factor = 0,"
    " autovacuum_vacuum_threshold = 20000);"
    "CREATE TABLE block (key bigint PRIMARY KEY, data bytea NOT NULL);"
    "ALTER TABLE block ALTER COLUMN data SET STORAGE EXTERNAL;"
    "CREATE TABLE article (sequence bigint PRIMARY KEY,"
    " segment bigint NOT NULL, position bigint NOT NULL,"
    " octets bigint NOT NULL, arrival bigint NOT NULL);"
    "CREATE INDEX article_arrival ON article (arrival, sequence);"
    "CREATE TABLE removed (id bigint PRIMARY KEY, sequence bigint NOT NULL,"
    " last bigint NOT NULL, numbers bytea NOT NULL);";

static const char emptying[] =
    "TRUNCATE groups, recent, block, article, removed;"
    "UPDATE meta SET applied = 0, settled = 0, moved = 0, damaged = 0;";

static void
pause_ms(int ms)
{
    (void)poll(NULL, 0, ms); /* a signal may shorten it */
}

/* --- what all of overview_postgresql*.c use --- */

static void
disconnect(struct postgresql_overview *overview)
{
    PQclear(overview->block);
    overview->block = NULL;
    PQfinish(overview->db);
    overview->db = NULL;
    overview->failed = false;
    overview->awaited = 0;
}

/*
 * A statement failed.  The transaction is lost whatever it was; after an error
 * of the moment it may be done again (overview_resume()), on a new connection.
 */
static int
failed(struct postgresql_overview *overview, const PGresult *result,
       const char *what, struct buffer *why)
{
    const char *state =
        result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

    /* The division by zero of WRITER_SET_META. */
    if (state != NULL && strcmp(state, "22012") == 0)
        why_set(why, "overview: another writer has taken the database over");
    else
        postgresql_why(why, what,
                       result != NULL ? PQresultErrorMessage(result)
                                      : PQerrorMessage(overview->db));
    if (PQstatus(overview->db) != CONNECTION_OK
        || postgresql_is_passing(state))
        disconnect(overview);
    else
        overview->failed = true;
    return -1;
}

struct postgresql_values *
postgresql_with(struct postgresql_overview *overview)
{
    postgresql_values_clear(&overview->values);
    return &overview->values;
}

int
postgresql_run(struct postgresql_overview *overview,
               enum writer_statement statement, struct buffer *why)
{
    if (overview->db == NULL)
        return why_set(why, "overview: the connection to the database is"
                            " lost");
    if (postgresql_send(overview->db, statement, &overview->values) != 1)
        return failed(overview, NULL, postgresql_writer_sql[statement], why);
    overview->awaited++;
    return 0;
}

/* The result of the oldest statement, read to its end. */
static PGresult *
next_result(struct postgresql_overview *overview, struct buffer *why)
{
    PGresult *result = PQgetResult(overview->db);
    ExecStatusType status = PQresultStatus(result);
    PGresult *end;

    if (result == NULL
        || (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)) {
        failed(overview, result, "a statement", why);
        PQclear(result);
        return NULL;
    }
    end = PQgetResult(overview->db);
    assert(end == NULL && "one result for each statement");
    PQclear(end);
    overview->awaited--;
    return result;
}

/* Read all results but the last, which is returned. */
static PGresult *
last_result(struct postgresql_overview *overview, struct buffer *why)
{
    PGresult *result = NULL;

    do {
        PQclear(result);
        result = next_result(overview, why);
    } while (result != NULL && overview->awaited > 0);
    return result;
}

/* The mark that ends a transaction outside of BEGIN and COMMIT. */
static int
end_mark(struct postgresql_overview *overview, struct buffer *why)
{
    PGresult *result = PQgetResult(overview->db);
    bool done = PQresultStatus(result) == PGRES_PIPELINE_SYNC;

    PQclear(result);
    return done ? 0 : failed(overview, NULL, "ending a transaction", why);
}

/*
 * Between two transactions a statement is one of its own, which must end: it
 * would keep the database from vacuuming.
 */
PGresult *
postgresql_ask(struct postgresql_overview *overview,
               enum writer_statement statement, struct buffer *why)
{
    bool within = overview->writer.in_transaction;
    PGresult *result;
    int sent;

    if (postgresql_run(overview, statement, why) < 0)
        return NULL;
    sent = within ? PQsendFlushRequest(overview->db)
                  : PQpipelineSync(overview->db);
    if (sent != 1) {
        failed(overview, NULL, "asking for results", why);
        return NULL;
    }
    result = last_result(overview, why);
    if (result != NULL && !within && end_mark(overview, why) < 0) {
        PQclear(result);
        return NULL;
    }
    return result;
}

static int
synchronise(struct postgresql_overview *overview, struct buffer *why)
{
    PGresult *result;

    if (PQpipelineSync(overview->db) != 1)
        return failed(overview, NULL, "sending", why);
    while (overview->awaited > 0) {
        result = next_result(overview, why);
        if (result == NULL)
            return -1;
        PQclear(result);
    }
    return end_mark(overview, why);
}

int
postgresql_damaged(struct postgresql_overview *overview, struct buffer *why,
                   const char *what)
{
    PGconn *db;

    /* On a connection of its own: our transaction is given up. */
    disconnect(overview);
    db = postgresql_connect(overview->url, overview->name);
    PQclear(PQexec(db, "UPDATE meta SET damaged = 1"));
    if (PQstatus(db) != CONNECTION_OK)
        warn("overview: the damage cannot be noted: %s", PQerrorMessage(db));
    PQfinish(db);
    why_set(why, "overview: the database is damaged: %s", what);
    return -1;
}

/* --- connecting --- */

/* A statement of no parameters, outside of the pipeline.  NULL with why. */
static PGresult *
execute(struct postgresql_overview *overview, const char *sql,
        struct buffer *why)
{
    PGresult *result = PQexec(overview->db, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return result;
    failed(overview, result, sql, why);
    PQclear(result);
    return NULL;
}

static int
execute_only(struct postgresql_overview *overview, const char *sql,
             struct buffer *why)
{
    PGresult *result = execute(overview, sql, why);

    PQclear(result);
    return result != NULL ? 0 : -1;
}

/*
 * Who has the lock?  A session of our own name is that of a writer before us
 * that has died, since this store has one at a time: the database has not
 * noticed yet.  1 it was told to end, 0 none has it any more, -1 why.
 */
static int
end_holder(struct postgresql_overview *overview, bool patient,
           struct buffer *why)
{
    PGresult *holder = execute(overview, lock_holder, why);
    int result = 0;

    if (holder == NULL)
        return -1;
    if (PQntuples(holder) > 0
        && strcmp(PQgetvalue(holder, 0, 1), overview->name) != 0) {
        result = why_set(why,
                         "overview: the database has another writer: \"%s\""
                         " at %s",
                         PQgetvalue(holder, 0, 1), PQgetvalue(holder, 0, 2));
    } else if (PQntuples(holder) > 0 && !patient) {
        const char *pid = PQgetvalue(holder, 0, 0);
        PGresult *ended =
            PQexecParams(overview->db, "SELECT pg_terminate_backend($1::int)",
                         1, NULL, &pid, NULL, NULL, 0);

        result = PQresultStatus(ended) == PGRES_TUPLES_OK
                     ? 1
                     : failed(overview, ended, "ending a dead writer", why);
        PQclear(ended);
    }
    PQclear(holder);
    return result;
}

static int
take_lock(struct postgresql_overview *overview, struct buffer *why)
{
    int64_t began = clock_ms();

    for (;;) {
        PGresult *result = execute(overview, lock, why);
        bool have = result != NULL && PQgetvalue(result, 0, 0)[0] == 't';
        bool none = result != NULL && PQgetisnull(result, 0, 0);

        PQclear(result);
        if (result == NULL)
            return -1;
        if (none)
            return why_set(why, "overview: the database has no schema of its"
                                " search_path");
        if (have)
            return 0;
        if (clock_ms() - began > LOCK_MS)
            return why_set(why, "overview: the lock of the database is not"
                                " let go");
        if (end_holder(overview, clock_ms() - began < TERMINATE_MS, why) < 0)
            return -1;
        pause_ms(PAUSE_MS);
    }
}

static int
make_tables(struct postgresql_overview *overview, struct buffer *why)
{
    const char *store = (const char *)overview->store;
    int octets = POSTGRESQL_STORE_OCTETS, binary = 1;
    PGresult *result;
    bool done;

    if (execute_only(overview, "BEGIN", why) < 0
        || execute_only(overview, schema, why) < 0)
        return -1;
    result = PQexecParams(overview->db,
                          "INSERT INTO meta VALUES (1, 2, $1::bytea, 0, 0, 0,"
                          " 0, 0)",
                          1, NULL, &store, &octets, &binary, 0);
    done = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!done)
        failed(overview, result, "making the tables", why);
    PQclear(result);
    return done ? execute_only(overview, "COMMIT", why) : -1;
}
_Static_assert(POSTGRESQL_SCHEMA_VERSION == 2, "make_tables inserts it");

/* Are these tables ours?  0, or -1 with why.  *damaged_r: to be emptied. */
static int
check_meta(struct postgresql_overview *overview, bool *damaged_r,
           struct buffer *why)
{
    PGresult *meta =
        PQexecParams(overview->db, "SELECT version, store, damaged FROM meta",
                     0, NULL, NULL, NULL, NULL, 1);
    int status = -1;

    if (PQresultStatus(meta) != PGRES_TUPLES_OK || PQntuples(meta) != 1)
        failed(overview, meta, "reading meta", why);
    else if (postgresql_number(meta, 0, 0) != POSTGRESQL_SCHEMA_VERSION)
        why_set(why,
                "overview: the database has version %lld of the tables, this"
                " program has %d: drop them, and they are made anew",
                (long long)postgresql_number(meta, 0, 0),
                (int)POSTGRESQL_SCHEMA_VERSION);
    else if (PQgetlength(meta, 0, 1) != POSTGRESQL_STORE_OCTETS
             || memcmp(PQgetvalue(meta, 0, 1), overview->store,
                       POSTGRESQL_STORE_OCTETS)
                    != 0)
        why_set(why, "overview: the tables in the database are another"
                     " store's: give this one a database of its own, or drop"
                     " them, and they are made anew");
    else
        status = 0;
    *damaged_r = status == 0 && postgresql_number(meta, 0, 2) != 0;
    PQclear(meta);
    return status;
}

static int
check_tables(struct postgresql_overview *overview, struct buffer *why)
{
    PGresult *found =
        execute(overview, "SELECT to_regclass('meta') IS NULL", why);
    bool none = found != NULL && PQgetvalue(found, 0, 0)[0] == 't';
    bool damaged;

    PQclear(found);
    if (found == NULL || (none && make_tables(overview, why) < 0)
        || check_meta(overview, &damaged, why) < 0)
        return -1;
    if (!damaged)
        return 0;
    warn("overview: the database was found damaged, and is made anew from"
         " the spool");
    /* Several statements in one string are one transaction. */
    return execute_only(overview, emptying, why);
}

/* From here on whoever was the writer before us can commit nothing. */
static int
take_epoch(struct postgresql_overview *overview, struct buffer *why)
{
    PGresult *result = PQexecParams(
        overview->db, "UPDATE meta SET epoch = epoch + 1 RETURNING epoch", 0,
        NULL, NULL, NULL, NULL, 1);
    bool done =
        PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;

    if (done)
        overview->epoch = postgresql_number(result, 0, 0);
    else
        failed(overview, result, "becoming the writer", why);
    PQclear(result);
    return done ? 0 : -1;
}

static int
prepare(struct postgresql_overview *overview, struct buffer *why)
{
    if (PQenterPipelineMode(overview->db) != 1)
        return failed(overview, NULL, "beginning a pipeline", why);
    for (unsigned i = 0; i < WRITER_STATEMENTS; i++) {
        if (postgresql_send_prepare(overview->db, i, postgresql_writer_sql[i])
            != 1)
            return failed(overview, NULL, postgresql_writer_sql[i], why);
        overview->awaited++;
    }
    return synchronise(overview, why);
}

/* Connect, become the writer, and read what the tables say. */
static int
connect_writer(struct postgresql_overview *overview, struct buffer *why)
{
    assert(overview->db == NULL);
    overview_writer_clear(&overview->writer);
    overview->db = postgresql_connect(overview->url, overview->name);
    if (PQstatus(overview->db) != CONNECTION_OK)
        return failed(overview, NULL, "connecting", why);
    return execute_only(overview, settings, why) < 0
                   || take_lock(overview, why) < 0
                   || check_tables(overview, why) < 0
                   || take_epoch(overview, why) < 0
                   || prepare(overview, why) < 0
                   || postgresql_load(overview, why) < 0
               ? -1
               : 0;
}

/* --- whose tables they are --- */

static int
write_store(const char *path, const char *file, const unsigned char *store,
            struct buffer *why)
{
    char *new = xasprintf("%s/overview.id.new", path);
    int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int status = -1;

    if (fd >= 0
        && write(fd, store, POSTGRESQL_STORE_OCTETS) == POSTGRESQL_STORE_OCTETS
        && fsync(fd) == 0 && rename(new, file) == 0)
        status = 0;
    else
        why_set_errno(why, "cannot write %s", file);
    if (fd >= 0)
        close(fd);
    free(new);
    return status;
}

/* The secret in PATH/overview.id; made at the first start. */
static int
read_store(struct postgresql_overview *overview, const char *path,
           struct buffer *why)
{
    char *file = xasprintf("%s/overview.id", path);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    int status = 0;

    if (fd >= 0) {
        if (read(fd, overview->store, POSTGRESQL_STORE_OCTETS)
            != POSTGRESQL_STORE_OCTETS)
            status = why_set(why, "%s is too short", file);
        close(fd);
    } else if (errno == ENOENT) {
        randombytes_buf(overview->store, POSTGRESQL_STORE_OCTETS);
        status = write_store(path, file, overview->store, why);
    } else {
        status = why_set_errno(why, "cannot read %s", file);
    }
    free(file);
    return status;
}

/* A name that says who we are, and not the secret. */
static char *
session_name(const unsigned char *store)
{
    unsigned char hash[8];
    char hex[2 * sizeof(hash) + 1];

    _Static_assert((int)POSTGRESQL_STORE_OCTETS
                       == (int)crypto_shorthash_KEYBYTES,
                   "the secret is a key");
    crypto_shorthash(hash, (const unsigned char *)"name", 4, store);
    sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
    return xasprintf("renews writer %s", hex);
}

/* --- opening --- */

static void
postgresql_close(struct overview *base)
{
    struct postgresql_overview *overview = postgresql_overview(base);

    /* Whatever transaction is open is rolled back by this. */
    disconnect(overview);
    overview_writer_clear(&overview->writer);
    postgresql_values_free(&overview->values);
    buffer_free(&overview->data);
    buffer_free(&overview->list);
    free(overview->name);
    free(overview->url);
    free(overview);
}

static struct overview *
postgresql_open(const char *url, const char *path, size_t cache_octets,
                struct buffer *why)
{
    struct postgresql_overview *overview = xcalloc(1, sizeof(*overview));
    int64_t began = clock_ms();
    int status;

    (void)cache_octets; /* the database's own settings say how much */
    overview->writer.base.ops = &overview_postgresql;
    overview->writer.rows = &postgresql_rows;
    overview->url = xstrdup(url);
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        status = why_set_errno(why, "cannot make %s", path);
    else
        status = read_store(overview, path, why);
    if (status == 0) {
        overview->name = session_name(overview->store);
        /* It may be starting beside us. */
        while ((status = connect_writer(overview, why)) < 0
               && overview->db == NULL && clock_ms() - began < OPEN_MS)
            pause_ms(PAUSE_MS);
    }
    if (status < 0) {
        postgresql_close(&overview->writer.base);
        return NULL;
    }
    overview->committed = overview->writer.applied;
    return &overview->writer.base;
}

/* Are there tables, of ours, not known to be damaged? */
static int
examine_tables(struct postgresql_overview *overview, struct buffer *why)
{
    PGresult *found =
        execute(overview, "SELECT to_regclass('meta') IS NULL", why);
    bool none = found != NULL && PQgetvalue(found, 0, 0)[0] == 't';
    bool damaged;

    PQclear(found);
    if (found == NULL)
        return -1;
    if (none)
        return why_set(why, "overview: the database has no tables of ours");
    if (check_meta(overview, &damaged, why) < 0)
        return -1;
    if (damaged)
        return why_set(why, "overview: the database was found damaged");
    return 0;
}

static int
postgresql_examine(const char *url, const char *path, struct buffer *why)
{
    struct postgresql_overview *overview = xcalloc(1, sizeof(*overview));
    char *file = xasprintf("%s/overview.id", path);
    int status = 0;

    overview->url = xstrdup(url);
    /* To read the secret is to make it where there is none. */
    if (access(file, F_OK) < 0)
        status = why_set_errno(why, "%s", file);
    free(file);
    if (status == 0)
        status = read_store(overview, path, why);
    if (status == 0) {
        overview->db = postgresql_connect(url, "renews newsstore");
        status = PQstatus(overview->db) == CONNECTION_OK
                     ? examine_tables(overview, why)
                     : failed(overview, NULL, "connecting", why);
    }
    postgresql_close(&overview->writer.base);
    return status;
}

/* Whoever opens the tables next finds them marked, and empties them. */
static char *
postgresql_rebuild_begin(const char *url, const char *path, bool resume,
                         struct buffer *why)
{
    PGconn *db;
    PGresult *result;
    bool done = true;

    if (resume)
        return xstrdup(path);
    db = postgresql_connect(url, "renews newsstore");
    result = PQexec(db, "UPDATE meta SET damaged = 1");
    /* No such table: then there is nothing to be emptied. */
    if (PQresultStatus(result) != PGRES_COMMAND_OK
        && (PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL
            || strcmp(PQresultErrorField(result, PG_DIAG_SQLSTATE), "42P01")
                   != 0)) {
        postgresql_why(why, "marking the tables", PQerrorMessage(db));
        done = false;
    }
    PQclear(result);
    PQfinish(db);
    return done ? xstrdup(path) : NULL;
}

static int
postgresql_rebuild_end(const char *url, const char *path, struct buffer *why)
{
    (void)url;
    (void)path;
    (void)why;
    return 0; /* the tables have been the only ones all the time */
}

/* Somebody else could not reach the database: can we? */
static bool
is_there(struct postgresql_overview *overview, struct buffer *why)
{
    PGresult *result;

    postgresql_with(overview);
    result = postgresql_ask(overview, WRITER_LOAD, why);
    PQclear(result);
    return result != NULL;
}

/*
 * Try until the database is back.  A crash of it may have taken commits whose
 * articles were answered already: then the writer has to replay the log, as it
 * does at its start.
 */
static int
postgresql_resume(struct overview *base, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_overview(base);
    int64_t began = clock_ms();
    int wait = RETRY_FIRST_MS;

    if (overview->db != NULL
        && (overview->failed || overview->writer.in_transaction
            || is_there(overview, why) || overview->db != NULL))
        return -1;
    warn("%s", buffer_text(why));
    for (unsigned times = 1; connect_writer(overview, why) < 0; times++) {
        if (overview->db != NULL)
            return -1;
        if ((times & (times - 1)) == 0)
            warn("overview: the database is away: %s times=%u",
                 buffer_text(why), times);
        pause_ms(wait);
        wait = wait * 2 < RETRY_LAST_MS ? wait * 2 : RETRY_LAST_MS;
    }
    notice("overview: the database is back: ms=%lld",
           (long long)(clock_ms() - began));
    if (overview->writer.applied < overview->committed)
        return why_set(why,
                       "overview: the database has lost what came behind"
                       " sequence %llu, of %llu",
                       (unsigned long long)overview->writer.applied,
                       (unsigned long long)overview->committed);
    return 0;
}

/* --- transactions --- */

static int
postgresql_begin(struct overview *base, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_overview(base);

    assert(!overview->writer.in_transaction);
    postgresql_with(overview);
    if (postgresql_run(overview, WRITER_BEGIN, why) < 0)
        return -1;
    overview->writer.in_transaction = true;
    return 0;
}

static int
postgresql_commit(struct overview *base, uint64_t applied, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_overview(base);
    struct overview_writer *writer = &overview->writer;
    struct postgresql_values *values;

    assert(writer->in_transaction);
    if (writer->removed_noted) {
        values = postgresql_with(overview);
        postgresql_add_number(values, (int64_t)overview->last_removed
                                          - POSTGRESQL_REMOVED_KEPT);
        if (postgresql_run(overview, WRITER_TRIM_REMOVED, why) < 0)
            return -1;
    }
    values = postgresql_with(overview);
    postgresql_add_number(values, (int64_t)applied);
    postgresql_add_number(values, (int64_t)writer->settled);
    postgresql_add_number(values, (int64_t)overview->moved);
    postgresql_add_number(values, overview->epoch);
    if (postgresql_run(overview, WRITER_SET_META, why) < 0)
        return -1;
    postgresql_with(overview);
    /* A failure before it in the pipeline makes the server skip it. */
    if (postgresql_run(overview, WRITER_COMMIT, why) < 0
        || synchronise(overview, why) < 0)
        return -1;
    writer->removed_noted = false;
    writer->in_transaction = false;
    writer->applied = applied;
    if (applied > overview->committed)
        overview->committed = applied;
    return 0;
}

/* --- the write-ahead log is the database's own business --- */

static uint64_t
postgresql_log_octets(const struct overview *overview)
{
    (void)overview;
    return 0;
}

static int
postgresql_checkpoint(struct overview *overview, uint64_t *left_r,
                      struct buffer *why)
{
    (void)overview;
    (void)why;
    *left_r = 0;
    return 0;
}

/* A transaction that waits for the disk, and with it for all before it. */
static int
postgresql_flush(struct overview *base, struct buffer *why)
{
    struct postgresql_overview *overview = postgresql_overview(base);

    if (postgresql_begin(base, why) < 0)
        return -1;
    postgresql_with(overview);
    if (postgresql_run(overview, WRITER_DURABLY, why) < 0)
        return -1;
    return postgresql_commit(base, overview->writer.applied, why);
}

/* The database has an autovacuum of its own, for statistics too. */
static int
postgresql_upkeep(struct overview *overview, struct buffer *why)
{
    (void)overview;
    (void)why;
    return 0;
}

static int
postgresql_restart_log(struct overview *overview, struct buffer *why)
{
    (void)overview;
    (void)why;
    return 1;
}

const struct overview_ops overview_postgresql = {
    .name = "postgresql",
    .open = postgresql_open,
    .examine = postgresql_examine,
    .rebuild_begin = postgresql_rebuild_begin,
    .rebuild_end = postgresql_rebuild_end,
    .close = postgresql_close,
    .applied = overview_writer_applied,
    .groups = postgresql_groups,
    .begin = postgresql_begin,
    .put = postgresql_put,
    .put_group = postgresql_put_group,
    .remove = overview_writer_remove,
    .remove_ranges = overview_writer_remove_ranges,
    .drop = overview_writer_drop,
    .move = overview_writer_move,
    .commit = postgresql_commit,
    .settle = overview_writer_settle,
    .settled = overview_writer_settled,
    .resume = postgresql_resume,
    .fold = overview_writer_fold,
    .recent_begin = overview_writer_recent_begin,
    .recent = overview_writer_recent,
    .log_octets = postgresql_log_octets,
    .checkpoint = postgresql_checkpoint,
    .flush = postgresql_flush,
    .upkeep = postgresql_upkeep,
    .restart_log = postgresql_restart_log,
    .locate = postgresql_locate,
    .reader_open = postgresql_reader_open,
    .reader_close = postgresql_reader_close,
    .ask = postgresql_reader_ask,
    .forget = postgresql_reader_forget,
    .turn_ended = postgresql_reader_turn_ended,
};
