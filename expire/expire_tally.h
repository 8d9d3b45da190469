/*
 * expire_tally -- what an expire run has done, or in a dry run would do, in
 * all and by newsgroup.
 *
 * It adds up: read = expired + kept + unreadable; and in each group the
 * articles that were there = expired + kept, of those that were read.
 */
#ifndef EXPIRE_EXPIRE_TALLY_H
#define EXPIRE_EXPIRE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct active;

struct tally_group {
    uint64_t expired;
    uint64_t kept;
};

struct tally {
    uint64_t expired; /* articles that the last of their groups let go of */
    uint64_t kept;
    uint64_t unreadable;
    uint64_t partly; /* of those kept: have left a group, not the last one */
    struct tally_group *groups; /* by id; owned */
    size_t size;
    uint64_t segments_removed;
    uint64_t segments_compacted;
    uint64_t forgotten; /* IDs whose time was over */
};

struct tally_group *tally_group(struct tally *tally, uint32_t group);
/* By group where something expires, then in all; to standard output. */
void tally_print(const struct tally *tally, const struct active *active,
                 bool dry_run, double seconds);
void tally_free(struct tally *tally);

#endif
