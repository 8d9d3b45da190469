#include "storage/commit.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "storage/active.h"

enum {
    /* Rows of a removed group that go in one transaction. */
    PURGE_LINES = 256,
};

void
commit_purge(struct store *store, uint32_t id, uint64_t to)
{
    struct purge *purge = xmalloc(sizeof(*purge));

    *purge = (struct purge){.group = id, .from = 1, .to = to};
    pthread_mutex_lock(&store->lock);
    purge->next = store->purges;
    store->purges = purge;
    pthread_mutex_unlock(&store->lock);
}

bool
commit_is_purging(struct store *store, uint32_t id)
{
    const struct purge *purge;

    pthread_mutex_lock(&store->lock);
    purge = store->purges;
    while (purge != NULL && purge->group != id)
        purge = purge->next;
    pthread_mutex_unlock(&store->lock);
    return purge != NULL;
}

bool
commit_is_purging_any(struct store *store)
{
    bool due;

    pthread_mutex_lock(&store->lock);
    due = store->purges != NULL;
    pthread_mutex_unlock(&store->lock);
    return due;
}

/* What a reader's answer says, copied out of it. */
struct found_lines {
    int status;
    size_t count;
    struct {
        uint64_t number;
        uint64_t sequence;
    } lines[PURGE_LINES];
};

static void
lines_found(void *context, const struct overview_answer *answer)
{
    struct found_lines *found = context;

    found->status = answer->status;
    for (size_t i = 0; i < answer->count && found->count < PURGE_LINES; i++) {
        found->lines[found->count].number = answer->lines[i].number;
        found->lines[found->count++].sequence = answer->lines[i].sequence;
    }
}

/* Ask the overview as a reader does; blocks (this thread has no loop). */
static int
reader_ask(struct store *store, const struct overview_query *query,
           struct found_lines *found, struct buffer *why)
{
    struct overview_request *request;

    if (store->reader == NULL)
        store->reader =
            overview_reader_open(store->overview_url, store->pathoverview,
                                 store->active, NULL, why);
    if (store->reader == NULL)
        return -1;
    do {
        found->status = -1;
        found->count = 0;
        request = overview_ask(store->reader, query, lines_found, found);
        overview_reader_turn_ended(store->reader);
        assert(request == NULL && "without a loop the answer comes at once");
        (void)request;
        if (found->status < 0)
            why_set(why, "the overview cannot be read");
    } while (found->status < 0 && overview_is_back(store, why));
    return found->status < 0 ? -1 : 0;
}

static int
purge_lines(struct store *store, uint32_t id, const struct found_lines *found,
            struct buffer *why)
{
    if (transaction_begin(store, why) < 0)
        return -1;
    for (size_t i = 0; i < found->count; i++) {
        struct record_group place = {.group = id,
                                     .number = found->lines[i].number};

        /* The article itself stays, for whoever asks by message-ID. */
        if (overview_remove(store->overview, found->lines[i].sequence, &place,
                            1, false, why)
            < 0)
            return -1;
    }
    return transaction_end(store, why);
}

/* The next lines of the first removed group in the list. */
int
purge_step(struct store *store, struct buffer *why)
{
    struct purge *purge;
    struct found_lines found;
    struct overview_query query = {.question = OVERVIEW_RANGE};
    struct purge **at;

    pthread_mutex_lock(&store->lock);
    purge = store->purges;
    pthread_mutex_unlock(&store->lock);
    if (purge == NULL)
        return 0;
    query.group = purge->group;
    query.low = purge->from;
    query.high = purge->to;
    query.limit = PURGE_LINES;
    if (transaction_end(store, why) < 0
        || reader_ask(store, &query, &found, why) < 0)
        return -1;
    if (found.count > 0) {
        if (purge_lines(store, purge->group, &found, why) < 0)
            return -1;
        purge->from = found.lines[found.count - 1].number + 1;
        active_note_removal(store->active);
        return 0;
    }
    pthread_mutex_lock(&store->lock);
    for (at = &store->purges; *at != purge; at = &(*at)->next)
        ;
    *at = purge->next;
    pthread_mutex_unlock(&store->lock);
    free(purge);
    wake_caller(store);
    return 0;
}

int
find_low(struct store *store, uint32_t id, uint64_t from, uint64_t high,
         uint64_t *low_r, struct buffer *why)
{
    struct overview_query query = {
        .question = OVERVIEW_NEXT,
        .group = id,
        .low = from,
        .high = high,
        .limit = 1,
    };
    struct found_lines found = {.count = 0};

    if (from <= high && reader_ask(store, &query, &found, why) < 0)
        return -1;
    *low_r = found.count > 0 ? found.lines[0].number : high + 1;
    return 0;
}
