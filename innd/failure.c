#include "innd/failure.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

enum {
    ENTRIES = 8192,  /* of each kind; more at a time share entries */
    SITE_OCTETS = 6, /* an IPv6 /48 */
};

struct entry {
    uint64_t hash; /* of what it is for; keyed, so nobody can aim at another's
                      entry */
    unsigned count;
    int64_t last_ms;
    int64_t turn_ms; /* of an address: when its next try may be looked at */
};

struct failures {
    unsigned char key[crypto_shorthash_KEYBYTES];
    struct entry addresses[ENTRIES];
    struct entry accounts[ENTRIES];
};

struct failures *
failures_new(void)
{
    struct failures *failures = xcalloc(1, sizeof(*failures));

    crypto_shorthash_keygen(failures->key);
    return failures;
}

void
failures_free(struct failures **failures)
{
    free(*failures);
    *failures = NULL;
}

/* The entry for these octets; what it held for others, or long ago, is
   cleared. */
static struct entry *
entry_find(const struct failures *failures, struct entry *entries,
           const void *octets, size_t length, int64_t now_ms)
{
    uint64_t hash;
    struct entry *entry;

    crypto_shorthash((unsigned char *)&hash, octets, length, failures->key);
    entry = &entries[hash % ENTRIES];
    if (entry->hash != hash || now_ms > entry->last_ms + FAILURE_FORGET_MS)
        *entry = (struct entry){.hash = hash};
    return entry;
}

static struct entry *
address_entry(struct failures *failures, const char *address, int64_t now_ms)
{
    struct in6_addr site;

    if (inet_pton(AF_INET6, address, &site) == 1)
        return entry_find(failures, failures->addresses, &site, SITE_OCTETS,
                          now_ms);
    return entry_find(failures, failures->addresses, address, strlen(address),
                      now_ms);
}

bool
failures_are_full(struct failures *failures, const char *address,
                  int64_t now_ms)
{
    const struct entry *entry = address_entry(failures, address, now_ms);

    return entry->count > 0
           && entry->turn_ms - now_ms
                  > (int64_t)FAILURE_TURNS_MAX * FAILURE_TURN_MS;
}

int64_t
failures_turn_ms(struct failures *failures, const char *address,
                 int64_t now_ms)
{
    struct entry *entry = address_entry(failures, address, now_ms);
    int64_t turn_ms = entry->turn_ms > now_ms ? entry->turn_ms : now_ms;

    if (entry->count == 0)
        return 0;
    entry->turn_ms = turn_ms + FAILURE_TURN_MS;
    return turn_ms - now_ms;
}

static unsigned
entry_note(struct entry *entry, int64_t now_ms)
{
    if (entry->count == 0)
        entry->turn_ms = now_ms + FAILURE_TURN_MS;
    entry->last_ms = now_ms;
    return ++entry->count;
}

int64_t
failures_note(struct failures *failures, const char *address, const char *name,
              size_t name_octets, int64_t now_ms)
{
    unsigned by_address =
        entry_note(address_entry(failures, address, now_ms), now_ms);
    unsigned by_account = entry_note(
        entry_find(failures, failures->accounts, name, name_octets, now_ms),
        now_ms);
    unsigned count = by_address > by_account ? by_address : by_account;

    /* 1, 2, 4, 8, 16, 32 s */
    return count > 5 ? FAILURE_DELAY_MS_MAX : FAILURE_DELAY_MS << (count - 1);
}

void
failures_forget_account(struct failures *failures, const char *name,
                        size_t name_octets)
{
    struct entry *entry =
        entry_find(failures, failures->accounts, name, name_octets, INT64_MIN);

    entry->count = 0;
}
