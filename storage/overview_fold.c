#include "storage/overview_writer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

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
overview_fold_free(struct fold *fold)
{
    free(fold->rows);
    free(fold->places);
    buffer_free(&fold->lines);
    buffer_free(&fold->text);
    *fold = (struct fold){0};
}

/* The fold is done, or given up before it wrote anything. */
static void
fold_end(struct fold *fold)
{
    if (fold->lines.size > FOLD_KEEP_OCTETS) {
        overview_fold_free(fold);
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

void
overview_fold_add(struct fold *fold, const struct recent_row *row)
{
    if (fold->row_count == fold->row_size) {
        fold->row_size = fold->row_size * 2 + 256;
        fold->rows =
            xreallocarray(fold->rows, fold->row_size, sizeof(*fold->rows));
    }
    fold->rows[fold->row_count++] = (struct fold_row){
        .sequence = row->sequence,
        .arrival = row->arrival,
        .token = row->token,
        .line = fold->lines.used,
        .line_octets = row->line_octets,
    };
    buffer_append(&fold->lines, row->line, row->line_octets);
    for (uint32_t i = 0; i < row->group_count; i++)
        fold_add_place(fold, &row->groups[i]);
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
fold_load(struct overview_writer *writer, struct buffer *why)
{
    struct fold *fold = &writer->fold;
    uint64_t after =
        fold->row_count > 0 ? fold->rows[fold->row_count - 1].sequence : 0;
    size_t step = fold->wanted - fold->row_count;
    int64_t loaded;

    if (step > STEP_LOAD_ROWS)
        step = STEP_LOAD_ROWS;
    loaded = writer->rows->load(writer, after, step, why);
    if (loaded < 0)
        return -1;
    if ((size_t)loaded == step && fold->row_count < fold->wanted
        && fold->lines.used < FOLD_LINES_OCTETS_MAX)
        return 0;
    assert(fold->row_count > 0 && "recent holds the rows it counts");
    fold_sort(fold);
    fold->stage = FOLD_BLOCKS;
    fold->next = 0;
    return 0;
}

/* --- blocks --- */

/* The lines of the fold's next block, with their texts in fold->text:
   offsets become pointers when all are there. */
static size_t
fold_block_lines(struct fold *fold, int64_t key,
                 struct overview_line lines[OVERVIEW_BLOCK_NUMBERS])
{
    size_t offsets[OVERVIEW_BLOCK_NUMBERS];
    size_t count = 0;

    buffer_clear(&fold->text);
    for (; fold->next < fold->place_count; fold->next++) {
        const struct fold_place *place = &fold->places[fold->next];
        const struct fold_row *row = &fold->rows[place->row];
        size_t used = fold->text.used;

        if (overview_block_key(place->group, place->number) != key)
            break;
        if (place->gone)
            continue;
        /* A number given twice: the later one has it. */
        if (count > 0 && lines[count - 1].number == place->number)
            count--;
        overview_block_text(&fold->text, place->number,
                            fold->lines.data + row->line, row->line_octets);
        offsets[count] = used;
        lines[count++] = (struct overview_line){
            .number = place->number,
            .sequence = row->sequence,
            .token = row->token,
            .octets = (uint32_t)(fold->text.used - used),
        };
    }
    for (size_t i = 0; i < count; i++)
        lines[i].text = fold->text.data + offsets[i];
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
fold_block(struct overview_writer *writer, struct buffer *why)
{
    struct fold *fold = &writer->fold;
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
    new_count = fold_block_lines(fold, key, new);
    if (new_count == 0)
        return 0;
    old_count = writer->rows->get_block(writer, key, old, why);
    if (old_count < 0)
        return -1;
    return writer->rows->put_block(
        writer, key, merged,
        merge_lines(merged, old, (size_t)old_count, new, new_count), why);
}

/* --- groups --- */

/* Count the next group's places into its row. */
static int
fold_group(struct overview_writer *writer, uint64_t last, struct buffer *why)
{
    struct fold *fold = &writer->fold;
    struct fold_count count = {.group = fold->places[fold->next].group,
                               .folded = last};
    uint64_t folded = overview_writer_folded(writer, count.group);

    for (; fold->next < fold->place_count; fold->next++) {
        const struct fold_place *place = &fold->places[fold->next];

        if (place->group != count.group)
            break;
        count.high = place->number;
        /* What an interrupted fold has counted is not counted again. */
        if (!place->gone && fold->rows[place->row].sequence > folded)
            count.count++;
    }
    if (writer->rows->count_group(writer, &count, why) < 0)
        return -1;
    /* A fold that was cut short may have taken more rows than this one. */
    if (last > folded)
        overview_writer_set_folded(writer, count.group, last);
    return 0;
}

static int
fold_groups(struct overview_writer *writer, struct buffer *why)
{
    struct fold *fold = &writer->fold;
    uint64_t last = fold->rows[fold->row_count - 1].sequence;

    for (int i = 0; i < STEP_ROWS; i++) {
        if (fold->next == fold->place_count) {
            fold->stage = FOLD_ROWS;
            fold->next = 0;
            return 0;
        }
        if (fold_group(writer, last, why) < 0)
            return -1;
    }
    return 0;
}

/* --- rows --- */

/* The next rows go from recent to article. */
static int
fold_rows(struct overview_writer *writer, struct buffer *why)
{
    struct fold *fold = &writer->fold;
    size_t count = fold->row_count - fold->next;

    if (count > STEP_ROWS)
        count = STEP_ROWS;
    if (writer->rows->move_rows(writer, fold->rows + fold->next, count, why)
        < 0)
        return -1;
    fold->next += count;
    if (fold->next == fold->row_count)
        fold_end(fold);
    return 0;
}

/* --- the fold --- */

int
overview_writer_fold(struct overview *overview, size_t keep,
                     struct buffer *why)
{
    struct overview_writer *writer = overview_writer(overview);
    struct fold *fold = &writer->fold;
    int status = 0;

    assert(writer->in_transaction);
    switch (fold->stage) {
    case FOLD_NONE:
        if (writer->recent <= keep)
            return 0;
        fold->wanted = writer->recent - keep;
        if (fold->wanted > FOLD_ROWS_MAX)
            fold->wanted = FOLD_ROWS_MAX;
        fold->stage = FOLD_LOAD;
        /* fall through */
    case FOLD_LOAD:
        status = fold_load(writer, why);
        break;
    case FOLD_BLOCKS:
        status = fold_block(writer, why);
        break;
    case FOLD_GROUPS:
        status = fold_groups(writer, why);
        break;
    case FOLD_ROWS:
        status = fold_rows(writer, why);
        break;
    }
    if (status < 0)
        return -1;
    return fold->stage != FOLD_NONE || writer->recent > keep;
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
overview_fold_remove(struct fold *fold, uint64_t sequence,
                     const struct record_group *groups, size_t group_count,
                     bool last)
{
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
