#include "storage/overview_sqlite.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/overview_block.h"
#include "storage/overview_recent.h"

enum {
    /* An answer's text: what one turn of a loop copies in some 10 us. */
    ANSWER_OCTETS = 64 * 1024,
    /* OVERVIEW_SINCE without a limit. */
    ANSWER_ARTICLES = 1000,
    /* The writer's recovery is all that ever makes a reader wait. */
    READER_BUSY_MS = 100,
    /* Rows of meta and schema we understand: as in overview_sqlite.c. */
    READER_SCHEMA_VERSION = 1,
};

/* The last number whose block key can be told from that of another group. */
#define NUMBER_MAX                                                            \
    ((uint64_t) UINT32_MAX * OVERVIEW_BLOCK_NUMBERS                           \
     + (OVERVIEW_BLOCK_NUMBERS - 1))

static const char reader_pragmas[] = "PRAGMA mmap_size = 0;"
                                     "PRAGMA query_only = ON;"
                                     "PRAGMA trusted_schema = OFF;"
                                     "PRAGMA cache_size = -8192;";

enum reader_statement {
    READ_BEGIN,
    READ_END,
    READ_VERSION,
    READ_FIRST_RECENT,
    READ_RECENT,
    READ_LAST_REMOVED,
    READ_REMOVED,
    READ_BLOCKS_UP,
    READ_BLOCKS_DOWN,
    READ_ARTICLE,
    READ_ARTICLES,
    READ_LAST_ARTICLE,
    READ_COUNT
};

static const char *const reader_sql[READ_COUNT] = {
    [READ_BEGIN] = "BEGIN",
    [READ_END] = "COMMIT",
    [READ_VERSION] = "SELECT value FROM meta WHERE key = 'version'",
    [READ_FIRST_RECENT] = "SELECT min(sequence) FROM recent",
    [READ_RECENT]
    = "SELECT sequence, arrival, segment, position, octets, numbers, line"
      " FROM recent WHERE sequence > ?1 ORDER BY sequence",
    [READ_LAST_REMOVED] = "SELECT coalesce(max(id), 0) FROM removed",
    [READ_REMOVED] = "SELECT id, sequence, last, numbers FROM removed"
                     " WHERE id > ?1 ORDER BY id",
    [READ_BLOCKS_UP]
    = "SELECT key, data FROM block WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
    [READ_BLOCKS_DOWN] = "SELECT key, data FROM block"
                         " WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC",
    [READ_ARTICLE] = "SELECT segment, position, octets, arrival FROM article"
                     " WHERE sequence = ?1",
    [READ_ARTICLES]
    = "SELECT sequence, arrival, segment, position, octets FROM article"
      " WHERE sequence BETWEEN ?1 AND ?2 ORDER BY sequence LIMIT ?3",
    [READ_LAST_ARTICLE] = "SELECT coalesce(max(sequence), 0) FROM article",
};

struct sqlite_reader {
    struct overview_reader base;
    const struct active *active;
    struct buffer file;
    sqlite3 *db; /* NULL: to be opened at the next question */
    sqlite3_stmt *statements[READ_COUNT];
    dev_t device; /* of the file that is open: a damaged one is replaced */
    ino_t inode;
    bool in_transaction;
    /* The counters of active, read just before the transaction began. */
    uint64_t committed;
    uint64_t removals;
    /* recent as of the transaction. */
    struct overview_recent *recent;
    bool loaded;
    uint64_t last;         /* sequence of the last row ever read */
    uint64_t last_removed; /* id */
    /* The answer being made: every text touches the next. */
    struct overview_line *lines;
    size_t line_count;
    size_t line_size;
    struct buffer text;
    struct buffer list;
    struct buffer why;
    uint64_t failures;
};

static struct sqlite_reader *
sqlite_reader(struct overview_reader *reader)
{
    return (struct sqlite_reader *) reader;
}

/* --- the connection --- */

/* 1 a row, 0 none (reset then), -1 with the reason in reader->why. */
static int
reader_step(struct sqlite_reader *reader, enum reader_statement statement)
{
    sqlite3_stmt *prepared = reader->statements[statement];
    int result = sqlite3_step(prepared);

    if (result == SQLITE_ROW)
        return 1;
    if (result != SQLITE_DONE)
        sqlite_why(reader->db, &reader->why, reader_sql[statement]);
    (void) sqlite3_reset(prepared); /* says the same once more */
    return result == SQLITE_DONE ? 0 : -1;
}

/* The one number that a statement gives. */
static int
reader_number(struct sqlite_reader *reader, enum reader_statement statement,
              uint64_t missing, uint64_t *number_r)
{
    sqlite3_stmt *prepared = reader->statements[statement];
    int found = reader_step(reader, statement);

    if (found < 0)
        return -1;
    *number_r = missing;
    if (found > 0 && sqlite3_column_type(prepared, 0) != SQLITE_NULL)
        *number_r = sqlite_number(prepared, 0);
    (void) sqlite3_reset(prepared);
    return 0;
}

static void
reader_forget_recent(struct sqlite_reader *reader)
{
    overview_recent_free(&reader->recent);
    reader->recent = overview_recent_new();
    reader->loaded = false;
    reader->last = 0;
}

static void
reader_disconnect(struct sqlite_reader *reader)
{
    sqlite_finalize(reader->statements, READ_COUNT);
    if (sqlite3_close(reader->db) != SQLITE_OK)
        warn("overview: %s cannot be closed", buffer_text(&reader->file));
    reader->db = NULL;
    reader->in_transaction = false;
    reader_forget_recent(reader);
}

static int
reader_connect(struct sqlite_reader *reader)
{
    const char *file = buffer_text(&reader->file);
    uint64_t version;
    struct stat status;

    if (stat(file, &status) < 0)
        return why_set_errno(&reader->why, "%s", file);
    reader->device = status.st_dev;
    reader->inode = status.st_ino;
    if (sqlite3_open_v2(file, &reader->db,
                        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL)
        != SQLITE_OK)
        return sqlite_why(reader->db, &reader->why, file);
    sqlite3_extended_result_codes(reader->db, 1);
    sqlite3_busy_timeout(reader->db, READER_BUSY_MS);
    if (sqlite3_exec(reader->db, reader_pragmas, NULL, NULL, NULL)
        != SQLITE_OK)
        return sqlite_why(reader->db, &reader->why, file);
    if (sqlite_prepare(reader->db, reader_sql, reader->statements, READ_COUNT,
                       &reader->why)
            < 0
        || reader_number(reader, READ_VERSION, 0, &version) < 0)
        return -1;
    if (version != READER_SCHEMA_VERSION)
        return why_set(&reader->why,
                       "%s has version %llu of the tables, this program has"
                       " %d",
                       file, (unsigned long long) version,
                       (int) READER_SCHEMA_VERSION);
    return 0;
}

/* Has the writer moved the file aside and made another? */
static bool
reader_file_changed(const struct sqlite_reader *reader)
{
    struct stat status;

    return stat(buffer_text(&reader->file), &status) < 0
           || status.st_dev != reader->device
           || status.st_ino != reader->inode;
}

/* --- recent --- */

static int
read_recent(struct sqlite_reader *reader)
{
    sqlite3_stmt *rows = reader->statements[READ_RECENT];
    int result;

    sqlite_bind(rows, 1, reader->last);
    while ((result = reader_step(reader, READ_RECENT)) > 0) {
        struct recent_row row = {
            .sequence = sqlite_number(rows, 0),
            .arrival = sqlite3_column_int64(rows, 1),
            .token = sqlite_token(rows, 2),
            .line = sqlite3_column_blob(rows, 6),
            .line_octets = (uint32_t) sqlite3_column_bytes(rows, 6),
        };
        int count = sqlite_groups(rows, 5, &reader->list, &row.groups);

        if (count < 0) {
            (void) sqlite3_reset(rows);
            return why_set(&reader->why,
                           "overview: the groups of %llu in recent are"
                           " damaged",
                           (unsigned long long) row.sequence);
        }
        row.group_count = (uint32_t) count;
        if (row.line == NULL) /* SQLite's spelling of an empty blob */
            row.line = "";
        overview_recent_add(reader->recent, &row);
        reader->last = row.sequence;
    }
    return result;
}

/* Take out what left recent other than by folding.  When so much did that the
   list of it has been cut, all of recent is read again. */
static int
read_removed(struct sqlite_reader *reader)
{
    sqlite3_stmt *rows = reader->statements[READ_REMOVED];
    int result;

    sqlite_bind(rows, 1, reader->last_removed);
    while ((result = reader_step(reader, READ_REMOVED)) > 0) {
        uint64_t id = sqlite_number(rows, 0);
        const struct record_group *groups;
        int count = sqlite_groups(rows, 3, &reader->list, &groups);

        if (id > reader->last_removed + 1 || count < 0) {
            (void) sqlite3_reset(rows);
            reader_forget_recent(reader);
            return reader_number(reader, READ_LAST_REMOVED, 0,
                                 &reader->last_removed);
        }
        overview_recent_remove(reader->recent, sqlite_number(rows, 1), groups,
                               (size_t) count,
                               sqlite3_column_int(rows, 2) != 0);
        reader->last_removed = id;
    }
    return result;
}

/*
 * Bring memory to the moment of the transaction that has just begun.  What is
 * no longer in recent has been folded, and is in the blocks.
 */
static int
reader_refresh(struct sqlite_reader *reader, uint64_t committed,
               uint64_t removals)
{
    uint64_t first;

    if (reader_number(reader, READ_FIRST_RECENT, UINT64_MAX, &first) < 0)
        return -1;
    if (!reader->loaded) {
        if (reader_number(reader, READ_LAST_REMOVED, 0, &reader->last_removed)
            < 0)
            return -1;
    } else if (removals != reader->removals) {
        if (read_removed(reader) < 0)
            return -1;
    }
    overview_recent_drop_below(reader->recent, first);
    if (!reader->loaded || committed != reader->committed)
        if (read_recent(reader) < 0)
            return -1;
    reader->loaded = true;
    reader->committed = committed;
    reader->removals = removals;
    return 0;
}

static int
reader_end(struct sqlite_reader *reader)
{
    if (!reader->in_transaction)
        return 0;
    reader->in_transaction = false;
    return reader_step(reader, READ_END);
}

/* A read transaction that has all that is committed now. */
static int
reader_begin(struct sqlite_reader *reader)
{
    /* Before the transaction: it may be newer than the counters, never
       older. */
    uint64_t committed = active_committed(reader->active);
    uint64_t removals = active_removals(reader->active);

    if (reader->in_transaction && committed == reader->committed
        && removals == reader->removals)
        return 0;
    if (reader_end(reader) < 0)
        return -1;
    if (reader->db != NULL && reader_file_changed(reader))
        reader_disconnect(reader);
    if (reader->db == NULL && reader_connect(reader) < 0)
        return -1;
    if (reader_step(reader, READ_BEGIN) < 0)
        return -1;
    reader->in_transaction = true;
    return reader_refresh(reader, committed, removals);
}

/* --- answers --- */

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
answer_add_run(struct sqlite_reader *reader,
               const struct overview_line *lines, size_t count)
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
    const struct recent_row *row
        = overview_recent_row(reader->recent, number->ordinal);
    size_t used = reader->text.used;

    overview_block_text(&reader->text, number->number, row->line,
                        row->line_octets);
    *answer_line(reader) = (struct overview_line){
        .number = number->number,
        .sequence = row->sequence,
        .token = row->token,
        .octets = (uint32_t) (reader->text.used - used),
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
    int count = reader_step(reader, statement);

    if (count <= 0)
        return count;
    key = sqlite3_column_int64(blocks, 0);
    count = overview_block_read(lines, overview_block_first(key),
                                sqlite3_column_blob(blocks, 1),
                                (size_t) sqlite3_column_bytes(blocks, 1),
                                &reason);
    if (count <= 0) {
        why_set(&reader->why, "overview: block %lld is damaged: %s",
                (long long) key, buffer_text(&reason));
        (void) sqlite3_reset(blocks);
        count = -1;
    }
    buffer_free(&reason);
    return count;
}

/* What of a question's numbers lies in blocks, and what in recent. */
struct halves {
    uint64_t low;
    uint64_t high;       /* the last number to take from blocks */
    bool blocks;         /* is there anything to take from them */
    const struct recent_number *numbers; /* of the group */
    size_t first;        /* of them, the first wanted */
    size_t end;          /* of them, behind the last wanted */
};

/*
 * A group's first number in recent parts them: during a fold, and after one
 * that was cut short, the blocks have some of the numbers behind it too.
 */
static struct halves
split_numbers(const struct sqlite_reader *reader,
              const struct overview_query *query)
{
    struct halves halves
        = {.low = query->low,
           .high = query->high < NUMBER_MAX ? query->high : NUMBER_MAX};
    size_t count;

    halves.numbers
        = overview_recent_numbers(reader->recent, query->group, &count);
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
            answer->next = answer_add_block(reader, query, &halves, lines,
                                            (size_t) count);
            if (answer->next != 0)
                break;
        }
        (void) sqlite3_reset(reader->statements[READ_BLOCKS_UP]);
        if (count < 0)
            return -1;
        if (answer->next != 0)
            return 0;
    }
    for (size_t i = halves.first; i < halves.end; i++) {
        const struct recent_number *number = &halves.numbers[i];
        const struct recent_row *row
            = overview_recent_row(reader->recent, number->ordinal);

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
ask_previous(struct sqlite_reader *reader,
             const struct overview_query *query,
             struct overview_answer *answer)
{
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    struct halves halves = split_numbers(reader, query);
    int count;

    (void) answer;
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
    (void) sqlite3_reset(reader->statements[READ_BLOCKS_DOWN]);
    return count < 0 ? -1 : 0;
}

static int
ask_locate(struct sqlite_reader *reader, const struct overview_query *query,
           struct overview_answer *answer)
{
    sqlite3_stmt *article = reader->statements[READ_ARTICLE];
    size_t count;
    const struct recent_row *row
        = overview_recent_since(reader->recent, query->low, &count);
    int found;

    if (count > 0 && row->sequence == query->low) {
        answer->status = row->line != NULL;
        answer->token = row->token;
        answer->arrival = row->arrival;
        return 0;
    }
    sqlite_bind(article, 1, query->low);
    found = reader_step(reader, READ_ARTICLE);
    if (found <= 0)
        return found;
    answer->status = 1;
    answer->token = sqlite_token(article, 0);
    answer->arrival = sqlite3_column_int64(article, 3);
    (void) sqlite3_reset(article);
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
        found = reader_step(reader, READ_ARTICLES);
        if (found < 0)
            return -1;
        if (found > 0) {
            sequence = sqlite_number(articles, 0);
            arrival = sqlite3_column_int64(articles, 1);
            (void) sqlite3_reset(articles);
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
    *answer_line(reader)
        = (struct overview_line){.sequence = sequence, .token = *token};
}

/* The part of OVERVIEW_SINCE that is folded, below sequence end. */
static int
since_folded(struct sqlite_reader *reader, const struct overview_query *query,
             size_t limit, uint64_t end, struct overview_answer *answer)
{
    sqlite3_stmt *articles = reader->statements[READ_ARTICLES];
    uint64_t low = query->low, last;
    int result;

    if (reader_number(reader, READ_LAST_ARTICLE, 0, &last) < 0)
        return -1;
    if (last >= end)
        last = end - 1;
    if (low > last)
        return 0;
    if (find_since(reader, &low, last, query->since) < 0)
        return -1;
    bind_articles(reader, low, last, limit + 1);
    while ((result = reader_step(reader, READ_ARTICLES)) > 0) {
        struct token token = sqlite_token(articles, 2);
        uint64_t sequence = sqlite_number(articles, 0);

        if (reader->line_count == limit) {
            answer->next = sequence;
            break;
        }
        answer_add_article(reader, sequence, &token);
    }
    (void) sqlite3_reset(articles);
    return result < 0 ? -1 : 0;
}

static int
ask_since(struct sqlite_reader *reader, const struct overview_query *query,
          struct overview_answer *answer)
{
    size_t limit = query->limit > 0 && query->limit < ANSWER_ARTICLES
                       ? query->limit
                       : ANSWER_ARTICLES;
    size_t all, count;
    const struct recent_row *first
        = overview_recent_since(reader->recent, 0, &all);
    const struct recent_row *row;

    /* A fold under way has put some rows into article already: recent has
       them from its first row on. */
    if (since_folded(reader, query, limit,
                     all > 0 ? first->sequence : (uint64_t) INT64_MAX, answer)
        < 0)
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

/* A fault that lasts is logged at its first, second, fourth, eighth time. */
static void
log_failure(struct sqlite_reader *reader)
{
    uint64_t times = ++reader->failures;

    if ((times & (times - 1)) == 0)
        warn("overview: cannot be read: %s times=%llu",
             buffer_text(&reader->why), (unsigned long long) times);
}

struct overview_request *
sqlite_ask(struct overview_reader *base, const struct overview_query *query,
           overview_done_func *done, void *context)
{
    struct sqlite_reader *reader = sqlite_reader(base);
    struct overview_answer answer = {0};

    reader->line_count = 0;
    buffer_clear(&reader->text);
    assert(query->question < sizeof(questions) / sizeof(questions[0]));
    if (reader_begin(reader) < 0
        || questions[query->question](reader, query, &answer) < 0) {
        log_failure(reader);
        /* Whatever it was, the next question begins with a new connection. */
        reader_disconnect(reader);
        answer = (struct overview_answer){.status = -1};
    } else {
        answer_finish(reader, &answer);
    }
    done(context, &answer);
    return NULL;
}

void
sqlite_forget(struct overview_request *request)
{
    (void) request;
    assert(!"a request of SQLite's, which answers at once and gives none");
}

void
sqlite_turn_ended(struct overview_reader *base)
{
    struct sqlite_reader *reader = sqlite_reader(base);

    if (reader_end(reader) < 0) {
        log_failure(reader);
        reader_disconnect(reader);
    }
}

void
sqlite_reader_close(struct overview_reader *base)
{
    struct sqlite_reader *reader = sqlite_reader(base);

    reader_disconnect(reader);
    overview_recent_free(&reader->recent);
    buffer_free(&reader->file);
    buffer_free(&reader->text);
    buffer_free(&reader->list);
    buffer_free(&reader->why);
    free(reader->lines);
    free(reader);
}

struct overview_reader *
sqlite_reader_open(const char *url, const char *path,
                   const struct active *active, struct event_base *base,
                   struct buffer *why)
{
    struct sqlite_reader *reader = xcalloc(1, sizeof(*reader));
    struct stat status;

    (void) url;  /* "sqlite" says it all */
    (void) base; /* answers come at once */
    reader->base.ops = &overview_sqlite;
    reader->active = active;
    sqlite_file(&reader->file, path);
    reader_forget_recent(reader);
    /* The file may not be there before the first writer was: only the
       directory must be.  The first question opens it. */
    if (stat(path, &status) < 0) {
        why_set_errno(why, "overview: cannot read directory %s", path);
        sqlite_reader_close(&reader->base);
        return NULL;
    }
    return &reader->base;
}
