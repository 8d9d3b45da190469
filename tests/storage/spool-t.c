#include "tests/storage/spool_world.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/crc32c.h"
#include "storage/segment.h"

enum { SEGMENT_OCTETS = 1024 * 1024 };

/* --- system calls that fail when told --- */

enum call {
    CALL_NONE,
    CALL_PWRITEV,
    CALL_FDATASYNC,
    CALL_FALLOCATE,
    CALL_RENAMEAT,
    CALL_FSYNC,
    CALL_SYNC_FILE_RANGE
};

/* The countdown-th such call fails; every one behind it too when sticky. */
static struct {
    enum call call;
    int countdown;
    bool everywhere; /* in other threads than the test's too, and for ever */
    bool is_short;   /* a write does half of its work instead */
    int error;
} fault;
static pthread_mutex_t fault_mutex = PTHREAD_MUTEX_INITIALIZER;

static __thread bool is_test_thread;
static __thread unsigned writes, syncs;

/*
 * Zeroes on their way to the file, written by another thread.  It lingers
 * there, so that a batch which does not keep off meets it.
 */
static struct {
    pthread_mutex_t mutex;
    bool lingers;
    off_t from, to; /* under way */
    unsigned pieces;
    unsigned collisions; /* batches written there meanwhile */
} zeroes = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void
linger(const struct iovec *vectors, off_t offset)
{
    const struct timespec pause = {.tv_nsec = 3000000};

    pthread_mutex_lock(&zeroes.mutex);
    zeroes.from = offset;
    zeroes.to = offset + (off_t)vectors[0].iov_len;
    zeroes.pieces++;
    pthread_mutex_unlock(&zeroes.mutex);
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&zeroes.mutex);
    zeroes.to = 0;
    pthread_mutex_unlock(&zeroes.mutex);
}

static bool
lingers(const struct iovec *vectors, off_t offset)
{
    bool answer;

    pthread_mutex_lock(&zeroes.mutex);
    answer = zeroes.lingers && !is_test_thread && offset > 0;
    if (is_test_thread && offset < zeroes.to
        && offset + (off_t)vectors[0].iov_len > zeroes.from)
        zeroes.collisions++;
    pthread_mutex_unlock(&zeroes.mutex);
    return answer;
}

static bool
fails(enum call call)
{
    bool failing = false;

    pthread_mutex_lock(&fault_mutex);
    if (fault.call == call && (is_test_thread || fault.everywhere))
        failing = --fault.countdown == 0
                  || (fault.countdown < 0 && fault.everywhere);
    if (failing)
        errno = fault.error;
    pthread_mutex_unlock(&fault_mutex);
    return failing;
}

static void
fault_set(enum call call, int countdown, int error, bool everywhere)
{
    pthread_mutex_lock(&fault_mutex);
    memset(&fault, 0, sizeof(fault));
    fault.everywhere = everywhere;
    fault.call = call;
    fault.countdown = countdown;
    fault.error = error;
    pthread_mutex_unlock(&fault_mutex);
}

static void
fault_clear(void)
{
    fault_set(CALL_NONE, 0, 0, false);
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

ssize_t
pwritev(int fd, const struct iovec *vectors, int count, off_t offset)
{
    writes++;
    if (lingers(vectors, offset))
        linger(vectors, offset);
    if (!fails(CALL_PWRITEV))
        return REAL(pwritev)(fd, vectors, count, offset);
    if (!fault.is_short)
        return -1;
    return pwrite(fd, vectors[0].iov_base, vectors[0].iov_len / 2, offset);
}

int
fdatasync(int fd)
{
    syncs++;
    return fails(CALL_FDATASYNC) ? -1 : REAL(fdatasync)(fd);
}

int
fsync(int fd)
{
    return fails(CALL_FSYNC) ? -1 : REAL(fsync)(fd);
}

int
fallocate(int fd, int mode, off_t offset, off_t octets)
{
    return fails(CALL_FALLOCATE) ? -1
                                 : REAL(fallocate)(fd, mode, offset, octets);
}

int
renameat(int old_fd, const char *old, int new_fd, const char *new)
{
    return fails(CALL_RENAMEAT) ? -1
                                : REAL(renameat)(old_fd, old, new_fd, new);
}

int
sync_file_range(int fd, off_t offset, off_t octets, unsigned flags)
{
    return fails(CALL_SYNC_FILE_RANGE)
               ? -1
               : REAL(sync_file_range)(fd, offset, octets, flags);
}

/* --- a spool --- */

struct world {
    char *path;
    struct spool *spool;
    struct batch *batch;
    uint64_t sequence; /* the next free one */
    struct collected collected;
    struct buffer why;
    struct token tokens[4096]; /* by sequence */
};

static void
check(struct world *world, int status)
{
    if (status < 0)
        fail_msg("%s", buffer_text(&world->why));
}

static void
walk(struct world *world, uint64_t after)
{
    collected_free(&world->collected);
    check(world, spool_walk(world->spool, after, collect, &world->collected,
                            &world->why));
}

static void
open_only(struct world *world, uint64_t segment_octets)
{
    world->spool = spool_open(world->path, segment_octets, 0, &world->why);
    check(world, world->spool == NULL ? -1 : 0);
}

static void
begin(struct world *world, const char *snapshot)
{
    struct buffer text = BUFFER_EMPTY;

    buffer_append_text(&text, snapshot);
    world->sequence = spool_last_sequence(world->spool) + 1;
    check(world,
          spool_begin(world->spool, &text, &world->sequence, &world->why));
    buffer_free(&text);
}

/* What every start of a writer does. */
static void
start(struct world *world)
{
    open_only(world, SEGMENT_OCTETS);
    walk(world, 0);
    begin(world, "snapshot");
}

static void
fill(struct world *world, unsigned articles)
{
    batch_clear(world->batch);
    for (unsigned i = 0; i < articles; i++, world->sequence++)
        world->tokens[world->sequence] =
            article_append(world->batch, world->sequence);
}

static int
seal(struct world *world)
{
    uint64_t last = world->sequence;
    uint32_t segment, offset;

    if (spool_seal(world->spool, world->batch, &segment, &offset, &world->why)
        < 0)
        return -1;
    for (uint64_t s = world->batch->first_sequence; s < last; s++) {
        world->tokens[s].segment = segment;
        world->tokens[s].offset += offset;
    }
    return 0;
}

static int
write_batch(struct world *world)
{
    return spool_write(world->spool, &world->batch, 1, &world->why);
}

/* A batch of so many articles, durable. */
static void
add(struct world *world, unsigned articles)
{
    fill(world, articles);
    check(world, seal(world));
    check(world, write_batch(world));
}

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world->path = directory_new();
    world->batch = batch_new();
    fault_clear();
    *state = world;
    return 0;
}

static int
teardown(void **state)
{
    struct world *world = *state;

    fault_clear();
    spool_close(&world->spool);
    batch_free(&world->batch);
    collected_free(&world->collected);
    buffer_free(&world->why);
    directory_free(&world->path);
    free(world);
    return 0;
}

/* As a SIGKILL would: the directory as it is now, under a new name, and the
   writer's own one let go. */
static void
kill_writer(struct world *world)
{
    char *copy = directory_new();
    char *command = xasprintf("cp --sparse=never %s/* %s/", world->path, copy);

    assert_int_equal(system(command), 0);
    spool_close(&world->spool);
    directory_free(&world->path);
    world->path = copy;
    free(command);
}

static char *
segment_path(const struct world *world, uint32_t number)
{
    char name[SEGMENT_NAME_OCTETS];

    segment_name(name, number, "seg");
    return xasprintf("%s/%s", world->path, name);
}

static void
segment_change(const struct world *world, uint32_t number, off_t offset,
               char with)
{
    char *path = segment_path(world, number);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char octet;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &octet, 1, offset), 1);
    octet ^= with;
    assert_int_equal(pwrite(fd, &octet, 1, offset), 1);
    close(fd);
    free(path);
}

static off_t
segment_size(const struct world *world, uint32_t number)
{
    char *path = segment_path(world, number);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    free(path);
    return st.st_size;
}

/* --- the log --- */

static void
test_what_was_written_comes_back(void **state)
{
    struct world *world = *state;

    start(world);
    assert_int_equal(world->sequence, 2); /* the snapshot took 1 */
    for (unsigned articles = 1; articles < 40; articles++)
        add(world, articles);
    spool_close(&world->spool);

    open_only(world, SEGMENT_OCTETS);
    walk(world, 0);
    assert_int_equal(world->collected.count, world->sequence - 2);
    for (size_t i = 0; i < world->collected.count; i++) {
        uint64_t sequence = world->collected.sequences[i];

        assert_int_equal(sequence, i + 2);
        assert_memory_equal(&world->collected.tokens[i],
                            &world->tokens[sequence], sizeof(struct token));
    }
    assert_string_equal(buffer_text(&world->collected.snapshot), "snapshot");
    assert_int_equal(spool_last_sequence(world->spool), world->sequence - 1);
}

static void
test_a_start_goes_on_in_a_new_segment(void **state)
{
    struct world *world = *state;
    off_t end;
    char *path;

    start(world);
    add(world, 5);
    kill_writer(world);
    assert_int_equal(segment_size(world, 1), SEGMENT_OCTETS);
    path = xasprintf("%s/00000009.new", world->path);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    free(path);
    start(world);
    /* What was made ready and never used is gone. */
    assert_false(directory_has(world->path, "00000009.new"));
    /* What the file system gave and nobody wrote is given back. */
    end = segment_size(world, 1);
    assert_true(end < 16384);
    add(world, 5);
    spool_close(&world->spool);

    open_only(world, SEGMENT_OCTETS);
    walk(world, 0);
    assert_int_equal(world->collected.truncs, 1);
    assert_int_equal(world->collected.trunc.segment, 1);
    assert_int_equal(world->collected.trunc.end, end);
    assert_int_equal(world->collected.snapshots, 2);
    assert_int_equal(world->collected.count, 10);
    assert_int_equal(spool_last_segment(world->spool), 2);
    /* Nothing lay ready that is still there. */
    assert_int_equal(directory_count(world->path, ".new"), 0);
}

static void
snapshot(void *context, struct buffer *text)
{
    const struct world *world = context;

    buffer_append_format(text, "before %llu",
                         (unsigned long long)world->batch->first_sequence);
}

static void
test_a_full_segment_rolls_over_to_the_next(void **state)
{
    struct world *world = *state;

    open_only(world, 64 * 1024);
    walk(world, 0);
    begin(world, "snapshot");
    spool_set_snapshot(world->spool, snapshot, world);
    while (spool_last_segment(world->spool) < 8)
        add(world, 40);
    spool_close(&world->spool);

    open_only(world, 64 * 1024);
    /* From every place: exactly what is behind it. */
    for (uint64_t after = 0; after < world->sequence + 2; after++) {
        walk(world, after);
        assert_int_equal(world->collected.count,
                         after < 2 ? world->sequence - 2
                         : after >= world->sequence
                             ? 0
                             : world->sequence - 1 - after);
        assert_int_equal(spool_last_sequence(world->spool),
                         world->sequence - 1);
        assert_int_equal(spool_last_arrival(world->spool),
                         ARRIVAL + (int64_t)world->sequence - 1);
    }
    walk(world, 0);
    assert_int_equal(world->collected.snapshots, 8);
    assert_int_equal(world->collected.truncs, 7);
    assert_int_equal(memcmp(world->collected.snapshot.data, "before ", 7), 0);
    assert_int_equal(directory_count(world->path, ".bad"), 0);
}

static void
test_a_batch_may_be_greater_than_a_segment(void **state)
{
    struct world *world = *state;

    open_only(world, 64 * 1024);
    walk(world, 0);
    begin(world, "");
    add(world, 3);
    batch_clear(world->batch);
    world->tokens[world->sequence] =
        article_append_sized(world->batch, world->sequence, 3 * 1000 * 1000);
    world->sequence++;
    check(world, seal(world));
    writes = 0;
    check(world, write_batch(world));
    assert_true(writes >= 6); /* in pieces */
    add(world, 3);

    /* There may be no room for one: then the next segment is still to be had
       for others. */
    batch_clear(world->batch);
    article_append_sized(world->batch, world->sequence, 100 * 1000);
    fault_set(CALL_FALLOCATE, 1, ENOSPC, false);
    assert_int_equal(seal(world), -1);
    fault_clear();
    for (int i = 0; i < 20; i++)
        add(world, 20);
    spool_close(&world->spool);

    open_only(world, 64 * 1024);
    walk(world, 0);
    assert_int_equal(world->collected.count, 407);
    assert_int_equal(directory_count(world->path, ".bad"), 0);
}

static void
test_batches_that_wait_together_are_one_write_and_one_sync(void **state)
{
    struct world *world = *state;
    struct batch *batches[50];

    start(world);
    for (int i = 0; i < 50; i++) {
        fill(world, 3);
        check(world, seal(world));
        batches[i] = world->batch;
        world->batch = batch_new();
    }
    writes = syncs = 0;
    check(world, spool_write(world->spool, batches, 50, &world->why));
    assert_int_equal(writes, 1);
    assert_int_equal(syncs, 1);
    for (int i = 0; i < 50; i++)
        batch_free(&batches[i]);
    spool_close(&world->spool);
    open_only(world, SEGMENT_OCTETS);
    walk(world, 0);
    assert_int_equal(world->collected.count, 150);
}

/* The thread that writes them has begun to. */
static void
await_zeroes(void)
{
    static const struct timespec pause = {.tv_nsec = 1000 * 1000};
    unsigned pieces = 0;

    for (int i = 0; i < 10000 && pieces == 0; i++) {
        pthread_mutex_lock(&zeroes.mutex);
        pieces = zeroes.pieces;
        pthread_mutex_unlock(&zeroes.mutex);
        nanosleep(&pause, NULL);
    }
    assert_true(pieces > 0);
}

/* In segments smaller and greater than a piece of zeroes. */
static void
test_zeroes_ahead_never_fall_on_a_batch(void **state)
{
    static const uint64_t sizes[] = {64 * 1024, 3 * 1024 * 1024};
    struct world *world = *state;

    for (int i = 0; i < 2; i++) {
        zeroes.lingers = true;
        zeroes.pieces = zeroes.collisions = 0;
        open_only(world, sizes[i]);
        walk(world, 0);
        begin(world, "");
        for (int j = 0; j < 300; j++) {
            batch_clear(world->batch);
            article_append_sized(world->batch, world->sequence++,
                                 1000 + (size_t)i * 30000);
            check(world, seal(world));
            check(world, write_batch(world));
            if (j == 0)
                await_zeroes();
        }
        spool_close(&world->spool);
        zeroes.lingers = false;
        assert_int_equal(zeroes.collisions, 0);
        open_only(world, sizes[i]);
        walk(world, 0);
        assert_int_equal(world->collected.count, 300);
        spool_close(&world->spool);
        directory_empty(world->path);
    }
}

static void
test_a_segment_that_expire_removed_is_passed_over(void **state)
{
    struct world *world = *state;
    char *path;

    for (int i = 0; i < 4; i++) {
        start(world);
        add(world, 10);
        spool_close(&world->spool);
    }
    path = segment_path(world, 2);
    assert_int_equal(unlink(path), 0);
    free(path);
    open_only(world, SEGMENT_OCTETS);
    walk(world, 0);
    assert_int_equal(world->collected.count, 30);
    assert_int_equal(directory_count(world->path, ".bad"), 0);
    begin(world, "");
    assert_int_equal(spool_last_segment(world->spool), 5);
}

static void
test_sequence_and_arrival_never_go_back(void **state)
{
    struct world *world = *state;
    struct record_head head = {.type = RECORD_REMEMBER};
    int64_t future = time(NULL) + 86400 * 3650;
    uint32_t segment, offset;

    start(world);
    head.sequence = world->sequence++;
    head.arrival = future;
    batch_clear(world->batch);
    batch_append(world->batch, &head, NULL, 0, NULL, 0);
    check(world, spool_seal(world->spool, world->batch, &segment, &offset,
                            &world->why));
    check(world, write_batch(world));
    kill_writer(world);
    /* The clock is ten years behind the log now. */
    open_only(world, SEGMENT_OCTETS);
    collected_free(&world->collected);
    assert_int_equal(spool_walk(world->spool, UINT64_MAX, collect,
                                &world->collected, &world->why),
                     0);
    assert_int_equal(spool_last_arrival(world->spool), future);
    begin(world, "");
    spool_close(&world->spool);
    open_only(world, SEGMENT_OCTETS);
    assert_int_equal(spool_walk(world->spool, UINT64_MAX, collect,
                                &world->collected, &world->why),
                     0);
    assert_int_equal(spool_last_arrival(world->spool), future);
    assert_int_equal(spool_last_sequence(world->spool), world->sequence - 1);
}

/* Killed between making a segment and writing its first batch. */
static void
test_an_empty_newest_segment_hides_no_time(void **state)
{
    struct world *world = *state;
    uint64_t last;
    char *path;

    start(world);
    add(world, 5);
    last = world->sequence - 1;
    spool_close(&world->spool);
    start(world);
    spool_close(&world->spool);
    path = segment_path(world, 2);
    assert_int_equal(truncate(path, SEGMENT_HEAD_OCTETS), 0);
    free(path);
    open_only(world, SEGMENT_OCTETS);
    walk(world, UINT64_MAX);
    assert_int_equal(world->collected.count, 0);
    assert_int_equal(spool_last_sequence(world->spool), last);
    assert_int_equal(spool_last_arrival(world->spool),
                     ARRIVAL + (int64_t)last);
    begin(world, "");
    assert_int_equal(spool_last_segment(world->spool), 3);
    assert_int_equal(directory_count(world->path, ".bad"), 0);
}

/* What a killed writer wrote and did not sync is about to be believed. */
static void
test_the_newest_segment_is_synced_before_it_is_believed(void **state)
{
    struct world *world = *state;

    start(world);
    add(world, 5);
    kill_writer(world);
    open_only(world, SEGMENT_OCTETS);
    fault_set(CALL_FDATASYNC, 1, EIO, false);
    assert_int_equal(
        spool_walk(world->spool, 0, collect, &world->collected, &world->why),
        -1);
    assert_int_equal(world->collected.count, 0);
    fault_clear();
    walk(world, 0);
    assert_int_equal(world->collected.count, 5);
}

/* Our own mistake, told at once and not found in the log years later. */
static void
test_a_batch_that_goes_back_is_a_bug(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            struct record_head head = {
                .type = RECORD_REMEMBER, .sequence = 10, .arrival = 10};

            (void)!freopen("/dev/null", "w", stderr);
            signal(SIGABRT, SIG_DFL);
            batch_append(world->batch, &head, NULL, 0, NULL, 0);
            head.sequence = i == 0 ? 9 : 11;
            head.arrival = i == 1 ? 9 : 11;
            batch_append(world->batch, &head, NULL, 0, NULL, 0);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (i < 2)
            assert_true(WIFSIGNALED(status));
        else
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* --- death and damage --- */

/*
 * Tear the tail at many places, begin again, and write: what was older is
 * there, what is newer is there, and what was torn never comes back.
 */
static void
test_a_torn_tail_is_left_behind_for_good(void **state)
{
    struct world *world = *state;
    uint64_t torn;
    off_t from, to;
    char *path;

    for (unsigned round = 0; round < 24; round++) {
        bool whole = round == 23;

        start(world);
        add(world, 4);
        add(world, 6);
        torn = world->sequence - 6;
        from = world->tokens[torn].offset - 48;
        to = world->tokens[world->sequence - 1].offset
             + world->tokens[world->sequence - 1].octets;
        kill_writer(world);
        if (!whole) {
            path = segment_path(world, 1);
            assert_int_equal(truncate(path, from + (to - from) * round / 23),
                             0);
            free(path);
        }
        start(world);
        assert_int_equal(world->collected.count, whole ? 10 : 4);
        add(world, 7);
        kill_writer(world);
        open_only(world, SEGMENT_OCTETS);
        walk(world, 0);
        assert_int_equal(world->collected.count, whole ? 17 : 11);
        assert_int_equal(world->collected.sequences[4], whole ? 6 : 8);
        assert_int_equal(directory_count(world->path, ".bad"), 0);
        spool_close(&world->spool);
        directory_empty(world->path);
    }
}

static void
test_damage_loses_one_article_and_keeps_the_octets(void **state)
{
    struct world *world = *state;

    start(world);
    add(world, 10);
    add(world, 10);
    add(world, 10);
    kill_writer(world);
    /* In the payload of sequence 14 (2 is the first article). */
    segment_change(
        world, 1, world->tokens[14].offset + world->tokens[14].octets - 10, 4);
    start(world);
    assert_int_equal(world->collected.count, 29);
    assert_int_equal(world->collected.sequences[11], 13);
    assert_int_equal(world->collected.sequences[12], 15);
    assert_true(directory_has(world->path, "00000001.bad"));
    add(world, 10);
    spool_close(&world->spool);
    /* And again, with the end known by now. */
    open_only(world, SEGMENT_OCTETS);
    walk(world, 0);
    assert_int_equal(world->collected.count, 39);
}

static void
test_a_damaged_head_of_a_segment_loses_nothing(void **state)
{
    struct world *world = *state;

    for (off_t at = 0; at < 48; at++) {
        for (int i = 0; i < 3; i++) {
            start(world);
            add(world, 5);
            spool_close(&world->spool);
        }
        segment_change(world, 2, at, 1);
        start(world);
        assert_int_equal(world->collected.count, 15);
        assert_true(directory_has(world->path, "00000002.bad"));
        /* Numbers and epochs grow all the same. */
        assert_int_equal(spool_last_segment(world->spool), 4);
        spool_close(&world->spool);
        directory_empty(world->path);
    }
}

/* The first batch of a segment says where the one before ends: without it the
   walk finds out by itself. */
static void
test_a_damaged_beginning_hides_no_older_segment(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 3; i++) {
        start(world);
        add(world, 5);
        spool_close(&world->spool);
    }
    segment_change(world, 2, SEGMENT_HEAD_OCTETS + 60, 1);
    open_only(world, SEGMENT_OCTETS);
    walk(world, 0);
    assert_int_equal(world->collected.count, 15);
    assert_true(directory_has(world->path, "00000002.bad"));
    assert_false(directory_has(world->path, "00000001.bad"));
}

/* After a failed sync the page cache shows what the disk may not have. */
static void
test_nothing_behind_the_known_durable_end_is_believed(void **state)
{
    struct world *world = *state;
    uint64_t last;
    uint32_t end;

    start(world);
    add(world, 5);
    last = world->sequence - 1;
    end = world->tokens[last].offset + world->tokens[last].octets;
    add(world, 5);
    kill_writer(world);

    open_only(world, SEGMENT_OCTETS);
    spool_set_durable(world->spool, 1, end);
    walk(world, 0);
    assert_int_equal(world->collected.count, 5);
    assert_int_equal(spool_last_sequence(world->spool), last);
    begin(world, "");
    add(world, 3);
    kill_writer(world);
    /* Nor ever after, by a writer that has only the log. */
    open_only(world, SEGMENT_OCTETS);
    walk(world, 0);
    assert_int_equal(world->collected.count, 8);
    assert_int_equal(world->collected.sequences[5], last + 3);
    assert_int_equal(directory_count(world->path, ".bad"), 0);
}

/* A tool wrote, and answered for it, since the server's writer died. */
static void
test_a_later_writer_knows_better_than_the_durable_end(void **state)
{
    struct world *world = *state;
    uint32_t segment, end;

    start(world);
    add(world, 5);
    spool_durable(world->spool, &segment, &end);
    assert_int_equal(segment, 1);
    assert_int_equal(end, world->tokens[world->sequence - 1].offset
                              + world->tokens[world->sequence - 1].octets);
    add(world, 5);
    kill_writer(world);
    start(world);
    add(world, 5);
    kill_writer(world);

    open_only(world, SEGMENT_OCTETS);
    spool_set_durable(world->spool, segment, end);
    walk(world, 0);
    assert_int_equal(world->collected.count, 15);
    begin(world, "");
    spool_durable(world->spool, &segment, &end);
    assert_int_equal(segment, 3);
    kill_writer(world);
    /* Nor is one that expire removed of any use. */
    open_only(world, SEGMENT_OCTETS);
    spool_set_durable(world->spool, 77, SEGMENT_HEAD_OCTETS);
    walk(world, 0);
    assert_int_equal(world->collected.count, 15);
}

static void
test_whole_segments_behind_the_durable_end_are_not_believed(void **state)
{
    struct world *world = *state;
    uint32_t end;

    open_only(world, 64 * 1024);
    walk(world, 0);
    begin(world, "");
    add(world, 5);
    end = world->tokens[6].offset + world->tokens[6].octets;
    while (spool_last_segment(world->spool) < 4)
        add(world, 40);
    kill_writer(world);

    open_only(world, 64 * 1024);
    spool_set_durable(world->spool, 1, end);
    walk(world, 0);
    assert_int_equal(world->collected.count, 5);
    begin(world, "");
    assert_int_equal(spool_last_segment(world->spool), 5);
    add(world, 3);
    kill_writer(world);
    open_only(world, 64 * 1024);
    walk(world, 0);
    assert_int_equal(world->collected.count, 8);
    assert_int_equal(world->collected.truncs, 4);
}

/* --- failing calls --- */

struct failing_case {
    enum call call;
    bool is_short;
    bool rolls_over; /* the call is made for a new segment */
    bool large;      /* only a large batch makes the call */
    const char *name;
};

static void
test_a_failed_write_is_final_and_loses_nothing(void **state)
{
    static const struct failing_case cases[] = {
        {CALL_PWRITEV, false, false, false, "pwritev"},
        {CALL_PWRITEV, true, false, false, "a short pwritev"},
        {CALL_FDATASYNC, false, false, false, "fdatasync"},
        {CALL_SYNC_FILE_RANGE, false, false, true, "sync_file_range"},
        {CALL_PWRITEV, false, true, false, "the head of a new segment"},
        {CALL_FDATASYNC, false, true, false, "its fdatasync"},
        {CALL_RENAMEAT, false, true, false, "its rename"},
        {CALL_FSYNC, false, true, false, "the directory's fsync"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct failing_case *c = &cases[i];
        uint64_t stored;

        open_only(world, 64 * 1024);
        walk(world, 0);
        begin(world, "");
        add(world, 20);
        stored = world->collected.count + 20;
        fill(world, 20);
        if (c->large || c->rolls_over) {
            article_append_sized(world->batch, world->sequence,
                                 c->large ? 600 * 1024 : 60 * 1024);
            world->sequence++;
        }
        check(world, seal(world));
        fault_set(c->call, 1, EIO, false);
        fault.is_short = c->is_short;
        if (write_batch(world) == 0)
            fail_msg("%s failed and nobody noticed", c->name);
        assert_true(world->why.used > 0);
        fault_clear();
        /* Nothing is written any more, though it could be. */
        assert_int_equal(write_batch(world), -1);
        fill(world, 1);
        assert_int_equal(seal(world), -1);
        kill_writer(world);

        open_only(world, 64 * 1024);
        walk(world, 0);
        if (world->collected.count < stored)
            fail_msg("%s failed and stored articles are gone", c->name);
        assert_int_equal(directory_count(world->path, ".bad"), 0);
        spool_close(&world->spool);
        directory_empty(world->path);
        collected_free(&world->collected);
    }
}

static void
test_each_failing_call_of_a_start_leaves_a_log_that_starts(void **state)
{
    static const enum call calls[] = {CALL_PWRITEV, CALL_FDATASYNC,
                                      CALL_FALLOCATE, CALL_RENAMEAT,
                                      CALL_FSYNC};
    struct world *world = *state;

    start(world);
    add(world, 20);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        for (int n = 1;; n++) {
            struct buffer text = BUFFER_EMPTY;
            int status;

            kill_writer(world);
            open_only(world, SEGMENT_OCTETS);
            fault_set(calls[i], n, calls[i] == CALL_FALLOCATE ? ENOSPC : EIO,
                      false);
            collected_free(&world->collected);
            status = spool_walk(world->spool, 0, collect, &world->collected,
                                &world->why);
            if (status == 0) {
                assert_int_equal(world->collected.count, 20);
                world->sequence = spool_last_sequence(world->spool) + 1;
                status = spool_begin(world->spool, &text, &world->sequence,
                                     &world->why);
            }
            fault_clear();
            if (status == 0)
                break;
            assert_true(world->why.used > 0);
        }
    kill_writer(world);
    start(world);
    assert_int_equal(world->collected.count, 20);
    assert_int_equal(directory_count(world->path, ".bad"), 0);
    assert_true(directory_count(world->path, ".new") <= 1);
}

static void
test_a_full_disk_refuses_and_recovers(void **state)
{
    struct world *world = *state;
    uint32_t segment;
    uint64_t tail;

    open_only(world, 64 * 1024);
    walk(world, 0);
    begin(world, "");
    /* The first spare may be there already, the second will not. */
    fault_set(CALL_FALLOCATE, 1, ENOSPC, true);
    do {
        fill(world, 40);
        if (seal(world) < 0)
            break;
        check(world, write_batch(world));
    } while (spool_last_segment(world->spool) < 5);
    segment = spool_last_segment(world->spool);
    tail = world->batch->first_sequence;
    assert_true(segment < 5);
    assert_non_null(strstr(buffer_text(&world->why), strerror(ENOSPC)));
    assert_int_equal(seal(world), -1);
    /* A batch that still fits is not refused. */
    world->sequence = tail;
    fill(world, 1);
    check(world, seal(world));
    check(world, write_batch(world));
    /* Space again: the same spool goes on, without a new start. */
    fault_clear();
    for (int i = 0; i < 10; i++)
        add(world, 40);
    assert_true(spool_last_segment(world->spool) > segment);
    spool_close(&world->spool);
    open_only(world, 64 * 1024);
    walk(world, 0);
    assert_int_equal(world->collected.count, world->sequence - 2);
}

/* --- two threads --- */

enum { QUEUE = 8, THREAD_BATCHES = 400 };

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    struct batch *batches[QUEUE];
    size_t count;
    bool ended;
    struct spool *spool;
};

static void *
flush(void *context)
{
    struct queue *queue = context;
    struct buffer why = BUFFER_EMPTY;
    struct batch *taken[QUEUE];
    size_t count;

    pthread_mutex_lock(&queue->mutex);
    while (!queue->ended || queue->count > 0) {
        if (queue->count == 0) {
            pthread_cond_wait(&queue->moved, &queue->mutex);
            continue;
        }
        count = queue->count;
        memcpy(taken, queue->batches, sizeof(taken));
        queue->count = 0;
        pthread_cond_signal(&queue->moved);
        pthread_mutex_unlock(&queue->mutex);
        if (spool_write(queue->spool, taken, count, &why) < 0)
            abort();
        for (size_t i = 0; i < count; i++)
            batch_free(&taken[i]);
        pthread_mutex_lock(&queue->mutex);
    }
    pthread_mutex_unlock(&queue->mutex);
    return NULL;
}

static void
test_one_thread_seals_while_another_writes(void **state)
{
    struct world *world = *state;
    struct queue queue = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                          .moved = PTHREAD_COND_INITIALIZER};
    pthread_t thread;

    open_only(world, 256 * 1024);
    walk(world, 0);
    begin(world, "");
    queue.spool = world->spool;
    assert_int_equal(pthread_create(&thread, NULL, flush, &queue), 0);
    for (int i = 0; i < THREAD_BATCHES; i++) {
        fill(world, 9);
        check(world, seal(world));
        pthread_mutex_lock(&queue.mutex);
        while (queue.count == QUEUE)
            pthread_cond_wait(&queue.moved, &queue.mutex);
        queue.batches[queue.count++] = world->batch;
        queue.ended = i == THREAD_BATCHES - 1;
        pthread_cond_signal(&queue.moved);
        pthread_mutex_unlock(&queue.mutex);
        world->batch = batch_new();
    }
    pthread_join(thread, NULL);
    assert_true(spool_last_segment(world->spool) > 3);
    spool_close(&world->spool);
    open_only(world, 256 * 1024);
    walk(world, 0);
    assert_int_equal(world->collected.count, THREAD_BATCHES * 9);
    assert_int_equal(directory_count(world->path, ".bad"), 0);
}

/* --- the directory --- */

static void
test_there_is_one_writer_at_a_time(void **state)
{
    struct world *world = *state;
    struct spool *second;

    assert_false(spool_is_locked(world->path));
    start(world);
    assert_true(spool_is_locked(world->path));
    second = spool_open(world->path, SEGMENT_OCTETS, 0, &world->why);
    assert_null(second);
    assert_non_null(strstr(buffer_text(&world->why), "held by another"));
    spool_close(&world->spool);
    assert_false(spool_is_locked(world->path));
    start(world);
}

/* Whoever follows a dying writer waits for its lock. */
static void
test_a_writer_waits_for_the_one_before(void **state)
{
    const struct timespec dying = {.tv_nsec = 400000000};
    struct world *world = *state;
    int pipes[2];
    char octet;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    if (pid == 0) {
        start(world);
        (void)!write(pipes[1], "", 1);
        nanosleep(&dying, NULL);
        _exit(0);
    }
    assert_int_equal(read(pipes[0], &octet, 1), 1);
    close(pipes[0]);
    close(pipes[1]);
    assert_true(spool_is_locked(world->path));
    world->spool = spool_open(world->path, SEGMENT_OCTETS, 30, &world->why);
    check(world, world->spool == NULL ? -1 : 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
test_a_store_of_another_version_is_named(void **state)
{
    struct world *world = *state;
    struct segment_head head;
    char *path;
    int fd;

    start(world);
    spool_close(&world->spool);
    path = segment_path(world, 1);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &head, sizeof(head), 0), sizeof(head));
    head.version = 2;
    head.crc = crc32c(0, &head, offsetof(struct segment_head, crc));
    assert_int_equal(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
    close(fd);
    free(path);
    assert_null(spool_open(world->path, SEGMENT_OCTETS, 0, &world->why));
    assert_non_null(strstr(buffer_text(&world->why), world->path));
    assert_non_null(strstr(buffer_text(&world->why),
                           "has version 2, this program reads 1"));
}

static void
test_files_of_others_are_left_alone(void **state)
{
    static const char *const names[] = {"README", "1.seg", "0000000A.seg",
                                        "00000000.seg", "000000001.seg"};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = xasprintf("%s/%s", world->path, names[i]);

        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        free(path);
    }
    start(world);
    assert_int_equal(spool_last_segment(world->spool), 1);
    add(world, 3);
    spool_close(&world->spool);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_true(directory_has(world->path, names[i]));
}

static void
test_a_missing_directory_is_made_but_not_its_parent(void **state)
{
    struct world *world = *state;
    char *path = xasprintf("%s/a/b", world->path);

    assert_null(spool_open(path, SEGMENT_OCTETS, 0, &world->why));
    assert_non_null(strstr(buffer_text(&world->why), path));
    path[strlen(path) - 2] = '\0';
    world->spool = spool_open(path, SEGMENT_OCTETS, 0, &world->why);
    assert_non_null(world->spool);
    spool_close(&world->spool);
    free(path);
}

static void
test_space_is_told(void **state)
{
    struct world *world = *state;
    uint64_t free_octets, used;

    start(world);
    add(world, 40);
    spool_space(world->spool, &free_octets, &used);
    assert_true(free_octets > 0);
    assert_true(used >= SEGMENT_OCTETS);
    assert_true(spool_has_room(world->spool));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_written_comes_back),
        TEST(test_a_start_goes_on_in_a_new_segment),
        TEST(test_a_full_segment_rolls_over_to_the_next),
        TEST(test_a_batch_may_be_greater_than_a_segment),
        TEST(test_batches_that_wait_together_are_one_write_and_one_sync),
        TEST(test_zeroes_ahead_never_fall_on_a_batch),
        TEST(test_a_segment_that_expire_removed_is_passed_over),
        TEST(test_sequence_and_arrival_never_go_back),
        TEST(test_an_empty_newest_segment_hides_no_time),
        TEST(test_the_newest_segment_is_synced_before_it_is_believed),
        TEST(test_a_batch_that_goes_back_is_a_bug),
        TEST(test_a_torn_tail_is_left_behind_for_good),
        TEST(test_damage_loses_one_article_and_keeps_the_octets),
        TEST(test_a_damaged_head_of_a_segment_loses_nothing),
        TEST(test_a_damaged_beginning_hides_no_older_segment),
        TEST(test_nothing_behind_the_known_durable_end_is_believed),
        TEST(test_a_later_writer_knows_better_than_the_durable_end),
        TEST(test_whole_segments_behind_the_durable_end_are_not_believed),
        TEST(test_a_failed_write_is_final_and_loses_nothing),
        TEST(test_each_failing_call_of_a_start_leaves_a_log_that_starts),
        TEST(test_a_full_disk_refuses_and_recovers),
        TEST(test_one_thread_seals_while_another_writes),
        TEST(test_there_is_one_writer_at_a_time),
        TEST(test_a_writer_waits_for_the_one_before),
        TEST(test_a_store_of_another_version_is_named),
        TEST(test_files_of_others_are_left_alone),
        TEST(test_a_missing_directory_is_made_but_not_its_parent),
        TEST(test_space_is_told),
    };

    is_test_thread = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
