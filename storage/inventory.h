/*
 * inventory -- what the log says should be in the history and the overview,
 * in memory: for who verifies them (storage/verify.h).
 *
 * Filled by a walk through the log, from its beginning and in order; may be
 * filled further later.  It takes up to 300 octets an article.
 *
 * An index stands at some sequence number, `applied`, while the log may go
 * further.  So a thing of the log can have to be in an index, may be in it
 * (what changed behind `applied` is either there already or not yet), or must
 * not be.
 */
#ifndef STORAGE_INVENTORY_H
#define STORAGE_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/history.h"
#include "storage/spool.h"

struct buffer;
struct inventory;

enum inventory_state { INVENTORY_NOT, INVENTORY_MAY, INVENTORY_MUST };

struct inventory_article {
    struct message_hash hash;
    uint64_t sequence;
    uint64_t removed; /* by the record of this sequence; 0: it is there */
    int64_t arrival;
    struct token token;
    uint32_t line_crc; /* crc32c of the overview line without its number */
    uint32_t line_octets;
    size_t places_at; /* of its first place, in the order of the log */
    uint32_t place_count;
    uint32_t zero;
};

struct inventory_place {
    uint32_t group;
    uint32_t number;
    uint32_t article; /* index */
    uint32_t zero;
    uint64_t removed; /* by the record of this sequence, alone or with its
                         article; 0: it is there */
};

/* What became of a message-ID, by one record. */
struct inventory_id {
    struct message_hash hash;
    uint64_t decided;  /* sequence of that record */
    uint64_t sequence; /* this and the rest as in struct history_entry */
    struct token token;
    int64_t until;
    uint32_t fate;   /* enum history_fate */
    bool remembered; /* by a RECORD_REMEMBER */
};

/* Of id index + 1; name NULL: the log says nothing of it. */
struct inventory_group {
    char *name;
    char flag;
    uint64_t low, high; /* the highest that any record says */
    uint64_t purged_to; /* it was removed when this was its high mark */
};

struct inventory *inventory_new(void);
void inventory_free(struct inventory **inventory);
/* A spool_walk_func; context is the inventory.  Records of types that are not
   known here are counted. */
int inventory_add(void *context, const struct record *record,
                  struct buffer *why);
/* After each walk, before anything is asked. */
void inventory_settle(struct inventory *inventory);

uint64_t inventory_last_sequence(const struct inventory *inventory);
uint64_t inventory_unknown(const struct inventory *inventory);

/* Articles ascending by sequence. */
size_t inventory_article_count(const struct inventory *inventory);
const struct inventory_article *
inventory_article(const struct inventory *inventory, size_t index);
/* NULL when the log has none of this sequence. */
const struct inventory_article *
inventory_find(const struct inventory *inventory, uint64_t sequence);
enum inventory_state
inventory_article_state(const struct inventory *inventory,
                        const struct inventory_article *article,
                        uint64_t applied);

/* Places ascending by group and number. */
size_t inventory_place_count(const struct inventory *inventory);
const struct inventory_place *
inventory_place(const struct inventory *inventory, size_t index);
/* The index of the first place that is not below. */
size_t inventory_place_from(const struct inventory *inventory, uint32_t group,
                            uint64_t number);
enum inventory_state inventory_place_state(const struct inventory *inventory,
                                           const struct inventory_place *place,
                                           uint64_t applied);

/* IDs ascending by hash, all records of one beside each other. */
size_t inventory_id_count(const struct inventory *inventory);
const struct inventory_id *inventory_id(const struct inventory *inventory,
                                        size_t index);
/* What decides of the ID at *index, which moves to the next one. */
const struct inventory_id *inventory_next_id(const struct inventory *inventory,
                                             size_t *index);
/* What decides of this ID; NULL when the log does not know it. */
const struct inventory_id *inventory_find_id(const struct inventory *inventory,
                                             const struct message_hash *hash);

uint32_t inventory_group_count(const struct inventory *inventory);
const struct inventory_group *
inventory_group(const struct inventory *inventory, uint32_t id);

#endif
