/*
 * overview_recent -- the rows of `recent` in a reader's memory.
 *
 * Rows come in order of sequence at the end and go at the beginning, when
 * they have been folded; a row is found by its sequence, and by group and
 * number.  Lines lie in chunks that are freed as their rows go.
 */
#ifndef STORAGE_OVERVIEW_RECENT_H
#define STORAGE_OVERVIEW_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/token.h"

struct overview_recent;
struct record_group;

struct recent_row {
    uint64_t sequence;
    int64_t arrival;
    struct token token;
    const char *line; /* without number and CRLF; NULL: removed */
    uint32_t line_octets;
    uint32_t group_count;
    const struct record_group *groups; /* of the row when it was added */
};

/* A number of a group and where its row is; both ascend. */
struct recent_number {
    uint64_t number;
    uint64_t ordinal; /* for overview_recent_row() */
};

struct overview_recent *overview_recent_new(void);
void overview_recent_free(struct overview_recent **recent);

/* Add a row behind the last one: row's line and groups are copied. */
void overview_recent_add(struct overview_recent *recent,
                         const struct recent_row *row);
/* Let go of all rows whose sequence is lower. */
void overview_recent_drop_below(struct overview_recent *recent,
                                uint64_t sequence);
/* An article has left these groups, or, with last, is gone. */
void overview_recent_remove(struct overview_recent *recent, uint64_t sequence,
                            const struct record_group *groups,
                            size_t group_count, bool last);

/* The numbers of a group, ascending; NULL and 0 when there are none. */
const struct recent_number *
overview_recent_numbers(const struct overview_recent *recent, uint32_t group,
                        size_t *count_r);
/* The row of a number found just now. */
const struct recent_row *
overview_recent_row(const struct overview_recent *recent, uint64_t ordinal);
/* The rows from the first whose sequence is at least this one. */
const struct recent_row *
overview_recent_since(const struct overview_recent *recent, uint64_t sequence,
                      size_t *count_r);
/* The octets that rows and lines take. */
size_t overview_recent_octets(const struct overview_recent *recent);

#endif
