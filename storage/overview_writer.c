#include "storage/overview_writer.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

/* --- what the tables said --- */

void
overview_writer_clear(struct overview_writer *writer)
{
    overview_fold_free(&writer->fold);
    free(writer->folded);
    writer->folded = NULL;
    writer->folded_size = 0;
    writer->applied = writer->settled = writer->last_put = 0;
    writer->recent = 0;
    writer->in_transaction = writer->removed_noted = false;
}

uint64_t
overview_writer_folded(const struct overview_writer *writer, uint32_t group)
{
    return group < writer->folded_size ? writer->folded[group] : 0;
}

void
overview_writer_set_folded(struct overview_writer *writer, uint32_t group,
                           uint64_t sequence)
{
    if (group >= writer->folded_size) {
        size_t size = (size_t)group + 64 + group / 2;

        writer->folded =
            xreallocarray(writer->folded, size, sizeof(*writer->folded));
        memset(writer->folded + writer->folded_size, 0,
               (size - writer->folded_size) * sizeof(*writer->folded));
        writer->folded_size = size;
    }
    writer->folded[group] = sequence;
}

uint64_t
overview_writer_applied(const struct overview *overview)
{
    return ((const struct overview_writer *)overview)->applied;
}

void
overview_writer_settle(struct overview *overview, uint64_t sequence)
{
    overview_writer(overview)->settled = sequence;
}

uint64_t
overview_writer_settled(const struct overview *overview)
{
    return ((const struct overview_writer *)overview)->settled;
}

size_t
overview_writer_recent(const struct overview *overview)
{
    return ((const struct overview_writer *)overview)->recent;
}

/* --- lists of groups --- */

void
overview_groups_write(struct buffer *octets, const struct record_group *groups,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct record_group group = {
            .group = htole32(groups[i].group),
            .number = htole64(groups[i].number),
        };

        buffer_append(octets, &group, sizeof(group));
    }
}

int
overview_groups_read(struct buffer *list, const void *octets, size_t length,
                     const struct record_group **groups_r)
{
    const char *from = octets;

    if (length % sizeof(struct record_group) != 0)
        return -1;
    buffer_clear(list);
    for (size_t at = 0; at < length; at += sizeof(struct record_group)) {
        struct record_group group;

        memcpy(&group, from + at, sizeof(group));
        group.group = le32toh(group.group);
        group.number = le64toh(group.number);
        if (group.group > OVERVIEW_GROUP_MAX)
            return -1;
        buffer_append(list, &group, sizeof(group));
    }
    *groups_r = (const struct record_group *)list->data;
    return (int)(length / sizeof(struct record_group));
}

/* --- what recent adds to the rows of the groups --- */

void
overview_tally_add(struct overview_tally *tally,
                   const struct overview_writer *writer, uint64_t sequence,
                   const struct record_group *groups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t group = groups[i].group;

        if (group >= tally->size) {
            size_t larger = (size_t)group + 64 + group / 2;

            tally->groups =
                xreallocarray(tally->groups, larger, sizeof(*tally->groups));
            memset(tally->groups + tally->size, 0,
                   (larger - tally->size) * sizeof(*tally->groups));
            tally->size = larger;
        }
        if (groups[i].number > tally->groups[group].high)
            tally->groups[group].high = groups[i].number;
        if (sequence > overview_writer_folded(writer, group))
            tally->groups[group].count++;
    }
}

void
overview_tally_apply(const struct overview_tally *tally,
                     struct overview_group *group)
{
    if (group->group >= tally->size)
        return;
    if (tally->groups[group->group].high > group->high)
        group->high = tally->groups[group->group].high;
    group->count += tally->groups[group->group].count;
}

void
overview_tally_free(struct overview_tally *tally)
{
    free(tally->groups);
    *tally = (struct overview_tally){0};
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
remove_recent(struct overview_writer *writer, uint64_t sequence,
              const struct record_group *groups, size_t group_count, bool last,
              struct buffer *why)
{
    const struct overview_rows *rows = writer->rows;
    const struct record_group *there;
    struct record_group *kept;
    size_t count, kept_count = 0;
    int result = rows->recent_groups(writer, sequence, &there, &count, why);

    if (result <= 0)
        return result;
    kept = xcalloc(count + 1, sizeof(*kept));
    for (size_t i = 0; i < count; i++)
        if (!is_listed(groups, group_count, &there[i]))
            kept[kept_count++] = there[i];
    result = last ? rows->drop_recent(writer, sequence, why)
                  : rows->set_recent(writer, sequence, kept, kept_count, why);
    free(kept);
    if (result < 0)
        return -1;
    if (last)
        writer->recent--;
    writer->removed_noted = true;
    return rows->note_removed(writer, sequence, groups, group_count, last,
                              why);
}

/* Take a line out of its block.  1 when it was there, 0, -1. */
static int
remove_line(struct overview_writer *writer, uint64_t sequence,
            const struct record_group *place, struct buffer *why)
{
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    int64_t key = overview_block_key(place->group, place->number);
    int count = writer->rows->get_block(writer, key, lines, why);
    int found = -1;

    if (count < 0)
        return -1;
    for (int i = 0; i < count; i++)
        if (lines[i].number == place->number && lines[i].sequence == sequence)
            found = i;
    if (found < 0) {
        writer->rows->done_block(writer);
        return 0;
    }
    memmove(&lines[found], &lines[found + 1],
            (size_t)(count - found - 1) * sizeof(lines[0]));
    if (writer->rows->put_block(writer, key, lines, (size_t)count - 1, why)
        < 0)
        return -1;
    return 1;
}

/* Take a number out of a group: its line, and what the group's row counts. */
static int
remove_number(struct overview_writer *writer, uint64_t sequence,
              const struct record_group *place, struct buffer *why)
{
    int found = remove_line(writer, sequence, place, why);

    if (found < 0)
        return -1;
    /* The row does not count it yet, and never will.  But the number was
       given: with the last row that has it, high must not fall. */
    if (sequence > overview_writer_folded(writer, place->group))
        return writer->rows->raise_group(writer, place, why);
    if (found == 0)
        return 0;
    return writer->rows->less_group(writer, place->group, 1, why);
}

int
overview_writer_remove(struct overview *overview, uint64_t sequence,
                       const struct record_group *groups, size_t group_count,
                       bool last, struct buffer *why)
{
    struct overview_writer *writer = overview_writer(overview);

    assert(writer->in_transaction);
    if (remove_recent(writer, sequence, groups, group_count, last, why) < 0)
        return -1;
    overview_fold_remove(&writer->fold, sequence, groups, group_count, last);
    for (size_t i = 0; i < group_count; i++)
        if (remove_number(writer, sequence, &groups[i], why) < 0)
            return -1;
    return last ? writer->rows->drop_articles(writer, sequence, sequence, why)
                : 0;
}

/* --- removing ranges --- */

void
overview_places_add(struct overview_places *places, uint64_t sequence,
                    const struct record_group *groups, size_t count)
{
    if (places->count + count > places->size) {
        places->size = places->size * 2 + count + 256;
        places->places = xreallocarray(places->places, places->size,
                                       sizeof(*places->places));
    }
    for (size_t i = 0; i < count; i++)
        places->places[places->count++] = (struct overview_place){
            .sequence = sequence,
            .number = groups[i].number,
            .group = groups[i].group,
        };
}

/* The range that a place is in; they ascend.  count when there is none. */
static size_t
range_find(const struct expired_range *ranges, size_t count,
           const struct overview_place *place)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct expired_range *range = &ranges[middle];

        if (range->group < place->group
            || (range->group == place->group && range->last < place->number))
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].group == place->group
                   && ranges[low].first <= place->number
               ? low
               : count;
}

/* What has not been folded goes row by row. */
static int
ranges_remove_recent(struct overview_writer *writer,
                     const struct expired_range *ranges, size_t count,
                     uint64_t *removed_r, struct buffer *why)
{
    struct overview_places places = {0};
    uint64_t from = UINT64_MAX, to = 0;
    int status = 0;

    for (size_t i = 0; i < count; i++) {
        if (ranges[i].first_sequence < from)
            from = ranges[i].first_sequence;
        if (ranges[i].last_sequence > to)
            to = ranges[i].last_sequence;
    }
    if (writer->recent > 0)
        status = writer->rows->recent_places(writer, from, to, &places, why);
    for (size_t i = 0; i < places.count && status == 0; i++) {
        const struct overview_place *place = &places.places[i];
        struct record_group group = {.group = place->group,
                                     .number = place->number};
        size_t found = range_find(ranges, count, place);

        if (found == count)
            continue;
        removed_r[found]++;
        status = overview_writer_remove(&writer->base, place->sequence, &group,
                                        1, false, why);
    }
    free(places.places);
    return status;
}

/* Take the lines of a range out of one block. */
static int
range_remove_block(struct overview_writer *writer, int64_t key,
                   const struct expired_range *range,
                   struct overview_line lines[], size_t count,
                   uint64_t *counted, struct buffer *why)
{
    uint64_t folded = overview_writer_folded(writer, range->group);
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (lines[i].number < range->first || lines[i].number > range->last)
            lines[kept++] = lines[i];
        else if (lines[i].sequence <= folded)
            ++*counted;
    }
    if (kept < count)
        return writer->rows->put_block(writer, key, lines, kept, why);
    writer->rows->done_block(writer);
    return 0;
}

static int
range_remove_blocks(struct overview_writer *writer,
                    const struct expired_range *range, uint64_t *removed_r,
                    struct buffer *why)
{
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    int64_t key = overview_block_key(range->group, range->first);
    int64_t last = overview_block_key(range->group, range->last);
    uint64_t counted = 0;
    int count;

    for (; key <= last; key++) {
        count = writer->rows->next_block(writer, key, last, &key, lines, why);
        if (count < 0)
            return -1;
        if (count == 0)
            break;
        if (range_remove_block(writer, key, range, lines, (size_t)count,
                               &counted, why)
            < 0)
            return -1;
    }
    *removed_r += counted;
    return counted == 0
               ? 0
               : writer->rows->less_group(writer, range->group, counted, why);
}

int
overview_writer_remove_ranges(struct overview *overview,
                              const struct expired_range *ranges, size_t count,
                              uint64_t *removed_r, struct buffer *why)
{
    struct overview_writer *writer = overview_writer(overview);

    assert(writer->in_transaction);
    for (size_t i = 0; i < count; i++)
        removed_r[i] = 0;
    if (ranges_remove_recent(writer, ranges, count, removed_r, why) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (range_remove_blocks(writer, &ranges[i], &removed_r[i], why) < 0)
            return -1;
    return 0;
}

int
overview_writer_recent_begin(struct overview *overview, uint64_t *sequence_r,
                             struct buffer *why)
{
    struct overview_writer *writer = overview_writer(overview);

    *sequence_r = UINT64_MAX;
    return writer->recent == 0
               ? 0
               : writer->rows->recent_begin(writer, sequence_r, why);
}

int
overview_writer_move(struct overview *overview, uint64_t sequence,
                     const struct token *token, struct buffer *why)
{
    struct overview_writer *writer = overview_writer(overview);

    assert(writer->in_transaction);
    return writer->rows->move_article(writer, sequence, token, why);
}

int
overview_writer_drop(struct overview *overview, const uint64_t *sequences,
                     size_t count, struct buffer *why)
{
    struct overview_writer *writer = overview_writer(overview);
    uint64_t recent; /* rows of recent begin here */
    size_t next;

    assert(writer->in_transaction);
    if (overview_writer_recent_begin(overview, &recent, why) < 0)
        return -1;
    for (size_t i = 0; i < count; i = next) {
        next = i + 1;
        if (sequences[i] >= recent) {
            if (overview_writer_remove(overview, sequences[i], NULL, 0, true,
                                       why)
                < 0)
                return -1;
            continue;
        }
        while (next < count && sequences[next] < recent
               && sequences[next] == sequences[next - 1] + 1)
            next++;
        if (writer->rows->drop_articles(writer, sequences[i],
                                        sequences[next - 1], why)
            < 0)
            return -1;
    }
    return 0;
}
