#include "tests/storage/store_world.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world_init(world, "");
    world_open(world);
    world_group(world, "newgroup local.one");
    world_group(world, "newgroup local.two y me@x About two things");
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

/* --- storing --- */

static void
test_an_article_gets_path_xref_and_numbers(void **state)
{
    struct world *world = *state;
    struct outcome outcome =
        world_submit(world, "<1@x>", "local.one,local.two,other", 0);
    char line[300];

    assert_int_equal(outcome.outcome, STORE_STORED);
    assert_true(outcome.sequence > 0);
    world_article(world, "<1@x>");
    assert_string_equal(
        buffer_text(&world->text),
        "Path: news.example!peer.example!not-for-mail\r\n"
        "From: A <a@peer.example>\r\n"
        "Newsgroups: local.one,local.two,other\r\nSubject: about <1@x>\r\n"
        "Date: Mon, 23 Nov 2026 21:04:05 +0000\r\nMessage-ID: <1@x>\r\n"
        "Xref: news.example local.one:1 local.two:1\r\n\r\nbody\r\n.\r\n");
    world_assert_marks(world, "local.one", 1, 1, 1);
    /* :bytes is of the article as stored, without ".CRLF". */
    snprintf(line, sizeof(line),
             "1\tabout <1@x>\tA <a@peer.example>\tMon, 23 Nov 2026 21:04:05"
             " +0000\t<1@x>\t\t%zu\t1\tXref: news.example local.one:1"
             " local.two:1\r\n",
             world->text.used - strlen(".\r\n"));
    assert_int_equal(world_lines(world, "local.two", 1, 9), outcome.sequence);
    assert_string_equal(buffer_text(&world->text), line);
}

static void
test_numbers_and_sequences_ascend(void **state)
{
    struct world *world = *state;
    uint64_t last = 0;

    for (unsigned i = 1; i <= 20; i++) {
        char id[32];
        struct outcome outcome;

        snprintf(id, sizeof(id), "<n%u@x>", i);
        outcome = world_submit(world, id, "local.one", 0);
        assert_int_equal(outcome.outcome, STORE_STORED);
        assert_true(outcome.sequence > last);
        last = outcome.sequence;
        world_assert_marks(world, "local.one", 1, i, i);
        assert_int_equal(active_committed(world->active), last);
    }
}

static void
test_a_long_xref_is_folded_and_the_overview_has_it_in_one_piece(void **state)
{
    struct world *world = *state;
    struct buffer groups = BUFFER_EMPTY;
    size_t longest = 0;
    size_t begin;

    for (int i = 0; i < 40; i++) {
        char *command;

        buffer_append_format(&groups, "%slocal.%s.number-%d", i > 0 ? "," : "",
                             "a-name-that-takes-some-room-in-the-line", i);
        buffer_clear(&world->text);
        buffer_append_format(&world->text, "newgroup %s",
                             strrchr(groups.data, ',') != NULL
                                 ? strrchr(groups.data, ',') + 1
                                 : groups.data);
        command = buffer_take(&world->text);
        world_group(world, command);
        free(command);
    }
    assert_int_equal(world_submit(world, "<long@x>", groups.data, 0).outcome,
                     STORE_STORED);
    world_article(world, "<long@x>");
    begin = (size_t)(strstr(world->text.data, "Xref:") - world->text.data);
    for (char *line = world->text.data + begin; *line != '\r';) {
        char *end = strstr(line, "\r\n");

        if ((size_t)(end - line) > longest)
            longest = (size_t)(end - line);
        line = end + 2;
    }
    assert_true(longest <= ARTICLE_LINE_OCTETS_MAX);
    assert_non_null(strstr(world->text.data + begin, "\r\n local."));
    world_lines(world,
                "local.a-name-that-takes-some-room-in-the-line.number-39", 1,
                1);
    assert_non_null(strstr(world->text.data, ".number-39:1\r\n"));
    assert_null(strstr(world->text.data, "\r\n local."));
    buffer_free(&groups);
}

/* --- duplicates --- */

static void
test_a_second_copy_is_a_duplicate(void **state)
{
    struct world *world = *state;

    world_submit(world, "<d@x>", "local.one", 0);
    assert_int_equal(world_submit(world, "<d@x>", "local.two", 0).outcome,
                     STORE_DUPLICATE);
    world_reopen(world);
    assert_int_equal(world_submit(world, "<d@x>", "local.two", 0).outcome,
                     STORE_DUPLICATE);
    world_assert_marks(world, "local.two", 1, 0, 0);
}

static void
test_of_many_copies_in_flight_exactly_one_is_stored(void **state)
{
    struct world *world = *state;
    struct outcome outcomes[50];
    unsigned stored = 0;

    for (unsigned i = 0; i < 50; i++) {
        world_begin(world, &outcomes[i], "<race@x>", "local.one", 0);
        if (i % 7 == 0)
            store_turn_ended(world->store);
    }
    assert_int_equal(store_pending(world->store), 50);
    world_drain(world);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        if (outcomes[i].outcome == STORE_STORED)
            stored++;
        else
            assert_int_equal(outcomes[i].outcome, STORE_DUPLICATE);
    }
    assert_int_equal(stored, 1);
    assert_int_equal(store_pending(world->store), 0);
    assert_int_equal(store_pending_octets(world->store), 0);
    world_assert_marks(world, "local.one", 1, 1, 1);
}

static void
test_check_knows_what_is_stored_and_what_is_on_its_way(void **state)
{
    struct world *world = *state;
    struct message_hash hash = world_hash(world, "<c@x>");
    struct outcome outcome;

    assert_int_equal(store_check(world->store, &hash), CHECK_WANTED);
    world_begin(world, &outcome, "<c@x>", "local.one", 0);
    assert_int_equal(store_check(world->store, &hash), CHECK_IN_PROGRESS);
    world_drain(world);
    assert_int_equal(store_check(world->store, &hash), CHECK_KNOWN);
}

static void
test_a_resubmission_is_answered_as_stored_once_and_the_same(void **state)
{
    struct world *world = *state;
    struct outcome first = world_submit(world, "<r@x>", "local.one", 0);
    struct outcome again;
    struct buffer payload = BUFFER_EMPTY;

    world_reopen(world);
    again = world_submit(world, "<r@x>", "local.one", SUBMISSION_RESUBMIT);
    assert_int_equal(again.outcome, STORE_STORED);
    assert_int_equal(again.sequence, first.sequence);
    world_assert_marks(world, "local.one", 1, 1, 1);

    /* Another article of the same name is none of that. */
    world_build(world, &payload, "<r@x>", "local.one", "", "other\r\n",
                SUBMISSION_RESUBMIT, 0);
    again = (struct outcome){0};
    store_submit(world->store, payload.data, payload.used, outcome_note,
                 &again);
    world_drain(world);
    assert_int_equal(again.outcome, STORE_DUPLICATE);
    buffer_free(&payload);

    /* One that was never stored is taken. */
    again = world_submit(world, "<r2@x>", "local.one", SUBMISSION_RESUBMIT);
    assert_int_equal(again.outcome, STORE_STORED);
}

static void
test_a_submission_that_lies_about_its_id_is_refused(void **state)
{
    struct world *world = *state;
    struct buffer payload = BUFFER_EMPTY;
    struct submission head;
    struct outcome outcome = {0};

    world_build(world, &payload, "<true@x>", "local.one", "", "b\r\n", 0, 7);
    assert_true(payload.data != NULL && payload.used > sizeof(head));
    memcpy(&head, payload.data, sizeof(head));
    head.hash.octets[3] ^= 1;
    memcpy(payload.data, &head, sizeof(head));
    store_submit(world->store, payload.data, payload.used, outcome_note,
                 &outcome);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(outcome.outcome, STORE_REFUSED);
    store_submit(world->store, "nonsense", 8, outcome_note, &outcome);
    assert_int_equal(outcome.calls, 2);
    assert_int_equal(outcome.outcome, STORE_REFUSED);
    buffer_free(&payload);
}

/* --- flags --- */

static void
test_flags_decide_who_may_file_what_where(void **state)
{
    static const struct {
        const char *command;
        const char *group;
        uint32_t flags;
        enum store_outcome outcome;
        const char *xref; /* of what is stored */
    } rows[] = {
        {"newgroup f.y y", "f.y", 0, STORE_STORED, "f.y:1"},
        {"newgroup f.y y", "f.y", SUBMISSION_POSTED, STORE_STORED, "f.y:2"},
        {"newgroup f.n n", "f.n", 0, STORE_STORED, "f.n:1"},
        {"newgroup f.n n", "f.n", SUBMISSION_POSTED, STORE_REFUSED, NULL},
        {"newgroup f.m m", "f.m", 0, STORE_REFUSED, NULL},
        {"newgroup f.m m", "f.m,f.y", 0, STORE_REFUSED, NULL},
        {"newgroup f.m m", "f.m", SUBMISSION_APPROVED, STORE_STORED, "f.m:1"},
        {"newgroup f.x x", "f.x", 0, STORE_REFUSED, NULL},
        {"newgroup f.x x", "f.x,f.y", 0, STORE_STORED, "f.y:3"},
        {"newgroup f.a =f.y", "f.a", 0, STORE_STORED, "f.y:4"},
        {"newgroup f.a =f.y", "f.a,f.y", 0, STORE_STORED, "f.y:5"},
        {"newgroup f.j j", "f.j", 0, STORE_REFUSED, NULL},
        {"newgroup junk", "f.j", 0, STORE_STORED, "junk:1"},
        {"changegroup f.j y", "f.j", 0, STORE_STORED, "f.j:1"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char id[32];
        struct outcome outcome;

        snprintf(id, sizeof(id), "<f%zu@x>", i);
        world_group(world, rows[i].command);
        outcome = world_submit(world, id, rows[i].group, rows[i].flags);
        if (outcome.outcome != rows[i].outcome)
            fail_msg("row %zu: %s: %d %s", i, rows[i].group, outcome.outcome,
                     outcome.why);
        if (rows[i].xref == NULL) {
            assert_true(outcome.why[0] != '\0');
            continue;
        }
        world_article(world, id);
        buffer_clear(&world->why);
        buffer_append_format(&world->why, "Xref: news.example %s\r\n",
                             rows[i].xref);
        assert_non_null(strstr(world->text.data, world->why.data));
    }
}

static void
test_a_flag_that_changes_counts_for_what_is_submitted_after_it(void **state)
{
    struct world *world = *state;
    const char *const word[] = {"changegroup", "local.one", "m"};
    struct outcome before, after;
    int status;

    world_begin(world, &before, "<before@x>", "local.one", 0);
    status = store_command_now(world->store, 3, word, &world->text);
    assert_int_equal(status, 0);
    world_begin(world, &after, "<after@x>", "local.one", 0);
    world_drain(world);
    assert_int_equal(before.outcome, STORE_STORED);
    assert_int_equal(after.outcome, STORE_REFUSED);
    assert_int_equal(active_flag(world->active, world_id(world, "local.one")),
                     'm');
}

static void
test_a_group_whose_numbers_are_used_up_refuses(void **state)
{
    struct world *world = *state;
    struct overview_group row = {
        .flag = 'y',
        .low = ARTICLE_NUMBER_MAX,
        .high = ARTICLE_NUMBER_MAX - 1,
        .name = "local.one",
        .creator = "",
        .description = "",
    };
    struct overview *overview;
    uint64_t applied;

    row.group = world_id(world, "local.one");
    world_close(world);
    overview =
        overview_open(world->config->overview, world->config->pathoverview,
                      1 << 20, &world->why);
    assert_non_null(overview);
    applied = overview_applied(overview);
    assert_int_equal(overview_begin(overview, NULL), 0);
    assert_int_equal(overview_put_group(overview, &row, NULL), 0);
    assert_int_equal(overview_commit(overview, applied, NULL), 0);
    overview_close(&overview);
    world_open(world);
    assert_int_equal(world_submit(world, "<last@x>", "local.one", 0).outcome,
                     STORE_STORED);
    world_assert_marks(world, "local.one", ARTICLE_NUMBER_MAX,
                       ARTICLE_NUMBER_MAX, 1);
    assert_int_equal(world_submit(world, "<over@x>", "local.one", 0).outcome,
                     STORE_REFUSED);
}

/* --- commands --- */

static void
test_commands_say_what_is_wrong(void **state)
{
    static const struct {
        const char *command;
        const char *answer; /* a part of it; NULL: it is done */
    } rows[] = {
        {"newgroup bad..name", "cannot be a newsgroup"},
        {"newgroup local,two", "cannot be a newsgroup"},
        {"newgroup local.*", "cannot be a newsgroup"},
        {"newgroup alt.2600", NULL},
        {"newgroup local.q q", "found flag 'q'"},
        {"newgroup local.q =nowhere", "there is no newsgroup nowhere"},
        {"newgroup local.q \xff", "found flag"},
        {"newgroup local.q y a\xff", "the creator is not one line of UTF-8"},
        {"changegroup local.one =local.one", "cannot stand for"},
        {"changegroup nowhere y", "there is no newsgroup nowhere"},
        {"changegroup local.one", "wrong number of arguments"},
        {"rmgroup nowhere", "there is no newsgroup nowhere"},
        {"cancel nonsense", "that is no message-ID"},
        {"frobnicate", "no such command"},
        {"newgroup control.cancel", NULL},
        {"newgroup control", NULL},
        {"newgroup junk", NULL},
        {"newgroup local.one y", NULL},
        {"cancel <nobody@has.it>", NULL},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int status = world_command(world, rows[i].command);

        if (rows[i].answer == NULL) {
            assert_int_equal(status, 0);
            assert_string_equal(world->text.data, "Ok");
        } else if (status == 0
                   || strstr(world->text.data, rows[i].answer) == NULL) {
            fail_msg("%s: %d %s", rows[i].command, status, world->text.data);
        }
    }
}

static void
test_newgroup_keeps_what_it_is_not_told(void **state)
{
    struct world *world = *state;
    struct buffer creator = BUFFER_EMPTY, description = BUFFER_EMPTY;
    uint32_t id = world_id(world, "local.two");
    int64_t created = active_origin(world->active, id, NULL, NULL);

    world_group(world, "newgroup local.two n");
    world_reopen(world);
    assert_int_equal(active_flag(world->active, id), 'n');
    assert_int_equal(active_origin(world->active, id, &creator, &description),
                     created);
    assert_string_equal(creator.data, "me@x");
    assert_string_equal(description.data, "About two things");
    buffer_free(&creator);
    buffer_free(&description);
}

static void
test_there_is_room_for_groups_max_groups(void **state)
{
    struct world *world = *state;

    for (int i = 3; i <= 64; i++) {
        char command[64];

        snprintf(command, sizeof(command), "newgroup more.g%d", i);
        world_group(world, command);
    }
    assert_int_equal(world_command(world, "newgroup one.more"), -1);
    assert_non_null(strstr(world->text.data, "groups_max"));
    world_reopen(world);
    world_id(world, "more.g64");
}

static void
test_a_removed_group_keeps_its_high_mark(void **state)
{
    struct world *world = *state;

    world_submit(world, "<1@x>", "local.one", 0);
    world_submit(world, "<2@x>", "local.one,local.two", 0);
    world_group(world, "rmgroup local.one");
    assert_int_equal(active_find(world->active, "local.one", 9), 0);
    assert_int_equal(world_command(world, "rmgroup local.one"), -1);
    world_reopen(world);
    assert_int_equal(active_find(world->active, "local.one", 9), 0);
    /* Its articles stay in the spool; rows go in the background. */
    world_article(world, "<1@x>");
    world_group(world, "newgroup local.one");
    world_assert_marks(world, "local.one", 3, 2, 0);
    world_lines(world, "local.one", 1, 9);
    assert_string_equal(buffer_text(&world->text), "");
    world_submit(world, "<3@x>", "local.one", 0);
    world_assert_marks(world, "local.one", 3, 3, 1);
    world_assert_marks(world, "local.two", 1, 1, 1);
    world_reopen(world);
    world_assert_marks(world, "local.one", 3, 3, 1);
}

/* --- cancel --- */

static void
test_a_cancelled_article_is_gone_and_stays_refused(void **state)
{
    struct world *world = *state;
    struct message_hash hash;
    uint64_t sequence;
    struct token token;

    world_submit(world, "<1@x>", "local.one", 0);
    world_submit(world, "<2@x>", "local.one,local.two", 0);
    world_submit(world, "<3@x>", "local.one", 0);
    hash = world_hash(world, "<2@x>");
    world_group(world, "cancel <2@x>");
    assert_int_equal(store_find(world->store, &hash, &sequence, &token, NULL),
                     0);
    assert_false(active_known_find(world->active, &hash, &sequence, &token));
    world_assert_marks(world, "local.one", 1, 3, 2);
    world_assert_marks(world, "local.two", 2, 1, 0);
    world_lines(world, "local.one", 2, 2);
    assert_string_equal(buffer_text(&world->text), "");
    assert_int_equal(world_submit(world, "<2@x>", "local.one", 0).outcome,
                     STORE_REFUSED);
    world_reopen(world);
    assert_int_equal(world_submit(world, "<2@x>", "local.one", 0).outcome,
                     STORE_REFUSED);
    world_assert_marks(world, "local.one", 1, 3, 2);
}

static void
test_the_low_mark_follows_the_lowest_article_and_never_falls(void **state)
{
    struct world *world = *state;

    for (int i = 1; i <= 5; i++) {
        char id[32];

        snprintf(id, sizeof(id), "<%d@x>", i);
        world_submit(world, id, "local.one", 0);
    }
    world_group(world, "cancel <2@x>");
    world_assert_marks(world, "local.one", 1, 5, 4);
    world_group(world, "cancel <1@x>");
    world_assert_marks(world, "local.one", 3, 5, 3);
    world_group(world, "cancel <4@x>");
    world_group(world, "cancel <3@x>");
    world_group(world, "cancel <5@x>");
    world_assert_marks(world, "local.one", 6, 5, 0);
    world_reopen(world);
    world_assert_marks(world, "local.one", 6, 5, 0);
    world_submit(world, "<6@x>", "local.one", 0);
    world_assert_marks(world, "local.one", 6, 6, 1);
    world_reopen(world);
    world_assert_marks(world, "local.one", 6, 6, 1);
}

static void
test_a_cancel_waits_for_the_article_that_is_on_its_way(void **state)
{
    struct world *world = *state;
    const char *const word[] = {"cancel", "<way@x>"};
    struct outcome article, copy;

    world_begin(world, &article, "<way@x>", "local.one", 0);
    assert_int_equal(store_command_now(world->store, 2, word, &world->text),
                     0);
    world_begin(world, &copy, "<way@x>", "local.one", 0);
    world_drain(world);
    assert_int_equal(article.outcome, STORE_STORED);
    assert_int_equal(copy.outcome, STORE_REFUSED);
    world_assert_marks(world, "local.one", 2, 1, 0);
}

static void
test_an_id_cancelled_before_it_comes_is_refused(void **state)
{
    struct world *world = *state;

    world_group(world, "cancel <early@x>");
    assert_int_equal(world_submit(world, "<early@x>", "local.one", 0).outcome,
                     STORE_REFUSED);
    world_reopen(world);
    assert_int_equal(world_submit(world, "<early@x>", "local.one", 0).outcome,
                     STORE_REFUSED);
}

/* --- much --- */

static void
test_many_articles_go_through_several_segments(void **state)
{
    enum { ARTICLES = 3000 };
    struct world *world = *state;
    struct outcome *outcomes = xcalloc(ARTICLES, sizeof(*outcomes));
    struct buffer payload = BUFFER_EMPTY;
    char body[2000];

    memset(body, 'x', sizeof(body));
    memcpy(body + sizeof(body) - 3, "\r\n", 3);
    for (unsigned i = 0; i < ARTICLES; i++) {
        char id[32];

        snprintf(id, sizeof(id), "<m%u@x>", i);
        world_build(world, &payload, id,
                    i % 3 == 0 ? "local.one,local.two" : "local.one", "", body,
                    0, i);
        store_submit(world->store, payload.data, payload.used, outcome_note,
                     &outcomes[i]);
        if (i % 17 == 0)
            store_turn_ended(world->store);
        if (i % 100 == 0)
            assert_int_equal(store_reap(world->store, NULL), 0);
    }
    world_drain(world);
    for (unsigned i = 0; i < ARTICLES; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_int_equal(outcomes[i].outcome, STORE_STORED);
        if (i > 0)
            assert_true(outcomes[i].sequence > outcomes[i - 1].sequence);
    }
    assert_true(outcomes[ARTICLES - 1].token.segment
                > outcomes[0].token.segment + 3);
    world_assert_marks(world, "local.one", 1, ARTICLES, ARTICLES);
    world_assert_marks(world, "local.two", 1, ARTICLES / 3, ARTICLES / 3);
    world_reopen(world);
    world_assert_marks(world, "local.one", 1, ARTICLES, ARTICLES);
    assert_int_equal(world_lines(world, "local.one", ARTICLES, ARTICLES),
                     outcomes[ARTICLES - 1].sequence);
    world_article(world, "<m1234@x>");
    buffer_free(&payload);
    free(outcomes);
}

/* --- when the disk says no --- */

/* A file may not grow past this; SIZE_MAX: as far as it likes. */
static void
limit_files(size_t octets)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = octets == SIZE_MAX ? limit.rlim_max : octets;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
}

static void
test_without_room_for_a_segment_articles_are_deferred(void **state)
{
    enum { ARTICLES = 40, BODY = 100000 };
    struct world *world = *state;
    struct outcome outcomes[ARTICLES] = {0};
    struct outcome after;
    struct buffer payload = BUFFER_EMPTY;
    char *body = xmalloc(BODY + 1);
    unsigned stored = 0;
    time_t deadline = time(NULL) + 20;

    memset(body, 'x', BODY);
    memcpy(body + BODY - 2, "\r\n", 3);
    /* No new segment, but what there is can be written. */
    limit_files((size_t)world->config->segment_octets - 1);
    for (unsigned i = 0; i < ARTICLES; i++) {
        char id[32];

        snprintf(id, sizeof(id), "<room%u@x>", i);
        world_build(world, &payload, id, "local.one", "", body, 0, i);
        store_submit(world->store, payload.data, payload.used, outcome_note,
                     &outcomes[i]);
    }
    world_drain(world);
    for (unsigned i = 0; i < ARTICLES; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        if (outcomes[i].outcome == STORE_STORED)
            stored++;
        else
            assert_int_equal(outcomes[i].outcome, STORE_LATER);
    }
    assert_true(stored > 0 && stored < ARTICLES);
    world_assert_marks(world, "local.one", 1, stored, stored);
    assert_true(store_is_full(world->store));

    /* With room again it goes on by itself, without a gap. */
    limit_files(SIZE_MAX);
    do
        after = world_submit(world, "<after@x>", "local.one", 0);
    while (after.outcome == STORE_LATER && time(NULL) < deadline);
    assert_int_equal(after.outcome, STORE_STORED);
    world_assert_marks(world, "local.one", 1, stored + 1, stored + 1);
    world_reopen(world);
    world_assert_marks(world, "local.one", 1, stored + 1, stored + 1);
    buffer_free(&payload);
    free(body);
}

/* In a child: the write fails; the exit status says what it saw. */
static void
child_fails(struct world *world)
{
    struct outcome outcome;
    struct pollfd poll_fd = {.events = POLLIN};

    world_open(world);
    world_submit(world, "<good@x>", "local.one", 0);
    limit_files(4096);
    world_begin(world, &outcome, "<bad@x>", "local.one", 0);
    store_turn_ended(world->store);
    poll_fd.fd = store_fd(world->store);
    if (poll(&poll_fd, 1, 20000) != 1)
        _exit(1);
    if (store_reap(world->store, &world->why) != -1)
        _exit(2);
    if (outcome.calls != 0)
        _exit(3);
    /* And it stays so. */
    world_begin(world, &outcome, "<worse@x>", "local.one", 0);
    if (store_drain(world->store, &world->why) != -1 || outcome.calls != 0)
        _exit(4);
    _exit(0);
}

static void
test_a_failed_write_breaks_the_store_and_answers_nothing(void **state)
{
    struct world *world = *state;
    int status;
    pid_t pid;

    world_close(world);
    world->active = active_new(64);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child_fails(world);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    world_open(world);
    world_assert_marks(world, "local.one", 1, 1, 1);
    assert_int_equal(
        world_submit(world, "<bad@x>", "local.one", SUBMISSION_RESUBMIT)
            .outcome,
        STORE_STORED);
    world_assert_marks(world, "local.one", 1, 2, 2);
}

static void
test_a_store_that_another_holds_is_not_opened(void **state)
{
    struct world *world = *state;
    struct active *active = active_new(64);

    assert_null(store_open(world->config, active, 0, &world->why));
    assert_non_null(strstr(world->why.data, "held by another"));
    active_close(&active);
}

int
main(void)
{
#define PROMISE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        PROMISE(test_an_article_gets_path_xref_and_numbers),
        PROMISE(test_numbers_and_sequences_ascend),
        PROMISE(
            test_a_long_xref_is_folded_and_the_overview_has_it_in_one_piece),
        PROMISE(test_a_second_copy_is_a_duplicate),
        PROMISE(test_of_many_copies_in_flight_exactly_one_is_stored),
        PROMISE(test_check_knows_what_is_stored_and_what_is_on_its_way),
        PROMISE(test_a_resubmission_is_answered_as_stored_once_and_the_same),
        PROMISE(test_a_submission_that_lies_about_its_id_is_refused),
        PROMISE(test_flags_decide_who_may_file_what_where),
        PROMISE(
            test_a_flag_that_changes_counts_for_what_is_submitted_after_it),
        PROMISE(test_a_group_whose_numbers_are_used_up_refuses),
        PROMISE(test_commands_say_what_is_wrong),
        PROMISE(test_newgroup_keeps_what_it_is_not_told),
        PROMISE(test_there_is_room_for_groups_max_groups),
        PROMISE(test_a_removed_group_keeps_its_high_mark),
        PROMISE(test_a_cancelled_article_is_gone_and_stays_refused),
        PROMISE(test_the_low_mark_follows_the_lowest_article_and_never_falls),
        PROMISE(test_a_cancel_waits_for_the_article_that_is_on_its_way),
        PROMISE(test_an_id_cancelled_before_it_comes_is_refused),
        PROMISE(test_many_articles_go_through_several_segments),
        PROMISE(test_without_room_for_a_segment_articles_are_deferred),
        PROMISE(test_a_failed_write_breaks_the_store_and_answers_nothing),
        PROMISE(test_a_store_that_another_holds_is_not_opened),
    };

    int failed = cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);

    return failed
           + cmocka_run_group_tests_name("postgresql", tests, postgresql_begin,
                                         postgresql_end);
}
