#include "storage/overview_sqlite.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "storage/overview_block.h"

/* A table or blob does not say what our own code would have put there. */
static int
damaged(struct sqlite_overview *overview, struct buffer *why, const char *what)
{
    sqlite_note_damage(overview);
    return why_set(why, "overview: %s is damaged: %s",
                   buffer_text(&overview->file), what);
}

/* --- what an open file holds --- */

/* One number by a statement used only now; -1 with why. */
static int
load_number(struct sqlite_overview *overview, const char *sql,
            uint64_t *number_r, struct buffer *why)
{
    sqlite3_stmt *statement = NULL;
    int status = -1;

    if (sqlite3_prepare_v2(overview->db, sql, -1, &statement, NULL)
            == SQLITE_OK
        && sqlite3_step(statement) == SQLITE_ROW) {
        *number_r = sqlite_number(statement, 0);
        status = 0;
    } else {
        sqlite_why(overview->db, why, sql);
    }
    (void)sqlite3_finalize(statement);
    return status;
}

int
sqlite_load(struct sqlite_overview *overview, struct buffer *why)
{
    sqlite3_stmt *groups = overview->statements[STATEMENT_GROUPS_FOLDED];
    uint64_t rows = 0, last = 0;
    int result;

    if (load_number(overview, "SELECT value FROM meta WHERE key = 'applied'",
                    &overview->writer.applied, why)
            < 0
        || load_number(overview,
                       "SELECT min(value) FROM meta"
                       " WHERE key IN ('applied', 'settled')",
                       &overview->writer.settled, why)
               < 0
        || load_number(overview, "SELECT count(*) FROM recent", &rows, why) < 0
        || load_number(overview,
                       "SELECT coalesce(max(sequence), 0) FROM recent", &last,
                       why)
               < 0)
        return -1;
    overview->settled_kept = overview->writer.settled;
    overview->writer.recent = rows;
    overview->writer.last_put =
        last > overview->writer.applied ? last : overview->writer.applied;
    while ((result = sqlite_step(overview, STATEMENT_GROUPS_FOLDED, why))
           > 0) {
        uint64_t group = sqlite_number(groups, 0);

        if (group <= OVERVIEW_GROUP_MAX)
            overview_writer_set_folded(&overview->writer, (uint32_t)group,
                                       sqlite_number(groups, 1));
    }
    return result;
}

/* What recent adds to the groups' rows. */
static int
count_recent(struct sqlite_overview *overview, struct overview_tally *tally,
             struct buffer *why)
{
    sqlite3_stmt *rows = overview->statements[STATEMENT_GROUPS_RECENT];
    int result;

    while ((result = sqlite_step(overview, STATEMENT_GROUPS_RECENT, why))
           > 0) {
        const struct record_group *groups;
        int count = sqlite_groups(rows, 1, &overview->text, &groups);

        if (count < 0) {
            (void)sqlite3_reset(rows);
            return damaged(overview, why, "a list of groups in recent");
        }
        overview_tally_add(tally, &overview->writer, sqlite_number(rows, 0),
                           groups, (size_t)count);
    }
    return result;
}

static struct overview_group
group_row(sqlite3_stmt *row, const struct overview_tally *tally)
{
    struct overview_group group = {
        .group = (uint32_t)sqlite_number(row, 0),
        .flag = (char)sqlite3_column_int(row, 1),
        .alias = (uint32_t)sqlite_number(row, 2),
        .created = sqlite3_column_int64(row, 3),
        .low = sqlite_number(row, 4),
        .high = sqlite_number(row, 5),
        .count = sqlite_number(row, 6),
        .name = (const char *)sqlite3_column_text(row, 7),
        .creator = (const char *)sqlite3_column_text(row, 8),
        .description = (const char *)sqlite3_column_text(row, 9),
    };

    overview_tally_apply(tally, &group);
    return group;
}

int
sqlite_overview_groups(struct overview *base, overview_group_func *func,
                       void *context, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    sqlite3_stmt *row = overview->statements[STATEMENT_GROUPS];
    struct overview_tally tally = {0};
    int result = count_recent(overview, &tally, why);

    while (result >= 0
           && (result = sqlite_step(overview, STATEMENT_GROUPS, why)) > 0) {
        struct overview_group group = group_row(row, &tally);

        if (group.name == NULL || group.creator == NULL
            || group.description == NULL) {
            result = damaged(overview, why, "a row of groups");
            break;
        }
        /* Counted, but never put: it has no name yet. */
        if (group.name[0] == '\0')
            continue;
        if (func(context, &group) < 0) {
            result = why_set(why, "group %s was not taken", group.name);
            break;
        }
    }
    (void)sqlite3_reset(row);
    overview_tally_free(&tally);
    return result;
}

/* --- putting --- */

int
sqlite_put(struct overview *base, const struct overview_entry *entries,
           size_t count, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    sqlite3_stmt *put = overview->statements[STATEMENT_PUT_RECENT];

    assert(overview->writer.in_transaction);
    for (size_t i = 0; i < count; i++) {
        const struct overview_entry *entry = &entries[i];

        assert(entry->sequence > 0 && entry->sequence <= INT64_MAX);
        /* A replay brings again what we have, perhaps folded already: a row
           in recent that is older than folded ones would hide those. */
        if (entry->sequence <= overview->writer.last_put)
            continue;
        buffer_clear(&overview->text);
        overview_groups_write(&overview->text, entry->groups,
                              entry->group_count);
        sqlite_bind(put, 1, entry->sequence);
        sqlite_bind(put, 2, (uint64_t)entry->arrival);
        sqlite_bind_token(put, 3, &entry->token);
        sqlite_bind_octets(put, 6, entry->hash.octets,
                           sizeof(entry->hash.octets));
        sqlite_bind_octets(put, 7, buffer_text(&overview->text),
                           overview->text.used);
        sqlite_bind_octets(put, 8, entry->line, entry->line_octets);
        if (sqlite_run(overview, STATEMENT_PUT_RECENT, why) < 0)
            return -1;
        overview->writer.last_put = entry->sequence;
        overview->writer.recent++;
    }
    return 0;
}

int
sqlite_put_group(struct overview *base, const struct overview_group *group,
                 struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    sqlite3_stmt *put = overview->statements[STATEMENT_PUT_GROUP];

    assert(overview->writer.in_transaction);
    sqlite_bind(put, 1, group->group);
    sqlite_bind(put, 2, (unsigned char)group->flag);
    sqlite_bind(put, 3, group->alias);
    sqlite_bind(put, 4, (uint64_t)group->created);
    sqlite_bind(put, 5, group->low);
    sqlite_bind(put, 6, group->high);
    sqlite_bind_text(put, 7, group->name);
    sqlite_bind_text(put, 8, group->creator);
    sqlite_bind_text(put, 9, group->description);
    return sqlite_run(overview, STATEMENT_PUT_GROUP, why);
}

/* --- rows --- */

static struct sqlite_overview *
sqlite_writer(struct overview_writer *writer)
{
    return (struct sqlite_overview *)writer;
}

static int64_t
load_rows(struct overview_writer *writer, uint64_t after, size_t limit,
          struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *rows = overview->statements[STATEMENT_FOLD_RECENT];
    int64_t loaded = 0;
    int result;

    sqlite_bind(rows, 1, after);
    sqlite_bind(rows, 2, limit);
    while ((result = sqlite_step(overview, STATEMENT_FOLD_RECENT, why)) > 0) {
        struct recent_row row;

        if (sqlite_recent_row(rows, &overview->text, &row) < 0) {
            (void)sqlite3_reset(rows);
            return damaged(overview, why, "a list of groups in recent");
        }
        overview_fold_add(&writer->fold, &row);
        loaded++;
    }
    return result < 0 ? -1 : loaded;
}

static void
done_block(struct overview_writer *writer)
{
    struct sqlite_overview *overview = sqlite_writer(writer);

    if (overview->reading != NULL)
        (void)sqlite3_reset(overview->reading);
    overview->reading = NULL;
}

/* The block in the first column of the row where get stands. */
static int
read_block(struct sqlite_overview *overview, sqlite3_stmt *get, int64_t key,
           struct overview_line lines[], struct buffer *why)
{
    struct buffer reason = BUFFER_EMPTY;
    int count = overview_block_read(
        lines, overview_block_first(key), sqlite3_column_blob(get, 0),
        (size_t)sqlite3_column_bytes(get, 0), &reason);

    overview->reading = get;
    if (count < 0)
        damaged(overview, why, buffer_text(&reason));
    buffer_free(&reason);
    return count;
}

static int
get_block(struct overview_writer *writer, int64_t key,
          struct overview_line lines[], struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *get = overview->statements[STATEMENT_GET_BLOCK];
    int found;

    sqlite_bind(get, 1, (uint64_t)key);
    found = sqlite_step(overview, STATEMENT_GET_BLOCK, why);
    return found <= 0 ? found : read_block(overview, get, key, lines, why);
}

static int
next_block(struct overview_writer *writer, int64_t from, int64_t to,
           int64_t *key_r, struct overview_line lines[], struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *get = overview->statements[STATEMENT_NEXT_BLOCK];
    int found;

    sqlite_bind(get, 1, (uint64_t)from);
    sqlite_bind(get, 2, (uint64_t)to);
    found = sqlite_step(overview, STATEMENT_NEXT_BLOCK, why);
    if (found <= 0)
        return found;
    *key_r = sqlite3_column_int64(get, 1);
    return read_block(overview, get, *key_r, lines, why);
}

static int
put_block(struct overview_writer *writer, int64_t key,
          const struct overview_line *lines, size_t count, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *put = overview->statements[STATEMENT_PUT_BLOCK];

    if (count == 0) {
        done_block(writer);
        sqlite_bind(overview->statements[STATEMENT_DROP_BLOCK], 1,
                    (uint64_t)key);
        return sqlite_run(overview, STATEMENT_DROP_BLOCK, why);
    }
    overview_block_write(&overview->block, lines, count);
    /* The texts may have been those of the block as it was. */
    done_block(writer);
    sqlite_bind(put, 1, (uint64_t)key);
    sqlite_bind_octets(put, 2, overview->block.data, overview->block.used);
    return sqlite_run(overview, STATEMENT_PUT_BLOCK, why);
}

static int
count_group(struct overview_writer *writer, const struct fold_count *count,
            struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *put = overview->statements[STATEMENT_FOLD_GROUP];

    sqlite_bind(put, 1, count->group);
    sqlite_bind(put, 2, count->high);
    sqlite_bind(put, 3, count->count);
    sqlite_bind(put, 4, count->folded);
    return sqlite_run(overview, STATEMENT_FOLD_GROUP, why);
}

static int
put_article(struct overview_writer *writer, const struct fold_row *row,
            struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *put = overview->statements[STATEMENT_PUT_ARTICLE];

    sqlite_bind(put, 1, row->sequence);
    sqlite_bind_token(put, 2, &row->token);
    sqlite_bind(put, 5, (uint64_t)row->arrival);
    return sqlite_run(overview, STATEMENT_PUT_ARTICLE, why);
}

static int
move_rows(struct overview_writer *writer, const struct fold_row *rows,
          size_t count, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *drop = overview->statements[STATEMENT_FOLDED_RECENT];

    for (size_t i = 0; i < count; i++)
        if (!rows[i].gone && put_article(writer, &rows[i], why) < 0)
            return -1;
    sqlite_bind(drop, 1, rows[count - 1].sequence);
    if (sqlite_run(overview, STATEMENT_FOLDED_RECENT, why) < 0)
        return -1;
    writer->recent -= (size_t)sqlite3_changes(overview->db);
    return 0;
}

static int
recent_groups(struct overview_writer *writer, uint64_t sequence,
              const struct record_group **groups_r, size_t *count_r,
              struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *get = overview->statements[STATEMENT_GET_RECENT];
    int count;

    sqlite_bind(get, 1, sequence);
    count = sqlite_step(overview, STATEMENT_GET_RECENT, why);
    if (count <= 0)
        return count;
    count = sqlite_groups(get, 0, &overview->text, groups_r);
    (void)sqlite3_reset(get);
    if (count < 0)
        return damaged(overview, why, "a list of groups in recent");
    *count_r = (size_t)count;
    return 1;
}

static int
recent_places(struct overview_writer *writer, uint64_t from, uint64_t to,
              struct overview_places *places, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *rows = overview->statements[STATEMENT_RECENT_PLACES];
    int result;

    sqlite_bind(rows, 1, from);
    sqlite_bind(rows, 2, to);
    while ((result = sqlite_step(overview, STATEMENT_RECENT_PLACES, why))
           > 0) {
        const struct record_group *groups;
        int count = sqlite_groups(rows, 1, &overview->text, &groups);

        if (count < 0) {
            (void)sqlite3_reset(rows);
            return damaged(overview, why, "a list of groups in recent");
        }
        overview_places_add(places, sqlite_number(rows, 0), groups,
                            (size_t)count);
    }
    return result;
}

static int
recent_begin(struct overview_writer *writer, uint64_t *sequence_r,
             struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *row = overview->statements[STATEMENT_RECENT_BEGIN];
    int found = sqlite_step(overview, STATEMENT_RECENT_BEGIN, why);

    if (found <= 0)
        return found;
    *sequence_r = sqlite_number(row, 0);
    (void)sqlite3_reset(row);
    return 0;
}

/* A list of groups as a statement's column. */
static void
bind_groups(struct sqlite_overview *overview, sqlite3_stmt *statement,
            int column, const struct record_group *groups, size_t count)
{
    buffer_clear(&overview->block);
    overview_groups_write(&overview->block, groups, count);
    sqlite_bind_octets(statement, column, buffer_text(&overview->block),
                       overview->block.used);
}

static int
set_recent(struct overview_writer *writer, uint64_t sequence,
           const struct record_group *groups, size_t count, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *set = overview->statements[STATEMENT_SET_RECENT];

    sqlite_bind(set, 1, sequence);
    bind_groups(overview, set, 2, groups, count);
    return sqlite_run(overview, STATEMENT_SET_RECENT, why);
}

static int
note_removed(struct overview_writer *writer, uint64_t sequence,
             const struct record_group *groups, size_t count, bool last,
             struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *note = overview->statements[STATEMENT_NOTE_REMOVED];

    sqlite_bind(note, 1, sequence);
    sqlite_bind(note, 2, last);
    bind_groups(overview, note, 3, groups, count);
    return sqlite_run(overview, STATEMENT_NOTE_REMOVED, why);
}

/* A statement that has one number. */
static int
run_with(struct overview_writer *writer, enum statement statement,
         uint64_t number, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);

    sqlite_bind(overview->statements[statement], 1, number);
    return sqlite_run(overview, statement, why);
}

static int
drop_recent(struct overview_writer *writer, uint64_t sequence,
            struct buffer *why)
{
    return run_with(writer, STATEMENT_DROP_RECENT, sequence, why);
}

/* A statement that has two. */
static int
run_with_two(struct overview_writer *writer, enum statement statement,
             uint64_t first, uint64_t second, struct buffer *why)
{
    sqlite_bind(sqlite_writer(writer)->statements[statement], 2, second);
    return run_with(writer, statement, first, why);
}

static int
less_group(struct overview_writer *writer, uint32_t group, uint64_t count,
           struct buffer *why)
{
    return run_with_two(writer, STATEMENT_LESS_GROUP, group, count, why);
}

static int
drop_articles(struct overview_writer *writer, uint64_t first, uint64_t last,
              struct buffer *why)
{
    return run_with_two(writer, STATEMENT_DROP_ARTICLES, first, last, why);
}

static int
move_article(struct overview_writer *writer, uint64_t sequence,
             const struct token *token, struct buffer *why)
{
    sqlite_bind_token(
        sqlite_writer(writer)->statements[STATEMENT_MOVE_ARTICLE], 2, token);
    return run_with(writer, STATEMENT_MOVE_ARTICLE, sequence, why);
}

static int
raise_group(struct overview_writer *writer, const struct record_group *place,
            struct buffer *why)
{
    return run_with_two(writer, STATEMENT_RAISE_GROUP, place->group,
                        place->number, why);
}

static int
set_group(struct overview_writer *writer, uint32_t group, uint64_t low,
          uint64_t high, uint64_t count, uint64_t folded, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_writer(writer);
    sqlite3_stmt *set = overview->statements[STATEMENT_SET_GROUP];

    sqlite_bind(set, 1, group);
    sqlite_bind(set, 2, low);
    sqlite_bind(set, 3, high);
    sqlite_bind(set, 4, count);
    sqlite_bind(set, 5, folded);
    return sqlite_run(overview, STATEMENT_SET_GROUP, why);
}

const struct overview_rows sqlite_rows = {
    .put_article = put_article,
    .set_group = set_group,
    .load = load_rows,
    .get_block = get_block,
    .done_block = done_block,
    .next_block = next_block,
    .put_block = put_block,
    .count_group = count_group,
    .move_rows = move_rows,
    .recent_groups = recent_groups,
    .recent_places = recent_places,
    .recent_begin = recent_begin,
    .set_recent = set_recent,
    .drop_recent = drop_recent,
    .note_removed = note_removed,
    .less_group = less_group,
    .raise_group = raise_group,
    .drop_articles = drop_articles,
    .move_article = move_article,
};

int
sqlite_locate(struct overview *base, uint64_t sequence, struct token *token_r,
              int64_t *arrival_r, struct buffer *why)
{
    static const struct {
        enum statement statement;
        int token;   /* column */
        int arrival; /* column */
    } places[] = {
        {STATEMENT_GET_RECENT, 1, 4},
        {STATEMENT_GET_ARTICLE, 0, 3},
    };
    struct sqlite_overview *overview = sqlite_overview(base);

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        sqlite3_stmt *get = overview->statements[places[i].statement];
        int found;

        sqlite_bind(get, 1, sequence);
        found = sqlite_step(overview, places[i].statement, why);
        if (found < 0)
            return -1;
        if (found == 0)
            continue;
        *token_r = sqlite_token(get, places[i].token);
        *arrival_r = sqlite3_column_int64(get, places[i].arrival);
        (void)sqlite3_reset(get);
        return 1;
    }
    return 0;
}
