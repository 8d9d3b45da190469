#include "storage/overview_cache.h"

#include <stdlib.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/overview_block.h"

struct cached_block {
    int64_t key;
    uint64_t removals;
    struct buffer data; /* empty: none is kept here */
};

struct overview_cache {
    const struct active *active;
    struct cached_block *blocks; /* direct-mapped; NULL: none yet */
};

struct overview_cache *
overview_cache_new(const struct active *active)
{
    struct overview_cache *cache = xcalloc(1, sizeof(*cache));

    cache->active = active;
    return cache;
}

void
overview_cache_free(struct overview_cache **cache)
{
    if (*cache == NULL)
        return;
    for (size_t i = 0; (*cache)->blocks != NULL && i < OVERVIEW_CACHE_BLOCKS;
         i++)
        buffer_free(&(*cache)->blocks[i].data);
    free((*cache)->blocks);
    free(*cache);
    *cache = NULL;
}

/* Neighbours of one group lie beside one another, groups apart. */
static struct cached_block *
cache_place(const struct overview_cache *cache, int64_t key)
{
    uint64_t place = (uint64_t)key + ((uint64_t)key >> 32) * 0x9e3779b1;

    return &cache->blocks[place % OVERVIEW_CACHE_BLOCKS];
}

void
overview_cache_put(struct overview_cache *cache, int64_t key,
                   uint64_t removals, const void *data, size_t octets)
{
    struct cached_block *block;

    if (octets > OVERVIEW_CACHE_BLOCK_OCTETS)
        return;
    if (cache->blocks == NULL)
        cache->blocks = xcalloc(OVERVIEW_CACHE_BLOCKS, sizeof(*cache->blocks));
    block = cache_place(cache, key);
    block->key = key;
    block->removals = removals;
    buffer_clear(&block->data);
    buffer_append(&block->data, data, octets);
}

bool
overview_cache_find(const struct overview_cache *cache, uint32_t group,
                    uint64_t number, struct overview_line *line_r)
{
    int64_t key = overview_block_key(group, number);
    const struct cached_block *block;

    if (cache->blocks == NULL)
        return false;
    block = cache_place(cache, key);
    return block->data.used > 0 && block->key == key
           && block->removals == active_removals(cache->active)
           && overview_block_find(block->data.data, number, line_r);
}
