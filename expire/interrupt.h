/*
 * interrupt -- a signal asks a program that works for long to stop where it
 * can go on later.
 */
#ifndef EXPIRE_INTERRUPT_H
#define EXPIRE_INTERRUPT_H

#include <signal.h>

/* Set by a signal; looked at after each piece of work. */
extern volatile sig_atomic_t interrupted;

/*
 * From now on SIGINT, SIGTERM and SIGHUP set it.  A second one ends the
 * program at once.  SIGPIPE is ignored: a write says what is wrong.
 */
void interrupt_catch(void);

#endif
