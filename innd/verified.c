#include "innd/verified.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/account.h"
#include "lib/memory.h"

struct entry {
    struct login_tag tag;
    char name[ACCOUNT_NAME_OCTETS_MAX];
    size_t name_octets; /* 0: a free entry */
    unsigned role;
    int64_t until_ms;
};

struct verified {
    unsigned char key[crypto_auth_KEYBYTES];
    struct entry entries[VERIFIED_MAX]; /* by the tag's first octets */
};

_Static_assert(crypto_auth_BYTES == LOGIN_TAG_OCTETS, "libsodium's");

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

unsigned
verified_find(const struct verified *verified, const struct login_tag *tag,
              int64_t now_ms)
{
    const struct entry *entry = &verified->entries[tag_place(tag)];

    if (entry->name_octets == 0 || now_ms >= entry->until_ms
        || !login_tags_equal(&entry->tag, tag))
        return 0;
    return entry->role;
}

void
verified_add(struct verified *verified, const struct login_tag *tag,
             const char *name, size_t name_octets, unsigned role,
             int64_t now_ms)
{
    struct entry *entry = &verified->entries[tag_place(tag)];

    entry->tag = *tag;
    memcpy(entry->name, name, name_octets);
    entry->name_octets = name_octets;
    entry->role = role;
    entry->until_ms = now_ms + VERIFIED_MS;
}

void
verified_drop(struct verified *verified, const char *name, size_t name_octets)
{
    for (size_t i = 0; i < VERIFIED_MAX; i++) {
        struct entry *entry = &verified->entries[i];

        if (entry->name_octets == name_octets
            && memcmp(entry->name, name, name_octets) == 0)
            sodium_memzero(entry, sizeof(*entry));
    }
}
