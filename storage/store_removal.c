/*
 * Articles that remove another one: control messages "cancel" (RFC 5537, 5.3)
 * and Supersedes (RFC 5536, 3.2.12), where docancels and RFC 8315 allow it.
 *
 * Such an article is stored like any other, and relayed; what it removes goes
 * by a CANCEL record in the same batch, so both are durable or neither is.
 */
#include "storage/store_private.h"

#include <stdlib.h>
#include <string.h>

#include "lib/article.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/spool_reader.h"

/* --- removals that came before what they remove --- */

enum {
    EARLY_MAX = 4096, /* then the oldest is forgotten */
    EARLY_CHAINS = 1024,
    EARLY_KEYS_OCTETS_MAX = 1024,
    EARLY_SECONDS = 3 * 24 * 3600,
};

struct early {
    TAILQ_ENTRY(early) age;
    LIST_ENTRY(early) chain;
    struct message_hash hash; /* of the article that has not come */
    int64_t until;
    char *keys;
};

TAILQ_HEAD(early_list, early);
LIST_HEAD(early_chain, early);

struct early_table {
    struct early_list list; /* the oldest first */
    struct early_chain chains[EARLY_CHAINS];
    size_t count;
};

struct early_table *
early_new(void)
{
    struct early_table *table = xcalloc(1, sizeof(*table));

    TAILQ_INIT(&table->list);
    return table;
}

static void
early_drop(struct early_table *table, struct early *early)
{
    TAILQ_REMOVE(&table->list, early, age);
    LIST_REMOVE(early, chain);
    table->count--;
    free(early->keys);
    free(early);
}

void
early_free(struct early_table **table)
{
    while (!TAILQ_EMPTY(&(*table)->list))
        early_drop(*table, TAILQ_FIRST(&(*table)->list));
    free(*table);
    *table = NULL;
}

static struct early_chain *
early_chain(struct early_table *table, const struct message_hash *hash)
{
    uint64_t bits;

    memcpy(&bits, hash, sizeof(bits));
    return &table->chains[bits % EARLY_CHAINS];
}

/* Several may speak of one article, each with keys of its own. */
static void
early_add(struct store *store, const struct message_hash *hash,
          const char *keys)
{
    struct early_table *table = store->early;
    struct early *early;

    if (strlen(keys) > EARLY_KEYS_OCTETS_MAX)
        return;
    if (table->count == EARLY_MAX)
        early_drop(table, TAILQ_FIRST(&table->list));
    early = xcalloc(1, sizeof(*early));
    early->hash = *hash;
    early->until = store_now(store) + EARLY_SECONDS;
    early->keys = xstrdup(keys);
    TAILQ_INSERT_TAIL(&table->list, early, age);
    LIST_INSERT_HEAD(early_chain(table, hash), early, chain);
    table->count++;
}

/* The locks or keys in an article's head. */
static void
head_elements(const char *head, size_t octets, enum field field,
              struct buffer *list)
{
    struct field_value value;

    if (head_find(head, octets, field_name(field), &value))
        canlock_append_field(list, &value);
}

bool
removal_was_early(struct store *store, const struct submission_view *view)
{
    struct early_table *table = store->early;
    const struct message_hash *hash = &view->head.hash;
    struct buffer locks = BUFFER_EMPTY;
    struct early *early, *next;
    bool refused = false;

    if (table->count == 0)
        return false;
    for (early = LIST_FIRST(early_chain(table, hash));
         early != NULL && !refused; early = next) {
        next = LIST_NEXT(early, chain);
        if (memcmp(&early->hash, hash, sizeof(*hash)) != 0)
            continue;
        if (early->until < store_now(store)) {
            early_drop(table, early);
            continue;
        }
        if (locks.used == 0)
            head_elements(view->article, view->head.xref_offset,
                          FIELD_CANCEL_LOCK, &locks);
        refused =
            canlock_allows(store->docancels, early->keys, buffer_text(&locks));
    }
    buffer_free(&locks);
    return refused;
}

/* --- what an article removes --- */

/* The article is here: may it go?  Then the change has its groups. */
static bool
may_remove(struct store *store, const struct history_entry *entry,
           const char *keys, struct change *change)
{
    struct buffer locks = BUFFER_EMPTY;
    struct spooled *spooled;
    bool allowed;

    if (spool_read_now(store->pathspool, &entry->token, entry->sequence,
                       &spooled)
        != SPOOL_FOUND)
        return false;
    head_elements(spooled->record.payload, spooled->record.head.head_octets,
                  FIELD_CANCEL_LOCK, &locks);
    allowed = canlock_allows(store->docancels, keys, buffer_text(&locks));
    if (allowed) {
        change->target = entry->sequence;
        change_take_groups(change, &spooled->record);
    }
    spooled_release(spooled);
    buffer_free(&locks);
    return allowed;
}

enum removal_answer
removal_find(struct store *store, const struct submission_view *view,
             struct change *change, struct pending **pending_r)
{
    enum removal_answer answer = REMOVAL_NONE;
    struct buffer keys = BUFFER_EMPTY;
    struct history_entry entry;
    struct field_value id;
    int found;

    *change = (struct change){.kind = CHANGE_CANCEL};
    if ((view->head.flags & SUBMISSION_REMOVES) == 0
        || store->docancels == CANCELS_NONE
        || !head_removes(view->article, view->head.xref_offset, &id))
        return REMOVAL_NONE;
    change->hash = message_id_hash(&store->key, id.octets, id.length);
    if (memcmp(&change->hash, &view->head.hash, sizeof(change->hash)) == 0)
        return REMOVAL_NONE;
    *pending_r = store_pending_find(&store->pending, &change->hash);
    if (*pending_r != NULL)
        return REMOVAL_WAITS;
    found = store_lookup(store, &change->hash, &entry);
    if (found < 0)
        return REMOVAL_BROKEN;
    head_elements(view->article, view->head.xref_offset, FIELD_CANCEL_KEY,
                  &keys);
    if (found == 0)
        early_add(store, &change->hash, buffer_text(&keys));
    else if (entry.fate == HISTORY_STORED
             && may_remove(store, &entry, buffer_text(&keys), change))
        answer = REMOVAL_NOW;
    if (found > 0)
        debug("store: removal of %.*s %s", (int)id.length, id.octets,
              answer == REMOVAL_NOW ? "allowed" : "not allowed");
    buffer_free(&keys);
    return answer;
}
