/*
 * outside_link -- what the auth process asks of the one that asks others
 * (innd/outside.h), kept until it is answered.
 *
 * Like a worker's link to auth: when the process dies the master brings a
 * socket to the next one, which is asked again.  After OUTSIDE_AWAY_MS without
 * one the answer is "failed".
 */
#ifndef INND_OUTSIDE_LINK_H
#define INND_OUTSIDE_LINK_H

#include "lib/ipc.h"

struct event_base;
struct outside_link;

enum { OUTSIDE_AWAY_MS = 10 * 1000 };

/* moderates: of an accepted one; both are borrowed. */
typedef void outside_done_func(void *context,
                               const struct ipc_login_result *result,
                               const char *moderates);

struct outside_link *outside_link_new(struct event_base *base);
void outside_link_free(struct outside_link **link);
/* A socket to the process; owned from here on. */
void outside_link_connect(struct outside_link *link, int fd);
/* Each second. */
void outside_link_tick(struct outside_link *link);
/* Copies the request; done is called once, later. */
void outside_ask(struct outside_link *link,
                 const struct ipc_login_request *request,
                 outside_done_func *done, void *context);

#endif
