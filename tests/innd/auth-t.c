/* What the auth process is made of: logins remembered, failures and their
   waits, the queue of the hashing threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>

#include "innd/failure.h"
#include "innd/hasher.h"
#include "innd/verified.h"
#include "lib/password.h"

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
    struct verified *verified = verified_new();
    struct login_tag tag = tag_of(verified, "alice", "geheim");
    struct login_tag wrong = tag_of(verified, "alice", "Geheim");

    (void)state;
    assert_int_equal(verified_find(verified, &tag, NOW), 0);
    verified_add(verified, &tag, "alice", 5, 3, NOW);
    assert_int_equal(verified_find(verified, &tag, NOW), 3);
    assert_int_equal(verified_find(verified, &wrong, NOW), 0);
    assert_int_equal(verified_find(verified, &tag, NOW + VERIFIED_MS - 1), 3);
    assert_int_equal(verified_find(verified, &tag, NOW + VERIFIED_MS), 0);
    verified_free(&verified);
}

static void
test_a_changed_account_is_not_remembered(void **state)
{
    struct verified *verified = verified_new();
    struct login_tag alice = tag_of(verified, "alice", "geheim");
    struct login_tag bob = tag_of(verified, "bob", "geheim");

    (void)state;
    verified_add(verified, &alice, "alice", 5, 1, NOW);
    verified_add(verified, &bob, "bob", 3, 2, NOW);
    verified_drop(verified, "alice", 5);
    assert_int_equal(verified_find(verified, &alice, NOW), 0);
    assert_int_equal(verified_find(verified, &bob, NOW), 2);
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

/* --- the hashing threads --- */

static void
take(struct hasher *hasher, void **context_r, bool *matches_r)
{
    struct pollfd readable = {.fd = hasher_fd(hasher), .events = POLLIN};

    while (!hasher_take(hasher, context_r, matches_r))
        assert_int_equal(poll(&readable, 1, 60000), 1);
}

static void
test_checks_come_back_with_their_context(void **state)
{
    static const struct {
        const char *password;
        bool known;
        bool matches;
    } rows[] = {{"geheim", true, true},
                {"falsch", true, false},
                {"geheim", false, false}};
    char hash[PASSWORD_HASH_OCTETS];
    struct hasher *hasher;
    void *context;
    bool matches;

    (void)state;
    password_open();
    assert_int_equal(password_hash("geheim", 6, hash), 0);
    hasher = hasher_new();
    for (size_t i = 0; i < 3; i++)
        assert_true(hasher_submit(hasher, rows[i].password, 6,
                                  rows[i].known ? hash : NULL,
                                  (void *)(uintptr_t)&rows[i]));
    for (size_t i = 0; i < 3; i++) {
        take(hasher, &context, &matches);
        for (size_t j = 0; j < 3; j++)
            if (context == (const void *)&rows[j])
                assert_int_equal(matches, rows[j].matches);
    }
    hasher_free(&hasher);
}

static void
test_the_queue_has_an_end(void **state)
{
    struct hasher *hasher;
    int taken = 0;
    void *context;
    bool matches;

    (void)state;
    password_open();
    hasher = hasher_new();
    while (taken < 1000 && hasher_submit(hasher, "x", 1, NULL, &taken))
        taken++;
    /* The threads may have finished some meanwhile. */
    assert_in_range(taken, HASHER_QUEUE_MAX, HASHER_QUEUE_MAX + 8);
    take(hasher, &context, &matches);
    assert_ptr_equal(context, &taken);
    assert_true(hasher_submit(hasher, "x", 1, NULL, &taken));
    /* What waits is dropped. */
    hasher_free(&hasher);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_login_is_remembered_for_five_minutes),
        cmocka_unit_test(test_a_changed_account_is_not_remembered),
        cmocka_unit_test(test_where_the_name_ends_counts),
        cmocka_unit_test(test_the_delay_doubles_up_to_its_bound),
        cmocka_unit_test(test_an_address_that_failed_gets_one_turn_a_second),
        cmocka_unit_test(test_an_ipv6_site_is_one_address),
        cmocka_unit_test(
            test_time_forgets_and_so_does_the_owner_for_his_account),
        cmocka_unit_test(test_checks_come_back_with_their_context),
        cmocka_unit_test(test_the_queue_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
