#include "tests/storage/spool_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "storage/history_private.h"

enum {
    CACHE_OCTETS = 1024 * 1024,
    FILTER_ENTRIES = CACHE_OCTETS / 16,
    TABLE_ENTRIES = 60000, /* as in storage/history.c */
    SECONDS = 60,
};

/* The library does not free all of an environment that it had to give up;
   the process that sees that ends. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
    return "leak:libdb";
}

struct world {
    char *path;
    struct history *history;
    struct buffer why;
};

static void
check(struct world *world, int status)
{
    if (status < 0)
        fail_msg("%s", buffer_text(&world->why));
}

static void
start(struct world *world)
{
    world->history = history_open(world->path, CACHE_OCTETS, &world->why);
    check(world, world->history == NULL ? -1 : 0);
}

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world->path = directory_new();
    start(world);
    *state = world;
    return 0;
}

static int
teardown(void **state)
{
    struct world *world = *state;

    history_close(&world->history);
    directory_free(&world->path);
    buffer_free(&world->why);
    free(world);
    return 0;
}

/* Hashes without any order, as real ones. */
static struct message_hash
hash_of(uint64_t sequence)
{
    struct message_hash hash;
    uint64_t mixed = sequence * 0x9e3779b97f4a7c15;

    memcpy(hash.octets, &mixed, 8);
    mixed ^= sequence << 7;
    memcpy(hash.octets + 8, &mixed, 8);
    return hash;
}

static struct history_entry
entry_of(uint64_t sequence)
{
    struct history_entry entry = {
        .hash = hash_of(sequence),
        .fate = (enum history_fate)(1 + sequence % 4),
        .sequence = sequence,
    };

    if (entry.fate == HISTORY_STORED)
        entry.token =
            (struct token){(uint32_t)sequence, (uint32_t)sequence * 8,
                           (uint32_t)sequence * 3, 0};
    else
        entry.until = (int64_t)(sequence << 33) + 5;
    return entry;
}

/* Put the entries with these sequences in one transaction. */
static int
put(struct history *history, uint64_t first, uint64_t last, struct buffer *why)
{
    size_t count = (size_t)(last - first + 1);
    struct history_entry *entries = xcalloc(count, sizeof(*entries));
    int status;

    for (size_t i = 0; i < count; i++)
        entries[i] = entry_of(first + i);
    status = history_put(history, entries, count, last, why);
    free(entries);
    return status;
}

static void
expect(struct world *world, uint64_t sequence, int found)
{
    struct message_hash hash = hash_of(sequence);
    struct history_entry expected = entry_of(sequence);
    struct history_entry entry;
    int status = history_lookup(world->history, &hash, &entry, &world->why);

    check(world, status);
    if (status != found)
        fail_msg("entry %llu: found=%d", (unsigned long long)sequence, status);
    if (found)
        assert_memory_equal(&entry, &expected, sizeof(entry));
}

static unsigned
set_aside(const struct world *world)
{
    DIR *dir = opendir(world->path);
    const struct dirent *entry;
    unsigned count = 0;

    while ((entry = readdir(dir)) != NULL)
        count += strncmp(entry->d_name, "history.bad-", 12) == 0;
    closedir(dir);
    return count;
}

static void
test_what_became_of_an_article_is_remembered(void **state)
{
    struct world *world = *state;

    assert_int_equal(history_applied(world->history), 0);
    check(world, put(world->history, 1, 1000, &world->why));
    assert_int_equal(history_applied(world->history), 1000);
    for (uint64_t s = 1; s <= 1000; s++)
        expect(world, s, 1);
    expect(world, 1001, 0);
    history_close(&world->history);
    start(world);
    assert_int_equal(history_applied(world->history), 1000);
    for (uint64_t s = 1; s <= 1000; s++)
        expect(world, s, 1);
    assert_int_equal(set_aside(world), 0);
}

static void
test_a_later_fate_takes_the_place_of_an_earlier_one(void **state)
{
    struct world *world = *state;
    struct history_entry entry = entry_of(8);
    struct history_entry found;

    check(world, put(world->history, 1, 10, &world->why));
    entry.fate = HISTORY_CANCELLED;
    entry.token = (struct token){0};
    entry.sequence = 11;
    entry.until = 12345;
    check(world, history_put(world->history, &entry, 1, 11, &world->why));
    assert_int_equal(
        history_lookup(world->history, &entry.hash, &found, &world->why), 1);
    assert_memory_equal(&found, &entry, sizeof(entry));
}

static void
test_a_put_of_nothing_moves_applied(void **state)
{
    struct world *world = *state;

    check(world, history_put(world->history, NULL, 0, 77, &world->why));
    history_close(&world->history);
    start(world);
    assert_int_equal(history_applied(world->history), 77);
}

static void
test_what_is_dropped_was_never_seen(void **state)
{
    struct world *world = *state;
    struct message_hash hashes[40];

    check(world, put(world->history, 1, 100, &world->why));
    for (uint64_t i = 0; i < 40; i++)
        hashes[i] = hash_of(81 + i); /* half of them were never there */
    check(world, history_drop(world->history, hashes, 40, &world->why));
    for (uint64_t s = 1; s <= 120; s++)
        expect(world, s, s <= 80);
    assert_int_equal(history_applied(world->history), 100);
}

/* --- in memory and in Berkeley DB --- */

/* Sequences first..last, some at a time, as commits would. */
static void
put_many(struct world *world, uint64_t first, uint64_t last)
{
    for (uint64_t s = first; s <= last; s += 500)
        check(world, put(world->history, s, s + 499 < last ? s + 499 : last,
                         &world->why));
}

static void
flush(struct world *world)
{
    check(world, history_flush(world->history, &world->why));
    assert_false(history_is_waiting(world->history));
}

/* In Berkeley DB alone, in the frozen table and in the one that is filled. */
static void
test_what_was_put_is_found_wherever_it_is(void **state)
{
    struct world *world = *state;
    const uint64_t last = 2 * TABLE_ENTRIES + 5000;

    put_many(world, 1, last);
    assert_true(history_is_waiting(world->history));
    for (uint64_t s = 1; s <= last; s++)
        expect(world, s, 1);
    for (uint64_t s = last + 1; s <= 2 * last; s++)
        expect(world, s, 0);
    flush(world);
    for (uint64_t s = 1; s <= last; s++)
        expect(world, s, 1);
    for (uint64_t s = last + 1; s <= 2 * last; s++)
        expect(world, s, 0);
}

/* A quarter of a table is put at each drain, so that one is frozen while the
   other is drained. */
static void
test_what_was_put_before_a_mark_gets_there_beside_what_follows(void **state)
{
    struct world *world = *state;
    uint64_t last = TABLE_ENTRIES / 2, marked = last;
    unsigned drains = 0;
    uint64_t mark;

    assert_true(
        history_is_drained(world->history, history_mark(world->history)));
    put_many(world, 1, last);
    mark = history_mark(world->history);
    while (!history_is_drained(world->history, mark)) {
        assert_true(++drains < 100);
        assert_true(world->history->kept < marked);
        check(world, history_drain(world->history, 1024, &world->why));
        put_many(world, last + 1, last + TABLE_ENTRIES / 4);
        last += TABLE_ENTRIES / 4;
    }
    assert_true(drains > 1);
    assert_true(world->history->kept >= marked);
    assert_true(history_is_waiting(world->history));
}

static void
cancel(struct world *world, uint64_t of, uint64_t sequence)
{
    const struct history_entry entry = {.hash = hash_of(of),
                                        .fate = HISTORY_CANCELLED,
                                        .sequence = sequence,
                                        .until = 4711};

    check(world,
          history_put(world->history, &entry, 1, sequence, &world->why));
}

static void
expect_cancelled(struct world *world, uint64_t of, uint64_t sequence)
{
    struct message_hash hash = hash_of(of);
    struct history_entry found;

    assert_int_equal(
        history_lookup(world->history, &hash, &found, &world->why), 1);
    assert_int_equal(found.fate, HISTORY_CANCELLED);
    assert_int_equal(found.sequence, sequence);
    assert_int_equal(found.until, 4711);
}

static void
drop(struct world *world, uint64_t sequence)
{
    struct message_hash hash = hash_of(sequence);

    check(world, history_drop(world->history, &hash, 1, &world->why));
}

/* 1 is in Berkeley DB when it is superseded, TABLE_ENTRIES in a frozen table,
   `last` in the one that is filled; the same for what is dropped. */
static void
test_the_newest_entry_wins_wherever_the_others_are(void **state)
{
    struct world *world = *state;
    const uint64_t last = TABLE_ENTRIES + 1200;
    const uint64_t old[] = {2, TABLE_ENTRIES, last};
    struct history_entry *found = xcalloc(2 * last, sizeof(*found));
    const struct message_hash from = {{0}};

    put_many(world, 1, 1000);
    flush(world);
    put_many(world, 1001, last);
    for (unsigned i = 0; i < 3; i++) {
        cancel(world, old[i], last + 1 + i);
        drop(world, old[i] - 1);
    }
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3; i++) {
            expect_cancelled(world, old[i], last + 1 + i);
            expect(world, old[i] - 1, 0);
        }
        expect(world, 500, 1);
        assert_int_equal(
            history_list(world->history, &from, found, 2 * last, &world->why),
            last - 3);
        if (round == 0)
            flush(world);
        else
            history_close(&world->history);
        if (round == 1)
            start(world);
    }
    free(found);
}

/* What was forgotten may come again. */
static void
test_what_was_dropped_can_be_put_again(void **state)
{
    struct world *world = *state;

    check(world, put(world->history, 1, 10, &world->why));
    flush(world);
    drop(world, 5);
    expect(world, 5, 0);
    check(world, put(world->history, 5, 5, &world->why));
    expect(world, 5, 1);
    flush(world);
    expect(world, 5, 1);
}

/* In pieces smaller than what was dropped in a row, with new entries between
   old ones. */
static void
test_what_is_in_memory_is_listed_with_the_rest(void **state)
{
    struct world *world = *state;
    struct history_entry found[5];
    struct message_hash from = {{0}};
    unsigned seen = 0;
    int count;

    put_many(world, 1, 2000);
    flush(world);
    put_many(world, 2001, 4000);
    for (uint64_t s = 1; s <= 4000; s++)
        if (hash_of(s).octets[0] < 64)
            drop(world, s);
    while ((count = history_list(world->history, &from, found, 5, &world->why))
           > 0) {
        for (int i = 0; i < count; i++) {
            struct history_entry expected = entry_of(found[i].sequence);

            assert_memory_equal(&found[i], &expected, sizeof(expected));
            assert_true(found[i].hash.octets[0] >= 64);
            assert_true(memcmp(&found[i].hash, &from, sizeof(from)) >= 0);
            from = found[i].hash;
            assert_true(message_hash_next(&from));
        }
        seen += (unsigned)count;
    }
    check(world, count);
    for (uint64_t s = 1; s <= 4000; s++)
        seen += hash_of(s).octets[0] < 64;
    assert_int_equal(seen, 4000);
}

/*
 * A child puts and puts, and says after each how far it came; it is killed at
 * any moment.  What `applied` says is there, and no more than two tables that
 * were put are behind it.  What was flushed is there.
 */
static void
test_sigkill_leaves_nothing_out_up_to_applied(void **state)
{
    enum { PUT = 500 };
    struct world *world = *state;
    uint64_t base = 0;

    for (int round = 0; round < 8; round++) {
        uint64_t told = base, applied;
        int pipes[2];
        pid_t pid;

        history_close(&world->history);
        assert_int_equal(pipe(pipes), 0);
        pid = fork();
        if (pid == 0) {
            start(world);
            for (uint64_t s = base;; s += PUT) {
                uint64_t last = s + PUT;

                if (put(world->history, s + 1, last, &world->why) < 0
                    || (round == 4
                        && history_flush(world->history, &world->why) < 0)
                    || write(pipes[1], &last, sizeof(last)) < 0)
                    _exit(1);
                if (round % 2 == 1 && last % 4000 == 0
                    && history_checkpoint(world->history, &world->why) < 0)
                    _exit(1);
            }
        }
        close(pipes[1]);
        for (int i = 0; i < 10 + 37 * round; i++)
            assert_int_equal(read(pipes[0], &told, sizeof(told)),
                             sizeof(told));
        kill(pid, SIGKILL);
        while (read(pipes[0], &applied, sizeof(applied)) > 0)
            told = applied;
        close(pipes[0]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);

        start(world);
        applied = history_applied(world->history);
        assert_true(applied + 2 * (TABLE_ENTRIES + PUT) >= told);
        assert_true(round == 4 ? applied >= told : applied <= told + PUT);
        for (uint64_t s = 1; s <= applied; s++)
            expect(world, s, 1);
        base = applied;
    }
    assert_true(base > 0);
    assert_int_equal(set_aside(world), 0);
}

/* While the filter is being filled, and when it is. */
static void
test_nothing_is_missing_after_a_start(void **state)
{
    struct world *world = *state;
    const uint64_t last = 20000;

    put_many(world, 1, last);
    history_close(&world->history);
    start(world);
    for (uint64_t s = 1; s <= last; s++) {
        expect(world, s, 1);
        if (s % 10 == 0) {
            check(world, put(world->history, last + s / 10, last + s / 10,
                             &world->why));
            expect(world, last + s / 10, 1);
        }
        expect(world, 2 * last + s, 0);
    }
    for (uint64_t s = 1; s <= last + last / 10; s++)
        expect(world, s, 1);
}

/* --- the filter, seen from inside: a lookup says the same without one --- */

struct filter_state {
    size_t capacity; /* of what answers; 0: nothing does */
    bool fills;      /* another one is being filled */
    uint8_t from;    /* the first octet of the hash that it has come to */
};

static struct filter_state
filter_state(struct world *world)
{
    struct history *history = world->history;
    struct filter_state filter;

    pthread_mutex_lock(&history->mutex);
    filter.capacity =
        history->filter == NULL ? 0 : history_filter_capacity(history->filter);
    filter.fills = history->next != NULL;
    filter.from = history->scan_from.octets[0];
    pthread_mutex_unlock(&history->mutex);
    return filter;
}

static void
wait_for_filter(struct world *world)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    time_t deadline = time(NULL) + SECONDS;

    while (filter_state(world).fills) {
        assert_true(time(NULL) < deadline);
        nanosleep(&pause, NULL);
    }
    assert_true(filter_state(world).capacity > 0);
}

/*
 * Another one is made when there are more IDs than the filter is for.  Some
 * are in memory then and get into Berkeley DB behind the back of the thread
 * that reads it, some come while it reads.
 */
static void
test_an_outgrown_filter_is_replaced_and_misses_nothing(void **state)
{
    const struct timespec pause = {.tv_nsec = 100000};
    struct world *world = *state;
    time_t deadline = time(NULL) + SECONDS;
    uint64_t last = TABLE_ENTRIES;

    wait_for_filter(world);
    assert_int_equal(filter_state(world).capacity, FILTER_ENTRIES);
    put_many(world, 1, last);
    flush(world);
    while (!filter_state(world).fills) {
        assert_true(last < 2 * FILTER_ENTRIES);
        put_many(world, last + 1, last + 100);
        last += 100;
    }
    /* About one in two hundred seems to be known. */
    assert_true(last > FILTER_ENTRIES);
    put_many(world, last + 1, last + 3000);
    last += 3000;
    while (filter_state(world).from < 32) {
        assert_true(time(NULL) < deadline);
        assert_true(filter_state(world).fills);
        nanosleep(&pause, NULL);
    }
    flush(world);
    wait_for_filter(world);
    assert_true(filter_state(world).capacity > last);
    for (uint64_t s = 1; s <= last; s++)
        expect(world, s, 1);
}

/* A filter never forgets; so the next one is made for what is there. */
static void
test_forgotten_ids_make_no_filter_greater(void **state)
{
    struct world *world = *state;
    uint64_t last = 0;

    wait_for_filter(world);
    while (last < 4 * FILTER_ENTRIES) {
        put_many(world, last + 1, last + 1000);
        flush(world);
        for (uint64_t s = last + 1; s <= last + 1000; s++)
            if (s % 100 != 0)
                drop(world, s);
        flush(world);
        last += 1000;
        wait_for_filter(world);
    }
    assert_true(filter_state(world).capacity < 2 * FILTER_ENTRIES);
    for (uint64_t s = 100; s <= last; s += 100)
        expect(world, s, 1);
}

static void
test_a_filter_knows_what_was_put_and_little_else(void **state)
{
    enum { ENTRIES = 20000 };
    struct history_filter *filter = history_filter_new(ENTRIES);
    unsigned wrong = 0;

    (void)state;
    for (uint64_t s = 1; s <= ENTRIES; s++) {
        struct message_key key = {{1}};
        struct message_hash hash =
            message_id_hash(&key, (const char *)&s, sizeof(s));

        history_filter_put(filter, &hash);
        assert_true(history_filter_has(filter, &hash));
    }
    for (uint64_t s = 1; s <= 2 * ENTRIES; s++) {
        struct message_key key = {{1}};
        struct message_hash hash =
            message_id_hash(&key, (const char *)&s, sizeof(s));

        if (s <= ENTRIES)
            assert_true(history_filter_has(filter, &hash));
        else
            wrong += history_filter_has(filter, &hash);
    }
    assert_true(wrong < ENTRIES / 50);
    assert_true(history_filter_count(filter) > ENTRIES - ENTRIES / 50);
    assert_int_equal(history_filter_capacity(filter), ENTRIES);
    history_filter_free(&filter);
}

/* --- what cannot be used --- */

static void
file_change(const struct world *world, const char *name, off_t from,
            size_t octets)
{
    char *path = xasprintf("%s/history/%s", world->path, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    for (size_t i = 0; i < octets; i++)
        assert_int_equal(pwrite(fd, "\xa5", 1, from + (off_t)i), 1);
    close(fd);
    free(path);
}

static void
history_fill(struct world *world)
{
    for (uint64_t s = 0; s < 20000; s += 1000)
        check(world, put(world->history, s + 1, s + 1000, &world->why));
    flush(world);
    check(world, history_checkpoint(world->history, &world->why));
    history_close(&world->history);
}

static void
expect_made_anew(struct world *world)
{
    start(world);
    assert_int_equal(history_applied(world->history), 0);
    assert_int_equal(set_aside(world), 1);
    expect(world, 1, 0);
    check(world, put(world->history, 1, 100, &world->why));
    expect(world, 1, 1);
}

static void
test_a_bad_meta_page_is_moved_aside(void **state)
{
    struct world *world = *state;

    history_fill(world);
    file_change(world, "history.db", 0, 512);
    expect_made_anew(world);
}

static void
test_a_lost_log_is_moved_aside(void **state)
{
    struct world *world = *state;
    char *path = xasprintf("%s/history/log.0000000001", world->path);

    history_fill(world);
    assert_int_equal(unlink(path), 0);
    free(path);
    expect_made_anew(world);
}

static void
test_a_history_that_is_no_database_is_moved_aside(void **state)
{
    struct world *world = *state;
    char *path = xasprintf("%s/history/history.db", world->path);

    history_fill(world);
    assert_int_equal(truncate(path, 100), 0);
    free(path);
    expect_made_anew(world);
}

/* A page that only a lookup reads: the lookup fails, and the next start does
   not trust the file again. */
static void
test_a_bad_page_found_later_is_not_trusted_again(void **state)
{
    struct world *world = *state;
    char *path = xasprintf("%s/history/history.db", world->path);
    struct stat st;
    bool failed = false;

    history_fill(world);
    assert_int_equal(stat(path, &st), 0);
    free(path);
    for (off_t page = 10; page < st.st_size / 4096; page += 10)
        file_change(world, "history.db", page * 4096 + 200, 64);
    start(world);
    for (uint64_t s = 1; s <= 20000 && !failed; s++) {
        struct message_hash hash = hash_of(s);
        struct history_entry entry;

        failed =
            history_lookup(world->history, &hash, &entry, &world->why) < 0;
    }
    assert_true(failed);
    history_close(&world->history);
    expect_made_anew(world);
}

/* No file may grow beyond so many octets: as on a full disk, writes fail.
   SIZE_MAX: as far as ever. */
static void
limit_files(size_t octets)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = octets == SIZE_MAX ? limit.rlim_max : octets;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
}

/*
 * A killed writer's successor has to recover, and the disk is full: the
 * library says that recovery is needed then, as it does for damage.
 */
static void
test_a_disk_without_room_for_recovery_costs_no_history(void **state)
{
    enum { ENTRIES = 20000 };
    struct world *world = *state;
    pid_t pid;

    history_close(&world->history);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        start(world);
        for (uint64_t s = 0; s < ENTRIES; s += 1000)
            if (put(world->history, s + 1, s + 1000, &world->why) < 0
                || history_flush(world->history, &world->why) < 0)
                _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);

    limit_files(128 * 1024);
    for (int tries = 0; tries < 2; tries++)
        assert_null(history_open(world->path, CACHE_OCTETS, &world->why));
    limit_files(SIZE_MAX);
    assert_int_equal(set_aside(world), 0);
    start(world);
    assert_int_equal(history_applied(world->history), ENTRIES);
    for (uint64_t s = 1; s <= ENTRIES; s++)
        expect(world, s, 1);
}

static void
test_a_directory_that_cannot_be_made_is_said(void **state)
{
    struct world *world = *state;
    char *path = xasprintf("%s/no/such", world->path);

    assert_null(history_open(path, CACHE_OCTETS, &world->why));
    assert_non_null(strstr(buffer_text(&world->why), path));
    free(path);
}

/* --- three threads --- */

struct together {
    struct world *world;
    pthread_mutex_t mutex;
    bool ended;
    uint64_t put; /* up to here */
    unsigned checkpoints;
};

static bool
together_look(struct together *together, uint64_t *put_r)
{
    bool ended;

    pthread_mutex_lock(&together->mutex);
    ended = together->ended;
    *put_r = together->put;
    pthread_mutex_unlock(&together->mutex);
    return ended;
}

static void *
checkpoint_thread(void *context)
{
    struct together *together = context;
    struct buffer why = BUFFER_EMPTY;
    uint64_t now;

    while (!together_look(together, &now)) {
        if (history_checkpoint(together->world->history, &why) < 0)
            abort();
        together->checkpoints++;
    }
    return NULL;
}

static void *
put_thread(void *context)
{
    struct together *together = context;
    struct buffer why = BUFFER_EMPTY;

    for (uint64_t s = 0; s < 40000; s += 100) {
        if (put(together->world->history, s + 1, s + 100, &why) < 0)
            abort();
        pthread_mutex_lock(&together->mutex);
        together->put = s + 100;
        pthread_mutex_unlock(&together->mutex);
    }
    pthread_mutex_lock(&together->mutex);
    together->ended = true;
    pthread_mutex_unlock(&together->mutex);
    return NULL;
}

static void
test_lookups_puts_and_checkpoints_go_on_together(void **state)
{
    struct world *world = *state;
    struct together together = {.world = world,
                                .mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[2];
    uint64_t known = 0;
    uint64_t at = 0;

    assert_int_equal(pthread_create(&threads[0], NULL, put_thread, &together),
                     0);
    assert_int_equal(
        pthread_create(&threads[1], NULL, checkpoint_thread, &together), 0);
    while (!together_look(&together, &known)) {
        at = at * 7 + 13;
        if (known > 0)
            expect(world, 1 + at % known, 1);
        expect(world, 50000 + at % 1000, 0);
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert_true(together.checkpoints > 0);
    history_close(&world->history);
    start(world);
    for (uint64_t s = 1; s <= 40000; s++)
        expect(world, s, 1);
}

static void
test_the_history_is_listed_in_order_and_in_pieces(void **state)
{
    struct world *world = *state;
    struct history_entry found[7];
    struct message_hash from = {{0}};
    unsigned seen = 0;
    int count;

    check(world, put(world->history, 1, 500, &world->why));
    while ((count = history_list(world->history, &from, found, 7, &world->why))
           > 0) {
        for (int i = 0; i < count; i++) {
            struct history_entry expected = entry_of(found[i].sequence);

            assert_memory_equal(&found[i], &expected, sizeof(expected));
            assert_true(memcmp(&found[i].hash, &from, sizeof(from)) >= 0);
            from = found[i].hash;
        }
        seen += (unsigned)count;
        /* The next one above: none of ours ends with that octet. */
        from.octets[15]++;
    }
    check(world, count);
    assert_int_equal(seen, 500);
}

static void
test_opening_what_is_not_there_makes_nothing(void **state)
{
    struct world *world = *state;
    char *elsewhere = xasprintf("%s/elsewhere", world->path);

    assert_null(history_open_existing(elsewhere, CACHE_OCTETS, &world->why));
    assert_int_equal(access(elsewhere, F_OK), -1);
    check(world, put(world->history, 1, 10, &world->why));
    history_close(&world->history);
    world->history =
        history_open_existing(world->path, CACHE_OCTETS, &world->why);
    assert_non_null(world->history);
    assert_int_equal(history_applied(world->history), 10);
    free(elsewhere);
}

/* -1: of what is being drained the smallest hash goes first, 1: the largest.
 */
static int
drain_direction(const struct history *history)
{
    const struct history_recent *frozen = &history->frozen;
    int direction = 0;

    for (size_t i = 1; i < frozen->count; i++) {
        int order = memcmp(&history_recent_next(frozen, i - 1)->hash,
                           &history_recent_next(frozen, i)->hash,
                           sizeof(struct message_hash))
                            < 0
                        ? -1
                        : 1;

        assert_true(i == 1 || order == direction);
        direction = order;
    }
    return direction;
}

/* What the last drain left in Berkeley DB's cache is where the next begins. */
static void
test_tables_are_drained_up_and_down_by_turns(void **state)
{
    struct world *world = *state;
    int directions[4];

    for (uint64_t i = 0; i < 4; i++) {
        check(world, put(world->history, i * TABLE_ENTRIES + 1,
                         (i + 1) * TABLE_ENTRIES, &world->why));
        check(world, put(world->history, (i + 1) * TABLE_ENTRIES,
                         (i + 1) * TABLE_ENTRIES, &world->why));
        assert_true(world->history->frozen.count >= TABLE_ENTRIES);
        directions[i] = drain_direction(world->history);
    }
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(directions[i], -directions[i - 1]);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_became_of_an_article_is_remembered),
        TEST(test_a_later_fate_takes_the_place_of_an_earlier_one),
        TEST(test_a_put_of_nothing_moves_applied),
        TEST(test_what_is_dropped_was_never_seen),
        TEST(test_the_history_is_listed_in_order_and_in_pieces),
        TEST(test_opening_what_is_not_there_makes_nothing),
        TEST(test_what_was_put_is_found_wherever_it_is),
        TEST(test_the_newest_entry_wins_wherever_the_others_are),
        TEST(test_what_was_put_before_a_mark_gets_there_beside_what_follows),
        TEST(test_what_was_dropped_can_be_put_again),
        TEST(test_what_is_in_memory_is_listed_with_the_rest),
        TEST(test_tables_are_drained_up_and_down_by_turns),
        TEST(test_sigkill_leaves_nothing_out_up_to_applied),
        TEST(test_nothing_is_missing_after_a_start),
        TEST(test_an_outgrown_filter_is_replaced_and_misses_nothing),
        TEST(test_forgotten_ids_make_no_filter_greater),
        TEST(test_a_filter_knows_what_was_put_and_little_else),
        TEST(test_a_bad_meta_page_is_moved_aside),
        TEST(test_a_lost_log_is_moved_aside),
        TEST(test_a_history_that_is_no_database_is_moved_aside),
        TEST(test_a_bad_page_found_later_is_not_trusted_again),
        TEST(test_a_disk_without_room_for_recovery_costs_no_history),
        TEST(test_a_directory_that_cannot_be_made_is_said),
        TEST(test_lookups_puts_and_checkpoints_go_on_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
