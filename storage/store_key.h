/*
 * store_key -- the store's secret, under which message-IDs are hashed.
 */
#ifndef STORAGE_STORE_KEY_H
#define STORAGE_STORE_KEY_H

#include <stdbool.h>

struct buffer;
struct message_key;

/* Read PATHDB/key.  One that is missing is made where the spool is empty. */
int store_key_read(struct message_key *key, const char *pathdb,
                   bool spool_is_empty, struct buffer *why);

#endif
