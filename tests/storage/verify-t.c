#include "tests/storage/store_world.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "storage/batch.h"
#include "storage/segment.h"
#include "storage/store_private.h"
#include "storage/verify.h"

enum { ARTICLES = 40 };

/* --- the world: articles 1 to 40 of local.one, every third in local.two
   too; 7 and one that never came are cancelled --- */

static struct outcome outcomes[ARTICLES + 1];

static const char *
id_of(unsigned number)
{
    static char id[32];

    snprintf(id, sizeof(id), "<%u@x>", number);
    return id;
}

static void
fill(struct world *world)
{
    world_group(world, "newgroup local.one");
    world_group(world, "newgroup local.two");
    for (unsigned i = 1; i <= ARTICLES; i++)
        outcomes[i] =
            world_submit(world, id_of(i),
                         i % 3 == 0 ? "local.one,local.two" : "local.one", 0);
}

static int
setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world_init(world, "");
    world_open(world);
    fill(world);
    world_group(world, "cancel <7@x>");
    world_group(world, "cancel <never@x>");
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

/* --- verifying --- */

struct findings {
    unsigned count;
    unsigned kinds[VERIFY_KINDS];
    struct mend_step steps[64];
    size_t step_count;
    char text[2000];
};

static void
take_finding(void *context, const struct verify_finding *finding)
{
    struct findings *findings = context;
    size_t used = strlen(findings->text);

    findings->count++;
    findings->kinds[finding->kind]++;
    if (finding->mend.kind != MEND_NOTHING && findings->step_count < 64)
        findings->steps[findings->step_count++] = finding->mend;
    snprintf(findings->text + used, sizeof(findings->text) - used,
             "%s: %s: %s, not %s\n", verify_kind_name(finding->kind),
             finding->place, finding->found, finding->expected);
}

static void
take_fault(void *context, const struct spool_fault *fault)
{
    verify_spool_fault(fault, take_finding, context);
}

static int
list(void *context, const struct message_hash *from,
     struct history_entry *entries, size_t count, struct buffer *why)
{
    return store_history(context, from, entries, count, why);
}

/* Beside the open store. */
static struct findings
verify(struct world *world)
{
    static const volatile sig_atomic_t never;
    struct findings findings = {0};
    struct verify verify = {
        .pathspool = world->config->pathspool,
        .active = world->active,
        .base = event_base_new(),
        .list = list,
        .list_context = world->store,
        .history_applied = active_committed(world->active),
        .overview_applied = active_committed(world->active),
        .online = true,
        .quiet = true,
        .stopping = &never,
        .report = take_finding,
        .context = &findings,
    };
    uint32_t segment, end;
    uint64_t sequence;

    active_durable(world->active, &segment, &end, &sequence);
    verify.spool = spool_open_reading(world->config->pathspool, false,
                                      take_fault, &findings, &world->why);
    assert_non_null(verify.spool);
    spool_set_durable(verify.spool, segment, end);
    verify.overview = overview_reader_open(
        world->config->overview, world->config->pathoverview, world->active,
        verify.base, &world->why);
    if (verify_run(&verify, &world->why) < 0)
        fail_msg("verify: %s", buffer_text(&world->why));
    overview_reader_close(&verify.overview);
    spool_close(&verify.spool);
    event_base_free(verify.base);
    return findings;
}

static void
expect_sound(struct world *world)
{
    struct findings findings = verify(world);

    if (findings.count > 0)
        fail_msg("%s", findings.text);
}

static void
mended(void *context, uint64_t cookie, int status, const char *text)
{
    (void)cookie;
    if (status < 0)
        fail_msg("%s", text);
    *(bool *)context = true;
}

static void
mend(struct world *world, const struct mend_step *steps, size_t count)
{
    bool done = false;

    store_mend(world->store, steps, count * sizeof(*steps), 0, mended, &done);
    world_drain(world);
    assert_true(done);
}

/* --- tests --- */

static void
put_entry(struct world *world, const struct history_entry *entry)
{
    assert_int_equal(history_put(world->store->history, entry, 1,
                                 history_applied(world->store->history),
                                 &world->why),
                     0);
}

static void
drop_entry(struct world *world)
{
    struct message_hash hash = world_hash(world, "<5@x>");

    assert_int_equal(
        history_drop(world->store->history, &hash, 1, &world->why), 0);
}

static void
drop_cancel(struct world *world)
{
    struct message_hash hash = world_hash(world, "<never@x>");

    assert_int_equal(
        history_drop(world->store->history, &hash, 1, &world->why), 0);
}

static void
move_entry(struct world *world)
{
    struct history_entry entry = {
        .hash = world_hash(world, "<5@x>"),
        .fate = HISTORY_STORED,
        .sequence = outcomes[5].sequence,
        .token = outcomes[6].token,
    };

    put_entry(world, &entry);
}

static void
age_entry(struct world *world)
{
    struct history_entry entry = {
        .hash = world_hash(world, "<5@x>"),
        .fate = HISTORY_STORED,
        .sequence = outcomes[4].sequence,
        .token = outcomes[4].token,
    };

    put_entry(world, &entry);
}

static void
revive_entry(struct world *world)
{
    struct history_entry entry = {
        .hash = world_hash(world, "<7@x>"),
        .fate = HISTORY_STORED,
        .sequence = outcomes[7].sequence,
        .token = outcomes[7].token,
    };

    put_entry(world, &entry);
}

static void
make_entry(struct world *world)
{
    struct history_entry entry = {
        .hash = world_hash(world, "<stranger@x>"),
        .fate = HISTORY_STORED,
        .sequence = outcomes[9].sequence,
        .token = outcomes[9].token,
    };

    put_entry(world, &entry);
}

static void
test_a_wrong_entry_of_the_history_is_named_and_mended(void **state)
{
    static const struct {
        void (*damage)(struct world *world);
        enum verify_kind kind;
        const char *promise;
    } rows[] = {
        {drop_entry, VERIFY_ENTRY_MISSING, "of an article"},
        {drop_cancel, VERIFY_ENTRY_MISSING, "of an ID that is refused"},
        {move_entry, VERIFY_ENTRY_WRONG, "that points elsewhere"},
        {age_entry, VERIFY_ENTRY_WRONG, "of another article"},
        {revive_entry, VERIFY_ENTRY_WRONG,
         "that a cancel should have changed"},
        {make_entry, VERIFY_ENTRY_SURPLUS, "that nothing has made"},
    };
    struct world *world = *state;

    expect_sound(world);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct findings findings;

        rows[i].damage(world);
        findings = verify(world);
        if (findings.count != 1 || findings.kinds[rows[i].kind] != 1
            || findings.step_count != 1)
            fail_msg("%s: %s", rows[i].promise, findings.text);
        mend(world, findings.steps, findings.step_count);
        /* No replay would mend it. */
        assert_false(history_is_waiting(world->store->history));
        expect_sound(world);
    }
    world_reopen(world);
    expect_sound(world);
}

/* What a repair decided may be old when it is done. */
static void
test_a_step_that_comes_late_brings_nothing_back(void **state)
{
    struct world *world = *state;
    struct message_hash hash = world_hash(world, "<9@x>");
    struct history_entry entry;
    const struct mend_step steps[] = {
        {.kind = MEND_ENTRY,
         .sequence = outcomes[9].sequence,
         .token = outcomes[9].token,
         .hash = hash,
         .fate = HISTORY_STORED},
        {.kind = MEND_ARTICLE,
         .group = world_id(world, "local.one"),
         .number = 9,
         .sequence = outcomes[9].sequence,
         .token = outcomes[9].token,
         .hash = hash},
        {.kind = MEND_GROUP, .group = world_id(world, "local.one")},
    };

    world_group(world, "cancel <9@x>");
    mend(world, steps, sizeof(steps) / sizeof(steps[0]));
    assert_int_equal(
        history_lookup(world->store->history, &hash, &entry, &world->why), 1);
    assert_int_equal(entry.fate, HISTORY_CANCELLED);
    assert_int_equal(world_lines(world, "local.one", 9, 9), 0);
    world_assert_marks(world, "local.one", 1, 40, 38);
    expect_sound(world);
}

static void
test_steps_that_say_nonsense_change_nothing(void **state)
{
    struct world *world = *state;
    const struct mend_step steps[] = {
        {.kind = 99, .group = 1},
        {.kind = MEND_GROUP, .group = 4711},
        {.kind = MEND_ARTICLE, .group = 1, .number = 3, .sequence = 5},
        /* A record of another ID, and one that is not filed there. */
        {.kind = MEND_ENTRY,
         .sequence = outcomes[9].sequence,
         .token = outcomes[9].token,
         .hash = world_hash(world, "<stranger@x>"),
         .fate = HISTORY_STORED},
        {.kind = MEND_ARTICLE,
         .group = world_id(world, "local.two"),
         .number = 4711,
         .sequence = outcomes[9].sequence,
         .token = outcomes[9].token,
         .hash = world_hash(world, "<9@x>")},
        {.kind = MEND_LINE_DROP, .group = 1, .number = 3, .sequence = 4711},
    };

    mend(world, steps, sizeof(steps) / sizeof(steps[0]));
    expect_sound(world);
}

/* --- the last segment cut at each of its last 4,096 octets --- */

static void
segment_put(struct world *world, const struct buffer *octets, size_t length)
{
    char path[200];
    int fd;

    world_delete(world, "spool");
    world_delete(world, "db/history");
    world_delete(world, "overview");
    snprintf(path, sizeof(path), "%s/spool", world->directory);
    assert_int_equal(mkdir(path, 0750), 0);
    snprintf(path, sizeof(path), "%s/spool/00000001.seg", world->directory);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, octets->data, length), (ssize_t)length);
    close(fd);
}

static void
segment_get(struct world *world, struct buffer *octets)
{
    char path[200];
    char *room;
    ssize_t got;
    int fd;

    snprintf(path, sizeof(path), "%s/spool/00000001.seg", world->directory);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    room = buffer_reserve(octets, 4 * 1024 * 1024);
    got = read(fd, room, 4 * 1024 * 1024);
    assert_true(got > 0);
    octets->used = (size_t)got;
    octets->used = (size_t)segment_used_end(fd, 0);
    octets->used = (octets->used + 7) & ~(size_t)7;
    close(fd);
}

/* Where the batch of a record ends: nothing else of it is needed. */
static size_t
batch_end(const struct buffer *octets, const struct token *token)
{
    size_t at = SEGMENT_HEAD_OCTETS;

    for (;;) {
        struct batch_head head;

        memcpy(&head, octets->data + at, sizeof(head));
        assert_int_equal(head.magic, BATCH_MAGIC);
        if (at + head.octets > token->offset)
            return at + head.octets;
        at += head.octets;
    }
}

/* All articles before the cut are there with their numbers, no other is. */
static void
cut_look(struct world *world, const struct buffer *octets, size_t cut)
{
    unsigned left = 0;

    world_open(world);
    for (unsigned i = 1; i <= ARTICLES; i++) {
        bool whole = batch_end(octets, &outcomes[i].token) <= cut;
        struct message_hash hash = world_hash(world, id_of(i));
        uint64_t sequence = 0;
        struct token token;
        int found =
            store_find(world->store, &hash, &sequence, &token, &world->why);

        if (found != whole)
            fail_msg("cut at %zu: article %u: found=%d", cut, i, found);
        if (!whole)
            continue;
        left = i;
        assert_int_equal(sequence, outcomes[i].sequence);
        assert_int_equal(world_lines(world, "local.one", i, i), sequence);
    }
    world_assert_marks(world, "local.one", 1, left, left);
    expect_sound(world);
    assert_int_equal(world_submit(world, "<after@x>", "local.one", 0).outcome,
                     STORE_STORED);
    world_assert_marks(world, "local.one", 1, left + 1, left + 1);
    world_close(world);
}

static void
test_a_cut_tail_never_hurts_an_older_batch(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));
    const char *form = getenv("RENEWS_LONG");
    size_t step = form != NULL && form[0] != '\0' ? 1 : 157;
    struct buffer octets = BUFFER_EMPTY;
    unsigned cuts = 0;

    (void)state;
    world_init(world, "");
    world_open(world);
    fill(world);
    world_close(world);
    segment_get(world, &octets);
    assert_true(octets.used > 2 * SEGMENT_HEAD_OCTETS);
    for (size_t cut = octets.used - 4096; cut < octets.used; cut += step) {
        segment_put(world, &octets, cut);
        cut_look(world, &octets, cut);
        cuts++;
    }
    print_message("cut at %u offsets\n", cuts);
    buffer_free(&octets);
    world_free(world);
    free(world);
}

int
main(void)
{
#define PROMISE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        PROMISE(test_a_wrong_entry_of_the_history_is_named_and_mended),
        PROMISE(test_a_step_that_comes_late_brings_nothing_back),
        PROMISE(test_steps_that_say_nonsense_change_nothing),
        cmocka_unit_test(test_a_cut_tail_never_hurts_an_older_batch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
