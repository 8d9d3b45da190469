#include "storage/overview_postgresql_reader.h"

#include "lib/log.h"

enum {
    /* Blocks asked for at once: what an answer has room for, by the octets of
       those that were read last. */
    ANSWER_OCTETS = 64 * 1024,
    BLOCKS_MOST = 256,
};

/* Blocks out of a result. */
struct postgresql_blocks {
    struct overview_blocks base;
    struct postgresql_reader *reader;
    const PGresult *result;
    int row;
    bool cut; /* there may be more than what was asked for */
    bool down;
    int64_t first, last; /* keys wanted */
};

static int
blocks_open(struct overview_blocks *base, int64_t first, int64_t last,
            bool down)
{
    struct postgresql_blocks *blocks = (struct postgresql_blocks *)base;

    blocks->first = first;
    blocks->last = last;
    blocks->down = down;
    blocks->row = 0;
    return 0;
}

/* No row is left: where would the next one be? */
static void
blocks_end(struct postgresql_blocks *blocks)
{
    int64_t key;

    if (!blocks->cut)
        return;
    key = postgresql_number(blocks->result, blocks->row - 1, 0);
    if (!blocks->down && key < blocks->last)
        blocks->base.rest = overview_block_first(key + 1);
    else if (blocks->down && key > blocks->first)
        blocks->base.rest = overview_block_first(key) - 1;
}

static int
blocks_next(struct overview_blocks *base,
            struct overview_line lines[OVERVIEW_BLOCK_NUMBERS])
{
    struct postgresql_blocks *blocks = (struct postgresql_blocks *)base;
    const PGresult *result = blocks->result;
    struct buffer reason = BUFFER_EMPTY;
    int64_t key;
    int count;

    do {
        if (blocks->row == PQntuples(result)) {
            blocks_end(blocks);
            return 0;
        }
        key = postgresql_number(result, blocks->row, 0);
        if (!blocks->down && key > blocks->last)
            return 0;
        blocks->row++;
    } while (blocks->down && key > blocks->last);
    count = overview_block_read(
        lines, overview_block_first(key),
        PQgetvalue(result, blocks->row - 1, 1),
        (size_t)PQgetlength(result, blocks->row - 1, 1), &reason);
    if (count <= 0) {
        warn("overview: block %lld is damaged: %s", (long long)key,
             buffer_text(&reason));
        count = -1;
    }
    buffer_free(&reason);
    return count;
}

static void
blocks_close(struct overview_blocks *blocks)
{
    (void)blocks; /* the result is its owner's */
}

static int
answer_lines(struct postgresql_reader *reader,
             const struct postgresql_request *request, const PGresult *result,
             struct overview_answer *answer)
{
    struct postgresql_blocks blocks = {
        .base = {.open = blocks_open,
                 .next = blocks_next,
                 .close = blocks_close},
        .reader = reader,
        .result = result,
        .cut = PQntuples(result) > 0
               && (size_t)PQntuples(result) == request->blocks,
    };

    return overview_answer_lines(&reader->answering, &request->query,
                                 &blocks.base, answer);
}

static void
answer_located(struct postgresql_reader *reader,
               const struct postgresql_request *request,
               const PGresult *result, struct overview_answer *answer)
{
    if (overview_answer_located(&reader->answering, &request->query, answer)
        || PQntuples(result) == 0)
        return;
    answer->status = 1;
    answer->token = postgresql_token(result, 0, 0);
    answer->arrival = postgresql_number(result, 0, 3);
}

static void
answer_since(struct postgresql_reader *reader,
             const struct postgresql_request *request, const PGresult *result,
             struct overview_answer *answer)
{
    uint64_t end = overview_answer_recent_first(&reader->answering);

    for (int i = 0; i < PQntuples(result); i++) {
        uint64_t sequence = (uint64_t)postgresql_number(result, i, 0);
        struct token token = postgresql_token(result, i, 1);

        /* Folded since: it comes from recent. */
        if (sequence >= end)
            break;
        if (!overview_answer_add_article(&reader->answering, &request->query,
                                         sequence, &token, answer))
            return;
    }
    overview_answer_since_recent(&reader->answering, &request->query, answer);
}

/* Learn how large blocks are here. */
static void
note_blocks(struct postgresql_reader *reader, const PGresult *result)
{
    for (int i = 0; i < PQntuples(result); i++)
        reader->block_octets =
            (reader->block_octets * 7 + (size_t)PQgetlength(result, i, 1)) / 8;
}

size_t
postgresql_answer_blocks(const struct postgresql_reader *reader,
                         const struct overview_query *query)
{
    size_t count = ANSWER_OCTETS / (reader->block_octets + 1) + 2;
    size_t enough = query->limit / OVERVIEW_BLOCK_NUMBERS + 2;

    if (query->question != OVERVIEW_RANGE)
        return 1;
    if (query->limit > 0 && enough < count)
        count = enough;
    return count < BLOCKS_MOST ? count : BLOCKS_MOST;
}

/* Nothing was found in the blocks that were read: go on behind them. */
static bool
request_goes_on(struct postgresql_request *request,
                const struct overview_answer *answer)
{
    if (answer->count > 0 || answer->next == 0
        || request->query.question == OVERVIEW_SINCE)
        return false;
    if (request->query.question == OVERVIEW_PREVIOUS)
        request->query.high = answer->next;
    else
        request->query.low = answer->next;
    return true;
}

int
postgresql_answer(struct postgresql_reader *reader,
                  struct postgresql_request *request, const PGresult *result,
                  struct overview_answer *answer)
{
    enum overview_question question = request->query.question;
    int status = 0;

    overview_answer_begin(&reader->answering);
    if (question == OVERVIEW_LOCATE)
        answer_located(reader, request, result, answer);
    else if (question == OVERVIEW_SINCE)
        answer_since(reader, request, result, answer);
    else
        status = answer_lines(reader, request, result, answer);
    if (question == OVERVIEW_RANGE)
        note_blocks(reader, result);
    overview_answer_finish(&reader->answering, answer);
    return status == 0 && request_goes_on(request, answer) ? 1 : status;
}

bool
postgresql_answer_now(struct postgresql_reader *reader,
                      const struct postgresql_request *request,
                      struct overview_answer *answer)
{
    const struct overview_query *query = &request->query;
    bool done;

    overview_answer_begin(&reader->answering);
    if (query->question == OVERVIEW_LOCATE)
        done = overview_answer_located(&reader->answering, query, answer);
    else
        done =
            query->question != OVERVIEW_SINCE
            && !overview_answer_needs_blocks(&reader->answering, query)
            && overview_answer_lines(&reader->answering, query, NULL, answer)
                   == 0;
    overview_answer_finish(&reader->answering, answer);
    return done;
}
