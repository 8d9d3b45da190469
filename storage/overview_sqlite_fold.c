#include "storage/overview_sqlite.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "storage/overview_block.h"

enum {
    /*
     * Rows folded together.  The more, the more lines a block gets each time
     * it is rewritten: folding from 1,024 rows on cost twice as much as from
     * 32,768 (measured with 3x10^5 articles).
     */
    FOLD_ROWS_MAX = 32768,
    FOLD_LINES_OCTETS_MAX = 32 * 1024 * 1024,
    /* One step, so that a waiting commit does not wait long. */
    STEP_LOAD_ROWS = 256,
    STEP_ROWS = 64,
    /* Memory that a fold keeps for the next one. */
    FOLD_KEEP_OCTETS = 1024 * 1024,
};

void
sqlite_fold_free(struct fold *fold)
{
    free(fold->rows);
    free(fold->places);
    buffer_free(&fold->lines);
    *fold = (struct fold){0};
}

/* The fold is done, or given up before it wrote anything. */
static void
fold_end(struct fold *fold)
{
    if (fold->lines.size > FOLD_KEEP_OCTETS) {
        sqlite_fold_free(fold);
        return;
    }
    buffer_clear(&fold->lines);
    fold->row_count = fold->place_count = fold->next = 0;
    fold->stage = FOLD_NONE;
}

/* --- loading --- */

static void
fold_add_place(struct fold *fold, const struct record_group *group)
{
    if (fold->place_count == fold->place_size) {
        fold->place_size = fold->place_size * 2 + 256;
        fold->places = xreallocarray(fold->places, fold->place_size,
                                     sizeof(*fold->places));
    }
    fold->places[fold->place_count++] = (struct fold_place){
        .number = group->number,
        .group = group->group,
        .row = (uint32_t)fold->row_count - 1,
    };
}

static int
fold_add_row(struct sqlite_overview *overview, struct buffer *why)
{
    struct fold *fold = &overview->fold;
    sqlite3_stmt *row = overview->statements[STATEMENT_FOLD_RECENT];
    const struct record_group *groups;
    int count = sqlite_groups(row, 5, &overview->text, &groups);
    size_t line_octets = (size_t)sqlite3_column_bytes(row, 6);

    if (count < 0) {
        sqlite_note_damage(overview);
        return why_set(why, "overview: a list of groups is damaged");
    }
    if (fold->row_count == fold->row_size) {
        fold->row_size = fold->row_size * 2 + 256;
        fold->rows =
            xreallocarray(fold->rows, fold->row_size, sizeof(*fold->rows));
    }
    fold->rows[fold->row_count++] = (struct fold_row){
        .sequence = sqlite_number(row, 0),
        .arrival = sqlite3_column_int64(row, 1),
        .token = sqlite_token(row, 2),
        .line = fold->lines.used,
        .line_octets = (uint32_t)line_octets,
    };
    buffer_append(&fold->lines, sqlite3_column_blob(row, 6), line_octets);
    for (int i = 0; i < count; i++)
        fold_add_place(fold, &groups[i]);
    return 0;
}

static int
compare_places(const struct fold_place *a, const struct fold_place *b)
{
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

/*
 * Sort by group and number.  Places come in order of sequence, so the numbers
 * of a group ascend already: a stable sort by group, 8 bits at a time, is all
 * there is to do, in a tenth of qsort's time.  The last pass costs nothing
 * then, and puts right what should not occur.
 */
static void
fold_sort(struct fold *fold)
{
    struct fold_place *from = fold->places;
    struct fold_place *to =
        xcalloc(fold->place_size + 1, sizeof(*fold->places));

    for (unsigned shift = 0; shift < 32; shift += 8) {
        size_t starts[257] = {0};

        for (size_t i = 0; i < fold->place_count; i++)
            starts[(from[i].group >> shift & 255) + 1]++;
        if (starts[1] == fold->place_count)
            continue;
        for (size_t i = 1; i < 257; i++)
            starts[i] += starts[i - 1];
        for (size_t i = 0; i < fold->place_count; i++)
            to[starts[from[i].group >> shift & 255]++] = from[i];
        fold->places = to;
        to = from;
        from = fold->places;
    }
    free(to);
    for (size_t i = 1; i < fold->place_count; i++) {
        struct fold_place place = fold->places[i];
        size_t at = i;

        for (; at > 0 && compare_places(&fold->places[at - 1], &place) > 0;
             at--)
            fold->places[at] = fold->places[at - 1];
        fold->places[at] = place;
    }
}

static int
fold_load(struct sqlite_overview *overview, struct buffer *why)
{
    struct fold *fold = &overview->fold;
    sqlite3_stmt *rows = overview->statements[STATEMENT_FOLD_RECENT];
    uint64_t after =
        fold->row_count > 0 ? fold->rows[fold->row_count - 1].sequence : 0;
    size_t step = fold->wanted - fold->row_count;
    size_t loaded = 0;
    int result;

    if (step > STEP_LOAD_ROWS)
        step = STEP_LOAD_ROWS;
    sqlite_bind(rows, 1, after);
    sqlite_bind(rows, 2, step);
    while ((result = sqlite_step(overview, STATEMENT_FOLD_RECENT, why)) > 0) {
        loaded++;
        if (fold_add_row(overview, why) < 0) {
            (void)sqlite3_reset(rows);
            return -1;
        }
    }
    if (result < 0)
        return -1;
    if (loaded == step && fold->row_count < fold->wanted
        && fold->lines.used < FOLD_LINES_OCTETS_MAX)
        return 0;
    assert(fold->row_count > 0 && "recent holds the rows it counts");
    fold_sort(fold);
    fold->stage = FOLD_BLOCKS;
    fold->next = 0;
    return 0;
}

/* --- blocks --- */

/* The lines of the fold's next block, with their texts in overview->text:
   offsets become pointers when all are there. */
static size_t
fold_block_lines(struct sqlite_overview *overview, int64_t key,
                 struct overview_line lines[OVERVIEW_BLOCK_NUMBERS])
{
    struct fold *fold = &overview->fold;
    size_t offsets[OVERVIEW_BLOCK_NUMBERS];
    size_t count = 0;

    buffer_clear(&overview->text);
    for (; fold->next < fold->place_count; fold->next++) {
        const struct fold_place *place = &fold->places[fold->next];
        const struct fold_row *row = &fold->rows[place->row];
        size_t used = overview->text.used;

        if (overview_block_key(place->group, place->number) != key)
            break;
        if (place->gone)
            continue;
        /* A number given twice: the later one has it. */
        if (count > 0 && lines[count - 1].number == place->number)
            count--;
        overview_block_text(&overview->text, place->number,
                            fold->lines.data + row->line, row->line_octets);
        offsets[count] = used;
        lines[count++] = (struct overview_line){
            .number = place->number,
            .sequence = row->sequence,
            .token = row->token,
            .octets = (uint32_t)(overview->text.used - used),
        };
    }
    for (size_t i = 0; i < count; i++)
        lines[i].text = overview->text.data + offsets[i];
    return count;
}

/* Both ascend; where both have a number, the new line is taken. */
static size_t
merge_lines(struct overview_line *merged, const struct overview_line *old,
            size_t old_count, const struct overview_line *new,
            size_t new_count)
{
    size_t count = 0;

    while (old_count > 0 || new_count > 0) {
        bool take_new =
            new_count > 0 && (old_count == 0 || new->number <= old->number);

        if (take_new && old_count > 0 && old->number == new->number) {
            old++;
            old_count--;
        }
        if (take_new) {
            merged[count++] = *new ++;
            new_count--;
        } else {
            merged[count++] = *old++;
            old_count--;
        }
    }
    return count;
}

static int
fold_block(struct sqlite_overview *overview, struct buffer *why)
{
    struct fold *fold = &overview->fold;
    struct overview_line old[OVERVIEW_BLOCK_NUMBERS];
    struct overview_line new[OVERVIEW_BLOCK_NUMBERS];
    struct overview_line merged[OVERVIEW_BLOCK_NUMBERS];
    const struct fold_place *place = &fold->places[fold->next];
    int64_t key;
    size_t new_count;
    int old_count;

    if (fold->next == fold->place_count) {
        fold->stage = FOLD_GROUPS;
        fold->next = 0;
        return 0;
    }
    key = overview_block_key(place->group, place->number);
    new_count = fold_block_lines(overview, key, new);
    if (new_count == 0)
        return 0;
    old_count = sqlite_get_block(overview, key, old, why);
    if (old_count < 0)
        return -1;
    return sqlite_put_block(
        overview, key, merged,
        merge_lines(merged, old, (size_t)old_count, new, new_count), why);
}

/* --- groups --- */

/* Count the next group's places into its row. */
static int
fold_group(struct sqlite_overview *overview, uint64_t last, struct buffer *why)
{
    struct fold *fold = &overview->fold;
    sqlite3_stmt *put = overview->statements[STATEMENT_FOLD_GROUP];
    uint32_t group = fold->places[fold->next].group;
    uint64_t folded = sqlite_folded(overview, group);
    uint64_t high = 0, count = 0;

    for (; fold->next < fold->place_count; fold->next++) {
        const struct fold_place *place = &fold->places[fold->next];

        if (place->group != group)
            break;
        high = place->number;
        /* What an interrupted fold has counted is not counted again. */
        if (!place->gone && fold->rows[place->row].sequence > folded)
            count++;
    }
    sqlite_bind(put, 1, group);
    sqlite_bind(put, 2, high);
    sqlite_bind(put, 3, count);
    sqlite_bind(put, 4, last);
    if (sqlite_run(overview, STATEMENT_FOLD_GROUP, why) < 0)
        return -1;
    /* A fold that was cut short may have taken more rows than this one. */
    if (last > folded)
        sqlite_set_folded(overview, group, last);
    return 0;
}

static int
fold_groups(struct sqlite_overview *overview, struct buffer *why)
{
    struct fold *fold = &overview->fold;
    uint64_t last = fold->rows[fold->row_count - 1].sequence;

    for (int i = 0; i < STEP_ROWS; i++) {
        if (fold->next == fold->place_count) {
            fold->stage = FOLD_ROWS;
            fold->next = 0;
            return 0;
        }
        if (fold_group(overview, last, why) < 0)
            return -1;
    }
    return 0;
}

/* --- rows --- */

/* The next rows go from recent to article. */
static int
fold_rows(struct sqlite_overview *overview, struct buffer *why)
{
    struct fold *fold = &overview->fold;
    sqlite3_stmt *put = overview->statements[STATEMENT_PUT_ARTICLE];
    sqlite3_stmt *drop = overview->statements[STATEMENT_FOLDED_RECENT];
    size_t end = fold->next + STEP_ROWS;

    if (end > fold->row_count)
        end = fold->row_count;
    for (; fold->next < end; fold->next++) {
        const struct fold_row *row = &fold->rows[fold->next];

        if (row->gone)
            continue;
        sqlite_bind(put, 1, row->sequence);
        sqlite_bind_token(put, 2, &row->token);
        sqlite3_bind_int64(put, 5, row->arrival);
        if (sqlite_run(overview, STATEMENT_PUT_ARTICLE, why) < 0)
            return -1;
    }
    sqlite_bind(drop, 1, fold->rows[end - 1].sequence);
    if (sqlite_run(overview, STATEMENT_FOLDED_RECENT, why) < 0)
        return -1;
    overview->recent -= (size_t)sqlite3_changes(overview->db);
    if (fold->next == fold->row_count)
        fold_end(fold);
    return 0;
}

/* --- the fold --- */

int
sqlite_fold(struct overview *base, size_t keep, struct buffer *why)
{
    struct sqlite_overview *overview = sqlite_overview(base);
    struct fold *fold = &overview->fold;
    int status = 0;

    assert(overview->in_transaction);
    switch (fold->stage) {
    case FOLD_NONE:
        if (overview->recent <= keep)
            return 0;
        fold->wanted = overview->recent - keep;
        if (fold->wanted > FOLD_ROWS_MAX)
            fold->wanted = FOLD_ROWS_MAX;
        fold->stage = FOLD_LOAD;
        /* fall through */
    case FOLD_LOAD:
        status = fold_load(overview, why);
        break;
    case FOLD_BLOCKS:
        status = fold_block(overview, why);
        break;
    case FOLD_GROUPS:
        status = fold_groups(overview, why);
        break;
    case FOLD_ROWS:
        status = fold_rows(overview, why);
        break;
    }
    if (status < 0)
        return -1;
    return fold->stage != FOLD_NONE || overview->recent > keep;
}

/* --- removals meanwhile --- */

static struct fold_row *
fold_find_row(struct fold *fold, uint64_t sequence)
{
    size_t low = 0, high = fold->row_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (fold->rows[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == fold->row_count || fold->rows[low].sequence != sequence)
        return NULL;
    return &fold->rows[low];
}

static void
fold_remove_place(struct fold *fold, uint32_t row,
                  const struct record_group *group)
{
    const struct fold_place sought = {.group = group->group,
                                      .number = group->number};
    size_t low = 0, high = fold->place_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_places(&fold->places[middle], &sought) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < fold->place_count
           && compare_places(&fold->places[low], &sought) == 0;
         low++)
        if (fold->places[low].row == row)
            fold->places[low].gone = true;
}

void
sqlite_fold_remove(struct sqlite_overview *overview, uint64_t sequence,
                   const struct record_group *groups, size_t group_count,
                   bool last)
{
    struct fold *fold = &overview->fold;
    struct fold_row *row;

    if (fold->stage == FOLD_NONE)
        return;
    row = fold_find_row(fold, sequence);
    if (row == NULL)
        return;
    /* Nothing has been written and the places are not sorted yet: the fold
       begins again, without this row. */
    if (fold->stage == FOLD_LOAD) {
        fold_end(fold);
        return;
    }
    for (size_t i = 0; i < group_count; i++)
        fold_remove_place(fold, (uint32_t)(row - fold->rows), &groups[i]);
    if (last)
        row->gone = true;
}
