#include "storage/overview_answer.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

enum {
    /* An answer's text: what one turn of a loop copies in some 10 us. */
    ANSWER_OCTETS = 64 * 1024,
    /* What a line of recent gets besides: a number, a tab, CRLF. */
    LINE_MORE_OCTETS = 23,
};

/* The last number whose block key can be told from that of another group. */
#define NUMBER_MAX                                                            \
    ((uint64_t)UINT32_MAX * OVERVIEW_BLOCK_NUMBERS                            \
     + (OVERVIEW_BLOCK_NUMBERS - 1))

/* Room for one more line of the answer. */
static struct overview_line *
answer_line(struct overview_answering *answering)
{
    if (answering->line_count == answering->line_size) {
        answering->line_size = answering->line_size * 2 + 64;
        answering->lines = xreallocarray(
            answering->lines, answering->line_size, sizeof(*answering->lines));
    }
    return &answering->lines[answering->line_count++];
}

/* Is there no room for a line of this many octets? */
static bool
answer_is_full(const struct overview_answering *answering,
               const struct overview_query *query, size_t octets)
{
    if (query->limit > 0 && answering->line_count >= query->limit)
        return true;
    return answering->line_count > 0
           && answering->text.used + octets > ANSWER_OCTETS;
}

/* Add neighbours of one block: their texts touch, so it is one copy. */
static void
answer_add_run(struct overview_answering *answering,
               const struct overview_line *lines, size_t count)
{
    size_t octets = 0;

    for (size_t i = 0; i < count; i++) {
        *answer_line(answering) = lines[i];
        octets += lines[i].octets;
    }
    if (count > 0)
        buffer_append(&answering->text, lines[0].text, octets);
}

static void
answer_add_recent(struct overview_answering *answering,
                  const struct recent_number *number)
{
    const struct recent_row *row =
        overview_recent_row(answering->recent, number->ordinal);
    size_t used = answering->text.used;

    overview_block_text(&answering->text, number->number, row->line,
                        row->line_octets);
    *answer_line(answering) = (struct overview_line){
        .number = number->number,
        .sequence = row->sequence,
        .token = row->token,
        .octets = (uint32_t)(answering->text.used - used),
    };
}

/* The first of numbers that is at least this one. */
static size_t
numbers_from(const struct recent_number *numbers, size_t count,
             uint64_t number)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (numbers[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What of a question's numbers lies in blocks, and what in recent. */
struct halves {
    uint64_t low;
    uint64_t high; /* the last number to take from blocks */
    bool blocks;   /* is there anything to take from them */
    const struct recent_number *numbers; /* of the group */
    size_t first;                        /* of them, the first wanted */
    size_t end;                          /* of them, behind the last wanted */
};

/*
 * A group's first number in recent parts them: during a fold, and after one
 * that was cut short, the blocks have some of the numbers behind it too.
 */
static struct halves
split_numbers(const struct overview_answering *answering,
              const struct overview_query *query)
{
    struct halves halves = {.low = query->low,
                            .high = query->high < NUMBER_MAX ? query->high
                                                             : NUMBER_MAX};
    size_t count;

    halves.numbers =
        overview_recent_numbers(answering->recent, query->group, &count);
    if (query->low > halves.high)
        return halves;
    halves.first = numbers_from(halves.numbers, count, query->low);
    halves.end = numbers_from(halves.numbers, count, halves.high + 1);
    if (count > 0 && halves.numbers[0].number <= halves.high) {
        if (halves.numbers[0].number <= halves.low)
            return halves;
        halves.high = halves.numbers[0].number - 1;
    }
    halves.blocks = true;
    return halves;
}

/* Add what is wanted of a block.  The number that had no room, 0: all had. */
static uint64_t
answer_add_block(struct overview_answering *answering,
                 const struct overview_query *query,
                 const struct halves *halves,
                 const struct overview_line *lines, size_t count)
{
    size_t first = 0, end;
    size_t octets = 0;
    size_t had = answering->line_count;
    uint64_t next = 0;

    while (first < count && lines[first].number < halves->low)
        first++;
    for (end = first; end < count && lines[end].number <= halves->high;
         end++) {
        if ((query->limit > 0 && had + (end - first) >= query->limit)
            || (had + (end - first) > 0
                && answering->text.used + octets + lines[end].octets
                       > ANSWER_OCTETS)) {
            next = lines[end].number;
            break;
        }
        octets += lines[end].octets;
    }
    answer_add_run(answering, lines + first, end - first);
    return next;
}

static int
blocks_open(struct overview_blocks *blocks, uint32_t group,
            const struct halves *halves, bool down)
{
    return blocks->open(blocks, overview_block_key(group, halves->low),
                        overview_block_key(group, halves->high), down);
}

static int
ask_range(struct overview_answering *answering,
          const struct overview_query *query, struct overview_blocks *blocks,
          struct overview_answer *answer)
{
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    struct halves halves = split_numbers(answering, query);

    if (halves.blocks) {
        int count;

        if (blocks_open(blocks, query->group, &halves, false) < 0)
            return -1;
        while ((count = blocks->next(blocks, lines)) > 0) {
            answer->next = answer_add_block(answering, query, &halves, lines,
                                            (size_t)count);
            if (answer->next != 0)
                break;
        }
        blocks->close(blocks);
        if (count < 0)
            return -1;
        if (count == 0 && blocks->rest != 0 && blocks->rest <= halves.high)
            answer->next = blocks->rest;
        if (answer->next != 0)
            return 0;
    }
    for (size_t i = halves.first; i < halves.end; i++) {
        const struct recent_number *number = &halves.numbers[i];
        const struct recent_row *row =
            overview_recent_row(answering->recent, number->ordinal);

        if (answer_is_full(answering, query,
                           row->line_octets + LINE_MORE_OCTETS)) {
            answer->next = number->number;
            break;
        }
        answer_add_recent(answering, number);
    }
    return 0;
}

static int
ask_next(struct overview_answering *answering,
         const struct overview_query *query, struct overview_blocks *blocks,
         struct overview_answer *answer)
{
    struct overview_query one = *query;

    one.limit = 1;
    if (ask_range(answering, &one, blocks, answer) < 0)
        return -1;
    if (answering->line_count > 0)
        answer->next = 0;
    return 0;
}

static int
ask_previous(struct overview_answering *answering,
             const struct overview_query *query,
             struct overview_blocks *blocks, struct overview_answer *answer)
{
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    struct halves halves = split_numbers(answering, query);
    int count;

    if (halves.first < halves.end) {
        answer_add_recent(answering, &halves.numbers[halves.end - 1]);
        return 0;
    }
    if (!halves.blocks)
        return 0;
    if (blocks_open(blocks, query->group, &halves, true) < 0)
        return -1;
    while ((count = blocks->next(blocks, lines)) > 0) {
        while (count > 0 && lines[count - 1].number > halves.high)
            count--;
        if (count > 0) {
            if (lines[count - 1].number >= halves.low)
                answer_add_run(answering, &lines[count - 1], 1);
            break;
        }
    }
    blocks->close(blocks);
    if (count == 0 && blocks->rest >= halves.low)
        answer->next = blocks->rest;
    return count < 0 ? -1 : 0;
}

int
overview_answer_lines(struct overview_answering *answering,
                      const struct overview_query *query,
                      struct overview_blocks *blocks,
                      struct overview_answer *answer)
{
    if (query->question == OVERVIEW_NEXT)
        return ask_next(answering, query, blocks, answer);
    if (query->question == OVERVIEW_PREVIOUS)
        return ask_previous(answering, query, blocks, answer);
    return ask_range(answering, query, blocks, answer);
}

bool
overview_answer_needs_blocks(const struct overview_answering *answering,
                             const struct overview_query *query)
{
    struct halves halves = split_numbers(answering, query);

    return halves.blocks
           && (query->question != OVERVIEW_PREVIOUS
               || halves.first == halves.end);
}

bool
overview_answer_keys(const struct overview_query *query, int64_t *first_r,
                     int64_t *last_r)
{
    uint64_t high = query->high < NUMBER_MAX ? query->high : NUMBER_MAX;

    if (query->low > high)
        return false;
    *first_r = overview_block_key(query->group, query->low);
    *last_r = overview_block_key(query->group, high);
    return true;
}

/* --- articles by sequence --- */

bool
overview_answer_located(const struct overview_answering *answering,
                        const struct overview_query *query,
                        struct overview_answer *answer)
{
    size_t count;
    const struct recent_row *row =
        overview_recent_since(answering->recent, query->low, &count);

    if (count == 0 || row->sequence != query->low)
        return false;
    answer->status = row->line != NULL;
    answer->token = row->token;
    answer->arrival = row->arrival;
    return true;
}

uint64_t
overview_answer_recent_first(const struct overview_answering *answering)
{
    size_t count;
    const struct recent_row *row =
        overview_recent_since(answering->recent, 0, &count);

    return count > 0 ? row->sequence : UINT64_MAX;
}

size_t
overview_answer_articles(const struct overview_query *query)
{
    return query->limit > 0 && query->limit < OVERVIEW_ANSWER_ARTICLES
               ? query->limit
               : OVERVIEW_ANSWER_ARTICLES;
}

bool
overview_answer_add_article(struct overview_answering *answering,
                            const struct overview_query *query,
                            uint64_t sequence, const struct token *token,
                            struct overview_answer *answer)
{
    if (answering->line_count == overview_answer_articles(query)) {
        answer->next = sequence;
        return false;
    }
    *answer_line(answering) =
        (struct overview_line){.sequence = sequence, .token = *token};
    return true;
}

void
overview_answer_since_recent(struct overview_answering *answering,
                             const struct overview_query *query,
                             struct overview_answer *answer)
{
    size_t count;
    const struct recent_row *row =
        overview_recent_since(answering->recent, query->low, &count);

    for (; count > 0; count--, row++)
        if (row->line != NULL && row->arrival >= query->since
            && !overview_answer_add_article(answering, query, row->sequence,
                                            &row->token, answer))
            return;
}

/* --- the answer --- */

void
overview_answering_free(struct overview_answering *answering)
{
    overview_recent_free(&answering->recent);
    buffer_free(&answering->text);
    free(answering->lines);
    answering->lines = NULL;
}

void
overview_answer_begin(struct overview_answering *answering)
{
    answering->line_count = 0;
    buffer_clear(&answering->text);
}

void
overview_answer_add(struct overview_answering *answering,
                    const struct overview_line *line)
{
    answer_add_run(answering, line, 1);
}

void
overview_answer_finish(struct overview_answering *answering,
                       struct overview_answer *answer)
{
    const char *text = buffer_text(&answering->text);

    for (size_t i = 0; i < answering->line_count; i++) {
        answering->lines[i].text = text;
        text += answering->lines[i].octets;
    }
    answer->lines = answering->lines;
    answer->count = answering->line_count;
    if (answering->line_count > 0)
        answer->status = 1;
}
