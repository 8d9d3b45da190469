/*
 * login -- every login that is on its way in the auth process, from what a
 * worker asks to what it is answered.
 *
 * A password, or SCRAM's proof, is looked at in its turn (innd/failure.h) by
 * the threads (innd/checker.h), unless it was found right a short while ago
 * (innd/verified.h).  A wrong one is answered late: so long after its check
 * began as its failures call for, whatever the check took.  The other kinds
 * of IPC_LOGIN only look something up.
 */
#ifndef INND_LOGIN_H
#define INND_LOGIN_H

#include <stddef.h>

struct checker;
struct config;
struct event_base;
struct ipc_login_request;
struct ipc_login_result;
struct logins;
struct login_link;
struct shared;

enum { LOGINS_MAX = 2048 }; /* in all, those held by a timer too */

/* asker is who asked; moderates goes behind the result. */
typedef void login_answer_func(void *asker,
                               const struct ipc_login_result *result,
                               const char *moderates);

/* Who else is asked: outside, NULL: nobody.  Of config is taken here whether
   the database is. */
struct logins *logins_new(struct event_base *base, const struct config *config,
                          struct checker *checker, struct login_link *outside,
                          const struct shared *shared,
                          login_answer_func *answer);
/* The threads have ended before. */
void logins_free(struct logins **logins);

/* Copies what it needs of the request, which is well-formed.  Returns 0, and
   answers later or at once; -1: this cannot be what a worker asks. */
int logins_ask(struct logins *logins, void *asker,
               const struct ipc_login_request *request);
/* The asker is gone: it is answered no more. */
void logins_forget(struct logins *logins, const void *asker);

#endif
