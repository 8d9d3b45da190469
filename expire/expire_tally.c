#include "expire/expire_tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "storage/active.h"

struct tally_group *
tally_group(struct tally *tally, uint32_t group)
{
    if (group >= tally->size) {
        size_t size = (size_t)group + 64 + group / 2;

        tally->groups =
            xreallocarray(tally->groups, size, sizeof(*tally->groups));
        memset(tally->groups + tally->size, 0,
               (size - tally->size) * sizeof(*tally->groups));
        tally->size = size;
    }
    return &tally->groups[group];
}

void
tally_print(const struct tally *tally, const struct active *active,
            bool dry_run, double seconds)
{
    uint64_t read = tally->expired + tally->kept + tally->unreadable;

    for (uint32_t id = 1; id < tally->size && id <= active_count(active);
         id++) {
        const struct tally_group *group = &tally->groups[id];

        if (group->expired > 0)
            printf("    %10" PRIu64 " of %10" PRIu64 "  %s\n", group->expired,
                   group->expired + group->kept,
                   active_name(active, id, NULL));
    }
    printf("%-12s %10" PRIu64 "   in %.1f s, %.0f/s\n", "read", read, seconds,
           seconds > 0 ? (double)read / seconds : 0);
    printf("%-12s %10" PRIu64 "%s\n", "expired", tally->expired,
           dry_run ? "   (dry run: nothing was removed)" : "");
    printf("%-12s %10" PRIu64 "\n", "kept", tally->kept);
    if (tally->partly > 0)
        printf("    %10" PRIu64 "  of them left a newsgroup, not the last\n",
               tally->partly);
    printf("%-12s %10" PRIu64 "\n", "unreadable", tally->unreadable);
    if (!dry_run)
        printf("%-12s %10" PRIu64 " IDs\n", "forgotten", tally->forgotten);
    if (!dry_run)
        printf("%-12s %10" PRIu64 " removed, %" PRIu64 " compacted\n",
               "segments", tally->segments_removed, tally->segments_compacted);
    fflush(stdout);
}

void
tally_free(struct tally *tally)
{
    free(tally->groups);
    tally->groups = NULL;
    tally->size = 0;
}
