#include "lib/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"

enum { SHARED_MAGIC = 0x52656e77, SHARED_VERSION = 5 };

static const char *const counter_names[COUNTER_COUNT] = {
    [COUNTER_CLIENTS_NOW] = "clients_now",
    [COUNTER_CLIENTS_SERVED] = "clients_served",
    [COUNTER_COMMANDS] = "commands",
    [COUNTER_ARTICLES_SENT] = "articles_sent",
    [COUNTER_OCTETS_SENT] = "octets_sent",
    [COUNTER_LONG_TURNS] = "long_turns",
    [COUNTER_POSTED] = "posted",
    [COUNTER_RECEIVED] = "received",
    [COUNTER_DUPLICATES] = "duplicates",
    [COUNTER_REFUSED] = "refused",
    [COUNTER_DEFERRED] = "deferred",
    [COUNTER_STORED] = "stored",
    [COUNTER_STORED_OCTETS] = "stored_octets",
    [COUNTER_GROUPS_COMMITTED] = "groups_committed",
};

static const char *const feed_counter_names[FEED_COUNTER_COUNT] = {
    [FEED_OFFERED] = "offered",         [FEED_ACCEPTED] = "accepted",
    [FEED_REFUSED] = "refused",         [FEED_REJECTED] = "rejected",
    [FEED_MISSING] = "missing",         [FEED_DEFERRED] = "deferred",
    [FEED_PENDING] = "pending",         [FEED_SEQUENCE] = "sequence",
    [FEED_LAG_SECONDS] = "lag_seconds", [FEED_CONNECTIONS] = "connections",
    [FEED_DEFERRALS] = "deferrals",     [FEED_SENT_OCTETS] = "sent_octets",
    [FEED_PULLED] = "pulled",
};

const char *
feed_counter_name(enum feed_counter counter)
{
    return feed_counter_names[counter];
}

const char *
counter_name(enum counter counter)
{
    return counter_names[counter];
}

static struct shared *
shared_mmap(int fd)
{
    void *memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        sysdie(EXIT_SYSTEM, "shared memory: mmap");
    return memory;
}

struct shared *
shared_create(int *fd_r)
{
    struct shared *shared;
    int fd = memfd_create("renews-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        sysdie(EXIT_SYSTEM, "shared memory: memfd");
    if (ftruncate(fd, sizeof(*shared)) < 0)
        sysdie(EXIT_SYSTEM, "shared memory: size");
    /* A child that shrank it would kill all others with SIGBUS. */
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        sysdie(EXIT_SYSTEM, "shared memory: seal");
    shared = shared_mmap(fd);
    shared->magic = SHARED_MAGIC;
    shared->version = SHARED_VERSION;
    limit_table_init(&shared->limits);
    atomic_store(&shared->started, (int64_t)time(NULL));
    *fd_r = fd;
    return shared;
}

struct shared *
shared_map(int fd)
{
    struct shared *shared;
    struct stat status;

    if (fstat(fd, &status) < 0)
        sysdie(EXIT_SOFTWARE, "shared memory");
    if (status.st_size != (off_t)sizeof(*shared))
        die(EXIT_SOFTWARE, "shared memory: not of this version");
    shared = shared_mmap(fd);
    if (shared->magic != SHARED_MAGIC || shared->version != SHARED_VERSION)
        die(EXIT_SOFTWARE, "shared memory: not of this version");
    return shared;
}

/*
 * A sequence lock: an odd number says that the reason is being written, and a
 * number that has changed says that it was written meanwhile.  Only the master
 * writes.
 */
void
shared_set_mode(struct shared *shared, enum server_mode mode,
                const char *reason)
{
    size_t length = strnlen(reason, SHARED_REASON_OCTETS - 1);

    atomic_fetch_add(&shared->mode_sequence, 1);
    atomic_thread_fence(memory_order_release);
    memset(shared->mode_reason, 0, SHARED_REASON_OCTETS);
    memcpy(shared->mode_reason, reason, length);
    atomic_store(&shared->mode, mode);
    atomic_fetch_add_explicit(&shared->mode_sequence, 1, memory_order_release);
}

enum server_mode
shared_mode(const struct shared *shared, char reason[SHARED_REASON_OCTETS])
{
    for (;;) {
        uint32_t before =
            atomic_load_explicit(&shared->mode_sequence, memory_order_acquire);
        enum server_mode mode = atomic_load(&shared->mode);

        memcpy(reason, shared->mode_reason, SHARED_REASON_OCTETS);
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 == 0
            && before
                   == atomic_load_explicit(&shared->mode_sequence,
                                           memory_order_relaxed)) {
            reason[SHARED_REASON_OCTETS - 1] = '\0';
            return mode;
        }
        /* A master killed between the two leaves an odd number for the few
           seconds until its children end; they give the processor away. */
        sched_yield();
    }
}

void
shared_text_set(struct shared_text *text, const char *value)
{
    size_t length = strnlen(value, SHARED_REASON_OCTETS - 1);

    atomic_fetch_add(&text->sequence, 1);
    atomic_thread_fence(memory_order_release);
    memset(text->text, 0, SHARED_REASON_OCTETS);
    memcpy(text->text, value, length);
    atomic_fetch_add_explicit(&text->sequence, 1, memory_order_release);
}

/*
 * A writer that is killed within leaves the number odd until its successor
 * writes: after so many looks what is there is taken as it is.
 */
void
shared_text_get(const struct shared_text *text,
                char copy_r[SHARED_REASON_OCTETS])
{
    uint32_t before, after;
    int looks = 0;

    do {
        before = atomic_load_explicit(&text->sequence, memory_order_acquire);
        memcpy(copy_r, text->text, SHARED_REASON_OCTETS);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&text->sequence, memory_order_relaxed);
    } while ((before % 2 != 0 || before != after) && looks++ < 1000);
    copy_r[SHARED_REASON_OCTETS - 1] = '\0';
}

uint64_t
shared_sum(const struct shared *shared, enum counter counter)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < SHARED_SLOTS; i++)
        sum += atomic_load_explicit(&shared->slots[i].counters[counter],
                                    memory_order_relaxed);
    return sum;
}
