/*
 * auth_link -- what this worker asks of the auth process, kept until it is
 * answered.
 *
 * One socket.  When the auth process dies the master brings a new one to the
 * next, and every login without an answer is asked again.  After AUTH_AWAY_MS
 * without one it is answered "failed", and so is whatever comes then, until
 * there is one again.  Passwords are wiped when their answer has come.
 */
#ifndef NNRPD_AUTH_LINK_H
#define NNRPD_AUTH_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc.h"

struct auth_link;
struct auth_request;
struct worker;

enum { AUTH_AWAY_MS = 10 * 1000 };

/* moderates: of an accepted one; both are borrowed. */
typedef void auth_done_func(void *context,
                            const struct ipc_login_result *result,
                            const char *moderates);

struct auth_link *auth_link_new(struct worker *worker);
void auth_link_free(struct auth_link **link);
/* A socket to the auth process; owned from here on. */
void auth_link_connect(struct auth_link *link, int fd);
/* Each second: has it been away for too long? */
void auth_link_tick(struct auth_link *link);
/* The worker ends: whatever waits is answered "failed". */
void auth_link_give_up(struct auth_link *link);

/* Ask it.  request's cookie is set here, the rest is copied.  done is called
   once, after this has returned. */
struct auth_request *auth_ask(struct auth_link *link,
                              struct ipc_login_request *request,
                              auth_done_func *done, void *context);
/* The asker is gone: done is not called.  Sets *request to NULL; forgetting
   NULL does nothing. */
void auth_forget(struct auth_request **request);

#endif
