#include "storage/active.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/token.h"

enum {
    ACTIVE_MAGIC = 0x43414e52, /* "RNAC" */
    ACTIVE_VERSION = 3,
    /* Room for texts: three times what a group of Usenet takes, since a
       changed description leaves its old text behind. */
    HEAP_OCTETS_PER_GROUP = 512,
    HEAP_OCTETS_MIN = 1024 * 1024,
};

/*
 * Numbers that belong together, changed by one writer that may die at any
 * instruction.  There are two copies: the writer fills the one that is not
 * current and then makes it current by raising turn, so a reader never sees
 * half a change and never waits for a writer that is no more.  It reads again
 * only when turn has moved meanwhile, that is, when the writer got on.
 */
enum { LATCH_WORDS = 3 };
struct latch {
    _Atomic uint64_t turn; /* lowest bit: which copy is current */
    _Atomic uint64_t words[2][LATCH_WORDS];
};

/* One group.  Each member is whole by itself; a text is found by its offset
   from the beginning of the memory, and never moves. */
struct slot {
    struct latch marks;          /* low, high, count */
    _Atomic uint64_t flag_alias; /* flag << 32 | alias */
    _Atomic int64_t created;
    _Atomic uint64_t name; /* 0: this slot was never used */
    _Atomic uint64_t creator;
    _Atomic uint64_t description;
};

/* A text in the heap; a NUL stands behind it. */
struct text {
    uint32_t octets;
    char text[];
};

/* One known message-ID.  version is odd while the entry is being written; a
   writer that died there leaves an entry that says nothing until the next
   article falls on it. */
struct known {
    _Atomic uint32_t version;
    uint32_t zero;
    _Atomic uint64_t hash[2];
    _Atomic uint64_t sequence; /* 0: empty */
    _Atomic uint64_t token[2];
};

struct known_set {
    struct known ways[ACTIVE_KNOWN_WAYS];
};

struct head {
    uint32_t magic;
    uint32_t version;
    uint64_t octets;       /* of the whole memory */
    uint64_t groups_max;   /* ids 1 to this */
    uint64_t bucket_count; /* a power of 2, at least twice groups_max */
    uint64_t slots;        /* offsets of the parts */
    uint64_t buckets;
    uint64_t blocks;
    uint64_t known;
    uint64_t heap;
    /* Names come from outside too: without a secret somebody could prepare
       names that all fall on one bucket. */
    unsigned char name_key[crypto_shorthash_KEYBYTES];
    _Atomic uint64_t heap_used; /* offset of the first free octet */
    _Atomic uint32_t count;     /* ids given out */
    uint32_t zero;
    _Atomic uint64_t published;
    _Atomic uint64_t committed;
    _Atomic uint64_t removals;
    _Atomic uint64_t key[2];
    struct latch durable; /* segment, offset, sequence */
};

struct active {
    struct head *head;         /* the mapping */
    struct slot *slots;        /* of id - 1 */
    _Atomic uint32_t *buckets; /* ids; 0 ends a search */
    _Atomic uint64_t *blocks;  /* odd while a group of it is changed */
    struct known_set *known;
    size_t octets;
};

_Static_assert(sizeof(struct message_hash) == 2 * sizeof(uint64_t), "words");
_Static_assert(sizeof(struct message_key) == 2 * sizeof(uint64_t), "words");
_Static_assert(sizeof(struct token) == 2 * sizeof(uint64_t), "words");

/* --- latches --- */

static void
latch_write(struct latch *latch, const uint64_t words[LATCH_WORDS])
{
    uint64_t turn = atomic_load_explicit(&latch->turn, memory_order_relaxed);
    _Atomic uint64_t *copy = latch->words[(turn + 1) & 1];

    /* A reader that sees one of these words must also see that turn has moved
       since this copy was the current one. */
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < LATCH_WORDS; i++)
        atomic_store_explicit(&copy[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&latch->turn, turn + 1, memory_order_release);
}

static void
latch_read(const struct latch *latch, uint64_t words[LATCH_WORDS])
{
    uint64_t turn, after;

    do {
        const _Atomic uint64_t *copy;

        turn = atomic_load_explicit(&latch->turn, memory_order_acquire);
        copy = latch->words[turn & 1];
        for (size_t i = 0; i < LATCH_WORDS; i++)
            words[i] = atomic_load_explicit(&copy[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&latch->turn, memory_order_relaxed);
    } while (after != turn);
}

static void
words_store(_Atomic uint64_t to[2], const void *octets)
{
    uint64_t words[2];

    memcpy(words, octets, sizeof(words));
    atomic_store_explicit(&to[0], words[0], memory_order_relaxed);
    atomic_store_explicit(&to[1], words[1], memory_order_relaxed);
}

static void
words_load(const _Atomic uint64_t from[2], void *octets)
{
    uint64_t words[2];

    words[0] = atomic_load_explicit(&from[0], memory_order_relaxed);
    words[1] = atomic_load_explicit(&from[1], memory_order_relaxed);
    memcpy(octets, words, sizeof(words));
}

/* --- the memory --- */

static uint64_t
round_up(uint64_t octets)
{
    return (octets + 63) & ~(uint64_t)63;
}

/* Where everything lies when there is room for groups_max groups. */
static struct head
layout(size_t groups_max)
{
    struct head head = {.magic = ACTIVE_MAGIC, .version = ACTIVE_VERSION};
    uint64_t heap_octets = groups_max * HEAP_OCTETS_PER_GROUP;

    if (heap_octets < HEAP_OCTETS_MIN)
        heap_octets = HEAP_OCTETS_MIN;
    head.groups_max = groups_max;
    head.bucket_count = 64;
    while (head.bucket_count < 2 * head.groups_max)
        head.bucket_count *= 2;
    head.slots = round_up(sizeof(struct head));
    head.buckets = round_up(head.slots + groups_max * sizeof(struct slot));
    head.blocks =
        round_up(head.buckets + head.bucket_count * sizeof(uint32_t));
    head.known = round_up(
        head.blocks + (groups_max / ACTIVE_BLOCK + 1) * sizeof(uint64_t));
    head.heap =
        round_up(head.known + ACTIVE_KNOWN_SETS * sizeof(struct known_set));
    head.octets = head.heap + heap_octets;
    return head;
}

static void
head_begin(struct head *head, size_t groups_max)
{
    *head = layout(groups_max);
    randombytes_buf(head->name_key, sizeof(head->name_key));
    atomic_store(&head->heap_used, head->heap);
}

static struct active *
active_attach(struct head *head)
{
    struct active *active = xcalloc(1, sizeof(*active));
    char *base = (char *)head;

    active->head = head;
    active->octets = head->octets;
    active->slots = (struct slot *)(base + head->slots);
    active->buckets = (_Atomic uint32_t *)(base + head->buckets);
    active->blocks = (_Atomic uint64_t *)(base + head->blocks);
    active->known = (struct known_set *)(base + head->known);
    return active;
}

int
active_create(size_t groups_max, struct buffer *why)
{
    struct head head = layout(groups_max);
    void *memory = MAP_FAILED;
    int fd;

    fd = memfd_create("renews-active", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return why_set_errno(why, "cannot make the table of groups");
    /* The seals: nobody who has the descriptor can cut the memory off below
       another process. */
    if (ftruncate(fd, (off_t)head.octets) < 0
        || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
               < 0)
        goto fail;
    memory =
        mmap(NULL, sizeof(head), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        goto fail;
    head_begin(memory, groups_max);
    munmap(memory, sizeof(head));
    return fd;

fail:
    why_set_errno(why, "cannot make the table of groups for %zu groups",
                  groups_max);
    close(fd);
    return -1;
}

struct active *
active_map(int fd, bool writable, struct buffer *why)
{
    struct stat status;
    struct head *head;
    struct head expected;
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;

    if (fstat(fd, &status) < 0) {
        why_set_errno(why, "cannot map the table of groups");
        return NULL;
    }
    if ((size_t)status.st_size < sizeof(*head)) {
        why_set(why, "this is no table of groups: only %lld octets",
                (long long)status.st_size);
        return NULL;
    }
    head = mmap(NULL, (size_t)status.st_size, protection, MAP_SHARED, fd, 0);
    if (head == MAP_FAILED) {
        why_set_errno(why, "cannot map the table of groups");
        return NULL;
    }
    if (head->magic == ACTIVE_MAGIC && head->version == ACTIVE_VERSION
        && head->groups_max <= (size_t)status.st_size) {
        expected = layout(head->groups_max);
        if (head->octets == expected.octets && head->heap == expected.heap
            && head->octets == (uint64_t)status.st_size)
            return active_attach(head);
    }
    why_set(why,
            "the table of groups was made by another version"
            " (found %u, expected %d)",
            (unsigned)head->version, (int)ACTIVE_VERSION);
    munmap(head, (size_t)status.st_size);
    return NULL;
}

struct active *
active_new(size_t groups_max)
{
    struct head head = layout(groups_max);
    void *memory = mmap(NULL, head.octets, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        sysdie(EXIT_SYSTEM, "no memory for a table of %zu groups", groups_max);
    head_begin(memory, groups_max);
    return active_attach(memory);
}

void
active_close(struct active **active)
{
    if (*active == NULL)
        return;
    munmap((*active)->head, (*active)->octets);
    free(*active);
    *active = NULL;
}

/* --- reading --- */

static const struct text *
active_text(const struct active *active, uint64_t offset)
{
    return (const struct text *)((const char *)active->head + offset);
}

static struct slot *
active_slot(const struct active *active, uint32_t id)
{
    assert(id >= 1 && id <= active->head->groups_max);
    return &active->slots[id - 1];
}

/* The bucket of this name: the one that has its id, or the free one where a
   search for it ends. */
static _Atomic uint32_t *
active_bucket(const struct active *active, const char *name, size_t octets)
{
    uint64_t mask = active->head->bucket_count - 1;
    uint64_t place;
    unsigned char hash[crypto_shorthash_BYTES];

    crypto_shorthash(hash, (const unsigned char *)name, octets,
                     active->head->name_key);
    memcpy(&place, hash, sizeof(place));
    for (;; place++) {
        _Atomic uint32_t *bucket = &active->buckets[place & mask];
        uint32_t id = atomic_load_explicit(bucket, memory_order_acquire);
        const struct text *text;

        if (id == 0)
            return bucket;
        text = active_text(active,
                           atomic_load_explicit(&active_slot(active, id)->name,
                                                memory_order_acquire));
        if (text->octets == octets && memcmp(text->text, name, octets) == 0)
            return bucket;
    }
}

uint32_t
active_count(const struct active *active)
{
    return atomic_load_explicit(&active->head->count, memory_order_acquire);
}

uint32_t
active_find_any(const struct active *active, const char *name, size_t octets)
{
    uint32_t count = active_count(active);
    uint32_t id = atomic_load_explicit(active_bucket(active, name, octets),
                                       memory_order_acquire);

    /* A writer that died while it made a group may have left its id in the
       bucket before the id was given out. */
    return id <= count ? id : 0;
}

uint32_t
active_find(const struct active *active, const char *name, size_t octets)
{
    uint32_t id = active_find_any(active, name, octets);

    return id != 0 && active_flag(active, id) != 0 ? id : 0;
}

const char *
active_name(const struct active *active, uint32_t id, size_t *octets_r)
{
    uint64_t offset = atomic_load_explicit(&active_slot(active, id)->name,
                                           memory_order_acquire);
    const struct text *text = active_text(active, offset);

    assert(offset != 0);
    if (octets_r != NULL)
        *octets_r = text->octets;
    return text->text;
}

char
active_flag(const struct active *active, uint32_t id)
{
    return (char)(atomic_load_explicit(&active_slot(active, id)->flag_alias,
                                       memory_order_acquire)
                  >> 32);
}

uint32_t
active_alias(const struct active *active, uint32_t id)
{
    return (uint32_t)atomic_load_explicit(&active_slot(active, id)->flag_alias,
                                          memory_order_acquire);
}

struct group_marks
active_marks(const struct active *active, uint32_t id)
{
    uint64_t words[LATCH_WORDS];

    latch_read(&active_slot(active, id)->marks, words);
    return (struct group_marks){words[0], words[1], words[2]};
}

static void
append_text(const struct active *active, const _Atomic uint64_t *place,
            struct buffer *buffer)
{
    uint64_t offset = atomic_load_explicit(place, memory_order_acquire);

    if (buffer != NULL && offset != 0) {
        const struct text *text = active_text(active, offset);

        buffer_append(buffer, text->text, text->octets);
    }
}

int64_t
active_origin(const struct active *active, uint32_t id, struct buffer *creator,
              struct buffer *description)
{
    const struct slot *slot = active_slot(active, id);

    append_text(active, &slot->creator, creator);
    append_text(active, &slot->description, description);
    return atomic_load_explicit(&slot->created, memory_order_relaxed);
}

uint64_t
active_block_changes(const struct active *active, uint32_t block)
{
    assert(block <= active->head->groups_max / ACTIVE_BLOCK);
    return atomic_load_explicit(&active->blocks[block], memory_order_acquire);
}

uint64_t
active_published(const struct active *active)
{
    return atomic_load_explicit(&active->head->published,
                                memory_order_acquire);
}

uint64_t
active_committed(const struct active *active)
{
    return atomic_load_explicit(&active->head->committed,
                                memory_order_acquire);
}

uint64_t
active_removals(const struct active *active)
{
    return atomic_load_explicit(&active->head->removals, memory_order_acquire);
}

struct message_key
active_key(const struct active *active)
{
    struct message_key key = {{0}};

    words_load(active->head->key, key.octets);
    return key;
}

void
active_durable(const struct active *active, uint32_t *segment_r,
               uint32_t *offset_r, uint64_t *sequence_r)
{
    uint64_t words[LATCH_WORDS];

    latch_read(&active->head->durable, words);
    *segment_r = (uint32_t)words[0];
    *offset_r = (uint32_t)words[1];
    *sequence_r = words[2];
}

/* --- writing --- */

/* What follows is stored with release, so whoever sees it sees this too; a
   writer that died here has left the number odd. */
static void
block_begin(struct active *active, uint32_t id)
{
    _Atomic uint64_t *block = &active->blocks[active_block(id)];

    atomic_store_explicit(
        block, atomic_load_explicit(block, memory_order_relaxed) | 1,
        memory_order_relaxed);
}

static void
block_end(struct active *active, uint32_t id)
{
    _Atomic uint64_t *block = &active->blocks[active_block(id)];

    atomic_store_explicit(
        block, atomic_load_explicit(block, memory_order_relaxed) + 1,
        memory_order_release);
}

/* Put text into *place unless it is there already.  -1: the heap is full. */
static int
put_text(struct active *active, _Atomic uint64_t *place, const char *octets,
         size_t length)
{
    struct head *head = active->head;
    uint64_t offset = atomic_load_explicit(place, memory_order_relaxed);
    uint64_t used;
    struct text *text;

    if (offset != 0 && active_text(active, offset)->octets == length
        && memcmp(active_text(active, offset)->text, octets, length) == 0)
        return 0;
    used = atomic_load_explicit(&head->heap_used, memory_order_relaxed);
    if (length > UINT32_MAX
        || sizeof(*text) + length + 1 > head->octets - used)
        return -1;
    text = (struct text *)((char *)head + used);
    text->octets = (uint32_t)length;
    memcpy(text->text, octets, length);
    text->text[length] = '\0';
    /* First take the room, then show the text: a writer that dies between
       the two wastes it, in the other order the next one would write over a
       name that readers have. */
    offset = used;
    used = (used + sizeof(*text) + length + 1 + 7) & ~(uint64_t)7;
    if (used > head->octets)
        used = head->octets;
    atomic_store_explicit(&head->heap_used, used, memory_order_release);
    atomic_store_explicit(place, offset, memory_order_release);
    return 0;
}

/* Is id the next free one, or an old one of this name? */
static int
check_id(const struct active *active, uint32_t id, const char *name,
         size_t octets, struct buffer *why)
{
    uint32_t count = active_count(active);
    size_t old_octets;
    const char *old;

    if (id < 1 || id > active->head->groups_max)
        return why_set(
            why, "no room for group %.*s: the table holds %llu groups",
            (int)octets, name, (unsigned long long)active->head->groups_max);
    if (id > count + 1)
        return why_set(why, "group %.*s has id %u, but the next is %u",
                       (int)octets, name, (unsigned)id, (unsigned)(count + 1));
    if (id == count + 1)
        return 0;
    old = active_name(active, id, &old_octets);
    if (old_octets != octets || memcmp(old, name, octets) != 0)
        return why_set(why, "group %.*s has the id of %s: %u", (int)octets,
                       name, old, (unsigned)id);
    return 0;
}

/* What follows is stored with release, so this is seen before it. */
static void
raise_published(struct active *active)
{
    atomic_fetch_add_explicit(&active->head->published, 1,
                              memory_order_relaxed);
}

static void
set_marks(struct active *active, uint32_t id, const struct group_marks *marks)
{
    raise_published(active);
    latch_write(&active_slot(active, id)->marks,
                (uint64_t[]){marks->low, marks->high, marks->count});
}

int
active_set(struct active *active, uint32_t id, const char *name, size_t octets,
           char flag, uint32_t alias, int64_t created, const char *creator,
           const char *description, struct buffer *why)
{
    struct head *head = active->head;
    struct slot *slot;
    bool new;

    if (check_id(active, id, name, octets, why) < 0)
        return -1;
    slot = active_slot(active, id);
    new = id == active_count(active) + 1;
    block_begin(active, id);
    if (put_text(active, &slot->name, name, octets) < 0
        || put_text(active, &slot->creator, creator, strlen(creator)) < 0
        || put_text(active, &slot->description, description,
                    strlen(description))
               < 0) {
        block_end(active, id);
        return why_set(why, "no room for the texts of group %s", name);
    }
    atomic_store_explicit(&slot->created, created, memory_order_relaxed);
    if (new) {
        set_marks(active, id, &(struct group_marks){1, 0, 0});
        atomic_store_explicit(active_bucket(active, name, octets), id,
                              memory_order_release);
    }
    atomic_store_explicit(&slot->flag_alias,
                          (uint64_t)(unsigned char)flag << 32 | alias,
                          memory_order_release);
    if (new)
        atomic_store_explicit(&head->count, id, memory_order_release);
    block_end(active, id);
    return 0;
}

void
active_set_marks(struct active *active, uint32_t id,
                 const struct group_marks *marks)
{
    block_begin(active, id);
    set_marks(active, id, marks);
    block_end(active, id);
}

void
active_set_committed(struct active *active, uint64_t sequence)
{
    raise_published(active);
    atomic_store_explicit(&active->head->committed, sequence,
                          memory_order_release);
}

void
active_note_removal(struct active *active)
{
    raise_published(active);
    atomic_fetch_add(&active->head->removals, 1);
}

void
active_set_key(struct active *active, const struct message_key *key)
{
    words_store(active->head->key, key->octets);
}

void
active_set_durable(struct active *active, uint32_t segment, uint32_t offset,
                   uint64_t sequence)
{
    latch_write(&active->head->durable,
                (uint64_t[]){segment, offset, sequence});
}

/* --- recent message-IDs --- */

/* The hash is keyed with a secret: any of its octets are as good. */
static struct known_set *
known_set(const struct active *active, const struct message_hash *hash)
{
    uint32_t place;

    memcpy(&place, hash->octets, sizeof(place));
    return &active->known[place % ACTIVE_KNOWN_SETS];
}

static bool
known_is(const struct known *known, const struct message_hash *hash)
{
    struct message_hash there = {{0}};

    words_load(known->hash, there.octets);
    return memcmp(&there, hash, sizeof(there)) == 0;
}

static void
known_write(struct known *known, const struct message_hash *hash,
            uint64_t sequence, const struct token *token)
{
    uint32_t version =
        atomic_load_explicit(&known->version, memory_order_relaxed);

    /* Odd while we write, wherever a dead writer left it. */
    version |= 1;
    atomic_store_explicit(&known->version, version, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    words_store(known->hash, hash->octets);
    words_store(known->token, token);
    atomic_store_explicit(&known->sequence, sequence, memory_order_relaxed);
    atomic_store_explicit(&known->version, version + 1, memory_order_release);
}

/* The place of this article, or of the oldest in its set; an empty one, of
   sequence 0, is the oldest of all. */
static struct known *
known_victim(struct known_set *set, const struct message_hash *hash)
{
    struct known *victim = &set->ways[0];

    for (size_t i = 0; i < ACTIVE_KNOWN_WAYS; i++) {
        struct known *known = &set->ways[i];

        if (known_is(known, hash))
            return known;
        if (atomic_load_explicit(&known->sequence, memory_order_relaxed)
            < atomic_load_explicit(&victim->sequence, memory_order_relaxed))
            victim = known;
    }
    return victim;
}

void
active_known_put(struct active *active, const struct message_hash *hash,
                 uint64_t sequence, const struct token *token)
{
    known_write(known_victim(known_set(active, hash), hash), hash, sequence,
                token);
}

void
active_known_drop(struct active *active, const struct message_hash *hash)
{
    struct known_set *set = known_set(active, hash);

    for (size_t i = 0; i < ACTIVE_KNOWN_WAYS; i++)
        if (known_is(&set->ways[i], hash))
            known_write(&set->ways[i], hash, 0, &(struct token){0});
}

static bool
known_read(const struct known *known, const struct message_hash *hash,
           uint64_t *sequence_r, struct token *token_r)
{
    struct token token;
    uint64_t sequence;
    uint32_t version =
        atomic_load_explicit(&known->version, memory_order_acquire);

    /* An entry that is being written says nothing: the asker goes to the
       writer, which is cheaper than to wait here for a dead one. */
    if (version & 1 || !known_is(known, hash))
        return false;
    words_load(known->token, &token);
    sequence = atomic_load_explicit(&known->sequence, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&known->version, memory_order_relaxed) != version
        || sequence == 0)
        return false;
    *sequence_r = sequence;
    *token_r = token;
    return true;
}

bool
active_known_find(const struct active *active, const struct message_hash *hash,
                  uint64_t *sequence_r, struct token *token_r)
{
    const struct known_set *set = known_set(active, hash);

    for (size_t i = 0; i < ACTIVE_KNOWN_WAYS; i++)
        if (known_read(&set->ways[i], hash, sequence_r, token_r))
            return true;
    return false;
}
