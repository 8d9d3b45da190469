/*
 * verified -- logins that were found right a short while ago.
 *
 * A downloader opens fifty connections and logs in on each: only the first is
 * worth a hash that is slow by design.  What is remembered is not the password
 * but an HMAC of name and password, under a key that was drawn when the
 * process began and ends with it.  An entry lasts VERIFIED_MS, from the slow
 * check on, and is dropped when its account changes.
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
};

struct verified;

/* Name and password as they are remembered; equal only for equal ones. */
struct login_tag {
    unsigned char octets[LOGIN_TAG_OCTETS];
};

struct verified *verified_new(void);
void verified_free(struct verified **verified);

struct login_tag verified_tag(const struct verified *verified,
                              const char *name, size_t name_octets,
                              const char *password, size_t password_octets);
bool login_tags_equal(const struct login_tag *one,
                      const struct login_tag *other);
/* The account's role (lib/account.h), or 0 when it is not remembered. */
unsigned verified_find(const struct verified *verified,
                       const struct login_tag *tag, int64_t now_ms);
void verified_add(struct verified *verified, const struct login_tag *tag,
                  const char *name, size_t name_octets, unsigned role,
                  int64_t now_ms);
/* The account has changed. */
void verified_drop(struct verified *verified, const char *name,
                   size_t name_octets);

#endif
