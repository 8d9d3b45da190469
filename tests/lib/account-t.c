/* Accounts: what an admin may make of them, and what is found afterwards. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/account.h"
#include "lib/buffer.h"
#include "lib/memory.h"

struct world {
    char directory[32];
    struct accounts *accounts;
    struct buffer answer;
    char hash[PASSWORD_HASH_OCTETS];
    char *secret; /* the hash, and a SCRAM verifier */
};

static char *
path_of(const struct world *world, const char *name)
{
    return xasprintf("%s/%s", world->directory, name);
}

static int
world_open(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));
    char verifier[SCRAM_VERIFIER_OCTETS];

    snprintf(world->directory, sizeof(world->directory),
             "/tmp/account-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    world->accounts =
        accounts_open("sqlite", world->directory, &world->answer);
    assert_non_null(world->accounts);
    assert_int_equal(password_hash("geheim", 6, world->hash), 0);
    assert_int_equal(scram_verifier_make("geheim", 6, verifier, NULL), 0);
    world->secret = xasprintf("%s %s", world->hash, verifier);
    *state = world;
    return 0;
}

static int
world_close(void **state)
{
    static const char *const files[] = {"accounts.sqlite",
                                        "accounts.sqlite-journal"};
    struct world *world = *state;

    accounts_close(&world->accounts);
    for (size_t i = 0; i < 2; i++) {
        char *path = path_of(world, files[i]);

        /* SQLite's own default removes the journal: see meddle(). */
        assert_true(unlink(path) == 0 || errno == ENOENT);
        free(path);
    }
    assert_int_equal(rmdir(world->directory), 0);
    buffer_free(&world->answer);
    free(world->secret);
    free(world);
    return 0;
}

/* The words, with "HASH" for a good hash, and "SECRET" for one with a verifier
   behind it; ended by NULL. */
static int
command(struct world *world, const char *const *words)
{
    const char *word[6];
    int count = 0;

    for (; words[count] != NULL; count++)
        word[count] = strcmp(words[count], "HASH") == 0     ? world->hash
                      : strcmp(words[count], "SECRET") == 0 ? world->secret
                                                            : words[count];
    buffer_clear(&world->answer);
    return accounts_command(world->accounts, count, word, &world->answer);
}

static void
test_words_are_carried_out_or_refused_with_a_reason(void **state)
{
    static const struct {
        const char *words[5];
        int result;
        const char *answer;
    } rows[] = {
        {{"userlist"}, 0, "there are no accounts"},
        {{"useradd", "alice", "HASH"}, 0, "Ok"},
        {{"useradd", "alice", "HASH"},
         -1,
         "there is an account alice already"},
        {{"useradd", "bob", "peer", "HASH"}, 0, "Ok"},
        {{"useradd", "carl", "king", "HASH"}, -1, "found role \"king\""},
        {{"useradd", "carl", "reader", "geheim"}, -1, "no hash of a password"},
        {{"useradd", "carl",
          "$argon2id$v=19$m=1048576,t=9,p=1$YWJjZGVmZ2hpamtsbW5vcA$"
          "YWJjZGVmZ2hpamtsbW5vcGFiY2RlZmdoaWprbG1ub3A"},
         -1,
         "no hash of a password"},
        {{"useradd", "a b", "HASH"}, -1, "cannot be an account"},
        {{"useradd", "", "HASH"}, -1, "cannot be an account"},
        {{"useradd", "\xff", "HASH"}, -1, "cannot be an account"},
        {{"useradd", "j\xc3\xb6rg", "HASH"}, 0, "Ok"},
        {{"useradd", "x'); DROP TABLE account; --", "HASH"},
         -1,
         "cannot be an account"},
        {{"useradd", "x');DROP/**/TABLE/**/account;--", "HASH"}, 0, "Ok"},
        {{"usermod", "alice", "role", "admin"}, 0, "Ok"},
        {{"usermod", "alice", "role", "king"}, -1, "found role \"king\""},
        {{"usermod", "nobody", "role", "admin"}, -1, "no account nobody"},
        {{"usermod", "alice", "shoes", "9"}, -1, "found \"shoes\""},
        {{"usermod", "alice", "disabled", "maybe"}, -1, "yes or no"},
        {{"usermod", "alice", "moderates", "a b"}, -1, "a wildmat"},
        {{"usermod", "alice", "moderates", ""}, -1, "a wildmat"},
        {{"usermod", "alice", "moderates", "mod.*,!mod.x"}, 0, "Ok"},
        {{"usermod", "alice", "scram", "yes"}, -1, "--scram"},
        {{"usermod", "alice", "scram", "no"}, 0, "Ok"},
        {{"usermod", "alice", "role", "moderator"}, 0, "Ok"},
        {{"userlist"}, 0, "moderates=mod.*,!mod.x"},
        {{"usermod", "alice", "role", "admin"}, 0, "Ok"},
        {{"useradd", "dora", "SECRET"}, 0, "Ok"},
        {{"useradd", "emil", "HASH nonsense"}, -1, "no hash of a password"},
        {{"userlist"}, 0, "dora poster created="},
        {{"userlist"}, 0, " scram=yes"},
        {{"userdel", "dora"}, 0, "Ok"},
        {{"userpasswd", "alice", "HASH"}, 0, "Ok"},
        {{"userpasswd", "nobody", "HASH"}, -1, "there is no account nobody"},
        {{"userpasswd", "alice", "geheim"}, -1, "no hash of a password"},
        {{"userdel", "bob"}, 0, "Ok"},
        {{"userdel", "bob"}, -1, "there is no account bob"},
        {{"userlist"}, 0, "alice admin created="},
    };
    struct world *world = *state;
    struct account_counts counts;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (command(world, rows[i].words) != rows[i].result
            || strstr(buffer_text(&world->answer), rows[i].answer) == NULL)
            fail_msg("row %zu (%s %s): %s", i, rows[i].words[0],
                     rows[i].words[1], buffer_text(&world->answer));
    }
    assert_int_equal(accounts_count(world->accounts, &counts, NULL), 0);
    assert_int_equal(counts.all, 3);
    assert_int_equal(counts.scram, 0);
}

static void
test_an_account_is_found_by_its_whole_name(void **state)
{
    struct world *world = *state;
    struct account account;

    assert_int_equal(
        command(world, (const char *const[]){"useradd", "alice", "moderator",
                                             "HASH", NULL}),
        0);
    assert_int_equal(
        account_find(world->accounts, "alicexyz", 5, &account, NULL), 1);
    assert_int_equal(account.role, ACCOUNT_MODERATOR);
    assert_string_equal(account.hash, world->hash);
    assert_int_equal(account_find(world->accounts, "alic", 4, &account, NULL),
                     0);
    assert_int_equal(account_find(world->accounts, "Alice", 5, &account, NULL),
                     0);
}

static void
test_what_an_admin_has_changed_is_found(void **state)
{
    static const char *const steps[][5] = {
        {"useradd", "alice", "moderator", "SECRET"},
        {"usermod", "alice", "moderates", "mod.*"},
        {"usermod", "alice", "disabled", "yes"},
    };
    struct world *world = *state;
    struct account account;

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(command(world, steps[i]), 0);
    assert_int_equal(account_find(world->accounts, "alice", 5, &account, NULL),
                     1);
    assert_string_equal(account.moderates, "mod.*");
    assert_true(account.disabled);
    assert_string_equal(account.scram, strchr(world->secret, ' ') + 1);
    assert_int_equal(
        command(world, (const char *const[]){"usermod", "alice", "disabled",
                                             "no", NULL}),
        0);
    /* Another password takes the old one's verifier along. */
    assert_int_equal(
        command(world,
                (const char *const[]){"userpasswd", "alice", "HASH", NULL}),
        0);
    assert_int_equal(account_find(world->accounts, "alice", 5, &account, NULL),
                     1);
    assert_false(account.disabled);
    assert_string_equal(account.scram, "");
}

static void
test_the_key_lives_as_long_as_the_database(void **state)
{
    struct world *world = *state;
    unsigned char key[ACCOUNT_KEY_OCTETS];

    memcpy(key, accounts_key(world->accounts), sizeof(key));
    accounts_close(&world->accounts);
    world->accounts = accounts_open("sqlite", world->directory, NULL);
    assert_memory_equal(accounts_key(world->accounts), key, sizeof(key));
}

static void
test_accounts_are_there_after_a_new_start(void **state)
{
    struct world *world = *state;
    struct account account;

    assert_int_equal(command(world, (const char *const[]){"useradd", "alice",
                                                          "HASH", NULL}),
                     0);
    accounts_close(&world->accounts);
    world->accounts =
        accounts_open("sqlite", world->directory, &world->answer);
    assert_non_null(world->accounts);
    assert_int_equal(account_find(world->accounts, "alice", 5, &account, NULL),
                     1);
    assert_int_equal(account.role, ACCOUNT_POSTER);
}

static void
test_nobody_else_may_read_the_files(void **state)
{
    struct world *world = *state;
    struct stat status;
    char *path = path_of(world, "accounts.sqlite");
    char *journal = path_of(world, "accounts.sqlite-journal");

    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat(journal, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    free(path);
    free(journal);
}

/* Change the database behind its owner's back. */
static void
meddle(struct world *world, const char *sql)
{
    sqlite3 *database;
    char *path = path_of(world, "accounts.sqlite");

    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    free(path);
}

static void
test_a_row_that_is_none_of_ours_lets_nobody_in(void **state)
{
    struct world *world = *state;
    struct account account;
    struct buffer why = BUFFER_EMPTY;

    assert_int_equal(command(world, (const char *const[]){"useradd", "alice",
                                                          "HASH", NULL}),
                     0);
    meddle(world, "UPDATE account SET hash = 'geheim'");
    assert_int_equal(account_find(world->accounts, "alice", 5, &account, &why),
                     -1);
    assert_non_null(strstr(buffer_text(&why), "none of ours"));
    buffer_free(&why);
}

static void
test_a_database_of_the_first_version_is_brought_along(void **state)
{
    struct world *world = *state;
    struct account account;
    char *sql =
        xasprintf("DROP TABLE account; DROP TABLE account_setting;"
                  "CREATE TABLE account (name TEXT PRIMARY KEY,"
                  " role TEXT NOT NULL, hash TEXT NOT NULL,"
                  " created INTEGER NOT NULL, changed INTEGER NOT NULL)"
                  " STRICT, WITHOUT ROWID; PRAGMA user_version = 1;"
                  "INSERT INTO account VALUES ('alice', 'admin', '%s', 1, 1)",
                  world->hash);

    accounts_close(&world->accounts);
    meddle(world, sql);
    free(sql);
    world->accounts = accounts_open("sqlite", world->directory, NULL);
    assert_non_null(world->accounts);
    assert_int_equal(account_find(world->accounts, "alice", 5, &account, NULL),
                     1);
    assert_int_equal(account.role, ACCOUNT_ADMIN);
    assert_string_equal(account.moderates, "*");
    assert_string_equal(account.scram, "");
    assert_false(account.disabled);
}

static void
test_a_database_of_another_version_is_not_opened(void **state)
{
    struct world *world = *state;

    accounts_close(&world->accounts);
    meddle(world, "PRAGMA user_version = 7");
    assert_null(accounts_open("sqlite", world->directory, &world->answer));
    assert_string_equal(buffer_text(&world->answer),
                        "accounts: version 7, not 2");
}

/* --- passwords --- */

static void
test_a_password_belongs_to_its_hash_alone(void **state)
{
    char one[PASSWORD_HASH_OCTETS];
    char other[PASSWORD_HASH_OCTETS];

    (void)state;
    password_open();
    assert_int_equal(password_hash("geheim", 6, one), 0);
    assert_int_equal(password_hash("geheim", 6, other), 0);
    assert_string_not_equal(one, other); /* each has its salt */
    assert_true(password_hash_is_valid(one));
    assert_true(password_verify("geheim", 6, one));
    assert_true(password_verify("geheim", 6, other));
    assert_false(password_verify("geheiM", 6, one));
    assert_false(password_verify("geheim", 5, one));
    assert_false(password_verify("geheim", 6, NULL));
    assert_false(password_verify("geheim", 6, "geheim"));
    assert_false(password_hash_is_valid("$2b$12$abcdefghijklmnopqrstuv"));
}

static int
compare(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;

    return (difference > 0) - (difference < 0);
}

/* How long a check takes, the median of several, in milliseconds. */
static double
verify_ms(const char *hash)
{
    double times[15];

    for (size_t i = 0; i < 15; i++) {
        struct timespec begun;
        struct timespec ended;

        clock_gettime(CLOCK_MONOTONIC, &begun);
        assert_false(password_verify("falsch", 6, hash));
        clock_gettime(CLOCK_MONOTONIC, &ended);
        times[i] = (double)(ended.tv_sec - begun.tv_sec) * 1e3
                   + (double)(ended.tv_nsec - begun.tv_nsec) / 1e6;
    }
    qsort(times, 15, sizeof(times[0]), compare);
    return times[7];
}

/* Printed, and asserted only so far as no machine's load can upset. */
static void
test_no_account_takes_as_long_as_a_wrong_password(void **state)
{
    char hash[PASSWORD_HASH_OCTETS];
    double known;
    double unknown;

    (void)state;
    password_open();
    assert_int_equal(password_hash("geheim", 6, hash), 0);
    known = verify_ms(hash);
    unknown = verify_ms(NULL);
    print_message(
        "median of a check: %.2f ms, of one for no account: %.2f ms\n", known,
        unknown);
    assert_true(unknown > known / 10);
}

static void
test_what_nntp_cannot_carry_is_no_password(void **state)
{
    char longest[PASSWORD_OCTETS_MAX + 1];

    (void)state;
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(password_check("x", 1, NULL), 0);
    assert_int_equal(password_check("p\xc3\xa4ss:w\xff", 8, NULL), 0);
    assert_int_equal(password_check(longest, PASSWORD_OCTETS_MAX, NULL), 0);
    assert_int_equal(password_check(longest, sizeof(longest), NULL), -1);
    assert_int_equal(password_check("", 0, NULL), -1);
    assert_int_equal(password_check("a b", 3, NULL), -1);
    assert_int_equal(password_check("a\tb", 3, NULL), -1);
    assert_int_equal(password_check("a\0b", 3, NULL), -1);
    assert_int_equal(password_check("a\rb", 3, NULL), -1);
}

int
main(void)
{
#define IN_WORLD(test)                                                        \
    cmocka_unit_test_setup_teardown(test, world_open, world_close)
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_words_are_carried_out_or_refused_with_a_reason),
        IN_WORLD(test_an_account_is_found_by_its_whole_name),
        IN_WORLD(test_what_an_admin_has_changed_is_found),
        IN_WORLD(test_the_key_lives_as_long_as_the_database),
        IN_WORLD(test_accounts_are_there_after_a_new_start),
        IN_WORLD(test_a_database_of_the_first_version_is_brought_along),
        IN_WORLD(test_nobody_else_may_read_the_files),
        IN_WORLD(test_a_row_that_is_none_of_ours_lets_nobody_in),
        IN_WORLD(test_a_database_of_another_version_is_not_opened),
        cmocka_unit_test(test_a_password_belongs_to_its_hash_alone),
        cmocka_unit_test(test_no_account_takes_as_long_as_a_wrong_password),
        cmocka_unit_test(test_what_nntp_cannot_carry_is_no_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
