/*
 * history_filter -- says of most message-IDs that were never seen that they
 * were not, without asking Berkeley DB.
 *
 * A Bloom filter: it may take an ID for a known one (about one in 200), never
 * a known one for new.  It takes 12 bits an ID that it is made for, 1.5 MB for
 * 10^6.  All bits of a hash are in one line of the processor's cache.
 */
#ifndef STORAGE_HISTORY_FILTER_H
#define STORAGE_HISTORY_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/message_id.h"

struct history_filter; /* opaque */

struct history_filter *history_filter_new(size_t capacity);
void history_filter_free(struct history_filter **filter);
void history_filter_put(struct history_filter *filter,
                        const struct message_hash *hash);
/* False: it was never put. */
bool history_filter_has(const struct history_filter *filter,
                        const struct message_hash *hash);
/* How many it was made for, and how many new ones were put. */
size_t history_filter_capacity(const struct history_filter *filter);
size_t history_filter_count(const struct history_filter *filter);

#endif
