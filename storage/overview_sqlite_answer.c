#include "storage/overview_sqlite_reader.h"

#include <assert.h>
#include <string.h>

#include "lib/memory.h"
#include "storage/overview_block.h"

enum {
    /* An answer's text: what one turn of a loop copies in some 10 us. */
    ANSWER_OCTETS = 64 * 1024,
    /* OVERVIEW_SINCE, at most. */
    ANSWER_ARTICLES = 1000,
};

/* The last number whose block key can be told from that of another group. */
#define NUMBER_MAX                                                            \
    ((uint64_t)UINT32_MAX * OVERVIEW_BLOCK_NUMBERS                            \
     + (OVERVIEW_BLOCK_NUMBERS - 1))

/* Room for one more line of the answer. */
static struct overview_line *
answer_line(struct sqlite_reader *reader)
{
    if (reader->line_count == reader->line_size) {
        reader->line_size = reader->line_size * 2 + 64;
        reader->lines = xreallocarray(reader->lines, reader->line_size,
                                      sizeof(*reader->lines));
    }
    return &reader->lines[reader->line_count++];
}

/* Is there no room for a line of this many octets? */
static bool
answer_is_full(const struct sqlite_reader *reader,
               const struct overview_query *query, size_t octets)
{
    if (query->limit > 0 && reader->line_count >= query->limit)
        return true;
    return reader->line_count > 0
           && reader->text.used + octets > ANSWER_OCTETS;
}

/* Add neighbours of one block: their texts touch, so it is one copy. */
static void
answer_add_run(struct sqlite_reader *reader, const struct overview_line *lines,
               size_t count)
{
    size_t octets = 0;

    for (size_t i = 0; i < count; i++) {
        *answer_line(reader) = lines[i];
        octets += lines[i].octets;
    }
    if (count > 0)
        buffer_append(&reader->text, lines[0].text, octets);
}

static void
answer_add_recent(struct sqlite_reader *reader,
                  const struct recent_number *number)
{
    const struct recent_row *row =
        overview_recent_row(reader->recent, number->ordinal);
    size_t used = reader->text.used;

    overview_block_text(&reader->text, number->number, row->line,
                        row->line_octets);
    *answer_line(reader) = (struct overview_line){
        .number = number->number,
        .sequence = row->sequence,
        .token = row->token,
        .octets = (uint32_t)(reader->text.used - used),
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

/* The next block of a statement, taken apart.  Its lines, 0 when there is no
   further block, -1. */
static int
read_block(struct sqlite_reader *reader, enum reader_statement statement,
           struct overview_line lines[OVERVIEW_BLOCK_NUMBERS])
{
    sqlite3_stmt *blocks = reader->statements[statement];
    struct buffer reason = BUFFER_EMPTY;
    int64_t key;
    int count = sqlite_reader_step(reader, statement);

    if (count <= 0)
        return count;
    key = sqlite3_column_int64(blocks, 0);
    count = overview_block_read(
        lines, overview_block_first(key), sqlite3_column_blob(blocks, 1),
        (size_t)sqlite3_column_bytes(blocks, 1), &reason);
    if (count <= 0) {
        why_set(&reader->why, "overview: block %lld is damaged: %s",
                (long long)key, buffer_text(&reason));
        (void)sqlite3_reset(blocks);
        count = -1;
    }
    buffer_free(&reason);
    return count;
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
split_numbers(const struct sqlite_reader *reader,
              const struct overview_query *query)
{
    struct halves halves = {.low = query->low,
                            .high = query->high < NUMBER_MAX ? query->high
                                                             : NUMBER_MAX};
    size_t count;

    halves.numbers =
        overview_recent_numbers(reader->recent, query->group, &count);
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

static void
bind_keys(struct sqlite_reader *reader, enum reader_statement statement,
          uint32_t group, const struct halves *halves)
{
    sqlite3_stmt *blocks = reader->statements[statement];

    sqlite3_bind_int64(blocks, 1, overview_block_key(group, halves->low));
    sqlite3_bind_int64(blocks, 2, overview_block_key(group, halves->high));
}

/* Add what is wanted of a block.  The number that had no room, 0: all had. */
static uint64_t
answer_add_block(struct sqlite_reader *reader,
                 const struct overview_query *query,
                 const struct halves *halves,
                 const struct overview_line *lines, size_t count)
{
    size_t first = 0, end;
    size_t octets = 0;
    size_t had = reader->line_count;
    uint64_t next = 0;

    while (first < count && lines[first].number < halves->low)
        first++;
    for (end = first; end < count && lines[end].number <= halves->high;
         end++) {
        if ((query->limit > 0 && had + (end - first) >= query->limit)
            || (had + (end - first) > 0
                && reader->text.used + octets + lines[end].octets
                       > ANSWER_OCTETS)) {
            next = lines[end].number;
            break;
        }
        octets += lines[end].octets;
    }
    answer_add_run(reader, lines + first, end - first);
    return next;
}

static int
ask_range(struct sqlite_reader *reader, const struct overview_query *query,
          struct overview_answer *answer)
{
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    struct halves halves = split_numbers(reader, query);

    if (halves.blocks) {
        int count;

        bind_keys(reader, READ_BLOCKS_UP, query->group, &halves);
        while ((count = read_block(reader, READ_BLOCKS_UP, lines)) > 0) {
            answer->next =
                answer_add_block(reader, query, &halves, lines, (size_t)count);
            if (answer->next != 0)
                break;
        }
        (void)sqlite3_reset(reader->statements[READ_BLOCKS_UP]);
        if (count < 0)
            return -1;
        if (answer->next != 0)
            return 0;
    }
    for (size_t i = halves.first; i < halves.end; i++) {
        const struct recent_number *number = &halves.numbers[i];
        const struct recent_row *row =
            overview_recent_row(reader->recent, number->ordinal);

        /* 22: a number, a tab, CRLF */
        if (answer_is_full(reader, query, row->line_octets + 22)) {
            answer->next = number->number;
            break;
        }
        answer_add_recent(reader, number);
    }
    return 0;
}

static int
ask_next(struct sqlite_reader *reader, const struct overview_query *query,
         struct overview_answer *answer)
{
    struct overview_query one = *query;

    one.limit = 1;
    if (ask_range(reader, &one, answer) < 0)
        return -1;
    answer->next = 0;
    return 0;
}

static int
ask_previous(struct sqlite_reader *reader, const struct overview_query *query,
             struct overview_answer *answer)
{
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    struct halves halves = split_numbers(reader, query);
    int count;

    (void)answer;
    if (halves.first < halves.end) {
        answer_add_recent(reader, &halves.numbers[halves.end - 1]);
        return 0;
    }
    if (!halves.blocks)
        return 0;
    bind_keys(reader, READ_BLOCKS_DOWN, query->group, &halves);
    while ((count = read_block(reader, READ_BLOCKS_DOWN, lines)) > 0) {
        while (count > 0 && lines[count - 1].number > halves.high)
            count--;
        if (count > 0) {
            if (lines[count - 1].number >= halves.low)
                answer_add_run(reader, &lines[count - 1], 1);
            break;
        }
    }
    (void)sqlite3_reset(reader->statements[READ_BLOCKS_DOWN]);
    return count < 0 ? -1 : 0;
}

static int
ask_locate(struct sqlite_reader *reader, const struct overview_query *query,
           struct overview_answer *answer)
{
    sqlite3_stmt *article = reader->statements[READ_ARTICLE];
    size_t count;
    const struct recent_row *row =
        overview_recent_since(reader->recent, query->low, &count);
    int found;

    if (count > 0 && row->sequence == query->low) {
        answer->status = row->line != NULL;
        answer->token = row->token;
        answer->arrival = row->arrival;
        return 0;
    }
    sqlite_bind(article, 1, query->low);
    found = sqlite_reader_step(reader, READ_ARTICLE);
    if (found <= 0)
        return found;
    answer->status = 1;
    answer->token = sqlite_token(article, 0);
    answer->arrival = sqlite3_column_int64(article, 3);
    (void)sqlite3_reset(article);
    return 0;
}

static void
bind_articles(struct sqlite_reader *reader, uint64_t low, uint64_t high,
              uint64_t limit)
{
    sqlite3_stmt *articles = reader->statements[READ_ARTICLES];

    sqlite_bind(articles, 1, low);
    sqlite_bind(articles, 2, high);
    sqlite_bind(articles, 3, limit);
}

/*
 * The first sequence from low on that arrived at or after `since`, among the
 * folded articles up to high; above high when there is none.  Arrival never
 * goes back, so it is found by halving.
 */
static int
find_since(struct sqlite_reader *reader, uint64_t *low, uint64_t high,
           int64_t since)
{
    sqlite3_stmt *articles = reader->statements[READ_ARTICLES];
    uint64_t end = high + 1; /* all from here on arrived late enough */

    /* Who goes on from an answer's next is there already. */
    for (uint64_t middle = *low; *low < end;
         middle = *low + (end - *low) / 2) {
        uint64_t sequence = 0;
        int64_t arrival = 0;
        int found;

        bind_articles(reader, middle, high, 1);
        found = sqlite_reader_step(reader, READ_ARTICLES);
        if (found < 0)
            return -1;
        if (found > 0) {
            sequence = sqlite_number(articles, 0);
            arrival = sqlite3_column_int64(articles, 1);
            (void)sqlite3_reset(articles);
        }
        if (found > 0 && arrival < since)
            *low = sequence + 1;
        else
            end = middle;
    }
    return 0;
}

static void
answer_add_article(struct sqlite_reader *reader, uint64_t sequence,
                   const struct token *token)
{
    *answer_line(reader) =
        (struct overview_line){.sequence = sequence, .token = *token};
}

/* The part of OVERVIEW_SINCE that is folded.  A row goes from recent to
   article within one transaction: none is in both. */
static int
since_folded(struct sqlite_reader *reader, const struct overview_query *query,
             size_t limit, struct overview_answer *answer)
{
    sqlite3_stmt *articles = reader->statements[READ_ARTICLES];
    uint64_t low = query->low, last;
    int result;

    if (sqlite_reader_number(reader, READ_LAST_ARTICLE, 0, &last) < 0)
        return -1;
    if (low > last)
        return 0;
    if (find_since(reader, &low, last, query->since) < 0)
        return -1;
    bind_articles(reader, low, last, limit + 1);
    while ((result = sqlite_reader_step(reader, READ_ARTICLES)) > 0) {
        struct token token = sqlite_token(articles, 2);
        uint64_t sequence = sqlite_number(articles, 0);

        if (reader->line_count == limit) {
            answer->next = sequence;
            break;
        }
        answer_add_article(reader, sequence, &token);
    }
    (void)sqlite3_reset(articles);
    return result < 0 ? -1 : 0;
}

static int
ask_since(struct sqlite_reader *reader, const struct overview_query *query,
          struct overview_answer *answer)
{
    size_t limit = query->limit > 0 && query->limit < ANSWER_ARTICLES
                       ? query->limit
                       : ANSWER_ARTICLES;
    size_t count;
    const struct recent_row *row;

    if (since_folded(reader, query, limit, answer) < 0)
        return -1;
    if (answer->next != 0)
        return 0;
    row = overview_recent_since(reader->recent, query->low, &count);
    for (; count > 0; count--, row++) {
        if (row->line == NULL || row->arrival < query->since)
            continue;
        if (reader->line_count == limit) {
            answer->next = row->sequence;
            break;
        }
        answer_add_article(reader, row->sequence, &row->token);
    }
    return 0;
}

typedef int ask_func(struct sqlite_reader *reader,
                     const struct overview_query *query,
                     struct overview_answer *answer);

static ask_func *const questions[] = {
    [OVERVIEW_RANGE] = ask_range,       [OVERVIEW_NEXT] = ask_next,
    [OVERVIEW_PREVIOUS] = ask_previous, [OVERVIEW_LOCATE] = ask_locate,
    [OVERVIEW_SINCE] = ask_since,
};

/* Give the lines their texts, which lie one behind the other. */
static void
answer_finish(struct sqlite_reader *reader, struct overview_answer *answer)
{
    const char *text = buffer_text(&reader->text);

    for (size_t i = 0; i < reader->line_count; i++) {
        reader->lines[i].text = text;
        text += reader->lines[i].octets;
    }
    answer->lines = reader->lines;
    answer->count = reader->line_count;
    if (reader->line_count > 0)
        answer->status = 1;
}

int
sqlite_reader_answer(struct sqlite_reader *reader,
                     const struct overview_query *query,
                     struct overview_answer *answer)
{
    assert(query->question < sizeof(questions) / sizeof(questions[0]));
    reader->line_count = 0;
    buffer_clear(&reader->text);
    if (questions[query->question](reader, query, answer) < 0)
        return -1;
    answer_finish(reader, answer);
    return 0;
}
