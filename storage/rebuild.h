/*
 * rebuild -- history and overview made anew from the spool alone, with the
 * same article numbers; for a tool while no server runs.
 *
 * The new ones are made beside the old ones, in PATHDB/rebuild and
 * PATHOVERVIEW/rebuild, as a start makes indices that are missing, and put in
 * the place of the old ones when they are complete.  (In PostgreSQL there is
 * no second overview: its tables are emptied first.)
 *
 * What was interrupted, by whatever, is gone on with by the next call, unless
 * a segment has left the spool meanwhile; then it begins again.
 */
#ifndef STORAGE_REBUILD_H
#define STORAGE_REBUILD_H

#include <signal.h>
#include <stdbool.h>

struct buffer;
struct config;

/* interrupted: set by a signal, ends it.  0, or -1 with why. */
int rebuild(const struct config *config, bool quiet,
            const volatile sig_atomic_t *interrupted, struct buffer *why);

#endif
