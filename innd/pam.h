/*
 * pam -- asks PAM whether a password is right.
 *
 * Modules may take long, and may crash: each question is a child's, of which
 * PAM_CHILDS_MAX run at once and each has PAM_SECONDS.  They run as the
 * server's user, with its rights alone: pam_unix, which wants root to look at
 * others' passwords, is none of theirs (doc/accounts.md).
 */
#ifndef INND_PAM_H
#define INND_PAM_H

#include "lib/ipc.h"
#include "lib/source_line.h"

struct event_base;
struct pam;

enum { PAM_CHILDS_MAX = 8, PAM_SECONDS = 20 };

typedef void pam_done_func(void *context, enum source_verdict verdict);

/* service: a name, or the path of a file that is one. */
struct pam *pam_new(struct event_base *base, const char *service,
                    pam_done_func *done);
/* Kills what runs. */
void pam_free(struct pam **pam);
/* Copies the request; done is called once, later. */
void pam_ask(struct pam *pam, const struct ipc_login_request *request,
             void *context);

#endif
