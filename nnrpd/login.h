/*
 * login -- who a session is.
 *
 * It has logged in when the auth process has said so, and by nothing else:
 * login_accept() is the one place that says who it is, whatever dialogue led
 * there (cmd_auth.c, cmd_sasl.c).  What it may do follows from that by
 * session_evaluate().
 *
 * An account may be changed, disabled or removed while it is in use: the
 * session asks again before its next command (login_is_stale()), and has the
 * rights of who has not logged in when the account is gone.
 */
#ifndef NNRPD_LOGIN_H
#define NNRPD_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ipc.h"

struct buffer;
struct session;

enum { LOGIN_TRIES = 5 }; /* wrong ones in a session */

/* The account of a session.  Zeroes: it has not logged in. */
struct login_account {
    char *user; /* owned, as is the next */
    char *moderates;
    unsigned role;       /* lib/account.h */
    unsigned source;     /* lib/account.h */
    uint64_t generation; /* of the accounts, when it was looked at */
};

/* What came of a question; the session goes on with this. */
typedef void login_done_func(struct session *session,
                             const struct ipc_login_result *result,
                             const char *moderates);

/* May a password cross this connection as it is? */
bool login_carries_passwords(const struct session *session);
/* Is there any account, or other source, that it could log in by? */
bool login_is_offered(const struct session *session);
/* The arguments of the capability AUTHINFO, a space before each. */
void login_print(const struct session *session, struct buffer *text);
/* False: 502 has been replied, since it has logged in or never can. */
bool login_is_possible(struct session *session);

/* Ask the auth process about session->login_name: leaves work that waits for
   the answer, and then calls done.  The secret is copied. */
void login_ask(struct session *session, enum ipc_login_kind kind,
               const void *secret, size_t secret_octets,
               login_done_func *done);
/* Ask whether this is the password of session->login_name, and reply. */
void login_by_password(struct session *session, const char *password,
                       size_t octets);

/* The auth process has accepted this session as session->login_name.  False:
   its account has as many sessions as it may have; that has been replied, and
   is the end. */
bool login_accept(struct session *session,
                  const struct ipc_login_result *result,
                  const char *moderates);
/* Any other answer: replied, and perhaps the end. */
void login_decline(struct session *session, enum ipc_login_answer answer);
/* A wrong try: 481, and the end after LOGIN_TRIES of them. */
void login_refuse(struct session *session);
void login_account_free(struct login_account *account);

/* Have accounts changed since this session's was looked at? */
bool login_is_stale(const struct session *session);
/* Look again: leaves work that replies nothing. */
void login_again(struct session *session);

#endif
