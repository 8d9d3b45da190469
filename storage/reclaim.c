#include "storage/reclaim_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/cursor.h"

enum {
    /* The writer's other threads come first. */
    RECLAIM_NICE = 10,
    /* Entries of the history that an upkeep lists while nobody else may look:
       some ms.  Each time it goes through all that it has in memory. */
    ENTRIES_LISTED = 1024,
    /* A reader may hold up a checkpoint for a while. */
    CHECKPOINT_MS = 60 * 1000,
    RECORD_SPARE_OCTETS = 256,
};

void
reclaim_init(struct store *store)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->reclaim.wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Forget what the last one had collected. */
static void
reclaim_clear(struct reclaim *reclaim)
{
    for (size_t i = 0; i < reclaim->record_count; i++)
        buffer_free(&reclaim->records[i].payload);
    reclaim->record_count = 0;
    reclaim->carried = 0;
    reclaim->move_count = 0;
    reclaim->moved = 0;
    reclaim->drains = false;
    reclaim->last_sequence = 0;
    reclaim->refused = false;
    reclaim->upkeep = false;
    reclaim->status = 0;
    buffer_clear(&reclaim->answer);
}

void
reclaim_free(struct store *store)
{
    struct reclaim *reclaim = &store->reclaim;

    reclaim_clear(reclaim);
    free(reclaim->moves);
    free(reclaim->records);
    buffer_free(&reclaim->answer);
    pthread_cond_destroy(&reclaim->wake);
}

/* --- whose turn it is --- */

enum reclaim_stage
reclaim_stage_of(struct store *store)
{
    enum reclaim_stage stage;

    pthread_mutex_lock(&store->lock);
    stage = store->reclaim.stage;
    pthread_mutex_unlock(&store->lock);
    return stage;
}

void
reclaim_stage_set(struct store *store, enum reclaim_stage stage)
{
    pthread_mutex_lock(&store->lock);
    store->reclaim.stage = stage;
    pthread_cond_signal(&store->reclaim.wake);
    pthread_cond_signal(&store->index_wake);
    pthread_mutex_unlock(&store->lock);
    if (stage == RECLAIM_CARRY || stage == RECLAIM_DONE)
        wake_caller(store);
}

/* The thread waits until it is at this stage.  -1 with why: the store ends. */
static int
stage_wait(struct store *store, enum reclaim_stage stage, struct buffer *why)
{
    bool ends;

    pthread_mutex_lock(&store->lock);
    while (store->reclaim.stage != stage && !store->stopping && !store->broken)
        pthread_cond_wait(&store->reclaim.wake, &store->lock);
    ends = store->stopping || store->broken;
    pthread_mutex_unlock(&store->lock);
    return ends ? why_set(why, "the store is closing") : 0;
}

/* Another thread does its part. */
static int
turn_give(struct store *store, enum reclaim_stage stage,
          enum reclaim_stage until, struct buffer *why)
{
    reclaim_stage_set(store, stage);
    return stage_wait(store, until, why);
}

/* --- the steps --- */

static int
survivors_copy(struct look *look, struct buffer *why)
{
    struct reclaim *reclaim = look->reclaim;
    struct compaction *compaction;
    int status = 0;

    if (look->survivor_count == 0)
        return 0;
    compaction = compaction_begin(look->store->spool, look->survivors,
                                  reclaim->now, why);
    if (compaction == NULL)
        return -1;
    for (size_t i = 0; i < reclaim->move_count && status == 0; i++)
        if (look->from[i].segment != 0)
            status = compaction_add(compaction, &look->from[i],
                                    reclaim->moves[i].sequence,
                                    &reclaim->moves[i].token, why);
    if (status == 0)
        status = compaction_finish(compaction, why);
    compaction_free(&compaction);
    return status;
}

/* Both indices make what they have durable. */
static int
checkpoint_wait(struct store *store, struct buffer *why)
{
    struct reclaim *reclaim = &store->reclaim;
    int64_t until = clock_ms() + CHECKPOINT_MS;
    uint64_t wanted;
    bool done;

    pthread_mutex_lock(&store->lock);
    wanted = ++reclaim->checkpoint;
    pthread_cond_broadcast(&store->checkpoint_wake);
    for (;;) {
        done = reclaim->overview_kept >= wanted
               && reclaim->history_kept >= wanted;
        if (done || store->stopping || store->broken || clock_ms() >= until)
            break;
        wait_until(&reclaim->wake, &store->lock, until);
    }
    pthread_mutex_unlock(&store->lock);
    return done ? 0 : why_set(why, "the indices made no checkpoint in time");
}

static int
segment_take(struct look *look, struct buffer *why)
{
    struct store *store = look->store;

    reclaim_look_records(look);
    if (survivors_copy(look, why) < 0
        || turn_give(store, RECLAIM_MOVING, RECLAIM_MOVED, why) < 0)
        return -1;
    if (look->reclaim->record_count > 0
        && turn_give(store, RECLAIM_CARRY, RECLAIM_CARRIED, why) < 0)
        return -1;
    if (look->reclaim->refused)
        return why_set(why, "there is no room for what must be kept");
    if (checkpoint_wait(store, why) < 0)
        return -1;
    return spool_remove(store->spool, look->segment.number, why);
}

/* Which segment it is; -1 with why when it cannot go. */
static int
segment_find(struct look *look, struct buffer *why)
{
    struct store *store = look->store;
    uint32_t open, end;
    uint64_t sequence;

    if (spool_list(store->pathspool, &look->all, &look->all_count, why) < 0)
        return -1;
    active_durable(store->active, &open, &end, &sequence);
    for (size_t i = 0; i < look->all_count; i++) {
        if (look->all[i].number != look->reclaim->segment)
            continue;
        look->segment = look->all[i];
        if (look->segment.storage_class == CLASS_LOG
            && look->segment.number >= open)
            return why_set(why, "it is being written");
        return 0;
    }
    return why_set(why, "there is no such segment");
}

/* What the moderators' queue has read. */
static uint64_t
moderated_read(const struct store *store)
{
    char *path = xasprintf("%s/moderation/cursor", store->pathdb);
    struct log_position position = {.sequence = 0};
    struct cursor *cursor = NULL;
    uint64_t sequence = 0;

    if (access(path, R_OK) == 0)
        cursor = cursor_open(path, NULL);
    if (cursor != NULL && cursor_read(cursor, &position) > 0)
        sequence = position.sequence;
    cursor_close(&cursor);
    free(path);
    return sequence;
}

/* --- upkeep --- */

/* Of these entries, those whose time is over go, some in a turn. */
static int
overdue_drop(struct look *look, const struct history_entry *entries,
             size_t count, size_t *forgotten, struct buffer *why)
{
    const struct token nowhere = {0};
    struct reclaim *reclaim = look->reclaim;

    for (size_t i = 0; i < count;) {
        reclaim_clear(reclaim);
        for (; i < count && reclaim->move_count < MOVES_PER_TURN; i++)
            if (entries[i].fate != HISTORY_STORED
                && entries[i].fate != HISTORY_SUBMITTED
                && entries[i].until <= reclaim->now)
                reclaim_look_move(look, &entries[i].hash, entries[i].sequence,
                                  &nowhere, NULL);
        if (reclaim->move_count > 0
            && turn_give(look->store, RECLAIM_MOVING, RECLAIM_MOVED, why) < 0)
            return -1;
        *forgotten += reclaim->move_count;
    }
    return 0;
}

/* The whole history, some entries at a time. */
static int
overdue_forget(struct look *look, size_t *forgotten, struct buffer *why)
{
    struct history *history = look->store->history;
    struct history_entry *entries = xcalloc(ENTRIES_LISTED, sizeof(*entries));
    struct message_hash from = {{0}};
    int count, status = 0;

    while (
        status == 0
        && (count = history_list(history, &from, entries, ENTRIES_LISTED, why))
               != 0) {
        status = count < 0 ? -1
                           : overdue_drop(look, entries, (size_t)count,
                                          forgotten, why);
        if (status < 0)
            break;
        from = entries[count - 1].hash;
        if (!message_hash_next(&from))
            break;
    }
    free(entries);
    return status;
}

static void
reclaim_upkeep(struct store *store)
{
    struct reclaim *reclaim = &store->reclaim;
    struct look look = {.store = store, .reclaim = reclaim};
    struct buffer why = BUFFER_EMPTY;
    size_t forgotten = 0;
    int status = overdue_forget(&look, &forgotten, &why);

    reclaim_clear(reclaim);
    reclaim->upkeep = true;
    if (status == 0)
        status = turn_give(store, RECLAIM_MOVING, RECLAIM_MOVED, &why);
    if (status == 0)
        status = checkpoint_wait(store, &why);
    reclaim->status = status;
    if (status < 0)
        buffer_append_format(&reclaim->answer, "upkeep: %s",
                             buffer_text(&why));
    else
        buffer_append_format(&reclaim->answer, "forgotten=%zu", forgotten);
    free(look.from);
    buffer_free(&why);
}

/* --- one segment --- */

static void
reclaim_segment(struct store *store)
{
    struct reclaim *reclaim = &store->reclaim;
    struct look look = {.store = store, .reclaim = reclaim};
    struct buffer why = BUFFER_EMPTY;
    int status;

    reclaim_clear(reclaim);
    look.moderated = moderated_read(store);
    look.lows_size = active_count(store->active) + 1;
    look.lows = xcalloc(look.lows_size, sizeof(*look.lows));
    status = segment_find(&look, &why);
    if (status == 0)
        status = reclaim_look_segment(&look, &why);
    if (status == 0)
        buffer_append_format(&reclaim->answer, "kept: alive=%" PRIu64,
                             look.survivors);
    else if (status > 0)
        status = segment_take(&look, &why);
    if (status < 0) {
        reclaim->status = -1;
        buffer_append_format(&reclaim->answer,
                             "segment %08" PRIx32 " stays: %s",
                             reclaim->segment, buffer_text(&why));
    } else if (reclaim->answer.used == 0) {
        buffer_append_format(&reclaim->answer,
                             "%s: octets=%" PRIu64 " alive=%" PRIu64
                             " remembered=%zu",
                             look.survivor_count > 0 ? "compacted" : "removed",
                             look.segment.octets, look.survivors,
                             look.remembered.used / sizeof(struct remembered));
        notice("store: segment %08" PRIx32 " %s", reclaim->segment,
               buffer_text(&reclaim->answer));
    }
    free(look.all);
    free(look.from);
    free(look.lows);
    buffer_free(&look.remembered);
    buffer_free(&look.ranges);
    buffer_free(&why);
}

void *
reclaim_run(void *context)
{
    struct store *store = context;

    /* Of this thread alone; that it cannot be had is no reason to stop. */
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), RECLAIM_NICE) < 0)
        syswarn("store: nice");
    while (stage_wait(store, RECLAIM_WANTED, NULL) == 0) {
        if (store->reclaim.segment == 0)
            reclaim_upkeep(store);
        else
            reclaim_segment(store);
        reclaim_stage_set(store, RECLAIM_DONE);
    }
    return NULL;
}

/* --- the checkpoint threads' part --- */

uint64_t
reclaim_checkpoint(struct store *store)
{
    uint64_t checkpoint;

    pthread_mutex_lock(&store->lock);
    checkpoint = store->reclaim.checkpoint;
    pthread_mutex_unlock(&store->lock);
    return checkpoint;
}

void
reclaim_note_checkpoint(struct store *store, uint64_t *kept,
                        uint64_t checkpoint)
{
    pthread_mutex_lock(&store->lock);
    *kept = checkpoint;
    pthread_cond_signal(&store->reclaim.wake);
    pthread_mutex_unlock(&store->lock);
}

/* --- the caller's thread's part --- */

static void
record_carried(void *context, uint64_t cookie, int status, const char *text)
{
    struct store *store = context;
    struct reclaim *reclaim = &store->reclaim;

    (void)cookie;
    (void)text; /* for a person; the answer says the same */
    reclaim->refused = reclaim->refused || status < 0;
    if (++reclaim->carried == reclaim->record_count)
        reclaim_stage_set(store, RECLAIM_CARRIED);
}

static void
records_carry(struct store *store)
{
    struct reclaim *reclaim = &store->reclaim;
    size_t count = reclaim->record_count;

    for (size_t i = 0; i < count; i++) {
        const struct reclaim_record *record = &reclaim->records[i];
        struct change change = {
            .kind = CHANGE_CARRIED,
            .changed = record_carried,
            .context = store,
        };

        store_make_room(store, record->payload.used + RECORD_SPARE_OCTETS);
        store_append(store, record->type, NULL, NULL, 0, record->payload.data,
                     record->payload.used);
        store_change(store, &change);
    }
}

void
reclaim_reap(struct store *store)
{
    struct reclaim *reclaim = &store->reclaim;
    enum reclaim_stage stage = reclaim_stage_of(store);

    if (stage == RECLAIM_CARRY && reclaim->carried == 0
        && !reclaim->carrying) {
        reclaim->carrying = true;
        records_carry(store);
    }
    if (stage != RECLAIM_DONE)
        return;
    reclaim_stage_set(store, RECLAIM_IDLE);
    reclaim->changed(reclaim->context, reclaim->cookie, reclaim->status,
                     buffer_text(&reclaim->answer));
}

/* Give the thread something to do; segment 0 is an upkeep. */
static void
reclaim_begin(struct store *store, uint32_t segment, uint64_t cookie,
              store_changed_func *changed, void *context)
{
    struct reclaim *reclaim = &store->reclaim;

    if (reclaim_stage_of(store) != RECLAIM_IDLE) {
        changed(context, cookie, -1, "another tool is at work here");
        return;
    }
    reclaim->segment = segment;
    reclaim->now = store_now(store);
    reclaim->cookie = cookie;
    reclaim->changed = changed;
    reclaim->context = context;
    reclaim->carrying = false;
    reclaim_stage_set(store, RECLAIM_WANTED);
}

void
store_upkeep(struct store *store, int words, const char *const *word,
             uint64_t cookie, store_changed_func *changed, void *context)
{
    (void)words;
    (void)word;
    reclaim_begin(store, 0, cookie, changed, context);
}

void
store_reclaim(struct store *store, int words, const char *const *word,
              uint64_t cookie, store_changed_func *changed, void *context)
{
    unsigned long number;
    char *end;

    (void)words;
    errno = 0;
    number = strtoul(word[1], &end, 16);
    if (errno != 0 || *end != '\0' || number == 0 || number > UINT32_MAX) {
        changed(context, cookie, -1, "that is no number of a segment");
        return;
    }
    reclaim_begin(store, (uint32_t)number, cookie, changed, context);
}
