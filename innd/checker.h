/*
 * checker -- the threads that look at accounts, and the queues before them.
 *
 * A password's check takes some 25 ms of a core, and a database may take its
 * time, so neither has a place in the loop.  Work is a function and what it is
 * called with; it gets the thread's own handle of the accounts.  When it is
 * done, a second one is called in the loop.
 */
#ifndef INND_CHECKER_H
#define INND_CHECKER_H

#include <stdbool.h>
#include <stddef.h>

struct accounts;
struct buffer;
struct event_base;

enum checker_queue {
    CHECKER_QUICK, /* looks something up: one thread, in order */
    CHECKER_SLOW,  /* hashes: CHECKER_SLOW_THREADS */
    CHECKER_QUEUES
};
enum {
    CHECKER_SLOW_THREADS = 2,
    CHECKER_SLOW_MAX = 64, /* waiting or running; more are refused */
};

struct checker;

typedef void checker_func(struct accounts *accounts, void *work);
typedef void checker_done_func(void *work);

/* Opens the accounts (lib/account.h) for each thread.  NULL with why. */
struct checker *checker_open(const char *where, const char *directory,
                             struct buffer *why);
/* Begin to work.  Not in checker_open(): the threads must be confined as their
   process is (lib/sandbox.h).  Dies when the system gives none. */
void checker_start(struct checker *checker, struct event_base *base);
/* Waits for the work that runs; that in the queues is dropped, and stays its
   owner's. */
void checker_free(struct checker **checker);

/* False: the slow queue is full.  work is the thread's until done is called,
   after this has returned. */
bool checker_submit(struct checker *checker, enum checker_queue queue,
                    checker_func *run, checker_done_func *done, void *work);

#endif
