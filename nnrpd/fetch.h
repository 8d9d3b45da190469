/*
 * fetch -- find one article, by number or message-ID, and read its record,
 * without waiting.
 *
 * By number: the overview says its message-ID and where it lies.  By ID: the
 * shared table of recent IDs, else the writer.  Then the record is read from
 * the spool; where compaction has moved it, the overview knows its new place.
 *
 * func is called once, perhaps before the call that began it returns (which is
 * NULL then).
 */
#ifndef NNRPD_FETCH_H
#define NNRPD_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/token.h"

struct fetch;
struct spooled;
struct worker;

enum fetch_status {
    FETCH_FOUND,
    FETCH_ABSENT, /* 423, 430: never there, or gone */
    FETCH_FAILED, /* 403: cannot be told at present */
};

struct fetch_result {
    enum fetch_status status;
    uint64_t number;         /* by number; else 0 */
    const char *message_id;  /* borrowed; "" where only a token was given */
    struct spooled *spooled; /* borrowed: hold it to keep it; NULL when no
                                record was asked for */
};
typedef void fetch_func(void *context, const struct fetch_result *result);

struct fetch *fetch_by_number(struct worker *worker, uint32_t group,
                              uint64_t number, bool record, fetch_func *func,
                              void *context);
struct fetch *fetch_by_message_id(struct worker *worker, const char *id,
                                  bool record, fetch_func *func,
                                  void *context);
struct fetch *fetch_by_token(struct worker *worker, const struct token *token,
                             uint64_t sequence, fetch_func *func,
                             void *context);
/* The asker is gone.  Sets *fetch to NULL; forgetting NULL does nothing. */
void fetch_forget(struct fetch **fetch);

#endif
