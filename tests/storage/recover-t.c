#include "tests/storage/store_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "storage/store_private.h"

/* --- rebuilding --- */

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world_init(world, "");
    world_open(world);
    world_group(world, "newgroup local.one");
    world_group(world, "newgroup local.two");
    world_group(world, "newgroup local.old");
    *state = world;
    return 0;
}

static int
teardown(void **state)
{
    world_free(*state);
    free(*state);
    return 0;
}

/* A life: articles, removals, starts in between. */
static void
live(struct world *world)
{
    char id[32];

    for (unsigned i = 1; i <= 60; i++) {
        snprintf(id, sizeof(id), "<%u@x>", i);
        world_submit(world, id,
                     i % 4 == 0 ? "local.two,local.one" : "local.one", 0);
        if (i % 25 == 0)
            world_reopen(world);
    }
    world_submit(world, "<old@x>", "local.old,local.two", 0);
    world_group(world, "cancel <1@x>");
    world_group(world, "cancel <2@x>");
    world_group(world, "cancel <8@x>");
    world_group(world, "cancel <never@x>");
    world_group(world, "rmgroup local.old");
    world_group(world, "newgroup local.old n");
    world_submit(world, "<new@x>", "local.old", 0);
    world_group(world, "newgroup local.gone");
    world_submit(world, "<gone@x>", "local.gone", 0);
    world_group(world, "rmgroup local.gone");
    world_group(world, "changegroup local.two m");
}

/* All that a reader can see, as text. */
static char *
see(struct world *world)
{
    static const char *const names[] = {"local.one", "local.two", "local.old",
                                        "local.gone"};
    struct buffer seen = BUFFER_EMPTY;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        uint32_t id =
            active_find_any(world->active, names[i], strlen(names[i]));
        struct group_marks marks = active_marks(world->active, id);
        char flag = active_flag(world->active, id);

        buffer_append_format(&seen, "%u %s %d %u-%u %u\n", id, names[i], flag,
                             (unsigned)marks.low, (unsigned)marks.high,
                             (unsigned)marks.count);
        if (flag == 0)
            continue;
        world_lines(world, names[i], marks.low, marks.high);
        buffer_append(&seen, world->text.data, world->text.used);
    }
    for (int i = 1; i <= 60; i++) {
        char id[32];
        struct message_hash hash;
        uint64_t sequence = 0;
        struct token token;

        snprintf(id, sizeof(id), "<%d@x>", i);
        hash = world_hash(world, id);
        assert_true(
            store_find(world->store, &hash, &sequence, &token, &world->why)
            >= 0);
        buffer_append_format(&seen, "%s %u %d\n", id, (unsigned)sequence,
                             store_check(world->store, &hash));
    }
    return buffer_take(&seen);
}

static void
test_what_is_deleted_comes_back_the_same(void **state)
{
    static const char *const parts[][3] = {
        {"overview"}, {"db/history"}, {"overview", "db/history"}, {NULL}};
    struct world *world = *state;
    char *before;

    live(world);
    before = see(world);
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        char *after;

        world_close(world);
        for (size_t k = 0; parts[i][k] != NULL; k++)
            world_delete(world, parts[i][k]);
        world_open(world);
        after = see(world);
        assert_string_equal(after, before);
        free(after);
    }
    free(before);
    assert_int_equal(world_submit(world, "<2@x>", "local.one", 0).outcome,
                     STORE_REFUSED);
    assert_int_equal(world_submit(world, "<never@x>", "local.one", 0).outcome,
                     STORE_REFUSED);
    assert_int_equal(world_submit(world, "<new@x>", "local.one", 0).outcome,
                     STORE_DUPLICATE);
    world_group(world, "newgroup local.gone");
    world_submit(world, "<61@x>", "local.gone,local.one", 0);
    world_assert_marks(world, "local.gone", 2, 2, 1);
    world_assert_marks(world, "local.one", 3, 61, 58);
}

static void
test_the_overview_line_comes_back_as_it_was(void **state)
{
    static const char *const heads[] = {
        "References: <a@b>\r\n\t<c@d>\r\n",
        "X-Long: 1\r\nReferences:  <a@b> \r\nKeywords:\r\n",
        "Comments: Subject: not this one\r\n Subject: nor this\r\n",
        "",
    };
    struct world *world = *state;
    struct buffer payload = BUFFER_EMPTY;

    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        struct outcome outcome = {0};
        struct spooled *spooled;
        struct buffer line = BUFFER_EMPTY;
        char id[32];

        snprintf(id, sizeof(id), "<line%zu@x>", i);
        world_build(world, &payload, id, "local.one", heads[i],
                    "body\r\n..x\r\n", 0, 0);
        store_submit(world->store, payload.data, payload.used, outcome_note,
                     &outcome);
        world_drain(world);
        assert_int_equal(outcome.outcome, STORE_STORED);
        assert_int_equal(spool_read_now(world->config->pathspool,
                                        &outcome.token, outcome.sequence,
                                        &spooled),
                         SPOOL_FOUND);
        buffer_append_format(&line, "%zu\t", i + 1);
        recover_line(&spooled->record, &line);
        buffer_append_text(&line, "\r\n");
        world_lines(world, "local.one", i + 1, i + 1);
        assert_string_equal(line.data, world->text.data);
        buffer_free(&line);
        spooled_release(spooled);
    }
    buffer_free(&payload);
}

static void
test_a_lost_key_is_a_clear_error(void **state)
{
    struct world *world = *state;
    char path[200];
    struct stat status;

    snprintf(path, sizeof(path), "%s/db/key", world->directory);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    world_submit(world, "<1@x>", "local.one", 0);
    world_close(world);
    assert_int_equal(unlink(path), 0);
    world->active = active_new(64);
    assert_null(store_open(world->config, world->active, 0, &world->why));
    assert_non_null(strstr(world->why.data, "/db/key is missing"));
    active_close(&world->active);

    /* One that is cut short is not taken for a key. */
    snprintf(path, sizeof(path), "printf 0123 >%s/db/key", world->directory);
    assert_int_equal(system(path), 0);
    world->active = active_new(64);
    assert_null(store_open(world->config, world->active, 0, &world->why));
    assert_non_null(strstr(world->why.data, "expected 32 hexadecimal"));
}

static void
test_a_head_that_its_xref_made_too_long_is_recovered(void **state)
{
    struct world *world = *state;
    struct buffer more = BUFFER_EMPTY, payload = BUFFER_EMPTY;
    struct outcome outcome = {0};

    /* A head that article_parse() just lets in, and would not let in with
       Path and Xref grown. */
    for (int i = 0; i < 65; i++)
        buffer_append_format(&more, "X-%02d: %0996d\r\n", i, 0);
    buffer_append_format(&more, "X-Last: %060d\r\n", 0);
    world_build(world, &payload, "<big@x>", "local.one,local.two", more.data,
                "b\r\n", 0, 0);
    store_submit(world->store, payload.data, payload.used, outcome_note,
                 &outcome);
    world_drain(world);
    assert_int_equal(outcome.outcome, STORE_STORED);
    world_article(world, "<big@x>");
    assert_true(strstr(world->text.data, "\r\n\r\n") - world->text.data
                > ARTICLE_HEAD_OCTETS_MAX);
    world_close(world);
    world_delete(world, "overview");
    world_open(world);
    world_lines(world, "local.two", 1, 1);
    assert_non_null(strstr(world->text.data, "1\tabout <big@x>\tA <a@peer"));
    buffer_free(&more);
    buffer_free(&payload);
}

/* --- SIGKILL at any moment --- */

enum {
    CRASH_GROUPS = 3,
    CRASH_ROUNDS = 40,     /* RENEWS_CRASH_ROUNDS: more of them */
    CRASH_ARTICLES = 4000, /* at most, in one life */
    CRASH_MS_MAX = 120,
};

static const char *const crash_groups[] = {
    "crash.a", "crash.b", "crash.a,crash.b", "crash.b,crash.c,crash.a"};

/* What the child says through the pipe. */
struct told {
    uint32_t round;
    uint32_t number; /* of the article in its round */
    uint64_t sequence;
    uint32_t cancelled; /* an earlier article, by number: it is gone */
    uint32_t zero;
};

static int told_fd;
static uint32_t told_round;

static void
tell(const struct told *told)
{
    if (write(told_fd, told, sizeof(*told)) != (ssize_t)sizeof(*told))
        _exit(9);
}

static void
child_done(const struct store_result *result)
{
    struct told told = {.round = told_round,
                        .number = (uint32_t)result->cookie,
                        .sequence = result->sequence};

    if (result->outcome == STORE_STORED)
        tell(&told);
}

static void
child_changed(void *context, uint64_t cookie, int status, const char *text)
{
    struct told told = {.round = told_round, .cancelled = (uint32_t)cookie};

    (void)context;
    (void)text;
    if (status == 0 && cookie != 0)
        tell(&told);
}

static void
crash_id(char id[40], unsigned round, unsigned number)
{
    snprintf(id, 40, "<r%u.%u@x>", round, number);
}

/* Submit, cancel, change groups, as fast as it goes, until killed. */
static void
child_live(struct world *world, unsigned round)
{
    struct buffer payload = BUFFER_EMPTY;
    unsigned number = 0;
    char id[40];

    told_round = round;
    world_open(world);
    while (number < CRASH_ARTICLES) {
        unsigned burst = 1 + (unsigned)rand() % 60;

        while (burst-- > 0) {
            number++;
            crash_id(id, round, number);
            world_build(world, &payload, id, crash_groups[rand() % 4], "",
                        "body\r\n", 0, number);
            store_submit(world->store, payload.data, payload.used, child_done,
                         NULL);
        }
        if (rand() % 4 == 0 && number > 100) {
            unsigned victim = number - (unsigned)rand() % 100;
            const char *const word[] = {"cancel", id};

            crash_id(id, round, victim);
            store_command(world->store, 2, word, victim, child_changed, NULL);
        }
        if (rand() % 10 == 0) {
            const char *const word[] = {"changegroup", "crash.c",
                                        rand() % 2 ? "y" : "n"};

            store_command(world->store, 3, word, 0, child_changed, NULL);
        }
        store_turn_ended(world->store);
        if (store_reap(world->store, NULL) < 0)
            _exit(8);
    }
    if (store_drain(world->store, NULL) < 0)
        _exit(8);
    _exit(0);
}

/* What was promised, all rounds together. */
struct promises {
    struct told *told; /* stored articles */
    size_t count, size;
    struct told *cancelled;
    size_t cancelled_count;
    /* the sequence that each number of each group was seen with; 0: none */
    uint64_t *seen[CRASH_GROUPS];
    size_t seen_size[CRASH_GROUPS];
};

static void
read_told(struct promises *promises, int fd)
{
    struct told told;

    while (read(fd, &told, sizeof(told)) == (ssize_t)sizeof(told)) {
        if (told.cancelled != 0) {
            promises->cancelled =
                xreallocarray(promises->cancelled,
                              promises->cancelled_count + 1, sizeof(told));
            promises->cancelled[promises->cancelled_count++] = told;
            continue;
        }
        if (promises->count == promises->size) {
            promises->size = promises->size * 2 + 1024;
            promises->told = xreallocarray(promises->told, promises->size,
                                           sizeof(*promises->told));
        }
        promises->told[promises->count++] = told;
    }
}

static bool
is_cancelled(const struct promises *promises, const struct told *told)
{
    for (size_t i = 0; i < promises->cancelled_count; i++)
        if (promises->cancelled[i].round == told->round
            && promises->cancelled[i].cancelled == told->number)
            return true;
    return false;
}

/* A number names one article, whenever anyone looks. */
static void
number_is_of(struct promises *promises, unsigned group, uint64_t number,
             uint64_t sequence)
{
    if (number >= promises->seen_size[group]) {
        size_t size = number * 2 + 1024;

        promises->seen[group] =
            xreallocarray(promises->seen[group], size, sizeof(uint64_t));
        memset(promises->seen[group] + promises->seen_size[group], 0,
               (size - promises->seen_size[group]) * sizeof(uint64_t));
        promises->seen_size[group] = size;
    }
    if (promises->seen[group][number] != 0
        && promises->seen[group][number] != sequence)
        fail_msg("number %u of group %u names %llu and %llu", (unsigned)number,
                 group, (unsigned long long)promises->seen[group][number],
                 (unsigned long long)sequence);
    promises->seen[group][number] = sequence;
}

/* One answered article: in history, spool and overview, with its numbers. */
static void
article_is_kept(struct world *world, struct promises *promises,
                const struct told *told)
{
    struct message_hash hash;
    struct spooled *spooled;
    struct token token;
    uint64_t sequence = 0;
    char id[40], part[80];
    int found;

    crash_id(id, told->round, told->number);
    hash = world_hash(world, id);
    found = store_find(world->store, &hash, &sequence, &token, &world->why);
    if (found == 0 && store_check(world->store, &hash) == CHECK_KNOWN)
        return; /* cancelled, whether that was answered or not */
    if (found != 1 || sequence != told->sequence)
        fail_msg("%s: answered with sequence %llu, found %d with %llu", id,
                 (unsigned long long)told->sequence, found,
                 (unsigned long long)sequence);
    if (is_cancelled(promises, told))
        fail_msg("%s is back", id);
    if (spool_read_now(world->config->pathspool, &token, sequence, &spooled)
        != SPOOL_FOUND)
        fail_msg("%s: not in the spool", id);
    snprintf(part, sizeof(part), "\t%s\t", id);
    for (size_t i = 0; i < record_group_count(&spooled->record); i++) {
        struct record_group place = record_group(&spooled->record, i);

        number_is_of(promises, place.group - 1, place.number, sequence);
        assert_int_equal(
            world_lines(world, active_name(world->active, place.group, NULL),
                        place.number, place.number),
            sequence);
        if (strstr(world->text.data, part) == NULL)
            fail_msg("%s: number %u is %s", id, (unsigned)place.number,
                     world->text.data);
    }
    spooled_release(spooled);
}

/* The overview and the marks tell the same, and no number has moved. */
struct line_check {
    struct promises *promises;
    unsigned group;
    uint64_t count, last;
    uint64_t next;
};

static void
lines_checked(void *context, const struct overview_answer *answer)
{
    struct line_check *check = context;

    assert_true(answer->status >= 0);
    check->next = answer->next;
    for (size_t i = 0; i < answer->count; i++) {
        number_is_of(check->promises, check->group, answer->lines[i].number,
                     answer->lines[i].sequence);
        assert_true(answer->lines[i].number > check->last);
        check->last = answer->lines[i].number;
        check->count++;
    }
}

static void
groups_are_whole(struct world *world, struct promises *promises)
{
    for (unsigned group = 0; group < CRASH_GROUPS; group++) {
        struct group_marks marks = active_marks(world->active, group + 1);
        struct line_check check = {
            .promises = promises, .group = group, .next = marks.low};
        struct overview_query query = {.question = OVERVIEW_RANGE,
                                       .group = group + 1,
                                       .high = marks.high};

        if (world->reader == NULL)
            world_lines(world, "crash.a", 1, 1);
        while (check.next != 0) {
            query.low = check.next;
            overview_ask(world->reader, &query, lines_checked, &check);
        }
        overview_reader_turn_ended(world->reader);
        assert_int_equal(check.count, marks.count);
        assert_true(check.last <= marks.high);
    }
}

static void
one_life(struct world *world, struct promises *promises, unsigned round)
{
    struct timespec life = {.tv_nsec =
                                (long)(rand() % CRASH_MS_MAX) * 1000000};
    unsigned seed = (unsigned)rand();
    int ends[2];
    pid_t pid;
    int status;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    /* Room for all a life can say: the child never waits for us. */
    (void)fcntl(ends[1], F_SETPIPE_SZ, 1024 * 1024);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        told_fd = ends[1];
        srand(seed);
        child_live(world, round);
    }
    close(ends[1]);
    nanosleep(&life, NULL);
    kill(pid, SIGKILL);
    read_told(promises, ends[0]);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        fail_msg("the child ended with %d", WEXITSTATUS(status));
}

static void
test_what_was_answered_survives_sigkill_once_with_its_number(void **state)
{
    const char *wanted = getenv("RENEWS_CRASH_ROUNDS");
    unsigned rounds =
        wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : CRASH_ROUNDS;
    struct promises promises = {0};
    struct world world = {0};
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    world_init(&world, "");
    world_open(&world);
    world_group(&world, "newgroup crash.a");
    world_group(&world, "newgroup crash.b");
    world_group(&world, "newgroup crash.c");
    world_close(&world);
    for (unsigned round = 1; round <= rounds; round++) {
        size_t before = promises.count;

        /* Half of them are writers of one master, which keeps the memory. */
        if (round % 2 == 0 && world.active == NULL)
            world.active = active_new(64);
        one_life(&world, &promises, round);
        /* Sometimes the next one dies too before anybody looks. */
        if (round % 3 == 0)
            continue;
        world_open(&world);
        for (size_t i = before; i < promises.count; i++)
            article_is_kept(&world, &promises, &promises.told[i]);
        groups_are_whole(&world, &promises);
        world_close(&world);
    }
    /* At the end everything, and once more from the log alone. */
    for (int pass = 0; pass < 2; pass++) {
        world_open(&world);
        for (size_t i = 0; i < promises.count; i++)
            article_is_kept(&world, &promises, &promises.told[i]);
        groups_are_whole(&world, &promises);
        world_close(&world);
        world_delete(&world, "overview");
        world_delete(&world, "db/history");
    }
    print_message("%zu articles and %zu cancels answered in %u lives\n",
                  promises.count, promises.cancelled_count, rounds);
    assert_true(promises.count > 0);
    free(promises.told);
    free(promises.cancelled);
    for (unsigned i = 0; i < CRASH_GROUPS; i++)
        free(promises.seen[i]);
    world_free(&world);
}

/* --- records that are whole, and are not what this program writes --- */

static int
pass_over(void *context, const struct record *record, struct buffer *why)
{
    (void)context;
    (void)record;
    (void)why;
    return 0;
}

/* Append a record to the log, as a writer of its own. */
static void
log_append(struct world *world, enum record_type type,
           const struct record_group *place, const char *payload,
           size_t octets)
{
    struct spool *spool =
        spool_open(world->config->pathspool,
                   (uint64_t)world->config->segment_octets, 0, &world->why);
    const struct buffer snapshot = BUFFER_EMPTY;
    struct batch *batch = batch_new();
    struct record_head head = {.type = type};
    struct iovec piece = {(void *)(uintptr_t)payload, octets};
    uint64_t sequence;
    uint32_t segment, offset;

    assert_non_null(spool);
    assert_int_equal(spool_walk(spool, 0, pass_over, NULL, &world->why), 0);
    sequence = spool_last_sequence(spool) + 1;
    assert_int_equal(spool_begin(spool, &snapshot, &sequence, &world->why), 0);
    head.sequence = sequence;
    head.arrival = spool_last_arrival(spool);
    (void)batch_append(batch, &head, place, place != NULL ? sizeof(*place) : 0,
                       &piece, 1);
    assert_int_equal(spool_seal(spool, batch, &segment, &offset, &world->why),
                     0);
    assert_int_equal(spool_write(spool, &batch, 1, &world->why), 0);
    batch_free(&batch);
    spool_close(&spool);
}

/* Of a later version, say. */
static void
test_records_of_unknown_types_are_passed_over(void **state)
{
    struct world *world = *state;

    world_submit(world, "<1@x>", "local.one", 0);
    world_close(world);
    log_append(world, (enum record_type)4711, NULL, "whatever", 8);
    world_open(world);
    world_assert_marks(world, "local.one", 1, 1, 1);
    world_submit(world, "<2@x>", "local.one", 0);
    world_reopen(world);
    world_assert_marks(world, "local.one", 1, 2, 2);
    assert_int_equal(world_lines(world, "local.one", 1, 2) > 0, 1);
}

/* Its sums are right, and what it says cannot be: that is said, and nothing is
   guessed. */
static void
test_a_record_that_makes_no_sense_is_a_clear_error(void **state)
{
    static const struct record_group nowhere = {.group = 0, .number = 1};
    static const struct record_group beyond = {.group = UINT32_MAX,
                                               .number = 1};
    static const struct {
        enum record_type type;
        const struct record_group *place;
        const char *why;
    } rows[] = {
        {RECORD_CANCEL, NULL, "is cut short"},
        {RECORD_ARTICLE, &nowhere, "is filed in newsgroup 0"},
        {RECORD_ARTICLE, &beyond, "is filed in newsgroup 4294967295"},
        {RECORD_EXPIRE, NULL, "a batch of removals is cut short"},
        {RECORD_REMEMBER, NULL, "5 octets are no list of remembered IDs"},
        {RECORD_GROUP, NULL, "a record of a newsgroup is cut short"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world world;

        world_init(&world, "");
        world_open(&world);
        world_group(&world, "newgroup local.one");
        world_close(&world);
        log_append(&world, rows[i].type, rows[i].place, "short", 5);
        world.active = active_new((size_t)world.config->groups_max);
        world.store = store_open(world.config, world.active, 0, &world.why);
        if (world.store != NULL
            || strstr(buffer_text(&world.why), rows[i].why) == NULL)
            fail_msg("row %zu: %s, not: %s", i, buffer_text(&world.why),
                     rows[i].why);
        world_free(&world);
    }
}

/* --- removals --- */

static void
overview_copy(const struct world *world, const char *from, const char *to)
{
    char *command =
        xasprintf("rm -rf %s/%s && cp -r %s/%s %s/%s", world->directory, to,
                  world->directory, from, world->directory, to);

    assert_int_equal(system(command), 0);
    free(command);
}

/* What a writer leaves that dies behind the removal, before it came to look up
   where the group begins now. */
static void
removal_alone(struct world *world, uint64_t sequence, uint64_t applied)
{
    const struct record_group place = {.group = 1, .number = 1};
    struct overview *overview =
        overview_open(world->config->overview, world->config->pathoverview,
                      1048576, &world->why);

    assert_non_null(overview);
    assert_int_equal(overview_begin(overview, &world->why), 0);
    assert_int_equal(
        overview_remove(overview, sequence, &place, 1, true, &world->why), 0);
    assert_int_equal(overview_commit(overview, applied, &world->why), 0);
    overview_close(&overview);
}

static void
test_a_low_mark_that_was_not_raised_in_time_is_raised_by_the_start(
    void **state)
{
    struct world *world = *state;
    uint64_t sequence, applied;

    if (strncmp(world->config->overview, "sqlite", 6) != 0)
        skip(); /* its files are put back */
    for (unsigned i = 1; i <= 3; i++) {
        char id[32];

        snprintf(id, sizeof(id), "<%u@x>", i);
        world_submit(world, id, "local.one", 0);
    }
    sequence = world_lines(world, "local.one", 1, 1);
    assert_int_equal(world_id(world, "local.one"), 1);
    world_close(world);
    overview_copy(world, "overview", "before");
    world_open(world);
    world_group(world, "cancel <1@x>");
    world_assert_marks(world, "local.one", 2, 3, 2);
    applied = overview_applied(world->store->overview);
    world_close(world);
    overview_copy(world, "before", "overview");
    removal_alone(world, sequence, applied);
    world_open(world);
    world_assert_marks(world, "local.one", 2, 3, 2);
    /* And that is kept: the next one need not look. */
    world_reopen(world);
    world_assert_marks(world, "local.one", 2, 3, 2);
}

int
main(void)
{
#define PROMISE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        PROMISE(test_what_is_deleted_comes_back_the_same),
        PROMISE(test_the_overview_line_comes_back_as_it_was),
        PROMISE(test_a_lost_key_is_a_clear_error),
        PROMISE(test_records_of_unknown_types_are_passed_over),
        cmocka_unit_test(test_a_record_that_makes_no_sense_is_a_clear_error),
        PROMISE(
            test_a_low_mark_that_was_not_raised_in_time_is_raised_by_the_start),
        PROMISE(test_a_head_that_its_xref_made_too_long_is_recovered),
        cmocka_unit_test(
            test_what_was_answered_survives_sigkill_once_with_its_number),
    };

    int failed = cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);

    return failed
           + cmocka_run_group_tests_name("postgresql", tests, postgresql_begin,
                                         postgresql_end);
}
