#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/limit.h"

#define SECOND UINT64_C(1000000000)

static const uint64_t start_ns = 1000 * SECOND;

static int
table_open(void **state)
{
    struct limit_table *table =
        mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(table, MAP_FAILED);
    limit_table_init(table);
    *state = table;
    return 0;
}

static int
table_close(void **state)
{
    munmap(*state, sizeof(struct limit_table));
    return 0;
}

static uint64_t
key_of(const struct limit_table *table, const char *name)
{
    return limit_key(table, LIMIT_USER, name, strlen(name));
}

static void
test_a_period_of_them_at_once_and_then_evenly(void **state)
{
    struct limit_table *table = *state;
    struct limit limit = {LIMIT_POSTS, 60}; /* an hour: one a minute */
    uint64_t key = key_of(table, "alice");

    for (int i = 0; i < 60; i++) {
        assert_int_equal(limit_wait(table, key, &limit, start_ns), 0);
        assert_int_equal(limit_take(table, key, &limit, 1, start_ns), 0);
    }
    assert_int_equal(limit_take(table, key, &limit, 1, start_ns), 60 * SECOND);
    assert_int_equal(limit_wait(table, key, &limit, start_ns + 10 * SECOND),
                     50 * SECOND);
    /* Who was refused has used nothing. */
    assert_int_equal(limit_take(table, key, &limit, 1, start_ns + 60 * SECOND),
                     0);
    assert_int_not_equal(
        limit_take(table, key, &limit, 1, start_ns + 61 * SECOND), 0);
    /* An hour later all of it is there again, and no more than that. */
    for (int i = 0; i < 60; i++)
        assert_int_equal(
            limit_take(table, key, &limit, 1, start_ns + 9000 * SECOND), 0);
    assert_int_not_equal(
        limit_take(table, key, &limit, 1, start_ns + 9000 * SECOND), 0);
}

static void
test_others_are_not_concerned(void **state)
{
    struct limit_table *table = *state;
    struct limit posts = {LIMIT_POSTS, 1};
    struct limit commands = {LIMIT_COMMANDS, 1};

    assert_int_equal(
        limit_take(table, key_of(table, "alice"), &posts, 1, start_ns), 0);
    assert_int_not_equal(
        limit_take(table, key_of(table, "alice"), &posts, 1, start_ns), 0);
    assert_int_equal(
        limit_take(table, key_of(table, "bob"), &posts, 1, start_ns), 0);
    assert_int_equal(
        limit_take(table, key_of(table, "alice"), &commands, 1, start_ns), 0);
    /* The same octets, but another scope. */
    assert_int_equal(limit_take(table,
                                limit_key(table, LIMIT_ADDRESS, "alice", 5),
                                &posts, 1, start_ns),
                     0);
}

static void
test_what_cannot_be_refused_makes_the_next_one_wait(void **state)
{
    struct limit_table *table = *state;
    struct limit limit = {LIMIT_OCTETS, 86400}; /* one a second */
    uint64_t key = key_of(table, "alice");

    limit_charge(table, key, &limit, 86400 + 100, start_ns);
    assert_int_equal(limit_wait(table, key, &limit, start_ns), 101 * SECOND);
    assert_int_equal(limit_wait(table, key, &limit, start_ns + 101 * SECOND),
                     0);
}

static void
test_no_limit_counts_nothing(void **state)
{
    struct limit_table *table = *state;
    struct limit none = {LIMIT_POSTS, 0};
    struct limit one = {LIMIT_POSTS, 1};
    uint64_t key = key_of(table, "alice");

    for (int i = 0; i < 1000; i++)
        assert_int_equal(limit_take(table, key, &none, 1, start_ns), 0);
    /* A limit that comes by a reload begins with a clean slate. */
    assert_int_equal(limit_take(table, key, &one, 1, start_ns), 0);
}

static void
test_a_full_table_makes_room_when_rows_say_nothing_any_more(void **state)
{
    struct limit_table *table = *state;
    struct limit limit = {LIMIT_COMMANDS, 1};
    unsigned uncounted = 0;
    char name[32];

    for (int i = 0; i < 4 * LIMIT_ROWS; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        assert_int_equal(
            limit_take(table, key_of(table, name), &limit, 1, start_ns), 0);
    }
    for (int i = 0; i < 4 * LIMIT_ROWS; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        uncounted +=
            limit_wait(table, key_of(table, name), &limit, start_ns) == 0;
    }
    assert_true(uncounted >= 3 * LIMIT_ROWS);
    assert_true(uncounted < 4 * LIMIT_ROWS);
    /* Two minutes later nobody needs his row. */
    assert_int_equal(limit_take(table, key_of(table, "late"), &limit, 1,
                                start_ns + 121 * SECOND),
                     0);
    assert_int_not_equal(limit_take(table, key_of(table, "late"), &limit, 1,
                                    start_ns + 121 * SECOND),
                         0);
}

static void
test_sessions_are_counted_by_worker(void **state)
{
    struct limit_table *table = *state;
    uint64_t key = key_of(table, "alice");

    limit_count_session(table, key, 0, 1);
    limit_count_session(table, key, 7, 1);
    limit_count_session(table, key, 7, 1);
    assert_int_equal(limit_sessions(table, key), 3);
    limit_count_session(table, key, 0, -1);
    assert_int_equal(limit_sessions(table, key), 2);
    /* Worker 7 was killed, and begins anew. */
    limit_forget_worker(table, 7);
    assert_int_equal(limit_sessions(table, key), 0);
    limit_count_session(table, key, 7, -1);
    assert_int_equal(limit_sessions(table, key), 0);
}

/* Eight processes take what is there for one of them: none is given twice. */
static void
test_processes_share_one_account(void **state)
{
    enum { PROCESSES = 8, TRIES = 2000, MOST = 5000 };
    struct limit_table *table = *state;
    struct limit limit = {LIMIT_COMMANDS, MOST};
    uint64_t key = key_of(table, "alice");
    int got = 0;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            int mine = 0;

            for (int j = 0; j < TRIES; j++)
                mine += limit_take(table, key, &limit, 1, start_ns) == 0;
            _exit(write(ends[1], &mine, sizeof(mine)) == sizeof(mine) ? 0 : 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status, one;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
        assert_int_equal(read(ends[0], &one, sizeof(one)), sizeof(one));
        got += one;
    }
    /* Two may make the row at the same moment; what one counts in the copy
       that is given up is lost. */
    assert_in_range(got, MOST, MOST + PROCESSES);
}

static void
test_networks_and_addresses(void **state)
{
    static const struct {
        const char *one, *other;
        enum limit_scope scope;
        bool same;
        const char *promise;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", LIMIT_ADDRESS, true, "itself"},
        {"192.0.2.1", "192.0.2.2", LIMIT_ADDRESS, false, "its neighbour"},
        {"192.0.2.1", "192.0.2.2", LIMIT_NETWORK, true, "one /24"},
        {"192.0.2.1", "192.0.3.1", LIMIT_NETWORK, false, "another /24"},
        {"2001:db8:1::1", "2001:db8:1:2::3", LIMIT_ADDRESS, true, "one /48"},
        {"2001:db8:1::1", "2001:db8:2::1", LIMIT_ADDRESS, false,
         "another /48"},
        {"2001:db8:1::1", "2001:db8:2::1", LIMIT_NETWORK, true, "one /32"},
        {"2001:db8::1", "2001:db9::1", LIMIT_NETWORK, false, "another /32"},
        {"0.0.0.0", "::", LIMIT_NETWORK, false, "IPv4 is not IPv6"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t one[LIMIT_SITE_OCTETS], other[LIMIT_SITE_OCTETS];

        limit_site(rows[i].one, rows[i].scope, one);
        limit_site(rows[i].other, rows[i].scope, other);
        if ((memcmp(one, other, sizeof(one)) == 0) != rows[i].same)
            fail_msg("%s", rows[i].promise);
    }
}

static void
test_fast_posts_wait_longer_and_longer(void **state)
{
    static const unsigned waits[] = {0, 0, 0, 1, 3, 7, 15};
    struct limit_table *table = *state;
    struct limit_back_off back_off = {
        .fast_seconds = 30, .slow_seconds = 60, .trigger = 3, .k = 1};
    uint64_t key = key_of(table, "alice");
    uint64_t now_ns = start_ns;

    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        limit_back_off_count(table, key, &back_off, now_ns);
        assert_int_equal(limit_back_off_wait(table, key, now_ns),
                         waits[i] * SECOND);
        now_ns += waits[i] * SECOND;
    }
    /* Neither fast nor slow: it stays as it is. */
    now_ns += 40 * SECOND;
    limit_back_off_count(table, key, &back_off, now_ns);
    assert_int_equal(limit_back_off_wait(table, key, now_ns), 15 * SECOND);
    now_ns += 61 * SECOND;
    limit_back_off_count(table, key, &back_off, now_ns);
    assert_int_equal(limit_back_off_wait(table, key, now_ns), 0);
}

static void
test_a_limit_in_words(void **state)
{
    static const struct {
        struct limit limit;
        uint64_t wait_ns;
        const char *text;
    } rows[] = {
        {{LIMIT_POSTS, 20},
         1,
         "at most 20 posts an hour; try again in "
         "1 second"},
        {{LIMIT_OCTETS, 5},
         90 * SECOND,
         "at most 5 octets a day; try again "
         "in 90 seconds"},
        {{LIMIT_COMMANDS, 5},
         121 * SECOND,
         "at most 5 commands a minute; try "
         "again in 3 minutes"},
        {{LIMIT_OCTETS, 5},
         7201 * SECOND,
         "at most 5 octets a day; try again "
         "in 3 hours"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer text = BUFFER_EMPTY;

        limit_explain(&rows[i].limit, rows[i].wait_ns, &text);
        assert_string_equal(buffer_text(&text), rows[i].text);
        buffer_free(&text);
    }
}

#define WITH_TABLE(test)                                                      \
    cmocka_unit_test_setup_teardown(test, table_open, table_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(test_a_period_of_them_at_once_and_then_evenly),
        WITH_TABLE(test_others_are_not_concerned),
        WITH_TABLE(test_what_cannot_be_refused_makes_the_next_one_wait),
        WITH_TABLE(test_no_limit_counts_nothing),
        WITH_TABLE(
            test_a_full_table_makes_room_when_rows_say_nothing_any_more),
        WITH_TABLE(test_sessions_are_counted_by_worker),
        WITH_TABLE(test_processes_share_one_account),
        WITH_TABLE(test_fast_posts_wait_longer_and_longer),
        cmocka_unit_test(test_networks_and_addresses),
        cmocka_unit_test(test_a_limit_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
