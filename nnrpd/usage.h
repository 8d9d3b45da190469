/*
 * usage -- what a session uses of the limits that are for it.
 *
 * Who has logged in is counted as his account, whoever has not as his address;
 * all are counted with their network and with the whole server, in the table
 * that all workers share (lib/limit.h).  The access section that is for the
 * client may give its account or address another limit than the top of the
 * file does.  Peers are not counted: they may be as fast as they are.
 */
#ifndef NNRPD_USAGE_H
#define NNRPD_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/limit.h"

struct buffer;
struct session;

struct usage {
    uint64_t keys[LIMIT_SCOPES]; /* rows; 0: not counted there */
    bool counted;                /* among the sessions of its account */
};

/* Its rights are others now: so is, perhaps, whose rows it uses. */
void usage_set(struct session *session);
/* The session ends, or is nobody's any more. */
void usage_clear(struct session *session);
/* It has logged in.  -1 with the reason in why when its account has as many
   sessions as it may have. */
int usage_login(struct session *session, struct buffer *why);

/* 0, or how long it must wait before its next one; why says of what. */
uint64_t usage_wait(struct session *session, enum limit_kind kind,
                    struct buffer *why);
/* The same, and use so much where it need not wait. */
uint64_t usage_take(struct session *session, enum limit_kind kind,
                    uint64_t amount, struct buffer *why);
/* Use what cannot be refused any more. */
void usage_charge(struct session *session, enum limit_kind kind,
                  uint64_t amount);

/* May it post now?  Counts the post where it may; else as usage_wait(). */
uint64_t usage_post(struct session *session, struct buffer *why);

#endif
