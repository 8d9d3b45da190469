#include "innd/feed.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "innd/master.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/shared.h"
#include "storage/active.h"

static struct process *
feed_find(struct master *master, const char *peer)
{
    struct process_table *table = &master->processes;

    for (size_t i = 0; i < table->count; i++) {
        struct process *process = &table->rows[i];

        if (process->role == ROLE_FEEDER && process->peer != NULL
            && strcmp(process->peer, peer) == 0)
            return process;
    }
    return NULL;
}

static struct process *
row_free(struct process_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        struct process *process = &table->rows[i];

        if (process->role == ROLE_FEEDER && process->peer == NULL)
            return process;
    }
    return NULL;
}

static void
feed_add(struct master *master, const char *peer)
{
    struct process *process = row_free(&master->processes);
    struct shared_slot *slot;

    if (process == NULL) {
        warn("peer %s: not fed, there are %d feeders already", peer,
             PROCESS_FEEDERS_MAX);
        return;
    }
    slot = &master->shared->slots[process->slot];
    for (size_t i = 0; i < FEED_COUNTER_COUNT; i++)
        atomic_store(&slot->feed[i], 0);
    process->peer = xstrdup(peer);
    process->dropped = false;
    process->served = false;
    process->failures = 0;
    process->starts = 0;
    /* No article has come since that its feeder could miss. */
    process->since = active_committed(master->active);
    process_start(process);
}

void
feeds_update(struct master *master)
{
    const struct config *config = master->config;
    struct process_table *table = &master->processes;

    if (master->stopping || !process_writer(table)->served)
        return;
    for (size_t i = 0; i < table->count; i++) {
        struct process *process = &table->rows[i];
        const struct config_peer *peer;

        if (process->role != ROLE_FEEDER || process->peer == NULL)
            continue;
        peer = config_find_peer(config, process->peer);
        if (peer != NULL && peer->host[0] != '\0')
            continue;
        notice("peer %s: is not fed any more", process->peer);
        process_drain(process);
        if (process->pid == 0)
            (void)feed_ended(master, process); /* frees the row */
    }
    for (size_t i = 0; i < config->peer_count; i++)
        if (config->peers[i].host[0] != '\0'
            && feed_find(master, config->peers[i].name) == NULL)
            feed_add(master, config->peers[i].name);
}

int
feed_ended(struct master *master, struct process *process)
{
    const struct config_peer *peer =
        config_find_peer(master->config, process->peer);
    struct shared_slot *slot = &master->shared->slots[process->slot];

    atomic_store(&slot->feed[FEED_CONNECTIONS], 0);
    if (peer != NULL && peer->host[0] != '\0')
        return !process->dropped && !master->stopping;
    free(process->peer);
    process->peer = NULL;
    return 0;
}

/* --- ctlinnd --- */

static const char *
feed_state(const struct process *process)
{
    if (process->dropped)
        return "dropped";
    return process->pid != 0 ? "running" : "away";
}

static void
feed_print(const struct master *master, const struct process *process,
           struct buffer *answer)
{
    const struct shared_slot *slot = &master->shared->slots[process->slot];
    uint64_t read = atomic_load(&slot->feed[FEED_SEQUENCE]);
    uint64_t last = active_committed(master->active);

    if (answer->used > 0)
        buffer_append_char(answer, '\n');
    buffer_append_format(answer, "%s %s", process->peer, feed_state(process));
    if (process->pid != 0)
        buffer_append_format(answer, " pid=%d", (int)process->pid);
    for (enum feed_counter i = 0; i < FEED_COUNTER_COUNT; i++)
        buffer_append_format(answer, " %s=%" PRIu64, feed_counter_name(i),
                             atomic_load(&slot->feed[i]));
    /* What was stored and is not even read yet. */
    buffer_append_format(answer, " behind=%" PRIu64,
                         last > read ? last - read : 0);
}

static unsigned
no_such_feed(const char *peer, struct buffer *answer)
{
    buffer_append_format(answer, "No peer \"%s\" with a host", peer);
    return 1;
}

unsigned
feeds_print(struct master *master, const char *peer, struct buffer *answer)
{
    const struct process_table *table = &master->processes;

    for (size_t i = 0; i < table->count; i++) {
        const struct process *process = &table->rows[i];

        if (process->role == ROLE_FEEDER && process->peer != NULL
            && (peer == NULL || strcmp(process->peer, peer) == 0))
            feed_print(master, process, answer);
    }
    if (answer->used == 0 && peer != NULL)
        return no_such_feed(peer, answer);
    if (answer->used == 0)
        buffer_append_text(answer, "No peer has a host");
    return 0;
}

unsigned
feed_begin(struct master *master, const char *peer, struct buffer *answer)
{
    static const char *const words[] = {"begin"};
    struct process *process = feed_find(master, peer);
    struct buffer payload = BUFFER_EMPTY;

    if (process == NULL)
        return no_such_feed(peer, answer);
    if (process->dropped && process->pid != 0) {
        buffer_append_text(answer, "It is just ending, ask again");
        return 1;
    }
    process->dropped = false;
    if (process->pid == 0) {
        process->failures = 0;
        process_start(process);
    } else if (process->control != NULL) {
        ipc_command_build(&payload, 0, 1, words);
        ipc_send(process->control, IPC_COMMAND, payload.data, payload.used,
                 -1);
        buffer_free(&payload);
    }
    notice("peer %s: begin", peer);
    buffer_append_text(answer, "Ok");
    return 0;
}

unsigned
feed_drop(struct master *master, const char *peer, struct buffer *answer)
{
    struct process *process = feed_find(master, peer);

    if (process == NULL)
        return no_such_feed(peer, answer);
    process->dropped = true;
    process_drain(process);
    notice("peer %s: dropped until begin", peer);
    buffer_append_text(answer, "Ok");
    return 0;
}
