/*
 * sandbox -- what a process may still do after it has opened what it needs.
 *
 * One table of roles: no_new_privs, no core files for key holders, Landlock
 * paths (a worker reads spool and overview and writes nothing), system calls
 * (lib/sandbox_calls.h).  Where the kernel has no Landlock a warning is logged
 * once, and the process goes on.  The one exception is moderation, which runs
 * the site's mail program: what that needs (a set-group-ID, its spool) cannot
 * be given back to it.
 */
#ifndef LIB_SANDBOX_H
#define LIB_SANDBOX_H

struct config;

enum sandbox_role {
    SANDBOX_WRITER,
    SANDBOX_NNRPD,
    SANDBOX_FEEDER,
    SANDBOX_AUTH,
    SANDBOX_OUTSIDE,
    SANDBOX_BRIDGE,
    SANDBOX_MODERATION,
};

/* Irrevocable.  Dies when the system refuses what the role must give up. */
void sandbox_enter(enum sandbox_role role, const struct config *config);

#endif
