/*
 * password -- what of a password is kept: its Argon2id hash, as text.
 *
 * Hashing is slow and takes memory by design (19 MiB, two passes; on a machine
 * of today some 25 ms), so it has no place in an event loop.  Every hash is
 * made with the same cost, and one of another cost is no hash of ours: what is
 * stored cannot make a check dearer than the next.  Who was handed a password
 * wipes it with password_wipe() when he is done.
 *
 * A password is 1 to 490 octets, none of them a space, a tab, NUL, CR or LF:
 * what fits into the line AUTHINFO PASS (RFC 4643, 2.3.2; RFC 3977, 3.1).
 */
#ifndef LIB_PASSWORD_H
#define LIB_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;

enum { PASSWORD_OCTETS_MAX = 490, PASSWORD_HASH_OCTETS = 128 };

/* Before any other; any number of times.  Dies where there is no source of
   random octets. */
void password_open(void);
/* Could it be a password, of whatever source?  SASL carries spaces too. */
bool password_may_be(const char *password, size_t octets);
/* 0, or -1 with the reason why it cannot be a password of ours. */
int password_check(const char *password, size_t octets, struct buffer *why);
/* 0, or -1 when memory is short. */
int password_hash(const char *password, size_t octets,
                  char hash_r[PASSWORD_HASH_OCTETS]);
/* Does it belong to this hash?  hash NULL: to none, and the answer takes as
   long as it does for one, so that time does not tell who has an account. */
bool password_verify(const char *password, size_t octets, const char *hash);
/* Is this text a hash, of our cost? */
bool password_hash_is_valid(const char *hash);
/* So that nobody finds it in memory that is used again. */
void password_wipe(void *octets, size_t length);

#endif
