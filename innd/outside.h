/*
 * outside -- the process that asks others about accounts: PAM and a helper
 * program (innd --role=outside).
 *
 * It is there where `accounts_sources` names one of them.  The auth process,
 * which is confined too tightly to start programs and holds all accounts,
 * sends it the logins that its database does not know (IPC_LOGIN, on a socket
 * of its own) and gets what was found out (IPC_LOGIN_RESULT).  Whatever a
 * module or the helper does, it does it here.
 */
#ifndef INND_OUTSIDE_H
#define INND_OUTSIDE_H

#include <stdbool.h>

struct child_arguments;
struct config;

enum { OUTSIDE_QUESTIONS_MAX = 64 }; /* under way; more are LOGIN_BUSY */

/* Do the keys name anybody that it asks? */
bool outside_is_wanted(const struct config *config);
/* Returns what the process exits with. */
int outside_run(const struct child_arguments *arguments);

#endif
