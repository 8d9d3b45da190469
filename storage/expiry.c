#include "storage/expiry.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "storage/overview.h"

static int
compare_ranges(const void *left, const void *right)
{
    const struct expired_range *a = left;
    const struct expired_range *b = right;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

/* Does b, which comes behind a, go on where a ends? */
static int
touches(const struct expired_range *a, const struct expired_range *b)
{
    return a->group == b->group && b->first <= a->last + 1;
}

/* Join what touches; returns how many are left. */
static size_t
ranges_join(struct expired_range *ranges, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct expired_range *last = &ranges[kept];

        if (kept == 0 || !touches(--last, &ranges[i])) {
            ranges[kept++] = ranges[i];
            continue;
        }
        if (ranges[i].last > last->last)
            last->last = ranges[i].last;
        if (ranges[i].first_sequence < last->first_sequence)
            last->first_sequence = ranges[i].first_sequence;
        if (ranges[i].last_sequence > last->last_sequence)
            last->last_sequence = ranges[i].last_sequence;
    }
    return kept;
}

void
expiry_build(struct buffer *octets, int64_t until,
             struct expired_range *ranges, size_t range_count,
             const struct expired_article *articles, size_t article_count)
{
    struct expired head = {.article_count = (uint32_t)article_count,
                           .until = until};

    if (range_count > 0)
        qsort(ranges, range_count, sizeof(*ranges), compare_ranges);
    range_count = ranges_join(ranges, range_count);
    head.range_count = (uint32_t)range_count;
    buffer_append(octets, &head, sizeof(head));
    buffer_append(octets, ranges, range_count * sizeof(*ranges));
    buffer_append(octets, articles, article_count * sizeof(*articles));
}

struct expired_range
expiry_range(const struct expiry *expiry, size_t index)
{
    struct expired_range range;

    memcpy(&range, expiry->ranges + index * sizeof(range), sizeof(range));
    return range;
}

struct expired_article
expiry_article(const struct expiry *expiry, size_t index)
{
    struct expired_article article;

    memcpy(&article, expiry->articles + index * sizeof(article),
           sizeof(article));
    return article;
}

static int
ranges_check(const struct expiry *expiry, struct buffer *why)
{
    struct expired_range last = {0};

    for (size_t i = 0; i < expiry->head.range_count; i++) {
        struct expired_range range = expiry_range(expiry, i);

        if (range.group == 0 || range.first == 0 || range.first > range.last
            || range.last >= INT64_MAX || range.first_sequence == 0
            || range.first_sequence > range.last_sequence
            || range.last_sequence > INT64_MAX)
            return why_set(why,
                           "numbers %" PRIu64 "-%" PRIu64
                           " of newsgroup %u are no range",
                           range.first, range.last, (unsigned)range.group);
        if (compare_ranges(&last, &range) >= 0 || touches(&last, &range))
            return why_set(why, "ranges of newsgroup %u are out of order",
                           (unsigned)range.group);
        last = range;
    }
    return 0;
}

int
expiry_parse(struct expiry *expiry, const void *octets, size_t length,
             struct buffer *why)
{
    const char *at = octets;
    struct expired *head = &expiry->head;

    if (length < sizeof(*head))
        return why_set(why, "a batch of removals is cut short");
    memcpy(head, at, sizeof(*head));
    if (head->range_count > EXPIRY_RANGES_MAX
        || head->article_count > EXPIRY_ARTICLES_MAX
        || length
               != sizeof(*head)
                      + head->range_count * sizeof(struct expired_range)
                      + head->article_count * sizeof(struct expired_article))
        return why_set(why,
                       "a batch of %u ranges and %u articles in %zu octets",
                       (unsigned)head->range_count,
                       (unsigned)head->article_count, length);
    expiry->ranges = at + sizeof(*head);
    expiry->articles =
        expiry->ranges + head->range_count * sizeof(struct expired_range);
    for (size_t i = 0; i < head->article_count; i++) {
        uint64_t sequence = expiry_article(expiry, i).sequence;

        if (sequence == 0 || sequence > INT64_MAX)
            return why_set(why, "article %zu of a batch has sequence %" PRIu64,
                           i, sequence);
    }
    return ranges_check(expiry, why);
}

/* --- doing it --- */

struct history_entry
expiry_entry(const struct expiry *expiry, size_t index)
{
    struct expired_article article = expiry_article(expiry, index);

    return (struct history_entry){
        .hash = article.hash,
        .fate = HISTORY_EXPIRED,
        .sequence = article.sequence,
        .until = expiry->head.until,
    };
}

static int
remove_ranges(const struct expiry *expiry, struct overview *overview,
              uint64_t *removed_r, struct buffer *why)
{
    size_t count = expiry->head.range_count;
    struct expired_range *ranges = xcalloc(count + 1, sizeof(*ranges));
    int status;

    for (size_t i = 0; i < count; i++)
        ranges[i] = expiry_range(expiry, i);
    status = overview_remove_ranges(overview, ranges, count, removed_r, why);
    free(ranges);
    return status;
}

static int
drop_articles(const struct expiry *expiry, struct overview *overview,
              struct buffer *why)
{
    size_t count = expiry->head.article_count;
    uint64_t *sequences = xcalloc(count + 1, sizeof(*sequences));
    int status;

    for (size_t i = 0; i < count; i++)
        sequences[i] = expiry_article(expiry, i).sequence;
    status = overview_drop(overview, sequences, count, why);
    free(sequences);
    return status;
}

int
expiry_remove(const struct expiry *expiry, struct overview *overview,
              uint64_t *removed_r, struct buffer *why)
{
    return remove_ranges(expiry, overview, removed_r, why) < 0
                   || drop_articles(expiry, overview, why) < 0
               ? -1
               : 0;
}

/* --- remembered IDs --- */

struct remembered
remembered_at(const void *octets, size_t index)
{
    struct remembered remembered;

    memcpy(&remembered, (const char *)octets + index * sizeof(remembered),
           sizeof(remembered));
    return remembered;
}

int64_t
remembered_count(const void *octets, size_t length, struct buffer *why)
{
    size_t count = length / sizeof(struct remembered);

    if (length % sizeof(struct remembered) != 0)
        return why_set(why, "%zu octets are no list of remembered IDs",
                       length);
    for (size_t i = 0; i < count; i++) {
        struct remembered remembered = remembered_at(octets, i);

        if (remembered.fate <= HISTORY_STORED
            || remembered.fate > HISTORY_CANCELLED
            || remembered.sequence > INT64_MAX)
            return why_set(why, "a remembered ID has fate %u",
                           (unsigned)remembered.fate);
    }
    return (int64_t)count;
}
