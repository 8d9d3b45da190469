/*
 * newsimport_summary -- what became of all that was read.  It adds up: read =
 * stored + duplicate + refused + unreadable + undecided.
 */
#ifndef EXPIRE_NEWSIMPORT_SUMMARY_H
#define EXPIRE_NEWSIMPORT_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SUMMARY_REASONS = 32 };

struct summary_reason {
    char *text; /* owned; numbers in it made "N" */
    uint64_t count;
};

struct summary {
    uint64_t read;
    uint64_t stored;
    uint64_t duplicate;
    uint64_t refused;
    uint64_t unreadable;
    uint64_t groups_created;
    struct summary_reason reasons[SUMMARY_REASONS]; /* of refusals; what finds
                                                       no room is in others */
    size_t reason_count;
    uint64_t others;
    uint64_t told; /* complaints printed so far */
    bool quiet;    /* print none of them */
};

/* Count it, and complain on standard error unless there were many. */
void summary_refused(struct summary *summary, const char *name,
                     const char *why);
void summary_unreadable(struct summary *summary, const char *name,
                        const char *why);
/* On standard output. */
void summary_print(const struct summary *summary, double seconds);
void summary_free(struct summary *summary);

#endif
