/*
 * tools -- the writer's socket for programs that run beside a server.
 */
#ifndef EXPIRE_TOOLS_H
#define EXPIRE_TOOLS_H

#include <stdbool.h>

struct active;
struct buffer;
struct config;

/* Is a server there, be it that its writer is just being replaced? */
bool tools_server_runs(const struct config *config);
/*
 * Connect to its writer.  Returns a descriptor for ipc_read() and ipc_write(),
 * and the groups as that writer shows them, which the caller closes; -1 with
 * why.
 */
int tools_connect(const struct config *config, struct active **active_r,
                  struct buffer *why);
/* The same, trying for 30 s: one writer may be gone and the next not ready. */
int tools_connect_patiently(const struct config *config,
                            struct active **active_r, struct buffer *why);

#endif
