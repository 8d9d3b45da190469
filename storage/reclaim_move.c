/* The index thread's part of a reclaim. */
#include "storage/active.h"
#include "storage/reclaim_private.h"

bool
reclaim_is_moving(struct store *store)
{
    return reclaim_stage_of(store) == RECLAIM_MOVING;
}

/* Still where it was found, and to be found elsewhere now? */
static int
move_history(struct store *store, const struct reclaim_move *move,
             struct buffer *why)
{
    struct history_entry entry;
    int found = history_lookup(store->history, &move->hash, &entry, why);

    if (found <= 0 || entry.sequence != move->sequence)
        return found < 0 ? -1 : 0;
    if (move->token.segment == 0)
        return entry.fate == HISTORY_SUBMITTED
                       || (entry.fate != HISTORY_STORED
                           && entry.until <= store->reclaim.now)
                   ? history_drop(store->history, &move->hash, 1, why)
                   : 0;
    if (entry.fate != HISTORY_STORED
        || token_same_place(&entry.token, &move->token))
        return 0;
    entry.token = move->token;
    active_known_drop(store->active, &move->hash);
    return history_put(store->history, &entry, 1, store->applied, why);
}

static int
move_some(struct store *store, struct buffer *why)
{
    struct reclaim *reclaim = &store->reclaim;
    size_t end = reclaim->moved + MOVES_PER_TURN;

    if (end > reclaim->move_count)
        end = reclaim->move_count;
    if (transaction_begin(store, why) < 0)
        return -1;
    for (size_t i = reclaim->moved; i < end; i++) {
        const struct reclaim_move *move = &reclaim->moves[i];

        if (move_history(store, move, why) < 0
            || (move->token.segment != 0
                && overview_move(store->overview, move->sequence, &move->token,
                                 why)
                       < 0))
            return -1;
    }
    if (transaction_end(store, why) < 0)
        return -1;
    reclaim->moved = end;
    return 0;
}

/* The log does not say where an article was moved to, so Berkeley DB must;
   some of it between two commits.  1: there is more to do. */
static int
moves_drain(struct store *store, struct buffer *why)
{
    struct reclaim *reclaim = &store->reclaim;

    if (!reclaim->drains)
        reclaim->mark = history_mark(store->history);
    reclaim->drains = true;
    if (history_is_drained(store->history, reclaim->mark))
        return 0;
    return history_drain(store->history, DRAIN_ENTRIES, why) < 0 ? -1 : 1;
}

/* What is forgotten and comes back with a death, the next upkeep forgets. */
static int
moves_keep(struct store *store, struct buffer *why)
{
    const struct reclaim *reclaim = &store->reclaim;
    int more = 0;

    if (reclaim->upkeep)
        more = overview_upkeep(store->overview, why);
    else if (reclaim->segment != 0)
        more = moves_drain(store, why);
    if (more == 0 && (reclaim->upkeep || reclaim->segment != 0))
        more = overview_flush(store->overview, why);
    return more;
}

int
reclaim_move(struct store *store, struct folding *folding, struct buffer *why)
{
    struct reclaim *reclaim = &store->reclaim;
    uint64_t recent;
    int more;

    if (overview_recent_begin(store->overview, &recent, why) < 0)
        return -1;
    /* What a reader holds of recent is not told that an article has moved. */
    if (reclaim->move_count > 0 && recent <= reclaim->last_sequence)
        return transaction_begin(store, why) < 0
                       || fold_idle(store, folding, why) < 0
                   ? -1
                   : 0;
    if (reclaim->moved < reclaim->move_count)
        return move_some(store, why);
    if (transaction_end(store, why) < 0)
        return -1;
    if ((more = moves_keep(store, why)) != 0)
        return more < 0 ? -1 : 0;
    if (reclaim->move_count > 0)
        active_note_removal(store->active);
    reclaim_stage_set(store, RECLAIM_MOVED);
    return 0;
}
