#include "expire/tools.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/memory.h"
#include "storage/active.h"

enum {
    CONNECT_PAUSE_NS = 100000000,
    CONNECT_TRIES = 300, /* 30 s */
    HELLO_TIMEOUT_MS = 10 * 1000,
};

static int
socket_connect(const struct config *config, const char *name,
               struct buffer *why)
{
    char *path = xasprintf("%s/%s", config->pathrun, name);
    int fd = ipc_connect(path, why);

    free(path);
    return fd;
}

bool
tools_server_runs(const struct config *config)
{
    static const char *const names[] = {"tools", "control"};
    bool runs = false;

    /* While a writer is being replaced the master alone answers. */
    for (size_t i = 0; i < 2 && !runs; i++) {
        int fd = socket_connect(config, names[i], NULL);

        runs = fd >= 0;
        if (fd >= 0)
            close(fd);
    }
    return runs;
}

/* Behind the hello comes the table of groups. */
static struct active *
active_receive(int fd, struct buffer *why)
{
    enum ipc_type type = 0;
    int descriptor = -1;
    struct buffer frame = BUFFER_EMPTY;
    struct active *active = NULL;
    int result =
        ipc_read(fd, &type, &frame, &descriptor, HELLO_TIMEOUT_MS, why);

    if (result > 0 && type == IPC_ACTIVE && descriptor >= 0)
        active = active_map(descriptor, false, why);
    else if (result >= 0)
        why_set(why, "the writer does not show its groups");
    if (descriptor >= 0)
        close(descriptor);
    buffer_free(&frame);
    return active;
}

int
tools_connect(const struct config *config, struct active **active_r,
              struct buffer *why)
{
    int fd = socket_connect(config, "tools", why);

    if (fd < 0)
        return -1;
    *active_r = active_receive(fd, why);
    if (*active_r != NULL)
        return fd;
    close(fd);
    return -1;
}

int
tools_connect_patiently(const struct config *config, struct active **active_r,
                        struct buffer *why)
{
    static const struct timespec pause = {.tv_nsec = CONNECT_PAUSE_NS};
    int fd = -1;

    for (int i = 0; i < CONNECT_TRIES && fd < 0; i++) {
        if (i > 0)
            nanosleep(&pause, NULL);
        fd = tools_connect(config, active_r, why);
    }
    return fd;
}
