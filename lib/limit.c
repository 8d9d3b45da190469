#include "lib/limit.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/log.h"

/* So many rows a key may be in, from the one that its own octets name. */
enum { PROBES = 16, BACK_OFF_MAX_SECONDS = 60 * 60 };

#define SECOND_NS UINT64_C(1000000000)
#define MINUTE    UINT64_C(60) /* seconds */
#define HOUR      (60 * MINUTE)

static const struct {
    unsigned seconds;
    const char *text; /* of what, in what time */
} kinds[LIMIT_KINDS] = {
    [LIMIT_CONNECTIONS] = {60, "new connections a minute"},
    [LIMIT_COMMANDS] = {60, "commands a minute"},
    [LIMIT_POSTS] = {60 * 60, "posts an hour"},
    [LIMIT_OCTETS] = {24 * 60 * 60, "octets a day"},
};

_Static_assert(sizeof(((struct limit_table *)NULL)->secret)
                   == crypto_shorthash_KEYBYTES,
               "SipHash's key");

unsigned
limit_period_seconds(enum limit_kind kind)
{
    return kinds[kind].seconds;
}

void
limit_table_init(struct limit_table *table)
{
    uint64_t secret[2];

    if (sodium_init() < 0)
        die(EXIT_SYSTEM, "libsodium finds no random octets");
    randombytes_buf(secret, sizeof(secret));
    atomic_store(&table->secret[0], secret[0]);
    atomic_store(&table->secret[1], secret[1]);
}

/* --- whose row --- */

uint64_t
limit_key(const struct limit_table *table, enum limit_scope scope,
          const void *who, size_t octets)
{
    uint64_t secret[2] = {atomic_load(&table->secret[0]),
                          atomic_load(&table->secret[1])};
    uint64_t key;

    /* An account must never share the row of an address of the same octets. */
    secret[0] ^= scope;
    crypto_shorthash((unsigned char *)&key, who, octets,
                     (const unsigned char *)secret);
    return key == 0 ? 1 : key;
}

void
limit_site(const char *address, enum limit_scope scope,
           uint8_t site[LIMIT_SITE_OCTETS])
{
    bool network = scope == LIMIT_NETWORK;

    memset(site, 0, LIMIT_SITE_OCTETS);
    if (inet_pton(AF_INET, address, site + 1) == 1) {
        site[0] = 4;
        if (network)
            site[4] = 0;
    } else if (inet_pton(AF_INET6, address, site + 1) == 1) {
        size_t kept = network ? 4 : 6;

        site[0] = 6;
        memset(site + 1 + kept, 0, 16 - kept);
    }
}

static bool
row_is_used(struct limit_row *row, uint64_t now_ns)
{
    for (size_t i = 0; i < LIMIT_KINDS; i++)
        if (atomic_load_explicit(&row->given_back_ns[i], memory_order_relaxed)
            > now_ns)
            return true;
    if (atomic_load(&row->posted_ns) + atomic_load(&row->waits_ns) > now_ns)
        return true;
    for (size_t i = 0; i < LIMIT_WORKERS; i++)
        if (atomic_load_explicit(&row->sessions[i], memory_order_relaxed) > 0)
            return true;
    return false;
}

/* The row of a key where it has one, else NULL. */
static struct limit_row *
row_find(struct limit_table *table, uint64_t key)
{
    for (uint64_t i = 0; i < PROBES; i++) {
        size_t at = (key + i) % LIMIT_ROWS;

        if (atomic_load(&table->keys[at]) == key)
            return &table->rows[at];
    }
    return NULL;
}

/*
 * The row of a key, made where it has none: a free one, or one that says
 * nothing any more.  Two processes that make the same at once may make two;
 * the first is found from then on, and the other is given up when its moments
 * have passed.
 */
static struct limit_row *
row_make(struct limit_table *table, uint64_t key, uint64_t now_ns)
{
    struct limit_row *row = row_find(table, key);

    for (uint64_t i = 0; row == NULL && i < PROBES; i++) {
        size_t at = (key + i) % LIMIT_ROWS;
        uint64_t old = atomic_load(&table->keys[at]);

        if ((old == 0 || !row_is_used(&table->rows[at], now_ns))
            && atomic_compare_exchange_strong(&table->keys[at], &old, key))
            row = &table->rows[at];
    }
    return row;
}

/* --- rates --- */

static uint64_t
period_ns(const struct limit *limit)
{
    return kinds[limit->kind].seconds * SECOND_NS;
}

/* For how long so much counts. */
static uint64_t
cost_ns(const struct limit *limit, uint64_t amount)
{
    unsigned __int128 cost =
        (unsigned __int128)amount * period_ns(limit) / (uint64_t)limit->most;
    uint64_t most = 100 * period_ns(limit);

    return cost > most ? most : (uint64_t)cost;
}

/* How long until all but a period of what was used has been given back. */
static uint64_t
excess_ns(const struct limit *limit, uint64_t given_back_ns, uint64_t now_ns)
{
    uint64_t room_ns = now_ns + period_ns(limit);

    return given_back_ns > room_ns ? given_back_ns - room_ns : 0;
}

uint64_t
limit_wait(struct limit_table *table, uint64_t key, const struct limit *limit,
           uint64_t now_ns)
{
    struct limit_row *row = limit->most > 0 ? row_find(table, key) : NULL;

    if (row == NULL)
        return 0;
    /* Room for one more, not for none. */
    return excess_ns(limit,
                     atomic_load(&row->given_back_ns[limit->kind])
                         + cost_ns(limit, 1),
                     now_ns);
}

static uint64_t
row_add(struct limit_row *row, const struct limit *limit, uint64_t amount,
        uint64_t now_ns, bool always)
{
    _Atomic uint64_t *given_back = &row->given_back_ns[limit->kind];
    uint64_t cost = cost_ns(limit, amount);
    uint64_t old = atomic_load(given_back);
    uint64_t from;
    uint64_t wait;

    do {
        from = old > now_ns ? old : now_ns;
        wait = excess_ns(limit, from + cost, now_ns);
        if (wait > 0 && !always)
            return wait;
    } while (!atomic_compare_exchange_weak(given_back, &old, from + cost));
    return wait;
}

uint64_t
limit_take(struct limit_table *table, uint64_t key, const struct limit *limit,
           uint64_t amount, uint64_t now_ns)
{
    struct limit_row *row =
        limit->most > 0 ? row_make(table, key, now_ns) : NULL;

    return row == NULL ? 0 : row_add(row, limit, amount, now_ns, false);
}

void
limit_charge(struct limit_table *table, uint64_t key,
             const struct limit *limit, uint64_t amount, uint64_t now_ns)
{
    struct limit_row *row =
        limit->most > 0 ? row_make(table, key, now_ns) : NULL;

    if (row != NULL)
        (void)row_add(row, limit, amount, now_ns, true);
}

/* --- back-off --- */

uint64_t
limit_back_off_wait(struct limit_table *table, uint64_t key, uint64_t now_ns)
{
    struct limit_row *row = row_find(table, key);
    uint64_t until_ns = row == NULL ? 0
                                    : atomic_load(&row->posted_ns)
                                          + atomic_load(&row->waits_ns);

    return until_ns > now_ns ? until_ns - now_ns : 0;
}

static uint64_t
wait_longer(uint64_t wait_ns, int64_t k)
{
    uint64_t most = BACK_OFF_MAX_SECONDS * SECOND_NS;

    for (int64_t i = 0; i < k && wait_ns < most; i++)
        wait_ns *= 2;
    wait_ns += SECOND_NS;
    return wait_ns > most ? most : wait_ns;
}

/* Two posts of one account at the same moment may count as one: who does that
   waits a little less. */
void
limit_back_off_count(struct limit_table *table, uint64_t key,
                     const struct limit_back_off *back_off, uint64_t now_ns)
{
    struct limit_row *row =
        back_off->fast_seconds > 0 ? row_make(table, key, now_ns) : NULL;
    uint64_t gap_ns;

    if (row == NULL)
        return;
    gap_ns = now_ns - atomic_exchange(&row->posted_ns, now_ns);
    if (gap_ns > (uint64_t)back_off->slow_seconds * SECOND_NS) {
        atomic_store(&row->posts, 1);
        atomic_store(&row->waits_ns, 0);
        return;
    }
    if (atomic_fetch_add(&row->posts, 1) >= (uint64_t)back_off->trigger
        && gap_ns < (uint64_t)back_off->fast_seconds * SECOND_NS)
        atomic_store(&row->waits_ns,
                     wait_longer(atomic_load(&row->waits_ns), back_off->k));
}

/* --- sessions --- */

unsigned
limit_sessions(struct limit_table *table, uint64_t key)
{
    struct limit_row *row = row_find(table, key);
    unsigned sessions = 0;

    for (size_t i = 0; row != NULL && i < LIMIT_WORKERS; i++)
        sessions += atomic_load(&row->sessions[i]);
    return sessions;
}

void
limit_count_session(struct limit_table *table, uint64_t key, unsigned worker,
                    int by)
{
    struct limit_row *row =
        by > 0 ? row_make(table, key, clock_ns()) : row_find(table, key);

    assert(worker < LIMIT_WORKERS);
    if (row == NULL)
        return;
    /* One that went uncounted when the table was full is not taken off. */
    if (by > 0)
        atomic_fetch_add(&row->sessions[worker], 1);
    else if (atomic_load(&row->sessions[worker]) > 0)
        atomic_fetch_sub(&row->sessions[worker], 1);
}

void
limit_forget_worker(struct limit_table *table, unsigned worker)
{
    assert(worker < LIMIT_WORKERS);
    for (size_t i = 0; i < LIMIT_ROWS; i++)
        if (atomic_load(&table->keys[i]) != 0)
            atomic_store(&table->rows[i].sessions[worker], 0);
}

/* --- in words --- */

void
limit_print_wait(uint64_t wait_ns, struct buffer *text)
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{HOUR, "hour"}, {MINUTE, "minute"}, {1, "second"}};
    uint64_t seconds = (wait_ns + SECOND_NS - 1) / SECOND_NS;
    size_t i = seconds > 2 * HOUR ? 0 : seconds > 2 * MINUTE ? 1 : 2;
    uint64_t count = (seconds + units[i].seconds - 1) / units[i].seconds;

    buffer_append_format(text, "%" PRIu64 " %s%s", count, units[i].name,
                         count == 1 ? "" : "s");
}

void
limit_explain(const struct limit *limit, uint64_t wait_ns, struct buffer *text)
{
    buffer_append_format(text, "at most %" PRId64 " %s; try again in ",
                         limit->most, kinds[limit->kind].text);
    limit_print_wait(wait_ns, text);
}
