#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/shared.h"

enum { ROUNDS = 20000 };

static void
test_a_child_sees_what_the_master_made(void **state)
{
    int fd;
    struct shared *master = shared_create(&fd);
    struct shared *child = shared_map(fd);
    char reason[SHARED_REASON_OCTETS];

    (void)state;
    assert_int_equal(shared_mode(child, reason), MODE_RUNNING);
    assert_string_equal(reason, "");
    shared_set_mode(master, MODE_PAUSED, "the disk is moved");
    assert_int_equal(shared_mode(child, reason), MODE_PAUSED);
    assert_string_equal(reason, "the disk is moved");
    assert_true(atomic_load(&child->started) > 0);
    assert_int_equal(ftruncate(fd, 0), -1); /* sealed against SIGBUS */
    munmap(child, sizeof(*child));
    munmap(master, sizeof(*master));
    close(fd);
}

static void
test_a_reason_too_long_is_cut(void **state)
{
    int fd;
    struct shared *shared = shared_create(&fd);
    char reason[SHARED_REASON_OCTETS];
    char text[SHARED_REASON_OCTETS * 2];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    shared_set_mode(shared, MODE_THROTTLED, text);
    assert_int_equal(shared_mode(shared, reason), MODE_THROTTLED);
    assert_int_equal(strlen(reason), SHARED_REASON_OCTETS - 1);
    shared_set_mode(shared, MODE_RUNNING, "y");
    assert_int_equal(shared_mode(shared, reason), MODE_RUNNING);
    assert_string_equal(reason, "y"); /* nothing of the longer one is left */
    munmap(shared, sizeof(*shared));
    close(fd);
}

/* The mode says which letter the whole reason is made of. */
static void *
change_modes(void *context)
{
    char paused[SHARED_REASON_OCTETS];
    char throttled[SHARED_REASON_OCTETS];

    memset(paused, 'p', sizeof(paused));
    paused[sizeof(paused) - 1] = '\0';
    memset(throttled, 't', sizeof(throttled));
    throttled[200] = '\0';
    for (int i = 0; i < ROUNDS; i++) {
        shared_set_mode(context, MODE_PAUSED, paused);
        shared_set_mode(context, MODE_THROTTLED, throttled);
    }
    shared_set_mode(context, MODE_RUNNING, "");
    return NULL;
}

static void
test_mode_and_reason_are_of_one_moment(void **state)
{
    int fd;
    struct shared *shared = shared_create(&fd);
    char reason[SHARED_REASON_OCTETS];
    enum server_mode mode;
    pthread_t writer;

    (void)state;
    shared_set_mode(shared, MODE_PAUSED, "p");
    assert_int_equal(pthread_create(&writer, NULL, change_modes, shared), 0);
    while ((mode = shared_mode(shared, reason)) != MODE_RUNNING) {
        char letter = mode == MODE_PAUSED ? 'p' : 't';
        size_t length = strlen(reason);

        assert_int_equal(strspn(reason, letter == 'p' ? "p" : "t"), length);
        if (length != 1)
            assert_int_equal(length, letter == 'p' ? 255 : 200);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    munmap(shared, sizeof(*shared));
    close(fd);
}

struct reader {
    struct shared *shared;
    atomic_bool started;
    enum server_mode mode;
    char reason[SHARED_REASON_OCTETS];
};

static void *
read_mode(void *context)
{
    struct reader *reader = context;

    atomic_store(&reader->started, true);
    reader->mode = shared_mode(reader->shared, reader->reason);
    return NULL;
}

static void
test_a_change_under_way_is_waited_for(void **state)
{
    int fd;
    struct reader reader = {.shared = shared_create(&fd)};
    struct shared *shared = reader.shared;
    pthread_t thread;

    (void)state;
    /* As shared_set_mode() leaves it in the middle of its work. */
    atomic_fetch_add(&shared->mode_sequence, 1);
    strcpy(shared->mode_reason, "hal");
    assert_int_equal(pthread_create(&thread, NULL, read_mode, &reader), 0);
    while (!atomic_load(&reader.started))
        sched_yield();
    for (int i = 0; i < ROUNDS; i++)
        sched_yield();
    strcpy(shared->mode_reason, "half and whole");
    atomic_store(&shared->mode, MODE_PAUSED);
    atomic_fetch_add(&shared->mode_sequence, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.mode, MODE_PAUSED);
    assert_string_equal(reader.reason, "half and whole");
    munmap(shared, sizeof(*shared));
    close(fd);
}

static void
test_counters_are_summed_over_all_slots(void **state)
{
    int fd;
    struct shared *shared = shared_create(&fd);

    (void)state;
    shared_count(&shared->slots[0], COUNTER_POSTED, 1);
    shared_count(&shared->slots[5], COUNTER_POSTED, 20);
    shared_count(&shared->slots[SHARED_SLOTS - 1], COUNTER_POSTED, 300);
    shared_count(&shared->slots[5], COUNTER_REFUSED, 7);
    assert_int_equal(shared_sum(shared, COUNTER_POSTED), 321);
    assert_int_equal(shared_sum(shared, COUNTER_REFUSED), 7);
    assert_int_equal(shared_sum(shared, COUNTER_STORED), 0);
    for (enum counter i = 0; i < COUNTER_COUNT; i++)
        assert_non_null(counter_name(i));
    assert_string_equal(counter_name(COUNTER_ARTICLES_SENT), "articles_sent");
    munmap(shared, sizeof(*shared));
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_child_sees_what_the_master_made),
        cmocka_unit_test(test_a_reason_too_long_is_cut),
        cmocka_unit_test(test_mode_and_reason_are_of_one_moment),
        cmocka_unit_test(test_a_change_under_way_is_waited_for),
        cmocka_unit_test(test_counters_are_summed_over_all_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
