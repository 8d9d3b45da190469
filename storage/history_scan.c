#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/thread.h"
#include "storage/history_private.h"

enum {
    /* Entries looked at while nobody else may, and the pause behind them. */
    SCAN_ENTRIES = 256,
    SCAN_PAUSE_NS = 1000000,
    SCAN_NICE = 19,
    /* An entry takes more than 48 octets of the file; half as many again may
       come. */
    FILE_OCTETS_PER_ID = 32,
    /* Of the cache, for which the filter is made for one more ID: it takes
       a tenth of that. */
    CACHE_OCTETS_PER_ID = 16,
};

/* How many IDs a filter is made for.  Not as many as were put into the last
   one: most of those may have been forgotten since. */
static size_t
ids_expected(const struct history *history)
{
    char *file = xasprintf("%s/" HISTORY_DATABASE_NAME, history->path);
    size_t expected = history->cache_octets / CACHE_OCTETS_PER_ID;
    size_t there = 2 * (history->filling.count + history->frozen.count);
    struct stat st;

    if (stat(file, &st) == 0)
        there += (size_t)st.st_size / FILE_OCTETS_PER_ID;
    free(file);
    return there > expected ? there : expected;
}

/*
 * What is in Berkeley DB is read by a thread of low priority, a few entries at
 * a time from where it was on.  What is in memory when it begins, and may get
 * there behind its back, is put into the filter at once, and what is put
 * meanwhile too; so nothing is missing when the thread has come to the end.
 */
static void
scan_begin(struct history *history)
{
    const struct history_recent *tables[] = {&history->filling,
                                             &history->frozen};

    history->next = history_filter_new(ids_expected(history));
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < tables[t]->count; i++)
            history_filter_put(history->next, &tables[t]->entries[i].hash);
    history->scan_from = (struct message_hash){{0}};
    pthread_cond_signal(&history->scan_wake);
}

/* More than it was made for: another one is filled beside it.  Not once the
   thread has given up. */
void
history_scan_again(struct history *history)
{
    struct history_filter *filter = history->filter;

    if (filter != NULL && history->next == NULL && !history->scan_ends
        && history_filter_count(filter) > history_filter_capacity(filter))
        scan_begin(history);
}

/* One piece; with the mutex held. */
static int
scan_piece(struct history *history, struct history_entry *entries)
{
    size_t count;
    int error = history_list_stored(history, &history->scan_from, entries,
                                    SCAN_ENTRIES, &count);

    if (error != 0)
        return error;
    for (size_t i = 0; i < count; i++)
        history_filter_put(history->next, &entries[i].hash);
    if (count > 0)
        history->scan_from = entries[count - 1].hash;
    if (count == SCAN_ENTRIES && message_hash_next(&history->scan_from))
        return 0;
    history_filter_free(&history->filter);
    history->filter = history->next;
    history->next = NULL;
    return 0;
}

static void *
scan_run(void *context)
{
    const struct timespec pause = {.tv_nsec = SCAN_PAUSE_NS};
    struct history *history = context;
    struct history_entry *entries = xcalloc(SCAN_ENTRIES, sizeof(*entries));
    struct buffer why = BUFFER_EMPTY;
    int error = 0;

    /* Of this thread alone; that it cannot be had is no reason to stop. */
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), SCAN_NICE) < 0)
        syswarn("history: nice");
    pthread_mutex_lock(&history->mutex);
    while (!history->scan_ends && error == 0) {
        if (history->next == NULL) {
            pthread_cond_wait(&history->scan_wake, &history->mutex);
            continue;
        }
        error = scan_piece(history, entries);
        pthread_mutex_unlock(&history->mutex);
        (void)nanosleep(&pause, NULL);
        pthread_mutex_lock(&history->mutex);
    }
    history->scan_ends = true;
    history_filter_free(&history->next);
    pthread_mutex_unlock(&history->mutex);
    if (error != 0) {
        history_fail(history, error, "filter", &why);
        warn("%s", buffer_text(&why));
    }
    buffer_free(&why);
    free(entries);
    return NULL;
}

void
history_scan_start(struct history *history)
{
    int error;

    scan_begin(history);
    error = thread_begin(&history->scan, scan_run, history);
    history->scans = error == 0;
    if (error != 0) {
        warn("history: no thread for the filter: %s", strerror(error));
        history_filter_free(&history->next);
    }
}

void
history_scan_stop(struct history *history)
{
    if (!history->scans)
        return;
    pthread_mutex_lock(&history->mutex);
    history->scan_ends = true;
    pthread_cond_signal(&history->scan_wake);
    pthread_mutex_unlock(&history->mutex);
    pthread_join(history->scan, NULL);
}
