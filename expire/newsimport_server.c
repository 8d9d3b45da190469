/* The target of newsimport while a server runs: its writer's tools socket. */

#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "expire/newsimport_target.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"

enum {
    REOPEN_PAUSE_NS = 100000000,
    REOPEN_TRIES = 300, /* 30 s */
    HELLO_TIMEOUT_MS = 10 * 1000,
};

/* Articles count from 1; a command that is not done yet is no article. */
#define COMMAND_COOKIE UINT64_MAX

struct target {
    struct target_base base; /* first */
    char *path;              /* of the tools socket */
    int fd;                  /* -1: lost */
    struct buffer frame;     /* the last one read */
    bool replied;            /* to the command */
    struct ipc_reply reply;
    struct buffer reply_text;
};

static char *
socket_path(const struct config *config, const char *name)
{
    return xasprintf("%s/%s", config->pathrun, name);
}

bool
target_server_runs(const struct config *config)
{
    static const char *const names[] = {"tools", "control"};
    bool runs = false;

    /* While a writer is being replaced the master alone answers. */
    for (size_t i = 0; i < 2 && !runs; i++) {
        char *path = socket_path(config, names[i]);
        int fd = ipc_connect(path, NULL);

        runs = fd >= 0;
        if (fd >= 0)
            close(fd);
        free(path);
    }
    return runs;
}

static int
server_lose(struct target *target)
{
    if (target->fd >= 0)
        close(target->fd);
    target->fd = -1;
    target->base.lost = true;
    return -1;
}

/* Behind the hello comes the table of groups. */
static int
active_receive(struct target *target, struct buffer *why)
{
    enum ipc_type type = 0;
    int descriptor = -1;
    struct active *active = NULL;
    int result = ipc_read(target->fd, &type, &target->frame, &descriptor,
                          HELLO_TIMEOUT_MS, why);

    if (result > 0 && type == IPC_ACTIVE && descriptor >= 0)
        active = active_map(descriptor, false, why);
    else if (result >= 0)
        why_set(why, "%s: the writer does not show its groups", target->path);
    if (descriptor >= 0)
        close(descriptor);
    if (active == NULL)
        return -1;
    if (target->base.active != NULL)
        active_close(&target->base.active);
    target->base.active = active;
    return 0;
}

static int
server_connect(struct target *target, struct buffer *why)
{
    target->fd = ipc_connect(target->path, why);
    if (target->fd < 0 || active_receive(target, why) < 0)
        return server_lose(target);
    target->base.lost = false;
    return 0;
}

static int
server_reopen(struct target *target, struct buffer *why)
{
    static const struct timespec pause = {.tv_nsec = REOPEN_PAUSE_NS};

    for (int i = 0; i < REOPEN_TRIES; i++) {
        if (server_connect(target, why) == 0)
            return 0;
        nanosleep(&pause, NULL);
    }
    return -1;
}

static int
server_submit(struct target *target, const void *payload, size_t octets,
              struct buffer *why)
{
    struct iovec piece = {(void *)payload, octets};

    if (target->fd < 0
        || ipc_write(target->fd, IPC_ARTICLE, &piece, 1, why) < 0)
        return server_lose(target);
    return 0;
}

static int
outcome_take(struct target *target, struct buffer *why)
{
    struct ipc_outcome outcome;

    if (target->frame.used < sizeof(outcome))
        return why_set(why, "the writer has sent half an outcome");
    memcpy(&outcome, target->frame.data, sizeof(outcome));
    target->base.outcome(target->base.context, outcome.cookie, outcome.outcome,
                         target->frame.data + sizeof(outcome));
    return 0;
}

static int
reply_take(struct target *target, struct buffer *why)
{
    if (target->frame.used < sizeof(target->reply))
        return why_set(why, "the writer has sent half a reply");
    memcpy(&target->reply, target->frame.data, sizeof(target->reply));
    buffer_clear(&target->reply_text);
    buffer_append(&target->reply_text,
                  target->frame.data + sizeof(target->reply),
                  target->frame.used - sizeof(target->reply));
    target->replied = true;
    return 0;
}

static int
server_wait(struct target *target, int timeout_ms, struct buffer *why)
{
    enum ipc_type type = 0;
    int result = target->fd < 0 ? -1
                                : ipc_read(target->fd, &type, &target->frame,
                                           NULL, timeout_ms, why);

    if (result == 0)
        return 0;
    if (result > 0 && type == IPC_OUTCOME)
        result = outcome_take(target, why);
    else if (result > 0 && type == IPC_REPLY)
        result = reply_take(target, why);
    else if (result > 0)
        result = why_set(why, "the writer has sent a message of type %d",
                         (int)type);
    return result < 0 ? server_lose(target) : 0;
}

static int
server_newgroup(struct target *target, const char *name, struct buffer *why)
{
    const char *const words[] = {"newgroup", name, "y", "newsimport"};
    struct buffer command = BUFFER_EMPTY;
    struct iovec piece;
    int result;

    ipc_command_build(&command, COMMAND_COOKIE, 4, words);
    piece = (struct iovec){command.data, command.used};
    target->replied = false;
    result = target->fd < 0
                 ? -1
                 : ipc_write(target->fd, IPC_COMMAND, &piece, 1, why);
    buffer_free(&command);
    if (result < 0)
        return server_lose(target);
    while (!target->replied)
        if (server_wait(target, -1, why) < 0)
            return -1;
    if (target->reply.status != 0)
        return why_set(why, "%s", buffer_text(&target->reply_text));
    return 0;
}

static void
server_close(struct target *target)
{
    (void)server_lose(target); /* always -1 */
    if (target->base.active != NULL)
        active_close(&target->base.active);
    buffer_free(&target->frame);
    buffer_free(&target->reply_text);
    free(target->path);
    free(target);
}

static const struct target_ops server_ops = {
    server_submit, server_wait, server_newgroup, server_reopen, server_close,
};

struct target *
target_server_open(const struct config *config, struct buffer *why)
{
    struct target *target = xcalloc(1, sizeof(*target));

    target->base.ops = &server_ops;
    target->path = socket_path(config, "tools");
    target->fd = -1;
    if (server_reopen(target, why) < 0) {
        server_close(target);
        return NULL;
    }
    return target;
}
