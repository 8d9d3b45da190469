#include "storage/overview_recent.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "storage/spool.h"

/* Lines and groups of neighbouring rows. */
enum { CHUNK_OCTETS = 128 * 1024 };
struct chunk {
    struct chunk *next;
    size_t size; /* of octets */
    size_t used;
    uint64_t last_ordinal; /* of the last row that has something here */
    char octets[] __attribute__((aligned(8)));
};

/* The numbers of a group: those before first are gone. */
struct numbers {
    struct recent_number *numbers;
    size_t first;
    size_t end;
    size_t size;
};

struct overview_recent {
    struct recent_row *rows; /* those before first are gone */
    size_t first;
    size_t end;
    size_t size;
    uint64_t first_ordinal;  /* of rows[first] */
    struct numbers **groups; /* by group; NULL: has none */
    size_t group_size;
    struct chunk *chunks; /* oldest first */
    struct chunk *newest;
    size_t octets;
};

struct overview_recent *
overview_recent_new(void)
{
    return xcalloc(1, sizeof(struct overview_recent));
}

static void
drop_chunk(struct overview_recent *recent)
{
    struct chunk *chunk = recent->chunks;

    recent->chunks = chunk->next;
    if (recent->chunks == NULL)
        recent->newest = NULL;
    recent->octets -= sizeof(*chunk) + chunk->size;
    free(chunk);
}

void
overview_recent_free(struct overview_recent **recent)
{
    if (*recent == NULL)
        return;
    for (size_t i = 0; i < (*recent)->group_size; i++) {
        if ((*recent)->groups[i] != NULL)
            free((*recent)->groups[i]->numbers);
        free((*recent)->groups[i]);
    }
    while ((*recent)->chunks != NULL)
        drop_chunk(*recent);
    free((*recent)->groups);
    free((*recent)->rows);
    free(*recent);
    *recent = NULL;
}

/* Memory for a row's octets, aligned to 8. */
static char *
chunk_take(struct overview_recent *recent, size_t octets, uint64_t ordinal)
{
    struct chunk *chunk = recent->newest;
    char *taken;

    octets = (octets + 7) & ~(size_t)7;
    if (chunk == NULL || chunk->size - chunk->used < octets) {
        size_t size = octets > CHUNK_OCTETS ? octets : CHUNK_OCTETS;

        chunk = xmalloc(sizeof(*chunk) + size);
        *chunk = (struct chunk){.size = size};
        if (recent->newest != NULL)
            recent->newest->next = chunk;
        else
            recent->chunks = chunk;
        recent->newest = chunk;
        recent->octets += sizeof(*chunk) + size;
    }
    taken = chunk->octets + chunk->used;
    chunk->used += octets;
    chunk->last_ordinal = ordinal;
    return taken;
}

/*
 * Room for one more member behind end: moves the living ones to the front
 * when at least half are gone, else doubles.
 */
static void *
make_room(void *members, size_t member_octets, size_t *first, size_t *end,
          size_t *size)
{
    if (*end < *size)
        return members;
    if (*first > 0 && *first >= *size / 2) {
        memmove(members, (char *)members + *first * member_octets,
                (*end - *first) * member_octets);
        *end -= *first;
        *first = 0;
        return members;
    }
    *size = *size != 0 ? *size * 2 : 4;
    return xreallocarray(members, *size, member_octets);
}

static struct numbers *
group_numbers(struct overview_recent *recent, uint32_t group)
{
    if (group >= recent->group_size) {
        size_t size = (size_t)group + 1 + group / 2;

        recent->groups =
            xreallocarray(recent->groups, size, sizeof(*recent->groups));
        memset(recent->groups + recent->group_size, 0,
               (size - recent->group_size) * sizeof(*recent->groups));
        recent->group_size = size;
    }
    if (recent->groups[group] == NULL)
        recent->groups[group] = xcalloc(1, sizeof(struct numbers));
    return recent->groups[group];
}

void
overview_recent_add(struct overview_recent *recent,
                    const struct recent_row *row)
{
    uint64_t ordinal = recent->first_ordinal + (recent->end - recent->first);
    size_t groups_octets = row->group_count * sizeof(*row->groups);
    struct recent_row *added;
    char *octets;

    assert(recent->end == recent->first
           || recent->rows[recent->end - 1].sequence < row->sequence);
    octets = chunk_take(recent, groups_octets + row->line_octets + 1, ordinal);
    if (groups_octets > 0)
        memcpy(octets, row->groups, groups_octets);
    memcpy(octets + groups_octets, row->line, row->line_octets);
    recent->rows = make_room(recent->rows, sizeof(*recent->rows),
                             &recent->first, &recent->end, &recent->size);
    added = &recent->rows[recent->end++];
    *added = *row;
    added->groups = (const struct record_group *)octets;
    added->line = octets + groups_octets;
    for (size_t i = 0; i < row->group_count; i++) {
        struct numbers *numbers = group_numbers(recent, row->groups[i].group);

        numbers->numbers =
            make_room(numbers->numbers, sizeof(*numbers->numbers),
                      &numbers->first, &numbers->end, &numbers->size);
        numbers->numbers[numbers->end++] =
            (struct recent_number){row->groups[i].number, ordinal};
    }
}

/* A group with no number left gives its memory back. */
static void
group_tidy(struct overview_recent *recent, uint32_t group)
{
    struct numbers *numbers = recent->groups[group];

    if (numbers->first < numbers->end)
        return;
    free(numbers->numbers);
    free(numbers);
    recent->groups[group] = NULL;
}

/* The first row has gone: so have its numbers, the first of their groups. */
static void
drop_first_numbers(struct overview_recent *recent)
{
    const struct recent_row *row = &recent->rows[recent->first];

    for (size_t i = 0; i < row->group_count; i++) {
        uint32_t group = row->groups[i].group;
        struct numbers *numbers = recent->groups[group];

        if (numbers == NULL
            || numbers->numbers[numbers->first].ordinal
                   != recent->first_ordinal)
            continue;
        numbers->first++;
        group_tidy(recent, group);
    }
}

void
overview_recent_drop_below(struct overview_recent *recent, uint64_t sequence)
{
    while (recent->first < recent->end
           && recent->rows[recent->first].sequence < sequence) {
        drop_first_numbers(recent);
        recent->first++;
        recent->first_ordinal++;
    }
    while (recent->chunks != NULL
           && recent->chunks->last_ordinal < recent->first_ordinal)
        drop_chunk(recent);
    if (recent->first == recent->end) {
        free(recent->rows);
        recent->rows = NULL;
        recent->first = recent->end = recent->size = 0;
    }
}

/* The index of the first row from this sequence on. */
static size_t
row_index(const struct overview_recent *recent, uint64_t sequence)
{
    size_t low = recent->first, high = recent->end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (recent->rows[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
remove_number(struct overview_recent *recent, uint32_t group, uint64_t ordinal)
{
    struct numbers *numbers =
        group < recent->group_size ? recent->groups[group] : NULL;
    size_t i;

    if (numbers == NULL)
        return;
    for (i = numbers->first; i < numbers->end; i++)
        if (numbers->numbers[i].ordinal == ordinal)
            break;
    if (i == numbers->end)
        return;
    numbers->end--;
    memmove(&numbers->numbers[i], &numbers->numbers[i + 1],
            (numbers->end - i) * sizeof(*numbers->numbers));
    group_tidy(recent, group);
}

void
overview_recent_remove(struct overview_recent *recent, uint64_t sequence,
                       const struct record_group *groups, size_t group_count,
                       bool last)
{
    size_t index = row_index(recent, sequence);
    uint64_t ordinal = recent->first_ordinal + (index - recent->first);

    if (index == recent->end || recent->rows[index].sequence != sequence)
        return;
    for (size_t i = 0; i < group_count; i++)
        remove_number(recent, groups[i].group, ordinal);
    if (last)
        recent->rows[index].line = NULL;
}

const struct recent_number *
overview_recent_numbers(const struct overview_recent *recent, uint32_t group,
                        size_t *count_r)
{
    const struct numbers *numbers =
        group < recent->group_size ? recent->groups[group] : NULL;

    if (numbers == NULL) {
        *count_r = 0;
        return NULL;
    }
    *count_r = numbers->end - numbers->first;
    return numbers->numbers + numbers->first;
}

const struct recent_row *
overview_recent_row(const struct overview_recent *recent, uint64_t ordinal)
{
    assert(ordinal - recent->first_ordinal < recent->end - recent->first);
    return &recent->rows[recent->first + (ordinal - recent->first_ordinal)];
}

const struct recent_row *
overview_recent_since(const struct overview_recent *recent, uint64_t sequence,
                      size_t *count_r)
{
    size_t index = row_index(recent, sequence);

    *count_r = recent->end - index;
    return *count_r > 0 ? &recent->rows[index] : NULL;
}

size_t
overview_recent_octets(const struct overview_recent *recent)
{
    return recent->octets + recent->size * sizeof(*recent->rows);
}
