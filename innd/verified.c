#include "innd/verified.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/account.h"
#include "lib/memory.h"

struct entry {
    struct login_tag tag;
    struct verified_account account;
    int64_t until_ms; /* 0: a free entry */
};

struct verified {
    unsigned char key[crypto_auth_KEYBYTES];
    struct entry entries[VERIFIED_MAX]; /* by the tag's first octets */
};

_Static_assert(crypto_auth_BYTES == LOGIN_TAG_OCTETS, "libsodium's");
_Static_assert(VERIFIED_WILDMAT_OCTETS == ACCOUNT_WILDMAT_OCTETS_MAX + 1,
               "room for an account's");

struct verified *
verified_new(void)
{
    struct verified *verified = xcalloc(1, sizeof(*verified));

    crypto_auth_keygen(verified->key);
    return verified;
}

void
verified_free(struct verified **verified)
{
    if (*verified == NULL)
        return;
    sodium_memzero(*verified, sizeof(**verified));
    free(*verified);
    *verified = NULL;
}

struct login_tag
verified_tag(const struct verified *verified, const char *name,
             size_t name_octets, const char *password, size_t password_octets)
{
    crypto_auth_hmacsha512256_state state;
    struct login_tag tag;

    crypto_auth_hmacsha512256_init(&state, verified->key,
                                   sizeof(verified->key));
    crypto_auth_hmacsha512256_update(&state, (const unsigned char *)name,
                                     name_octets);
    /* No name has a NUL in it: where it ends is part of what is hashed. */
    crypto_auth_hmacsha512256_update(&state, (const unsigned char *)"", 1);
    crypto_auth_hmacsha512256_update(&state, (const unsigned char *)password,
                                     password_octets);
    crypto_auth_hmacsha512256_final(&state, tag.octets);
    sodium_memzero(&state, sizeof(state));
    return tag;
}

bool
login_tags_equal(const struct login_tag *one, const struct login_tag *other)
{
    return sodium_memcmp(one->octets, other->octets, LOGIN_TAG_OCTETS) == 0;
}

static size_t
tag_place(const struct login_tag *tag)
{
    return (tag->octets[0] | (size_t)tag->octets[1] << 8) % VERIFIED_MAX;
}

const struct verified_account *
verified_find(const struct verified *verified, const struct login_tag *tag,
              uint64_t generation, int64_t now_ms)
{
    const struct entry *entry = &verified->entries[tag_place(tag)];

    if (now_ms >= entry->until_ms || entry->account.generation != generation
        || !login_tags_equal(&entry->tag, tag))
        return NULL;
    return &entry->account;
}

void
verified_add(struct verified *verified, const struct login_tag *tag,
             const struct verified_account *account, int64_t now_ms)
{
    struct entry *entry = &verified->entries[tag_place(tag)];

    entry->tag = *tag;
    entry->account = *account;
    entry->until_ms = now_ms + VERIFIED_MS;
}
