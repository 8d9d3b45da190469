/*
 * failure -- wrong passwords of late, and how long that makes others wait.
 *
 * Kept for the address they came from (an IPv6 /48 is one) and for the account
 * they were for, whether there is such an account or not.  A wrong one is
 * answered after a delay that doubles from 1 to 32 s with each; and from an
 * address that has failed only one try a second is looked at, later ones wait
 * for their turn.  Who tries elsewhere with the right password does not wait,
 * so nobody is locked out of his account by somebody else.  All is forgotten
 * FAILURE_FORGET_MS after the last one.
 *
 * Nothing here waits: these are numbers for the timers of innd/auth.c.
 */
#ifndef INND_FAILURE_H
#define INND_FAILURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FAILURE_DELAY_MS = 1000,
    FAILURE_DELAY_MS_MAX = 32 * 1000,
    FAILURE_TURN_MS = 1000, /* between two tries of one address */
    FAILURE_TURNS_MAX = 32, /* that may wait for it; more are turned away */
    FAILURE_FORGET_MS = 120 * 1000,
};

struct failures;

struct failures *failures_new(void);
void failures_free(struct failures **failures);

/* Do so many of this address wait for their turn that no more may? */
bool failures_are_full(struct failures *failures, const char *address,
                       int64_t now_ms);
/* A try comes from this address: in how many milliseconds is its turn (which
   it is given by this call)?  0: now. */
int64_t failures_turn_ms(struct failures *failures, const char *address,
                         int64_t now_ms);
/* It was wrong.  Returns how long its answer is held back. */
int64_t failures_note(struct failures *failures, const char *address,
                      const char *name, size_t name_octets, int64_t now_ms);
/* The account's owner has come: its count begins anew.  The address's does
   not, or who has one account could try all others' without a wait. */
void failures_forget_account(struct failures *failures, const char *name,
                             size_t name_octets);

#endif
