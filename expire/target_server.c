/* The target while a server runs: its writer's tools socket. */

#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

#include "expire/target.h"
#include "expire/tools.h"
#include "lib/buffer.h"
#include "lib/ipc.h"
#include "lib/memory.h"
#include "storage/active.h"

/* Articles count from 1; a command that is not done yet is no article. */
#define COMMAND_COOKIE UINT64_MAX

struct target {
    struct target_base base;     /* first */
    const struct config *config; /* borrowed */
    struct active **former;      /* owned: what base.active was before */
    size_t former_count;
    int fd;              /* -1: lost */
    struct buffer frame; /* the last one read */
    bool replied;        /* to the command */
    struct ipc_reply reply;
    struct buffer reply_text;
};

static int
server_lose(struct target *target)
{
    if (target->fd >= 0)
        close(target->fd);
    target->fd = -1;
    target->base.lost = true;
    return -1;
}

static int
server_reopen(struct target *target, struct buffer *why)
{
    struct active *active = NULL;

    target->fd = tools_connect_patiently(target->config, &active, why);
    if (target->fd < 0)
        return server_lose(target);
    /* A new writer of the same master goes on with the same memory, so what
       was given is not out of date; whoever has it keeps it. */
    if (target->base.active != NULL) {
        target->former = xreallocarray(
            target->former, target->former_count + 1, sizeof(*target->former));
        target->former[target->former_count++] = target->base.active;
    }
    target->base.active = active;
    target->base.lost = false;
    return 0;
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

/* Send what an IPC_REPLY answers, and wait for that. */
static int
server_ask(struct target *target, enum ipc_type type,
           const struct iovec *pieces, int count, struct buffer *why)
{
    target->replied = false;
    if (target->fd < 0 || ipc_write(target->fd, type, pieces, count, why) < 0)
        return server_lose(target);
    while (!target->replied)
        if (server_wait(target, -1, why) < 0)
            return -1;
    if (target->reply.status != 0)
        return why_set(why, "%s", buffer_text(&target->reply_text));
    return 0;
}

static int
server_command(struct target *target, int words, const char *const *word,
               struct buffer *text, struct buffer *why)
{
    struct buffer command = BUFFER_EMPTY;
    struct iovec piece;
    int result;

    ipc_command_build(&command, COMMAND_COOKIE, words, word);
    piece = (struct iovec){command.data, command.used};
    result = server_ask(target, IPC_COMMAND, &piece, 1, why);
    buffer_free(&command);
    if (result == 0) {
        buffer_clear(text);
        buffer_append_text(text, buffer_text(&target->reply_text));
    }
    return result;
}

static int
server_expire(struct target *target, const void *octets, size_t length,
              struct buffer *why)
{
    struct ipc_expire head = {.cookie = COMMAND_COOKIE};
    const struct iovec pieces[] = {{&head, sizeof(head)},
                                   {(void *)(uintptr_t)octets, length}};

    return server_ask(target, IPC_EXPIRE, pieces, 2, why);
}

static int
server_mend(struct target *target, const void *octets, size_t length,
            struct buffer *why)
{
    struct ipc_mend head = {.cookie = COMMAND_COOKIE};
    const struct iovec pieces[] = {{&head, sizeof(head)},
                                   {(void *)(uintptr_t)octets, length}};

    return server_ask(target, IPC_MEND, pieces, 2, why);
}

static void
server_close(struct target *target)
{
    (void)server_lose(target); /* always -1 */
    for (size_t i = 0; i < target->former_count; i++)
        active_close(&target->former[i]);
    free(target->former);
    if (target->base.active != NULL)
        active_close(&target->base.active);
    buffer_free(&target->frame);
    buffer_free(&target->reply_text);
    free(target);
}

static const struct target_ops server_ops = {
    server_submit, server_wait,   server_command, server_expire,
    server_mend,   server_reopen, server_close,
};

struct target *
target_server_open(const struct config *config, struct buffer *why)
{
    struct target *target = xcalloc(1, sizeof(*target));

    target->base.ops = &server_ops;
    target->config = config;
    target->fd = -1;
    if (server_reopen(target, why) < 0) {
        server_close(target);
        return NULL;
    }
    return target;
}
