/*
 * Each call that can fail, failing: 50 articles go through the store, and one
 * write, sync, allocation, rename, removal, or one call of SQLite or Berkeley
 * DB fails, once or from then on, or is where the process dies.
 *
 * A child of this program is the writer; the parent is the master and all
 * peers, in memory that they share: it knows what was answered.  After the
 * child's end another, with a disk that is good again, does the rest, sends
 * again what was not answered, and looks at everything.
 *
 * RENEWS_LONG: every call; else every tenth, from RENEWS_FAULT_OFFSET on (or
 * from one by the clock, which is printed).  RENEWS_FAULT: one case, as the
 * failures name it.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/log.h"
#include "storage/store_private.h"
#include "tests/fault/fault.h"
#include "tests/storage/store_world.h"

enum {
    ARTICLES = 50,
    GROUPS = 2,
    EVERY = 10,  /* in the short form */
    WORKERS = 4, /* that try a case each; most of it is waiting */
    BODY_OCTETS = 48 * 1024,
    CANCELLED = 1,  /* the article that is: the lowest of test.two */
    SECONDS = 60,   /* a child that takes longer hangs */
    WAITED_MS = 50, /* a writer that waits for its overview is ended */
    /* How children end. */
    ENDED_BROKEN = 75, /* as the writer does when its store is broken */
    ENDED_WRONG = 98,  /* a promise is broken: told.wrong says which */
};

static const char *const group_names[GROUPS] = {"test.one", "test.two"};

/* What the peers were told, which outlives every writer. */
struct told {
    struct {
        bool sent;
        bool stored;
        uint64_t number[GROUPS]; /* 0: not filed there */
    } articles[ARTICLES];
    bool cancel_sent;
    bool cancelled;
    uint64_t low[GROUPS]; /* what any reader may have seen (RFC 3977, 6.1.1.2:
                             it never comes down) */
    unsigned put_off;     /* answers "not now" */
    char wrong[400];
};

static struct told *told;
static struct world *world;

static void wrong(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

static void
wrong(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(told->wrong, sizeof(told->wrong), format, arguments);
    va_end(arguments);
    _exit(ENDED_WRONG);
}

/* As the writer does when its store is broken; RENEWS_FAULT shows why. */
static void broken(void) __attribute__((noreturn));

static void
broken(void)
{
    warn("%s", buffer_text(&world->why));
    _exit(ENDED_BROKEN);
}

/* --- what a reader sees, whether there is a writer or not --- */

static struct group_marks
group_marks(unsigned group)
{
    uint32_t id = 1;
    struct group_marks none = {.low = 0};

    while (id <= active_count(world->active)
           && strcmp(active_name(world->active, id, NULL), group_names[group])
                  != 0)
        id++;
    return id <= active_count(world->active) ? active_marks(world->active, id)
                                             : none;
}

static void
note_lows(void)
{
    for (unsigned group = 0; group < GROUPS; group++) {
        uint64_t low = group_marks(group).low;

        if (low < told->low[group])
            wrong("%s began at %llu, and begins at %llu", group_names[group],
                  (unsigned long long)told->low[group],
                  (unsigned long long)low);
        told->low[group] = low;
    }
}

/* --- the writer: what a child does --- */

static void
article_id(char id[32], unsigned article)
{
    snprintf(id, 32, "<fault-%u@x>", article);
}

/* Which groups it goes to: the first, both, the second, by turns. */
static bool
article_is_in(unsigned article, unsigned group)
{
    return group == 0 ? article % 3 < 2 : article % 3 > 0;
}

static void
store_begin(void)
{
    world->store = store_open(world->config, world->active, 0, &world->why);
    if (world->store == NULL)
        broken();
    note_lows();
}

/* Until everything has its answer. */
static void
settle(void)
{
    int64_t waited_ms = 0;

    store_turn_ended(world->store);
    for (;;) {
        struct pollfd poll_fd = {.fd = store_fd(world->store),
                                 .events = POLLIN};

        if (store_reap(world->store, &world->why) < 0)
            broken();
        if (store_pending(world->store) == 0)
            return;
        if (poll(&poll_fd, 1, 10) == 0 && store_is_waiting(world->store)
            && (waited_ms += 10) >= WAITED_MS)
            broken();
    }
}

/* It was acknowledged: then it can be read, and has these numbers for good. */
static void
note_numbers(unsigned article, const struct store_result *result)
{
    struct spooled *spooled;
    uint64_t number[GROUPS] = {0};

    if (spool_read_now(world->config->pathspool, &result->token,
                       result->sequence, &spooled)
        != SPOOL_FOUND)
        wrong("article %u was acknowledged and cannot be read", article);
    for (size_t i = 0; i < record_group_count(&spooled->record); i++) {
        struct record_group place = record_group(&spooled->record, i);

        for (unsigned group = 0; group < GROUPS; group++)
            if (strcmp(active_name(world->active, place.group, NULL),
                       group_names[group])
                == 0)
                number[group] = place.number;
    }
    spooled_release(spooled);
    for (unsigned group = 0; group < GROUPS; group++) {
        if ((number[group] != 0) != article_is_in(article, group))
            wrong("article %u is filed in the wrong newsgroups", article);
        for (unsigned other = 0; other < ARTICLES; other++)
            if (other != article && number[group] != 0
                && told->articles[other].number[group] == number[group])
                wrong("%s:%llu names articles %u and %u", group_names[group],
                      (unsigned long long)number[group], other, article);
        told->articles[article].number[group] = number[group];
    }
}

static void
article_told(const struct store_result *result)
{
    unsigned article = (unsigned)result->cookie;

    switch (result->outcome) {
    case STORE_STORED:
        note_numbers(article, result);
        told->articles[article].stored = true;
        return;
    case STORE_LATER:
        told->put_off++;
        return;
    case STORE_DUPLICATE:
    case STORE_REFUSED:
        break;
    }
    wrong("article %u is refused for ever: %s", article, result->why);
}

static void
submit(unsigned article)
{
    struct buffer payload = BUFFER_EMPTY;
    struct buffer body = BUFFER_EMPTY;
    char groups[64] = "";
    char id[32];

    article_id(id, article);
    for (unsigned group = 0; group < GROUPS; group++)
        if (article_is_in(article, group)) {
            if (groups[0] != '\0')
                strcat(groups, ",");
            strcat(groups, group_names[group]);
        }
    /* From the 15th on they are long: the log goes on to new segments. */
    while (body.used < (article < 15 ? 100 : BODY_OCTETS))
        buffer_append_format(&body, "line of article %u\r\n", article);
    world_build(world, &payload, id, groups, "", body.data,
                told->articles[article].sent ? SUBMISSION_RESUBMIT : 0,
                article);
    told->articles[article].sent = true;
    store_submit(world->store, payload.data, payload.used, article_told, NULL);
    buffer_free(&payload);
    buffer_free(&body);
}

/* Those of from..to-1 that are not stored, in turns of so many. */
static void
submit_some(unsigned from, unsigned to, unsigned turn)
{
    for (unsigned article = from; article < to; article++) {
        if (!told->articles[article].stored)
            submit(article);
        if ((article - from) % turn == turn - 1 || article == to - 1)
            settle();
    }
}

static void
command_told(void *context, uint64_t cookie, int status, const char *text)
{
    (void)cookie;
    *(bool *)context = status == 0;
    if (status < 0)
        why_set(&world->why, "%s", text);
}

/* True: done.  False: it was put off. */
static bool
command(const char *first, const char *second)
{
    const char *word[] = {first, second};
    bool done = false;

    store_command(world->store, 2, word, 0, command_told, &done);
    settle();
    return done;
}

static void
checkpoints(void)
{
    uint64_t left;

    /* A checkpoint that fails costs time and no article. */
    (void)overview_checkpoint(world->store->overview, &left, &world->why);
    (void)history_checkpoint(world->store->history, &world->why);
}

/*
 * The whole life of a store, or what is left to do of it.  Without the groups
 * nothing can be sent: that end is as good as a broken store.
 */
static void
script(void)
{
    store_begin();
    for (unsigned group = 0; group < GROUPS; group++)
        if (!command("newgroup", group_names[group]))
            broken();
    if (command("newgroup", "test.gone"))
        (void)command("rmgroup", "test.gone"); /* put off: it stays */
    submit_some(0, 10, 10);
    submit_some(10, 15, 1);
    if (told->articles[CANCELLED].stored && !told->cancelled) {
        char id[32];

        article_id(id, CANCELLED);
        told->cancel_sent = true;
        told->cancelled = command("cancel", id);
    }
    submit_some(15, 30, 5);
    checkpoints();
    store_close(&world->store);
    /* The other half of the code: everything is replayed. */
    world_delete(world, "db/history");
    store_begin();
    submit_some(30, ARTICLES, 7);
    checkpoints();
}

/* --- looking at everything --- */

struct seen {
    unsigned group;
    bool article[ARTICLES];
    uint64_t lines, first, last;
};

static unsigned
line_article(const struct overview_line *line)
{
    const char *at = memmem(line->text, line->octets, "<fault-", 7);
    unsigned article = ARTICLES;

    if (at != NULL)
        article = (unsigned)strtoul(at + 7, NULL, 10);
    if (article >= ARTICLES)
        wrong("a line of nobody's: %.*s", (int)line->octets, line->text);
    return article;
}

static void
see_lines(void *context, const struct overview_answer *answer)
{
    struct seen *seen = context;

    if (answer->status < 0)
        wrong("the overview cannot be read");
    for (size_t i = 0; i < answer->count; i++) {
        const struct overview_line *line = &answer->lines[i];
        unsigned article = line_article(line);
        uint64_t number = told->articles[article].number[seen->group];

        if (seen->article[article])
            wrong("article %u is there twice", article);
        seen->article[article] = true;
        if (told->articles[article].stored && number != line->number)
            wrong("article %u had number %llu in %s, and has %llu", article,
                  (unsigned long long)number, group_names[seen->group],
                  (unsigned long long)line->number);
        if (seen->lines++ == 0)
            seen->first = line->number;
        seen->last = line->number;
    }
}

static void
check_group(unsigned group)
{
    struct seen seen = {.group = group};
    struct group_marks marks =
        active_marks(world->active, world_id(world, group_names[group]));
    struct overview_query query = {
        .question = OVERVIEW_RANGE,
        .group = world_id(world, group_names[group]),
        .low = 1,
        .high = marks.high,
    };
    struct overview_reader *reader = overview_reader_open(
        world->config->overview, world->config->pathoverview, world->active,
        NULL, &world->why);

    if (reader == NULL)
        wrong("%s", buffer_text(&world->why));
    (void)overview_ask(reader, &query, see_lines, &seen);
    overview_reader_turn_ended(reader);
    overview_reader_close(&reader);
    for (unsigned article = 0; article < ARTICLES; article++) {
        bool wanted = article_is_in(article, group)
                      && (article != CANCELLED || !told->cancelled);

        if (article == CANCELLED && told->cancel_sent && !told->cancelled)
            continue; /* nobody has heard whether it is */
        if (wanted != seen.article[article])
            wrong("article %u is %s %s", article, wanted ? "not in" : "in",
                  group_names[group]);
    }
    if (marks.count != seen.lines || marks.low != seen.first
        || marks.high < seen.last)
        wrong("%s: %llu lines from %llu to %llu, and %llu %llu %llu",
              group_names[group], (unsigned long long)seen.lines,
              (unsigned long long)seen.first, (unsigned long long)seen.last,
              (unsigned long long)marks.count, (unsigned long long)marks.low,
              (unsigned long long)marks.high);
}

static void
check_article(unsigned article)
{
    char id[32];
    struct message_hash hash;
    struct token token;
    uint64_t sequence;
    struct spooled *spooled;
    int found;

    article_id(id, article);
    hash = world_hash(world, id);
    found = store_find(world->store, &hash, &sequence, &token, &world->why);
    if (article == CANCELLED && told->cancel_sent) {
        if (told->cancelled && found != 0)
            wrong("the cancelled article is back");
        return;
    }
    if (!told->articles[article].stored)
        wrong("article %u was not taken in the end", article);
    if (found != 1)
        wrong("article %u is lost", article);
    if (spool_read_now(world->config->pathspool, &token, sequence, &spooled)
        != SPOOL_FOUND)
        wrong("article %u cannot be read", article);
    spooled_release(spooled);
}

static void
check(void)
{
    note_lows();
    for (unsigned group = 0; group < GROUPS; group++)
        check_group(group);
    for (unsigned article = 0; article < ARTICLES; article++)
        check_article(article);
}

/* With a good disk: the rest, then everything is right, and is so again when
   both indices are made anew from the log. */
static void
script_and_check(void)
{
    script();
    check();
    store_close(&world->store);
    world_delete(world, "db/history");
    world_delete(world, "overview");
    store_begin();
    check();
    store_close(&world->store);
}

/* --- the master: what this program does --- */

static int
child_run(const struct fault_plan *plan, void (*life)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        /* What is said of failures is what they are for. */
        if (getenv("RENEWS_FAULT") == NULL
            && freopen("/dev/null", "w", stderr) == NULL)
            _exit(1);
        alarm(SECONDS);
        fault_arm(plan);
        life();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void
plan_print(const struct fault_plan *plan, char text[64])
{
    snprintf(text, 64, "%s:%llu:%s:%s", fault_call_name(plan->call),
             (unsigned long long)plan->number, fault_name(plan->fault),
             plan->for_ever ? "for ever" : "once");
}

/* What is wrong with how a child ended; NULL: nothing. */
static const char *
end_is_wrong(int status, bool may_break, char text[64])
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == ENDED_WRONG)
        return told->wrong;
    if (WIFEXITED(status)
        && (WEXITSTATUS(status) == 0
            || (may_break
                && (WEXITSTATUS(status) == ENDED_BROKEN
                    || WEXITSTATUS(status) == FAULT_STATUS))))
        return NULL;
    if (WIFSIGNALED(status))
        snprintf(text, 64, "ended by signal %d", WTERMSIG(status));
    else
        snprintf(text, 64, "ended with status %d", WEXITSTATUS(status));
    return text;
}

/* One case.  Returns whether the fault happened; what is wrong is printed and
   counted. */
static bool
case_run(const struct fault_plan *plan, unsigned *failed)
{
    struct world one;
    char name[64], text[64];
    const char *why;
    bool happened;

    memset(told, 0, sizeof(*told));
    world_init(&one, "");
    world = &one;
    world->active = active_new((size_t)world->config->groups_max);
    fault_open(world->directory);
    why = end_is_wrong(child_run(plan, script), true, text);
    happened = fault_happened();
    for (unsigned group = 0; group < GROUPS; group++)
        if (group_marks(group).low > told->low[group])
            told->low[group] = group_marks(group).low;
    if (why == NULL)
        why = end_is_wrong(child_run(NULL, script_and_check), false, text);
    if (why != NULL) {
        plan_print(plan, name);
        print_error("%s: %s\n", name, why);
        (*failed)++;
    }
    fault_close();
    world_free(world);
    return happened;
}

/* How many calls of each kind the script makes when all goes well. */
static void
calls_count(uint64_t count[FAULT_CALLS])
{
    struct world one;

    memset(told, 0, sizeof(*told));
    world_init(&one, "");
    world = &one;
    world->active = active_new((size_t)world->config->groups_max);
    fault_open(world->directory);
    if (child_run(NULL, script) != 0)
        fail_msg("without a fault: %s", told->wrong);
    for (int call = 0; call < FAULT_CALLS; call++)
        count[call] = fault_count((enum fault_call)call);
    fault_close();
    world_free(world);
}

struct tally {
    unsigned cases;
    unsigned failed;
    unsigned missed; /* the script made fewer such calls this time */
};

static void
call_try(enum fault_call call, uint64_t number, enum fault fault,
         bool for_ever, struct tally *tally)
{
    struct fault_plan plan = {call, fault, number, for_ever};

    tally->cases++;
    if (!case_run(&plan, &tally->failed))
        tally->missed++;
}

/* Each fault that this call can have. */
static void
call_try_all(enum fault_call call, uint64_t number, struct tally *tally)
{
    for (int fault = FAULT_EIO; fault < FAULTS; fault++) {
        if (!fault_is_possible(call, (enum fault)fault))
            continue;
        call_try(call, number, (enum fault)fault, false, tally);
        if (fault < FAULT_DEATH_BEFORE)
            call_try(call, number, (enum fault)fault, true, tally);
    }
}

/* One of them, another for the next. */
static void
call_try_one(enum fault_call call, uint64_t number, uint64_t turn,
             struct tally *tally)
{
    enum fault fault;

    do
        fault = (enum fault)(FAULT_EIO + turn % (FAULTS - FAULT_EIO));
    while (!fault_is_possible(call, fault) && (turn++, true));
    call_try(call, number, fault,
             fault < FAULT_DEATH_BEFORE
                 && turn / (FAULTS - FAULT_EIO) % 2 == 1,
             tally);
}

static uint64_t
offset_choose(void)
{
    const char *given = getenv("RENEWS_FAULT_OFFSET");
    uint64_t offset =
        given != NULL ? strtoul(given, NULL, 10) : (uint64_t)time(NULL);

    return offset % EVERY;
}

/* "pwritev:3:EIO:once", as cases are named. */
static struct fault_plan
plan_read(const char *text)
{
    for (int call = 0; call < FAULT_CALLS; call++)
        for (int fault = FAULT_EIO; fault < FAULTS; fault++)
            for (int for_ever = 0; for_ever < 2; for_ever++) {
                struct fault_plan plan = {(enum fault_call)call,
                                          (enum fault)fault, 0, for_ever};
                const char *number = strchr(text, ':');
                char name[64];

                if (number != NULL)
                    plan.number = strtoul(number + 1, NULL, 10);
                plan_print(&plan, name);
                if (strcmp(name, text) == 0)
                    return plan;
            }
    fail_msg("RENEWS_FAULT=%s is no case", text);
    return (struct fault_plan){0};
}

static void
test_one_call_that_fails_loses_nothing(void **state)
{
    struct fault_plan plan = plan_read(getenv("RENEWS_FAULT"));
    unsigned failed = 0;

    (void)state;
    if (!case_run(&plan, &failed))
        print_message("it did not happen\n");
    assert_int_equal(failed, 0);
}

static void *
shared_new(size_t octets)
{
    void *memory = mmap(NULL, octets, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        abort();
    return memory;
}

/* What is one worker's of them all. */
static void
calls_try(const uint64_t count[FAULT_CALLS], bool is_long, uint64_t offset,
          unsigned worker, struct tally *tally)
{
    uint64_t nth = 0;

    for (int call = 0; call < FAULT_CALLS; call++)
        for (uint64_t number = 1; number <= count[call]; number++, nth++) {
            if (nth / EVERY % WORKERS != worker)
                continue;
            if (is_long)
                call_try_all((enum fault_call)call, number, tally);
            else if (nth % EVERY == offset)
                call_try_one((enum fault_call)call, number, nth / EVERY,
                             tally);
        }
}

/* Each worker is a master with a store and peers of its own. */
static struct tally
workers_run(const uint64_t count[FAULT_CALLS], bool is_long, uint64_t offset)
{
    struct tally *tallies = shared_new(WORKERS * sizeof(*tallies));
    struct tally sum = {0};
    pid_t workers[WORKERS];
    int status;

    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = fork();
        if (workers[i] == 0) {
            told = shared_new(sizeof(*told));
            calls_try(count, is_long, offset, i, &tallies[i]);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(waitpid(workers[i], &status, 0), workers[i]);
        assert_int_equal(status, 0);
        sum.cases += tallies[i].cases;
        sum.failed += tallies[i].failed;
        sum.missed += tallies[i].missed;
    }
    (void)munmap(tallies, WORKERS * sizeof(*tallies));
    return sum;
}

static void
test_each_call_that_fails_loses_nothing(void **state)
{
    const char *form = getenv("RENEWS_LONG");
    bool is_long = form != NULL && form[0] != '\0';
    uint64_t offset = is_long ? 0 : offset_choose();
    uint64_t count[FAULT_CALLS], calls = 0;
    struct tally tally;

    (void)state;
    calls_count(count);
    if (!is_long)
        print_message("every tenth call fails: RENEWS_FAULT_OFFSET=%llu\n",
                      (unsigned long long)offset);
    for (int call = 0; call < FAULT_CALLS; call++) {
        /* A call that the script does not make is not tried by it. */
        if (count[call] == 0)
            fail_msg("the script has no %s",
                     fault_call_name((enum fault_call)call));
        calls += count[call];
    }
    tally = workers_run(count, is_long, offset);
    print_message("calls=%llu cases=%u failed=%u, calls that were not made"
                  " again=%u\n",
                  (unsigned long long)calls, tally.cases, tally.failed,
                  tally.missed);
    assert_int_equal(tally.failed, 0);
    /* The threads take turns in another order each time; not more than that.
     */
    assert_true(tally.missed * 10 < tally.cases);
}

int
main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_each_call_that_fails_loses_nothing),
    };
    const struct CMUnitTest one[] = {
        cmocka_unit_test(test_one_call_that_fails_loses_nothing),
    };

    /* In memory: what is tried is the order of the calls, not the disk. */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    told = shared_new(sizeof(*told));
    if (getenv("RENEWS_FAULT") != NULL)
        return cmocka_run_group_tests(one, NULL, NULL);
    return cmocka_run_group_tests(all, NULL, NULL);
}
