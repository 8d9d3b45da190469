#include "storage/overview_sqlite_reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"

enum {
    /* The writer's recovery is all that ever makes a reader wait. */
    READER_BUSY_MS = 100,
};

static const char reader_pragmas[] = "PRAGMA mmap_size = 0;"
                                     "PRAGMA query_only = ON;"
                                     "PRAGMA trusted_schema = OFF;"
                                     "PRAGMA cache_size = -8192;";

static const char *const reader_sql[READ_COUNT] = {
    [READ_BEGIN] = "BEGIN",
    [READ_END] = "COMMIT",
    [READ_VERSION] = "SELECT value FROM meta WHERE key = 'version'",
    [READ_FIRST_RECENT] = "SELECT min(sequence) FROM recent",
    [READ_RECENT] =
        "SELECT sequence, arrival, segment, position, octets, numbers, line"
        " FROM recent WHERE sequence > ?1 ORDER BY sequence",
    [READ_LAST_REMOVED] = "SELECT coalesce(max(id), 0) FROM removed",
    [READ_REMOVED] = "SELECT id, sequence, last, numbers FROM removed"
                     " WHERE id > ?1 ORDER BY id",
    [READ_BLOCKS_UP] =
        "SELECT key, data FROM block WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
    [READ_BLOCKS_DOWN] = "SELECT key, data FROM block"
                         " WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC",
    [READ_ARTICLE] = "SELECT segment, position, octets, arrival FROM article"
                     " WHERE sequence = ?1",
    [READ_ARTICLES] =
        "SELECT sequence, arrival, segment, position, octets FROM article"
        " WHERE sequence BETWEEN ?1 AND ?2 ORDER BY sequence LIMIT ?3",
    [READ_LAST_ARTICLE] = "SELECT coalesce(max(sequence), 0) FROM article",
};

static struct sqlite_reader *
sqlite_reader(struct overview_reader *reader)
{
    return (struct sqlite_reader *)reader;
}

/* --- the connection --- */

int
sqlite_reader_step(struct sqlite_reader *reader,
                   enum reader_statement statement)
{
    sqlite3_stmt *prepared = reader->statements[statement];
    int result = sqlite_bind_result();

    if (result == SQLITE_OK)
        result = sqlite3_step(prepared);
    if (result == SQLITE_ROW)
        return 1;
    if (result != SQLITE_DONE)
        sqlite_why(reader->db, &reader->why, reader_sql[statement]);
    (void)sqlite3_reset(prepared); /* says the same once more */
    return result == SQLITE_DONE ? 0 : -1;
}

int
sqlite_reader_number(struct sqlite_reader *reader,
                     enum reader_statement statement, uint64_t missing,
                     uint64_t *number_r)
{
    sqlite3_stmt *prepared = reader->statements[statement];
    int found = sqlite_reader_step(reader, statement);

    if (found < 0)
        return -1;
    *number_r = missing;
    if (found > 0 && sqlite3_column_type(prepared, 0) != SQLITE_NULL)
        *number_r = sqlite_number(prepared, 0);
    (void)sqlite3_reset(prepared);
    return 0;
}

static void
reader_forget_recent(struct sqlite_reader *reader)
{
    overview_recent_free(&reader->answering.recent);
    reader->answering.recent = overview_recent_new();
    reader->loaded = false;
    reader->last = 0;
}

static void
reader_disconnect(struct sqlite_reader *reader)
{
    sqlite_finalize(reader->statements, READ_COUNT);
    if (sqlite3_close(reader->db) != SQLITE_OK)
        warn("overview: %s cannot be closed", buffer_text(&reader->file));
    reader->db = NULL;
    reader->in_transaction = false;
    reader_forget_recent(reader);
}

static int
reader_connect(struct sqlite_reader *reader)
{
    const char *file = buffer_text(&reader->file);
    uint64_t version;
    struct stat status;

    if (stat(file, &status) < 0)
        return why_set_errno(&reader->why, "%s", file);
    reader->device = status.st_dev;
    reader->inode = status.st_ino;
    if (sqlite3_open_v2(file, &reader->db,
                        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL)
        != SQLITE_OK)
        return sqlite_why(reader->db, &reader->why, file);
    sqlite3_extended_result_codes(reader->db, 1);
    sqlite3_busy_timeout(reader->db, READER_BUSY_MS);
    if (sqlite3_exec(reader->db, reader_pragmas, NULL, NULL, NULL)
        != SQLITE_OK)
        return sqlite_why(reader->db, &reader->why, file);
    if (sqlite_prepare(reader->db, reader_sql, reader->statements, READ_COUNT,
                       &reader->why)
            < 0
        || sqlite_reader_number(reader, READ_VERSION, 0, &version) < 0)
        return -1;
    if (version != SQLITE_SCHEMA_VERSION)
        return why_set(&reader->why,
                       "%s has version %llu of the tables, this program has"
                       " %d",
                       file, (unsigned long long)version,
                       (int)SQLITE_SCHEMA_VERSION);
    return 0;
}

/* Has the writer moved the file aside and made another? */
static bool
reader_file_changed(const struct sqlite_reader *reader)
{
    struct stat status;

    return stat(buffer_text(&reader->file), &status) < 0
           || status.st_dev != reader->device
           || status.st_ino != reader->inode;
}

/* --- recent --- */

static int
read_recent(struct sqlite_reader *reader)
{
    sqlite3_stmt *rows = reader->statements[READ_RECENT];
    int result;

    sqlite_bind(rows, 1, reader->last);
    while ((result = sqlite_reader_step(reader, READ_RECENT)) > 0) {
        struct recent_row row;

        if (sqlite_recent_row(rows, &reader->list, &row) < 0) {
            (void)sqlite3_reset(rows);
            return why_set(&reader->why,
                           "overview: the groups of %llu in recent are"
                           " damaged",
                           (unsigned long long)row.sequence);
        }
        overview_recent_add(reader->answering.recent, &row);
        reader->last = row.sequence;
    }
    return result;
}

/* Take out what left recent other than by folding.  When so much did that the
   list of it has been cut, all of recent is read again. */
static int
read_removed(struct sqlite_reader *reader)
{
    sqlite3_stmt *rows = reader->statements[READ_REMOVED];
    int result;

    sqlite_bind(rows, 1, reader->last_removed);
    while ((result = sqlite_reader_step(reader, READ_REMOVED)) > 0) {
        uint64_t id = sqlite_number(rows, 0);
        const struct record_group *groups;
        int count = sqlite_groups(rows, 3, &reader->list, &groups);

        if (id > reader->last_removed + 1 || count < 0) {
            (void)sqlite3_reset(rows);
            reader_forget_recent(reader);
            return sqlite_reader_number(reader, READ_LAST_REMOVED, 0,
                                        &reader->last_removed);
        }
        overview_recent_remove(reader->answering.recent,
                               sqlite_number(rows, 1), groups, (size_t)count,
                               sqlite3_column_int(rows, 2) != 0);
        reader->last_removed = id;
    }
    return result;
}

/*
 * Bring memory to the moment of the transaction that has just begun.  What is
 * no longer in recent has been folded, and is in the blocks.
 */
static int
reader_refresh(struct sqlite_reader *reader, uint64_t published,
               uint64_t removals)
{
    uint64_t first;

    if (sqlite_reader_number(reader, READ_FIRST_RECENT, UINT64_MAX, &first)
        < 0)
        return -1;
    if (!reader->loaded) {
        if (sqlite_reader_number(reader, READ_LAST_REMOVED, 0,
                                 &reader->last_removed)
            < 0)
            return -1;
    } else if (removals != reader->removals) {
        if (read_removed(reader) < 0)
            return -1;
    }
    overview_recent_drop_below(reader->answering.recent, first);
    if (!reader->loaded || published != reader->published)
        if (read_recent(reader) < 0)
            return -1;
    reader->loaded = true;
    reader->published = published;
    reader->removals = removals;
    return 0;
}

static int
reader_end(struct sqlite_reader *reader)
{
    if (!reader->in_transaction)
        return 0;
    reader->in_transaction = false;
    return sqlite_reader_step(reader, READ_END);
}

/* A read transaction that has all that anyone can have been told of. */
static int
reader_begin(struct sqlite_reader *reader)
{
    /* Before the transaction: it may be newer than the counters, never
       older.  published first: a removal between the two moves it again. */
    uint64_t published = active_published(reader->active);
    uint64_t removals = active_removals(reader->active);

    if (reader->in_transaction && published == reader->published)
        return 0;
    if (reader_end(reader) < 0)
        return -1;
    if (reader->db != NULL && reader_file_changed(reader))
        reader_disconnect(reader);
    if (reader->db == NULL && reader_connect(reader) < 0)
        return -1;
    if (sqlite_reader_step(reader, READ_BEGIN) < 0)
        return -1;
    reader->in_transaction = true;
    return reader_refresh(reader, published, removals);
}

/* --- questions --- */

/* A fault that lasts is logged at its first, second, fourth, eighth time. */
static void
log_failure(struct sqlite_reader *reader)
{
    uint64_t times = ++reader->failures;

    if ((times & (times - 1)) == 0)
        warn("overview: cannot be read: %s times=%llu",
             buffer_text(&reader->why), (unsigned long long)times);
}

struct overview_request *
sqlite_ask(struct overview_reader *base, const struct overview_query *query,
           overview_done_func *done, void *context)
{
    struct sqlite_reader *reader = sqlite_reader(base);
    struct overview_answer answer = {0};

    if (!sqlite_reader_has_answer(reader, query, &answer)
        && (reader_begin(reader) < 0
            || sqlite_reader_answer(reader, query, &answer) < 0)) {
        log_failure(reader);
        /* Whatever it was, the next question begins with a new connection. */
        reader_disconnect(reader);
        answer = (struct overview_answer){.status = -1};
    }
    done(context, &answer);
    return NULL;
}

void
sqlite_forget(struct overview_request *request)
{
    (void)request;
    assert(!"a request of SQLite's, which answers at once and gives none");
}

void
sqlite_turn_ended(struct overview_reader *base)
{
    struct sqlite_reader *reader = sqlite_reader(base);

    if (reader_end(reader) < 0) {
        log_failure(reader);
        reader_disconnect(reader);
    }
}

void
sqlite_reader_close(struct overview_reader *base)
{
    struct sqlite_reader *reader = sqlite_reader(base);

    reader_disconnect(reader);
    overview_answering_free(&reader->answering);
    overview_cache_free(&reader->cache);
    buffer_free(&reader->file);
    buffer_free(&reader->list);
    buffer_free(&reader->why);
    free(reader);
}

struct overview_reader *
sqlite_reader_open(const char *url, const char *path,
                   const struct active *active, struct event_base *base,
                   struct buffer *why)
{
    struct sqlite_reader *reader = xcalloc(1, sizeof(*reader));
    struct stat status;

    (void)url;  /* "sqlite" says it all */
    (void)base; /* answers come at once */
    reader->base.ops = &overview_sqlite;
    reader->active = active;
    reader->cache = overview_cache_new(active);
    sqlite_file(&reader->file, path);
    reader_forget_recent(reader);
    /* The file may not be there before the first writer was: only the
       directory must be.  The first question opens it. */
    if (stat(path, &status) < 0) {
        why_set_errno(why, "overview: cannot read directory %s", path);
        sqlite_reader_close(&reader->base);
        return NULL;
    }
    return &reader->base;
}
