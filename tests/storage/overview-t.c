#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/overview.h"
#include "tests/storage/postgresql_world.h"

/*
 * The model: all articles ever put, in an array.  What the overview answers
 * must be what a walk over this array finds.
 */
enum { GROUPS = 7, CROSSPOSTS_MAX = 4, TEXT_OCTETS = 600 };

struct model_article {
    struct overview_entry entry;
    struct record_group groups[CROSSPOSTS_MAX];
    bool gone[CROSSPOSTS_MAX]; /* removed from this group */
    bool removed;              /* with last */
    char line[TEXT_OCTETS];
};

struct world {
    char url[200];
    char directory[64];
    char path[80];
    struct active *active;
    struct overview *overview;
    struct overview_reader *reader;
    struct model_article *articles; /* of sequence i + 1 */
    size_t count;
    size_t size;
    uint64_t high[GROUPS + 1];
    unsigned random;
    struct buffer why;
};

static unsigned
pick(struct world *world, unsigned below)
{
    world->random = world->random * 1103515245 + 12345;
    return (world->random >> 8) % below;
}

/* --- the world --- */

static void
open_writer(struct world *world)
{
    world->overview =
        overview_open(world->url, world->path, 1 << 20, &world->why);
    if (world->overview == NULL)
        fail_msg("%s", buffer_text(&world->why));
}

static void
open_reader(struct world *world)
{
    world->reader = overview_reader_open(world->url, world->path,
                                         world->active, NULL, &world->why);
    if (world->reader == NULL)
        fail_msg("%s", buffer_text(&world->why));
}

static void
check(struct world *world, int status)
{
    if (status < 0)
        fail_msg("%s", buffer_text(&world->why));
}

static void
begin(struct world *world)
{
    check(world, overview_begin(world->overview, &world->why));
}

/* Commit all of the model, and tell the readers. */
static void
commit(struct world *world)
{
    check(world, overview_commit(world->overview, world->count, &world->why));
    active_set_committed(world->active, world->count);
}

static void
put_groups(struct world *world)
{
    for (uint32_t group = 1; group <= GROUPS; group++) {
        char name[32];
        struct overview_group row = {.group = group,
                                     .flag = 'y',
                                     .created = 1000 + group,
                                     .low = 1,
                                     .name = name,
                                     .creator = "test",
                                     .description = ""};

        snprintf(name, sizeof(name), "local.group%u", (unsigned)group);
        check(world, overview_put_group(world->overview, &row, &world->why));
    }
}

static struct world *
world_new(unsigned seed)
{
    struct world *world = xcalloc(1, sizeof(*world));

    snprintf(world->directory, sizeof(world->directory),
             "/tmp/overview-t.XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    snprintf(world->path, sizeof(world->path), "%s/overview",
             world->directory);
    world->random = seed;
    if (postgresql_directory[0] == '\0')
        snprintf(world->url, sizeof(world->url), "sqlite");
    else
        postgresql_make_schema(world->url, sizeof(world->url));
    world->active = active_new(GROUPS);
    return world;
}

static void
world_begin(struct world *world)
{
    open_writer(world);
    open_reader(world);
    begin(world);
    put_groups(world);
    commit(world);
}

static void
remove_files(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    if (directory == NULL)
        return;
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    rmdir(path);
}

static void
world_free(struct world *world)
{
    overview_reader_close(&world->reader);
    overview_close(&world->overview);
    active_close(&world->active);
    remove_files(world->path);
    remove_files(world->directory);
    buffer_free(&world->why);
    free(world->articles);
    free(world);
}

/* --- putting and removing, in the model --- */

/* A new article of the model; the pointers in it are set when it is put. */
static void
model_add(struct world *world)
{
    struct model_article *article;
    unsigned groups = 1 + (pick(world, 4) == 0 ? pick(world, 4) : 0);
    unsigned first = pick(world, GROUPS);
    unsigned filler = pick(world, 300);

    if (world->count == world->size) {
        world->size = world->size * 2 + 64;
        world->articles = xreallocarray(world->articles, world->size,
                                        sizeof(*world->articles));
    }
    article = &world->articles[world->count++];
    *article = (struct model_article){0};
    article->entry.sequence = world->count;
    article->entry.arrival = 5000 + (int64_t)world->count / 3;
    article->entry.token = (struct token){
        .segment = 1 + (uint32_t)world->count / 100,
        .offset = (uint32_t)world->count * 8,
        .octets = 100 + filler,
    };
    memset(article->entry.hash.octets, (int)world->count, 16);
    article->entry.group_count = groups;
    for (unsigned i = 0; i < groups; i++) {
        uint32_t group = 1 + (first + i) % GROUPS;

        article->groups[i].group = group;
        article->groups[i].number = ++world->high[group];
    }
    snprintf(article->line, sizeof(article->line),
             "Subject %zu\tfrom\tdate\t<%zu@x>\t%*s\t100\t10\tXref: x",
             world->count, world->count, (int)filler, "");
}

/* Put articles first to last (sequences) of the model. */
static void
put_range(struct world *world, size_t first, size_t last)
{
    for (size_t sequence = first; sequence <= last; sequence++) {
        struct model_article *article = &world->articles[sequence - 1];
        struct overview_entry entry = article->entry;

        entry.groups = article->groups;
        entry.line = article->line;
        entry.line_octets = strlen(article->line);
        check(world, overview_put(world->overview, &entry, 1, &world->why));
    }
}

static void
put_new(struct world *world, unsigned count)
{
    size_t first = world->count + 1;

    for (unsigned i = 0; i < count; i++)
        model_add(world);
    put_range(world, first, world->count);
}

/* Take an article out of groups first to last of its list. */
static void
remove_places(struct world *world, size_t sequence, size_t first, size_t last)
{
    struct model_article *article = &world->articles[sequence - 1];
    bool all = true;

    for (size_t i = first; i <= last; i++)
        article->gone[i] = true;
    for (size_t i = 0; i < article->entry.group_count; i++)
        all = all && article->gone[i];
    article->removed = article->removed || all;
    check(world,
          overview_remove(world->overview, sequence, article->groups + first,
                          last - first + 1, all, &world->why));
}

/* Take a range out of a group; what it leaves in no group is dropped. */
static void
remove_range(struct world *world, struct expired_range *range)
{
    uint64_t *dropped = xcalloc(world->count, sizeof(*dropped));
    size_t dropped_count = 0;
    uint64_t removed = 0, expected = 0;

    range->first_sequence = world->count;
    range->last_sequence = 1;
    for (size_t sequence = 1; sequence <= world->count; sequence++) {
        struct model_article *article = &world->articles[sequence - 1];
        bool all = true, is_in = false;

        for (size_t i = 0; i < article->entry.group_count; i++) {
            const struct record_group *place = &article->groups[i];

            if (place->group == range->group && place->number >= range->first
                && place->number <= range->last) {
                is_in = true;
                expected += !article->gone[i];
                article->gone[i] = true;
            }
            all = all && article->gone[i];
        }
        if (!is_in)
            continue;
        if (sequence < range->first_sequence)
            range->first_sequence = sequence;
        range->last_sequence = sequence;
        if (all && !article->removed)
            dropped[dropped_count++] = sequence;
        article->removed = article->removed || all;
    }
    check(world, overview_remove_ranges(world->overview, range, 1, &removed,
                                        &world->why));
    assert_int_equal(removed, expected);
    check(world,
          overview_drop(world->overview, dropped, dropped_count, &world->why));
    free(dropped);
}

static void
remove_some_range(struct world *world)
{
    struct expired_range range = {.group = 1 + pick(world, GROUPS)};
    unsigned high = (unsigned)world->high[range.group];

    if (high == 0)
        return;
    range.first = 1 + pick(world, high);
    range.last = range.first + pick(world, 150);
    if (range.last > high)
        range.last = high;
    remove_range(world, &range);
}

static void
remove_some(struct world *world, unsigned count)
{
    if (pick(world, 4) == 0)
        remove_some_range(world);
    for (unsigned i = 0; i < count && world->count > 0; i++) {
        size_t sequence = 1 + pick(world, (unsigned)world->count);
        size_t groups = world->articles[sequence - 1].entry.group_count;

        if (pick(world, 3) == 0)
            remove_places(world, sequence, 0, 0);
        else
            remove_places(world, sequence, 0, groups - 1);
    }
}

/* --- what the overview says, against the model --- */

struct seen {
    struct world *world;
    struct buffer text;
    struct buffer lines; /* struct overview_line */
    uint64_t next;
    int status;
    size_t calls;
    struct token token;
    int64_t arrival;
};

static void
note_answer(void *context, const struct overview_answer *answer)
{
    struct seen *seen = context;
    const char *expected = answer->count > 0 ? answer->lines[0].text : NULL;

    seen->calls++;
    seen->status = answer->status;
    seen->next = answer->next;
    seen->token = answer->token;
    seen->arrival = answer->arrival;
    buffer_append(&seen->lines, answer->lines,
                  answer->count * sizeof(*answer->lines));
    for (size_t i = 0; i < answer->count; i++) {
        assert_ptr_equal(answer->lines[i].text, expected);
        expected += answer->lines[i].octets;
        buffer_append(&seen->text, answer->lines[i].text,
                      answer->lines[i].octets);
    }
}

static void
seen_free(struct seen *seen)
{
    buffer_free(&seen->text);
    buffer_free(&seen->lines);
}

static void
ask(struct world *world, const struct overview_query *query, struct seen *seen)
{
    *seen = (struct seen){.world = world};
    assert_null(overview_ask(world->reader, query, note_answer, seen));
    assert_int_equal(seen->calls, 1);
    assert_true(seen->status >= 0);
}

static size_t
seen_count(const struct seen *seen)
{
    return seen->lines.used / sizeof(struct overview_line);
}

static const struct overview_line *
seen_line(const struct seen *seen, size_t index)
{
    return (const struct overview_line *)seen->lines.data + index;
}

/* The sequence of the article with this number, 0 when there is none. */
static size_t
model_find(const struct world *world, uint32_t group, uint64_t number)
{
    for (size_t i = 0; i < world->count; i++)
        for (size_t j = 0; j < world->articles[i].entry.group_count; j++)
            if (world->articles[i].groups[j].group == group
                && world->articles[i].groups[j].number == number
                && !world->articles[i].gone[j])
                return i + 1;
    return 0;
}

/* All numbers of a group that are there, as OVER would send them. */
static void
model_text(const struct world *world, uint32_t group, struct buffer *text,
           size_t *count_r)
{
    *count_r = 0;
    for (size_t i = 0; i < world->count; i++)
        for (size_t j = 0; j < world->articles[i].entry.group_count; j++)
            if (world->articles[i].groups[j].group == group
                && !world->articles[i].gone[j]) {
                buffer_append_format(
                    text, "%llu\t%s\r\n",
                    (unsigned long long)world->articles[i].groups[j].number,
                    world->articles[i].line);
                (*count_r)++;
            }
}

static void
check_range(struct world *world, uint32_t group, size_t limit)
{
    struct buffer text = BUFFER_EMPTY, expected = BUFFER_EMPTY;
    uint64_t low = 1;
    size_t count = 0, expected_count;

    model_text(world, group, &expected, &expected_count);
    do {
        struct overview_query query = {.question = OVERVIEW_RANGE,
                                       .group = group,
                                       .low = low,
                                       .high = ARTICLE_NUMBER_MAX,
                                       .limit = limit};
        struct seen seen;

        ask(world, &query, &seen);
        count += seen_count(&seen);
        if (limit > 0)
            assert_true(seen_count(&seen) <= limit);
        if (seen_count(&seen) > 1)
            assert_true(seen.text.used <= 64 * 1024);
        buffer_append(&text, buffer_text(&seen.text), seen.text.used);
        for (size_t i = 0; i < seen_count(&seen); i++) {
            const struct overview_line *line = seen_line(&seen, i);
            const struct model_article *article =
                &world->articles[line->sequence - 1];

            assert_memory_equal(&line->token, &article->entry.token,
                                sizeof(line->token));
        }
        assert_true(seen.next == 0 || seen.next > low);
        low = seen.next;
        seen_free(&seen);
    } while (low != 0);
    assert_int_equal(count, expected_count);
    assert_string_equal(buffer_text(&text), buffer_text(&expected));
    buffer_free(&text);
    buffer_free(&expected);
}

static void
check_neighbours(struct world *world, uint32_t group, uint64_t number)
{
    struct overview_query query = {.question = OVERVIEW_NEXT,
                                   .group = group,
                                   .low = number,
                                   .high = ARTICLE_NUMBER_MAX};
    uint64_t expected = number;
    struct seen seen;

    while (expected <= world->high[group]
           && model_find(world, group, expected) == 0)
        expected++;
    ask(world, &query, &seen);
    assert_int_equal(seen_count(&seen), expected <= world->high[group]);
    if (seen_count(&seen) == 1)
        assert_int_equal(seen_line(&seen, 0)->number, expected);
    assert_int_equal(seen.next, 0);
    seen_free(&seen);

    expected = number < world->high[group] ? number : world->high[group];
    while (expected > 0 && model_find(world, group, expected) == 0)
        expected--;
    query = (struct overview_query){.question = OVERVIEW_PREVIOUS,
                                    .group = group,
                                    .low = 1,
                                    .high = number};
    ask(world, &query, &seen);
    assert_int_equal(seen_count(&seen), expected > 0);
    if (seen_count(&seen) == 1)
        assert_int_equal(seen_line(&seen, 0)->number, expected);
    seen_free(&seen);
}

static void
check_since(struct world *world, int64_t since, size_t limit)
{
    struct overview_query query = {
        .question = OVERVIEW_SINCE, .since = since, .limit = limit};
    size_t index = 0;

    do {
        struct seen seen;

        ask(world, &query, &seen);
        for (size_t i = 0; i < seen_count(&seen); i++, index++) {
            while (world->articles[index].removed
                   || world->articles[index].entry.arrival < since)
                index++;
            assert_int_equal(seen_line(&seen, i)->sequence, index + 1);
        }
        if (limit > 0)
            assert_true(seen_count(&seen) <= limit);
        query.low = seen.next;
        seen_free(&seen);
    } while (query.low != 0);
    for (; index < world->count; index++)
        assert_true(world->articles[index].removed
                    || world->articles[index].entry.arrival < since);
}

/* One number, as who reads an article asks. */
static void
check_number(struct world *world, uint32_t group, uint64_t number)
{
    struct overview_query query = {.question = OVERVIEW_RANGE,
                                   .group = group,
                                   .low = number,
                                   .high = number,
                                   .limit = 1};
    size_t sequence = model_find(world, group, number);
    struct buffer expected = BUFFER_EMPTY;
    struct seen seen;

    ask(world, &query, &seen);
    assert_int_equal(seen_count(&seen), sequence != 0);
    if (sequence != 0) {
        const struct model_article *article = &world->articles[sequence - 1];

        buffer_append_format(&expected, "%llu\t%s\r\n",
                             (unsigned long long)number, article->line);
        assert_string_equal(buffer_text(&seen.text), buffer_text(&expected));
        assert_int_equal(seen_line(&seen, 0)->sequence, sequence);
        assert_memory_equal(&seen_line(&seen, 0)->token, &article->entry.token,
                            sizeof(struct token));
    }
    buffer_free(&expected);
    seen_free(&seen);
}

static void
check_locate(struct world *world, size_t sequence)
{
    struct overview_query query = {.question = OVERVIEW_LOCATE,
                                   .low = sequence};
    const struct model_article *article = &world->articles[sequence - 1];
    struct token token;
    int64_t arrival;
    struct seen seen;

    ask(world, &query, &seen);
    assert_int_equal(seen.status, !article->removed);
    assert_int_equal(overview_locate(world->overview, sequence, &token,
                                     &arrival, &world->why),
                     !article->removed);
    if (!article->removed) {
        assert_memory_equal(&seen.token, &article->entry.token,
                            sizeof(seen.token));
        assert_memory_equal(&token, &article->entry.token, sizeof(token));
        assert_int_equal(seen.arrival, article->entry.arrival);
        assert_int_equal(arrival, article->entry.arrival);
    }
    seen_free(&seen);
}

static int
check_group(void *context, const struct overview_group *group)
{
    struct world *world = context;
    struct buffer text = BUFFER_EMPTY;
    char name[32];
    size_t count;

    snprintf(name, sizeof(name), "local.group%u", (unsigned)group->group);
    assert_string_equal(group->name, name);
    assert_int_equal(group->created, 1000 + group->group);
    assert_int_equal(group->low, 1);
    assert_int_equal(group->high, world->high[group->group]);
    model_text(world, group->group, &text, &count);
    assert_int_equal(group->count, count);
    buffer_free(&text);
    return 0;
}

/* Everything. */
static void
check_world(struct world *world)
{
    check(world,
          overview_groups(world->overview, check_group, world, &world->why));
    for (uint32_t group = 1; group <= GROUPS; group++) {
        check_range(world, group, 0);
        check_range(world, group, 1 + pick(world, 100));
        for (int i = 0; i < 5; i++)
            check_neighbours(
                world, group,
                1 + pick(world, (unsigned)world->high[group] + 3));
        for (int i = 0; i < 10; i++)
            check_number(world, group,
                         1 + pick(world, (unsigned)world->high[group] + 3));
    }
    check_since(world, 0, 0);
    check_since(world, 5000 + pick(world, (unsigned)world->count / 3 + 2),
                1 + pick(world, 50));
    for (int i = 0; i < 10 && world->count > 0; i++)
        check_locate(world, 1 + pick(world, (unsigned)world->count));
    overview_reader_turn_ended(world->reader);
}

static int
fold_steps(struct world *world, size_t keep, unsigned steps)
{
    int more = 1;

    while (steps-- > 0 && more > 0) {
        more = overview_fold(world->overview, keep, &world->why);
        check(world, more);
    }
    return more;
}

/* --- tests --- */

static void
test_what_is_put_is_answered_before_and_after_folding(void **state)
{
    struct world *world = world_new(1);

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 1000);
    commit(world);
    check_world(world);
    assert_int_equal(overview_recent(world->overview), 1000);
    begin(world);
    assert_int_equal(fold_steps(world, 0, 1000), 0);
    commit(world);
    assert_int_equal(overview_recent(world->overview), 0);
    check_world(world);
    world_free(world);
}

static void
test_readers_see_the_model_through_random_changes(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 4; seed++) {
        struct world *world = world_new(seed);

        world_begin(world);
        for (int turn = 0; turn < 120; turn++) {
            bool removal = pick(world, 4) == 0;

            begin(world);
            if (pick(world, 3) > 0)
                put_new(world, 1 + pick(world, 30));
            fold_steps(world, pick(world, 40), pick(world, 12));
            if (removal)
                remove_some(world, 1 + pick(world, 4));
            fold_steps(world, pick(world, 40), pick(world, 12));
            commit(world);
            if (removal)
                active_note_removal(world->active);
            if (pick(world, 25) == 0) {
                overview_close(&world->overview);
                open_writer(world);
                assert_int_equal(overview_applied(world->overview),
                                 world->count);
            }
            if (pick(world, 8) == 0)
                check_world(world);
        }
        check_world(world);
        world_free(world);
    }
}

static void
test_a_fold_cut_short_may_be_done_again_with_fewer_rows(void **state)
{
    bool finished = false;

    (void)state;
    for (unsigned steps = 1; !finished; steps++) {
        struct world *world = world_new(5);

        world_begin(world);
        begin(world);
        put_new(world, 150);
        finished = fold_steps(world, 0, steps) == 0;
        commit(world);
        overview_close(&world->overview);
        open_writer(world);
        begin(world);
        fold_steps(world, 100, 1000);
        commit(world);
        check_world(world);
        begin(world);
        fold_steps(world, 0, 1000);
        commit(world);
        check_world(world);
        world_free(world);
    }
}

static void
test_records_put_again_change_nothing(void **state)
{
    struct world *world = world_new(3);

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 300);
    remove_some(world, 20);
    fold_steps(world, 100, 1000);
    commit(world);
    active_note_removal(world->active);
    begin(world);
    put_groups(world);
    put_range(world, 1, world->count);
    for (size_t sequence = 1; sequence <= world->count; sequence++)
        if (world->articles[sequence - 1].removed)
            remove_places(world, sequence, 0,
                          world->articles[sequence - 1].entry.group_count - 1);
    fold_steps(world, 0, 1000);
    commit(world);
    check_world(world);
    world_free(world);
}

static void
test_a_transaction_that_is_not_committed_leaves_nothing(void **state)
{
    struct world *world = world_new(4);
    size_t committed;

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 400);
    fold_steps(world, 0, 12);
    commit(world);
    committed = world->count;
    begin(world);
    put_new(world, 50);
    fold_steps(world, 0, 3);
    overview_close(&world->overview);

    open_writer(world);
    assert_int_equal(overview_applied(world->overview), committed);
    begin(world);
    put_range(world, committed + 1, world->count);
    fold_steps(world, 0, 1000);
    commit(world);
    check_world(world);
    world_free(world);
}

/* What the child of the next test does: every step may be its last. */
static void
die_at(unsigned *steps)
{
    if (--*steps == 0)
        raise(SIGKILL);
}

enum { SCRIPT_ARTICLES = 600, SCRIPT_COMMIT = 100 };

/* Put and remove the model's articles from the first one that is missing,
   a commit for each hundred, folding a step at a time. */
static void
run_script(struct world *world, unsigned steps)
{
    size_t at = overview_applied(world->overview);

    while (at < SCRIPT_ARTICLES) {
        begin(world);
        put_range(world, at + 1, at + SCRIPT_COMMIT);
        /* The first of this hundred, and one that is being folded. */
        remove_places(world, at + 1, 0,
                      world->articles[at].entry.group_count - 1);
        if (at > 0)
            remove_places(world, at - 50, 0,
                          world->articles[at - 51].entry.group_count - 1);
        die_at(&steps);
        at += SCRIPT_COMMIT;
        check(world, overview_commit(world->overview, at, &world->why));
        die_at(&steps);
        for (int i = 0; i < 7; i++) {
            begin(world);
            check(world, overview_fold(world->overview, 20, &world->why));
            die_at(&steps);
            check(world, overview_commit(world->overview, at, &world->why));
            die_at(&steps);
        }
    }
    for (int more = 1; more > 0;) {
        begin(world);
        more = overview_fold(world->overview, 0, &world->why);
        check(world, more);
        die_at(&steps);
        check(world, overview_commit(world->overview, at, &world->why));
        die_at(&steps);
    }
}

static void
test_a_writer_killed_at_any_step_loses_and_doubles_nothing(void **state)
{
    bool finished = false;

    (void)state;
    for (unsigned step = 1; !finished; step += 3) {
        struct world *world = world_new(7);
        pid_t child;
        int status;

        /* Fork before anything is open: SQLite's handles stay behind. */
        while (world->count < SCRIPT_ARTICLES)
            model_add(world);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            open_writer(world);
            begin(world);
            put_groups(world);
            if (overview_commit(world->overview, 0, NULL) < 0)
                _exit(1);
            run_script(world, step);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        finished = WIFEXITED(status);
        assert_true(finished ? WEXITSTATUS(status) == 0
                             : WTERMSIG(status) == SIGKILL);

        open_writer(world);
        open_reader(world);
        for (size_t at = 0; at < overview_applied(world->overview);
             at += SCRIPT_COMMIT) {
            struct model_article *first = &world->articles[at];

            first->removed = true;
            memset(first->gone, true, sizeof(first->gone));
            if (at > 0) {
                first = &world->articles[at - 51];
                first->removed = true;
                memset(first->gone, true, sizeof(first->gone));
            }
        }
        run_script(world, UINT32_MAX);
        active_set_committed(world->active, world->count);
        check_world(world);
        world_free(world);
    }
}

/* --- readers in other processes --- */

struct stream {
    uint64_t expected;
    uint64_t last;
    bool wrong;
};

static void
check_stream(void *context, const struct overview_answer *answer)
{
    struct stream *stream = context;

    if (answer->status < 0)
        stream->wrong = true;
    for (size_t i = 0; i < answer->count; i++) {
        const struct overview_line *line = &answer->lines[i];
        char number[24];
        int octets = snprintf(number, sizeof(number), "%llu\t",
                              (unsigned long long)line->number);

        if (line->number != stream->expected++
            || memcmp(line->text, number, (size_t)octets) != 0)
            stream->wrong = true;
        stream->last = line->number;
    }
}

/* Read group 1 over and over: no number twice, none left out, none that GROUP
   has shown missing. */
static void
read_stream(struct world *world, uint64_t until)
{
    struct stream stream = {0};

    open_reader(world);
    while (stream.last < until && !stream.wrong) {
        uint64_t high = active_marks(world->active, 1).high;
        uint64_t low = high > 500 ? high - 500 : 1;

        stream.expected = low;
        overview_ask(world->reader,
                     &(struct overview_query){.question = OVERVIEW_RANGE,
                                              .group = 1,
                                              .low = low,
                                              .high = ARTICLE_NUMBER_MAX,
                                              .limit = 2000},
                     check_stream, &stream);
        /* 64 KB may be full before the end is reached. */
        if (stream.last < high && stream.last < low + 50)
            stream.wrong = true;
        if (stream.expected % 3 == 0)
            overview_reader_turn_ended(world->reader);
    }
    overview_reader_close(&world->reader);
    _exit(stream.wrong ? 1 : 0);
}

static void
test_a_reader_beside_folds_sees_no_number_twice_and_no_gap(void **state)
{
    enum { READERS = 2, ARTICLES = 6000 };
    struct world *world = world_new(11);
    pid_t readers[READERS];
    uint64_t number = 0;

    (void)state;
    assert_int_equal(active_set(world->active, 1, "local.group1", 12, 'y', 0,
                                1, "", "", &world->why),
                     0);
    open_writer(world);
    begin(world);
    put_groups(world);
    commit(world);
    overview_close(&world->overview);
    for (int i = 0; i < READERS; i++) {
        readers[i] = fork();
        assert_true(readers[i] >= 0);
        if (readers[i] == 0)
            read_stream(world, ARTICLES);
    }
    open_writer(world);
    while (number < ARTICLES) {
        begin(world);
        for (unsigned i = pick(world, 40); i > 0 && number < ARTICLES; i--) {
            struct record_group group = {.group = 1, .number = number + 1};
            struct overview_entry entry = {.sequence = ++number,
                                           .arrival = (int64_t)number,
                                           .groups = &group,
                                           .group_count = 1,
                                           .line = "subject\tand\tso\ton",
                                           .line_octets = 17};

            check(world,
                  overview_put(world->overview, &entry, 1, &world->why));
        }
        fold_steps(world, pick(world, 200), pick(world, 6));
        check(world, overview_commit(world->overview, number, &world->why));
        active_set_marks(world->active, 1,
                         &(struct group_marks){1, number, number});
        active_set_committed(world->active, number);
    }
    for (int i = 0; i < READERS; i++) {
        int status;

        assert_int_equal(waitpid(readers[i], &status, 0), readers[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    world_free(world);
}

static void
test_a_number_is_seen_as_soon_as_it_is_committed(void **state)
{
    struct world *world = world_new(12);

    (void)state;
    world_begin(world);
    for (int i = 0; i < 50; i++) {
        /* The reader's turn has begun already. */
        check_range(world, 1, 0);
        begin(world);
        put_new(world, 3);
        commit(world);
        for (uint32_t group = 1; group <= GROUPS; group++) {
            check_number(world, group, world->high[group]);
            check_range(world, group, 0);
        }
        overview_reader_turn_ended(world->reader);
    }
    world_free(world);
}

static void
test_a_number_is_seen_as_soon_as_a_mark_shows_it(void **state)
{
    struct world *world = world_new(25);

    (void)state;
    assert_int_equal(active_set(world->active, 1, "local.group1", 12, 'y', 0,
                                1, "", "", &world->why),
                     0);
    world_begin(world);
    for (int i = 0; i < 20; i++) {
        check_range(world, 1, 0);
        begin(world);
        put_new(world, 10);
        check(world,
              overview_commit(world->overview, world->count, &world->why));
        /* The writer is between the marks and the committed sequence. */
        active_set_marks(
            world->active, 1,
            &(struct group_marks){1, world->high[1], world->high[1]});
        check_range(world, 1, 0);
    }
    world_free(world);
}

static void
test_a_removal_is_seen_as_soon_as_it_is_noted(void **state)
{
    struct world *world = world_new(13);

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 200);
    fold_steps(world, 100, 1000);
    commit(world);
    for (size_t sequence = 1; sequence <= 200; sequence += 7) {
        const struct record_group *place =
            &world->articles[sequence - 1].groups[0];

        check_range(world, 1, 0);
        check_number(world, place->group, place->number);
        /* It may be answered without a transaction from here on. */
        overview_reader_turn_ended(world->reader);
        check_number(world, place->group, place->number);
        begin(world);
        remove_places(world, sequence, 0,
                      world->articles[sequence - 1].entry.group_count - 1);
        commit(world);
        active_note_removal(world->active);
        for (uint32_t group = 1; group <= GROUPS; group++)
            check_range(world, group, 0);
        check_number(world, place->group, place->number);
        check_since(world, 0, 0);
        check_locate(world, sequence);
    }
    world_free(world);
}

static void
test_a_removal_while_a_fold_reads_its_rows_is_kept(void **state)
{
    struct world *world = world_new(23);

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 600);
    assert_int_equal(fold_steps(world, 0, 1), 1);
    remove_places(world, 5, 0, world->articles[4].entry.group_count - 1);
    remove_places(world, 590, 0, world->articles[589].entry.group_count - 1);
    fold_steps(world, 0, 1000);
    commit(world);
    active_note_removal(world->active);
    check_world(world);
    world_free(world);
}

static void
test_many_removals_at_once_are_all_seen(void **state)
{
    struct world *world = world_new(14);

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 3000);
    commit(world);
    check_range(world, 1, 0);
    /* More than the list of removals keeps; the first row stays. */
    begin(world);
    for (size_t sequence = 2; sequence <= 2500; sequence++)
        remove_places(world, sequence, 0,
                      world->articles[sequence - 1].entry.group_count - 1);
    commit(world);
    active_note_removal(world->active);
    check_world(world);
    world_free(world);
}

static void
test_ranges_go_from_recent_and_from_blocks_at_once(void **state)
{
    struct world *world = world_new(31);
    struct expired_range range = {.group = 1, .first = 3};
    uint64_t removed = 9;

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 400);
    commit(world);
    begin(world);
    assert_int_equal(fold_steps(world, 150, 1000), 0);
    commit(world);
    begin(world);
    range.last = world->high[1] - 2;
    remove_range(world, &range);
    /* It is gone now: nothing more happens. */
    check(world, overview_remove_ranges(world->overview, &range, 1, &removed,
                                        &world->why));
    assert_int_equal(removed, 0);
    commit(world);
    active_note_removal(world->active);
    check_world(world);
    world_free(world);
}

static void
test_the_high_mark_outlives_a_recent_article_that_is_removed(void **state)
{
    struct world *world = world_new(21);

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 30);
    remove_places(world, 30, 0, world->articles[29].entry.group_count - 1);
    fold_steps(world, 0, 1000);
    commit(world);
    active_note_removal(world->active);
    check_world(world);
    world_free(world);
}

static void
test_marks_only_rise(void **state)
{
    struct world *world = world_new(15);
    struct overview_group row = {.group = 1,
                                 .flag = 'y',
                                 .created = 1001,
                                 .low = 1,
                                 .high = 5,
                                 .count = 99,
                                 .name = "local.group1",
                                 .creator = "test",
                                 .description = ""};

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 100);
    check(world, overview_put_group(world->overview, &row, &world->why));
    commit(world);
    check_world(world);
    row.high = world->high[1] = 1000;
    begin(world);
    check(world, overview_put_group(world->overview, &row, &world->why));
    row.high = 0;
    check(world, overview_put_group(world->overview, &row, &world->why));
    fold_steps(world, 0, 1000);
    commit(world);
    check_world(world);
    world_free(world);
}

/* --- the file --- */

static uint64_t
wal_octets(const struct world *world)
{
    char path[128];
    struct stat status;

    snprintf(path, sizeof(path), "%s/overview.sqlite-wal", world->path);
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void
test_the_log_stays_small_while_a_reader_turns(void **state)
{
    struct world *world = world_new(16);
    uint64_t most = 0, written = 0;

    (void)state;
    world_begin(world);
    for (int i = 0; i < 300; i++) {
        uint64_t before = overview_log_octets(world->overview), left;

        begin(world);
        put_new(world, 40);
        fold_steps(world, 100, 5);
        commit(world);
        written += overview_log_octets(world->overview) - before;
        check_range(world, 1 + pick(world, GROUPS), 20);
        if (overview_log_octets(world->overview) > 1 << 20) {
            /* A reader in its turn is in the way of a new log. */
            check(world,
                  overview_checkpoint(world->overview, &left, &world->why));
            assert_int_equal(
                overview_restart_log(world->overview, &world->why), 0);
            overview_reader_turn_ended(world->reader);
            check(world,
                  overview_checkpoint(world->overview, &left, &world->why));
            assert_int_equal(left, 0);
            assert_int_equal(
                overview_restart_log(world->overview, &world->why), 1);
        }
        if (wal_octets(world) > most)
            most = wal_octets(world);
    }
    assert_true(written > 10 << 20);
    assert_true(most < 3 << 20);
    check_world(world);
    world_free(world);
}

/* Ask without a pause until the writer has put this many articles. */
static void
keep_asking(struct world *world, uint64_t until)
{
    struct overview_query query = {
        .question = OVERVIEW_RANGE, .group = 1, .high = ARTICLE_NUMBER_MAX};
    struct stream stream = {0};

    open_reader(world);
    while (active_committed(world->active) < until) {
        query.low = stream.expected = active_committed(world->active) / 2 + 1;
        overview_ask(world->reader, &query, check_stream, &stream);
        overview_reader_turn_ended(world->reader);
    }
    overview_reader_close(&world->reader);
    _exit(stream.wrong ? 1 : 0);
}

static void
test_the_log_is_bounded_beside_readers_that_never_rest(void **state)
{
    enum { READERS = 2, ARTICLES = 25000, STEP = 40 };
    struct world *world = world_new(22);
    char line[400];
    pid_t readers[READERS];
    uint64_t most = 0, left, number = 0;

    (void)state;
    memset(line, 'x', sizeof(line));
    open_writer(world);
    overview_close(&world->overview);
    for (int i = 0; i < READERS; i++) {
        readers[i] = fork();
        assert_true(readers[i] >= 0);
        if (readers[i] == 0)
            keep_asking(world, ARTICLES);
    }
    open_writer(world);
    while (number < ARTICLES) {
        begin(world);
        for (unsigned i = 0; i < STEP; i++) {
            struct record_group group = {.group = 1, .number = number + 1};
            struct overview_entry entry = {.sequence = ++number,
                                           .groups = &group,
                                           .group_count = 1,
                                           .line = line,
                                           .line_octets = sizeof(line)};

            check(world,
                  overview_put(world->overview, &entry, 1, &world->why));
        }
        fold_steps(world, 1000, 6);
        check(world, overview_commit(world->overview, number, &world->why));
        active_set_committed(world->active, number);
        if (overview_log_octets(world->overview) > 12 << 20) {
            check(world,
                  overview_checkpoint(world->overview, &left, &world->why));
            check(world, overview_restart_log(world->overview, &world->why));
        }
        if (wal_octets(world) > most)
            most = wal_octets(world);
    }
    for (int i = 0; i < READERS; i++) {
        int status;

        assert_int_equal(waitpid(readers[i], &status, 0), readers[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_true(most < 64 << 20);
    world_free(world);
}

static void
execute(const struct world *world, const char *sql)
{
    char path[128];
    sqlite3 *db;

    snprintf(path, sizeof(path), "%s/overview.sqlite", world->path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void
test_another_version_is_named_and_left_alone(void **state)
{
    struct world *world = world_new(17);

    (void)state;
    world_begin(world);
    overview_close(&world->overview);
    overview_reader_close(&world->reader);
    execute(world, "UPDATE meta SET value = 77 WHERE key = 'version'");
    world->overview =
        overview_open(world->url, world->path, 1 << 20, &world->why);
    assert_null(world->overview);
    assert_non_null(strstr(buffer_text(&world->why), "version 77"));
    execute(world, "UPDATE meta SET value = 1 WHERE key = 'version'");
    open_writer(world);
    world_free(world);
}

static void
test_a_damaged_file_is_moved_aside_and_readers_go_to_the_new_one(void **state)
{
    struct world *world = world_new(18);
    char path[128];
    uint64_t left;
    int fd;

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 100);
    commit(world);
    check_world(world);
    check(world, overview_checkpoint(world->overview, &left, &world->why));
    overview_close(&world->overview);
    snprintf(path, sizeof(path), "%s/overview.sqlite", world->path);
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "this is no database", 19, 0), 19);
    /* Not closed: that would let go of the reader's locks. */
    open_writer(world);
    assert_int_equal(overview_applied(world->overview), 0);
    begin(world);
    put_groups(world);
    put_range(world, 1, world->count);
    put_new(world, 20);
    commit(world);
    check_world(world);
    snprintf(path, sizeof(path), "%s/overview.sqlite.damaged", world->path);
    assert_int_equal(access(path, F_OK), 0);
    close(fd);
    world_free(world);
}

static void
test_the_log_of_a_damaged_file_is_not_taken_for_that_of_the_next(void **state)
{
    struct world *world = world_new(24);
    char path[128];
    pid_t child = fork();
    int fd;

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        world_begin(world);
        begin(world);
        put_new(world, 100);
        commit(world);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(wal_octets(world) > 0);
    snprintf(path, sizeof(path), "%s/overview.sqlite.is-damaged", world->path);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    open_writer(world);
    assert_int_equal(overview_applied(world->overview), 0);
    assert_int_equal(overview_recent(world->overview), 0);
    world_free(world);
}

static void
test_damage_found_at_work_makes_the_next_start_begin_anew(void **state)
{
    struct world *world = world_new(19);

    (void)state;
    world_begin(world);
    begin(world);
    put_new(world, 100);
    fold_steps(world, 0, 1000);
    commit(world);
    overview_close(&world->overview);
    execute(world, "UPDATE block SET data = x'00'");
    open_writer(world);
    begin(world);
    assert_int_equal(overview_remove(world->overview, 1,
                                     world->articles[0].groups, 1, true,
                                     &world->why),
                     -1);
    assert_non_null(strstr(buffer_text(&world->why), "damaged"));
    overview_close(&world->overview);
    open_writer(world);
    assert_int_equal(overview_applied(world->overview), 0);
    world_free(world);
}

static void
test_a_reader_may_come_before_the_first_writer(void **state)
{
    struct world *world = world_new(20);
    struct overview_query query = {
        .question = OVERVIEW_RANGE, .group = 1, .low = 1, .high = 9};
    struct seen seen = {.world = world};

    (void)state;
    assert_null(overview_reader_open(world->url, world->path, world->active,
                                     NULL, &world->why));
    assert_int_equal(mkdir(world->path, 0700), 0);
    open_reader(world);
    assert_null(overview_ask(world->reader, &query, note_answer, &seen));
    assert_int_equal(seen.status, -1);
    seen_free(&seen);
    open_writer(world);
    begin(world);
    put_groups(world);
    put_new(world, 50);
    commit(world);
    check_world(world);
    world_free(world);
}

static void
test_an_unknown_kind_of_overview_is_named(void **state)
{
    struct buffer why = BUFFER_EMPTY;

    (void)state;
    assert_null(overview_open("dbase", "/nonexistent", 0, &why));
    assert_non_null(strstr(buffer_text(&why), "dbase"));
    buffer_free(&why);
}

/* What holds whatever the tables lie in. */
#define TESTS_OF_ANY                                                          \
    cmocka_unit_test(test_what_is_put_is_answered_before_and_after_folding),  \
        cmocka_unit_test(test_readers_see_the_model_through_random_changes),  \
        cmocka_unit_test(                                                     \
            test_a_fold_cut_short_may_be_done_again_with_fewer_rows),         \
        cmocka_unit_test(test_records_put_again_change_nothing),              \
        cmocka_unit_test(                                                     \
            test_a_transaction_that_is_not_committed_leaves_nothing),         \
        cmocka_unit_test(                                                     \
            test_a_writer_killed_at_any_step_loses_and_doubles_nothing),      \
        cmocka_unit_test(                                                     \
            test_a_reader_beside_folds_sees_no_number_twice_and_no_gap),      \
        cmocka_unit_test(test_a_number_is_seen_as_soon_as_it_is_committed),   \
        cmocka_unit_test(test_a_number_is_seen_as_soon_as_a_mark_shows_it),   \
        cmocka_unit_test(test_a_removal_is_seen_as_soon_as_it_is_noted),      \
        cmocka_unit_test(test_a_removal_while_a_fold_reads_its_rows_is_kept), \
        cmocka_unit_test(test_many_removals_at_once_are_all_seen),            \
        cmocka_unit_test(test_ranges_go_from_recent_and_from_blocks_at_once), \
        cmocka_unit_test(                                                     \
            test_the_high_mark_outlives_a_recent_article_that_is_removed),    \
        cmocka_unit_test(test_marks_only_rise)

int
main(void)
{
    const struct CMUnitTest sqlite[] = {
        TESTS_OF_ANY,
        cmocka_unit_test(test_the_log_stays_small_while_a_reader_turns),
        cmocka_unit_test(
            test_the_log_is_bounded_beside_readers_that_never_rest),
        cmocka_unit_test(test_another_version_is_named_and_left_alone),
        cmocka_unit_test(
            test_a_damaged_file_is_moved_aside_and_readers_go_to_the_new_one),
        cmocka_unit_test(
            test_the_log_of_a_damaged_file_is_not_taken_for_that_of_the_next),
        cmocka_unit_test(
            test_damage_found_at_work_makes_the_next_start_begin_anew),
        cmocka_unit_test(test_a_reader_may_come_before_the_first_writer),
        cmocka_unit_test(test_an_unknown_kind_of_overview_is_named),
    };
    const struct CMUnitTest postgresql[] = {
        TESTS_OF_ANY,
    };
    int failed = cmocka_run_group_tests_name("sqlite", sqlite, NULL, NULL);

    return failed
           + cmocka_run_group_tests_name("postgresql", postgresql,
                                         postgresql_begin, postgresql_end);
}
