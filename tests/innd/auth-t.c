/* What the auth process is made of: logins remembered, failures and their
   waits, what the threads say and their queues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>
#include <unistd.h>

#include "innd/check.h"
#include "innd/checker.h"
#include "innd/failure.h"
#include "innd/verified.h"
#include "lib/memory.h"
#include "lib/password.h"
#include "lib/shared.h"

enum { NOW = 1000000 };

static struct login_tag
tag_of(const struct verified *verified, const char *name, const char *password)
{
    return verified_tag(verified, name, strlen(name), password,
                        strlen(password));
}

/* --- verified --- */

static void
test_a_login_is_remembered_for_five_minutes(void **state)
{
    const struct verified_account account = {
        .generation = 4, .role = 3, .source = 1, .moderates = "mod.*"};
    struct verified *verified = verified_new();
    struct login_tag tag = tag_of(verified, "alice", "geheim");
    struct login_tag wrong = tag_of(verified, "alice", "Geheim");
    const struct verified_account *found;

    (void)state;
    assert_null(verified_find(verified, &tag, 4, NOW));
    verified_add(verified, &tag, &account, NOW);
    found = verified_find(verified, &tag, 4, NOW + VERIFIED_MS - 1);
    assert_non_null(found);
    assert_int_equal(found->role, 3);
    assert_string_equal(found->moderates, "mod.*");
    assert_null(verified_find(verified, &wrong, 4, NOW));
    assert_null(verified_find(verified, &tag, 4, NOW + VERIFIED_MS));
    /* An account has changed: perhaps this one. */
    assert_null(verified_find(verified, &tag, 5, NOW));
    verified_free(&verified);
}

static void
test_where_the_name_ends_counts(void **state)
{
    struct verified *verified = verified_new();
    struct verified *other = verified_new();
    struct login_tag one = tag_of(verified, "ab", "c");
    struct login_tag two = tag_of(verified, "a", "bc");
    struct login_tag three = tag_of(other, "ab", "c");

    (void)state;
    assert_false(login_tags_equal(&one, &two));
    /* Another process has another key. */
    assert_false(login_tags_equal(&one, &three));
    verified_free(&verified);
    verified_free(&other);
}

/* --- failures --- */

static void
test_the_delay_doubles_up_to_its_bound(void **state)
{
    static const int64_t delays[] = {1000,  2000,  4000,  8000,
                                     16000, 32000, 32000, 32000};
    struct failures *failures = failures_new();

    (void)state;
    for (size_t i = 0; i < sizeof(delays) / sizeof(*delays); i++)
        assert_int_equal(failures_note(failures, "192.0.2.1", "alice", 5, NOW),
                         delays[i]);
    /* The account's count holds for who comes from elsewhere. */
    assert_int_equal(failures_note(failures, "192.0.2.2", "alice", 5, NOW),
                     32000);
    assert_int_equal(failures_note(failures, "192.0.2.3", "bob", 3, NOW),
                     1000);
    failures_free(&failures);
}

static void
test_an_address_that_failed_gets_one_turn_a_second(void **state)
{
    struct failures *failures = failures_new();
    int64_t waits = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(failures_turn_ms(failures, "192.0.2.1", NOW), 0);
    failures_note(failures, "192.0.2.1", "alice", 5, NOW);
    while (!failures_are_full(failures, "192.0.2.1", NOW)) {
        waits++;
        assert_int_equal(failures_turn_ms(failures, "192.0.2.1", NOW),
                         waits * FAILURE_TURN_MS);
    }
    assert_int_equal(waits, FAILURE_TURNS_MAX);
    /* Later there is room again; and others never waited. */
    assert_false(failures_are_full(failures, "192.0.2.1", NOW + 5000));
    assert_true(failures_turn_ms(failures, "192.0.2.1", NOW + 5000) > 0);
    assert_false(failures_are_full(failures, "192.0.2.2", NOW));
    assert_int_equal(failures_turn_ms(failures, "192.0.2.2", NOW), 0);
    failures_free(&failures);
}

static void
test_an_ipv6_site_is_one_address(void **state)
{
    struct failures *failures = failures_new();

    (void)state;
    failures_note(failures, "2001:db8:1:2::3", "alice", 5, NOW);
    assert_true(failures_turn_ms(failures, "2001:db8:1:ffff::4", NOW) > 0);
    assert_int_equal(failures_turn_ms(failures, "2001:db8:2::3", NOW), 0);
    failures_free(&failures);
}

static void
test_time_forgets_and_so_does_the_owner_for_his_account(void **state)
{
    struct failures *failures = failures_new();
    int64_t later = NOW + FAILURE_FORGET_MS + 1;

    (void)state;
    for (int i = 0; i < 4; i++)
        failures_note(failures, "192.0.2.1", "alice", 5, NOW);
    failures_forget_account(failures, "alice", 5);
    assert_int_equal(failures_note(failures, "192.0.2.9", "alice", 5, NOW),
                     1000);
    /* The address's count stays, or one account would buy tries at others. */
    assert_int_equal(failures_note(failures, "192.0.2.1", "bob", 3, NOW),
                     16000);
    assert_int_equal(failures_turn_ms(failures, "192.0.2.1", later), 0);
    assert_int_equal(failures_note(failures, "192.0.2.1", "bob", 3, later),
                     1000);
    failures_free(&failures);
}

/* --- the threads --- */

struct place {
    char directory[32];
    struct event_base *base;
    struct checker *checker;
    int done;
};

static void
place_open(struct place *place)
{
    struct accounts *accounts;
    struct buffer answer = BUFFER_EMPTY;
    char hash[PASSWORD_HASH_OCTETS];
    const char *const words[] = {"useradd", "alice", hash};

    *place = (struct place){.directory = "/tmp/auth-XXXXXX"};
    assert_non_null(mkdtemp(place->directory));
    accounts = accounts_open("sqlite", place->directory, &answer);
    assert_non_null(accounts);
    assert_int_equal(password_hash("geheim", 6, hash), 0);
    assert_int_equal(accounts_command(accounts, 3, words, &answer), 0);
    accounts_close(&accounts);
    buffer_free(&answer);
    place->base = event_base_new();
    place->checker = checker_open("sqlite", place->directory, NULL);
    assert_non_null(place->checker);
    checker_start(place->checker, place->base);
}

static void
place_close(struct place *place)
{
    static const char *const files[] = {"accounts.sqlite",
                                        "accounts.sqlite-journal"};

    checker_free(&place->checker);
    event_base_free(place->base);
    for (size_t i = 0; i < 2; i++) {
        char *path = xasprintf("%s/%s", place->directory, files[i]);

        assert_int_equal(unlink(path), 0);
        free(path);
    }
    assert_int_equal(rmdir(place->directory), 0);
}

static int done_count;

static void
count_done(void *work)
{
    (void)work;
    done_count++;
}

static void
done_wait(struct place *place, int count)
{
    while (done_count < count)
        assert_int_equal(event_base_loop(place->base, EVLOOP_ONCE), 0);
}

static void
test_a_check_says_what_the_database_says(void **state)
{
    static const struct {
        enum ipc_login_kind kind;
        const char *name;
        const char *secret;
        enum verdict verdict;
        const char *promise;
    } rows[] = {
        {LOGIN_PASSWORD, "alice", "geheim", VERDICT_RIGHT, "the password"},
        {LOGIN_PASSWORD, "alice", "falsch", VERDICT_WRONG, "another"},
        {LOGIN_PASSWORD, "bob", "geheim", VERDICT_UNKNOWN, "no account"},
        {LOGIN_CERTIFICATE, "alice", "", VERDICT_RIGHT, "by certificate"},
        {LOGIN_CERTIFICATE, "bob", "", VERDICT_UNKNOWN, "no account"},
        {LOGIN_AGAIN, "alice", "", VERDICT_RIGHT, "it is there still"},
        {LOGIN_AGAIN, "bob", "", VERDICT_UNKNOWN, "it is not"},
        {LOGIN_SALT, "bob", "", VERDICT_RIGHT, "a salt for anybody"},
        {LOGIN_PROOF, "alice", "short", VERDICT_WRONG, "a proof that is none"},
    };
    enum { ROWS = sizeof(rows) / sizeof(*rows) };
    static struct shared shared;
    struct check checks[ROWS] = {0};
    struct place place;

    (void)state;
    place_open(&place);
    atomic_store(&shared.accounts_generation, 9);
    done_count = 0;
    for (size_t i = 0; i < ROWS; i++) {
        checks[i].shared = &shared;
        checks[i].kind = rows[i].kind;
        checks[i].name_octets = strlen(rows[i].name);
        memcpy(checks[i].name, rows[i].name, checks[i].name_octets);
        buffer_append_text(&checks[i].secret, rows[i].secret);
        assert_true(checker_submit(
            place.checker,
            rows[i].kind == LOGIN_PASSWORD ? CHECKER_SLOW : CHECKER_QUICK,
            check_run, count_done, &checks[i]));
    }
    done_wait(&place, ROWS);
    for (size_t i = 0; i < ROWS; i++) {
        if (checks[i].verdict != rows[i].verdict)
            fail_msg("%s: verdict %d", rows[i].promise, checks[i].verdict);
        assert_int_equal(checks[i].generation, 9);
        check_clear(&checks[i]);
    }
    place_close(&place);
}

static void
test_nobody_learns_who_has_a_verifier(void **state)
{
    static struct shared shared;
    struct check one = {.shared = &shared, .kind = LOGIN_SALT};
    struct check again = one;
    struct check other = one;
    struct accounts *accounts;
    struct place place;

    (void)state;
    place_open(&place);
    accounts = accounts_open("sqlite", place.directory, NULL);
    memcpy(one.name, "alice", one.name_octets = 5);
    memcpy(again.name, "alice", again.name_octets = 5);
    memcpy(other.name, "nobody", other.name_octets = 6);
    check_run(accounts, &one);
    accounts_close(&accounts);
    accounts = accounts_open("sqlite", place.directory, NULL);
    check_run(accounts, &again);
    check_run(accounts, &other);
    /* Always the same salt for a name, and no word of its role. */
    assert_memory_equal(one.scram, again.scram, SCRAM_KEY_OCTETS);
    assert_memory_not_equal(one.scram, other.scram, SCRAM_SALT_OCTETS);
    assert_int_equal(one.account.role, 0);
    accounts_close(&accounts);
    place_close(&place);
}

static void
hash_something(struct accounts *accounts, void *work)
{
    (void)accounts;
    (void)work;
    assert_false(password_verify("x", 1, NULL));
}

static void
test_the_slow_queue_has_an_end(void **state)
{
    struct place place;
    int taken = 0;

    (void)state;
    place_open(&place);
    done_count = 0;
    while (taken < 1000
           && checker_submit(place.checker, CHECKER_SLOW, hash_something,
                             count_done, &place))
        taken++;
    /* The threads may have finished some meanwhile. */
    assert_in_range(taken, CHECKER_SLOW_MAX, CHECKER_SLOW_MAX + 8);
    done_wait(&place, 1);
    assert_true(checker_submit(place.checker, CHECKER_SLOW, hash_something,
                               count_done, &place));
    /* What waits is dropped. */
    place_close(&place);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_login_is_remembered_for_five_minutes),
        cmocka_unit_test(test_where_the_name_ends_counts),
        cmocka_unit_test(test_the_delay_doubles_up_to_its_bound),
        cmocka_unit_test(test_an_address_that_failed_gets_one_turn_a_second),
        cmocka_unit_test(test_an_ipv6_site_is_one_address),
        cmocka_unit_test(
            test_time_forgets_and_so_does_the_owner_for_his_account),
        cmocka_unit_test(test_a_check_says_what_the_database_says),
        cmocka_unit_test(test_nobody_learns_who_has_a_verifier),
        cmocka_unit_test(test_the_slow_queue_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
