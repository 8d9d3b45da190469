/*
 * pending -- replies to CHECK and TAKETHIS that are not yet known, in the
 * order of their commands.
 *
 * Only these two overlap.  Each gets a slot; a slot's text goes out when it
 * and all before it are known.  A session with slots begins no other command.
 */
#ifndef NNRPD_PENDING_H
#define NNRPD_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "lib/message_id.h"

struct session;
struct writer_request;

enum {
    PENDING_MAX = 1024,
    PENDING_SUBMITTED_OCTETS_MAX = 4 * 1024 * 1024,
};

struct pending_reply {
    TAILQ_ENTRY(pending_reply) entry;
    struct session *session;
    struct writer_request *request; /* who will tell; NULL: nobody (yet) */
    struct message_hash hash;
    char *id;   /* as the client wrote it, to be echoed */
    char *text; /* the reply without CRLF; NULL: not known */
    size_t submitted_octets;
    bool takethis;
    bool closes; /* the connection ends after this reply */
};

TAILQ_HEAD(pending_list, pending_reply);

struct pending {
    struct pending_list replies;
    size_t count;
    size_t takethis_count;
    size_t submitted_octets;
};

void pending_init(struct pending *pending);
/* Forgets all slots and what was asked for them. */
void pending_free(struct session *session);

/* A new slot behind all others; owned by the session. */
struct pending_reply *pending_add(struct session *session, const char *id,
                                  const struct message_hash *hash,
                                  bool takethis);
/* An article of this size is on its way to the writer for the slot. */
void pending_submitted(struct pending_reply *reply, size_t octets);
/* The reply is known.  The slot may be gone afterwards. */
void pending_know(struct pending_reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Is a TAKETHIS of this ID without an answer? */
bool pending_has_takethis(const struct session *session,
                          const struct message_hash *hash);
/* Must the session wait before it takes another CHECK or TAKETHIS? */
bool pending_is_full(const struct session *session);

#endif
