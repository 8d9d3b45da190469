/*
 * child -- how a process of the server starts: what it inherits from the
 * master, at which descriptor.
 *
 * The master forks, puts exactly these descriptors in place, closes all
 * others, and executes the program with the role and its slot in argv.
 */
#ifndef LIB_CHILD_H
#define LIB_CHILD_H

#include <stdbool.h>
#include <stdint.h>

struct config;

enum {
    CHILD_CONTROL_FD = 3, /* socketpair with the master (lib/ipc.h) */
    CHILD_CONFIG_FD = 4,  /* sealed memfd (lib/config.h) */
    CHILD_SHARED_FD = 5,  /* lib/shared.h */
    CHILD_ACTIVE_FD = 6,  /* storage/active.h; read-only but for the writer */
    CHILD_FIRST_FREE_FD = 7, /* the writer: its listening tools socket */
};

/*
 * argv of every child: PROGRAM [--role=ROLE] --slot=N --worker=N
 * [--peer=NAME --since=SEQUENCE].  Returns 0, or -1 when these are not what
 * the master passes (somebody ran it by hand).
 */
struct child_arguments {
    const char *role; /* NULL for a program with one role only */
    unsigned slot;    /* in struct shared */
    unsigned worker;  /* which worker, from 0 */
    const char *peer; /* a feeder's; NULL for all others */
    uint64_t since;   /* a feeder's: where a new peer begins in the log */
};
int child_arguments_parse(struct child_arguments *arguments, int argc,
                          char **argv);

/*
 * The configuration that the process begins with, whose log_level holds from
 * now on.  Dies when it cannot be read.
 */
struct config *child_config_inherit(void);
/*
 * The same for the one that came with IPC_CONFIG, which takes the place of
 * *config; descriptor is closed.  False when it cannot be read: the old one
 * stays, and a warning says why.
 */
bool child_config_renew(struct config **config, int descriptor);

/* Set the process title shown by ps: "renews: nnrpd 2". */
void child_set_title(int argc, char **argv, const char *title);

#endif
