/*
 * helper -- a program of the site's that knows accounts: started once, asked
 * by lines (lib/source_line.h; doc/accounts.md), started again when it ends.
 *
 * Questions may be answered in any order.  One that is not answered within
 * HELPER_ANSWER_MS is taken for a sign that the program hangs: it is killed,
 * as is one that says what it may not.  What it had not answered is asked of
 * the next one, until HELPER_GIVE_UP_MS after it came.
 */
#ifndef INND_HELPER_H
#define INND_HELPER_H

#include "lib/ipc.h"
#include "lib/source_line.h"

struct event_base;
struct helper;

enum {
    HELPER_READY_MS = 10 * 1000, /* from its start to "ready" */
    HELPER_ANSWER_MS = 10 * 1000,
    HELPER_GIVE_UP_MS = 20 * 1000,
};

/* answer is borrowed; its verdict is SOURCE_FAILED where there was none. */
typedef void helper_done_func(void *context,
                              const struct source_answer *answer);

/* path: of the program.  It is started at once. */
struct helper *helper_new(struct event_base *base, const char *path,
                          helper_done_func *done);
/* The program's input ends; after that it is killed. */
void helper_free(struct helper **helper);
/* Copies the request; done is called once, later. */
void helper_ask(struct helper *helper, const struct ipc_login_request *request,
                void *context);
/* Each second: has anything taken too long? */
void helper_tick(struct helper *helper);

#endif
