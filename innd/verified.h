/*
 * verified -- logins that were found right a short while ago.
 *
 * A downloader opens fifty connections and logs in on each: only the first is
 * worth a hash that is slow by design.  What is remembered is not the password
 * but an HMAC of name and password, under a key that was drawn when the
 * process began and ends with it.  An entry lasts VERIFIED_MS, from the slow
 * check on, and no longer than the accounts stay as they are: it is of one
 * generation of them (lib/shared.h).
 */
#ifndef INND_VERIFIED_H
#define INND_VERIFIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VERIFIED_MS = 5 * 60 * 1000,
    VERIFIED_MAX = 1024, /* more push out what may yet be of use */
    LOGIN_TAG_OCTETS = 32,
    VERIFIED_WILDMAT_OCTETS = 513,
};

struct verified;

/* Name and password as they are remembered; equal only for equal ones. */
struct login_tag {
    unsigned char octets[LOGIN_TAG_OCTETS];
};

/* What was found of the account. */
struct verified_account {
    uint64_t generation; /* of the accounts then */
    unsigned role;       /* lib/account.h's, as are all of these */
    unsigned source;
    char moderates[VERIFIED_WILDMAT_OCTETS];
};

struct verified *verified_new(void);
void verified_free(struct verified **verified);

struct login_tag verified_tag(const struct verified *verified,
                              const char *name, size_t name_octets,
                              const char *password, size_t password_octets);
bool login_tags_equal(const struct login_tag *one,
                      const struct login_tag *other);
/* NULL: it is not remembered, or not of this generation. */
const struct verified_account *verified_find(const struct verified *verified,
                                             const struct login_tag *tag,
                                             uint64_t generation,
                                             int64_t now_ms);
void verified_add(struct verified *verified, const struct login_tag *tag,
                  const struct verified_account *account, int64_t now_ms);

#endif
