#include "expire/expire_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/date.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/overview.h"
#include "storage/spool_reader.h"

enum {
    FOUND_MAX = 1024, /* articles asked for at once */
    /* What nearly every head takes, with that of its record. */
    HEAD_OCTETS = 2048,
};

struct found {
    uint64_t sequence;
    struct token token;
};

struct walk {
    struct overview_reader *reader;
    char *pathspool;
    /* what the overview said last */
    struct found found[FOUND_MAX];
    size_t count, next;
    uint64_t next_sequence; /* to be asked for then; 0: no more */
    int status;             /* of the answer */
    struct token located;
    /* the record that was read last */
    int fd;
    uint32_t segment; /* of fd */
    struct buffer octets;
    struct buffer groups;
    struct buffer text;
    uint64_t unreadable;
};

struct walk *
walk_open(const struct config *config, const struct active *active,
          struct buffer *why)
{
    struct walk *walk = xcalloc(1, sizeof(*walk));

    walk->fd = -1;
    walk->next_sequence = 1;
    walk->pathspool = xstrdup(config->pathspool);
    walk->reader = overview_reader_open(config->overview, config->pathoverview,
                                        active, NULL, why);
    if (walk->reader == NULL)
        walk_close(&walk);
    return walk;
}

void
walk_close(struct walk **walk)
{
    struct walk *old = *walk;

    if (old == NULL)
        return;
    overview_reader_close(&old->reader);
    if (old->fd >= 0)
        close(old->fd);
    buffer_free(&old->octets);
    buffer_free(&old->groups);
    buffer_free(&old->text);
    free(old->pathspool);
    free(old);
    *walk = NULL;
}

uint64_t
walk_unreadable(const struct walk *walk)
{
    return walk->unreadable;
}

/* --- what the overview says --- */

static void
note_answer(void *context, const struct overview_answer *answer)
{
    struct walk *walk = context;

    walk->status = answer->status;
    walk->located = answer->token;
    walk->next_sequence = answer->next;
    walk->count = 0;
    walk->next = 0;
    for (size_t i = 0; i < answer->count && i < FOUND_MAX; i++)
        walk->found[walk->count++] = (struct found){
            .sequence = answer->lines[i].sequence,
            .token = answer->lines[i].token,
        };
}

static int
ask(struct walk *walk, const struct overview_query *query,
    overview_done_func *done, void *context, struct buffer *why)
{
    walk->status = -1;
    /* Without a loop the answer has come when this returns. */
    (void)overview_ask(walk->reader, query, done, context);
    overview_reader_turn_ended(walk->reader);
    if (walk->status < 0)
        return why_set(why, "the overview cannot be read");
    return walk->status;
}

static int
ask_more(struct walk *walk, struct buffer *why)
{
    const struct overview_query query = {
        .question = OVERVIEW_SINCE,
        .low = walk->next_sequence,
        .limit = FOUND_MAX,
    };

    return ask(walk, &query, note_answer, walk, why) < 0 ? -1 : 0;
}

static void
note_place(void *context, const struct overview_answer *answer)
{
    struct walk *walk = context;

    walk->status = answer->status;
    walk->located = answer->token;
}

/* Where an article lies now that compaction has moved it: 1, 0, -1. */
static int
locate(struct walk *walk, struct found *found, struct buffer *why)
{
    const struct overview_query query = {.question = OVERVIEW_LOCATE,
                                         .low = found->sequence};
    int status = ask(walk, &query, note_place, walk, why);

    if (status > 0)
        found->token = walk->located;
    return status;
}

struct filed {
    struct walk *walk;
    uint64_t sequence; /* of the article under that number */
};

static void
note_filed(void *context, const struct overview_answer *answer)
{
    struct filed *filed = context;

    filed->walk->status = answer->status;
    filed->sequence = answer->count > 0 ? answer->lines[0].sequence : 0;
}

int
walk_is_filed(struct walk *walk, uint64_t sequence,
              const struct record_group *place, struct buffer *why)
{
    const struct overview_query query = {
        .question = OVERVIEW_RANGE,
        .group = place->group,
        .low = place->number,
        .high = place->number,
        .limit = 1,
    };
    struct filed filed = {.walk = walk};

    if (ask(walk, &query, note_filed, &filed, why) < 0)
        return -1;
    return filed.sequence == sequence;
}

/* --- what the record says --- */

static bool
segment_enter(struct walk *walk, uint32_t segment)
{
    char *name;

    if (walk->fd >= 0 && walk->segment == segment)
        return true;
    if (walk->fd >= 0)
        close(walk->fd);
    name = xasprintf("%s/%08" PRIx32 ".seg", walk->pathspool, segment);
    walk->fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    walk->segment = segment;
    free(name);
    return walk->fd >= 0;
}

/* Have at least so many octets of the record. */
static bool
record_read(struct walk *walk, const struct token *token, size_t octets)
{
    ssize_t got;

    if (octets > token->octets)
        octets = token->octets;
    if (walk->octets.used >= octets)
        return true;
    buffer_clear(&walk->octets);
    got = pread(walk->fd, buffer_reserve(&walk->octets, octets), octets,
                (off_t)token->offset);
    if (got < (ssize_t)octets)
        return false;
    walk->octets.used = octets;
    return true;
}

/* The record of this sequence at its token, with all header fields. */
static bool
record_take(struct walk *walk, const struct found *found,
            struct record *record)
{
    size_t meta, all;

    buffer_clear(&walk->octets);
    if (!segment_enter(walk, found->token.segment)
        || !record_read(walk, &found->token, HEAD_OCTETS)
        || walk->octets.used < sizeof(record->head))
        return false;
    memcpy(&record->head, walk->octets.data, sizeof(record->head));
    if (record->head.magic != RECORD_MAGIC
        || record->head.type != RECORD_ARTICLE
        || record->head.sequence != found->sequence
        || record->head.octets != found->token.octets)
        return false;
    meta = record->head.meta_octets;
    all = sizeof(record->head) + meta + record->head.head_octets;
    return record_read(walk, &found->token, all)
           && record_parse_head(record, walk->octets.data, record->head.octets,
                                NULL)
                  > 0;
}

static int64_t
expires_of(struct walk *walk, const struct record *record)
{
    const char *head = record->meta + record->head.meta_octets;
    struct field_value value;
    int64_t expires;

    if (!head_find(head, record->head.head_octets, "Expires", &value))
        return 0;
    buffer_clear(&walk->text);
    field_unfold(&value, &walk->text);
    if (date_parse(buffer_text(&walk->text), walk->text.used, &expires) < 0)
        return 0;
    /* 0 says that there is no such field; 1970 is as long ago in 1 s. */
    return expires > 0 ? expires : 1;
}

static void
walked_fill(struct walk *walk, const struct record *record,
            struct walked *walked)
{
    buffer_clear(&walk->groups);
    buffer_append(&walk->groups, record->meta, record->head.meta_octets);
    *walked = (struct walked){
        .sequence = record->head.sequence,
        .arrival = record->head.arrival,
        .expires = expires_of(walk, record),
        .hash = record->head.hash,
        .groups = (const struct record_group *)(void *)walk->groups.data,
        .group_count = record_group_count(record),
    };
}

/* The place of a segment in the list, which ascends; count when it is not
   there. */
static size_t
segment_find(const struct spool_segment *segments, size_t count,
             uint32_t number)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (segments[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && segments[low].number == number ? low : count;
}

int
walk_measure(struct walk *walk, const struct spool_segment *segments,
             size_t count, uint64_t *alive_r, struct buffer *why)
{
    memset(alive_r, 0, count * sizeof(*alive_r));
    walk->next_sequence = 1;
    while (walk->next_sequence != 0) {
        if (ask_more(walk, why) < 0)
            return -1;
        for (size_t i = 0; i < walk->count; i++) {
            const struct token *token = &walk->found[i].token;
            size_t segment = segment_find(segments, count, token->segment);

            if (segment < count)
                alive_r[segment] += token->octets;
        }
    }
    return 0;
}

int
walk_next(struct walk *walk, struct walked *walked_r, struct buffer *why)
{
    struct record record;

    for (;;) {
        struct found *found;
        int there = 1;

        while (walk->next == walk->count) {
            if (walk->next_sequence == 0)
                return 0;
            if (ask_more(walk, why) < 0)
                return -1;
        }
        found = &walk->found[walk->next++];
        if (record_take(walk, found, &record)) {
            walked_fill(walk, &record, walked_r);
            return 1;
        }
        /* It was moved or removed since the overview told us. */
        there = locate(walk, found, why);
        if (there < 0)
            return -1;
        if (there == 0)
            continue;
        if (record_take(walk, found, &record)) {
            walked_fill(walk, &record, walked_r);
            return 1;
        }
        if (walk->unreadable++ == 0)
            warn("article %" PRIu64 " cannot be read and stays",
                 found->sequence);
    }
}
