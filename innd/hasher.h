/*
 * hasher -- the threads that check passwords against hashes, and the queue in
 * front of them.
 *
 * A check takes some 25 ms of a core, so it never runs in the loop.  What is
 * done is fetched by the loop when hasher_fd() is readable.
 */
#ifndef INND_HASHER_H
#define INND_HASHER_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HASHER_THREADS = 2,
    HASHER_QUEUE_MAX = 64, /* checks waiting or running; more are refused */
};

struct hasher;

/* Dies when the system gives no threads. */
struct hasher *hasher_new(void);
/* Waits for the checks that run; those in the queue are dropped. */
void hasher_free(struct hasher **hasher);
int hasher_fd(const struct hasher *hasher);

/*
 * Check this password (copied, wiped after use) against a hash, or, where hash
 * is NULL, against none in the same time.  False when the queue is full.
 * context comes back from hasher_take().
 */
bool hasher_submit(struct hasher *hasher, const char *password, size_t octets,
                   const char *hash, void *context);
/* One that is done: its context, and whether they belong together; false when
   there is none. */
bool hasher_take(struct hasher *hasher, void **context_r, bool *matches_r);

#endif
