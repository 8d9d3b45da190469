#include "storage/store_private.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/newsgroup.h"
#include "storage/active.h"
#include "storage/store_early.h"

enum {
    SECONDS_PER_DAY = 86400,
    /* With no cutoff of its own a site still meets old articles. */
    REMEMBER_DAYS_DEFAULT = 30,
    /* After no room was found, before it is looked for again. */
    FULL_MS = 1000,
    /* Less than this on the disks of the indices is none; the spool has a
       reserve of its own. */
    INDICES_ROOM_OCTETS = 32 * 1024 * 1024,
    /* With less than this free a disk is full. */
    SPACE_OCTETS = 4 * 1024 * 1024,
    /* The record of a command takes no more than this. */
    COMMAND_OCTETS = 8192,
    /* Of a segment: what is not the record of its one large article. */
    SEGMENT_SPARE_OCTETS = 256 * 1024,
};

/* --- opening and closing --- */

void
store_reconfigure(struct store *store, const struct config *config)
{
    int64_t days =
        config->artcutoff > 0 ? config->artcutoff + 1 : REMEMBER_DAYS_DEFAULT;

    free(store->pathhost);
    store->pathhost = xstrdup(config->pathhost);
    store->remembers_trash = config->remembertrash;
    store->remember_seconds = days * SECONDS_PER_DAY;
    store->docancels = (enum canlock_policy)config->docancels;
}

static void
init_threads(struct store *store)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->flush_wake, &attributes);
    pthread_cond_init(&store->index_wake, &attributes);
    pthread_cond_init(&store->checkpoint_wake, &attributes);
    pthread_condattr_destroy(&attributes);
    queue_open(&store->sealed);
    queue_open(&store->flushed);
    queue_open(&store->done);
    queue_open(&store->mends);
    reclaim_init(store);
}

struct store *
store_new(const struct config *config, struct active *active)
{
    struct store *store = xcalloc(1, sizeof(*store));
    size_t segment = (size_t)config->segment_octets;

    store->active = active;
    store->pathspool = xstrdup(config->pathspool);
    store->pathdb = xstrdup(config->pathdb);
    store->pathoverview = xstrdup(config->pathoverview);
    store->overview_url = xstrdup(config->overview);
    store->groups_max = (size_t)config->groups_max;
    store->article_octets_max = segment / 2 > SEGMENT_SPARE_OCTETS
                                    ? segment - SEGMENT_SPARE_OCTETS
                                    : segment / 2;
    store->commit_octets_max =
        segment / 2 < COMMIT_OCTETS_MAX ? segment / 2 : COMMIT_OCTETS_MAX;
    store->chosen = xcalloc(NEWSGROUPS_RELAYED_MAX, sizeof(*store->chosen));
    store->event_fd = -1;
    store_reconfigure(store, config);
    store_pending_open(&store->pending);
    init_threads(store);
    return store;
}

static int
open_parts(struct store *store, const struct config *config, int wait_seconds,
           struct buffer *why)
{
    /* The lock comes first: what another writer has open is not touched. */
    store->spool =
        spool_open(config->pathspool, (uint64_t)config->segment_octets,
                   wait_seconds, why);
    if (store->spool == NULL)
        return -1;
    store->history = history_open(config->pathdb,
                                  (size_t)config->history_cache_octets, why);
    if (store->history == NULL)
        return -1;
    store->overview =
        overview_open(config->overview, config->pathoverview,
                      (size_t)config->overview_cache_octets, why);
    return store->overview != NULL ? 0 : -1;
}

/* A new segment, and the groups where readers look for them. */
static int
begin(struct store *store, struct buffer *why)
{
    struct buffer snapshot = BUFFER_EMPTY;
    uint64_t next = store->sequence + 1;
    uint32_t segment, end;
    int result;

    groups_snapshot(store, &snapshot);
    result = spool_begin(store->spool, &snapshot, &next, why);
    buffer_free(&snapshot);
    if (result < 0)
        return -1;
    store->sequence = next - 1;
    store->arrival = spool_last_arrival(store->spool);
    store->early = early_open(store->pathspool, store_now(store));
    /* Should the first flush fail, the next writer must know that it did. */
    spool_durable(store->spool, &segment, &end);
    active_set_durable(store->active, segment, end, store->sequence);
    spool_set_snapshot(store->spool, groups_snapshot, store);
    store->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->event_fd < 0)
        return why_set_errno(why, "cannot make an eventfd");
    return commit_start(store, why);
}

void
store_free(struct store **store)
{
    struct store *old = *store;

    for (struct commit *next; old->spare != NULL; old->spare = next) {
        next = old->spare->next;
        commit_free(&old->spare);
    }
    commit_free(&old->building);
    overview_reader_close(&old->reader);
    overview_close(&old->overview);
    history_close(&old->history);
    spool_close(&old->spool);
    for (uint32_t i = 0; i < old->group_count; i++)
        group_free(&old->groups[i]);
    free(old->groups);
    early_close(&old->early);
    store_pending_close(&old->pending);
    waiters_free(old->later);
    if (old->event_fd >= 0)
        close(old->event_fd);
    free(old->pathhost);
    free(old->pathspool);
    free(old->pathdb);
    free(old->pathoverview);
    free(old->overview_url);
    free(old->chosen);
    buffer_free(&old->xref);
    buffer_free(&old->why);
    buffer_free(&old->broken_why);
    pthread_cond_destroy(&old->flush_wake);
    pthread_cond_destroy(&old->index_wake);
    pthread_cond_destroy(&old->checkpoint_wake);
    reclaim_free(old);
    pthread_mutex_destroy(&old->lock);
    free(old);
    *store = NULL;
}

int
store_start(struct store *store, const struct config *config, int wait_seconds,
            struct buffer *why)
{
    return open_parts(store, config, wait_seconds, why) < 0
                   || store_recover(store, config, why) < 0
                   || begin(store, why) < 0
               ? -1
               : 0;
}

struct store *
store_open(const struct config *config, struct active *active,
           int wait_seconds, struct buffer *why)
{
    struct store *store = store_new(config, active);

    if (store_start(store, config, wait_seconds, why) < 0)
        store_free(&store);
    return store;
}

void
store_close(struct store **store)
{
    if (*store == NULL)
        return;
    /* What was submitted is committed; a broken store gives no answers. */
    (void)store_drain(*store, NULL);
    commit_stop(*store);
    store_free(store);
}

int
store_fd(const struct store *store)
{
    return store->event_fd;
}

size_t
store_pending(const struct store *store)
{
    return store->in_hand;
}

size_t
store_pending_octets(const struct store *store)
{
    return store->octets_in_hand;
}

uint64_t
store_commits(struct store *store)
{
    uint64_t commits;

    pthread_mutex_lock(&store->lock);
    commits = store->commits;
    pthread_mutex_unlock(&store->lock);
    return commits;
}

/* --- broken --- */

void
store_break(struct store *store, const char *what, const struct buffer *why)
{
    uint64_t one = 1;

    pthread_mutex_lock(&store->lock);
    if (!store->broken) {
        store->broken = true;
        buffer_append_format(&store->broken_why, "%s: %s", what,
                             buffer_text(why));
    }
    pthread_cond_broadcast(&store->flush_wake);
    pthread_cond_broadcast(&store->index_wake);
    pthread_cond_broadcast(&store->checkpoint_wake);
    pthread_cond_broadcast(&store->reclaim.wake);
    pthread_mutex_unlock(&store->lock);
    /* It fails only when the counter is full: then it is readable anyway. */
    if (store->event_fd >= 0)
        (void)!write(store->event_fd, &one, sizeof(one));
}

bool
store_is_broken(struct store *store)
{
    bool broken;

    pthread_mutex_lock(&store->lock);
    broken = store->broken;
    pthread_mutex_unlock(&store->lock);
    return broken;
}

bool
store_write_failed(const struct store *store)
{
    return spool_is_broken(store->spool);
}

/* --- room --- */

static bool
path_has_room(const char *path, uint64_t octets)
{
    struct statvfs status;

    return statvfs(path, &status) < 0
           || (uint64_t)status.f_bavail * status.f_frsize >= octets;
}

bool
store_paths_have_space(const struct config *config)
{
    return path_has_room(config->pathspool, SPACE_OCTETS)
           && path_has_room(config->pathdb, SPACE_OCTETS)
           && path_has_room(config->pathoverview, SPACE_OCTETS);
}

static bool
indices_have_room(const struct store *store, uint64_t octets)
{
    return path_has_room(store->pathdb, octets)
           && path_has_room(store->pathoverview, octets);
}

bool
store_indices_have_room(const struct store *store)
{
    return indices_have_room(store, INDICES_ROOM_OCTETS);
}

/* They may lie on other disks than the spool.  As there, a quarter more than
   the least must be free once it was not. */
static bool
indices_are_full(struct store *store)
{
    uint64_t octets = INDICES_ROOM_OCTETS;

    if (store->room_asked_ms != 0
        && clock_ms() - store->room_asked_ms < FULL_MS)
        return store->indices_are_full;
    store->room_asked_ms = clock_ms();
    if (store->indices_are_full)
        octets = octets / 4 * 5;
    store->indices_are_full = !indices_have_room(store, octets);
    return store->indices_are_full;
}

bool
store_is_full(struct store *store)
{
    if (store->full_until != 0) {
        if (clock_ms() < store->full_until)
            return true;
        store->full_until = 0;
    }
    return !spool_has_room(store->spool) || indices_are_full(store);
}

/* --- the overview --- */

bool
store_is_waiting(struct store *store)
{
    return atomic_load(&store->waiting_ms) != 0;
}

bool
store_is_away(struct store *store)
{
    int64_t since = atomic_load(&store->waiting_ms);

    return since != 0 && clock_ms() - since >= STORE_AWAY_MS;
}

/* --- the commit group that is being built --- */

static struct commit *
commit_new(struct store *store)
{
    struct commit *commit = store->spare;

    if (commit != NULL) {
        store->spare = commit->next;
        commit->next = NULL;
        return commit;
    }
    commit = xcalloc(1, sizeof(*commit));
    commit->batch = batch_new();
    return commit;
}

/* A batch that grew for one huge article is not kept. */
static void
commit_recycle(struct store *store, struct commit *commit)
{
    if (commit->batch->octets->size / 2 > COMMIT_OCTETS_MAX)
        buffer_free(commit->batch->octets);
    batch_clear(commit->batch);
    for (size_t i = 0; i < commit->change_count; i++)
        change_free(&commit->changes[i]);
    commit->article_count = 0;
    commit->change_count = 0;
    buffer_clear(&commit->groups);
    buffer_clear(&commit->lines);
    commit->next = store->spare;
    store->spare = commit;
}

void
store_make_room(struct store *store, size_t octets)
{
    const struct commit *commit = store->building;

    if (commit != NULL
        && (commit->article_count + commit->change_count >= COMMIT_ARTICLES_MAX
            || commit->batch->octets->used + octets
                   > store->commit_octets_max))
        store_turn_ended(store);
    if (store->building == NULL)
        store->building = commit_new(store);
}

static void *
grown(void *array, size_t count, size_t *size, size_t member)
{
    if (count < *size)
        return array;
    *size = *size > 0 ? *size * 2 : 16;
    return xreallocarray(array, *size, member);
}

struct change *
store_change(struct store *store, const struct change *change)
{
    struct commit *commit = store->building;
    struct change *new;

    commit->changes = grown(commit->changes, commit->change_count,
                            &commit->change_size, sizeof(*commit->changes));
    new = &commit->changes[commit->change_count++];
    *new = *change;
    new->sequence = store->sequence;
    new->articles_before = commit->article_count;
    store->in_hand++;
    return new;
}

struct commit *
store_commit_apart(struct store *store, const struct change *change)
{
    struct commit *commit = commit_new(store);

    commit->changes = grown(commit->changes, commit->change_count,
                            &commit->change_size, sizeof(*commit->changes));
    commit->changes[commit->change_count++] = *change;
    store->in_hand++;
    return commit;
}

int64_t
store_now(struct store *store)
{
    int64_t now = time(NULL);

    if (now > store->arrival)
        store->arrival = now;
    return store->arrival;
}

void
store_append(struct store *store, enum record_type type,
             const struct message_hash *hash, const void *meta,
             size_t meta_octets, const void *payload, size_t octets)
{
    struct commit *commit = store->building;
    struct iovec piece = {(void *)(uintptr_t)payload, octets};
    struct record_head head = {
        .type = type,
        .sequence = ++store->sequence,
        .arrival = store_now(store),
    };

    if (hash != NULL)
        head.hash = *hash;
    batch_append(commit->batch, &head, meta, meta_octets, &piece, 1);
    commit->last_sequence = head.sequence;
}

/* --- answers --- */

static void command_again(struct store *store, const struct waiter *waiter);

/* Those who waited for an ID ask again, now that it is decided. */
static void
waiters_run(struct store *store, struct waiter *waiter)
{
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        struct buffer *payload = &waiter->payload;

        store->in_hand--;
        store->octets_in_hand -= payload->used;
        if (waiter->is_command)
            command_again(store, waiter);
        else
            store_submit(store, payload->data, payload->used,
                         waiter->call.done, waiter->context);
        buffer_free(payload);
        free(waiter);
        waiter = next;
    }
}

void
store_wait(struct store *store, struct pending_id *pending,
           struct waiter *waiter)
{
    store->in_hand++;
    store->octets_in_hand += waiter->payload.used;
    store_pending_wait(pending, waiter);
}

/* Chain more waiters behind those that are there. */
static void
waiters_join(struct waiter ***end, struct waiter *waiters)
{
    **end = waiters;
    while (**end != NULL)
        *end = &(**end)->next;
}

static void
article_finish(const struct commit_article *article, const char *refusal)
{
    struct store_result result = {
        .cookie = article->cookie,
        .context = article->context,
        .outcome = STORE_STORED,
        .sequence = article->sequence,
        .token = article->token,
        .why = article->submitted ? store_submitted_text : "",
    };

    if (refusal != NULL) {
        result.outcome = STORE_LATER;
        result.sequence = 0;
        result.token = (struct token){0};
        result.why = refusal;
    }
    article->done(&result);
}

/* All of a commit group is decided: done, or not now, for this reason. */
static void
commit_finish(struct store *store, struct commit *commit, const char *refusal)
{
    struct waiter *waiters = NULL;
    struct waiter **end = &waiters;

    for (size_t i = 0; i < commit->article_count; i++) {
        struct commit_article *article = &commit->articles[i];

        store->in_hand--;
        store->octets_in_hand -= article->octets;
        waiters_join(&end,
                     store_pending_remove(&store->pending, article->pending));
        article_finish(article, refusal);
    }
    for (size_t i = 0; i < commit->change_count; i++) {
        struct change *change = &commit->changes[i];

        store->in_hand--;
        if (change->pending != NULL)
            waiters_join(
                &end, store_pending_remove(&store->pending, change->pending));
        change->changed(change->context, change->cookie,
                        refusal != NULL ? -1 : 0,
                        refusal != NULL ? refusal : "Ok");
    }
    commit_recycle(store, commit);
    waiters_run(store, waiters);
}

/* --- handing over --- */

/*
 * There is no place for this batch: what was promised for it is taken back.
 * Nobody has seen its numbers, and it is the last one that was given any.
 */
static void
commit_take_back(struct store *store, struct commit *commit)
{
    store->sequence = commit->batch->first_sequence - 1;
    for (size_t i = commit->article_count; i-- > 0;) {
        const struct commit_article *article = &commit->articles[i];
        const char *at = commit->groups.data + article->groups_at;
        struct record_group place;

        for (size_t k = 0; k < article->group_count; k++) {
            memcpy(&place, at + k * sizeof(place), sizeof(place));
            groups_at(store, place.group)->high = place.number - 1;
        }
    }
    for (size_t i = commit->change_count; i-- > 0;) {
        struct change *change = &commit->changes[i];
        struct group *group;

        if (change->kind != CHANGE_GROUP)
            continue;
        group = groups_at(store, change->group);
        change->before.high = group->high;
        group_free(group);
        *group = change->before;
        change->before = (struct group){0};
    }
    /* Ids are given out without a gap. */
    while (store->group_count > 0
           && store->groups[store->group_count - 1].name == NULL)
        store->group_count--;
}

/* Now that the batch has its place, every record has. */
static void
commit_place(struct commit *commit, uint32_t segment, uint32_t offset)
{
    for (size_t i = 0; i < commit->article_count; i++) {
        commit->articles[i].token.segment = segment;
        commit->articles[i].token.offset += offset;
    }
    commit->segment = segment;
    commit->end = offset + (uint32_t)commit->batch->octets->used;
}

/* No segment for this one: not now, unless it is that nothing goes any more.
 */
static void
commit_without_room(struct store *store, struct commit *commit)
{
    if (store_is_broken(store)) {
        commit_free(&commit);
        return;
    }
    if (store->full_until == 0)
        warn("store: no room: %s", buffer_text(&store->why));
    store->full_until = clock_ms() + FULL_MS;
    commit_take_back(store, commit);
    commit_finish(store, commit, "no room on this server now");
}

void
store_turn_ended(struct store *store)
{
    struct commit *commit = store->building;
    uint32_t segment, offset;

    if (commit == NULL || commit->batch->count == 0)
        return;
    store->building = NULL;
    if (spool_seal(store->spool, commit->batch, &segment, &offset, &store->why)
        < 0) {
        commit_without_room(store, commit);
        return;
    }
    commit_place(commit, segment, offset);
    pthread_mutex_lock(&store->lock);
    queue_append(&store->sealed, commit);
    pthread_cond_signal(&store->flush_wake);
    pthread_mutex_unlock(&store->lock);
}

/* --- asking --- */

int
store_lookup(struct store *store, const struct message_hash *hash,
             struct history_entry *entry_r)
{
    struct buffer why = BUFFER_EMPTY;
    int found = history_lookup(store->history, hash, entry_r, &why);

    if (found < 0)
        store_break(store, "history", &why);
    /* Its time is over, whether it has been dropped already or not: so a
       rebuilt history says the same as an old one. */
    if (found > 0 && entry_r->fate != HISTORY_STORED
        && entry_r->fate != HISTORY_SUBMITTED
        && entry_r->until <= store_now(store))
        found = 0;
    buffer_free(&why);
    return found;
}

enum ipc_check_answer
store_check(struct store *store, const struct message_hash *hash)
{
    struct history_entry entry;
    int found;

    if (store_pending_find(&store->pending, hash) != NULL)
        return CHECK_IN_PROGRESS;
    found = store_lookup(store, hash, &entry);
    if (found > 0 && entry.fate != HISTORY_SUBMITTED)
        return CHECK_KNOWN;
    return found < 0 || store_is_full(store) || store_is_away(store)
               ? CHECK_LATER
               : CHECK_WANTED;
}

int
store_find(struct store *store, const struct message_hash *hash,
           uint64_t *sequence_r, struct token *token_r, struct buffer *why)
{
    struct history_entry entry;
    int found = history_lookup(store->history, hash, &entry, why);

    if (found <= 0)
        return found;
    if (entry.fate != HISTORY_STORED)
        return 0;
    *sequence_r = entry.sequence;
    *token_r = entry.token;
    return 1;
}

int
store_history(struct store *store, const struct message_hash *from,
              struct history_entry *entries, size_t count, struct buffer *why)
{
    return history_list(store->history, from, entries, count, why);
}

/* --- what is decided --- */

static struct commit *
take_done(struct store *store, bool *broken_r, struct buffer *why)
{
    struct commit *done;

    pthread_mutex_lock(&store->lock);
    done = store->done.first;
    queue_open(&store->done);
    *broken_r = store->broken;
    if (store->broken)
        why_set(why, "%s", buffer_text(&store->broken_why));
    pthread_mutex_unlock(&store->lock);
    return done;
}

int
store_reap(struct store *store, struct buffer *why)
{
    uint64_t count;
    struct commit *done;
    bool broken;

    /* Nothing to read is no mistake: the caller may come on suspicion. */
    (void)!read(store->event_fd, &count, sizeof(count));
    done = take_done(store, &broken, why);
    while (done != NULL) {
        struct commit *next = done->next;

        done->next = NULL;
        commit_finish(store, done, NULL);
        done = next;
    }
    if (broken)
        return -1;
    if (store->later != NULL && !commit_is_purging_any(store)) {
        struct waiter *later = store->later;

        store->later = NULL;
        waiters_run(store, later);
    }
    reclaim_reap(store);
    /* Those who had waited may have begun a new group. */
    store_turn_ended(store);
    return 0;
}

/* Wait until store_reap() has something to do, which a broken store always
   has. */
static void
wait_done(struct store *store)
{
    struct pollfd poll_fd = {.fd = store->event_fd, .events = POLLIN};

    while (!store_is_broken(store) && poll(&poll_fd, 1, -1) < 0
           && errno == EINTR)
        ;
}

int
store_drain(struct store *store, struct buffer *why)
{
    store_turn_ended(store);
    while (store->in_hand > 0) {
        wait_done(store);
        if (store_reap(store, why) < 0)
            return -1;
    }
    return store_is_broken(store) ? store_reap(store, why) : 0;
}

/* --- commands --- */

static const struct {
    const char *name;
    int words_min, words_max; /* the name itself among them; 0: any number */
    void (*run)(struct store *store, int words, const char *const *word,
                uint64_t cookie, store_changed_func *changed, void *context);
} commands[] = {
    {"newgroup", 2, 0, store_newgroup},
    {"changegroup", 3, 3, store_changegroup},
    {"rmgroup", 2, 2, store_rmgroup},
    {"cancel", 2, 2, store_cancel},
    {"reclaim", 2, 2, store_reclaim},
    {"upkeep", 1, 1, store_upkeep},
};

void
store_command(struct store *store, int words, const char *const *word,
              uint64_t cookie, store_changed_func *changed, void *context)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (words < 1 || strcmp(commands[i].name, word[0]) != 0)
            continue;
        if (words < commands[i].words_min
            || (commands[i].words_max > 0 && words > commands[i].words_max))
            why_set(&store->why, "%s: wrong number of arguments", word[0]);
        else {
            store_make_room(store, COMMAND_OCTETS);
            commands[i].run(store, words, word, cookie, changed, context);
            return;
        }
        changed(context, cookie, -1, buffer_text(&store->why));
        return;
    }
    changed(context, cookie, -1, "the store has no such command");
}

void
store_command_wait(struct store *store, struct pending_id *pending, int words,
                   const char *const *word, uint64_t cookie,
                   store_changed_func *changed, void *context)
{
    struct waiter *waiter = xcalloc(1, sizeof(*waiter));
    struct waiter **at;

    waiter->is_command = true;
    waiter->cookie = cookie;
    waiter->call.changed = changed;
    waiter->context = context;
    for (int i = 0; i < words; i++)
        buffer_append(&waiter->payload, word[i], strlen(word[i]) + 1);
    if (pending != NULL) {
        store_wait(store, pending, waiter);
        return;
    }
    store->in_hand++;
    store->octets_in_hand += waiter->payload.used;
    for (at = &store->later; *at != NULL; at = &(*at)->next)
        ;
    *at = waiter;
}

/* The words of a command that waited. */
static void
command_again(struct store *store, const struct waiter *waiter)
{
    const char *word[STORE_COMMAND_WORDS_MAX] = {NULL};
    const char *at = waiter->payload.data;
    const char *const end = at + waiter->payload.used;
    int words = 0;

    while (at < end && words < STORE_COMMAND_WORDS_MAX) {
        word[words++] = at;
        at += strlen(at) + 1;
    }
    store_command(store, words, word, waiter->cookie, waiter->call.changed,
                  waiter->context);
}

/* For store_command_now(). */
struct answered {
    bool done;
    int status;
    struct buffer *text;
};

static void
now_changed(void *context, uint64_t cookie, int status, const char *text)
{
    struct answered *answered = context;

    (void)cookie;
    answered->done = true;
    answered->status = status;
    why_set(answered->text, "%s", text);
}

int
store_command_now(struct store *store, int words, const char *const *word,
                  struct buffer *text)
{
    struct answered answered = {.text = text};

    store_command(store, words, word, 0, now_changed, &answered);
    store_turn_ended(store);
    while (!answered.done) {
        wait_done(store);
        if (store_reap(store, text) < 0 && !answered.done)
            return -1;
    }
    return answered.status;
}
