/*
 * login_link -- logins that another process is asked about, kept until they
 * are answered: a worker's link to auth, and auth's to outside.
 *
 * One socket.  When the process at its other end dies the master brings one to
 * the next, and every login without an answer is asked again.  After
 * LOGIN_LINK_AWAY_MS without one it is answered "failed", and so is whatever
 * comes then, until there is one again.  Passwords are wiped when their answer
 * has come.
 */
#ifndef LIB_LOGIN_LINK_H
#define LIB_LOGIN_LINK_H

#include "lib/ipc.h"

struct event_base;
struct login_link;
struct login_question;

enum { LOGIN_LINK_AWAY_MS = 10 * 1000 };

/* moderates: of an accepted one; both are borrowed. */
typedef void login_link_func(void *context,
                             const struct ipc_login_result *result,
                             const char *moderates);

/* peer: who is at the other end, for the log; not copied. */
struct login_link *login_link_new(struct event_base *base, const char *peer);
/* Nothing is answered any more; freeing NULL does nothing. */
void login_link_free(struct login_link **link);
/* A socket to the process; owned from here on. */
void login_link_connect(struct login_link *link, int fd);
/* Each second: has it been away for too long? */
void login_link_tick(struct login_link *link);
/* The asker's process ends: whatever waits is answered "failed". */
void login_link_give_up(struct login_link *link);

/* Ask it.  request's cookie is chosen here, all is copied.  done is called
   once, after this has returned. */
struct login_question *login_link_ask(struct login_link *link,
                                      const struct ipc_login_request *request,
                                      login_link_func *done, void *context);
/* The asker is gone: done is not called.  Sets *question to NULL; forgetting
   NULL does nothing. */
void login_link_forget(struct login_question **question);

#endif
