/*
 * mend -- what is to be put right in the history and the overview, a step at a
 * time: what newsstore check --repair sends to whoever may write.
 *
 * A step changes the indices alone, never the log, and nothing on the say-so
 * of who sends it: what it puts it takes from the record in the spool, and
 * what has changed since it was decided is left as it is.  So it does no harm
 * late, or twice.
 */
#ifndef STORAGE_MEND_H
#define STORAGE_MEND_H

#include <stdint.h>

#include "lib/message_id.h"
#include "lib/token.h"

enum { MEND_STEPS_MAX = 256 }; /* in one batch */

enum mend_kind {
    MEND_NOTHING = 0,
    MEND_ENTRY,        /* the history's entry of a hash */
    MEND_ENTRY_DROP,   /* there should be none: that of this sequence goes */
    MEND_ARTICLE,      /* lines and place of the article of this record */
    MEND_ARTICLE_DROP, /* it has none: sequence */
    MEND_LINE_DROP,    /* sequence is not filed in group as number */
    MEND_GROUP,        /* count and marks; number: the low mark is not below */
};

/* Zeroes where a kind needs no more. */
struct mend_step {
    uint32_t kind; /* enum mend_kind */
    uint32_t group;
    uint64_t number;
    uint64_t sequence;
    struct token token;
    struct message_hash hash;
    int64_t until; /* of an entry that has no token */
    uint32_t fate; /* enum history_fate */
    uint32_t zero;
};
_Static_assert(sizeof(struct mend_step) == 72, "payload");

#endif
