#include "tests/storage/store_world.h"

#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>

#include "storage/store_private.h"

enum { ARTICLES = 120, BODY_LINES = 600, REMEMBER_SECONDS = 1000 };

static struct outcome outcomes[ARTICLES + 1];

/* --- the world: big articles of local.one, every tenth in local.two too;
   about 30 in a segment --- */

static void
make_id(char id[32], unsigned number)
{
    snprintf(id, 32, "<%u@x>", number);
}

static void
fill(struct world *world, unsigned first, unsigned last)
{
    struct buffer body = BUFFER_EMPTY;

    for (int i = 0; i < BODY_LINES; i++)
        buffer_append_text(&body, "A line that is here to take up room, and"
                                  " says nothing.\r\n");
    for (unsigned i = first; i <= last; i++) {
        struct buffer payload = BUFFER_EMPTY;
        char id[32];

        make_id(id, i);
        world_build(world, &payload, id,
                    i % 10 == 0 ? "local.one,local.two" : "local.one", "",
                    body.data, 0, 0);
        outcomes[i] = (struct outcome){0};
        store_submit(world->store, payload.data, payload.used, outcome_note,
                     &outcomes[i]);
        world_drain(world);
        assert_int_equal(outcomes[i].outcome, STORE_STORED);
        buffer_free(&payload);
    }
    buffer_free(&body);
}

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world_init(world, "");
    world_open(world);
    world_group(world, "newgroup local.one");
    world_group(world, "newgroup local.two");
    fill(world, 1, ARTICLES);
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

static void
note_expired(void *context, uint64_t cookie, int status, const char *text)
{
    (void)cookie;
    if (status < 0)
        fail_msg("%s", text);
    ++*(unsigned *)context;
}

/* Articles first to last leave local.one; those that are in no other group, or
   all when `whole`, are gone. */
static void
expire(struct world *world, unsigned first, unsigned last, bool whole)
{
    struct expired_range ranges[2];
    struct expired_article *articles =
        xcalloc(ARTICLES + 1, sizeof(*articles));
    size_t count = 0, range_count = 1;
    struct buffer octets = BUFFER_EMPTY;
    unsigned done = 0;

    ranges[0] = (struct expired_range){
        .group = world_id(world, "local.one"),
        .first = first,
        .last = last,
        .first_sequence = outcomes[first].sequence,
        .last_sequence = outcomes[last].sequence,
    };
    ranges[1] = ranges[0];
    ranges[1].group = world_id(world, "local.two");
    ranges[1].first = (first + 9) / 10;
    ranges[1].last = last / 10;
    if (whole && ranges[1].first > 0 && ranges[1].first <= ranges[1].last)
        range_count = 2;
    for (unsigned i = first; i <= last; i++) {
        char id[32];

        make_id(id, i);
        if (whole || i % 10 != 0)
            articles[count++] = (struct expired_article){
                .sequence = outcomes[i].sequence,
                .hash = world_hash(world, id),
            };
    }
    expiry_build(&octets, time(NULL) + REMEMBER_SECONDS, ranges, range_count,
                 articles, count);
    store_expire(world->store, octets.data, octets.used, 0, note_expired,
                 &done);
    world_drain(world);
    assert_int_equal(done, 1);
    buffer_free(&octets);
    free(articles);
}

/* --- looking --- */

static bool
is_there(struct world *world, uint32_t segment)
{
    char path[200];
    struct stat status;

    snprintf(path, sizeof(path), "%s/spool/%08" PRIx32 ".seg",
             world->directory, segment);
    return stat(path, &status) == 0;
}

/* Files whose name ends so. */
static unsigned
count_files(struct world *world, const char *begin, const char *end)
{
    char path[200];
    DIR *dir;
    const struct dirent *entry;
    unsigned count = 0;

    snprintf(path, sizeof(path), "%s/spool", world->directory);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);

        count += strncmp(entry->d_name, begin, strlen(begin)) == 0
                 && length > strlen(end)
                 && strcmp(entry->d_name + length - strlen(end), end) == 0;
    }
    closedir(dir);
    return count;
}

static void
reclaim(struct world *world, uint32_t segment, const char *expected)
{
    char command[64];

    snprintf(command, sizeof(command), "reclaim %08" PRIx32, segment);
    (void)world_command(world, command);
    if (strstr(buffer_text(&world->text), expected) == NULL)
        fail_msg("%s: %s", command, buffer_text(&world->text));
}

/* All that a reader can be told of every article, as text. */
static char *
see(struct world *world)
{
    static const char *const groups[] = {"local.one", "local.two"};
    struct buffer seen = BUFFER_EMPTY;

    for (size_t i = 0; i < 2; i++) {
        struct group_marks marks =
            active_marks(world->active, world_id(world, groups[i]));

        buffer_append_format(&seen, "%s %u-%u %u\n", groups[i],
                             (unsigned)marks.low, (unsigned)marks.high,
                             (unsigned)marks.count);
        for (uint64_t n = 1; n <= marks.high; n += 50) {
            world_lines(world, groups[i], n, n + 49);
            buffer_append(&seen, buffer_text(&world->text), world->text.used);
        }
    }
    for (unsigned i = 1; i <= ARTICLES; i++) {
        struct message_hash hash;
        struct token token;
        uint64_t sequence = 0;
        char id[32];
        int found;

        make_id(id, i);
        hash = world_hash(world, id);
        found =
            store_find(world->store, &hash, &sequence, &token, &world->why);
        assert_true(found >= 0);
        buffer_append_format(&seen, "%s %d %u %d\n", id, found,
                             (unsigned)sequence,
                             store_check(world->store, &hash));
        if (found > 0) {
            world_article(world, id);
            assert_non_null(strstr(world->text.data, "says nothing"));
        }
    }
    return buffer_take(&seen);
}

static void
located(void *context, const struct overview_answer *answer)
{
    *(struct token *)context = answer->token;
    assert_int_equal(answer->status, 1);
}

/* Is the article of this sequence where the overview says? */
static void
assert_located(struct world *world, uint64_t sequence)
{
    struct overview_query query = {.question = OVERVIEW_LOCATE,
                                   .low = sequence};
    struct spooled *spooled;
    struct token token = {0};

    world_lines(world, "local.one", 1, 1); /* opens the reader */
    assert_null(overview_ask(world->reader, &query, located, &token));
    overview_reader_turn_ended(world->reader);
    assert_int_equal(
        spool_read_now(world->config->pathspool, &token, sequence, &spooled),
        SPOOL_FOUND);
    spooled_release(spooled);
}

/* The segment that the history gives to a writer that comes after a SIGKILL of
   this one: what is in memory alone is not there. */
static uint32_t
kept_in(struct world *world, const char *id)
{
    char *command =
        xasprintf("mkdir %s/killed && cp -r %s/db/history"
                  " %s/killed",
                  world->directory, world->directory, world->directory);
    char *path = xasprintf("%s/killed", world->directory);
    struct message_hash hash = world_hash(world, id);
    struct history_entry entry = {.sequence = 0};
    struct history *history;

    assert_int_equal(system(command), 0);
    history = history_open_existing(path, 1048576, &world->why);
    assert_non_null(history);
    assert_int_equal(history_lookup(history, &hash, &entry, &world->why), 1);
    history_close(&history);
    free(command);
    free(path);
    return entry.token.segment;
}

static void
rebuild(struct world *world)
{
    world_close(world);
    world_delete(world, "overview");
    world_delete(world, "db/history");
    world_open(world);
}

/* --- promises --- */

static void
test_a_segment_with_nothing_alive_goes_and_its_ids_stay_refused(void **state)
{
    struct world *world = *state;
    uint32_t first = outcomes[1].token.segment;
    uint32_t third = outcomes[65].token.segment;
    char *before, *after;

    assert_int_equal(third, first + 2);
    expire(world, 1, 65, true);
    before = see(world);
    reclaim(world, first, "removed: ");
    assert_false(is_there(world, first));
    reclaim(world, first + 1, "removed: ");
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    rebuild(world);
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    free(before);
    /* 65 lies there, gone, and others that are not. */
    reclaim(world, third, "kept: ");
    assert_true(is_there(world, third));
}

static void
test_what_survives_is_found_where_it_was_copied(void **state)
{
    struct world *world = *state;
    uint32_t first = outcomes[1].token.segment;
    char *before, *after;

    expire(world, 1, 60, false);
    before = see(world);
    reclaim(world, first, "compacted: ");
    assert_false(is_there(world, first));
    assert_int_equal(kept_in(world, "<10@x>"), 0x80000001);
    assert_int_equal(count_files(world, "80000001", ".seg"), 1);
    assert_int_equal(count_files(world, "8", ".new"), 0);
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    assert_located(world, outcomes[10].sequence);
    /* A start, then a start from nothing but the log. */
    world_reopen(world);
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    rebuild(world);
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    assert_located(world, outcomes[10].sequence);
    free(before);
    /* Numbers go on where they were. */
    world_assert_marks(world, "local.one", 61, 120, 60);
    world_assert_marks(world, "local.two", 1, 12, 12);
    world_submit(world, "<new@x>", "local.two", 0);
    world_assert_marks(world, "local.two", 1, 13, 13);
}

static void
test_a_compaction_segment_goes_when_it_is_dead_itself(void **state)
{
    struct world *world = *state;
    uint32_t first = outcomes[1].token.segment;
    char *before, *after;

    expire(world, 1, 60, false);
    reclaim(world, first, "compacted: ");
    assert_true(outcomes[40].token.segment > first);
    expire(world, 1, 40, true);
    before = see(world);
    reclaim(world, 0x80000001, "removed: ");
    assert_false(is_there(world, 0x80000001));
    rebuild(world);
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    free(before);
}

/* The removal is in a segment that goes before the one that it is about. */
static void
test_a_removal_outlives_its_segment_as_long_as_its_article_lies_there(
    void **state)
{
    struct world *world = *state;
    uint32_t removals;
    char *before, *after;

    world_group(world, "cancel <5@x>");
    world_group(world, "cancel <never@x>");
    expire(world, 7, 9, true);
    world_reopen(world);
    removals = outcomes[ARTICLES].token.segment;
    world_submit(world, "<new@x>", "local.one", 0);
    before = see(world);
    world_reopen(world);
    /* The one with the removals: what else is in it goes first. */
    for (unsigned i = ARTICLES; i > 0; i--)
        if (outcomes[i].token.segment == removals)
            outcomes[0].sequence = i;
    free(before);
    expire(world, (unsigned)outcomes[0].sequence, ARTICLES, true);
    before = see(world);
    reclaim(world, removals, "removed: ");
    assert_true(is_there(world, outcomes[5].token.segment));
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    rebuild(world);
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    free(before);
    assert_int_equal(world_submit(world, "<never@x>", "local.one", 0).outcome,
                     STORE_REFUSED);
    assert_int_equal(world_submit(world, "<5@x>", "local.one", 0).outcome,
                     STORE_REFUSED);
}

/* The segment that says it again begins with the sequence of the last article
   in the one before. */
static void
test_an_id_at_the_end_of_a_segment_is_said_again_as_any_other(void **state)
{
    struct world *world = *state;
    uint32_t last = outcomes[ARTICLES].token.segment;
    char *before, *after;

    expire(world, 1, ARTICLES, true);
    before = see(world);
    for (uint32_t segment = outcomes[1].token.segment; segment < last;
         segment++)
        reclaim(world, segment, "removed: ");
    world_reopen(world);
    reclaim(world, last, "removed: ");
    rebuild(world);
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    free(before);
}

static void
test_what_is_being_written_and_what_is_not_there_stays(void **state)
{
    struct world *world = *state;
    uint32_t open, end;
    uint64_t sequence;

    active_durable(world->active, &open, &end, &sequence);
    reclaim(world, open, "it is being written");
    assert_true(is_there(world, open));
    reclaim(world, 999, "there is no such segment");
    assert_int_equal(world_command(world, "reclaim x"), -1);
    assert_int_equal(world_command(world, "reclaim 0"), -1);
}

static void
test_a_damaged_segment_stays(void **state)
{
    struct world *world = *state;
    uint32_t first = outcomes[1].token.segment;
    char path[200];
    FILE *file;

    expire(world, 1, 60, true);
    snprintf(path, sizeof(path), "%s/spool/%08" PRIx32 ".seg",
             world->directory, first);
    file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, outcomes[5].token.offset + 500, SEEK_SET), 0);
    fputs("damage", file);
    fclose(file);
    reclaim(world, first, "is damaged");
    assert_true(is_there(world, first));
}

static void
test_a_post_that_waits_for_a_moderator_keeps_its_segment(void **state)
{
    struct world *world = *state;
    struct buffer payload = BUFFER_EMPTY;
    struct outcome outcome = {0};
    struct outcome last;

    world_group(world, "newgroup local.moderated m");
    world_reopen(world);
    world_build(world, &payload, "<post@x>", "local.moderated", "", "x\r\n",
                SUBMISSION_POSTED, 0);
    store_submit(world->store, payload.data, payload.used, outcome_note,
                 &outcome);
    world_drain(world);
    assert_int_equal(outcome.outcome, STORE_STORED);
    world_reopen(world);
    last = world_submit(world, "<last@x>", "local.one", 0);
    reclaim(world, outcome.token.segment, "waits for a moderator");
    assert_true(is_there(world, outcome.token.segment));
    assert_true(last.token.segment > outcome.token.segment);
    buffer_free(&payload);
}

/* What a death leaves between the copy and the removal of its source. */
static void
test_a_compaction_cut_short_leaves_one_of_each(void **state)
{
    struct world *world = *state;
    uint32_t first = outcomes[1].token.segment;
    char kept[200], segment[200], command[500];
    char *before, *after;

    expire(world, 1, 60, false);
    before = see(world);
    snprintf(segment, sizeof(segment), "%s/spool/%08" PRIx32 ".seg",
             world->directory, first);
    snprintf(kept, sizeof(kept), "%s/kept", world->directory);
    snprintf(command, sizeof(command), "ln %s %s", segment, kept);
    assert_int_equal(system(command), 0);
    reclaim(world, first, "compacted: ");
    world_close(world);
    /* The source is back, as if it had not been removed. */
    snprintf(command, sizeof(command), "mv %s %s", kept, segment);
    assert_int_equal(system(command), 0);
    world_delete(world, "overview");
    world_delete(world, "db/history");
    world_open(world);
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    /* One of the two is what the indices name now; each may be looked at. */
    reclaim(world, first, "ed: ");
    reclaim(world, 0x80000001, "ed: ");
    after = see(world);
    assert_string_equal(after, before);
    free(after);
    assert_located(world, outcomes[10].sequence);
    rebuild(world);
    after = see(world);
    assert_string_equal(after, before);
    assert_located(world, outcomes[10].sequence);
    free(after);
    free(before);
}

int
main(void)
{
#define PROMISE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        PROMISE(
            test_a_segment_with_nothing_alive_goes_and_its_ids_stay_refused),
        PROMISE(test_what_survives_is_found_where_it_was_copied),
        PROMISE(test_a_compaction_segment_goes_when_it_is_dead_itself),
        PROMISE(
            test_a_removal_outlives_its_segment_as_long_as_its_article_lies_there),
        PROMISE(test_an_id_at_the_end_of_a_segment_is_said_again_as_any_other),
        PROMISE(test_what_is_being_written_and_what_is_not_there_stays),
        PROMISE(test_a_damaged_segment_stays),
        PROMISE(test_a_post_that_waits_for_a_moderator_keeps_its_segment),
        PROMISE(test_a_compaction_cut_short_leaves_one_of_each),
    };

    int failed = cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);

    return failed
           + cmocka_run_group_tests_name("postgresql", tests, postgresql_begin,
                                         postgresql_end);
}
