/*
 * finder -- see finder.h.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/buffer.h>

#include "lib/command_line.h"
#include "lib/memory.h"
#include "lib/message_id.h"
#include "lib/stream.h"
#include "nnrpd/finder.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"
#include "storage/active.h"

struct answer {
    struct message_hash hash;
    uint64_t sequence; /* 0: the place is empty */
    struct token token;
};

/* A question on its way to the writer that no client waits for yet. */
struct expected {
    LIST_ENTRY(expected) all;
    struct finder *finder;
    struct message_hash hash;
    struct writer_request *request;
};

struct finder {
    struct worker *worker;
    struct answer *answers; /* direct-mapped; NULL: none yet */
    uint64_t removals;      /* of the store, when the answers were given */
    LIST_HEAD(, expected) expected;
};

struct finder *
finder_new(struct worker *worker)
{
    struct finder *finder = xcalloc(1, sizeof *finder);

    finder->worker = worker;
    LIST_INIT(&finder->expected);
    return finder;
}

static void
expected_free(struct expected *expected)
{
    writer_forget(&expected->request);
    LIST_REMOVE(expected, all);
    free(expected);
}

void
finder_free(struct finder **finder)
{
    if (*finder == NULL)
        return;
    while (!LIST_EMPTY(&(*finder)->expected))
        expected_free(LIST_FIRST(&(*finder)->expected));
    free((*finder)->answers);
    free(*finder);
    *finder = NULL;
}

struct message_hash
finder_hash(const struct finder *finder, const char *id)
{
    struct message_key key = active_key(finder->worker->active);

    return message_id_hash(&key, id, strlen(id));
}

static struct answer *
finder_place(const struct finder *finder, const struct message_hash *hash)
{
    uint64_t place;

    memcpy(&place, hash->octets, sizeof place);
    return &finder->answers[place % FINDER_ENTRIES];
}

bool
finder_knows(const struct finder *finder, const struct message_hash *hash,
             uint64_t *sequence_r, struct token *token_r)
{
    const struct answer *answer;

    if (active_known_find(finder->worker->active, hash, sequence_r, token_r))
        return true;
    if (finder->answers == NULL
        || finder->removals != active_removals(finder->worker->active))
        return false;
    answer = finder_place(finder, hash);
    if (answer->sequence == 0
        || memcmp(&answer->hash, hash, sizeof *hash) != 0)
        return false;
    *sequence_r = answer->sequence;
    *token_r = answer->token;
    return true;
}

/* --- looking ahead --- */

static void
expected_found(void *context, const struct writer_answer *answer)
{
    struct expected *expected = context;
    struct finder *finder = expected->finder;

    expected->request = NULL;
    if (!answer->away && answer->sequence != 0)
        *finder_place(finder, &expected->hash) =
            (struct answer){expected->hash, answer->sequence, answer->token};
    expected_free(expected);
}

/*
 * An answer that was asked for before a removal and comes after it may be of
 * before: so the questions on their way are forgotten with the answers.
 */
static void
finder_refresh(struct finder *finder)
{
    uint64_t removals = active_removals(finder->worker->active);

    if (finder->answers != NULL && finder->removals == removals)
        return;
    while (!LIST_EMPTY(&finder->expected))
        expected_free(LIST_FIRST(&finder->expected));
    free(finder->answers);
    finder->answers = xcalloc(FINDER_ENTRIES, sizeof *finder->answers);
    finder->removals = removals;
}

static void
finder_expect(struct finder *finder, const char *id)
{
    struct message_hash hash = finder_hash(finder, id);
    struct expected *expected;
    struct writer_request *request;
    struct token token;
    uint64_t sequence;

    if (finder_knows(finder, &hash, &sequence, &token))
        return;
    expected = xcalloc(1, sizeof *expected);
    expected->finder = finder;
    expected->hash = hash;
    LIST_INSERT_HEAD(&finder->expected, expected, all);
    request =
        writer_find(finder->worker->writer, &hash, expected_found, expected);
    if (request != NULL) /* else it was answered, and is free */
        expected->request = request;
}

/* The message-ID that a command asks for, NULL where it is another one. */
static const char *
line_message_id(const struct command_line *line)
{
    static const char *const names[] = {"ARTICLE", "BODY", "HEAD", "STAT"};

    if (line->fault != COMMAND_LINE_GOOD || line->count != 2
        || !message_id_is_valid(line->word[1], strlen(line->word[1])))
        return NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(line->word[0], names[i]) == 0)
            return line->word[1];
    return NULL;
}

void
finder_look_ahead(struct finder *finder, struct session *session)
{
    struct evbuffer *input = stream_input(session->stream);
    size_t left = evbuffer_get_length(input);
    struct command_line line;
    const char *octets, *id;
    size_t length;

    if (left > FINDER_AHEAD * COMMAND_LINE_OCTETS_MAX)
        left = FINDER_AHEAD * COMMAND_LINE_OCTETS_MAX;
    if (left == 0)
        return;
    octets = (const char *)evbuffer_pullup(input, (ev_ssize_t)left);
    finder_refresh(finder);
    for (int i = 0; i < FINDER_AHEAD; i++) {
        length = command_line_octets(octets, left);
        if (length == 0)
            return;
        command_line_parse(&line, octets, length);
        id = line_message_id(&line);
        if (id == NULL)
            return;
        finder_expect(finder, id);
        octets += length;
        left -= length;
    }
}
