/*
 * canlock -- Cancel-Lock and Cancel-Key (RFC 8315): who may cancel or
 * supersede an article, shown by who knows a secret.
 *
 * A lock is a hash of a key; the key is made of a secret of the site's, of who
 * posted (or of nobody, for the admin's) and of the article's message-ID, so
 * that it can be made again and need not be kept.  SHA-256 is made, SHA-256
 * and SHA-512 are believed; SHA-1, which the field has seen too, is not.
 *
 * Secrets are lines of a file (lib/listing.h): the first one makes locks, and
 * keys are made of all, so that a secret can be replaced while articles that
 * were locked with the old one are still there.
 */
#ifndef LIB_CANLOCK_H
#define LIB_CANLOCK_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct field_value;

enum {
    CANLOCK_SECRET_OCTETS_MIN = 32, /* RFC 8315, 4: not below the hash's */
    CANLOCK_ELEMENTS_MAX = 16,      /* of a field that are looked at */
};

/* What docancels says; INN's words, and what an article without a lock may
   have done to it. */
enum canlock_policy {
    CANCELS_REQUIRE_AUTH, /* only with a key for a lock that is there */
    CANCELS_AUTH,         /* where there is a lock, only with a key for it */
    CANCELS_NONE,         /* never */
    CANCELS_ALL,          /* whoever asks */
};

/* Who the user of a post is, for the lock that he can remove it by; INN's
   words of addcanlockuser. */
enum canlock_user { CANLOCK_USERNAME, CANLOCK_IP, CANLOCK_NOBODY };

/* Append the lock of the first secret, and a space before it where list holds
   something; nothing when secrets (a file's text) has none.  user: "" for the
   admin's. */
void canlock_append_lock(struct buffer *list, const char *secrets,
                         const char *user, const char *message_id,
                         size_t id_octets);
/* The same with the key of each secret. */
void canlock_append_keys(struct buffer *list, const char *secrets,
                         const char *user, const char *message_id,
                         size_t id_octets);
/* Append a field's locks or keys, each with one space before it where list
   holds something: comments and folding left out, no more than
   CANLOCK_ELEMENTS_MAX of them. */
void canlock_append_field(struct buffer *list,
                          const struct field_value *field);

/* May who has these keys remove an article with these locks?  Both are lists
   as canlock_append_field() makes them, "" where there is none. */
bool canlock_allows(enum canlock_policy policy, const char *keys,
                    const char *locks);

/* listing_check_func: is the line long enough a secret? */
int canlock_check_secret(const char *line, size_t octets, struct buffer *why);

#endif
