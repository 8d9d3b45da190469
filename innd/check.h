/*
 * check -- what the accounts database says of one login.
 *
 * Runs in a thread (innd/checker.h) and touches nothing but its own struct.
 * The work is the same for a name that is none, and for an account that has no
 * SCRAM verifier: neither time nor answer tells who has an account.
 */
#ifndef INND_CHECK_H
#define INND_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "lib/account.h"
#include "lib/buffer.h"
#include "lib/ipc.h"

struct shared;

enum verdict {
    VERDICT_RIGHT,
    VERDICT_WRONG,   /* the secret, or the account is disabled */
    VERDICT_UNKNOWN, /* there is no such account here */
    VERDICT_FAILED,  /* it could not be found out; why says why */
};

struct login;

struct check {
    struct login *login; /* whose it is */
    const struct shared *shared;
    enum ipc_login_kind kind;
    char name[ACCOUNT_NAME_OCTETS_MAX];
    size_t name_octets;
    struct buffer secret; /* owned */
    /* what came of it */
    enum verdict verdict;
    uint64_t generation; /* of the accounts, before they were looked at */
    struct account account;
    unsigned char scram[SCRAM_KEY_OCTETS]; /* as struct ipc_login_result's */
    struct buffer why;
};

/* The checker_func of a struct check. */
void check_run(struct accounts *accounts, void *work);
/* Wipe and free what it holds. */
void check_clear(struct check *check);

#endif
