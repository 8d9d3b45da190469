/*
 * auth -- the process that knows the accounts (innd --role=auth).
 *
 * Workers ask it whether a password is that of an account (IPC_LOGIN); it
 * answers (IPC_LOGIN_RESULT) when a hashing thread has found out, or at once
 * where the same was found right a short while ago.  Wrong ones are answered
 * late (innd/failure.h).  It carries out ctlinnd's words about accounts, and
 * it alone opens their database.  Nothing waits in its loop, and nothing in a
 * worker's waits for it.
 *
 * It may be killed at any moment: workers keep what was not answered and ask
 * the next one.
 */
#ifndef INND_AUTH_H
#define INND_AUTH_H

struct child_arguments;

/* Returns what the process exits with. */
int auth_run(const struct child_arguments *arguments);

#endif
