/*
 * store_early -- removals that came before what they remove: "no article with
 * this message-ID may come, if one of these keys fits its locks".
 *
 * At most EARLY_MAX for EARLY_SECONDS each; the oldest is forgotten first.
 * They are in memory, and at the end of a file, so that the next writer knows
 * them too.  The file is an aid and not the truth: no flush is waited for, and
 * without it, or of what a power cut took of it, the articles come.  One
 * process, one thread.
 */
#ifndef STORAGE_STORE_EARLY_H
#define STORAGE_STORE_EARLY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/message_id.h"

enum {
    EARLY_MAX = 4096,
    EARLY_KEYS_OCTETS_MAX = 1024, /* one with more is not remembered */
    EARLY_SECONDS = 3 * 24 * 3600,
};

struct early_table;

/* With what the file PATHSPOOL/early-removals has; it is made when it is
   needed. now is in seconds since the epoch. */
struct early_table *early_open(const char *pathspool, int64_t now);
void early_close(struct early_table **table);
/* keys: a list as canlock_append_field() makes it. */
void early_add(struct early_table *table, const struct message_hash *hash,
               const char *keys, int64_t now);
/* Is there any for this article that allows says yes to? */
typedef bool early_allows_func(void *context, const char *keys);
bool early_find(struct early_table *table, const struct message_hash *hash,
                int64_t now, early_allows_func *allows, void *context);

#endif
