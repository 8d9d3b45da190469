/*
 * store -- the news store opened for writing: spool, history and overview as
 * one, the commit protocol, and the recovery that comes before it.
 *
 * There is one holder at a time, of PATHSPOOL/writer.lock: the writer process,
 * or a tool while no server runs.  All calls come from one thread, the
 * caller's loop; inside, the flush and the index thread work behind it, each
 * taking all that the one before has ready (at most 1,000 articles or 8 MiB),
 * without a timer.  An outcome is given only when the article is on the disk,
 * in the history and in the overview: then it survives anything.
 *
 * A failed write or fdatasync is final: the store says STORE_BROKEN, gives no
 * outcome for what it had in hand, and the process exits; the next one
 * recovers.  doc/storage.md has the protocol.
 */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ipc.h" /* enum ipc_check_answer */
#include "lib/message_id.h"
#include "lib/token.h"
#include "storage/submission.h"

struct active;
struct buffer;
struct config;
struct history_entry;
struct store;

enum { STORE_COMMAND_WORDS_MAX = 64 }; /* of store_command() */

/* What became of a submission.  Sent over the wire as a number. */
enum store_outcome {
    STORE_STORED = 1,    /* 235, 239, 240 */
    STORE_DUPLICATE = 2, /* had it: 437, 439, 441 */
    STORE_REFUSED = 3,   /* never to be taken: 437, 439, 441 */
    STORE_LATER = 4,     /* not now (in progress elsewhere, disk full): 436,
                            400, 441 */
};

struct store_result {
    uint64_t cookie; /* of the submission */
    void *context;   /* the caller's, as given */
    enum store_outcome outcome;
    uint64_t sequence; /* STORE_STORED */
    struct token token;
    const char *why; /* for a person; "" when stored, but for a post that
                        waits for a moderator; borrowed */
};
typedef void store_done_func(const struct store_result *result);
/* A change other than an article: status 0 done, -1 refused. */
typedef void store_changed_func(void *context, uint64_t cookie, int status,
                                const char *text);

/*
 * Take the lock, recover (the same code after every death), begin a new
 * segment, start the threads.  active is filled from what is found.  Progress
 * goes to the log in one line, and to lib/progress when it takes long.  NULL
 * with why.  wait_seconds: for another holder of the lock to end.
 */
struct store *store_open(const struct config *config, struct active *active,
                         int wait_seconds, struct buffer *why);
/*
 * Make what a store finds in PATHDB and may not make for itself when it is
 * confined (lib/sandbox.h): the directory of its history and, where nothing is
 * stored yet, its key.  Needs no lock.  0, or -1 with why.
 */
int store_prepare(const struct config *config, struct buffer *why);
/* Commits what was submitted, ends the threads, closes. */
void store_close(struct store **store);

/* A reload changed what the store goes by: pathhost, artcutoff,
   remembertrash. */
void store_reconfigure(struct store *store, const struct config *config);

/* Readable whenever store_reap() has something to do; for the caller's loop.
 */
int store_fd(const struct store *store);
/*
 * The caller has submitted what it had at hand: commit that, without waiting
 * for more.  To be called at the end of each turn of the caller's loop; what
 * comes while the disk is busy is committed together all the same.
 */
void store_turn_ended(struct store *store);
/* Call the done functions of all that is decided.  Returns 0, or -1 with why
   when the store is broken: exit. */
int store_reap(struct store *store, struct buffer *why);
/* Block until all that was submitted is decided, calling done functions. */
int store_drain(struct store *store, struct buffer *why);

/*
 * Submit an article: payload as submission_build() makes it (copied).  done is
 * called from store_reap(), or before this returns when the answer is known
 * at once (a duplicate, a refusal).  A second submission of an ID that is on
 * its way waits: it is a duplicate if the first is stored, else tried itself.
 */
void store_submit(struct store *store, const void *payload, size_t octets,
                  store_done_func *done, void *context);
/* A post without Approved to a moderated group is kept for its moderator: it
   is STORE_STORED too, with a word about it, and no article yet. */
/* Octets and articles (and commands) in hand: for back-pressure. */
size_t store_pending_octets(const struct store *store);
size_t store_pending(const struct store *store);

/* Is there no room for articles?  They get STORE_LATER then; it goes over by
   itself when there is room again. */
bool store_is_full(struct store *store);

/* Did the store break because the log could not be written, and not for an
   index? */
bool store_write_failed(const struct store *store);
/*
 * Did the store break, or could it not be opened, because a disk is full?
 * Then there is nearly nothing free where its parts lie, and it goes over by
 * itself.
 */
bool store_paths_have_space(const struct config *config);

/*
 * Is the overview away (a database that was stopped)?  What is in hand gets no
 * outcome then, until it is back.  From STORE_AWAY_MS on it counts as away:
 * new articles get STORE_LATER.
 */
enum { STORE_AWAY_MS = 10 * 1000 };
bool store_is_waiting(struct store *store);
bool store_is_away(struct store *store);

/* Transactions so far, each of one commit group or several. */
uint64_t store_commits(struct store *store);

/*
 * An article of this ID was refused for good, here or by who received it: it
 * is not wanted again, where the configuration says so (remembertrash).  What
 * is known of the ID, or on its way, stays as it is.
 */
void store_remember(struct store *store, const struct message_hash *hash);

enum ipc_check_answer store_check(struct store *store,
                                  const struct message_hash *hash);
/* 1 with sequence and token, 0 not there, -1 why. */
int store_find(struct store *store, const struct message_hash *hash,
               uint64_t *sequence_r, struct token *token_r,
               struct buffer *why);

/* As history_list(). */
int store_history(struct store *store, const struct message_hash *from,
                  struct history_entry *entries, size_t count,
                  struct buffer *why);

/*
 * A command of ctlinnd: newgroup, rmgroup, changegroup, cancel, as words.
 * changed is called when it is durable (from store_reap()) or at once when it
 * is refused.
 */
void store_command(struct store *store, int words, const char *const *word,
                   uint64_t cookie, store_changed_func *changed,
                   void *context);
/*
 * Remove what expire has chosen: a batch as expiry_build() makes it (copied).
 * changed is called as for a command.
 */
void store_expire(struct store *store, const void *octets, size_t length,
                  uint64_t cookie, store_changed_func *changed, void *context);
/* Do steps of storage/mend.h, which follow each other in octets.  changed is
   called as for a command; nothing is written to the log. */
void store_mend(struct store *store, const void *octets, size_t length,
                uint64_t cookie, store_changed_func *changed, void *context);
/* The same for a caller that waits; text gets the answer.  0 or -1. */
int store_command_now(struct store *store, int words, const char *const *word,
                      struct buffer *text);

#endif
