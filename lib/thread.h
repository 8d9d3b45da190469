/*
 * thread -- a thread beside a process's loop.
 *
 * Signals are the loop's: such a thread takes none of them but SIGSYS, by
 * which the kernel says that it has refused a system call of this very thread
 * (lib/sandbox.h).
 */
#ifndef LIB_THREAD_H
#define LIB_THREAD_H

#include <pthread.h>

/* 0, or the number of the error. */
int thread_begin(pthread_t *thread, void *(*run)(void *context),
                 void *context);

#endif
