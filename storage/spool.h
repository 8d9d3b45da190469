/*
 * spool -- the articles: one log of append-only segments in order of arrival.
 * It is the truth; history and overview are indices over it.
 *
 * This header is the formats, the writing side and the walk that recovery and
 * rebuild make.  Readers of single articles use storage/spool_reader.h.
 * Numbers are stored little-endian.  doc/storage.md tells the same to those
 * who write another reader.
 *
 * A segment is the file PATHSPOOL/%08x.seg.  It begins with a struct
 * segment_head in its own 4,096 octets, then batches; each batch is a struct
 * batch_head and its records, padded with zeroes to 8 octets.  Its first batch
 * begins with a TRUNC record for each segment that ended with it and has a
 * SNAPSHOT behind them.  Segment numbers only grow and are never used again;
 * a missing one was removed by expire.
 *
 * What survives of a segment that is nearly dead is copied to a compaction
 * segment, record for record with the sequence it has, and the old one goes.
 * It stands outside the chain: its number has SEGMENT_COMPACTED in it, its
 * head a storage class, it has neither TRUNC nor SNAPSHOT, and it is complete
 * and synced before it gets its name.  A record that lies in two segments is
 * the same in both.
 *
 * A batch whose sums are wrong, with no batch behind it that was written after
 * it was synced, is a torn tail: never acknowledged, left behind.  Any other
 * bad batch is corruption: what records of it sum are taken all the same, the
 * rest is named in the log, and the segment gets a second name, %08x.bad, so
 * that nothing loses what is left of it.
 *
 * Beside the segments lie writer.lock, the ballast (storage/ballast.h) and,
 * while a writer runs, %08x.new: the next segment, made ready; one that was
 * never used is removed at the next start.
 */
#ifndef STORAGE_SPOOL_H
#define STORAGE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/message_id.h"
#include "lib/token.h"

struct buffer;

enum {
    SPOOL_VERSION = 1,
    SEGMENT_HEAD_OCTETS = 4096,
    SEGMENT_MAGIC = 0x47534e52, /* "RNSG" */
    BATCH_MAGIC = 0x48424e52,   /* "RNBH" */
    RECORD_MAGIC = 0x43524e52,  /* "RNRC" */
};

/* magic, version and crc keep their places in every version. */
struct segment_head {
    uint32_t magic;
    uint32_t version;
    uint32_t segment;       /* its number, from 1 */
    uint32_t storage_class; /* 0: the log itself; else made by compaction and
                               outside the chain: enum storage_class */
    uint64_t epoch; /* of the writer that made it: raised at every start */
    uint64_t first_sequence;
    int64_t created; /* seconds since the epoch.  Compaction: what had been
                        removed by then is not in it */
    uint32_t span;   /* compaction: the last sequence in it less the first */
    uint32_t crc;    /* crc32c of all before it */
};
_Static_assert(sizeof(struct segment_head) == 48, "on disk");

/* In the number of every compaction segment. */
enum { SEGMENT_COMPACTED = INT32_MIN };
enum storage_class { CLASS_LOG = 0, CLASS_SURVIVORS = 1 };

struct batch_head {
    uint32_t magic;
    uint32_t segment;
    uint64_t epoch;
    uint64_t first_sequence;
    uint32_t count;     /* records */
    uint32_t octets;    /* of head and records, padding included */
    uint32_t previous;  /* offset of the batch before, 0: the first */
    uint32_t heads_crc; /* crc32c over all record heads and metas */
    uint32_t synced;    /* what lies before this offset was on the disk before
                           this batch was written */
    uint32_t crc;       /* crc32c of all before it, begun with the offset at
                           which the batch lies: a copy elsewhere is none */
};
_Static_assert(sizeof(struct batch_head) == 48, "on disk");

enum record_type {
    RECORD_ARTICLE = 1,
    RECORD_CANCEL = 2,     /* an article removed by its ID; hash is its */
    RECORD_GROUP = 3,      /* new, removed or changed: struct group_change */
    RECORD_MARKS = 4,      /* group marks alone; not written */
    RECORD_EXPIRE = 5,     /* removed by expire: struct expired */
    RECORD_REMEMBER = 6,   /* IDs that must still be refused: struct remembered
                            */
    RECORD_SUBMISSION = 7, /* a post for a moderator */
    RECORD_TRUNC = 8,      /* "segment S ends at X" */
    RECORD_SNAPSHOT = 9,   /* all groups, at the beginning of a segment */
};

/*
 * Sequence numbers grow from record to record, but for the TRUNC and SNAPSHOT
 * records with which a segment begins that the log rolled over to: they repeat
 * the sequence before the one that follows them (the state up to and including
 * it).  Arrival never goes back.
 */
/* Then meta (meta_octets), then payload (payload_octets), then zeroes to a
   multiple of 8.  An article's meta is group_count struct record_group; its
   payload the wire article with Path and Xref, ".CRLF" included.  A
   submission's is the same without Xref, and its meta the one moderated group
   with the number 0: who mails it reads the log (innd/moderation.h), and until
   he has passed it its segment is kept. */
struct record_head {
    uint32_t magic;
    uint32_t octets; /* of the whole record, padding included */
    uint16_t type;   /* enum record_type */
    uint16_t flags;
    uint32_t storage_class;
    uint64_t sequence;
    int64_t arrival; /* seconds; never goes back */
    struct message_hash hash;
    uint32_t meta_octets;
    uint32_t payload_octets;
    uint32_t head_octets; /* article: header fields in the payload */
    uint32_t body_offset; /* article: in the payload */
    uint32_t lines;
    uint32_t bytes; /* :bytes */
    uint32_t body_crc;
    uint32_t peer;
    uint32_t payload_crc;
    uint32_t crc; /* crc32c of the head before it, then of meta */
};
_Static_assert(sizeof(struct record_head) == 88, "on disk");

struct record_group {
    uint32_t group;
    uint32_t zero;
    uint64_t number;
};
_Static_assert(sizeof(struct record_group) == 16, "on disk");

/* Payload of RECORD_GROUP and, repeated, of RECORD_SNAPSHOT: then name,
   creator and description, padded together to 8. */
struct group_change {
    uint32_t group;
    uint8_t flag; /* 0: removed */
    uint8_t zero[3];
    uint32_t alias;
    uint16_t name_octets;
    uint16_t creator_octets;
    uint32_t description_octets;
    uint32_t zero2;
    int64_t created;
    uint64_t low;
    uint64_t high;
};
_Static_assert(sizeof(struct group_change) == 48, "on disk");

/* Payload of RECORD_TRUNC. */
struct trunc {
    uint32_t segment;
    uint32_t end; /* the first octet that is no part of the log */
};
_Static_assert(sizeof(struct trunc) == 8, "on disk");

/*
 * Payload of RECORD_EXPIRE: then the ranges, ascending by group and first and
 * not touching each other, then the articles (storage/expiry.h).  A low mark
 * that lies in a range rises to the next article behind it.
 */
struct expired {
    uint32_t range_count;
    uint32_t article_count;
    int64_t until; /* the IDs of the articles are refused at least until then
                    */
};
_Static_assert(sizeof(struct expired) == 16, "on disk");

/* All articles of the group with these numbers have left it.  Their sequence
   numbers lie between the two here. */
struct expired_range {
    uint32_t group;
    uint32_t zero;
    uint64_t first, last;
    uint64_t first_sequence, last_sequence;
};
_Static_assert(sizeof(struct expired_range) == 40, "on disk");

/* The last of its groups has let go of it. */
struct expired_article {
    uint64_t sequence;
    struct message_hash hash;
};
_Static_assert(sizeof(struct expired_article) == 24, "on disk");

/*
 * Payload of RECORD_REMEMBER, repeated: what the log had to say of an ID in a
 * segment that is gone.  It says nothing of an article of the same ID that
 * came later.
 */
struct remembered {
    struct message_hash hash;
    uint64_t sequence; /* of the article that is gone; 0: there was none */
    int64_t until;     /* the ID is refused at least until then */
    uint32_t fate;     /* enum history_fate, not HISTORY_STORED */
    uint32_t zero;
};
_Static_assert(sizeof(struct remembered) == 40, "on disk");

/* A record where it lies in memory; the pointers are borrowed.  token has the
   whole place where the record came from the spool, else only octets. */
struct record {
    struct record_head head; /* copied, in host order */
    const char *meta;
    const char *payload;
    struct token token;
};

/*
 * Take the record at octets apart and check its sums (the payload's too when
 * check_payload).  Returns its length, or -1 with why.
 */
int64_t record_parse(struct record *record, const void *octets, size_t length,
                     bool check_payload, struct buffer *why);
/* The same for who has head and meta only, of a record in room octets; payload
   is NULL. */
int64_t record_parse_head(struct record *record, const void *octets,
                          size_t room, struct buffer *why);
struct record_group record_group(const struct record *record, size_t index);
size_t record_group_count(const struct record *record);

/* --- building a batch, in memory --- */

struct batch {
    struct buffer *octets; /* owned: batch head (filled in by spool_seal and
                              spool_write) and records */
    uint64_t first_sequence;
    uint32_t count;
    /* the rest is private */
    uint64_t last_sequence;
    int64_t first_arrival, last_arrival;
    uint32_t heads_crc;
    uint32_t segment, offset; /* where it goes: set by spool_seal() */
};

struct batch *batch_new(void);
void batch_free(struct batch **batch);
void batch_clear(struct batch *batch);
/*
 * Append a record: head's magic, octets, sums and lengths are filled in here,
 * in the caller's copy too; payload comes in pieces.  Returns the record's
 * offset within the batch, for its token once spool_seal() has said where the
 * batch goes.  Neither sequence nor arrival may be lower than the one before.
 */
uint32_t batch_append(struct batch *batch, struct record_head *head,
                      const void *meta, size_t meta_octets,
                      const struct iovec *payload, int count);

/* --- the log, for writing: the holder of PATHSPOOL/writer.lock only --- */

struct spool;

/*
 * Take the lock (waiting at most wait_seconds for another writer to end) and
 * look at what is there.  The directory is made when it is missing (its parent
 * must be there); else nothing is written yet.  NULL with why; a store of
 * another version is named.  segment_octets: at most 2 GiB.
 */
struct spool *spool_open(const char *path, uint64_t segment_octets,
                         int wait_seconds, struct buffer *why);
/* Ends the thread, removes the spare, releases unused space.  No other call
   may be under way. */
void spool_close(struct spool **spool);
/* Was another process holding the lock?  (The reason spool_open failed.) */
bool spool_is_locked(const char *path);

/*
 * What a writer before us is known to have had on the disk: of what it wrote
 * behind end in this segment (the octet behind the last batch that it synced),
 * and in newer ones, nothing is believed.  Called before spool_walk(), where
 * the caller knows: after a failed fdatasync the page cache shows what the
 * disk may not have.  It says nothing any more where yet another writer (a
 * tool, say) has begun since: that one has said itself where the log ended.
 */
void spool_set_durable(struct spool *spool, uint32_t segment, uint32_t end);
/*
 * Walk all good records of the log in order of sequence from the first whose
 * sequence is > after.  A batch is given only when the whole of it is good.
 * Records of compaction segments come where their first sequence belongs; one
 * that lies in the log too comes twice, at the same sequence or a lower one
 * than the last: give heed to the first.  func returns
 * 0 to go on, -1 with why to stop.  Corruption in the middle is logged loudly
 * and stepped over; the torn tail is found here and remembered for
 * spool_begin().  The newest segment is synced first, so that what is given
 * here survives a power cut as much as what was acknowledged.  May be called
 * again.  Returns 0 or -1 with why.
 */
typedef int spool_walk_func(void *context, const struct record *record,
                            struct buffer *why);
int spool_walk(struct spool *spool, uint64_t after, spool_walk_func *func,
               void *context, struct buffer *why);
/* Before it: about the last sequence in the log, not above it; what comes in
   the newest segment is not counted. */
uint64_t spool_sequence_estimate(const struct spool *spool);
/* After the walk: the last sequence in the log, the last arrival time, the
   number of the last segment (0: none), epoch of the newest segment. */
uint64_t spool_last_sequence(const struct spool *spool);
int64_t spool_last_arrival(const struct spool *spool);
uint32_t spool_last_segment(const struct spool *spool);

/*
 * --- the log, for who only reads it ---
 *
 * For tools that look at all of it (newsstore).  Nothing is written, moved or
 * logged: what is wrong is told to fault, while this opens and in each walk.
 * With lock the writer's lock is taken, so that nobody else writes meanwhile
 * (another holder: NULL with why).  Without it, spool_set_durable() says up to
 * where to look, and what a writer begins later is not seen.  A segment of
 * another version is told of and left out.  For spool_walk() and spool_close()
 * alone.
 */
enum spool_fault_kind {
    SPOOL_FAULT_ALIEN,   /* text: the name of a file that is not ours */
    SPOOL_FAULT_VERSION, /* text: which version it has and should have */
    SPOOL_FAULT_HEAD,    /* a segment's head is damaged */
    SPOOL_FAULT_DAMAGE,  /* from `from` to `to` sums are wrong; text: what is
                            lost of it */
    SPOOL_FAULT_CUT,     /* the file ends at `from`, the log in it at `to` */
    SPOOL_FAULT_GAP,     /* between this segment and the next sequences are
                            missing: text */
    SPOOL_FAULT_UNREADABLE, /* the system fails to read at `from`: text */
};
struct spool_fault {
    enum spool_fault_kind kind;
    uint32_t segment;
    uint64_t from, to;
    const char *text; /* "" where nothing is said above */
};
typedef void spool_fault_func(void *context, const struct spool_fault *fault);
struct spool *spool_open_reading(const char *path, bool lock,
                                 spool_fault_func *fault, void *context,
                                 struct buffer *why);
/* Octets of the log in all segments: an estimate, for a progress bar. */
uint64_t spool_log_octets(const struct spool *spool);
/* The head of a segment, all zeroes but its number where it is damaged.  0, or
   -1 with why. */
int spool_segment_head(struct spool *spool, uint32_t number,
                       struct segment_head *head_r, struct buffer *why);
/* Walk the good records of one segment; *end_r is where the log in it ends. 0,
   or -1 with why: there is no such segment, or func said so. */
int spool_examine_segment(struct spool *spool, uint32_t number,
                          uint32_t *end_r, spool_walk_func *func,
                          void *context, struct buffer *why);
/* Has a segment gone that was there when this was opened?  The reason why a
   walk failed. */
bool spool_has_vanished(const struct spool *spool);
/* Find out where segments end, without walking through them: what TRUNC
   records and spool_set_durable() say.  0 or -1 with why. */
int spool_find_ends(struct spool *spool, struct buffer *why);
/* Where the log in a segment ends, after that or a walk; the end of the file
   for one outside the log.  0: not known. */
uint64_t spool_segment_end(struct spool *spool, uint32_t number);
/* The next number above, of the segments that were found; 0: none. */
uint32_t spool_next_segment(const struct spool *spool, uint32_t number);
/* Is a file of this segment there now? */
bool spool_has_segment(const struct spool *spool, uint32_t number);

/*
 * Begin writing, after the walk: a new segment (never behind an old tail),
 * with a TRUNC record for the one that was left and the snapshot as its first
 * batch, durable before this returns; unused preallocation behind the old
 * tail is released.  On a full disk the ballast goes, and the segment may be a
 * small one, so that a start never fails for want of a whole segment's room.
 * snapshot is the payload of RECORD_SNAPSHOT; the batch
 * takes sequence numbers from *sequence, the next free one, on and moves it.
 * Its arrival is spool_last_arrival(), which is that of no article when the
 * log was empty: the caller's must not be lower.
 * Starts a thread that makes the next segment ready and writes zeroes ahead.
 */
int spool_begin(struct spool *spool, const struct buffer *snapshot,
                uint64_t *sequence, struct buffer *why);
/* What is on the disk now, for spool_set_durable() of the next writer: after
   spool_begin(), and for the thread that writes after each spool_write(). */
void spool_durable(const struct spool *spool, uint32_t *segment_r,
                   uint32_t *end_r);

/*
 * Who gives the payload of RECORD_SNAPSHOT, appended to an empty buffer, when
 * spool_seal() goes on to a new segment; called within it, by its thread.  The
 * snapshot is at least the state before the batch that is being sealed, and
 * may have that batch in it already: what it says is taken as a maximum.  Set
 * it before the first spool_seal(); without one, snapshots are empty.
 */
typedef void spool_snapshot_func(void *context, struct buffer *snapshot);
void spool_set_snapshot(struct spool *spool, spool_snapshot_func *func,
                        void *context);
/*
 * Give a finished batch its place: fills in the batch head and, when it does
 * not fit in the current segment, goes on to the next (made ready in the
 * background; it waits for that to succeed or fail).  Returns 0 with the
 * place in *segment_r, *offset_r (the batch head's); the record at offset o of
 * batch_append() is then at *offset_r + o.  -1: there is no room for a
 * next segment (the store is full), nothing has changed.
 * Called by the loop thread, in order of sequence.
 */
int spool_seal(struct spool *spool, struct batch *batch, uint32_t *segment_r,
               uint32_t *offset_r, struct buffer *why);
/*
 * Write sealed batches, all of them and in the order in which they were
 * sealed, and make them durable: one pwritev and one fdatasync (pieces of 512
 * KB with sync_file_range above that).  Called by the flush thread.  -1:
 * nothing of it may be acknowledged, and nothing more may be written by this
 * process: exit; every later call fails too.
 */
int spool_write(struct spool *spool, struct batch *const *batches,
                size_t count, struct buffer *why);
/* Did a spool_write() fail?  Any thread. */
bool spool_is_broken(const struct spool *spool);
/* Is there room for articles (free space against the reserve, with
   hysteresis)?  Cheap; asks the system at most once a second, and keeps the
   ballast or gives it back.  Called by the thread that calls spool_seal(). */
bool spool_has_room(struct spool *spool);
/* Octets free on the spool's file system, octets used by segments. */
void spool_space(struct spool *spool, uint64_t *free_r, uint64_t *used_r);

/* --- taking segments away: storage/spool_reclaim.c, any one thread --- */

struct spool_segment {
    uint32_t number;
    uint32_t storage_class;
    uint64_t first_sequence;
    uint64_t last_sequence; /* compaction; of the log: 0, not known */
    int64_t created;
    uint64_t octets; /* of its file, behind the head */
};

/* All segments in a spool's directory whose head is good, the log's first,
   ascending by number; the caller frees *list_r.  Anyone may.  0 or -1 with
   why. */
int spool_list(const char *path, struct spool_segment **list_r,
               size_t *count_r, struct buffer *why);
/* Walk the records of one segment that nobody writes to any more.  -1 with why
   also when anything in it is damaged. */
int spool_walk_left(const struct spool *spool,
                    const struct spool_segment *segment, spool_walk_func *func,
                    void *context, struct buffer *why);
/* Does the log in this segment end here for sure?  What lies behind is cut
   off, so that no TRUNC record is needed to say so.  -1 with why; that it was
   found damaged once is a reason. */
int spool_cut(const struct spool *spool, uint32_t number, uint32_t end,
              struct buffer *why);
/* Remove a segment for good, durably.  0 or -1 with why. */
int spool_remove(const struct spool *spool, uint32_t number,
                 struct buffer *why);

/* A compaction segment being made.  Records come in order of sequence. */
struct compaction;
/* octets: at least what the records take.  created: see struct segment_head.
   NULL with why. */
struct compaction *compaction_begin(const struct spool *spool, uint64_t octets,
                                    int64_t created, struct buffer *why);
/* Copy the record of this sequence that lies there, checked; *token_r is where
   it will lie.  0 or -1 with why. */
int compaction_add(struct compaction *compaction, const struct token *from,
                   uint64_t sequence, struct token *token_r,
                   struct buffer *why);
/* Make it a segment of the spool, durably. */
int compaction_finish(struct compaction *compaction, struct buffer *why);
/* What was not finished leaves nothing behind. */
void compaction_free(struct compaction **compaction);

#endif
