#include "lib/account.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "lib/utf8.h"

enum {
    SCHEMA_VERSION = 1,
    BUSY_MS = 2000, /* a ctlinnd, or a backup, has it for a moment */
};

struct accounts {
    sqlite3 *database;
    sqlite3_stmt *find;
};

static const char *const role_names[ACCOUNT_ROLES] = {
    [ACCOUNT_READER] = "reader",       [ACCOUNT_POSTER] = "poster",
    [ACCOUNT_MODERATOR] = "moderator", [ACCOUNT_ADMIN] = "admin",
    [ACCOUNT_PEER] = "peer",
};

const char *
account_role_name(enum account_role role)
{
    assert(role >= ACCOUNT_READER && role < ACCOUNT_ROLES);
    return role_names[role];
}

enum account_role
account_role_find(const char *name)
{
    for (enum account_role role = ACCOUNT_READER; role < ACCOUNT_ROLES; role++)
        if (strcmp(name, role_names[role]) == 0)
            return role;
    return 0;
}

bool
account_name_is_valid(const char *name, size_t octets)
{
    if (octets == 0 || octets > ACCOUNT_NAME_OCTETS_MAX
        || !utf8_is_valid(name, octets))
        return false;
    for (size_t i = 0; i < octets; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f)
            return false;
    return true;
}

/* --- the database --- */

static int
failed(struct accounts *accounts, struct buffer *why)
{
    return why_set(why, "accounts: %s", sqlite3_errmsg(accounts->database));
}

static int
run(struct accounts *accounts, const char *sql, struct buffer *why)
{
    if (sqlite3_exec(accounts->database, sql, NULL, NULL, NULL) != SQLITE_OK)
        return failed(accounts, why);
    return 0;
}

static int64_t
number(struct accounts *accounts, const char *sql, struct buffer *why)
{
    sqlite3_stmt *statement;
    int64_t result = -1;

    if (sqlite3_prepare_v2(accounts->database, sql, -1, &statement, NULL)
        != SQLITE_OK)
        return failed(accounts, why);
    if (sqlite3_step(statement) == SQLITE_ROW)
        result = sqlite3_column_int64(statement, 0);
    else
        failed(accounts, why);
    sqlite3_finalize(statement);
    return result;
}

/*
 * The journal stays where it is between transactions (PERSIST): the auth
 * process may write to these two files and create none.
 */
static int
schema_make(struct accounts *accounts, struct buffer *why)
{
    int64_t version;

    if (run(accounts,
            "PRAGMA journal_mode = PERSIST; PRAGMA synchronous = FULL;"
            "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;",
            why)
        < 0)
        return -1;
    version = number(accounts, "PRAGMA user_version", why);
    if (version < 0 || version == SCHEMA_VERSION)
        return version < 0 ? -1 : 0;
    if (version != 0)
        return why_set(why, "accounts: version %" PRId64 ", not %d", version,
                       SCHEMA_VERSION);
    return run(accounts,
               "BEGIN IMMEDIATE;"
               "CREATE TABLE account (name TEXT PRIMARY KEY,"
               " role TEXT NOT NULL, hash TEXT NOT NULL,"
               " created INTEGER NOT NULL, changed INTEGER NOT NULL)"
               " STRICT, WITHOUT ROWID;"
               "PRAGMA user_version = 1;"
               "COMMIT;",
               why);
}

static int
journal_make(const char *database, struct buffer *why)
{
    char *path = xasprintf("%s-journal", database);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int result = 0;

    if (fd < 0)
        result = why_set_errno(why, "%s", path);
    else
        close(fd);
    free(path);
    return result;
}

static int
database_open(struct accounts *accounts, const char *path, struct buffer *why)
{
    /* Hashes of passwords: nobody else's business. */
    mode_t mask = umask(077);
    int result = -1;

    if (sqlite3_open_v2(path, &accounts->database,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                            | SQLITE_OPEN_NOFOLLOW,
                        NULL)
        != SQLITE_OK)
        why_set(why, "%s: %s", path, sqlite3_errmsg(accounts->database));
    else if (sqlite3_busy_timeout(accounts->database, BUSY_MS) != SQLITE_OK
             || schema_make(accounts, why) < 0 || journal_make(path, why) < 0)
        result = -1;
    else if (sqlite3_prepare_v3(
                 accounts->database,
                 "SELECT role, hash FROM account WHERE name = ?1", -1,
                 SQLITE_PREPARE_PERSISTENT, &accounts->find, NULL)
             != SQLITE_OK)
        failed(accounts, why);
    else
        result = 0;
    umask(mask);
    return result;
}

struct accounts *
accounts_open(const char *directory, struct buffer *why)
{
    struct accounts *accounts = xcalloc(1, sizeof(*accounts));
    char *path = xasprintf("%s/accounts.sqlite", directory);

    password_open();
    if (database_open(accounts, path, why) < 0)
        accounts_close(&accounts);
    free(path);
    return accounts;
}

void
accounts_close(struct accounts **accounts)
{
    struct accounts *old = *accounts;

    if (old == NULL)
        return;
    sqlite3_finalize(old->find);
    sqlite3_close(old->database);
    free(old);
    *accounts = NULL;
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

int
account_find(struct accounts *accounts, const char *name, size_t octets,
             struct account *account_r, struct buffer *why)
{
    sqlite3_stmt *find = accounts->find;
    const char *hash;
    int status;
    int result = 0;

    sqlite3_bind_text(find, 1, name, (int)octets, SQLITE_STATIC);
    status = sqlite3_step(find);
    if (status == SQLITE_ROW) {
        account_r->role =
            account_role_find((const char *)sqlite3_column_text(find, 0));
        hash = (const char *)sqlite3_column_text(find, 1);
        result = 1;
        /* Somebody has written to it by hand. */
        if (account_r->role == 0 || !password_hash_is_valid(hash))
            result = why_set(why, "accounts: a row that is none of ours");
        else
            memcpy(account_r->hash, hash, strlen(hash) + 1);
    } else if (status != SQLITE_DONE) {
        result = failed(accounts, why);
    }
    sqlite3_reset(find);
    sqlite3_clear_bindings(find);
    return result;
}

int64_t
accounts_count(struct accounts *accounts, struct buffer *why)
{
    return number(accounts, "SELECT count(*) FROM account", why);
}

/* --- words --- */

/*
 * Run one statement with what it binds (NULL: nothing there); ?4 is now.
 * Returns how many rows it has changed, or -1 with why.
 */
static int
change(struct accounts *accounts, const char *sql, const char *const texts[3],
       struct buffer *why)
{
    sqlite3_stmt *statement;
    int result = -1;

    if (sqlite3_prepare_v2(accounts->database, sql, -1, &statement, NULL)
        != SQLITE_OK)
        return failed(accounts, why);
    for (int i = 0; i < 3; i++)
        if (texts[i] != NULL)
            sqlite3_bind_text(statement, i + 1, texts[i], -1, SQLITE_STATIC);
    /* Where the statement has no ?4 there is nothing to bind it to. */
    (void)sqlite3_bind_int64(statement, 4, (int64_t)time(NULL));
    if (sqlite3_step(statement) == SQLITE_DONE)
        result = sqlite3_changes(accounts->database);
    else
        failed(accounts, why);
    sqlite3_finalize(statement);
    return result;
}

static int
role_check(const char *role, struct buffer *answer)
{
    if (account_role_find(role) != 0)
        return 0;
    return why_set(answer,
                   "found role \"%s\", expected reader, poster, moderator, "
                   "admin or peer",
                   role);
}

static int
account_add(struct accounts *accounts, const char *name, const char *role,
            const char *hash, struct buffer *answer)
{
    int changed;

    if (role_check(role, answer) < 0)
        return -1;
    changed = change(accounts,
                     "INSERT INTO account VALUES (?1, ?2, ?3, ?4, ?4)"
                     " ON CONFLICT DO NOTHING",
                     (const char *const[]){name, role, hash}, answer);
    if (changed == 0)
        return why_set(answer, "there is an account %s already", name);
    return changed;
}

static int
account_list(struct accounts *accounts, struct buffer *answer)
{
    sqlite3_stmt *statement;
    int status;

    if (sqlite3_prepare_v2(accounts->database,
                           "SELECT name, role, date(created, 'unixepoch')"
                           " FROM account ORDER BY name",
                           -1, &statement, NULL)
        != SQLITE_OK)
        return failed(accounts, answer);
    while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
        if (answer->used > 0)
            buffer_append_char(answer, '\n');
        buffer_append_format(answer, "%s %s created=%s",
                             (const char *)sqlite3_column_text(statement, 0),
                             (const char *)sqlite3_column_text(statement, 1),
                             (const char *)sqlite3_column_text(statement, 2));
    }
    sqlite3_finalize(statement);
    if (status != SQLITE_DONE)
        return failed(accounts, answer);
    if (answer->used == 0)
        buffer_append_text(answer, "there are no accounts");
    return 0;
}

static int
words_check(int words, const char *const *word, bool hash,
            struct buffer *answer)
{
    if (words > 1 && !account_name_is_valid(word[1], strlen(word[1])))
        return why_set(answer,
                       "\"%s\" cannot be an account: expected 1 to %d octets "
                       "without spaces",
                       word[1], ACCOUNT_NAME_OCTETS_MAX);
    if (hash && !password_hash_is_valid(word[words - 1]))
        return why_set(answer, "that is no hash of a password");
    return 0;
}

int
accounts_command(struct accounts *accounts, int words, const char *const *word,
                 struct buffer *answer)
{
    bool add = strcmp(word[0], "useradd") == 0;
    bool passwd = strcmp(word[0], "userpasswd") == 0;
    const char *const texts[3] = {words > 1 ? word[1] : NULL,
                                  words > 2 ? word[2] : NULL, NULL};
    int changed = 0;

    if (strcmp(word[0], "userlist") == 0)
        return account_list(accounts, answer);
    if (words_check(words, word, add || passwd, answer) < 0)
        return -1;
    if (add) {
        changed =
            account_add(accounts, word[1], words > 3 ? word[2] : "poster",
                        word[words - 1], answer);
    } else if (passwd) {
        changed = change(accounts,
                         "UPDATE account SET hash = ?2, changed = ?4"
                         " WHERE name = ?1",
                         texts, answer);
    } else if (strcmp(word[0], "userdel") == 0) {
        changed = change(accounts, "DELETE FROM account WHERE name = ?1",
                         texts, answer);
    } else if (role_check(word[2], answer) < 0) {
        return -1;
    } else {
        changed = change(accounts,
                         "UPDATE account SET role = ?2, changed = ?4"
                         " WHERE name = ?1",
                         texts, answer);
    }
    if (changed == 0)
        return why_set(answer, "there is no account %s", word[1]);
    if (changed > 0)
        buffer_append_text(answer, "Ok");
    return changed > 0 ? 0 : -1;
}
