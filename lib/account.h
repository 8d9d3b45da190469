/*
 * account -- who may log in, and as what: the accounts database.
 *
 * It is PATHDB/accounts.sqlite or, where the key `accounts` says so, tables in
 * PostgreSQL.  With a server running the auth process alone opens it; without
 * one, ctlinnd does.  A name is 1 to 64 octets of UTF-8 without white space
 * and control characters; case counts.  A password is kept as its hash
 * (lib/password.h) and, where an admin asked for it, as a SCRAM verifier too
 * (lib/scram.h).  The file is readable by its owner alone.
 */
#ifndef LIB_ACCOUNT_H
#define LIB_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/password.h"
#include "lib/scram.h"

struct accounts;
struct buffer;

enum {
    ACCOUNT_NAME_OCTETS_MAX = 64,
    ACCOUNT_WILDMAT_OCTETS_MAX = 512,
    ACCOUNT_KEY_OCTETS = 32,
};

/* What an account is for; what that allows is nnrpd/access.c's to say. */
enum account_role {
    ACCOUNT_READER = 1,
    ACCOUNT_POSTER,
    ACCOUNT_MODERATOR, /* a poster who may approve */
    ACCOUNT_ADMIN,
    ACCOUNT_PEER, /* a server that feeds us */
    ACCOUNT_ROLES
};

/* Who has said that a login is right. */
enum account_source { SOURCE_DATABASE = 1, SOURCE_PAM, SOURCE_HELPER };

struct account {
    enum account_role role;
    bool disabled; /* it may not log in, and who has, has no rights */
    char moderates[ACCOUNT_WILDMAT_OCTETS_MAX + 1]; /* of role moderator */
    char hash[PASSWORD_HASH_OCTETS];
    char scram[SCRAM_VERIFIER_OCTETS]; /* "": none */
};

const char *account_role_name(enum account_role role); /* "poster" */
/* 0 when there is none of this name. */
enum account_role account_role_find(const char *name);
bool account_name_is_valid(const char *name, size_t octets);
/* Is text a wildmat that an account may moderate? */
bool account_wildmat_is_valid(const char *text);

/*
 * Open what the keys `accounts` and `pathdb` say, and make it where there is
 * none.  NULL with why.  A file needs nothing more in its directory
 * afterwards: accounts.sqlite and accounts.sqlite-journal are written to, and
 * no other is created.  A handle is one thread's at a time; there may be
 * several.
 */
struct accounts *accounts_open(const char *where, const char *directory,
                               struct buffer *why);
void accounts_close(struct accounts **accounts);
/* Random octets that live as long as the database: what is told about an
   account that is none is made of them, and so is always the same. */
const unsigned char *accounts_key(const struct accounts *accounts);

/* A consistent copy of the file of this directory, made while the auth process
   may use it, as the new file to.  1, 0 when there is none (PostgreSQL has its
   own backups), -1 with why. */
int accounts_copy(const char *directory, const char *to, struct buffer *why);

/* 1 with the account, 0 when there is none, -1 with why. */
int account_find(struct accounts *accounts, const char *name, size_t octets,
                 struct account *account_r, struct buffer *why);
/* Raised with each change, by whoever makes it; -1 with why. */
int64_t accounts_changes(struct accounts *accounts, struct buffer *why);
/* How many there are, and how many of them have a SCRAM verifier. */
struct account_counts {
    int64_t all;
    int64_t scram;
};
/* 0, or -1 with why. */
int accounts_count(struct accounts *accounts, struct account_counts *counts_r,
                   struct buffer *why);

/*
 * Carry out a word of ctlinnd's (lib/admin.h): useradd NAME [ROLE] SECRET,
 * userdel NAME, userlist, usermod NAME KEY VALUE, userpasswd NAME SECRET; the
 * number of words has been checked.  SECRET is a hash, or a hash, a space and
 * a SCRAM verifier.  0 with the answer, or -1 with the reason in it.
 */
int accounts_command(struct accounts *accounts, int words,
                     const char *const *word, struct buffer *answer);

#endif
