/*
 * ready_list -- see ready_list.h.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/deflate.h"
#include "lib/memory.h"
#include "nnrpd/access.h"
#include "nnrpd/ready_list.h"
#include "storage/active.h"

enum {
    NEVER_MADE = 1, /* odd: no state that holds */
    KEPT_ROWS = 1,  /* a copy of some KB costs as much as a line */
};

struct ready_list {
    group_line_func *line; /* NULL: nothing is kept here */
    char *readable;        /* NULL: every group */
    uint64_t used;         /* when, by lists->clock */
    struct ready_block *blocks;
    uint32_t block_count;
};

struct ready_lists {
    struct active *active;
    struct ready_list list[READY_LISTS];
    uint64_t clock;
    unsigned packed_anew; /* in this turn */
};

struct ready_lists *
ready_lists_new(struct active *active)
{
    struct ready_lists *lists = xcalloc(1, sizeof *lists);

    lists->active = active;
    return lists;
}

static void
list_clear(struct ready_list *list)
{
    for (uint32_t i = 0; i < list->block_count; i++) {
        buffer_free(&list->blocks[i].text);
        buffer_free(&list->blocks[i].packed);
    }
    free(list->blocks);
    free(list->readable);
    *list = (struct ready_list){0};
}

void
ready_lists_free(struct ready_lists **lists)
{
    if (*lists == NULL)
        return;
    for (size_t i = 0; i < READY_LISTS; i++)
        list_clear(&(*lists)->list[i]);
    free(*lists);
    *lists = NULL;
}

void
ready_lists_turn_ended(struct ready_lists *lists)
{
    lists->packed_anew = 0;
}

static bool
list_is(const struct ready_list *list, group_line_func *line,
        const char *readable)
{
    if (list->line != line)
        return false;
    if (list->readable == NULL || readable == NULL)
        return list->readable == readable;
    return strcmp(list->readable, readable) == 0;
}

/* The list itself, in place of the one that nobody has wanted for longest. */
static struct ready_list *
list_find(struct ready_lists *lists, group_line_func *line,
          const char *readable)
{
    struct ready_list *list = lists->list;

    for (size_t i = 0; i < READY_LISTS; i++) {
        if (list_is(&lists->list[i], line, readable)) {
            list = &lists->list[i];
            break;
        }
        if (lists->list[i].used < list->used)
            list = &lists->list[i];
    }
    if (!list_is(list, line, readable)) {
        list_clear(list);
        list->line = line;
        list->readable = readable == NULL ? NULL : xstrdup(readable);
    }
    list->used = ++lists->clock;
    return list;
}

static struct ready_block *
list_block(struct ready_list *list, uint32_t block)
{
    if (block >= list->block_count) {
        list->blocks =
            xreallocarray(list->blocks, block + 1, sizeof *list->blocks);
        for (; list->block_count <= block; list->block_count++)
            list->blocks[list->block_count] =
                (struct ready_block){.changes = NEVER_MADE};
    }
    return &list->blocks[block];
}

static void
block_make(struct ready_lists *lists, struct ready_block *block,
           uint32_t number, group_line_func *line, const struct access *access)
{
    uint32_t first = number * ACTIVE_BLOCK;
    uint32_t last = active_count(lists->active);

    if (last > first + ACTIVE_BLOCK - 1)
        last = first + ACTIVE_BLOCK - 1;
    buffer_clear(&block->text);
    buffer_clear(&block->packed);
    for (uint32_t group = first > 0 ? first : 1; group <= last; group++)
        if (group_list_names(lists->active, access, group))
            line(lists->active, group, &block->text);
}

static struct ready_block *
block_find(struct ready_lists *lists, group_line_func *line,
           const struct access *access, uint32_t number, unsigned *rows_r)
{
    struct ready_block *block =
        list_block(list_find(lists, line, access->readable), number);
    uint64_t changes = active_block_changes(lists->active, number);

    *rows_r = KEPT_ROWS;
    if (block->changes != changes || changes % 2 != 0) {
        block_make(lists, block, number, line, access);
        block->changes = changes;
        *rows_r = ACTIVE_BLOCK;
    }
    return block;
}

const struct ready_block *
ready_lists_block(struct ready_lists *lists, group_line_func *line,
                  const struct access *access, uint32_t block,
                  unsigned *rows_r)
{
    return block_find(lists, line, access, block, rows_r);
}

const struct ready_block *
ready_lists_packed_block(struct ready_lists *lists, group_line_func *line,
                         const struct access *access, uint32_t block,
                         unsigned *rows_r)
{
    struct ready_block *found = block_find(lists, line, access, block, rows_r);

    if (found->packed.used == 0 && found->text.used > 0
        && lists->packed_anew < READY_PACKED_ANEW) {
        lists->packed_anew++;
        if (deflate_alone(found->text.data, found->text.used, &found->packed)
            < 0)
            buffer_clear(&found->packed);
    }
    return found;
}
