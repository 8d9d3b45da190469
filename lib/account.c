#include "lib/account.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/account_database.h"
#include "lib/buffer.h"
#include "lib/memory.h"
#include "lib/utf8.h"
#include "lib/wildmat.h"

struct accounts {
    const struct account_database_ops *ops;
    struct account_database *database;
    unsigned char key[ACCOUNT_KEY_OCTETS];
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

bool
account_wildmat_is_valid(const char *text)
{
    size_t octets = strlen(text);

    return octets <= ACCOUNT_WILDMAT_OCTETS_MAX
           && strpbrk(text, " \t\r\n") == NULL
           && wildmat_check(text, octets, NULL) == 0;
}

/* --- the database --- */

static int64_t
run(struct accounts *accounts, const char *sql,
    const struct account_parameters *parameters, account_row_func *row,
    void *context, struct buffer *why)
{
    return accounts->ops->run(accounts->database, sql, parameters, row,
                              context, why);
}

static int
key_take(void *context, const char *const *column, struct buffer *why)
{
    struct accounts *accounts = context;
    size_t octets;

    if (sodium_hex2bin(accounts->key, sizeof(accounts->key), column[0],
                       strlen(column[0]), NULL, &octets, NULL)
            != 0
        || octets != sizeof(accounts->key))
        return why_set(why, "accounts: a key that is none of ours");
    return 0;
}

/* Whoever opens the database first draws the key and begins to count. */
static int
settings_open(struct accounts *accounts, struct buffer *why)
{
    static const struct account_parameters none = {0};
    char drawn[2 * ACCOUNT_KEY_OCTETS + 1];
    struct account_parameters parameters = {1, {drawn}};
    int64_t rows =
        run(accounts, "SELECT value FROM account_setting WHERE name = 'key'",
            &none, key_take, accounts, why);

    if (rows != 0)
        return rows < 0 ? -1 : 0;
    randombytes_buf(accounts->key, sizeof(accounts->key));
    sodium_bin2hex(drawn, sizeof(drawn), accounts->key, sizeof(accounts->key));
    if (run(accounts,
            "INSERT INTO account_setting (name, value)"
            " VALUES ('changes', '0'), ('key', $1) ON CONFLICT DO NOTHING",
            &parameters, NULL, NULL, why)
        < 0)
        return -1;
    /* It may be another's, who was a moment earlier. */
    return run(accounts,
               "SELECT value FROM account_setting WHERE name = 'key'", &none,
               key_take, accounts,
               why) == 1
               ? 0
               : -1;
}

struct accounts *
accounts_open(const char *where, const char *directory, struct buffer *why)
{
    struct accounts *accounts = xcalloc(1, sizeof(*accounts));

    password_open();
    accounts->ops =
        strcmp(where, "sqlite") == 0 ? &account_sqlite : &account_postgresql;
    accounts->database = accounts->ops->open(where, directory, why);
    if (accounts->database == NULL || settings_open(accounts, why) < 0)
        accounts_close(&accounts);
    return accounts;
}

void
accounts_close(struct accounts **accounts)
{
    struct accounts *old = *accounts;

    if (old == NULL)
        return;
    if (old->database != NULL)
        old->ops->close(old->database);
    password_wipe(old->key, sizeof(old->key));
    free(old);
    *accounts = NULL;
}

const unsigned char *
accounts_key(const struct accounts *accounts)
{
    return accounts->key;
}

static int
account_take(void *context, const char *const *column, struct buffer *why)
{
    struct account *account = context;

    account->role = account_role_find(column[0]);
    account->disabled = strcmp(column[4], "0") != 0;
    /* Somebody has written to it by hand. */
    if (account->role == 0 || !password_hash_is_valid(column[1])
        || (column[2][0] != '\0' && !scram_verifier_is_valid(column[2]))
        || !account_wildmat_is_valid(column[3]))
        return why_set(why, "accounts: a row that is none of ours");
    memcpy(account->hash, column[1], strlen(column[1]) + 1);
    memcpy(account->scram, column[2], strlen(column[2]) + 1);
    memcpy(account->moderates, column[3], strlen(column[3]) + 1);
    return 0;
}

int
account_find(struct accounts *accounts, const char *name, size_t octets,
             struct account *account_r, struct buffer *why)
{
    char *whole = xmemdup(name, octets);
    struct account_parameters parameters = {1, {whole}};
    int64_t rows =
        run(accounts,
            "SELECT role, hash, scram, moderates, disabled FROM account"
            " WHERE name = $1",
            &parameters, account_take, account_r, why);

    free(whole);
    return rows < 0 ? -1 : rows > 0;
}

static int
changes_take(void *context, const char *const *column, struct buffer *why)
{
    (void)why; /* cannot fail */
    *(int64_t *)context = strtoll(column[0], NULL, 10);
    return 0;
}

int64_t
accounts_changes(struct accounts *accounts, struct buffer *why)
{
    static const struct account_parameters none = {0};
    int64_t changes = 0;

    if (run(accounts,
            "SELECT value FROM account_setting WHERE name = 'changes'", &none,
            changes_take, &changes, why)
        < 0)
        return -1;
    return changes;
}

static int
counts_take(void *context, const char *const *column, struct buffer *why)
{
    struct account_counts *counts = context;

    (void)why; /* cannot fail */
    counts->all = strtoll(column[0], NULL, 10);
    counts->scram = strtoll(column[1], NULL, 10);
    return 0;
}

int
accounts_count(struct accounts *accounts, struct account_counts *counts_r,
               struct buffer *why)
{
    static const struct account_parameters none = {0};

    return run(accounts,
               "SELECT count(*), count(CASE WHEN scram <> '' THEN 1 END)"
               " FROM account",
               &none, counts_take, counts_r,
               why) == 1
               ? 0
               : -1;
}

/* --- words --- */

/*
 * Run one statement: $1 is the account, $2 now, $3 and $4 are values; NULL:
 * the statement has none.  Returns how many rows it has changed, or -1 with
 * why.
 */
static int64_t
change(struct accounts *accounts, const char *sql, const char *name,
       const char *value, const char *other, struct buffer *why)
{
    char *now = xasprintf("%" PRId64, (int64_t)time(NULL));
    struct account_parameters parameters = {
        2 + (value != NULL) + (other != NULL), {name, now, value, other}};
    int64_t changed = run(accounts, sql, &parameters, NULL, NULL, why);

    free(now);
    return changed;
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

/* What ctlinnd made of a password: the hash and, behind a space, the verifier;
   "" where there is none. */
struct secret {
    char hash[PASSWORD_HASH_OCTETS];
    const char *scram;
};

static int
secret_parse(struct secret *secret, const char *text, struct buffer *answer)
{
    size_t octets = strcspn(text, " ");

    secret->scram = text[octets] == ' ' ? text + octets + 1 : "";
    if (octets >= sizeof(secret->hash))
        return why_set(answer, "that is no hash of a password");
    memcpy(secret->hash, text, octets);
    secret->hash[octets] = '\0';
    if (!password_hash_is_valid(secret->hash)
        || (text[octets] == ' ' && !scram_verifier_is_valid(secret->scram)))
        return why_set(answer, "that is no hash of a password");
    return 0;
}

static int64_t
account_add(struct accounts *accounts, const char *name, const char *role,
            const char *text, struct buffer *answer)
{
    char *now = xasprintf("%" PRId64, (int64_t)time(NULL));
    struct secret secret;
    struct account_parameters parameters = {
        5, {name, role, secret.hash, NULL, now}};
    int64_t changed = -1;

    if (role_check(role, answer) == 0
        && secret_parse(&secret, text, answer) == 0) {
        parameters.text[3] = secret.scram;
        changed =
            run(accounts,
                "INSERT INTO account"
                " (name, role, hash, scram, moderates, disabled, created,"
                " changed) VALUES ($1, $2, $3, $4, '*', 0, $5, $5)"
                " ON CONFLICT DO NOTHING",
                &parameters, NULL, NULL, answer);
    }
    free(now);
    if (changed == 0)
        return why_set(answer, "there is an account %s already", name);
    return changed;
}

static int64_t
account_set_password(struct accounts *accounts, const char *name,
                     const char *text, struct buffer *answer)
{
    struct secret secret;

    if (secret_parse(&secret, text, answer) < 0)
        return -1;
    return change(accounts,
                  "UPDATE account SET hash = $3, scram = $4, changed = $2"
                  " WHERE name = $1",
                  name, secret.hash, secret.scram, answer);
}

static int64_t
account_remove(struct accounts *accounts, const char *name,
               struct buffer *answer)
{
    struct account_parameters parameters = {1, {name}};

    return run(accounts, "DELETE FROM account WHERE name = $1", &parameters,
               NULL, NULL, answer);
}

static int
list_row(void *context, const char *const *column, struct buffer *why)
{
    struct buffer *answer = context;
    time_t created = (time_t)strtoll(column[2], NULL, 10);
    char day[16] = "";
    struct tm tm;

    (void)why; /* cannot fail */
    if (gmtime_r(&created, &tm) != NULL)
        (void)strftime(day, sizeof(day), "%Y-%m-%d", &tm);
    if (answer->used > 0)
        buffer_append_char(answer, '\n');
    buffer_append_format(answer, "%s %s created=%s", column[0], column[1],
                         day);
    if (strcmp(column[1], "moderator") == 0)
        buffer_append_format(answer, " moderates=%s", column[3]);
    if (column[4][0] != '\0')
        buffer_append_text(answer, " scram=yes");
    if (strcmp(column[5], "0") != 0)
        buffer_append_text(answer, " disabled=yes");
    return 0;
}

static int
account_list(struct accounts *accounts, struct buffer *answer)
{
    static const struct account_parameters none = {0};
    struct buffer list = BUFFER_EMPTY;

    if (run(accounts,
            "SELECT name, role, created, moderates, scram, disabled"
            " FROM account ORDER BY name",
            &none, list_row, &list, answer)
        < 0) {
        buffer_free(&list);
        return -1;
    }
    buffer_append_text(answer, list.used > 0 ? buffer_text(&list)
                                             : "there are no accounts");
    buffer_free(&list);
    return 0;
}

/* --- usermod: what of an account can be changed --- */

static int
moderates_check(const char *value, struct buffer *answer)
{
    if (account_wildmat_is_valid(value))
        return 0;
    return why_set(answer,
                   "found \"%s\", expected a wildmat of newsgroups of at most "
                   "%d octets without spaces",
                   value, ACCOUNT_WILDMAT_OCTETS_MAX);
}

static int
disabled_check(const char *value, struct buffer *answer)
{
    if (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)
        return 0;
    return why_set(answer, "found \"%s\", expected yes or no", value);
}

static int
scram_check(const char *value, struct buffer *answer)
{
    if (strcmp(value, "no") == 0)
        return 0;
    return why_set(answer,
                   "found \"%s\", expected no: a verifier is made of the "
                   "password, by ctlinnd --scram userpasswd",
                   value);
}

static const struct property {
    const char *name;
    int (*check)(const char *value, struct buffer *answer);
    const char *sql;
} properties[] = {
    {"role", role_check,
     "UPDATE account SET role = $3, changed = $2 WHERE name = $1"},
    {"moderates", moderates_check,
     "UPDATE account SET moderates = $3, changed = $2 WHERE name = $1"},
    {"disabled", disabled_check,
     "UPDATE account SET disabled = CASE $3 WHEN 'yes' THEN 1 ELSE 0 END,"
     " changed = $2 WHERE name = $1"},
    {"scram", scram_check,
     "UPDATE account SET scram = CASE $3 WHEN 'no' THEN '' ELSE scram END,"
     " changed = $2 WHERE name = $1"},
};

static int64_t
account_modify(struct accounts *accounts, const char *name, const char *key,
               const char *value, struct buffer *answer)
{
    for (size_t i = 0; i < sizeof(properties) / sizeof(*properties); i++) {
        if (strcmp(properties[i].name, key) != 0)
            continue;
        if (properties[i].check(value, answer) < 0)
            return -1;
        return change(accounts, properties[i].sql, name, value, NULL, answer);
    }
    return why_set(answer,
                   "found \"%s\", expected role, moderates, disabled or scram",
                   key);
}

/* Servers that share the database look at it. */
static int
changes_count(struct accounts *accounts, struct buffer *answer)
{
    static const struct account_parameters none = {0};

    return run(accounts,
               "UPDATE account_setting"
               " SET value = CAST(CAST(value AS bigint) + 1 AS text)"
               " WHERE name = 'changes'",
               &none, NULL, NULL, answer)
                   < 0
               ? -1
               : 0;
}

int
accounts_command(struct accounts *accounts, int words, const char *const *word,
                 struct buffer *answer)
{
    int64_t changed;

    if (strcmp(word[0], "userlist") == 0)
        return account_list(accounts, answer);
    if (!account_name_is_valid(word[1], strlen(word[1])))
        return why_set(answer,
                       "\"%s\" cannot be an account: expected 1 to %d octets "
                       "without spaces",
                       word[1], ACCOUNT_NAME_OCTETS_MAX);
    if (strcmp(word[0], "useradd") == 0)
        changed =
            account_add(accounts, word[1], words > 3 ? word[2] : "poster",
                        word[words - 1], answer);
    else if (strcmp(word[0], "userpasswd") == 0)
        changed = account_set_password(accounts, word[1], word[2], answer);
    else if (strcmp(word[0], "userdel") == 0)
        changed = account_remove(accounts, word[1], answer);
    else
        changed = account_modify(accounts, word[1], word[2], word[3], answer);
    if (changed == 0)
        return why_set(answer, "there is no account %s", word[1]);
    if (changed < 0 || changes_count(accounts, answer) < 0)
        return -1;
    buffer_append_text(answer, "Ok");
    return 0;
}
