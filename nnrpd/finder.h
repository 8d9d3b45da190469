/*
 * finder -- where articles lie, by message-ID.
 *
 * The IDs of late are in shared memory; for all others the writer is asked,
 * who alone has the history.  A question to it costs a turn of both processes,
 * so a client that sends many commands at once (a downloader's BODY <ID>, 50
 * on the way) would wait a turn for each.  Therefore a session looks ahead in
 * its input and says what it will ask next: the questions leave together, and
 * their answers are kept here until they are wanted, or until anything is
 * removed from the store.
 */
#ifndef NNRPD_FINDER_H
#define NNRPD_FINDER_H

#include <stdbool.h>
#include <stdint.h>

struct finder;
struct message_hash;
struct session;
struct token;
struct worker;

enum {
    FINDER_ENTRIES = 4096, /* answers kept, 192 KiB; made when first needed */
    FINDER_AHEAD = 32,     /* commands that a session looks ahead */
};

struct finder *finder_new(struct worker *worker);
void finder_free(struct finder **finder);

/* The hash of a valid message-ID. */
struct message_hash finder_hash(const struct finder *finder, const char *id);
/* True when it is at hand where the article lies; false says nothing. */
bool finder_knows(const struct finder *finder, const struct message_hash *hash,
                  uint64_t *sequence_r, struct token *token_r);
/*
 * The session waits for an answer of the writer: ask for what its next
 * commands want too, as far as they are ARTICLE, BODY, HEAD or STAT with a
 * message-ID.
 */
void finder_look_ahead(struct finder *finder, struct session *session);

#endif
