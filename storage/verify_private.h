/*
 * verify, from inside: verify.c finds what may be wrong, verify_suspects.c
 * looks at it again and reports.
 */
#ifndef STORAGE_VERIFY_PRIVATE_H
#define STORAGE_VERIFY_PRIVATE_H

#include "lib/buffer.h"
#include "storage/inventory.h"
#include "storage/overview.h"
#include "storage/verify.h"

/* Something that may be wrong, by what it can be looked up by. */
enum suspect_kind { SUSPECT_ENTRY, SUSPECT_LINE, SUSPECT_ARTICLE };
struct suspect {
    enum suspect_kind kind;
    union {
        struct message_hash hash;
        struct {
            uint64_t number;
            uint32_t group;
        } line;
        uint64_t sequence;
    } key;
};

struct verification {
    struct verify *verify;
    struct inventory *inventory;
    struct suspect *suspects;
    size_t count, size;
    /* lines of a group whose records are lost, by id */
    uint32_t *lost_lines;
    uint32_t lost_groups;
    struct lost {
        uint64_t sequence;
        uint32_t segment; /* where an index says that it lies */
    } * lost;             /* articles whose records are not in the log */
    size_t lost_count, lost_size;
    struct progress *progress;
    struct buffer place, found, expected; /* of a finding */
};

/* --- verify.c --- */

/* Read what the log has become since, where a writer goes on. */
int verify_extend(struct verification *verification, struct buffer *why);
/* Is this the line of that article? */
bool verify_line_is(const struct overview_line *line,
                    const struct inventory_article *article);
/* Has the log no record of an article that an index knows, and that is not a
   new one? */
bool verify_is_lost(const struct verification *verification, uint64_t sequence,
                    uint64_t applied);
bool verify_entry_is(const struct history_entry *entry,
                     const struct inventory_id *id);
bool verify_stops(const struct verification *verification, struct buffer *why);
/* Report what stands in place, found and expected, which are empty then;
   mend: NULL when no step puts it right. */
void verify_report(struct verification *verification, enum verify_kind kind,
                   const struct mend_step *mend);

/* --- verify_suspects.c --- */

int verify_suspects(struct verification *verification, struct buffer *why);
/* Groups, counts and marks. */
int verify_groups(struct verification *verification, struct buffer *why);

#endif
