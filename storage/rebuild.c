#include "storage/rebuild.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/directory.h"
#include "storage/store_private.h"

enum {
    LOCK_WAIT_SECONDS = 5, /* a writer that is just ending gets so long */
    PURGE_POLL_NS = 10 * 1000 * 1000,
};

struct rebuilding {
    const struct config *config;
    const volatile sig_atomic_t *interrupted;
    bool quiet;
    char *pathdb; /* where the new history is made */
    char *state;  /* the file that says of which spool */
    bool resume;
};

/* --- may what was begun be gone on with? --- */

static void
ignore_fault(void *context, const struct spool_fault *fault)
{
    (void)context;
    (void)fault; /* the walk says it in the log */
}

/*
 * The file names the segments that were there.  While all of them are, every
 * token in what was begun holds.
 */
static bool
segments_are_there(const char *state, const struct spool *spool)
{
    FILE *file = fopen(state, "re");
    char line[32];
    bool all = file != NULL;

    while (all && fgets(line, sizeof(line), file) != NULL)
        all = spool_has_segment(spool, (uint32_t)strtoul(line, NULL, 16));
    if (file != NULL)
        fclose(file);
    return all;
}

static int
segments_write(const char *state, const struct spool *spool,
               struct buffer *why)
{
    struct buffer text = BUFFER_EMPTY;
    uint32_t number = 0;
    int status;

    while ((number = spool_next_segment(spool, number)) != 0)
        buffer_append_format(&text, "%08" PRIx32 "\n", number);
    status = file_replace(state, &text, why);
    buffer_free(&text);
    return status;
}

/* --- the places --- */

/* The store's secret, for the store that is opened there. */
static int
key_link(const struct rebuilding *rebuilding, struct buffer *why)
{
    char *key = xasprintf("%s/key", rebuilding->config->pathdb);
    char *new = xasprintf("%s/key", rebuilding->pathdb);
    int status = 0;

    if (link(key, new) < 0 && errno != EEXIST)
        status = why_set_errno(why, "%s", key);
    free(key);
    free(new);
    return status;
}

/* The new history's directory has one in it. */
static int
place_empty(const struct rebuilding *rebuilding, struct buffer *why)
{
    char *history = xasprintf("%s/history", rebuilding->pathdb);
    int status = directory_remove(history, why) < 0
                         || directory_remove(rebuilding->pathdb, why) < 0
                     ? -1
                     : 0;

    free(history);
    if (status == 0 && mkdir(rebuilding->pathdb, 0750) < 0)
        status = why_set_errno(why, "%s", rebuilding->pathdb);
    return status;
}

/*
 * Find out whether there is something to go on with; else begin.  The file is
 * written last: without it what is there is never gone on with.
 */
static int
prepare(struct rebuilding *rebuilding, char **pathoverview_r,
        struct buffer *why)
{
    const struct config *config = rebuilding->config;
    struct spool *spool =
        spool_open_reading(config->pathspool, true, ignore_fault, NULL, why);
    int status = 0;

    if (spool == NULL)
        return -1;
    rebuilding->resume = segments_are_there(rebuilding->state, spool);
    if (!rebuilding->resume)
        status = place_empty(rebuilding, why);
    if (status == 0) {
        *pathoverview_r = overview_rebuild_begin(
            config->overview, config->pathoverview, rebuilding->resume, why);
        if (*pathoverview_r == NULL || key_link(rebuilding, why) < 0
            || (!rebuilding->resume
                && segments_write(rebuilding->state, spool, why) < 0))
            status = -1;
    }
    spool_close(&spool);
    return status;
}

/* --- filling them --- */

/* Rows of removed groups go in the background; here somebody waits for it. */
static int
purges_end(const struct rebuilding *rebuilding, struct store *store,
           struct buffer *why)
{
    const struct timespec pause = {.tv_nsec = PURGE_POLL_NS};

    while (commit_is_purging_any(store)) {
        if (store_reap(store, why) < 0)
            return -1;
        if (*rebuilding->interrupted)
            return why_set(why, "interrupted");
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* What a start does with indices that are missing, at another place. */
static int
fill(const struct rebuilding *rebuilding, char *pathoverview,
     struct buffer *why)
{
    struct config config = *rebuilding->config;
    struct active *active = active_new((size_t)config.groups_max);
    struct store *store;
    int status;

    config.pathdb = rebuilding->pathdb;
    config.pathoverview = pathoverview;
    store = store_new(&config, active);
    store->rebuilds = true;
    store->quiet = rebuilding->quiet;
    store->interrupted = rebuilding->interrupted;
    if (store_start(store, &config, LOCK_WAIT_SECONDS, why) < 0) {
        store_free(&store);
        status = -1;
    } else {
        status = purges_end(rebuilding, store, why);
        store_close(&store);
    }
    active_close(&active);
    return status;
}

int
rebuild(const struct config *config, bool quiet,
        const volatile sig_atomic_t *interrupted, struct buffer *why)
{
    struct rebuilding rebuilding = {
        .config = config,
        .interrupted = interrupted,
        .quiet = quiet,
        .pathdb = xasprintf("%s/rebuild", config->pathdb),
        .state = xasprintf("%s/rebuild/segments", config->pathdb),
    };
    char *pathoverview = NULL;
    int status = -1;

    if (prepare(&rebuilding, &pathoverview, why) == 0) {
        if (rebuilding.resume)
            notice("rebuild: going on with what was begun");
        if (fill(&rebuilding, pathoverview, why) == 0
            && overview_rebuild_end(config->overview, config->pathoverview,
                                    why)
                   == 0
            && history_adopt(config->pathdb, rebuilding.pathdb, why) == 0)
            status = directory_remove(rebuilding.pathdb, why);
    }
    free(pathoverview);
    free(rebuilding.state);
    free(rebuilding.pathdb);
    return status;
}
