/*
 * Articles that remove another one: control messages "cancel" (RFC 5537, 5.3)
 * and Supersedes (RFC 5536, 3.2.12), where docancels and RFC 8315 allow it.
 *
 * Such an article is stored like any other, and relayed; what it removes goes
 * by a CANCEL record in the same batch, so both are durable or neither is.
 */
#include "storage/store_private.h"

#include <string.h>

#include "lib/article.h"
#include "lib/log.h"
#include "storage/spool_reader.h"
#include "storage/store_early.h"

/* The locks or keys in an article's head. */
static void
head_elements(const char *head, size_t octets, enum field field,
              struct buffer *list)
{
    struct field_value value;

    if (head_find(head, octets, field_name(field), &value))
        canlock_append_field(list, &value);
}

/* --- removals that came before what they remove --- */

/* Of the article that comes: its locks are looked for when they are needed. */
struct early_question {
    enum canlock_policy docancels;
    const struct submission_view *view;
    struct buffer locks;
};

static bool
keys_allow(void *context, const char *keys)
{
    struct early_question *question = context;

    if (question->locks.used == 0)
        head_elements(question->view->article,
                      question->view->head.xref_offset, FIELD_CANCEL_LOCK,
                      &question->locks);
    return canlock_allows(question->docancels, keys,
                          buffer_text(&question->locks));
}

bool
removal_was_early(struct store *store, const struct submission_view *view)
{
    struct early_question question = {.docancels = store->docancels,
                                      .view = view};
    bool refused = early_find(store->early, &view->head.hash, store_now(store),
                              keys_allow, &question);

    buffer_free(&question.locks);
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
             struct change *change, struct pending_id **pending_r)
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
        early_add(store->early, &change->hash, buffer_text(&keys),
                  store_now(store));
    else if (entry.fate == HISTORY_STORED
             && may_remove(store, &entry, buffer_text(&keys), change))
        answer = REMOVAL_NOW;
    if (found > 0)
        debug("store: removal of %.*s %s", (int)id.length, id.octets,
              answer == REMOVAL_NOW ? "allowed" : "not allowed");
    buffer_free(&keys);
    return answer;
}
