/*
 * hotpaths -- fixed inputs through a worker and a store, for counting
 * instructions: a TAKETHIS of 3 KB, an OVER of 500, an ARTICLE.
 *
 * Run by tests/bench/test_instructions.py under callgrind, without timers: a
 * case begins with all counters at zero and ends with a dump that has its
 * name.  Worker and writer are one process here, joined by a socketpair as the
 * real ones are; what waits for the disk blocks, so that nothing spins and
 * each run counts the same.
 */
#include "tests/storage/store_world.h"

#include <event2/event.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <time.h>
#include <valgrind/callgrind.h>

#include "lib/clock.h"
#include "lib/ipc.h"
#include "lib/shared.h"
#include "nnrpd/finder.h"
#include "nnrpd/packed.h"
#include "nnrpd/ready_list.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"
#include "storage/store_private.h"

enum {
    BODY_OCTETS = 2700, /* with the head some 3 KB on the wire */
    BATCH = 64,         /* TAKETHIS in one write */
    FED = 32 * BATCH,   /* articles at least, before anything is counted */
    ROUNDS = 4,
    FOLDED_SECONDS = 60,
    DEADLINE_SECONDS = 280,
};

static struct world world;
static struct worker worker;
static struct ipc *writer[2]; /* LINK_FEED, LINK_POST */
static int client;
static unsigned next_article;

/* --- the writer's end of the worker's link, as innd/writer.c serves it --- */

static void
article_done(const struct store_result *result)
{
    struct ipc_outcome outcome = {.cookie = result->cookie,
                                  .outcome = result->outcome,
                                  .sequence = result->sequence,
                                  .token = result->token};

    ipc_send(writer[0], IPC_OUTCOME, &outcome, sizeof outcome, -1);
}

static void
on_article(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    (void)context;
    (void)ipc;
    store_submit(world.store, frame->payload, frame->octets, article_done,
                 NULL);
}

/* An ID whose place in the shared table another one has. */
static void
on_find(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    const struct ipc_find *find = frame->payload;
    struct ipc_found found = {.cookie = find->cookie};

    (void)context;
    assert_int_equal(store_find(world.store, &find->hash, &found.sequence,
                                &found.token, &world.why),
                     1);
    ipc_send(ipc, IPC_FOUND, &found, sizeof found, -1);
}

static void
on_closed(void *context, struct ipc *ipc, const char *why)
{
    (void)context;
    (void)ipc;
    fail_msg("the worker hung up: %s", why);
}

static const struct ipc_handler handlers[] = {
    {IPC_ARTICLE, sizeof(struct submission), false, false, on_article},
    {IPC_FIND, sizeof(struct ipc_find), true, false, on_find},
};

/* --- the worker --- */

static void
turns(int count)
{
    while (count-- > 0)
        worker_turn(&worker, false);
}

/* A session's share of a turn is a millisecond, in which callgrind counts a
   fiftieth of what a machine does: time stands still. */
uint64_t __wrap_clock_ns(void);
uint64_t
__wrap_clock_ns(void)
{
    return 1;
}

static void
worker_begin(void)
{
    int fd, pair[2];

    worker_init(&worker);
    worker.config = world.config;
    worker.active = world.active;
    worker.shared = shared_create(&fd);
    close(fd);
    worker.slot = &worker.shared->slots[0];
    atomic_store(&worker.shared->writer_ready, 1);
    worker.base = event_base_new();
    worker.now_ms = clock_ms();
    worker.writer = writer_link_new(&worker);
    worker.finder = finder_new(&worker);
    worker.packed = packed_new(worker.active);
    worker.ready_lists = ready_lists_new(worker.active);
    worker.spool = spool_reader_new(world.config->pathspool, worker.base);
    worker.overview = overview_reader_open(
        world.config->overview, world.config->pathoverview, world.active,
        worker.base, &world.why);
    assert_non_null(worker.overview);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        writer[i] =
            ipc_new(worker.base, pair[0], handlers,
                    sizeof handlers / sizeof handlers[0], on_closed, NULL);
        writer_link_connect(worker.writer, i == 0 ? LINK_FEED : LINK_POST,
                            pair[1]);
    }
    turns(10);
}

static void
client_connect(void)
{
    struct ipc_client from = {.client = 1, .listener = LISTENER_PLAIN};
    int octets = 1024 * 1024;
    char greeting[200];
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    client = pair[0];
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
    snprintf(from.address, sizeof from.address, "127.0.0.1");
    session_new(&worker, &from, pair[1]);
    turns(2);
    assert_true(recv(client, greeting, sizeof greeting, MSG_DONTWAIT) > 0);
}

/* Send, and turn until so many lines that end with `mark` have come. */
static void
client_ask(const char *octets, size_t length, const char *mark, unsigned lines)
{
    static char heard[2 * 1024 * 1024];
    size_t used = 0, looked = 0;
    unsigned seen = 0;

    assert_int_equal(send(client, octets, length, MSG_NOSIGNAL), length);
    while (seen < lines) {
        ssize_t got =
            recv(client, heard + used, sizeof heard - used - 1, MSG_DONTWAIT);

        if (got <= 0) {
            worker_turn(&worker, true);
            continue;
        }
        heard[used + (size_t)got] = '\0';
        used += (size_t)got;
        for (const char *at; (at = strstr(heard + looked, mark)) != NULL;
             seen++)
            looked = (size_t)(at - heard) + strlen(mark);
        assert_true(used + 64 * 1024 < sizeof heard);
    }
}

/* --- the cases; each returns how many units it did --- */

static void
batch_build(struct buffer *octets)
{
    for (int i = 0; i < BATCH; i++) {
        char id[64];

        snprintf(id, sizeof id, "<hot-%u@example.com>", next_article++);
        buffer_append_format(octets,
                             "TAKETHIS %s\r\n"
                             "Path: peer.example!not-for-mail\r\n"
                             "From: A Tester <tester@example.com>\r\n"
                             "Newsgroups: local.test\r\n"
                             "Subject: Re: about the way of an article\r\n"
                             "Date: Mon, 23 Nov 2026 21:04:05 +0000\r\n"
                             "References: <first@example.com> "
                             "<second@example.com>\r\n"
                             "Message-ID: %s\r\n\r\n",
                             id, id);
        for (int line = 0; line < BODY_OCTETS / 60; line++)
            buffer_append_text(octets, "a line of news, as long as most of "
                                       "them are, of sixty octets\r\n");
        buffer_append_text(octets, ".\r\n");
    }
}

/* What is made beforehand is not counted. */
static struct buffer batches[ROUNDS + 1];
static unsigned batch_next;

static void
batches_build(void)
{
    batch_next = 0;
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        buffer_clear(&batches[i]);
        batch_build(&batches[i]);
    }
}

static unsigned
case_takethis(void)
{
    const struct buffer octets = batches[batch_next++];

    /* Until all are with the store: the socket holds less than that. */
    for (size_t at = 0; at < octets.used;) {
        ssize_t sent = send(client, octets.data + at, octets.used - at,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        at += sent > 0 ? (size_t)sent : 0;
        turns(2);
    }
    turns(8);
    world_drain(&world);
    client_ask("", 0, "239 ", BATCH);
    return BATCH;
}

static unsigned
case_over(void)
{
    static const char command[] = "OVER 1-500\r\n";

    client_ask(command, strlen(command), "\r\n.\r\n", 1);
    return 500;
}

static unsigned
case_over_late(void)
{
    char command[40];

    snprintf(command, sizeof command, "OVER %d-%d\r\n", FED - 499, FED);
    client_ask(command, strlen(command), "\r\n.\r\n", 1);
    return 500;
}

static unsigned
case_article(void)
{
    char command[40];

    for (unsigned number = 1; number <= 100; number++) {
        snprintf(command, sizeof command, "ARTICLE %u\r\n", number * 7);
        client_ask(command, strlen(command), "\r\n.\r\n", 1);
    }
    return 100;
}

static unsigned
case_article_id(void)
{
    char command[60];

    for (unsigned number = 1; number <= 100; number++) {
        snprintf(command, sizeof command, "ARTICLE <hot-%u@example.com>\r\n",
                 number * 7);
        client_ask(command, strlen(command), "\r\n.\r\n", 1);
    }
    return 100;
}

/* Until the first articles lie in blocks. */
static void
wait_until_folded(void)
{
    time_t deadline = time(NULL) + FOLDED_SECONDS;
    char path[200];
    sqlite3 *database;
    sqlite3_stmt *statement;
    int rows;

    snprintf(path, sizeof path, "%s/overview.sqlite",
             world.config->pathoverview);
    do {
        static const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};

        nanosleep(&pause, NULL);
        assert_true(time(NULL) < deadline);
        assert_int_equal(
            sqlite3_open_v2(path, &database, SQLITE_OPEN_READONLY, NULL),
            SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(database,
                                            "SELECT count(*) FROM recent", -1,
                                            &statement, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        rows = sqlite3_column_int(statement, 0);
        sqlite3_finalize(statement);
        sqlite3_close(database);
    } while (rows >= 1024);
}

static const struct {
    const char *name;
    unsigned (*run)(void);
} cases[] = {
    {"over", case_over},
    {"article", case_article},
    {"article-id", case_article_id},
    {"takethis", case_takethis},
    {"over-late", case_over_late},
};

static void
test_count(void **state)
{
    static const char group[] = "GROUP local.test\r\n";

    (void)state;
    world_init(&world, "artcutoff = 0\npeer \"feeder\" {\n"
                       "    address = {\"127.0.0.1\"}\n}\n");
    world_open(&world);
    world_group(&world, "newgroup local.test");
    worker_begin();
    client_connect();
    alarm(DEADLINE_SECONDS);
    while (next_article < FED) {
        batches_build();
        while (batch_next < sizeof batches / sizeof batches[0])
            (void)case_takethis();
    }
    batches_build();
    wait_until_folded();
    client_ask(group, strlen(group), "211 ", 1);
    CALLGRIND_START_INSTRUMENTATION;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)cases[i].run(); /* once before: caches are filled */
        /* Later its thread would find the time to, and be counted. */
        assert_int_equal(history_flush(world.store->history, &world.why), 0);
        for (int round = 0; round < ROUNDS; round++) {
            unsigned units;

            CALLGRIND_ZERO_STATS;
            units = cases[i].run();
            CALLGRIND_DUMP_STATS_AT(cases[i].name);
            printf("%s %u\n", cases[i].name, units);
        }
    }
    CALLGRIND_STOP_INSTRUMENTATION;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_count)};

    setvbuf(stdout, NULL, _IOLBF, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
