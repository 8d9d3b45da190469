#include "storage/store_private.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

enum { CHAINS_MIN = 1024 };

/* The hash is keyed with a secret: its first octets are as good as any. */
static struct pending_chain *
chain_of(const struct pending_table *table, const struct message_hash *hash)
{
    uint64_t place;

    memcpy(&place, hash->octets, sizeof(place));
    return &table->chains[place & (table->size - 1)];
}

void
store_pending_open(struct pending_table *table)
{
    *table = (struct pending_table){.size = CHAINS_MIN};
    table->chains = xcalloc(table->size, sizeof(*table->chains));
}

void
waiters_free(struct waiter *waiter)
{
    while (waiter != NULL) {
        struct waiter *next = waiter->next;

        buffer_free(&waiter->payload);
        free(waiter);
        waiter = next;
    }
}

static void
chain_free(struct pending_id *pending)
{
    while (pending != NULL) {
        struct pending_id *next = pending->next;

        waiters_free(pending->waiters);
        free(pending);
        pending = next;
    }
}

void
store_pending_close(struct pending_table *table)
{
    for (size_t i = 0; i < table->size; i++)
        chain_free(table->chains[i].first);
    chain_free(table->spare);
    free(table->chains);
    *table = (struct pending_table){0};
}

static void
table_grow(struct pending_table *table)
{
    struct pending_table old = *table;

    table->size *= 2;
    table->chains = xcalloc(table->size, sizeof(*table->chains));
    for (size_t i = 0; i < old.size; i++)
        while (old.chains[i].first != NULL) {
            struct pending_id *pending = old.chains[i].first;
            struct pending_chain *chain = chain_of(table, &pending->hash);

            old.chains[i].first = pending->next;
            pending->next = chain->first;
            chain->first = pending;
        }
    free(old.chains);
}

struct pending_id *
store_pending_find(const struct pending_table *table,
                   const struct message_hash *hash)
{
    struct pending_id *pending = chain_of(table, hash)->first;

    while (pending != NULL && memcmp(&pending->hash, hash, sizeof(*hash)) != 0)
        pending = pending->next;
    return pending;
}

struct pending_id *
store_pending_add(struct pending_table *table, const struct message_hash *hash)
{
    struct pending_id *pending = table->spare;
    struct pending_chain *chain;

    if (pending != NULL)
        table->spare = pending->next;
    else
        pending = xmalloc(sizeof(*pending));
    if (++table->count > table->size)
        table_grow(table);
    chain = chain_of(table, hash);
    *pending = (struct pending_id){.hash = *hash, .next = chain->first};
    pending->waiters_end = &pending->waiters;
    chain->first = pending;
    return pending;
}

void
store_pending_wait(struct pending_id *pending, struct waiter *waiter)
{
    waiter->next = NULL;
    *pending->waiters_end = waiter;
    pending->waiters_end = &waiter->next;
}

struct waiter *
store_pending_remove(struct pending_table *table, struct pending_id *pending)
{
    struct pending_id **at = &chain_of(table, &pending->hash)->first;
    struct waiter *waiters = pending->waiters;

    while (*at != pending)
        at = &(*at)->next;
    *at = pending->next;
    table->count--;
    pending->waiters = NULL;
    pending->next = table->spare;
    table->spare = pending;
    return waiters;
}
