#include "tests/storage/store_world.h"

#include <time.h>

#include "storage/store_private.h"

enum { REMEMBER_SECONDS = 1000, ARTICLES = 12 };

/* --- the world: articles 1 to 12 of local.one, the even ones in local.two
   too, numbered there 1 to 6 --- */

static struct outcome outcomes[ARTICLES + 1];

static void
make_id(char id[32], unsigned number)
{
    snprintf(id, 32, "<%u@x>", number);
}

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));
    char id[32];

    world_init(world, "");
    world_open(world);
    world_group(world, "newgroup local.one");
    world_group(world, "newgroup local.two");
    for (unsigned i = 1; i <= ARTICLES; i++) {
        make_id(id, i);
        outcomes[i] = world_submit(
            world, id, i % 2 == 0 ? "local.one,local.two" : "local.one", 0);
        assert_int_equal(outcomes[i].outcome, STORE_STORED);
    }
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

/* --- batches --- */

struct batch_of {
    struct expired_range ranges[8];
    size_t range_count;
    struct expired_article articles[ARTICLES];
    size_t article_count;
    int64_t until;
};

/* Numbers first to last of a group go, articles first_article to last_article.
 */
static void
add_range(struct world *world, struct batch_of *batch, const char *group,
          uint64_t first, uint64_t last, unsigned first_article,
          unsigned last_article)
{
    batch->ranges[batch->range_count++] = (struct expired_range){
        .group = world_id(world, group),
        .first = first,
        .last = last,
        .first_sequence = outcomes[first_article].sequence,
        .last_sequence = outcomes[last_article].sequence,
    };
}

static void
add_article(struct world *world, struct batch_of *batch, unsigned article)
{
    char id[32];

    make_id(id, article);
    batch->articles[batch->article_count++] = (struct expired_article){
        .sequence = outcomes[article].sequence, .hash = world_hash(world, id)};
}

struct answer {
    unsigned calls;
    int status;
    char text[200];
};

static void
note_answer(void *context, uint64_t cookie, int status, const char *text)
{
    struct answer *answer = context;

    assert_int_equal(cookie, 77);
    answer->calls++;
    answer->status = status;
    snprintf(answer->text, sizeof(answer->text), "%s", text);
}

static struct answer
expire(struct world *world, struct batch_of *batch)
{
    struct buffer octets = BUFFER_EMPTY;
    struct answer answer = {0};

    if (batch->until == 0)
        batch->until = time(NULL) + REMEMBER_SECONDS;
    expiry_build(&octets, batch->until, batch->ranges, batch->range_count,
                 batch->articles, batch->article_count);
    store_expire(world->store, octets.data, octets.used, 77, note_answer,
                 &answer);
    world_drain(world);
    assert_int_equal(answer.calls, 1);
    buffer_free(&octets);
    return answer;
}

static int
check_id(struct world *world, unsigned article)
{
    struct message_hash hash;
    char id[32];

    make_id(id, article);
    hash = world_hash(world, id);
    return store_check(world->store, &hash);
}

static int
find_id(struct world *world, unsigned article)
{
    struct message_hash hash;
    struct token token;
    uint64_t sequence;
    char id[32];

    make_id(id, article);
    hash = world_hash(world, id);
    return store_find(world->store, &hash, &sequence, &token, &world->why);
}

/* Articles 1 to 4 leave local.one; 1 and 3 are gone with that; 2 and 4 stay in
   local.two. */
static void
expire_four(struct world *world)
{
    struct batch_of batch = {0};

    add_range(world, &batch, "local.one", 1, 4, 1, 4);
    add_article(world, &batch, 1);
    add_article(world, &batch, 3);
    assert_int_equal(expire(world, &batch).status, 0);
}

static void
assert_four_are_gone(struct world *world)
{
    world_assert_marks(world, "local.one", 5, 12, 8);
    world_assert_marks(world, "local.two", 1, 6, 6);
    for (unsigned i = 1; i <= ARTICLES; i++) {
        assert_int_equal(find_id(world, i), i != 1 && i != 3);
        assert_int_equal(check_id(world, i), CHECK_KNOWN);
    }
    world_lines(world, "local.one", 1, 12);
    assert_null(strstr(world->text.data, "<4@x>"));
    assert_ptr_equal(strstr(world->text.data, "5\t"), world->text.data);
    world_lines(world, "local.two", 1, 12);
    assert_ptr_equal(strstr(world->text.data, "1\tabout <2@x>"),
                     world->text.data);
    assert_int_equal(world_submit(world, "<1@x>", "local.one", 0).outcome,
                     STORE_DUPLICATE);
}

static void
test_what_expired_is_gone_from_its_group_and_its_id_is_refused(void **state)
{
    struct world *world = *state;

    expire_four(world);
    assert_four_are_gone(world);
}

static void
test_a_start_and_a_rebuild_say_the_same(void **state)
{
    static const char *const parts[][3] = {
        {NULL}, {"overview"}, {"db/history"}, {"overview", "db/history"}};
    struct world *world = *state;

    expire_four(world);
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        world_close(world);
        for (size_t k = 0; parts[i][k] != NULL; k++)
            world_delete(world, parts[i][k]);
        world_open(world);
        assert_four_are_gone(world);
    }
    /* Numbers go on where they were. */
    world_submit(world, "<new@x>", "local.one", 0);
    world_assert_marks(world, "local.one", 5, 13, 9);
}

static void
test_a_batch_done_twice_changes_nothing(void **state)
{
    struct world *world = *state;

    expire_four(world);
    expire_four(world);
    assert_four_are_gone(world);
}

static void
test_the_low_mark_rises_over_what_went_before(void **state)
{
    struct world *world = *state;
    struct batch_of middle = {0}, begin = {0}, rest = {0};

    add_range(world, &middle, "local.one", 3, 6, 3, 6);
    assert_int_equal(expire(world, &middle).status, 0);
    world_assert_marks(world, "local.one", 1, 12, 8);
    add_range(world, &begin, "local.one", 1, 2, 1, 2);
    assert_int_equal(expire(world, &begin).status, 0);
    world_assert_marks(world, "local.one", 7, 12, 6);
    /* A range in which there is nothing does no harm, and an empty group
       begins behind its high mark. */
    add_range(world, &rest, "local.one", 1, 12, 1, 12);
    assert_int_equal(expire(world, &rest).status, 0);
    world_assert_marks(world, "local.one", 13, 12, 0);
    world_close(world);
    world_delete(world, "overview");
    world_open(world);
    world_assert_marks(world, "local.one", 13, 12, 0);
    world_assert_marks(world, "local.two", 1, 6, 6);
}

static void
test_an_id_whose_time_is_over_is_taken_again(void **state)
{
    struct world *world = *state;
    struct batch_of batch = {.until = time(NULL) - 1};
    struct outcome again;

    add_range(world, &batch, "local.one", 1, 1, 1, 1);
    add_article(world, &batch, 1);
    assert_int_equal(expire(world, &batch).status, 0);
    assert_int_equal(check_id(world, 1), CHECK_WANTED);
    again = world_submit(world, "<1@x>", "local.one", 0);
    assert_int_equal(again.outcome, STORE_STORED);
    world_assert_marks(world, "local.one", 2, 13, 12);
    /* The removal of the first does not remove the second, however often the
       log is read. */
    world_close(world);
    world_delete(world, "overview");
    world_delete(world, "db/history");
    world_open(world);
    assert_int_equal(find_id(world, 1), 1);
    world_assert_marks(world, "local.one", 2, 13, 12);
}

static void
test_upkeep_forgets_ids_whose_time_is_over_and_no_others(void **state)
{
    struct world *world = *state;
    struct batch_of past = {.until = time(NULL) - 1}, future = {0};
    struct history_entry entry;
    struct message_hash first = world_hash(world, "<1@x>");
    struct message_hash second = world_hash(world, "<3@x>");

    add_range(world, &past, "local.one", 1, 1, 1, 1);
    add_article(world, &past, 1);
    assert_int_equal(expire(world, &past).status, 0);
    add_range(world, &future, "local.one", 3, 3, 3, 3);
    add_article(world, &future, 3);
    assert_int_equal(expire(world, &future).status, 0);
    assert_int_equal(
        history_lookup(world->store->history, &first, &entry, &world->why), 1);
    assert_int_equal(world_command(world, "upkeep"), 0);
    assert_string_equal(world->text.data, "forgotten=1");
    assert_int_equal(
        history_lookup(world->store->history, &first, &entry, &world->why), 0);
    assert_int_equal(
        history_lookup(world->store->history, &second, &entry, &world->why),
        1);
    assert_int_equal(find_id(world, 2), 1);
    assert_int_equal(check_id(world, 3), CHECK_KNOWN);
    assert_int_equal(world_command(world, "upkeep"), 0);
    assert_string_equal(world->text.data, "forgotten=0");
}

/* An ID that comes back with a death is forgotten again: nothing has to be on
   the disk before the upkeep goes on, and no commit waits for that. */
static void
test_upkeep_leaves_in_memory_what_is_there(void **state)
{
    struct world *world = *state;
    struct timespec begin, end;

    for (unsigned number = 1; number <= 10; number++) {
        struct batch_of past = {.until = time(NULL) - 1};

        clock_gettime(CLOCK_MONOTONIC, &begin);
        add_range(world, &past, "local.one", number, number, number, number);
        add_article(world, &past, number);
        assert_int_equal(expire(world, &past).status, 0);
        assert_int_equal(world_command(world, "upkeep"), 0);
        assert_string_equal(world->text.data, "forgotten=1");
        if (history_is_waiting(world->store->history))
            return;
        clock_gettime(CLOCK_MONOTONIC, &end);
        /* After a quiet second it is drained anyway. */
        assert_true(end.tv_sec - begin.tv_sec >= 1);
    }
    fail_msg("each of ten upkeeps took a second");
}

static void
test_a_batch_about_what_is_not_there_is_refused(void **state)
{
    struct world *world = *state;
    struct batch_of batch = {0};
    struct answer answer;

    add_range(world, &batch, "local.one", 1, 13, 1, 12);
    answer = expire(world, &batch);
    assert_int_equal(answer.status, -1);
    assert_non_null(strstr(answer.text, "has no number 13"));
    batch.ranges[0].last = 12;
    batch.ranges[0].group = 9;
    assert_int_equal(expire(world, &batch).status, -1);
    batch.ranges[0].group = 1;
    batch.ranges[0].last_sequence = 100000;
    assert_int_equal(expire(world, &batch).status, -1);
    batch.range_count = 0;
    batch.article_count = 1;
    batch.articles[0].sequence = 100000;
    answer = expire(world, &batch);
    assert_int_equal(answer.status, -1);
    assert_non_null(strstr(answer.text, "there is no article 100000 yet"));
    world_assert_marks(world, "local.one", 1, 12, 12);
}

/* The group was made anew since expire looked at it. */
static void
test_a_batch_from_a_former_life_of_a_group_changes_nothing(void **state)
{
    struct world *world = *state;
    struct batch_of batch = {0};

    world_group(world, "rmgroup local.two");
    world_group(world, "newgroup local.two");
    world_submit(world, "<new@x>", "local.two", 0);
    world_assert_marks(world, "local.two", 7, 7, 1);
    add_range(world, &batch, "local.two", 1, 6, 2, 12);
    assert_int_equal(expire(world, &batch).status, 0);
    world_assert_marks(world, "local.two", 7, 7, 1);
}

int
main(void)
{
#define PROMISE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        PROMISE(
            test_what_expired_is_gone_from_its_group_and_its_id_is_refused),
        PROMISE(test_a_start_and_a_rebuild_say_the_same),
        PROMISE(test_a_batch_done_twice_changes_nothing),
        PROMISE(test_the_low_mark_rises_over_what_went_before),
        PROMISE(test_an_id_whose_time_is_over_is_taken_again),
        PROMISE(test_upkeep_forgets_ids_whose_time_is_over_and_no_others),
        PROMISE(test_upkeep_leaves_in_memory_what_is_there),
        PROMISE(test_a_batch_about_what_is_not_there_is_refused),
        PROMISE(test_a_batch_from_a_former_life_of_a_group_changes_nothing),
    };

    int failed = cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);

    return failed
           + cmocka_run_group_tests_name("postgresql", tests, postgresql_begin,
                                         postgresql_end);
}
