/*
 * daemon -- leaving the terminal, but not before the server serves.
 */
#ifndef INND_DAEMON_H
#define INND_DAEMON_H

/*
 * The caller goes on in a child, in a session of its own; its parent waits
 * until daemon_ready(), and exits with 0, or with the child's status when that
 * ends before.  What is wrong is still said on the parent's standard error.
 */
void daemon_detach(void);
/* Let the parent go, if there is one, and the terminal. */
void daemon_ready(void);

#endif
