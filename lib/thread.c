#include "lib/thread.h"

#include <signal.h>

int
thread_begin(pthread_t *thread, void *(*run)(void *context), void *context)
{
    sigset_t quiet, before;
    int error;

    sigfillset(&quiet);
    sigdelset(&quiet, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &quiet, &before);
    error = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}
