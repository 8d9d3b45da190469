#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/token.h"
#include "storage/active.h"

static int
set(struct active *active, uint32_t id, const char *name, char flag)
{
    return active_set(active, id, name, strlen(name), flag, 0, 100 + id,
                      "creator", "A description", NULL);
}

static uint32_t
find(const struct active *active, const char *name)
{
    return active_find(active, name, strlen(name));
}

static struct message_hash
hash_of(unsigned n)
{
    struct message_hash hash = {{0}};

    memcpy(hash.octets, &n, sizeof(n));
    memcpy(hash.octets + 8, &n, sizeof(n));
    return hash;
}

static void
test_a_group_is_found_with_all_that_was_set(void **state)
{
    struct active *active = active_new(10);
    struct buffer creator = BUFFER_EMPTY, description = BUFFER_EMPTY;
    struct group_marks marks;
    size_t octets;

    (void)state;
    assert_int_equal(find(active, "local.test"), 0);
    assert_int_equal(set(active, 1, "local.test", 'm'), 0);
    assert_int_equal(active_count(active), 1);
    assert_int_equal(find(active, "local.test"), 1);
    assert_int_equal(find(active, "local.tes"), 0);
    assert_int_equal(find(active, "Local.test"), 0);
    assert_string_equal(active_name(active, 1, &octets), "local.test");
    assert_int_equal(octets, 10);
    assert_int_equal(active_flag(active, 1), 'm');
    assert_int_equal(active_alias(active, 1), 0);
    assert_int_equal(active_origin(active, 1, &creator, &description), 101);
    assert_int_equal(active_origin(active, 1, NULL, NULL), 101);
    assert_string_equal(buffer_text(&creator), "creator");
    assert_string_equal(buffer_text(&description), "A description");
    marks = active_marks(active, 1);
    assert_int_equal(marks.low, marks.high + 1);
    assert_int_equal(marks.high, 0);
    assert_int_equal(marks.count, 0);
    buffer_free(&creator);
    buffer_free(&description);
    active_close(&active);
    assert_null(active);
}

static void
test_a_removed_group_keeps_its_id_and_its_marks(void **state)
{
    struct active *active = active_new(10);

    (void)state;
    set(active, 1, "a.removed", 'y');
    set(active, 2, "a.living", 'y');
    active_set_marks(active, 1, &(struct group_marks){5, 9, 3});
    set(active, 1, "a.removed", 0);
    assert_int_equal(find(active, "a.removed"), 0);
    assert_int_equal(active_find_any(active, "a.removed", 9), 1);
    assert_int_equal(active_marks(active, 1).high, 9);
    assert_int_equal(active_count(active), 2);
    set(active, 1, "a.removed", 'y');
    assert_int_equal(find(active, "a.removed"), 1);
    assert_int_equal(active_marks(active, 1).high, 9);
    active_close(&active);
}

static void
test_a_wrong_id_is_refused(void **state)
{
    static const struct {
        uint32_t id;
        const char *name;
        const char *promise;
    } cases[] = {
        {0, "a.new", "ids count from 1"},
        {4, "a.new", "only the next id is free"},
        {1, "a.second", "an id has one name for ever"},
        {UINT32_MAX, "a.new", "there is no room"},
    };
    struct active *active = active_new(3);
    struct buffer why = BUFFER_EMPTY;

    (void)state;
    set(active, 1, "a.first", 'y');
    set(active, 2, "a.second", 'y');
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (active_set(active, cases[i].id, cases[i].name,
                       strlen(cases[i].name), 'y', 0, 0, "", "", &why)
            == 0)
            fail_msg("%s", cases[i].promise);
        assert_true(why.used > 0);
    }
    assert_int_equal(set(active, 3, "a.third", 'y'), 0);
    assert_int_equal(set(active, 4, "a.fourth", 'y'), -1);
    assert_int_equal(active_count(active), 3);
    buffer_free(&why);
    active_close(&active);
}

static void
test_every_change_of_a_group_raises_the_changes_of_its_block(void **state)
{
    enum { GROUPS = 2 * ACTIVE_BLOCK };
    struct active *active = active_new(GROUPS);
    uint64_t before, other;
    char name[32];

    (void)state;
    for (uint32_t id = 1; id <= GROUPS; id++) {
        before = active_block_changes(active, active_block(id));
        snprintf(name, sizeof(name), "group.%u", (unsigned)id);
        set(active, id, name, 'y');
        assert_true(active_block_changes(active, active_block(id)) > before);
    }
    other = active_block_changes(active, active_block(1));
    before = active_block_changes(active, active_block(GROUPS));
    active_set_marks(active, GROUPS, &(struct group_marks){1, 1, 1});
    assert_true(active_block_changes(active, active_block(GROUPS)) > before);
    before = active_block_changes(active, active_block(GROUPS));
    set(active, GROUPS, name, 'n');
    assert_true(active_block_changes(active, active_block(GROUPS)) > before);
    assert_int_equal(active_block_changes(active, active_block(GROUPS)) % 2,
                     0);
    assert_int_equal(active_block_changes(active, active_block(1)), other);
    active_close(&active);
}

static void
test_many_groups_are_all_found(void **state)
{
    enum { MANY = 20000 };
    struct active *active = active_new(MANY);
    char name[64];

    (void)state;
    for (uint32_t id = 1; id <= MANY; id++) {
        snprintf(name, sizeof(name), "hierarchy.group-%u", (unsigned)id);
        assert_int_equal(set(active, id, name, 'y'), 0);
    }
    for (uint32_t id = 1; id <= MANY; id++) {
        snprintf(name, sizeof(name), "hierarchy.group-%u", (unsigned)id);
        assert_int_equal(find(active, name), id);
        snprintf(name, sizeof(name), "hierarchy.group-x%u", (unsigned)id);
        assert_int_equal(find(active, name), 0);
    }
    active_close(&active);
}

static void
test_texts_are_refused_when_there_is_no_room_and_nothing_breaks(void **state)
{
    struct active *active = active_new(2);
    struct buffer why = BUFFER_EMPTY, description = BUFFER_EMPTY;
    char text[4001];
    int status = 0;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < 1000 && status == 0; i++) {
        text[i % 26] ^= 1; /* not what is there already */
        status = active_set(active, 1, "a", 1, 'y', 0, 0, "", text, &why);
    }
    assert_int_equal(status, -1);
    assert_true(why.used > 0);
    assert_int_equal(find(active, "a"), 1);
    active_origin(active, 1, NULL, &description);
    assert_int_equal(description.used, sizeof(text) - 1);
    buffer_free(&why);
    buffer_free(&description);
    active_close(&active);
}

static void
test_the_same_texts_set_again_take_no_room(void **state)
{
    struct active *active = active_new(2);

    (void)state;
    for (int i = 0; i < 100000; i++)
        assert_int_equal(set(active, 1, "a.group", 'y'), 0);
    active_close(&active);
}

static void
test_other_numbers_are_as_set(void **state)
{
    struct active *active = active_new(1);
    struct message_key key = {
        {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    struct message_key got;
    uint32_t segment, offset;
    uint64_t sequence;

    (void)state;
    active_set_key(active, &key);
    got = active_key(active);
    assert_memory_equal(&got, &key, sizeof(key));
    active_set_durable(active, 3, 4096, 77);
    active_durable(active, &segment, &offset, &sequence);
    assert_int_equal(segment, 3);
    assert_int_equal(offset, 4096);
    assert_int_equal(sequence, 77);
    active_set_committed(active, 12);
    assert_int_equal(active_committed(active), 12);
    active_note_removal(active);
    active_note_removal(active);
    assert_int_equal(active_removals(active), 2);
    assert_true(active_published(active) >= 3);
    set(active, 1, "alias", '=');
    assert_int_equal(
        active_set(active, 1, "alias", 5, '=', 9, 0, "", "", NULL), 0);
    assert_int_equal(active_alias(active, 1), 9);
    active_close(&active);
}

/* Half as many as the table has places: by chance a few sets are too small. */
static void
test_a_quarter_of_a_million_known_ids_are_kept_but_for_a_few(void **state)
{
    enum { MANY = ACTIVE_KNOWN_SETS * ACTIVE_KNOWN_WAYS / 2 };
    struct active *active = active_new(1);
    struct message_key key = {{0}};
    struct token token = {7, 8, 9, 0}, found;
    struct message_hash hash;
    uint64_t sequence;
    unsigned kept = 0;
    char id[32];

    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned n = 0; n < MANY; n++) {
            snprintf(id, sizeof(id), "<%u@test>", n);
            hash = message_id_hash(&key, id, strlen(id));
            if (pass == 0)
                active_known_put(active, &hash, n + 1, &token);
            else
                kept += active_known_find(active, &hash, &sequence, &found);
        }
    }
    assert_in_range(kept, MANY * 0.95, MANY - 1);
    active_close(&active);
}

/* All of these fall on one set. */
static struct message_hash
hash_of_a_set(unsigned n)
{
    return hash_of(1 + n * ACTIVE_KNOWN_SETS);
}

static void
test_a_known_id_is_found_until_it_is_dropped(void **state)
{
    struct active *active = active_new(1);
    struct message_hash one = hash_of_a_set(0), other = hash_of_a_set(1);
    struct token token = {7, 8, 9, 0}, found;
    uint64_t sequence;

    (void)state;
    assert_false(active_known_find(active, &one, &sequence, &found));
    active_known_put(active, &one, 42, &token);
    assert_true(active_known_find(active, &one, &sequence, &found));
    assert_int_equal(sequence, 42);
    assert_memory_equal(&found, &token, sizeof(token));
    assert_false(active_known_find(active, &other, &sequence, &found));
    active_known_drop(active, &other);
    assert_true(active_known_find(active, &one, &sequence, &found));
    active_known_drop(active, &one);
    assert_false(active_known_find(active, &one, &sequence, &found));
    active_close(&active);
}

/* As the article of sequence 100 + n. */
static void
put_in_the_set(struct active *active, unsigned n)
{
    struct message_hash hash = hash_of_a_set(n);
    struct token token = {7, 8, 9, 0};

    active_known_put(active, &hash, 100 + n, &token);
}

/* Put again it moves no other out; the place of one that was dropped is
   taken first, then that of the oldest. */
static void
test_the_oldest_known_id_of_a_full_set_gives_way(void **state)
{
    struct active *active = active_new(1);
    struct message_hash dropped = hash_of_a_set(1);
    struct token found;
    uint64_t sequence;

    (void)state;
    for (unsigned n = 0; n < ACTIVE_KNOWN_WAYS; n++)
        put_in_the_set(active, n);
    put_in_the_set(active, 2);
    active_known_drop(active, &dropped);
    for (unsigned n = 4; n < 6; n++)
        put_in_the_set(active, n);
    for (unsigned n = 0; n < 6; n++) {
        struct message_hash hash = hash_of_a_set(n);

        assert_int_equal(active_known_find(active, &hash, &sequence, &found),
                         n >= 2);
        if (n >= 2)
            assert_int_equal(sequence, 100 + n);
    }
    active_close(&active);
}

static void
test_a_mapping_shows_what_another_has_set(void **state)
{
    struct buffer why = BUFFER_EMPTY;
    int fd = active_create(100, &why);
    struct active *writer, *reader;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 4096), -1);
    writer = active_map(fd, true, &why);
    reader = active_map(fd, false, &why);
    close(fd);
    assert_non_null(writer);
    assert_non_null(reader);
    set(writer, 1, "local.test", 'y');
    active_set_marks(writer, 1, &(struct group_marks){2, 8, 5});
    assert_int_equal(find(reader, "local.test"), 1);
    assert_int_equal(active_marks(reader, 1).low, 2);
    assert_int_equal(active_marks(reader, 1).high, 8);
    assert_int_equal(active_marks(reader, 1).count, 5);
    active_close(&writer);
    active_close(&reader);
    buffer_free(&why);
}

static void
test_memory_of_another_kind_is_not_mapped(void **state)
{
    static const size_t sizes[] = {0, 100, 8192, 8 * 1024 * 1024};
    struct buffer why = BUFFER_EMPTY;

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int fd = memfd_create("not-active", MFD_CLOEXEC);

        assert_int_equal(ftruncate(fd, (off_t)sizes[i]), 0);
        assert_null(active_map(fd, true, &why));
        assert_true(why.used > 0);
        buffer_clear(&why);
        close(fd);
    }
    assert_null(active_map(-1, false, &why));
    buffer_free(&why);
}

/* --- one writer, readers in other processes --- */

/* Twice as many IDs as a set has places. */
enum {
    RACE_GROUPS = 4,
    RACE_IDS = 2 * ACTIVE_KNOWN_WAYS,
    RACE_TURNS = 200000
};

static struct group_marks
race_marks(uint64_t turn)
{
    return (struct group_marks){turn, turn * 3, turn * 7};
}

/* Exits 1 when it ever sees half a change. */
static void
race_read(const struct active *active)
{
    uint64_t last[RACE_GROUPS + 1] = {0};
    bool wrong = false;

    while (!wrong && active_committed(active) < RACE_TURNS) {
        for (uint32_t id = 1; id <= RACE_GROUPS; id++) {
            struct group_marks marks = active_marks(active, id);

            wrong = wrong || marks.high != marks.low * 3
                    || marks.count != marks.low * 7 || marks.low < last[id];
            last[id] = marks.low;
        }
        for (unsigned i = 0; i < RACE_IDS; i++) {
            struct message_hash hash = hash_of_a_set(i);
            struct token token;
            uint64_t sequence;

            if (active_known_find(active, &hash, &sequence, &token))
                wrong = wrong || token.segment != sequence % 1000
                        || token.offset != sequence % 1000 * 2
                        || sequence % RACE_IDS != i;
        }
    }
    _exit(wrong ? 1 : 0);
}

static void
race_write(struct active *active, uint64_t first, uint64_t end)
{
    for (uint64_t turn = first; turn < end; turn++) {
        struct group_marks marks = race_marks(turn);
        struct message_hash hash = hash_of_a_set((unsigned)(turn % RACE_IDS));
        struct token token = {(uint32_t)(turn % 1000),
                              (uint32_t)(turn % 1000) * 2, 0, 0};

        active_set_marks(active, 1 + turn % RACE_GROUPS, &marks);
        active_known_put(active, &hash, turn, &token);
    }
}

static void
race_begin(struct active *active, pid_t *readers, size_t count)
{
    for (uint32_t id = 1; id <= RACE_GROUPS; id++) {
        char name[16];
        struct group_marks marks = race_marks(0);

        snprintf(name, sizeof(name), "group.%u", (unsigned)id);
        set(active, id, name, 'y');
        active_set_marks(active, id, &marks);
    }
    for (size_t i = 0; i < count; i++) {
        readers[i] = fork();
        assert_true(readers[i] >= 0);
        if (readers[i] == 0)
            race_read(active);
    }
}

static void
race_end(struct active *active, const pid_t *readers, size_t count)
{
    active_set_committed(active, RACE_TURNS);
    for (size_t i = 0; i < count; i++) {
        int status;

        assert_int_equal(waitpid(readers[i], &status, 0), readers[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void
test_readers_never_see_half_a_change(void **state)
{
    struct active *active = active_new(RACE_GROUPS);
    pid_t readers[2];

    (void)state;
    race_begin(active, readers, 2);
    race_write(active, 1, RACE_TURNS);
    race_end(active, readers, 2);
    active_close(&active);
}

static void
test_a_writer_killed_anywhere_leaves_nothing_half_done(void **state)
{
    struct active *active = active_new(RACE_GROUPS);
    pid_t readers[2];
    uint64_t first = 1;

    (void)state;
    race_begin(active, readers, 2);
    for (int round = 0; round < 50; round++) {
        pid_t writer = fork();
        uint64_t at;

        assert_true(writer >= 0);
        if (writer == 0) {
            race_write(active, first, UINT64_MAX);
            _exit(1);
        }
        /* Some time after it has begun. */
        do
            at = active_marks(active, 1).low;
        while (at < first + (uint64_t)round * 13);
        assert_int_equal(kill(writer, SIGKILL), 0);
        assert_int_equal(waitpid(writer, NULL, 0), writer);
        for (uint32_t id = 1; id <= RACE_GROUPS; id++) {
            struct group_marks marks = active_marks(active, id);

            assert_int_equal(marks.high, marks.low * 3);
            assert_int_equal(marks.count, marks.low * 7);
            if (marks.low >= first)
                first = marks.low + 1;
        }
    }
    race_end(active, readers, 2);
    active_close(&active);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_group_is_found_with_all_that_was_set),
        cmocka_unit_test(test_a_removed_group_keeps_its_id_and_its_marks),
        cmocka_unit_test(test_a_wrong_id_is_refused),
        cmocka_unit_test(
            test_every_change_of_a_group_raises_the_changes_of_its_block),
        cmocka_unit_test(test_many_groups_are_all_found),
        cmocka_unit_test(
            test_texts_are_refused_when_there_is_no_room_and_nothing_breaks),
        cmocka_unit_test(test_the_same_texts_set_again_take_no_room),
        cmocka_unit_test(test_other_numbers_are_as_set),
        cmocka_unit_test(
            test_a_quarter_of_a_million_known_ids_are_kept_but_for_a_few),
        cmocka_unit_test(test_a_known_id_is_found_until_it_is_dropped),
        cmocka_unit_test(test_the_oldest_known_id_of_a_full_set_gives_way),
        cmocka_unit_test(test_a_mapping_shows_what_another_has_set),
        cmocka_unit_test(test_memory_of_another_kind_is_not_mapped),
        cmocka_unit_test(test_readers_never_see_half_a_change),
        cmocka_unit_test(
            test_a_writer_killed_anywhere_leaves_nothing_half_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
