#include "storage/history_filter.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

enum {
    BITS_PER_ENTRY = 12,
    PROBES = 7, /* of 9 bits each, from 64 */
    LINE_WORDS = 8,
    LINE_BITS = 512,
    PROBE_BITS = 9,
};

struct history_filter {
    uint64_t (*lines)[LINE_WORDS];
    size_t line_count, capacity, count;
};

struct history_filter *
history_filter_new(size_t capacity)
{
    struct history_filter *filter = xcalloc(1, sizeof(*filter));

    filter->capacity = capacity;
    filter->line_count = capacity / LINE_BITS * BITS_PER_ENTRY + 1;
    filter->lines = xcalloc(filter->line_count, sizeof(*filter->lines));
    return filter;
}

void
history_filter_free(struct history_filter **filter)
{
    struct history_filter *old = *filter;

    if (old == NULL)
        return;
    free(old->lines);
    free(old);
    *filter = NULL;
}

/* Which line, and the bits of it. */
static uint64_t *
line_of(const struct history_filter *filter, const struct message_hash *hash,
        uint64_t bits[LINE_WORDS])
{
    uint64_t line, probes;

    memcpy(&line, hash->octets, sizeof(line));
    memcpy(&probes, hash->octets + 8, sizeof(probes));
    memset(bits, 0, LINE_WORDS * sizeof(*bits));
    for (int i = 0; i < PROBES; i++, probes >>= PROBE_BITS) {
        uint64_t bit = probes % LINE_BITS;

        bits[bit / 64] |= UINT64_C(1) << bit % 64;
    }
    return filter->lines[line % filter->line_count];
}

void
history_filter_put(struct history_filter *filter,
                   const struct message_hash *hash)
{
    uint64_t bits[LINE_WORDS], added = 0;
    uint64_t *line = line_of(filter, hash, bits);

    for (int i = 0; i < LINE_WORDS; i++) {
        added |= bits[i] & ~line[i];
        line[i] |= bits[i];
    }
    if (added != 0)
        filter->count++;
}

bool
history_filter_has(const struct history_filter *filter,
                   const struct message_hash *hash)
{
    uint64_t bits[LINE_WORDS], missing = 0;
    const uint64_t *line = line_of(filter, hash, bits);

    for (int i = 0; i < LINE_WORDS; i++)
        missing |= bits[i] & ~line[i];
    return missing == 0;
}

size_t
history_filter_capacity(const struct history_filter *filter)
{
    return filter->capacity;
}

size_t
history_filter_count(const struct history_filter *filter)
{
    return filter->count;
}
