/*
 * writer_link -- what this worker asks of the writer, kept until it is
 * answered.
 *
 * Two sockets: one for what feeds bring and ask, one for posts and readers'
 * questions, which the writer serves first.  When the writer dies the sockets
 * close; the master brings new ones to the next writer, and everything without
 * an answer is sent again, articles marked RESUBMIT.  After WRITER_AWAY_MS
 * without a writer all of it is answered "away", and so is whatever comes
 * then, until there is one again.
 *
 * done is called once, perhaps before the asking call returns (which is NULL
 * then).
 */
#ifndef NNRPD_WRITER_LINK_H
#define NNRPD_WRITER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc.h"
#include "storage/store.h"

struct buffer;
struct worker;
struct writer_link;
struct writer_request;

enum { WRITER_AWAY_MS = 10 * 1000, WRITER_CHECK_BATCH = 64 };

struct writer_answer {
    bool away; /* no writer for too long: the rest is not set */
    /* writer_submit() */
    enum store_outcome outcome;
    const char *why; /* for a person; "" when stored; borrowed */
    /* writer_check() */
    enum ipc_check_answer check;
    /* writer_find(): sequence 0 means that we do not have it */
    uint64_t sequence;
    struct token token;
};
typedef void writer_done_func(void *context,
                              const struct writer_answer *answer);

struct writer_link *writer_link_new(struct worker *worker);
void writer_link_free(struct writer_link **link);
/* A socket to the writer; owned from here on. */
void writer_link_connect(struct writer_link *link, enum ipc_link_kind kind,
                         int fd);
/* At the end of a turn: send the CHECKs gathered in it. */
void writer_link_turn_ended(struct writer_link *link);
/* Each second: has the writer been away for too long? */
void writer_link_tick(struct writer_link *link);
/* The same question, for a command that would only wait in vain. */
bool writer_is_away(const struct writer_link *link);

/* Submit what submission_build() made; takes over the buffer's contents. */
struct writer_request *writer_submit(struct writer_link *link,
                                     enum ipc_link_kind kind,
                                     struct buffer *payload,
                                     writer_done_func *done, void *context);
/* Is an article with this ID wanted? */
struct writer_request *writer_check(struct writer_link *link,
                                    const struct message_hash *hash,
                                    writer_done_func *done, void *context);
/* An article with this ID was refused for what it is; without a writer nobody
   remembers it. */
void writer_refused(struct writer_link *link, const struct message_hash *hash);
/* Where is the article with this ID? */
struct writer_request *writer_find(struct writer_link *link,
                                   const struct message_hash *hash,
                                   writer_done_func *done, void *context);
/*
 * The asker is gone: done is not called.  A submitted article is on its way
 * all the same.  Sets *request to NULL; forgetting NULL does nothing.
 */
void writer_forget(struct writer_request **request);

#endif
