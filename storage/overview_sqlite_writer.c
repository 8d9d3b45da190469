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

uint64_t
sqlite_folded(const struct sqlite_overview *overview, uint32_t group)
{
    return group < overview->folded_size ? overview->folded[group] : 0;
}

void
sqlite_set_folded(struct sqlite_overview *overview, uint32_t group,
                  uint64_t sequence)
{
    if (group >= overview->folded_size) {
        size_t size = (size_t)group + 64 + group / 2;

        overview->folded =
            xreallocarray(overview->folded, size, sizeof(*overview->folded));
        memset(overview->folded + overview->folded_size, 0,
               (size - overview->folded_size) * sizeof(*overview->folded));
        overview->folded_size = size;
    }
    overview->folded[group] = sequence;
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
    sqlite3_stmt *groups = overview->statements[STATEMENT_GROUPS];
    uint64_t rows = 0, last = 0;
    int result;

    if (load_number(overview, "SELECT value FROM meta WHERE key = 'applied'",
                    &overview->applied, why)
            < 0
        || load_number(overview, "SELECT count(*) FROM recent", &rows, why) < 0
        || load_number(overview,
                       "SELECT coalesce(max(sequence), 0) FROM recent", &last,
                       why)
               < 0)
        return -1;
    overview->recent = rows;
    overview->last_put = last > overview->applied ? last : overview->applied;
    while ((result = sqlite_step(overview, STATEMENT_GROUPS, why)) > 0) {
        uint64_t group = sqlite_number(groups, 0);

        if (group <= SQLITE_GROUP_MAX)
            sqlite_set_folded(overview, (uint32_t)group,
                              sqlite_number(groups, 7));
    }
    return result;
}

/* What recent adds to a group's row. */
struct group_recent {
    uint64_t high;
    uint64_t count;
};

/* An array by group; the caller frees it. */
static int
count_recent(struct sqlite_overview *overview, struct group_recent **by_r,
             size_t *size_r, struct buffer *why)
{
    sqlite3_stmt *rows = overview->statements[STATEMENT_GROUPS_RECENT];
    struct group_recent *by = NULL;
    size_t size = 0;
    int result;

    while ((result = sqlite_step(overview, STATEMENT_GROUPS_RECENT, why))
           > 0) {
        uint64_t sequence = sqlite_number(rows, 0);
        const struct record_group *groups;
        int count = sqlite_groups(rows, 1, &overview->text, &groups);

        if (count < 0) {
            (void)sqlite3_reset(rows);
            result = damaged(overview, why, "a list of groups in recent");
            break;
        }
        for (int i = 0; i < count; i++) {
            uint32_t group = groups[i].group;

            if (group >= size) {
                size_t larger = (size_t)group + 64 + group / 2;

                by = xreallocarray(by, larger, sizeof(*by));
                memset(by + size, 0, (larger - size) * sizeof(*by));
                size = larger;
            }
            if (groups[i].number > by[group].high)
                by[group].high = groups[i].number;
            if (sequence > sqlite_folded(overview, group))
                by[group].count++;
        }
    }
    *by_r = by;
    *size_r = size;
    return result;
}

static struct overview_group
group_row(sqlite3_stmt *row, const struct group_recent *by, size_t by_size)
{
    struct overview_group group = {
        .group = (uint32_t)sqlite_number(row, 0),
        .flag = (char)sqlite3_column_int(row, 1),
        .alias = (uint32_t)sqlite_number(row, 2),
        .created = sqlite3_column_int64(row, 3),
        .low = sqlite_number(row, 4),
        .high = sqlite_number(row, 5),
        .count = sqlite_number(row, 6),
        .name = (const char *)sqlite3_column_text(row, 8),
        .creator = (const char *)sqlite3_column_text(row, 9),
        .description = (const char *)sqlite3_column_text(row, 10),
    };

    if (group.group < by_size) {
        if (by[group.group].high > group.high)
            group.high = by[group.group].high;
        group.count += by[group.group].count;
    }
    return group;
}

int
sqlite_overview_groups(struct overview *base, overview_group_func *func,
                       void *context, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    sqlite3_stmt *row = overview->statements[STATEMENT_GROUPS];
    struct group_recent *by = NULL;
    size_t by_size = 0;
    int result = count_recent(overview, &by, &by_size, why);

    while (result >= 0
           && (result = sqlite_step(overview, STATEMENT_GROUPS, why)) > 0) {
        struct overview_group group = group_row(row, by, by_size);

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
    free(by);
    return result;
}

/* --- putting --- */

int
sqlite_put(struct overview *base, const struct overview_entry *entries,
           size_t count, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    sqlite3_stmt *put = overview->statements[STATEMENT_PUT_RECENT];

    assert(overview->in_transaction);
    for (size_t i = 0; i < count; i++) {
        const struct overview_entry *entry = &entries[i];

        assert(entry->sequence > 0 && entry->sequence <= INT64_MAX);
        /* A replay brings again what we have, perhaps folded already: a row
           in recent that is older than folded ones would hide those. */
        if (entry->sequence <= overview->last_put)
            continue;
        sqlite_put_groups(&overview->text, entry->groups, entry->group_count);
        sqlite_bind(put, 1, entry->sequence);
        sqlite3_bind_int64(put, 2, entry->arrival);
        sqlite_bind_token(put, 3, &entry->token);
        sqlite3_bind_blob(put, 6, entry->hash.octets,
                          sizeof(entry->hash.octets), SQLITE_STATIC);
        sqlite3_bind_blob(put, 7, buffer_text(&overview->text),
                          (int)overview->text.used, SQLITE_STATIC);
        sqlite3_bind_blob(put, 8, entry->line, (int)entry->line_octets,
                          SQLITE_STATIC);
        if (sqlite_run(overview, STATEMENT_PUT_RECENT, why) < 0)
            return -1;
        overview->last_put = entry->sequence;
        overview->recent++;
    }
    return 0;
}

int
sqlite_put_group(struct overview *base, const struct overview_group *group,
                 struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    sqlite3_stmt *put = overview->statements[STATEMENT_PUT_GROUP];

    assert(overview->in_transaction);
    sqlite_bind(put, 1, group->group);
    sqlite_bind(put, 2, (unsigned char)group->flag);
    sqlite_bind(put, 3, group->alias);
    sqlite3_bind_int64(put, 4, group->created);
    sqlite_bind(put, 5, group->low);
    sqlite_bind(put, 6, group->high);
    sqlite3_bind_text(put, 7, group->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 8, group->creator, -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 9, group->description, -1, SQLITE_STATIC);
    return sqlite_run(overview, STATEMENT_PUT_GROUP, why);
}

/* --- blocks --- */

int
sqlite_get_block(struct sqlite_overview *overview, int64_t key,
                 struct overview_line lines[], struct buffer *why)
{
    sqlite3_stmt *get = overview->statements[STATEMENT_GET_BLOCK];
    struct buffer reason = BUFFER_EMPTY;
    int count;

    sqlite3_bind_int64(get, 1, key);
    count = sqlite_step(overview, STATEMENT_GET_BLOCK, why);
    if (count <= 0)
        return count;
    count = overview_block_read(lines, overview_block_first(key),
                                sqlite3_column_blob(get, 0),
                                (size_t)sqlite3_column_bytes(get, 0), &reason);
    if (count < 0)
        damaged(overview, why, buffer_text(&reason));
    buffer_free(&reason);
    return count;
}

int
sqlite_put_block(struct sqlite_overview *overview, int64_t key,
                 const struct overview_line *lines, size_t count,
                 struct buffer *why)
{
    sqlite3_stmt *put = overview->statements[STATEMENT_PUT_BLOCK];

    if (count == 0) {
        (void)sqlite3_reset(overview->statements[STATEMENT_GET_BLOCK]);
        sqlite3_bind_int64(overview->statements[STATEMENT_DROP_BLOCK], 1, key);
        return sqlite_run(overview, STATEMENT_DROP_BLOCK, why);
    }
    overview_block_write(&overview->block, lines, count);
    /* The texts may have been those of the block as it was. */
    (void)sqlite3_reset(overview->statements[STATEMENT_GET_BLOCK]);
    sqlite3_bind_int64(put, 1, key);
    sqlite3_bind_blob(put, 2, overview->block.data, (int)overview->block.used,
                      SQLITE_STATIC);
    return sqlite_run(overview, STATEMENT_PUT_BLOCK, why);
}

/* --- removing --- */

static bool
is_listed(const struct record_group *groups, size_t count,
          const struct record_group *sought)
{
    for (size_t i = 0; i < count; i++)
        if (groups[i].group == sought->group
            && groups[i].number == sought->number)
            return true;
    return false;
}

/* Take a row of recent out of these groups, or away. */
static int
remove_recent(struct sqlite_overview *overview, uint64_t sequence,
              const struct record_group *groups, size_t group_count, bool last,
              struct buffer *why)
{
    sqlite3_stmt *get = overview->statements[STATEMENT_GET_RECENT];
    sqlite3_stmt *set = overview->statements[STATEMENT_SET_RECENT];
    sqlite3_stmt *note = overview->statements[STATEMENT_NOTE_REMOVED];
    const struct record_group *there;
    struct record_group *kept;
    size_t kept_count = 0;
    int count;

    sqlite_bind(get, 1, sequence);
    count = sqlite_step(overview, STATEMENT_GET_RECENT, why);
    if (count <= 0)
        return count;
    count = sqlite_groups(get, 0, &overview->text, &there);
    (void)sqlite3_reset(get);
    if (count < 0)
        return damaged(overview, why, "a list of groups in recent");
    kept = xcalloc((size_t)count + 1, sizeof(*kept));
    for (int i = 0; i < count; i++)
        if (!is_listed(groups, group_count, &there[i]))
            kept[kept_count++] = there[i];
    sqlite_put_groups(&overview->text, kept, kept_count);
    free(kept);
    if (last) {
        sqlite_bind(overview->statements[STATEMENT_DROP_RECENT], 1, sequence);
        if (sqlite_run(overview, STATEMENT_DROP_RECENT, why) < 0)
            return -1;
        overview->recent--;
    } else {
        sqlite_bind(set, 1, sequence);
        sqlite3_bind_blob(set, 2, buffer_text(&overview->text),
                          (int)overview->text.used, SQLITE_STATIC);
        if (sqlite_run(overview, STATEMENT_SET_RECENT, why) < 0)
            return -1;
    }
    sqlite_put_groups(&overview->text, groups, group_count);
    sqlite_bind(note, 1, sequence);
    sqlite_bind(note, 2, last);
    sqlite3_bind_blob(note, 3, buffer_text(&overview->text),
                      (int)overview->text.used, SQLITE_STATIC);
    overview->removed_noted = true;
    return sqlite_run(overview, STATEMENT_NOTE_REMOVED, why);
}

/* Take a line out of its block.  1 when it was there, 0, -1. */
static int
remove_line(struct sqlite_overview *overview, uint64_t sequence,
            const struct record_group *group, struct buffer *why)
{
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    int64_t key = overview_block_key(group->group, group->number);
    int count = sqlite_get_block(overview, key, lines, why);
    int found = -1;

    if (count < 0)
        return -1;
    for (int i = 0; i < count; i++)
        if (lines[i].number == group->number && lines[i].sequence == sequence)
            found = i;
    if (found < 0) {
        (void)sqlite3_reset(overview->statements[STATEMENT_GET_BLOCK]);
        return 0;
    }
    memmove(&lines[found], &lines[found + 1],
            (size_t)(count - found - 1) * sizeof(lines[0]));
    if (sqlite_put_block(overview, key, lines, (size_t)count - 1, why) < 0)
        return -1;
    return 1;
}

/* Take a number out of a group: its line, and what the group's row counts. */
static int
remove_number(struct sqlite_overview *overview, uint64_t sequence,
              const struct record_group *group, struct buffer *why)
{
    sqlite3_stmt *less = overview->statements[STATEMENT_LESS_GROUP];
    sqlite3_stmt *raise = overview->statements[STATEMENT_RAISE_GROUP];
    int found = remove_line(overview, sequence, group, why);

    if (found < 0)
        return -1;
    if (sequence > sqlite_folded(overview, group->group)) {
        /* The row does not count it yet, and never will.  But the number was
           given: with the last row that has it, high must not fall. */
        sqlite_bind(raise, 1, group->group);
        sqlite_bind(raise, 2, group->number);
        return sqlite_run(overview, STATEMENT_RAISE_GROUP, why);
    }
    if (found == 0)
        return 0;
    sqlite_bind(less, 1, group->group);
    return sqlite_run(overview, STATEMENT_LESS_GROUP, why);
}

int
sqlite_remove(struct overview *base, uint64_t sequence,
              const struct record_group *groups, size_t group_count, bool last,
              struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);

    assert(overview->in_transaction);
    if (remove_recent(overview, sequence, groups, group_count, last, why) < 0)
        return -1;
    sqlite_fold_remove(overview, sequence, groups, group_count, last);
    for (size_t i = 0; i < group_count; i++)
        if (remove_number(overview, sequence, &groups[i], why) < 0)
            return -1;
    if (!last)
        return 0;
    sqlite_bind(overview->statements[STATEMENT_DROP_ARTICLE], 1, sequence);
    return sqlite_run(overview, STATEMENT_DROP_ARTICLE, why);
}

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
