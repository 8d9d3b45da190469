#include "storage/overview_sqlite_reader.h"

#include <assert.h>

#include "storage/active.h"

/* --- blocks --- */

struct sqlite_blocks {
    struct overview_blocks base;
    struct sqlite_reader *reader;
    enum reader_statement statement;
    bool keeps; /* what is read may be asked for again */
};

static int
blocks_open(struct overview_blocks *base, int64_t first, int64_t last,
            bool down)
{
    struct sqlite_blocks *blocks = (struct sqlite_blocks *)base;
    sqlite3_stmt *statement;

    blocks->statement = down ? READ_BLOCKS_DOWN : READ_BLOCKS_UP;
    statement = blocks->reader->statements[blocks->statement];
    sqlite_bind(statement, 1, (uint64_t)first);
    sqlite_bind(statement, 2, (uint64_t)last);
    return 0;
}

static int
blocks_next(struct overview_blocks *base,
            struct overview_line lines[OVERVIEW_BLOCK_NUMBERS])
{
    struct sqlite_blocks *blocks = (struct sqlite_blocks *)base;
    struct sqlite_reader *reader = blocks->reader;
    sqlite3_stmt *row = reader->statements[blocks->statement];
    struct buffer reason = BUFFER_EMPTY;
    int64_t key;
    int count = sqlite_reader_step(reader, blocks->statement);

    if (count <= 0)
        return count;
    key = sqlite3_column_int64(row, 0);
    count = overview_block_read(lines, overview_block_first(key),
                                sqlite3_column_blob(row, 1),
                                (size_t)sqlite3_column_bytes(row, 1), &reason);
    if (count <= 0) {
        why_set(&reader->why, "overview: block %lld is damaged: %s",
                (long long)key, buffer_text(&reason));
        count = -1;
    } else if (blocks->keeps) {
        overview_cache_put(reader->cache, key, reader->removals,
                           sqlite3_column_blob(row, 1),
                           (size_t)sqlite3_column_bytes(row, 1));
    }
    buffer_free(&reason);
    return count;
}

static void
blocks_close(struct overview_blocks *base)
{
    struct sqlite_blocks *blocks = (struct sqlite_blocks *)base;

    (void)sqlite3_reset(blocks->reader->statements[blocks->statement]);
}

static bool
asks_for_one(const struct overview_query *query)
{
    return query->question == OVERVIEW_RANGE && query->low == query->high;
}

static int
ask_lines(struct sqlite_reader *reader, const struct overview_query *query,
          struct overview_answer *answer)
{
    struct sqlite_blocks blocks = {
        .base = {.open = blocks_open,
                 .next = blocks_next,
                 .close = blocks_close},
        .reader = reader,
        .keeps = asks_for_one(query),
    };

    return overview_answer_lines(&reader->answering, query, &blocks.base,
                                 answer);
}

/* --- articles by sequence --- */

static int
ask_locate(struct sqlite_reader *reader, const struct overview_query *query,
           struct overview_answer *answer)
{
    sqlite3_stmt *article = reader->statements[READ_ARTICLE];
    int found;

    if (overview_answer_located(&reader->answering, query, answer))
        return 0;
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

/* The part of OVERVIEW_SINCE that is folded.  A row goes from recent to
   article within one transaction: none is in both. */
static int
since_folded(struct sqlite_reader *reader, const struct overview_query *query,
             struct overview_answer *answer)
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
    bind_articles(reader, low, last, overview_answer_articles(query) + 1);
    while ((result = sqlite_reader_step(reader, READ_ARTICLES)) > 0) {
        struct token token = sqlite_token(articles, 2);
        uint64_t sequence = sqlite_number(articles, 0);

        if (!overview_answer_add_article(&reader->answering, query, sequence,
                                         &token, answer))
            break;
    }
    (void)sqlite3_reset(articles);
    return result < 0 ? -1 : 0;
}

static int
ask_since(struct sqlite_reader *reader, const struct overview_query *query,
          struct overview_answer *answer)
{
    if (since_folded(reader, query, answer) < 0)
        return -1;
    if (answer->next == 0)
        overview_answer_since_recent(&reader->answering, query, answer);
    return 0;
}

/* --- any question --- */

typedef int ask_func(struct sqlite_reader *reader,
                     const struct overview_query *query,
                     struct overview_answer *answer);

static ask_func *const questions[] = {
    [OVERVIEW_RANGE] = ask_lines,    [OVERVIEW_NEXT] = ask_lines,
    [OVERVIEW_PREVIOUS] = ask_lines, [OVERVIEW_LOCATE] = ask_locate,
    [OVERVIEW_SINCE] = ask_since,
};

bool
sqlite_reader_has_answer(struct sqlite_reader *reader,
                         const struct overview_query *query,
                         struct overview_answer *answer)
{
    struct overview_line line;

    if (!asks_for_one(query))
        return false;
    /* Nothing was published since recent was read: it is as good as now. */
    if (reader->loaded && reader->published == active_published(reader->active)
        && !overview_answer_needs_blocks(&reader->answering, query))
        return sqlite_reader_answer(reader, query, answer) == 0;
    if (!overview_cache_find(reader->cache, query->group, query->low, &line))
        return false;
    overview_answer_begin(&reader->answering);
    overview_answer_add(&reader->answering, &line);
    overview_answer_finish(&reader->answering, answer);
    return true;
}

int
sqlite_reader_answer(struct sqlite_reader *reader,
                     const struct overview_query *query,
                     struct overview_answer *answer)
{
    assert(query->question < sizeof(questions) / sizeof(questions[0]));
    overview_answer_begin(&reader->answering);
    if (questions[query->question](reader, query, answer) < 0)
        return -1;
    overview_answer_finish(&reader->answering, answer);
    return 0;
}
