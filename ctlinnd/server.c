#include "ctlinnd/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"

enum { COOKIE = 1 };

/* Send the words, wait for the reply; the exit status. */
static int
talk(int fd, int words, const char *const *word, int timeout_ms,
     struct buffer *answer)
{
    struct buffer payload = BUFFER_EMPTY;
    struct ipc_reply reply = {.status = EXIT_TEMPORARY};
    enum ipc_type type = 0;
    struct iovec piece;
    int got;

    ipc_command_build(&payload, COOKIE, words, word);
    piece.iov_base = payload.data;
    piece.iov_len = payload.used;
    got = ipc_write(fd, IPC_COMMAND, &piece, 1, answer);
    if (got == 0)
        got = ipc_read(fd, &type, &payload, NULL, timeout_ms, answer);
    if (got == 0) {
        (void)why_set(answer, "no answer in %d s", timeout_ms / 1000);
    } else if (got > 0
               && (type != IPC_REPLY || payload.used < sizeof(reply))) {
        (void)why_set(answer, "the server has sent nonsense");
    } else if (got > 0) {
        memcpy(&reply, payload.data, sizeof(reply));
        buffer_clear(answer);
        buffer_append(answer, payload.data + sizeof(reply),
                      payload.used - sizeof(reply));
    }
    buffer_free(&payload);
    return (int)reply.status;
}

int
server_ask(const struct config *config, int words, const char *const *word,
           int timeout_ms, struct buffer *answer)
{
    char *path = xasprintf("%s/control", config->pathrun);
    int fd = ipc_connect(path, answer);
    int error = errno;
    int status;

    free(path);
    if (fd < 0 && (error == ENOENT || error == ECONNREFUSED))
        return SERVER_NOT_RUNNING;
    if (fd < 0)
        return error == EACCES ? EXIT_PERMISSION : EXIT_TEMPORARY;
    status = talk(fd, words, word, timeout_ms, answer);
    close(fd);
    return status;
}
