/*
 * log_reader -- the articles of the log in order of arrival, for feeders, or
 * its submissions, for the queue of the moderators: read-only, beside a writer
 * that goes on appending.
 *
 * It reads heads of records and steps over payloads, up to the sequence number
 * that the writer has made visible (active_committed()); what lies behind that
 * may yet be thrown away by a recovery.  Where a segment ends the next one's
 * TRUNC record says, as for recovery.  Compaction segments stand outside the
 * log and are passed over.
 *
 * Where records are missing, since their segment was removed or is damaged,
 * the reader says which sequence numbers, and its owner asks the overview for
 * what is left of them (OVERVIEW_SINCE), then goes on behind them.  A gap may
 * name numbers that no article ever had.
 *
 * Reads of heads may wait for a cold disk: it is for a process that serves one
 * peer, never for a reader worker.
 */
#ifndef STORAGE_LOG_READER_H
#define STORAGE_LOG_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/spool.h"

struct active;
struct buffer;
struct log_reader;

/*
 * How far somebody has come: all records up to sequence are behind him.
 * segment and offset say where to go on reading, the begin of a batch that may
 * have records up to sequence in it; segment 0: not known, the reader looks.
 */
struct log_position {
    uint32_t segment;
    uint32_t offset;
    uint64_t sequence;
};

enum log_answer {
    LOG_FAILED = -1, /* the system failed; why is set */
    LOG_END,         /* nothing more is visible now */
    LOG_ARTICLE,     /* record_r is set */
    LOG_GAP,         /* gap_first to gap_last are not in the log any more */
};

struct log_step {
    /* LOG_ARTICLE: payload is NULL, meta is borrowed until the next call */
    struct record record;
    struct log_position before; /* of who has all but this article */
    /* LOG_GAP */
    uint64_t gap_first, gap_last;
};

/* path: the spool's directory.  Dies when it cannot be opened. */
struct log_reader *log_reader_new(const char *path,
                                  const struct active *active,
                                  const struct log_position *from);
void log_reader_free(struct log_reader **reader);
/* Give records of this type from now on, and no articles (those of others are
   stepped over). */
void log_reader_want(struct log_reader *reader, enum record_type type);

/*
 * The next article.  It reads at most so many records of other kinds, or
 * already behind us, and says LOG_END when it has: try again then.  The same
 * gap is answered until log_reader_skip().
 */
enum log_answer log_reader_next(struct log_reader *reader,
                                struct log_step *step_r, struct buffer *why);
/* Is something visible that was not given yet? */
bool log_reader_has_more(const struct log_reader *reader);
/* The gap is dealt with up to this sequence number. */
void log_reader_skip(struct log_reader *reader, uint64_t sequence);
/* All that was given is behind who is here. */
struct log_position log_reader_position(const struct log_reader *reader);

#endif
