#include "expire/expire_reclaim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expire/expire_tally.h"
#include "expire/expire_walk.h"
#include "expire/target.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"

enum {
    /* The store compacts what is a quarter alive; what is alive by the
       overview is what it will find, give or take a record's head. */
    ALIVE_PERCENT = 25,
};

/* Ask the store, and its next writer where the last one is gone. */
static int
ask(struct target *target, int words, const char *const *word,
    struct buffer *answer, struct buffer *why)
{
    int result;

    while ((result = target_command(target, words, word, answer, why)) < 0
           && target_is_lost(target) && target_reopen(target, why) == 0)
        ;
    return result;
}

int
reclaim_upkeep(struct target *target, struct tally *tally, struct buffer *why)
{
    static const char *const words[] = {"upkeep"};
    struct buffer answer = BUFFER_EMPTY;
    int result = ask(target, 1, words, &answer, why);

    if (result == 0
        && sscanf(buffer_text(&answer), "forgotten=%" SCNu64,
                  &tally->forgotten)
               != 1)
        result = why_set(why, "the writer answers upkeep with \"%s\"",
                         buffer_text(&answer));
    buffer_free(&answer);
    return result;
}

/* 0; -1 with why when the writer is gone for good. */
static int
segment_reclaim(struct target *target, uint32_t number, struct tally *tally,
                struct buffer *why)
{
    char name[16];
    const char *const words[] = {"reclaim", name};
    struct buffer answer = BUFFER_EMPTY;
    int result;

    snprintf(name, sizeof(name), "%08" PRIx32, number);
    result = ask(target, 2, words, &answer, why);
    if (result < 0 && !target_is_lost(target)) {
        notice("%s", buffer_text(why));
        result = 0;
    } else if (result == 0) {
        tally->segments_removed +=
            strncmp(buffer_text(&answer), "removed", 7) == 0;
        tally->segments_compacted +=
            strncmp(buffer_text(&answer), "compacted", 9) == 0;
    }
    buffer_free(&answer);
    return result;
}

int
reclaim_segments(struct target *target, const struct config *config,
                 struct walk *walk, struct tally *tally,
                 const volatile sig_atomic_t *stop, struct buffer *why)
{
    struct spool_segment *segments;
    uint64_t *alive;
    size_t count, last = 0;
    int result;

    if (spool_list(config->pathspool, &segments, &count, why) < 0)
        return -1;
    alive = xcalloc(count + 1, sizeof(*alive));
    result = walk_measure(walk, segments, count, alive, why);
    /* The newest one of the log is being written. */
    for (size_t i = 0; i < count; i++)
        if (segments[i].storage_class == CLASS_LOG)
            last = i;
    for (size_t i = 0; i < count && result == 0 && !*stop; i++)
        if (i != last && alive[i] * 100 <= segments[i].octets * ALIVE_PERCENT)
            result = segment_reclaim(target, segments[i].number, tally, why);
    free(segments);
    free(alive);
    return result;
}
