/*
 * history -- which message-IDs this server has seen, and what became of them.
 *
 * Answers the question every offer begins with: have we had this article?  It
 * remembers an article after the article itself is gone, so that a late copy
 * is refused and not stored twice (RFC 5537, 3.3).  Only the writer opens it;
 * every other process asks the writer (lib/ipc.h).  It is an index over the
 * spool: its log is not synced, and what is missing after a crash is replayed
 * from the spool behind history_applied().
 *
 * Lies in Berkeley DB.  What is put is first in memory, in a table of 60,000
 * entries; a full one is frozen and goes into Berkeley DB beside the following
 * puts, in order of the hashes, up and down by turns, so that each page is
 * read and written once for all that belongs there.  Two tables take 9 MB.  A
 * death loses them, and the start replays them, and on the way what is in
 * Berkeley DB of a table that was not wholly there.  A filter
 * (history_filter.h) answers for most of the IDs that were never seen, once a
 * thread has read all that is there.  It takes a tenth of the cache, or 4 MB
 * for 10^6 IDs where that is more; one that is full is replaced by another,
 * made for twice what is there then.
 *
 * Calls may come from several threads (the writer's loop looks up, its index
 * thread puts): a mutex inside, let go after each 16 puts into Berkeley DB,
 * keeps them apart.  All that writes is called by one thread.
 */
#ifndef STORAGE_HISTORY_H
#define STORAGE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/message_id.h"
#include "lib/token.h"

struct buffer;
struct history; /* opaque: only storage/history*.c knows the members */

enum history_fate {
    HISTORY_STORED = 1,    /* sequence and token say where */
    HISTORY_EXPIRED = 2,   /* was stored, is gone; refuse it */
    HISTORY_REFUSED = 3,   /* never to be taken */
    HISTORY_CANCELLED = 4, /* cancelled, perhaps before it came */
    HISTORY_SUBMITTED = 5, /* a post that went to a moderator; the article
                              itself may yet come */
};

/* Does an entry say where a record lies, or else until when it counts? */
static inline bool
history_has_token(enum history_fate fate)
{
    return fate == HISTORY_STORED || fate == HISTORY_SUBMITTED;
}

struct history_entry {
    struct message_hash hash;
    enum history_fate fate;
    uint64_t sequence;  /* of the article, or of the record that decided */
    struct token token; /* HISTORY_STORED and HISTORY_SUBMITTED only */
    int64_t until;      /* remember at least until then, seconds; not for
                           these two, which are kept while the record is
                           there: 0 */
};

/*
 * Opens, recovers, creates.  path is PATHDB; all of the history is in the
 * directory `history` in it.  Both are made when they are missing.  What is
 * there and cannot be used, or was found damaged by a lookup or a put before,
 * is moved aside with a warning, to PATHDB/history.bad-TIME, and an empty one
 * made: history_applied() is then 0, and the replay makes it anew from the
 * spool.  NULL with why.
 */
struct history *history_open(const char *path, size_t cache_octets,
                             struct buffer *why);
/* The same, but nothing is moved or made: NULL with why when there is no
   history, or none that can be used. */
struct history *history_open_existing(const char *path, size_t cache_octets,
                                      struct buffer *why);
/* Drains what is in memory; what the disk does not take is replayed by the
   next start. */
void history_close(struct history **history);

/*
 * Put the history that lies in from, closed, in the place of the one in path,
 * in one step where the file system can; the old one, closed too, is removed.
 * Both are directories as history_open() takes them.  0 or -1 with why.
 */
int history_adopt(const char *path, const char *from, struct buffer *why);

/* The last sequence whose records it has; 0: empty.  When it has just been
   opened: that are in Berkeley DB. */
uint64_t history_applied(const struct history *history);
/* 1 and *entry_r, 0 when never seen, -1 with why. */
int history_lookup(struct history *history, const struct message_hash *hash,
                   struct history_entry *entry_r, struct buffer *why);
/*
 * Entries in order of their hashes, from the first that is not below *from on:
 * at most count of them, 0 behind the last.  -1 with why.  What is put
 * meanwhile may or may not be among them.
 */
int history_list(struct history *history, const struct message_hash *from,
                 struct history_entry *entries, size_t count,
                 struct buffer *why);
/*
 * The entries, and `applied`.  Puts over what is there.  A lookup meanwhile
 * may or may not see them.  After -1 the writer exits.
 */
int history_put(struct history *history, const struct history_entry *entries,
                size_t count, uint64_t applied, struct buffer *why);
/* Forget entries (their time is over). */
int history_drop(struct history *history, const struct message_hash *hashes,
                 size_t count, struct buffer *why);
/* Is there anything that is in memory alone? */
bool history_is_waiting(struct history *history);
/* Some of that goes into Berkeley DB: for when there is time. */
int history_drain(struct history *history, size_t count, struct buffer *why);
/* Is all in Berkeley DB that was put before the mark was taken?  So many
   drains lead there, whatever is put beside them. */
uint64_t history_mark(struct history *history);
bool history_is_drained(struct history *history, uint64_t mark);
/* All at once: for what no record in the spool says. */
int history_flush(struct history *history, struct buffer *why);
/* Make all that is in Berkeley DB durable, and drop the log that is then not
   needed any more. Called by the writer's checkpoint thread; lookups and puts
   go on. */
int history_checkpoint(struct history *history, struct buffer *why);

#endif
