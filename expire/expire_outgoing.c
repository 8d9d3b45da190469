#include "expire/expire_outgoing.h"

#include <stdlib.h>
#include <string.h>

#include "expire/target.h"
#include "lib/buffer.h"
#include "lib/memory.h"

enum {
    /* What is collected: some MB of memory. */
    COLLECT_ARTICLES = 256 * 1024,
    COLLECT_RANGES = 128 * 1024,
    /*
     * What one batch holds.  So much costs the index thread a few
     * milliseconds, and a poster waits that long behind it at the most.
     */
    BATCH_ARTICLES = 512,
    BATCH_RANGES = 128,
    BATCH_NUMBERS = 4096,
};
_Static_assert((int)BATCH_ARTICLES <= (int)EXPIRY_ARTICLES_MAX
                   && (int)BATCH_RANGES <= (int)EXPIRY_RANGES_MAX,
               "the writer takes it");

/* The range of a group that may go on growing. */
struct open_range {
    uint64_t collection; /* of which it is */
    size_t index;
};

struct outgoing {
    struct target *target;
    int64_t until;
    struct expired_range *ranges; /* owned */
    size_t range_count, range_size;
    struct expired_article *articles; /* owned */
    size_t article_count, article_size;
    uint64_t collection;     /* counts from 1 */
    struct open_range *open; /* by group */
    size_t open_size;
    struct buffer octets;
};

struct outgoing *
outgoing_new(struct target *target, int64_t until)
{
    struct outgoing *outgoing = xcalloc(1, sizeof(*outgoing));

    outgoing->target = target;
    outgoing->until = until;
    outgoing->collection = 1;
    return outgoing;
}

void
outgoing_free(struct outgoing **outgoing)
{
    struct outgoing *old = *outgoing;

    if (old == NULL)
        return;
    free(old->ranges);
    free(old->articles);
    free(old->open);
    buffer_free(&old->octets);
    free(old);
    *outgoing = NULL;
}

/* --- sending --- */

static int
batch_send(struct outgoing *outgoing, struct expired_range *ranges,
           size_t range_count, const struct expired_article *articles,
           size_t article_count, struct buffer *why)
{
    int result;

    buffer_clear(&outgoing->octets);
    expiry_build(&outgoing->octets, outgoing->until, ranges, range_count,
                 articles, article_count);
    /* Doing it twice does no harm: the next writer gets it again. */
    while ((result = target_expire(outgoing->target, outgoing->octets.data,
                                   outgoing->octets.used, why))
               < 0
           && target_is_lost(outgoing->target)
           && target_reopen(outgoing->target, why) == 0)
        ;
    return result;
}

static int
compare_ranges(const void *left, const void *right)
{
    const struct expired_range *a = left;
    const struct expired_range *b = right;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

/* Take at most so many numbers off the beginning of a range. */
static struct expired_range
range_cut(struct expired_range *range, uint64_t numbers)
{
    struct expired_range piece = *range;

    /* At the end of a block, so that none is written twice. */
    if (range->last - range->first >= numbers)
        piece.last = (range->first + numbers) / 64 * 64 - 1;
    range->first = piece.last + 1;
    return piece;
}

static int
ranges_send(struct outgoing *outgoing, struct buffer *why)
{
    struct expired_range batch[BATCH_RANGES];
    size_t count = 0;
    uint64_t numbers = 0;
    int result = 0;

    if (outgoing->range_count > 0)
        qsort(outgoing->ranges, outgoing->range_count,
              sizeof(*outgoing->ranges), compare_ranges);
    for (size_t i = 0; i < outgoing->range_count && result == 0;) {
        struct expired_range *range = &outgoing->ranges[i];

        batch[count] = range_cut(range, BATCH_NUMBERS);
        numbers += batch[count].last - batch[count].first + 1;
        count++;
        if (range->first > range->last)
            i++;
        if (count < BATCH_RANGES && numbers < BATCH_NUMBERS
            && i < outgoing->range_count)
            continue;
        result = batch_send(outgoing, batch, count, NULL, 0, why);
        count = 0;
        numbers = 0;
    }
    return result;
}

static int
articles_send(struct outgoing *outgoing, struct buffer *why)
{
    size_t left;
    int result = 0;

    for (size_t i = 0; i < outgoing->article_count && result == 0;
         i += BATCH_ARTICLES) {
        left = outgoing->article_count - i;
        result =
            batch_send(outgoing, NULL, 0, outgoing->articles + i,
                       left < BATCH_ARTICLES ? left : BATCH_ARTICLES, why);
    }
    return result;
}

int
outgoing_send(struct outgoing *outgoing, struct buffer *why)
{
    int result = 0;

    if (outgoing->target != NULL
        && (ranges_send(outgoing, why) < 0
            || articles_send(outgoing, why) < 0))
        result = -1;
    outgoing->range_count = 0;
    outgoing->article_count = 0;
    outgoing->collection++;
    return result;
}

int
outgoing_make_room(struct outgoing *outgoing, struct buffer *why)
{
    return outgoing->article_count < COLLECT_ARTICLES
                   && outgoing->range_count < COLLECT_RANGES
               ? 0
               : outgoing_send(outgoing, why);
}

/* --- collecting --- */

static struct open_range *
open_of(struct outgoing *outgoing, uint32_t group)
{
    if (group >= outgoing->open_size) {
        size_t size = (size_t)group + 64 + group / 2;

        outgoing->open =
            xreallocarray(outgoing->open, size, sizeof(*outgoing->open));
        memset(outgoing->open + outgoing->open_size, 0,
               (size - outgoing->open_size) * sizeof(*outgoing->open));
        outgoing->open_size = size;
    }
    return &outgoing->open[group];
}

void
outgoing_leaves(struct outgoing *outgoing, uint64_t sequence,
                const struct record_group *place)
{
    struct open_range *open = open_of(outgoing, place->group);
    struct expired_range *range;

    if (open->collection == outgoing->collection) {
        range = &outgoing->ranges[open->index];
        range->last = place->number;
        range->last_sequence = sequence;
        return;
    }
    if (outgoing->range_count == outgoing->range_size) {
        outgoing->range_size = outgoing->range_size * 2 + 256;
        outgoing->ranges = xreallocarray(
            outgoing->ranges, outgoing->range_size, sizeof(*outgoing->ranges));
    }
    open->collection = outgoing->collection;
    open->index = outgoing->range_count;
    outgoing->ranges[outgoing->range_count++] = (struct expired_range){
        .group = place->group,
        .first = place->number,
        .last = place->number,
        .first_sequence = sequence,
        .last_sequence = sequence,
    };
}

void
outgoing_stays(struct outgoing *outgoing, uint32_t group)
{
    open_of(outgoing, group)->collection = 0;
}

void
outgoing_goes(struct outgoing *outgoing, uint64_t sequence,
              const struct message_hash *hash)
{
    if (outgoing->article_count == outgoing->article_size) {
        outgoing->article_size = outgoing->article_size * 2 + 256;
        outgoing->articles =
            xreallocarray(outgoing->articles, outgoing->article_size,
                          sizeof(*outgoing->articles));
    }
    outgoing->articles[outgoing->article_count++] =
        (struct expired_article){.sequence = sequence, .hash = *hash};
}
