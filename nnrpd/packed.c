/*
 * packed -- see packed.h.
 */
#include <stdlib.h>

#include "lib/deflate.h"
#include "lib/memory.h"
#include "nnrpd/packed.h"
#include "storage/active.h"
#include "storage/overview.h"

struct packed {
    const struct active *active;
    struct packed_block *blocks; /* direct-mapped; NULL: none yet */
    unsigned anew;               /* deflated in this turn */
    struct buffer text;
};

struct packed *
packed_new(const struct active *active)
{
    struct packed *packed = xcalloc(1, sizeof *packed);

    packed->active = active;
    return packed;
}

void
packed_free(struct packed **packed)
{
    if (*packed == NULL)
        return;
    for (size_t i = 0; (*packed)->blocks != NULL && i < PACKED_BLOCKS; i++)
        buffer_free(&(*packed)->blocks[i].octets);
    free((*packed)->blocks);
    buffer_free(&(*packed)->text);
    free(*packed);
    *packed = NULL;
}

void
packed_turn_ended(struct packed *packed)
{
    packed->anew = 0;
}

static uint64_t
packed_key(uint32_t group, uint64_t number)
{
    return (uint64_t)group << 32 | number / PACKED_NUMBERS;
}

/* Neighbours of one group lie beside one another, groups apart. */
static struct packed_block *
packed_place(const struct packed *packed, uint64_t key)
{
    return &packed->blocks[(key + (key >> 32) * 0x9e3779b1) % PACKED_BLOCKS];
}

const struct packed_block *
packed_find(const struct packed *packed, uint32_t group, uint64_t first)
{
    const struct packed_block *block;
    uint64_t key = packed_key(group, first);

    if (packed->blocks == NULL)
        return NULL;
    block = packed_place(packed, key);
    return block->lines > 0 && block->key == key
                   && block->removals == active_removals(packed->active)
               ? block
               : NULL;
}

const struct packed_block *
packed_put(struct packed *packed, uint32_t group, uint64_t removals,
           const struct overview_line *lines, size_t count)
{
    uint64_t last = packed_first(lines[0].number) + PACKED_NUMBERS - 1;
    uint64_t key = packed_key(group, lines[0].number);
    const struct packed_block *kept =
        packed_find(packed, group, packed_first(lines[0].number));
    struct packed_block *block;

    if (kept != NULL)
        return kept;
    if (packed->anew == PACKED_ANEW
        || active_marks(packed->active, group).high < last)
        return NULL;
    packed->anew++;
    if (packed->blocks == NULL)
        packed->blocks = xcalloc(PACKED_BLOCKS, sizeof *packed->blocks);
    block = packed_place(packed, key);
    buffer_clear(&packed->text);
    for (size_t i = 0; i < count; i++)
        buffer_append(&packed->text, lines[i].text, lines[i].octets);
    buffer_clear(&block->octets);
    block->lines = 0;
    if (deflate_alone(packed->text.data, packed->text.used, &block->octets)
        < 0)
        return NULL;
    block->key = key;
    block->removals = removals;
    block->lines = (unsigned)count;
    return block;
}
