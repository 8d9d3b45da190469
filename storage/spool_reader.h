/*
 * spool_reader -- reading single records of the spool without waiting.
 *
 * In a process with an event loop: a read that the page cache can serve is
 * done at once (preadv2 with RWF_NOWAIT), another goes to a few threads, and
 * the loop goes on meanwhile.  A record is checked (magic, sequence, sums)
 * before anyone sees it.  All calls come from the loop's thread.
 */
#ifndef STORAGE_SPOOL_READER_H
#define STORAGE_SPOOL_READER_H

#include <stdint.h>

#include "lib/token.h"
#include "storage/spool.h"

struct buffer;
struct event_base;
struct spool_reader;
struct spool_read;

/* One record in memory of its own, counted: each holder of a reference calls
   spooled_release(), from any place (an evbuffer's cleanup, say). */
struct spooled {
    struct record record;
    unsigned references; /* private */
};
void spooled_hold(struct spooled *spooled);
void spooled_release(struct spooled *spooled);

enum spool_result {
    SPOOL_FOUND,   /* spooled is set; the callee owns one reference */
    SPOOL_GONE,    /* not there any more: segment unlinked, or another record
                      lies there: ask the overview where it is now */
    SPOOL_CORRUPT, /* it is there but its sums are wrong; logged */
    SPOOL_FAILED,  /* the system failed; logged */
};

typedef void spool_read_func(void *context, enum spool_result result,
                             struct spooled *spooled);

/* Dies when the system gives no descriptor.  The threads are started by the
   first read that needs one. */
struct spool_reader *spool_reader_new(const char *path,
                                      struct event_base *base);
/* Reads under way are forgotten: their funcs are not called. */
void spool_reader_free(struct spool_reader **reader);

/*
 * Read the record at token, which must have this sequence number.  func is
 * called once, perhaps before this returns.  Returns a handle for
 * spool_read_forget(), or NULL when func was already called.
 */
struct spool_read *spool_read(struct spool_reader *reader,
                              const struct token *token, uint64_t sequence,
                              spool_read_func *func, void *context);
/* The asker is gone: func will not be called.  Not from within func. */
void spool_read_forget(struct spool_read *read);
/* For tools without a loop: blocks.  *spooled_r only when SPOOL_FOUND. */
enum spool_result spool_read_now(const char *path, const struct token *token,
                                 uint64_t sequence,
                                 struct spooled **spooled_r);

#endif
