#include "expire/expire_outgoing.h"

#include <stdlib.h>
#include <string.h>

#include "expire/target.h"
#include "lib/buffer.h"
#include "lib/memory.h"

enum {
    /* What one batch holds: so many articles cost the index thread some
       milliseconds, and a poster waits that long behind it at the most. */
    BATCH_ARTICLES = 512,
    BATCH_RANGES = 512,
    BATCH_NUMBERS = 2048,
};
_Static_assert((int)BATCH_ARTICLES <= (int)EXPIRY_ARTICLES_MAX
                   && (int)BATCH_RANGES <= (int)EXPIRY_RANGES_MAX,
               "the writer takes it");

/* The range of a group that may go on growing. */
struct open_range {
    uint64_t batch; /* of which batch it is */
    size_t index;
};

struct outgoing {
    struct target *target;
    int64_t until;
    struct expired_range ranges[EXPIRY_RANGES_MAX];
    size_t range_count;
    struct expired_article articles[EXPIRY_ARTICLES_MAX];
    size_t article_count;
    size_t numbers;
    uint64_t batch;          /* counts from 1 */
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
    outgoing->batch = 1;
    return outgoing;
}

void
outgoing_free(struct outgoing **outgoing)
{
    if (*outgoing == NULL)
        return;
    free((*outgoing)->open);
    buffer_free(&(*outgoing)->octets);
    free(*outgoing);
    *outgoing = NULL;
}

int
outgoing_send(struct outgoing *outgoing, struct buffer *why)
{
    int result = 0;

    if (outgoing->range_count + outgoing->article_count > 0
        && outgoing->target != NULL) {
        buffer_clear(&outgoing->octets);
        expiry_build(&outgoing->octets, outgoing->until, outgoing->ranges,
                     outgoing->range_count, outgoing->articles,
                     outgoing->article_count);
        /* Doing it twice does no harm: the next writer gets it again. */
        while ((result = target_expire(outgoing->target, outgoing->octets.data,
                                       outgoing->octets.used, why))
                   < 0
               && target_is_lost(outgoing->target)
               && target_reopen(outgoing->target, why) == 0)
            ;
    }
    outgoing->range_count = 0;
    outgoing->article_count = 0;
    outgoing->numbers = 0;
    outgoing->batch++;
    return result;
}

int
outgoing_make_room(struct outgoing *outgoing, size_t groups,
                   struct buffer *why)
{
    if (outgoing->article_count < BATCH_ARTICLES
        && outgoing->range_count + groups <= BATCH_RANGES
        && outgoing->numbers + groups <= BATCH_NUMBERS)
        return 0;
    return outgoing_send(outgoing, why);
}

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

    outgoing->numbers++;
    if (open->batch == outgoing->batch) {
        range = &outgoing->ranges[open->index];
        range->last = place->number;
        range->last_sequence = sequence;
        return;
    }
    open->batch = outgoing->batch;
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
    open_of(outgoing, group)->batch = 0;
}

void
outgoing_goes(struct outgoing *outgoing, uint64_t sequence,
              const struct message_hash *hash)
{
    outgoing->articles[outgoing->article_count++] =
        (struct expired_article){.sequence = sequence, .hash = *hash};
}
