/*
 * overview -- what OVER answers, where each article number lies, and the
 * groups: an index over the spool, in SQL (DESIGN of doc/architecture.md).
 *
 * The writer appends one row per article to `recent`; folding moves rows,
 * sorted, into `block` (the lines of 64 numbers of a group exactly as OVER
 * sends them) and `article` (sequence -> token, arrival).  Readers answer from
 * blocks and recent.  Backends are tables of functions
 * (storage/overview_backend.h); this is what everyone calls.
 */
#ifndef STORAGE_OVERVIEW_H
#define STORAGE_OVERVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/message_id.h"
#include "lib/token.h"
#include "storage/spool.h"

struct active;
struct buffer;
struct event_base;

/* --- the writer --- */

struct overview; /* opened for writing: index thread only, checkpoint apart */

/* One article for overview_put(). */
struct overview_entry {
    uint64_t sequence;
    int64_t arrival;
    struct token token;
    struct message_hash hash;
    const struct record_group *groups; /* with the numbers given */
    size_t group_count;
    const char *line; /* the overview without number: "Subject<TAB>...<TAB>
                         bytes<TAB>lines<TAB>Xref: ..." without CRLF */
    size_t line_octets;
};

/* A group's row, for a start; strings are borrowed while func runs. */
struct overview_group {
    uint32_t group;
    char flag; /* 0: removed */
    uint32_t alias;
    int64_t created;
    uint64_t low, high, count;
    const char *name;
    const char *creator;
    const char *description;
};
typedef int overview_group_func(void *context,
                                const struct overview_group *group);

/*
 * url: "sqlite" (in directory path, which is made if need be) or
 * "postgresql://..." (whose tables are there; path has the name of the store
 * that they belong to).  NULL with why;
 * a file of another version is named and left alone.  What is there and
 * damaged is moved aside with a warning, and an empty one made:
 * overview_applied() is then 0, and the replay makes it anew from the spool.
 */
struct overview *overview_open(const char *url, const char *path,
                               size_t cache_octets, struct buffer *why);
/*
 * Is an overview there that overview_open() would take as it is?  0, or -1
 * with why: there is none, or it is damaged, or of another version, or another
 * store's.  Changes nothing.
 */
int overview_examine(const char *url, const char *path, struct buffer *why);
/*
 * To make one anew while the old one is not open: returns the path (the
 * caller's to free) for overview_open(), where one is to be filled; NULL with
 * why.  Unless it is resumed it begins empty.  rebuild_end(), once the new one
 * is closed, puts it in the place of the old one, in one step.
 * A database keeps no old one beside: its tables are emptied by
 * rebuild_begin().
 */
char *overview_rebuild_begin(const char *url, const char *path, bool resume,
                             struct buffer *why);
int overview_rebuild_end(const char *url, const char *path,
                         struct buffer *why);
void overview_close(struct overview **overview);
/* The last sequence whose records it has; 0: empty. */
uint64_t overview_applied(const struct overview *overview);
/*
 * Every group that was put, removed ones too, ascending by its id, with marks
 * and count as of all that was put and removed: high is the highest of the
 * marks that were put and the numbers of articles, low the highest that was
 * put, count the articles that are there.  Between transactions.  func
 * returns 0 to go on, -1 to stop.
 */
int overview_groups(struct overview *overview, overview_group_func *func,
                    void *context, struct buffer *why);

/*
 * What happens between overview_begin() and overview_commit() is one
 * transaction, which moves `applied`.  All return 0 or -1 with why; after -1
 * the writer exits, the next one replays.  Everything is idempotent: the same
 * records put again change nothing.  overview_close() without a commit drops
 * the transaction.
 */
int overview_begin(struct overview *overview, struct buffer *why);
/*
 * Articles come in order of sequence; one that is not above all that were put
 * before is one of them, and is passed over.
 */
int overview_put(struct overview *overview,
                 const struct overview_entry *entries, size_t count,
                 struct buffer *why);
/*
 * Make or change a group.  low and high only ever rise: a lower one leaves
 * what is there.  count is not looked at: the overview counts by itself what
 * is put and removed, since the caller, who counts as it gives numbers, is
 * ahead of this transaction.
 */
int overview_put_group(struct overview *overview,
                       const struct overview_group *group, struct buffer *why);
/* Take an article out of these groups (cancel, expire, rmgroup): from
   `recent` and from its blocks, and out of their counts; with last, these are
   all it had left, and it can no longer be located either.  Absent ones are
   passed over.  Low marks are the caller's to raise (overview_put_group). */
int overview_remove(struct overview *overview, uint64_t sequence,
                    const struct record_group *groups, size_t group_count,
                    bool last, struct buffer *why);
/*
 * Take whole ranges of numbers out of their groups (expire): as
 * overview_remove(), for ranges in order by group and number that do not touch
 * each other.  removed_r gets for each how many articles were there.
 */
int overview_remove_ranges(struct overview *overview,
                           const struct expired_range *ranges, size_t count,
                           uint64_t *removed_r, struct buffer *why);
/* These articles, in no group any more, can no longer be located either. */
int overview_drop(struct overview *overview, const uint64_t *sequences,
                  size_t count, struct buffer *why);
/* An article that has been folded lies elsewhere now (compaction).  Blocks go
   on giving the old place as a hint. */
int overview_move(struct overview *overview, uint64_t sequence,
                  const struct token *token, struct buffer *why);
int overview_commit(struct overview *overview, uint64_t applied,
                    struct buffer *why);
/*
 * The low marks of groups are what they should be after all removals up to
 * this sequence; the next commit says so.  A removal and the mark that it
 * raises are two transactions: after a death between them the mark is looked
 * up again, of all groups that lost something since.
 */
void overview_settle(struct overview *overview, uint64_t sequence);
uint64_t overview_settled(const struct overview *overview);

/*
 * Put the lines of an article where they belong, over whatever is there, and
 * the row that says where it lies; it may be an old one.  No group's row
 * counts it: overview_recount() follows.  For who mends an overview, when all
 * of `recent` is folded.
 */
int overview_mend(struct overview *overview,
                  const struct overview_entry *entry, struct buffer *why);
/* Count a group's lines from number low on anew; its low mark is low then.
   `recent` is empty. */
int overview_recount(struct overview *overview, uint32_t group, uint64_t low,
                     struct buffer *why);

/*
 * After a -1: was the overview only away (a database that was stopped, a disk
 * that is full)?  Then this waits, with a warning and longer and longer
 * pauses, until it is back, and returns 0: all since overview_begin() is
 * undone, and a commit that was under way may be done or not; do it again from
 * overview_begin() on.  -1 when that was not it, or will not do: as after any
 * other failure.
 */
int overview_resume(struct overview *overview, struct buffer *why);

/*
 * Fold a little: at most one block or 64 rows, inside the open transaction.
 * A fold takes the oldest rows, all but keep, at most 32,768; the more at
 * once, the cheaper (from 1,024 rows twice as dear an article as from
 * 32,768), so keep should be well below what overview_recent() says when a
 * fold is begun.  Returns 1 when more could be folded, 0 when `recent` holds
 * no more than keep rows and no fold is half done, -1 with why.
 */
int overview_fold(struct overview *overview, size_t keep, struct buffer *why);
/* No article with a lower sequence than *sequence_r is in recent: they have
   been folded. */
int overview_recent_begin(struct overview *overview, uint64_t *sequence_r,
                          struct buffer *why);
/* Rows in recent, those of an unfinished fold included. */
size_t overview_recent(const struct overview *overview);

/* Octets of write-ahead log. */
uint64_t overview_log_octets(const struct overview *overview);
/* From the checkpoint thread, with a connection of its own: as much as
   readers let it (PASSIVE).  *left_r: octets it could not yet move. */
int overview_checkpoint(struct overview *overview, uint64_t *left_r,
                        struct buffer *why);
/*
 * From the index thread between two transactions: with this, and then an
 * overview_checkpoint() that leaves nothing, all that was committed survives a
 * power cut.
 */
int overview_flush(struct overview *overview, struct buffer *why);
/*
 * From the index thread between two transactions: what the database wants to
 * have done now and then, some of it.  Returns 1 when there is more to do, 0,
 * -1 with why.
 */
int overview_upkeep(struct overview *overview, struct buffer *why);
/* From the index thread between two transactions, when the checkpoint thread
   has nearly caught up: begin the log anew.  Does not wait for readers, but
   2 ms or so once the log is longer than 24 MB.  1 done, 0 a reader or a full
   disk is in the way, -1 why. */
int overview_restart_log(struct overview *overview, struct buffer *why);

/* For the writer's questions (index thread between transactions): the article
   by sequence.  1, 0, -1. */
int overview_locate(struct overview *overview, uint64_t sequence,
                    struct token *token_r, int64_t *arrival_r,
                    struct buffer *why);

/* --- readers --- */

struct overview_reader;

/* One line of a group. */
struct overview_line {
    uint64_t number;
    uint64_t sequence;
    struct token token; /* a hint: see storage/spool_reader.h */
    const char *text;   /* "number<TAB>Subject...CRLF", as OVER sends it */
    uint32_t octets;
};

enum overview_question {
    OVERVIEW_RANGE,    /* lines of group from low to high, ascending */
    OVERVIEW_NEXT,     /* the first number >= low (and <= high) of group */
    OVERVIEW_PREVIOUS, /* the last number <= high (and >= low) of group */
    OVERVIEW_LOCATE,   /* low is a sequence: where it lies now, and arrival */
    OVERVIEW_SINCE,    /* articles from sequence low on that arrived at or
                          after `since`, in order of sequence, at most `limit`:
                          lines with sequence and token only */
};

struct overview_query {
    enum overview_question question;
    uint32_t group;
    uint64_t low;
    uint64_t high;
    int64_t since;
    size_t limit; /* lines wanted at most; 0: as many as come at once.  An
                     answer has at most 64 KB or so of text anyway */
};

struct overview_answer {
    int status; /* 1 found, 0 nothing there, -1 the overview failed (logged) */
    const struct overview_line *lines; /* borrowed while done runs.  Texts of
                                          neighbours often touch: copy runs */
    size_t count;
    uint64_t next; /* go on from here (number or sequence of the first line
                      that had no room); 0: complete */
    struct token token; /* OVERVIEW_LOCATE */
    int64_t arrival;    /* OVERVIEW_LOCATE */
};

typedef void overview_done_func(void *context,
                                const struct overview_answer *answer);

/* The directory must be there; what is in it is opened at the first question,
   since the writer may make it later, or anew.  Closed before active is. */
struct overview_reader *overview_reader_open(const char *url, const char *path,
                                             const struct active *active,
                                             struct event_base *base,
                                             struct buffer *why);
void overview_reader_close(struct overview_reader **reader);
/*
 * done is called once, perhaps before this returns (SQLite: always).  Returns
 * a handle for overview_forget(), or NULL when done was already called.
 */
struct overview_request *overview_ask(struct overview_reader *reader,
                                      const struct overview_query *query,
                                      overview_done_func *done, void *context);
void overview_forget(struct overview_request *request);
/* For tools: ask in a turn of its own, and run base until done was called. */
void overview_ask_now(struct overview_reader *reader, struct event_base *base,
                      const struct overview_query *query,
                      overview_done_func *done, void *context);
/* The end of a turn of the loop: let go of the read transaction. */
void overview_reader_turn_ended(struct overview_reader *reader);

#endif
