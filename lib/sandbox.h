/*
 * sandbox -- what a process may still do after it has opened what it needs.
 *
 * One table of roles: no_new_privs, no core files for key holders, Landlock
 * paths (a worker reads spool and overview and writes nothing).  Where the
 * kernel has no Landlock a warning is logged once, and the process goes on.
 */
#ifndef LIB_SANDBOX_H
#define LIB_SANDBOX_H

struct config;

enum sandbox_role {
    SANDBOX_WRITER,
    SANDBOX_NNRPD,
    SANDBOX_FEEDER,
    SANDBOX_AUTH,
    SANDBOX_BRIDGE,
};

/* Irrevocable.  Dies when the system refuses what the role must give up. */
void sandbox_enter(enum sandbox_role role, const struct config *config);

#endif
