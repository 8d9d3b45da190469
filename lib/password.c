#include "lib/password.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/log.h"

_Static_assert(PASSWORD_HASH_OCTETS == crypto_pwhash_STRBYTES, "libsodium's");

/* What OWASP's password storage page asks of Argon2id at the least: two
   hashing threads then take 38 MiB, and a login stays a short wait. */
#define HASH_OPERATIONS    2
#define HASH_MEMORY_OCTETS ((size_t)19 * 1024 * 1024)

/* A hash that belongs to no password: verified in place of one that is not
   there. */
static char no_hash[PASSWORD_HASH_OCTETS];

void
password_open(void)
{
    unsigned char random[32];

    if (sodium_init() < 0)
        die(EXIT_SYSTEM, "libsodium finds no random octets");
    if (no_hash[0] != '\0')
        return;
    randombytes_buf(random, sizeof(random));
    if (password_hash((const char *)random, sizeof(random), no_hash) < 0)
        die(EXIT_TEMPORARY, "out of memory: hashing a password");
    password_wipe(random, sizeof(random));
}

bool
password_may_be(const char *password, size_t octets)
{
    return octets > 0 && octets <= PASSWORD_OCTETS_MAX
           && memchr(password, '\0', octets) == NULL;
}

int
password_check(const char *password, size_t octets, struct buffer *why)
{
    if (octets == 0)
        return why_set(why, "the password is empty");
    if (octets > PASSWORD_OCTETS_MAX)
        return why_set(why, "the password has more than %d octets",
                       PASSWORD_OCTETS_MAX);
    for (size_t i = 0; i < octets; i++)
        if (memchr("\0 \t\r\n", password[i], 5) != NULL)
            return why_set(why, "the password has a space in it, which NNTP "
                                "cannot carry");
    return 0;
}

int
password_hash(const char *password, size_t octets,
              char hash_r[PASSWORD_HASH_OCTETS])
{
    return crypto_pwhash_str(hash_r, password, octets, HASH_OPERATIONS,
                             HASH_MEMORY_OCTETS);
}

bool
password_verify(const char *password, size_t octets, const char *hash)
{
    bool matches = crypto_pwhash_str_verify(hash != NULL ? hash : no_hash,
                                            password, octets)
                   == 0;

    assert(no_hash[0] != '\0'); /* password_open() was called */
    return matches && hash != NULL;
}

bool
password_hash_is_valid(const char *hash)
{
    static const char prefix[] = "$argon2id$";

    return strlen(hash) < PASSWORD_HASH_OCTETS
           && strncmp(hash, prefix, sizeof(prefix) - 1) == 0
           && crypto_pwhash_str_needs_rehash(hash, HASH_OPERATIONS,
                                             HASH_MEMORY_OCTETS)
                  == 0;
}

void
password_wipe(void *octets, size_t length)
{
    sodium_memzero(octets, length);
}
