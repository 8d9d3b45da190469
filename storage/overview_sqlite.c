#include "storage/overview_sqlite.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"

enum {
    PAGE_OCTETS = 16384, /* stands in the pragma below too */
    FRAME_OCTETS = PAGE_OCTETS + 24,
    /* Nobody else writes; an admin's sqlite3 may for a moment. */
    BUSY_MS = 5000,
    /* overview_restart_log() waits for readers, 2 ms, above this. */
    LONG_LOG_OCTETS = 24 * 1024 * 1024,
    RESTART_PAUSE_US = 100,
    RESTART_PAUSES = 20,
    /* After the disk was full: what must be free, and how long to wait. */
    ROOM_OCTETS = 4 * 1024 * 1024,
    ROOM_PAUSE_MS = 100,
    ROOM_PAUSE_MS_MAX = 1000,
    /* Of the pages that are free, one in so many stays. */
    VACUUM_KEEP_PART = 8,
};

/*
 * mmap: an I/O error would be a SIGBUS, a stray write a corruption.
 * synchronous=NORMAL: a power cut may take the last commits, which the spool
 * gives back.  The log is checkpointed by overview_checkpoint() alone, since
 * a checkpoint within a commit makes that commit wait for the disk.  What
 * expire has freed is given back by overview_upkeep(), a little at a time; a
 * file that was made without auto_vacuum keeps its size.
 */
static const char pragmas[] = "PRAGMA page_size = 16384;"
                              "PRAGMA auto_vacuum = INCREMENTAL;"
                              "PRAGMA synchronous = NORMAL;"
                              "PRAGMA wal_autocheckpoint = 0;"
                              "PRAGMA journal_size_limit = 67108864;"
                              "PRAGMA mmap_size = 0;"
                              "PRAGMA temp_store = MEMORY;"
                              "PRAGMA trusted_schema = OFF;";

static const char vacuum_step[] = "PRAGMA incremental_vacuum(64)";

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE groups (id INTEGER PRIMARY KEY, flag INTEGER,"
    " alias INTEGER, created INTEGER, low INTEGER, high INTEGER,"
    " count INTEGER, folded INTEGER, name TEXT, creator TEXT,"
    " description TEXT);"
    "CREATE TABLE recent (sequence INTEGER PRIMARY KEY, arrival INTEGER,"
    " segment INTEGER, position INTEGER, octets INTEGER, hash BLOB,"
    " numbers BLOB, line BLOB);"
    "CREATE TABLE block (key INTEGER PRIMARY KEY, data BLOB);"
    "CREATE TABLE article (sequence INTEGER PRIMARY KEY,"
    " segment INTEGER, position INTEGER, octets INTEGER,"
    " arrival INTEGER);"
    "CREATE TABLE removed (id INTEGER PRIMARY KEY, sequence INTEGER,"
    " last INTEGER, numbers BLOB);"
    "INSERT INTO meta VALUES ('version', 1), ('applied', 0);"
    "COMMIT;";
_Static_assert(SQLITE_SCHEMA_VERSION == 1, "the schema inserts its version");

static const char *const statements[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_SET_META] = "INSERT INTO meta VALUES (?1, ?2)"
                           " ON CONFLICT (key) DO UPDATE SET value = ?2",
    [STATEMENT_PUT_RECENT] =
        "INSERT INTO recent VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [STATEMENT_GET_RECENT] = "SELECT numbers, segment, position, octets,"
                             " arrival FROM recent WHERE sequence = ?1",
    [STATEMENT_SET_RECENT] =
        "UPDATE recent SET numbers = ?2 WHERE sequence = ?1",
    [STATEMENT_DROP_RECENT] = "DELETE FROM recent WHERE sequence = ?1",
    [STATEMENT_FOLD_RECENT] =
        "SELECT sequence, arrival, segment, position, octets, numbers, line"
        " FROM recent WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
    [STATEMENT_FOLDED_RECENT] = "DELETE FROM recent WHERE sequence <= ?1",
    [STATEMENT_NOTE_REMOVED] =
        "INSERT INTO removed (sequence, last, numbers) VALUES (?1, ?2, ?3)",
    [STATEMENT_TRIM_REMOVED] =
        "DELETE FROM removed WHERE id <= (SELECT max(id) FROM removed) - 1000",
    [STATEMENT_RECENT_PLACES] =
        "SELECT sequence, numbers FROM recent WHERE sequence BETWEEN ?1 AND ?2"
        " ORDER BY sequence",
    [STATEMENT_RECENT_BEGIN] =
        "SELECT sequence FROM recent ORDER BY sequence LIMIT 1",
    [STATEMENT_GET_BLOCK] = "SELECT data FROM block WHERE key = ?1",
    [STATEMENT_NEXT_BLOCK] = "SELECT data, key FROM block"
                             " WHERE key BETWEEN ?1 AND ?2 ORDER BY key"
                             " LIMIT 1",
    [STATEMENT_PUT_BLOCK] = "INSERT INTO block VALUES (?1, ?2)"
                            " ON CONFLICT (key) DO UPDATE SET data = ?2",
    [STATEMENT_DROP_BLOCK] = "DELETE FROM block WHERE key = ?1",
    [STATEMENT_GET_ARTICLE] = "SELECT segment, position, octets, arrival"
                              " FROM article WHERE sequence = ?1",
    [STATEMENT_PUT_ARTICLE] =
        "INSERT OR REPLACE INTO article VALUES (?1, ?2, ?3, ?4, ?5)",
    [STATEMENT_DROP_ARTICLES] =
        "DELETE FROM article WHERE sequence BETWEEN ?1 AND ?2",
    [STATEMENT_MOVE_ARTICLE] = "UPDATE article SET segment = ?2,"
                               " position = ?3, octets = ?4"
                               " WHERE sequence = ?1",
    /* What is counted here is not what the caller counts: see
       overview_put_group() in storage/overview.h. */
    [STATEMENT_PUT_GROUP] =
        "INSERT INTO groups VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8, ?9)"
        " ON CONFLICT (id) DO UPDATE SET flag = ?2, alias = ?3, created = ?4,"
        " low = max(low, ?5), high = max(high, ?6), name = ?7, creator = ?8,"
        " description = ?9",
    /* A group without a row yet (its record was damaged) gets one without a
       name, which keeps the count until the group is put. */
    [STATEMENT_FOLD_GROUP] =
        "INSERT INTO groups VALUES (?1, 0, 0, 0, 1, ?2, ?3, ?4, '', '', '')"
        " ON CONFLICT (id) DO UPDATE SET high = max(high, ?2),"
        " count = count + ?3, folded = max(folded, ?4)",
    [STATEMENT_LESS_GROUP] =
        "UPDATE groups SET count = max(count - ?2, 0) WHERE id = ?1",
    [STATEMENT_RAISE_GROUP] =
        "INSERT INTO groups VALUES (?1, 0, 0, 0, 1, ?2, 0, 0, '', '', '')"
        " ON CONFLICT (id) DO UPDATE SET high = ?2 WHERE high < ?2",
    [STATEMENT_SET_GROUP] =
        "UPDATE groups SET low = ?2, high = max(high, ?3), count = ?4,"
        " folded = ?5 WHERE id = ?1",
    [STATEMENT_GROUPS] = "SELECT id, flag, alias, created, low, high, count,"
                         " name, creator, description FROM groups ORDER BY id",
    [STATEMENT_GROUPS_FOLDED] =
        "SELECT id, folded FROM groups WHERE folded > 0",
    [STATEMENT_GROUPS_RECENT] =
        "SELECT sequence, numbers FROM recent ORDER BY sequence",
};

/* --- what all of overview_sqlite*.c use --- */

int
sqlite_why(sqlite3 *db, struct buffer *why, const char *what)
{
    return why_set(why, "overview: %s: %s (%d)", what, sqlite3_errmsg(db),
                   sqlite3_extended_errcode(db));
}

void
sqlite_file(struct buffer *file, const char *path)
{
    buffer_clear(file);
    buffer_append_format(file, "%s/overview.sqlite", path);
}

static char *
suffixed(const struct sqlite_overview *overview, const char *suffix)
{
    return xasprintf("%s%s", buffer_text(&overview->file), suffix);
}

static bool
is_damage(int result)
{
    return (result & 0xff) == SQLITE_CORRUPT
           || (result & 0xff) == SQLITE_NOTADB;
}

void
sqlite_note_damage(const struct sqlite_overview *overview)
{
    char *mark = suffixed(overview, ".is-damaged");
    int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

    if (fd < 0)
        syswarn("overview: cannot make %s", mark);
    else
        close(fd);
    free(mark);
}

static _Thread_local int bind_result = SQLITE_OK;

void
sqlite_note_bind(int result)
{
    if (bind_result == SQLITE_OK)
        bind_result = result;
}

int
sqlite_bind_result(void)
{
    int result = bind_result;

    bind_result = SQLITE_OK;
    return result;
}

int
sqlite_step(struct sqlite_overview *overview, enum statement statement,
            struct buffer *why)
{
    sqlite3_stmt *prepared = overview->statements[statement];
    int result = sqlite_bind_result();

    if (result == SQLITE_OK)
        result = sqlite3_step(prepared);
    if (result == SQLITE_ROW)
        return 1;
    if (result != SQLITE_DONE) {
        sqlite_why(overview->db, why, statements[statement]);
        if (is_damage(result))
            sqlite_note_damage(overview);
        overview->is_full = (result & 0xff) == SQLITE_FULL;
        (void)sqlite3_reset(prepared); /* says the same once more */
        return -1;
    }
    (void)sqlite3_reset(prepared);
    return 0;
}

int
sqlite_run(struct sqlite_overview *overview, enum statement statement,
           struct buffer *why)
{
    int result = sqlite_step(overview, statement, why);

    assert(result <= 0 && "a statement that gives no rows");
    return result;
}

int
sqlite_prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **prepared,
               size_t count, struct buffer *why)
{
    for (size_t i = 0; i < count; i++)
        if (sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &prepared[i], NULL)
            != SQLITE_OK)
            return sqlite_why(db, why, sql[i]);
    return 0;
}

void
sqlite_finalize(sqlite3_stmt **prepared, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)sqlite3_finalize(prepared[i]); /* repeats an old error */
        prepared[i] = NULL;
    }
}

void
sqlite_bind_token(sqlite3_stmt *statement, int column,
                  const struct token *token)
{
    sqlite_bind(statement, column, token->segment);
    sqlite_bind(statement, column + 1, token->offset);
    sqlite_bind(statement, column + 2, token->octets);
}

struct token
sqlite_token(sqlite3_stmt *statement, int column)
{
    return (struct token){
        .segment = (uint32_t)sqlite_number(statement, column),
        .offset = (uint32_t)sqlite_number(statement, column + 1),
        .octets = (uint32_t)sqlite_number(statement, column + 2),
    };
}

int
sqlite_groups(sqlite3_stmt *statement, int column, struct buffer *list,
              const struct record_group **groups_r)
{
    const void *octets = sqlite3_column_blob(statement, column);

    return overview_groups_read(
        list, octets, (size_t)sqlite3_column_bytes(statement, column),
        groups_r);
}

int
sqlite_recent_row(sqlite3_stmt *statement, struct buffer *list,
                  struct recent_row *row_r)
{
    int count;

    *row_r = (struct recent_row){
        .sequence = sqlite_number(statement, 0),
        .arrival = sqlite3_column_int64(statement, 1),
        .token = sqlite_token(statement, 2),
        .line = sqlite3_column_blob(statement, 6),
        .line_octets = (uint32_t)sqlite3_column_bytes(statement, 6),
    };
    if (row_r->line == NULL) /* SQLite's spelling of an empty blob */
        row_r->line = "";
    count = sqlite_groups(statement, 5, list, &row_r->groups);
    row_r->group_count = count < 0 ? 0 : (uint32_t)count;
    return count < 0 ? -1 : 0;
}

/* --- opening --- */

/* How an attempt to open ended. */
enum opened { OPENED, OPEN_DAMAGED, OPEN_FAILED };

static int
note_log(void *context, sqlite3 *db, const char *schema_name, int frames)
{
    struct sqlite_overview *overview = context;

    (void)db;
    (void)schema_name;
    atomic_store(&overview->log_octets, (uint64_t)frames * FRAME_OCTETS);
    return SQLITE_OK;
}

/* One number out of the file, for a start; -1 with why. */
static int64_t
ask_number(sqlite3 *db, const char *sql, struct buffer *why)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK
        && sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    else
        sqlite_why(db, why, sql);
    (void)sqlite3_finalize(statement);
    return number;
}

static int
check_schema(struct sqlite_overview *overview, struct buffer *why)
{
    int64_t tables =
        ask_number(overview->db, "SELECT count(*) FROM sqlite_master", why);
    int64_t version;

    if (tables < 0)
        return -1;
    if (tables == 0) {
        if (sqlite3_exec(overview->db, schema, NULL, NULL, NULL) != SQLITE_OK)
            return sqlite_why(overview->db, why, "making the tables");
        return 0;
    }
    version = ask_number(overview->db,
                         "SELECT value FROM meta WHERE key = 'version'", why);
    if (version < 0)
        return -1;
    if (version != SQLITE_SCHEMA_VERSION)
        return why_set(why,
                       "%s has version %lld of the tables, this program"
                       " has %d: move it aside, and it is made anew",
                       buffer_text(&overview->file), (long long)version,
                       (int)SQLITE_SCHEMA_VERSION);
    return 0;
}

static int
open_file(const struct sqlite_overview *overview, sqlite3 **db_r,
          size_t cache_octets, struct buffer *why)
{
    const char *file = buffer_text(&overview->file);
    struct buffer cache = BUFFER_EMPTY;
    sqlite3 *db;
    int persist = 1;
    int result;

    result = sqlite3_open_v2(file, db_r,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                 | SQLITE_OPEN_NOMUTEX,
                             NULL);
    db = *db_r;
    if (result != SQLITE_OK)
        return sqlite_why(db, why, file);
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_MS);
    /* Readers that may not write in this directory can open it only where the
       log's files are there, also while no writer is. */
    (void)sqlite3_file_control(db, NULL, SQLITE_FCNTL_PERSIST_WAL, &persist);
    if (sqlite3_exec(db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_why(db, why, file);
    /* A pragma takes no parameter; a number in it can do no harm. */
    buffer_append_format(&cache, "PRAGMA cache_size = -%zu",
                         cache_octets / 1024);
    result = sqlite3_exec(db, buffer_text(&cache), NULL, NULL, NULL);
    buffer_free(&cache);
    if (result != SQLITE_OK)
        return sqlite_why(db, why, file);
    return 0;
}

static int
set_wal(sqlite3 *db, struct buffer *why)
{
    sqlite3_stmt *statement = NULL;
    bool done = false;

    if (sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &statement,
                           NULL)
            == SQLITE_OK
        && sqlite3_step(statement) == SQLITE_ROW)
        done = strcmp((const char *)sqlite3_column_text(statement, 0), "wal")
               == 0;
    if (!done)
        sqlite_why(db, why, "setting the journal to WAL");
    (void)sqlite3_finalize(statement);
    return done ? 0 : -1;
}

static uint64_t
file_octets(const struct sqlite_overview *overview, const char *suffix)
{
    char *path = suffixed(overview, suffix);
    struct stat status;
    uint64_t octets = stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;

    free(path);
    return octets;
}

static void
disconnect(struct sqlite_overview *overview)
{
    sqlite_finalize(overview->statements, STATEMENT_COUNT);
    /* Whatever transaction is open is rolled back by this. */
    if (sqlite3_close(overview->db) != SQLITE_OK
        || sqlite3_close(overview->checkpoint_db) != SQLITE_OK)
        warn("overview: %s cannot be closed", buffer_text(&overview->file));
    overview->db = overview->checkpoint_db = NULL;
}

static enum opened
connect_file(struct sqlite_overview *overview, size_t cache_octets,
             struct buffer *why)
{
    enum opened opened;

    if (open_file(overview, &overview->db, cache_octets, why) == 0
        && set_wal(overview->db, why) == 0 && check_schema(overview, why) == 0
        && sqlite_prepare(overview->db, statements, overview->statements,
                          STATEMENT_COUNT, why)
               == 0
        && sqlite_load(overview, why) == 0
        && open_file(overview, &overview->checkpoint_db, 0, why) == 0) {
        /* What a dead writer left; the first commit says it exactly. */
        atomic_store(&overview->log_octets, file_octets(overview, "-wal"));
        (void)sqlite3_wal_hook(overview->db, note_log, overview);
        return OPENED;
    }
    opened =
        is_damage(sqlite3_errcode(overview->db)) ? OPEN_DAMAGED : OPEN_FAILED;
    disconnect(overview);
    return opened;
}

/*
 * Give the damaged file another name.  First its log: SQLite would delete one
 * that it finds beside a new file.  The mark goes last, so that a death on the
 * way leaves nothing that would be taken for good.
 */
static int
move_aside(struct sqlite_overview *overview, struct buffer *why)
{
    static const struct {
        const char *old;
        const char *new; /* NULL: remove it */
    } files[] = {
        {"-wal", ".damaged-wal"},
        {"-shm", NULL},
        {"", ".damaged"},
        {".is-damaged", NULL},
    };
    int status = 0;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char *old = suffixed(overview, files[i].old);
        char *new =
            suffixed(overview, files[i].new != NULL ? files[i].new : "");

        if ((files[i].new != NULL ? rename(old, new) : unlink(old)) < 0
            && errno != ENOENT)
            status = why_set_errno(why, "cannot move %s aside", old);
        free(old);
        free(new);
        if (status < 0)
            break;
    }
    return status;
}

static bool
is_marked_damaged(const struct sqlite_overview *overview)
{
    char *mark = suffixed(overview, ".is-damaged");
    bool marked = access(mark, F_OK) == 0;

    free(mark);
    return marked;
}

static void
sqlite_close(struct overview *base)
{
    struct sqlite_overview *overview = sqlite_overview(base);

    disconnect(overview);
    overview_writer_clear(&overview->writer);
    buffer_free(&overview->file);
    buffer_free(&overview->block);
    buffer_free(&overview->text);
    free(overview);
}

static struct overview *
sqlite_open(const char *url, const char *path, size_t cache_octets,
            struct buffer *why)
{
    struct sqlite_overview *overview = xcalloc(1, sizeof(*overview));
    enum opened opened = OPEN_DAMAGED;

    (void)url; /* "sqlite" says it all */
    overview->writer.base.ops = &overview_sqlite;
    overview->writer.rows = &sqlite_rows;
    sqlite_file(&overview->file, path);
    if (mkdir(path, 0750) < 0 && errno != EEXIST) {
        why_set_errno(why, "cannot make %s", path);
        sqlite_close(&overview->writer.base);
        return NULL;
    }
    if (is_marked_damaged(overview))
        why_set(why, "it was found damaged");
    else
        opened = connect_file(overview, cache_octets, why);
    if (opened == OPEN_DAMAGED) {
        warn("overview: %s is damaged and is made anew from the spool; the"
             " old one is %s.damaged: %s",
             buffer_text(&overview->file), buffer_text(&overview->file),
             why != NULL ? buffer_text(why) : "");
        opened = move_aside(overview, why) == 0
                     ? connect_file(overview, cache_octets, why)
                     : OPEN_FAILED;
    }
    if (opened != OPENED) {
        sqlite_close(&overview->writer.base);
        return NULL;
    }
    return &overview->writer.base;
}

/* Can the file be read as it is? */
static int
examine_file(const char *file, struct buffer *why)
{
    sqlite3 *db = NULL;
    int64_t version = -1;

    if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        NULL)
        != SQLITE_OK)
        sqlite_why(db, why, file);
    else
        version = ask_number(
            db, "SELECT value FROM meta WHERE key = 'version'", why);
    if (version >= 0 && version != SQLITE_SCHEMA_VERSION)
        why_set(why, "%s has version %lld of the tables, this program has %d",
                file, (long long)version, (int)SQLITE_SCHEMA_VERSION);
    (void)sqlite3_close(db); /* nothing is under way on it */
    return version == SQLITE_SCHEMA_VERSION ? 0 : -1;
}

static int
sqlite_examine(const char *url, const char *path, struct buffer *why)
{
    struct sqlite_overview overview = {.writer = {.base = {NULL}}};
    int status;

    (void)url;
    sqlite_file(&overview.file, path);
    if (access(buffer_text(&overview.file), F_OK) < 0)
        status = why_set_errno(why, "%s", buffer_text(&overview.file));
    else if (is_marked_damaged(&overview))
        status =
            why_set(why, "%s was found damaged", buffer_text(&overview.file));
    else
        status = examine_file(buffer_text(&overview.file), why);
    buffer_free(&overview.file);
    return status;
}

/* --- transactions, the log --- */

static uint64_t
sqlite_log_octets(const struct overview *overview)
{
    return atomic_load(
        &((const struct sqlite_overview *)overview)->log_octets);
}

static int
sqlite_begin(struct overview *base, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);

    assert(!overview->writer.in_transaction);
    if (sqlite_run(overview, STATEMENT_BEGIN, why) < 0)
        return -1;
    overview->writer.in_transaction = true;
    return 0;
}

static int
set_meta(struct sqlite_overview *overview, const char *key, uint64_t number,
         struct buffer *why)
{
    sqlite3_stmt *set = overview->statements[STATEMENT_SET_META];

    sqlite_bind_text(set, 1, key);
    sqlite_bind(set, 2, number);
    return sqlite_run(overview, STATEMENT_SET_META, why);
}

static int
sqlite_commit(struct overview *base, uint64_t applied, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);

    assert(overview->writer.in_transaction);
    if (overview->writer.removed_noted
        && sqlite_run(overview, STATEMENT_TRIM_REMOVED, why) < 0)
        return -1;
    overview->writer.removed_noted = false;
    if (applied != overview->writer.applied
        && set_meta(overview, "applied", applied, why) < 0)
        return -1;
    if (overview->writer.settled != overview->settled_kept
        && set_meta(overview, "settled", overview->writer.settled, why) < 0)
        return -1;
    if (sqlite_run(overview, STATEMENT_COMMIT, why) < 0)
        return -1;
    overview->settled_kept = overview->writer.settled;
    overview->writer.in_transaction = false;
    overview->writer.applied = applied;
    return 0;
}

static int
sqlite_checkpoint(struct overview *base, uint64_t *left_r, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    int frames = 0, moved = 0;
    int result =
        sqlite3_wal_checkpoint_v2(overview->checkpoint_db, NULL,
                                  SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);

    /* Busy: the index thread begins the log anew this very moment. */
    if (result != SQLITE_OK && (result & 0xff) != SQLITE_BUSY) {
        if (is_damage(result))
            sqlite_note_damage(overview);
        return sqlite_why(overview->checkpoint_db, why, "checkpoint");
    }
    *left_r = frames > moved ? (uint64_t)(frames - moved) * FRAME_OCTETS : 0;
    return 0;
}

/* Whether to wait a little more for readers to end their turn. */
static int
wait_for_readers(void *context, int times)
{
    (void)context;
    (void)usleep(RESTART_PAUSE_US);
    return times < RESTART_PAUSES;
}

/*
 * Readers that begin while all of the log is in the database do without the
 * log; only those that began before are in the way, and their turn ends
 * within a millisecond or so.  Busy readers left hardly ever a moment without
 * such a one (one try in 70 beside two that did nothing else, and the log
 * grew to 76 MB), so once the log is long the commits wait for them.
 */
static int
sqlite_restart_log(struct overview *base, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    int result;

    assert(!overview->writer.in_transaction);
    if (atomic_load(&overview->log_octets) > LONG_LOG_OCTETS)
        sqlite3_busy_handler(overview->db, wait_for_readers, NULL);
    else
        sqlite3_busy_timeout(overview->db, 0);
    result = sqlite3_wal_checkpoint_v2(overview->db, NULL,
                                       SQLITE_CHECKPOINT_RESTART, NULL, NULL);
    sqlite3_busy_timeout(overview->db, BUSY_MS);
    /* A full disk costs a long log; the checkpoint thread says so. */
    if ((result & 0xff) == SQLITE_BUSY || (result & 0xff) == SQLITE_FULL)
        return 0;
    if (result != SQLITE_OK) {
        if (is_damage(result))
            sqlite_note_damage(overview);
        return sqlite_why(overview->db, why, "beginning the log anew");
    }
    /* The next commit writes at the log's beginning, and says how much. */
    atomic_store(&overview->log_octets, 0);
    return 1;
}

/* Undo what was begun, and know again what the file says. */
static int
undo(struct sqlite_overview *overview, struct buffer *why)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_reset(overview->statements[i]); /* repeats an error */
    if (sqlite3_get_autocommit(overview->db) == 0
        && sqlite3_exec(overview->db, "ROLLBACK", NULL, NULL, NULL)
               != SQLITE_OK)
        return sqlite_why(overview->db, why, "ROLLBACK");
    overview_writer_clear(&overview->writer);
    return sqlite_load(overview, why);
}

/* Is there room again, for more than a page or two, and can it be had? */
static bool
has_room(struct sqlite_overview *overview, struct buffer *why)
{
    struct statvfs status;
    uint64_t applied = overview->writer.applied;

    if (statvfs(buffer_text(&overview->file), &status) < 0
        || (uint64_t)status.f_bavail * status.f_frsize < ROOM_OCTETS
        || sqlite_begin(&overview->writer.base, why) < 0)
        return false;
    return set_meta(overview, "applied", applied, why) == 0
           && sqlite_commit(&overview->writer.base, applied, why) == 0;
}

/*
 * A file does not go away and come back, but a full disk has room again some
 * time.  What fills it then is not ours (storage/spool.h refuses articles long
 * before), and to end would help nobody: the next writer needs room as well.
 */
static int
sqlite_resume(struct overview *base, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    useconds_t wait_ms = ROOM_PAUSE_MS;

    if (!overview->is_full)
        return -1;
    warn("%s", buffer_text(why));
    for (unsigned times = 1;; times++) {
        overview->is_full = false;
        if (undo(overview, why) < 0)
            return -1;
        if (has_room(overview, why))
            break;
        if ((times & (times - 1)) == 0)
            warn("overview: the disk of %s is full, waiting for room times=%u",
                 buffer_text(&overview->file), times);
        (void)usleep(wait_ms * 1000);
        wait_ms =
            wait_ms * 2 < ROOM_PAUSE_MS_MAX ? wait_ms * 2 : ROOM_PAUSE_MS_MAX;
    }
    notice("overview: there is room again");
    return 0;
}

/* The checkpoint syncs the log before it moves it. */
static int
sqlite_flush(struct overview *overview, struct buffer *why)
{
    (void)overview;
    (void)why;
    return 0;
}

/*
 * Statistics, where SQLite finds that they would change a plan, and pages that
 * nothing is on any more go back to the file system.  Each turn is a
 * transaction.
 */
static int
sqlite_upkeep(struct overview *base, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    int64_t free_pages =
        ask_number(overview->db, "PRAGMA freelist_count", why);

    if (free_pages < 0)
        return -1;
    if (overview->vacuum_until == 0) {
        if (sqlite3_exec(overview->db,
                         "PRAGMA analysis_limit = 1000; PRAGMA optimize", NULL,
                         NULL, NULL)
            != SQLITE_OK)
            return sqlite_why(overview->db, why, "optimize");
        /* Some stay for what comes next. */
        overview->vacuum_until = free_pages / VACUUM_KEEP_PART + 1;
    }
    if (free_pages > overview->vacuum_until) {
        if (sqlite3_exec(overview->db, vacuum_step, NULL, NULL, NULL)
            != SQLITE_OK)
            return sqlite_why(overview->db, why, vacuum_step);
        /* Without auto_vacuum nothing is given back. */
        if (ask_number(overview->db, "PRAGMA freelist_count", why)
            < free_pages)
            return 1;
    }
    overview->vacuum_until = 0;
    return 0;
}

const struct overview_ops overview_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .examine = sqlite_examine,
    .rebuild_begin = sqlite_rebuild_begin,
    .rebuild_end = sqlite_rebuild_end,
    .close = sqlite_close,
    .applied = overview_writer_applied,
    .groups = sqlite_overview_groups,
    .begin = sqlite_begin,
    .put = sqlite_put,
    .put_group = sqlite_put_group,
    .remove = overview_writer_remove,
    .remove_ranges = overview_writer_remove_ranges,
    .drop = overview_writer_drop,
    .move = overview_writer_move,
    .commit = sqlite_commit,
    .settle = overview_writer_settle,
    .settled = overview_writer_settled,
    .resume = sqlite_resume,
    .fold = overview_writer_fold,
    .recent_begin = overview_writer_recent_begin,
    .recent = overview_writer_recent,
    .log_octets = sqlite_log_octets,
    .checkpoint = sqlite_checkpoint,
    .flush = sqlite_flush,
    .upkeep = sqlite_upkeep,
    .restart_log = sqlite_restart_log,
    .locate = sqlite_locate,
    .reader_open = sqlite_reader_open,
    .reader_close = sqlite_reader_close,
    .ask = sqlite_ask,
    .forget = sqlite_forget,
    .turn_ended = sqlite_turn_ended,
};
