/*
 * store, from inside -- what the files of the open store share: store.c (the
 * caller's thread), store_groups.c, store_cancel.c, store_pending.c, commit*.c
 * (the threads behind it), recover.c.
 *
 * Who may touch what: the caller's thread owns all of struct store but for
 * the part under `lock`, and for what stands under a thread's name.  A struct
 * commit belongs to one thread at a time and goes from hand to hand through
 * the queues: building -> sealed -> flushed -> done -> spare.
 */
#ifndef STORAGE_STORE_PRIVATE_H
#define STORAGE_STORE_PRIVATE_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "lib/buffer.h"
#include "lib/canlock.h"
#include "storage/expiry.h"
#include "storage/history.h"
#include "storage/overview.h"
#include "storage/reclaim.h"
#include "storage/spool.h"
#include "storage/store.h"

enum {
    /* What one flush, and one transaction of the index thread, takes. */
    COMMIT_ARTICLES_MAX = 1000,
    COMMIT_OCTETS_MAX = 8 * 1024 * 1024,
    /* Flush, index, the checkpoints of the overview and of the history, and
       who takes segments away. */
    STORE_THREADS = 5,
    /* What a command may say. */
    DESCRIPTION_OCTETS_MAX = 400,
    CREATOR_OCTETS_MAX = 250,
    /* A group id above this is damage. */
    GROUP_ID_MAX = 1 << 24,
};

/* --- groups, as the caller's thread decides by them --- */

/* The state behind the last sequence number given out; what readers see
   (storage/active.h) follows when that is committed. */
struct group {
    char *name; /* owned, as all texts here; NULL: this id was never used */
    char *creator;
    char *description;
    size_t name_octets;
    char flag; /* 0: removed */
    uint32_t alias;
    int64_t created;
    uint64_t high;  /* the last number given out */
    uint64_t stamp; /* of the submission that was last filed here: an article
                       gets one number in a group, however it comes there */
    /* for recovery, until they are published: */
    uint64_t low;
    uint64_t count;
    bool low_unknown;  /* its lowest article may have been removed */
    uint64_t purge_to; /* it was removed when this was its high mark */
};

/* The group of this id, an unused one where it is not there yet.  Pointers to
   groups hold until the next call. */
struct group *groups_at(struct store *store, uint32_t id);
uint32_t groups_find_any(const struct store *store, const char *name,
                         size_t octets);
/* Take over what a RECORD_GROUP or a piece of a snapshot says but for the
   marks. */
void group_assign(struct group *group, const struct overview_group *row);
void group_free(struct group *group);
/* Append one group as RECORD_GROUP and RECORD_SNAPSHOT have it. */
void group_encode(struct buffer *to, const struct overview_group *row);
/* Take one apart; strings go to text.  Returns the octets it took, -1 why. */
int64_t group_decode(struct overview_group *row, const char *octets,
                     size_t length, struct buffer *text, struct buffer *why);
/* The group as it stands now, strings borrowed. */
struct overview_group groups_row(const struct store *store, uint32_t id);
/* All groups: a spool_snapshot_func. */
void groups_snapshot(void *context, struct buffer *snapshot);

/* --- IDs on their way --- */

/* Who asked for something about an ID that is on its way: it is done when
   that is decided. */
struct waiter {
    struct waiter *next;
    bool is_command; /* words in payload, each ended by NUL */
    struct buffer payload;
    uint64_t cookie; /* command */
    union {
        store_done_func *done;
        store_changed_func *changed;
    } call;
    void *context;
};

struct pending_id {
    struct message_hash hash;
    struct pending_id *next; /* in its chain */
    struct waiter *waiters;
    struct waiter **waiters_end;
};

struct pending_chain {
    struct pending_id *first;
};

struct pending_table {
    struct pending_chain *chains;
    size_t size; /* a power of 2 */
    size_t count;
    struct pending_id *spare;
};

void waiters_free(struct waiter *waiter);
void store_pending_open(struct pending_table *table);
void store_pending_close(struct pending_table *table);
struct pending_id *store_pending_find(const struct pending_table *table,
                                      const struct message_hash *hash);
struct pending_id *store_pending_add(struct pending_table *table,
                                     const struct message_hash *hash);
void store_pending_wait(struct pending_id *pending, struct waiter *waiter);
/* Remove it; returns those who waited. */
struct waiter *store_pending_remove(struct pending_table *table,
                                    struct pending_id *pending);

/* --- a commit group --- */

struct commit_article {
    struct message_hash hash;
    uint64_t sequence;
    int64_t arrival;
    struct token token; /* offset counts from the batch until it is sealed */
    size_t groups_at;   /* in commit->groups, octets */
    size_t group_count;
    size_t line_at; /* in commit->lines */
    size_t line_octets;
    struct pending_id *pending;
    size_t octets;  /* of the submission */
    bool submitted; /* to a moderator: no article yet, in no group */
    uint64_t cookie;
    store_done_func *done;
    void *context;
};

enum change_kind {
    CHANGE_GROUP,
    CHANGE_CANCEL,
    CHANGE_EXPIRE,
    CHANGE_MEND,
    CHANGE_CARRIED, /* what an older segment said: the indices have it */
    CHANGE_REMEMBER,
};

/* A change other than an article. */
struct change {
    enum change_kind kind;
    uint64_t sequence;
    size_t articles_before; /* of the same commit */
    uint64_t cookie;
    store_changed_func *changed;
    void *context;
    /* CHANGE_GROUP */
    uint32_t group;
    struct group after;  /* texts owned */
    struct group before; /* texts owned; name NULL: there was none */
    /* CHANGE_CANCEL, CHANGE_REMEMBER */
    struct message_hash hash;
    struct pending_id *pending;
    int64_t until;
    /* CHANGE_CANCEL */
    uint64_t target; /* sequence of the article; 0: we never had it */
    struct record_group *groups; /* owned: its groups */
    size_t group_count;
    /* CHANGE_EXPIRE */
    struct buffer expiry; /* owned: the record's payload */
    struct buffer steps;  /* owned: CHANGE_MEND */
    uint64_t *removed;    /* owned, of each range: how many articles were
                             there; the index thread's */
};
void change_free(struct change *change);

/* Payload of RECORD_CANCEL; its meta is the struct record_group list of the
   article. */
struct removal {
    uint64_t sequence; /* the article's; 0: it was not here */
    int64_t until;     /* its ID is refused at least until then */
};
_Static_assert(sizeof(struct removal) == 16, "on disk");

struct commit {
    struct commit *next;
    struct batch *batch;
    struct commit_article *articles;
    size_t article_count, article_size;
    struct change *changes;
    size_t change_count, change_size;
    struct buffer groups; /* struct record_group of the articles */
    struct buffer lines;  /* overview lines of the articles */
    uint64_t last_sequence;
    uint32_t segment; /* where it ends, once sealed */
    uint32_t end;
};

struct commit_queue {
    struct commit *first;
    struct commit **last;
};

/* --- the store --- */

/* A removed group whose rows go out of the overview little by little. */
struct purge {
    struct purge *next;
    uint32_t group;
    uint64_t from; /* the first number not yet looked at */
    uint64_t to;   /* the last one */
};

/* Scratch of the index thread. */
struct index_scratch {
    struct history_entry *history;
    size_t history_count, history_size;
    struct overview_entry *overview;
    size_t overview_size;
};

struct store {
    struct active *active;
    struct spool *spool;
    struct history *history;
    struct overview *overview;
    struct message_key key;
    char *pathhost;
    char *pathspool;
    char *pathdb;
    char *pathoverview;
    char *overview_url;
    size_t groups_max;
    size_t article_octets_max; /* what a segment can hold */
    size_t commit_octets_max;
    bool remembers_trash;     /* the IDs of refused articles */
    int64_t remember_seconds; /* how long the ID of a cancelled article */
    enum canlock_policy docancels;
    /* of store_rebuild(): */
    bool rebuilds; /* no mark that an index had before is known */
    bool quiet;
    const volatile sig_atomic_t *interrupted; /* NULL: nobody can */

    /* the caller's thread */
    struct group *groups; /* of id - 1 */
    uint32_t group_count;
    uint32_t group_size;
    uint64_t sequence; /* the last one given out */
    int64_t arrival;
    uint64_t stamp;
    struct pending_table pending;
    struct early_table *early;
    struct waiter *later;    /* commands that wait for the last purge to end */
    struct commit *building; /* NULL: nothing to hand over */
    struct commit *spare;
    size_t in_hand;
    size_t octets_in_hand;
    int64_t full_until; /* monotonic ms: no room was found, look again then */
    int64_t room_asked_ms; /* of the disks of the indices */
    bool indices_are_full;
    struct buffer xref;
    struct buffer why;
    struct record_group *chosen; /* the groups of one article */
    size_t chosen_count;
    uint32_t moderated; /* the first of them that an unapproved post may not
                           enter; 0: none */

    /* the index thread */
    struct overview_reader *reader; /* for low marks; opened when needed */
    struct index_scratch scratch;
    bool transaction; /* the overview has one open: a fold */
    uint64_t applied;

    /* between the threads */
    pthread_mutex_t lock;
    pthread_cond_t flush_wake;
    pthread_cond_t index_wake;
    pthread_cond_t checkpoint_wake;
    struct commit_queue sealed, flushed, done;
    struct commit_queue mends; /* one CHANGE_MEND each, no record */
    bool stopping;
    bool broken;
    struct buffer broken_why;
    bool restart_log;       /* checkpoint -> index: begin the log anew */
    struct purge *purges;   /* the index thread takes from it */
    struct reclaim reclaim; /* storage/reclaim.h says what of it */
    uint64_t committed_articles;
    uint64_t commits;
    _Atomic int64_t waiting_ms; /* since when the index thread waits for the
                                   overview; 0: it does not */

    int event_fd; /* done or broken has something for the caller */
    pthread_t threads[STORE_THREADS];
    int thread_count;
};

/* store.c: for the files beside it */
/* A store that is not open yet, and opening it: as store_open(). */
struct store *store_new(const struct config *config, struct active *active);
int store_start(struct store *store, const struct config *config,
                int wait_seconds, struct buffer *why);
void store_free(struct store **store);
/* Let there be a building commit with room for a record of so many octets.
   Hands over the one before when it is full, and may call done functions then:
   so it comes first in whatever adds a record. */
void store_make_room(struct store *store, size_t octets);
/* A change that goes into the building commit; sequence is set. */
struct change *store_change(struct store *store, const struct change *change);
/* A commit that is in no batch, with one change. */
struct commit *store_commit_apart(struct store *store,
                                  const struct change *change);
/* The record of that change. */
void store_append(struct store *store, enum record_type type,
                  const struct message_hash *hash, const void *meta,
                  size_t meta_octets, const void *payload, size_t octets);
/* Any thread: for what may wait until there is some. */
bool store_indices_have_room(const struct store *store);
/* As history_lookup(), but an ID whose time is over was never seen, and what
   cannot be read breaks the store. */
int store_lookup(struct store *store, const struct message_hash *hash,
                 struct history_entry *entry_r);
/* This waits until the ID is decided. */
void store_wait(struct store *store, struct pending_id *pending,
                struct waiter *waiter);
/* So does this command; without an ID it waits until no group is being purged
   any more.  Then it is carried out as if it came then. */
void store_command_wait(struct store *store, struct pending_id *pending,
                        int words, const char *const *word, uint64_t cookie,
                        store_changed_func *changed, void *context);
int64_t store_now(struct store *store);
/* No more: the store answers nothing from now on.  Any thread. */
void store_break(struct store *store, const char *what,
                 const struct buffer *why);
bool store_is_broken(struct store *store);

/* store_submit.c: why a submission to a moderator is no article yet */
extern const char store_submitted_text[];

/* commit.c and commit_purge.c; storage/commit.h is for the threads themselves
 */
void queue_open(struct commit_queue *queue);
void queue_append(struct commit_queue *queue, struct commit *commit);
void commit_free(struct commit **commit);
int commit_start(struct store *store, struct buffer *why);
void commit_stop(struct store *store);
/* Take the rows of a removed group, up to this number, out of the overview,
   some with each transaction. */
void commit_purge(struct store *store, uint32_t id, uint64_t to);
bool commit_is_purging(struct store *store, uint32_t id);
bool commit_is_purging_any(struct store *store);
/* All low marks are right, and the overview may say so. */
int commit_settle(struct store *store, struct buffer *why);
/* Look up where a group begins now, at `from` or behind it; keep and show
   that.  After its lowest article was removed, committed and published. */
int commit_raise_low(struct store *store, uint32_t id, uint64_t from,
                     struct buffer *why);

/* store_groups.c and store_cancel.c: commands; changed is called at once only
   with a refusal. */
void store_newgroup(struct store *store, int words, const char *const *word,
                    uint64_t cookie, store_changed_func *changed,
                    void *context);
void store_changegroup(struct store *store, int words, const char *const *word,
                       uint64_t cookie, store_changed_func *changed,
                       void *context);
void store_rmgroup(struct store *store, int words, const char *const *word,
                   uint64_t cookie, store_changed_func *changed,
                   void *context);
void store_cancel(struct store *store, int words, const char *const *word,
                  uint64_t cookie, store_changed_func *changed, void *context);

/* store_expire.c: what the index thread does with a CHANGE_EXPIRE. */
struct expiry expiry_of(const struct change *change);
void expire_collect(struct index_scratch *scratch,
                    const struct change *change);
int expire_overview(struct store *store, const struct change *change,
                    struct buffer *why);
/* Remove the article of a CHANGE_CANCEL, or remember that it must not come; in
   the building commit.  Its hash, target and groups are set, and changed. */
void store_remove(struct store *store, struct change *change);
/* The groups of the article that goes. */
void change_take_groups(struct change *change, const struct record *record);

/* store_removal.c: articles that remove another one */
enum removal_answer {
    REMOVAL_NONE,  /* it removes nothing, or may not, or not yet */
    REMOVAL_NOW,   /* change is for store_remove() */
    REMOVAL_WAITS, /* what it removes is on its way: *pending_r */
    REMOVAL_BROKEN,
};
enum removal_answer removal_find(struct store *store,
                                 const struct submission_view *view,
                                 struct change *change,
                                 struct pending_id **pending_r);
/* Did an article that may remove this one come before it? */
bool removal_was_early(struct store *store,
                       const struct submission_view *view);

/* store_mend.c: what the index thread does with a CHANGE_MEND, in a
   transaction of its own. */
int commit_mend(struct store *store, const struct change *change,
                struct buffer *why);

/* recover.c */
/* The overview line of a stored article, as it was when it came in. */
void recover_line(const struct record *record, struct buffer *line);
/* Bring the indices up to the log, and fill in sequence, arrival, groups, key
   and what active shows. */
int store_recover(struct store *store, const struct config *config,
                  struct buffer *why);

#endif
