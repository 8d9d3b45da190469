/*
 * account -- who may log in, and as what: PATHDB/accounts.sqlite.
 *
 * With a server running the auth process alone opens it; without one, ctlinnd
 * does.  A name is 1 to 64 octets of UTF-8 without white space and control
 * characters; case counts.  A password is kept as its hash only
 * (lib/password.h).  The database is readable by its owner alone.
 */
#ifndef LIB_ACCOUNT_H
#define LIB_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/password.h"

struct accounts;
struct buffer;

enum { ACCOUNT_NAME_OCTETS_MAX = 64 };

/* What an account is for; what that allows is nnrpd/access.c's to say. */
enum account_role {
    ACCOUNT_READER = 1,
    ACCOUNT_POSTER,
    ACCOUNT_MODERATOR, /* a poster who may approve */
    ACCOUNT_ADMIN,
    ACCOUNT_PEER, /* a server that feeds us */
    ACCOUNT_ROLES
};

struct account {
    enum account_role role;
    char hash[PASSWORD_HASH_OCTETS];
};

const char *account_role_name(enum account_role role); /* "poster" */
/* 0 when there is none of this name. */
enum account_role account_role_find(const char *name);
bool account_name_is_valid(const char *name, size_t octets);

/*
 * Open the database of this directory, and make it where there is none.  NULL
 * with why.  What it needs in its directory is there afterwards: it writes to
 * accounts.sqlite and accounts.sqlite-journal and creates nothing more.
 */
struct accounts *accounts_open(const char *directory, struct buffer *why);
void accounts_close(struct accounts **accounts);

/* A consistent copy of the database of this directory, made while the auth
   process may use it, as the new file to.  1, 0 when there is none, -1 with
   why. */
int accounts_copy(const char *directory, const char *to, struct buffer *why);

/* 1 with the account, 0 when there is none, -1 with why. */
int account_find(struct accounts *accounts, const char *name, size_t octets,
                 struct account *account_r, struct buffer *why);
/* How many there are; -1 with why. */
int64_t accounts_count(struct accounts *accounts, struct buffer *why);

/*
 * Carry out a word of ctlinnd's (lib/admin.h): useradd NAME [ROLE] HASH,
 * userdel NAME, userlist, userpasswd NAME HASH, userrole NAME ROLE; the number
 * of words has been checked.  0 with the answer, or -1 with the reason in it.
 */
int accounts_command(struct accounts *accounts, int words,
                     const char *const *word, struct buffer *answer);

#endif
