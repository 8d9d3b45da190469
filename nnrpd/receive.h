/*
 * receive -- an article that a client is sending.
 *
 * Read to its true end whatever is wrong with it: what is refused is read past
 * and thrown away, so that no octet of an article is ever taken for a command.
 */
#ifndef NNRPD_RECEIVE_H
#define NNRPD_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buffer.h"
#include "lib/wire.h"

struct evbuffer;
struct session;
struct receive;
struct worker;

enum {
    /* A sender that is slower than 1 KiB in 30 s, or takes 10 min in all,
       holds a place and memory for nothing. */
    RECEIVE_PROGRESS_OCTETS = 1024,
    RECEIVE_PROGRESS_MS = 30 * 1000,
    RECEIVE_TOTAL_MS = 10 * 60 * 1000,
};

/* The article has ended.  receive is freed after this returns; octets may be
   taken out of it. */
typedef void receive_done_func(struct session *session,
                               struct receive *receive);

struct receive {
    receive_done_func *done;
    char *id;                    /* the command's argument; NULL: none */
    struct pending_reply *reply; /* TAKETHIS: its slot; borrowed */
    char *refusal; /* known beforehand: the article is thrown away, and this
                      with code is the reply; NULL: none */
    unsigned code;
    struct wire_scanner scanner;
    struct buffer octets; /* empty when it is thrown away */
    size_t octets_max;
    bool too_large;
    bool no_room; /* the worker has too much at hand: later */
    struct worker *worker;
    size_t counted; /* octets, in the worker's sum */
    uint64_t begun_ms;
    uint64_t progress_ms;
    uint64_t progress_octets;
};

/* The session reads an article next.  id is copied. */
struct receive *receive_begin(struct session *session, const char *id,
                              size_t octets_max, receive_done_func *done);
void receive_free(struct receive **receive);
/* Take what there is.  Returns true when the article has ended. */
bool receive_take(struct receive *receive, struct evbuffer *input);
/* Is the sender too slow? */
bool receive_is_stalled(struct receive *receive, uint64_t now_ms);
/* NULL, or why the article was thrown away though nothing is wrong with it:
   its sender may try again. */
const char *receive_deferral(const struct receive *receive);
/*
 * What is wrong with the article as it came, in words for the sender: NULL
 * when nothing is.  text is used where the words are not ready-made.
 */
const char *receive_fault(const struct receive *receive, struct buffer *text);

#endif
