/*
 * expiry -- a batch of what expire removes: runs of article numbers that leave
 * their groups, and articles whose last group has let go of them.
 *
 * Its octets are at once the payload of RECORD_EXPIRE and what the program
 * expire sends to the writer, so that what is decided outside, what the log
 * keeps and what a replay does are one thing.  The structs are in
 * storage/spool.h.  Doing it twice changes nothing.
 *
 * Beside it, what RECORD_REMEMBER holds: IDs of articles that have left the
 * log and must still be refused.
 */
#ifndef STORAGE_EXPIRY_H
#define STORAGE_EXPIRY_H

#include <stddef.h>
#include <stdint.h>

#include "storage/history.h"
#include "storage/spool.h"

struct buffer;
struct overview;

/* In one batch; the writer takes no longer ones.  So many cost the index
   thread some milliseconds, which is what a poster may wait behind them. */
enum { EXPIRY_RANGES_MAX = 1024, EXPIRY_ARTICLES_MAX = 1024 };

/* One taken apart; it borrows the octets. */
struct expiry {
    struct expired head;
    const char *ranges;
    const char *articles;
};

/*
 * Append a batch.  Ranges are brought into their order here, those of a group
 * that touch are joined.
 */
void expiry_build(struct buffer *octets, int64_t until,
                  struct expired_range *ranges, size_t range_count,
                  const struct expired_article *articles,
                  size_t article_count);
/*
 * Take a batch apart.  -1 with why when it is not what expiry_build() makes:
 * counts that do not fit the length or are above the maxima, ranges that are
 * empty or out of order, groups or sequences of 0.  Whether the groups are
 * there is not looked at.
 */
int expiry_parse(struct expiry *expiry, const void *octets, size_t length,
                 struct buffer *why);
struct expired_range expiry_range(const struct expiry *expiry, size_t index);
struct expired_article expiry_article(const struct expiry *expiry,
                                      size_t index);

/* What the history is to say of the ID of an article. */
struct history_entry expiry_entry(const struct expiry *expiry, size_t index);
/* Do it, in the overview's open transaction.  removed_r gets for each range
   how many articles were there. */
int expiry_remove(const struct expiry *expiry, struct overview *overview,
                  uint64_t *removed_r, struct buffer *why);

/* How many IDs a RECORD_REMEMBER holds, -1 with why when it is none. */
int64_t remembered_count(const void *octets, size_t length,
                         struct buffer *why);
struct remembered remembered_at(const void *octets, size_t index);

#endif
