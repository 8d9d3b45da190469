/*
 * store_world -- a store in a directory of its own, for tests of the files
 * storage/store*.c, commit.c and recover.c, and articles to put in.
 */
#ifndef TESTS_STORAGE_STORE_WORLD_H
#define TESTS_STORAGE_STORE_WORLD_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/overview.h"
#include "storage/spool_reader.h"
#include "storage/store.h"
#include "tests/storage/postgresql_world.h"

struct world {
    char directory[64];
    struct config *config;
    struct active *active;
    struct store *store;
    struct overview_reader *reader;
    struct buffer why;
    struct buffer text;
};

/* The outcome of one submission. */
struct outcome {
    unsigned calls;
    enum store_outcome outcome;
    uint64_t sequence;
    struct token token;
    char why[200];
};

static inline void
world_open(struct world *world)
{
    /* A master keeps the memory while writers come and go. */
    if (world->active == NULL)
        world->active = active_new((size_t)world->config->groups_max);
    world->store = store_open(world->config, world->active, 0, &world->why);
    if (world->store == NULL)
        fail_msg("store_open: %s", buffer_text(&world->why));
}

static inline void
world_close(struct world *world)
{
    overview_reader_close(&world->reader);
    store_close(&world->store);
    active_close(&world->active);
}

/* extra: further lines of configuration. */
static inline void
world_init(struct world *world, const char *extra)
{
    struct buffer text = BUFFER_EMPTY;
    const char *d = world->directory;
    const char *parent = getenv("TMPDIR");
    char overview[200];

    *world = (struct world){0};
    snprintf(world->directory, sizeof(world->directory),
             "%s/renews-store-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(world->directory));
    snprintf(overview, sizeof(overview), "sqlite");
    if (postgresql_directory[0] != '\0')
        postgresql_make_schema(overview, sizeof(overview));
    buffer_append_format(&text,
                         "pathhost = \"news.example\"\n"
                         "pathspool = \"%s/spool\"\npathdb = \"%s/db\"\n"
                         "pathoverview = \"%s/overview\"\n"
                         "pathrun = \"%s/run\"\n"
                         "segment_octets = 1048576\ngroups_max = 64\n"
                         "history_cache_octets = 1048576\n"
                         "overview_cache_octets = 1048576\n"
                         "overview = \"%s\"\n%s",
                         d, d, d, d, overview, extra);
    world->config = config_parse("test", text.data, &world->why);
    if (world->config == NULL)
        fail_msg("config: %s", buffer_text(&world->why));
    buffer_free(&text);
}

static inline int
world_remove(const char *path, const struct stat *status, int type,
             struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

/* Remove a part of the store: "history" is in "db". */
static inline void
world_delete(struct world *world, const char *part)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/%s", world->directory, part);
    assert_int_equal(nftw(path, world_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
    if (strcmp(part, "overview") == 0
        && strcmp(world->config->overview, "sqlite") != 0)
        postgresql_execute(world->config->overview,
                           "DROP TABLE meta, groups, recent, block, article,"
                           " removed");
}

static inline void
world_free(struct world *world)
{
    world_close(world);
    config_free(&world->config);
    assert_int_equal(
        nftw(world->directory, world_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
    buffer_free(&world->why);
    buffer_free(&world->text);
}

/* As after `kill`: everything is opened anew. */
static inline void
world_reopen(struct world *world)
{
    world_close(world);
    world_open(world);
}

/* --- articles --- */

/* The payload of a submission of an article with this ID and body. */
static inline void
world_build(struct world *world, struct buffer *payload, const char *id,
            const char *groups, const char *more, const char *body,
            uint32_t flags, uint64_t cookie)
{
    struct buffer wire = BUFFER_EMPTY;
    struct article article;

    buffer_append_format(&wire,
                         "Path: peer.example!not-for-mail\r\n"
                         "From: A <a@peer.example>\r\n"
                         "Newsgroups: %s\r\nSubject: about %s\r\n"
                         "Date: Mon, 23 Nov 2026 21:04:05 +0000\r\n"
                         "Message-ID: %s\r\n%s\r\n%s.\r\n",
                         groups, id, id, more, body);
    if (article_parse(&article, wire.data, wire.used, &world->why) < 0
        || submission_build(payload, &article, world->active, "news.example",
                            true, flags, cookie, &world->why)
               < 0)
        fail_msg("%s: %s", id, buffer_text(&world->why));
    buffer_free(&wire);
}

static inline void
outcome_note(const struct store_result *result)
{
    struct outcome *outcome = result->context;

    outcome->calls++;
    outcome->outcome = result->outcome;
    outcome->sequence = result->sequence;
    outcome->token = result->token;
    snprintf(outcome->why, sizeof(outcome->why), "%s", result->why);
}

/* Submit without waiting. */
static inline void
world_begin(struct world *world, struct outcome *outcome, const char *id,
            const char *groups, uint32_t flags)
{
    struct buffer payload = BUFFER_EMPTY;

    *outcome = (struct outcome){0};
    world_build(world, &payload, id, groups, "", "body\r\n", flags, 0);
    store_submit(world->store, payload.data, payload.used, outcome_note,
                 outcome);
    buffer_free(&payload);
}

static inline void
world_drain(struct world *world)
{
    if (store_drain(world->store, &world->why) < 0)
        fail_msg("store_drain: %s", buffer_text(&world->why));
}

/* Submit and wait. */
static inline struct outcome
world_submit(struct world *world, const char *id, const char *groups,
             uint32_t flags)
{
    struct outcome outcome;

    world_begin(world, &outcome, id, groups, flags);
    world_drain(world);
    assert_int_equal(outcome.calls, 1);
    return outcome;
}

/* A command; returns its status, the answer is in world->text. */
static inline int
world_command(struct world *world, const char *command)
{
    char *words = xstrdup(command);
    const char *word[STORE_COMMAND_WORDS_MAX];
    int count = 0;
    char *rest = NULL;
    int status;

    for (char *at = strtok_r(words, " ", &rest); at != NULL;
         at = strtok_r(NULL, " ", &rest))
        word[count++] = at;
    status = store_command_now(world->store, count, word, &world->text);
    free(words);
    return status;
}

static inline void
world_group(struct world *world, const char *command)
{
    if (world_command(world, command) < 0)
        fail_msg("%s: %s", command, buffer_text(&world->text));
}

/* --- looking --- */

static inline uint32_t
world_id(struct world *world, const char *group)
{
    uint32_t id = active_find(world->active, group, strlen(group));

    assert_int_not_equal(id, 0);
    return id;
}

static inline void
world_assert_marks(struct world *world, const char *group, uint64_t low,
                   uint64_t high, uint64_t count)
{
    struct group_marks marks =
        active_marks(world->active, world_id(world, group));

    assert_int_equal(marks.low, low);
    assert_int_equal(marks.high, high);
    assert_int_equal(marks.count, count);
}

static inline struct message_hash
world_hash(struct world *world, const char *id)
{
    struct message_key key = active_key(world->active);

    return message_id_hash(&key, id, strlen(id));
}

/* An overview line by group and number, in world->text; "" when there is
   none. */
struct world_line {
    struct world *world;
    uint64_t sequence;
};

static inline void
world_line_found(void *context, const struct overview_answer *answer)
{
    struct world_line *line = context;

    assert_true(answer->status >= 0);
    for (size_t i = 0; i < answer->count; i++) {
        buffer_append(&line->world->text, answer->lines[i].text,
                      answer->lines[i].octets);
        line->sequence = answer->lines[i].sequence;
    }
}

/* Lines low to high of a group in world->text; returns the last sequence. */
static inline uint64_t
world_lines(struct world *world, const char *group, uint64_t low,
            uint64_t high)
{
    struct overview_query query = {
        .question = OVERVIEW_RANGE,
        .group = world_id(world, group),
        .low = low,
        .high = high,
    };
    struct world_line line = {.world = world};

    if (world->reader == NULL)
        world->reader = overview_reader_open(world->config->overview,
                                             world->config->pathoverview,
                                             world->active, NULL, &world->why);
    assert_non_null(world->reader);
    buffer_clear(&world->text);
    assert_null(overview_ask(world->reader, &query, world_line_found, &line));
    overview_reader_turn_ended(world->reader);
    return line.sequence;
}

/* The article as stored, in world->text. */
static inline void
world_article(struct world *world, const char *id)
{
    struct message_hash hash = world_hash(world, id);
    struct spooled *spooled;
    struct token token;
    uint64_t sequence;

    assert_int_equal(
        store_find(world->store, &hash, &sequence, &token, &world->why), 1);
    assert_int_equal(
        spool_read_now(world->config->pathspool, &token, sequence, &spooled),
        SPOOL_FOUND);
    buffer_clear(&world->text);
    buffer_append(&world->text, spooled->record.payload,
                  spooled->record.head.payload_octets);
    spooled_release(spooled);
}

#endif
