#include "tests/storage/store_world.h"

#include <sys/stat.h>

#include "lib/canlock.h"
#include "storage/store_early.h"

/* Articles that remove others, and posts that a moderator must see first. */

#define SECRET "0123456789abcdef0123456789abcdef"

static int
setup_with(void **state, const char *configuration)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world_init(world, configuration);
    world_open(world);
    world_group(world, "newgroup local.one");
    world_group(world, "newgroup local.mod m");
    world_group(world, "newgroup control.cancel");
    *state = world;
    return 0;
}

static int
setup(void **state)
{
    return setup_with(state, "");
}

static int
setup_auth(void **state)
{
    return setup_with(state, "docancels = auth\n");
}

static int
setup_none(void **state)
{
    return setup_with(state, "docancels = none\n");
}

static int
setup_all(void **state)
{
    return setup_with(state, "docancels = all\n");
}

static int
teardown(void **state)
{
    world_free(*state);
    free(*state);
    return 0;
}

/* "Cancel-Lock: ..." of this user's for an article. */
static char *
lock_field(const char *user, const char *id)
{
    struct buffer field = BUFFER_EMPTY;
    struct buffer list = BUFFER_EMPTY;

    canlock_append_lock(&list, SECRET, user, id, strlen(id));
    buffer_append_format(&field, "Cancel-Lock: %s\r\n", buffer_text(&list));
    buffer_free(&list);
    return buffer_take(&field);
}

/* A header that removes target, with the key of a user, NULL: without. */
static char *
removal_fields(const char *verb, const char *target, const char *user)
{
    struct buffer fields = BUFFER_EMPTY;
    struct buffer list = BUFFER_EMPTY;

    buffer_append_format(&fields, "%s%s\r\n", verb, target);
    if (user != NULL) {
        canlock_append_keys(&list, SECRET, user, target, strlen(target));
        buffer_append_format(&fields, "Cancel-Key:\r\n %s (it)\r\n",
                             buffer_text(&list));
    }
    buffer_free(&list);
    return buffer_take(&fields);
}

static void
begin_with(struct world *world, struct outcome *outcome, const char *id,
           const char *groups, char *more, uint32_t flags)
{
    struct buffer payload = BUFFER_EMPTY;

    *outcome = (struct outcome){0};
    world_build(world, &payload, id, groups, more, "body\r\n", flags, 0);
    store_submit(world->store, payload.data, payload.used, outcome_note,
                 outcome);
    buffer_free(&payload);
    free(more);
}

static struct outcome
submit_with(struct world *world, const char *id, char *more)
{
    struct outcome outcome;

    begin_with(world, &outcome, id, "local.one", more, 0);
    world_drain(world);
    assert_int_equal(outcome.calls, 1);
    return outcome;
}

static bool
is_there(struct world *world, const char *id)
{
    struct message_hash hash = world_hash(world, id);
    struct token token;
    uint64_t sequence;

    return store_find(world->store, &hash, &sequence, &token, &world->why)
           == 1;
}

static void
test_who_posted_it_removes_it(void **state)
{
    static const struct {
        const char *verb;
        const char *lock; /* user; NULL: none */
        const char *key;
        bool gone;
        const char *promise;
    } rows[] = {
        {"Control: cancel ", "ada", "ada", true, "a cancel with its key"},
        {"control: CANCEL\t", "ada", "ada", true, "case and white space"},
        {"Supersedes: ", "ada", "ada", true, "Supersedes with its key"},
        {"Control: cancel ", "ada", "bob", false, "another's key"},
        {"Control: cancel ", "ada", NULL, false, "no key"},
        {"Control: cancel ", NULL, "ada", false, "no lock"},
        {"Supersedes: ", NULL, NULL, false, "neither"},
        {"Control: cancel x ", "ada", "ada", false, "two words"},
        {"Control: cancelled ", "ada", "ada", false, "another verb"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char target[32], id[32];

        snprintf(target, sizeof(target), "<t%zu@x>", i);
        snprintf(id, sizeof(id), "<c%zu@x>", i);
        (void)submit_with(world, target,
                          rows[i].lock == NULL
                              ? xstrdup("")
                              : lock_field(rows[i].lock, target));
        assert_true(is_there(world, target));
        assert_int_equal(
            submit_with(world, id,
                        removal_fields(rows[i].verb, target, rows[i].key))
                .outcome,
            STORE_STORED);
        if (is_there(world, target) == rows[i].gone)
            fail_msg("%s", rows[i].promise);
        /* Whatever it did, it is an article to be read and relayed. */
        assert_true(is_there(world, id));
    }
}

static void
test_a_cancel_is_filed_in_control_cancel_alone(void **state)
{
    struct world *world = *state;

    (void)submit_with(world, "<1@x>", lock_field("ada", "<1@x>"));
    (void)submit_with(world, "<2@x>",
                      removal_fields("Control: cancel ", "<1@x>", "ada"));
    world_assert_marks(world, "control.cancel", 1, 1, 1);
    world_assert_marks(world, "local.one", 2, 1, 0);
}

static void
test_what_was_removed_stays_removed_after_a_start(void **state)
{
    struct world *world = *state;

    (void)submit_with(world, "<1@x>", lock_field("ada", "<1@x>"));
    (void)submit_with(world, "<2@x>",
                      removal_fields("Supersedes: ", "<1@x>", "ada"));
    world_close(world);
    world_delete(world, "db/history");
    world_delete(world, "overview");
    world_open(world);
    assert_false(is_there(world, "<1@x>"));
    assert_true(is_there(world, "<2@x>"));
    world_assert_marks(world, "local.one", 2, 2, 1);
    assert_int_equal(submit_with(world, "<1@x>", xstrdup("")).outcome,
                     STORE_REFUSED);
}

static void
test_it_waits_for_what_is_on_its_way(void **state)
{
    struct world *world = *state;
    struct outcome target, cancel;

    begin_with(world, &target, "<way@x>", "local.one",
               lock_field("ada", "<way@x>"), 0);
    begin_with(world, &cancel, "<cancel@x>", "local.one",
               removal_fields("Control: cancel ", "<way@x>", "ada"), 0);
    world_drain(world);
    assert_int_equal(target.outcome, STORE_STORED);
    assert_int_equal(cancel.outcome, STORE_STORED);
    assert_int_equal(cancel.calls, 1);
    assert_false(is_there(world, "<way@x>"));
}

static void
test_one_that_names_itself_removes_nothing(void **state)
{
    struct world *world = *state;

    assert_int_equal(
        submit_with(world, "<me@x>",
                    removal_fields("Supersedes: ", "<me@x>", "ada"))
            .outcome,
        STORE_STORED);
    assert_true(is_there(world, "<me@x>"));
}

static void
test_a_cancel_that_came_first_counts_when_its_key_fits(void **state)
{
    static const struct {
        const char *lock;
        enum store_outcome outcome;
    } rows[] = {
        {"ada", STORE_REFUSED}, {"bob", STORE_STORED}, {NULL, STORE_STORED}};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char target[32], id[32];
        struct outcome outcome;

        snprintf(target, sizeof(target), "<t%zu@x>", i);
        snprintf(id, sizeof(id), "<c%zu@x>", i);
        (void)submit_with(world, id,
                          removal_fields("Control: cancel ", target, "ada"));
        outcome = submit_with(world, target,
                              rows[i].lock == NULL
                                  ? xstrdup("")
                                  : lock_field(rows[i].lock, target));
        assert_int_equal(outcome.outcome, rows[i].outcome);
    }
    /* From then on the history knows. */
    world_reopen(world);
    assert_int_equal(
        submit_with(world, "<t0@x>", lock_field("ada", "<t0@x>")).outcome,
        STORE_REFUSED);
}

static char *
early_path(const struct world *world)
{
    return xasprintf("%s/early-removals", world->config->pathspool);
}

static void
test_an_early_cancel_outlasts_its_writer(void **state)
{
    struct world *world = *state;
    char *path = early_path(world);
    struct outcome outcome;
    FILE *file;

    (void)submit_with(world, "<c0@x>",
                      removal_fields("Control: cancel ", "<t0@x>", "ada"));
    (void)submit_with(world, "<c1@x>",
                      removal_fields("Control: cancel ", "<t1@x>", "ada"));
    world_reopen(world);
    (void)submit_with(world, "<c2@x>",
                      removal_fields("Supersedes: ", "<t2@x>", "ada"));
    /* A writer that was cut short has left a torn end: what is before it
       counts, and so does what comes behind it. */
    world_close(world);
    file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fwrite("\1\2\3\4 torn", 1, 9, file) == 9);
    assert_int_equal(fclose(file), 0);
    world_open(world);
    (void)submit_with(world, "<c3@x>",
                      removal_fields("Control: cancel ", "<t3@x>", "ada"));
    world_reopen(world);
    for (int i = 0; i < 4; i++) {
        char target[32];

        snprintf(target, sizeof(target), "<t%d@x>", i);
        outcome = submit_with(world, target, lock_field("ada", target));
        assert_int_equal(outcome.outcome, STORE_REFUSED);
    }
    free(path);
}

static void
test_early_cancels_are_bounded(void **state)
{
    struct world *world = *state;
    struct outcome outcomes[64];
    struct stat status;
    size_t sent = 0;
    char *path;

    (void)submit_with(world, "<first-c@x>",
                      removal_fields("Control: cancel ", "<first@x>", "ada"));
    for (int round = 0; round < 10000 / 50; round++) {
        for (int i = 0; i < 50; i++, sent++) {
            char target[32], id[32];

            snprintf(target, sizeof(target), "<et%zu@x>", sent);
            snprintf(id, sizeof(id), "<ec%zu@x>", sent);
            begin_with(world, &outcomes[i], id, "local.one",
                       removal_fields("Control: cancel ", target, NULL), 0);
        }
        world_drain(world);
    }
    path = early_path(world);
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_size < 2 * EARLY_MAX * 150);
    free(path);
    world_reopen(world);
    /* The oldest was forgotten; what is left is not. */
    assert_int_equal(
        submit_with(world, "<first@x>", lock_field("ada", "<first@x>"))
            .outcome,
        STORE_STORED);
}

static void
test_auth_lets_what_has_no_lock_go(void **state)
{
    struct world *world = *state;

    (void)submit_with(world, "<1@x>", xstrdup(""));
    (void)submit_with(world, "<2@x>",
                      removal_fields("Control: cancel ", "<1@x>", NULL));
    assert_false(is_there(world, "<1@x>"));
    (void)submit_with(world, "<3@x>", lock_field("ada", "<3@x>"));
    (void)submit_with(world, "<4@x>",
                      removal_fields("Control: cancel ", "<3@x>", "bob"));
    assert_true(is_there(world, "<3@x>"));
}

static void
test_none_removes_nothing(void **state)
{
    struct world *world = *state;

    (void)submit_with(world, "<1@x>", lock_field("ada", "<1@x>"));
    (void)submit_with(world, "<2@x>",
                      removal_fields("Control: cancel ", "<1@x>", "ada"));
    assert_true(is_there(world, "<1@x>"));
}

static void
test_all_removes_whatever_is_asked(void **state)
{
    struct world *world = *state;

    (void)submit_with(world, "<1@x>", lock_field("ada", "<1@x>"));
    (void)submit_with(world, "<2@x>",
                      removal_fields("Control: cancel ", "<1@x>", NULL));
    assert_false(is_there(world, "<1@x>"));
}

/* --- posts for a moderator */

static void
test_an_unapproved_post_is_kept_for_its_moderator(void **state)
{
    struct world *world = *state;
    struct outcome outcome =
        world_submit(world, "<1@x>", "local.one,local.mod", SUBMISSION_POSTED);
    struct message_hash hash = world_hash(world, "<1@x>");
    struct spooled *spooled;

    assert_int_equal(outcome.outcome, STORE_STORED);
    assert_string_not_equal(outcome.why, "");
    assert_false(is_there(world, "<1@x>"));
    world_assert_marks(world, "local.one", 1, 0, 0);
    /* It lies in the log, with the moderated group. */
    assert_int_equal(spool_read_now(world->config->pathspool, &outcome.token,
                                    outcome.sequence, &spooled),
                     SPOOL_FOUND);
    assert_int_equal(spooled->record.head.type, RECORD_SUBMISSION);
    assert_int_equal(record_group_count(&spooled->record), 1);
    assert_int_equal(record_group(&spooled->record, 0).group,
                     world_id(world, "local.mod"));
    assert_null(memmem(spooled->record.payload,
                       spooled->record.head.payload_octets, "Xref:", 5));
    spooled_release(spooled);
    /* Peers are asked for the article. */
    assert_int_equal(store_check(world->store, &hash), CHECK_WANTED);
}

static void
test_the_same_post_again_is_none_the_approved_one_is(void **state)
{
    struct world *world = *state;

    for (int start = 0; start < 3; start++) {
        struct outcome again;

        again = world_submit(world, "<1@x>", "local.mod", SUBMISSION_POSTED);
        assert_int_equal(again.outcome,
                         start == 0 ? STORE_STORED : STORE_DUPLICATE);
        if (start == 1) {
            /* An index that is made anew knows as much. */
            world_close(world);
            world_delete(world, "db/history");
            world_open(world);
        } else {
            world_reopen(world);
        }
        again = world_submit(world, "<1@x>", "local.mod",
                             SUBMISSION_POSTED | SUBMISSION_RESUBMIT);
        assert_int_equal(again.outcome, STORE_STORED);
    }
    assert_int_equal(
        world_submit(world, "<1@x>", "local.mod", SUBMISSION_APPROVED).outcome,
        STORE_STORED);
    assert_true(is_there(world, "<1@x>"));
    world_assert_marks(world, "local.mod", 1, 1, 1);
    assert_int_equal(
        world_submit(world, "<1@x>", "local.mod", SUBMISSION_POSTED).outcome,
        STORE_DUPLICATE);
}

int
main(void)
{
#define PROMISE(name, setup)                                                  \
    cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        PROMISE(test_who_posted_it_removes_it, setup),
        PROMISE(test_a_cancel_is_filed_in_control_cancel_alone, setup),
        PROMISE(test_what_was_removed_stays_removed_after_a_start, setup),
        PROMISE(test_it_waits_for_what_is_on_its_way, setup),
        PROMISE(test_one_that_names_itself_removes_nothing, setup),
        PROMISE(test_a_cancel_that_came_first_counts_when_its_key_fits, setup),
        PROMISE(test_an_early_cancel_outlasts_its_writer, setup),
        PROMISE(test_early_cancels_are_bounded, setup),
        PROMISE(test_auth_lets_what_has_no_lock_go, setup_auth),
        PROMISE(test_none_removes_nothing, setup_none),
        PROMISE(test_all_removes_whatever_is_asked, setup_all),
        PROMISE(test_an_unapproved_post_is_kept_for_its_moderator, setup),
        PROMISE(test_the_same_post_again_is_none_the_approved_one_is, setup),
    };

    int failed = cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);

    return failed
           + cmocka_run_group_tests_name("postgresql", tests, postgresql_begin,
                                         postgresql_end);
}
