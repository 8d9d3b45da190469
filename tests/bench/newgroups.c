/*
 * newgroups -- make many newsgroups: newgroups CONTROL < NAMES
 *
 * Says "newgroup NAME" to the server at the control socket CONTROL for each
 * line of its input, as ctlinnd does, but with many on the way at once: fifty
 * thousand groups take some seconds, where as many ctlinnds take minutes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/ipc.h"
#include "lib/log.h"

enum { ON_THE_WAY = 500, ANSWER_MS = 60 * 1000 };

static void
group_ask(int fd, const char *name)
{
    const char *const words[] = {"newgroup", name, "y", "bench"};
    struct buffer payload = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;
    struct iovec piece;

    ipc_command_build(&payload, 0, sizeof words / sizeof words[0], words);
    piece.iov_base = payload.data;
    piece.iov_len = payload.used;
    if (ipc_write(fd, IPC_COMMAND, &piece, 1, &why) < 0)
        die(EXIT_TEMPORARY, "newgroup %s: %s", name, buffer_text(&why));
    buffer_free(&payload);
}

static void
answer_take(int fd)
{
    struct buffer payload = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;
    struct ipc_reply reply;
    enum ipc_type type = 0;
    int got = ipc_read(fd, &type, &payload, NULL, ANSWER_MS, &why);

    if (got <= 0)
        die(EXIT_TEMPORARY, "%s", got == 0 ? "no answer" : buffer_text(&why));
    if (type != IPC_REPLY || payload.used < sizeof reply)
        die(EXIT_TEMPORARY, "the server has sent nonsense");
    memcpy(&reply, payload.data, sizeof reply);
    if (reply.status != 0)
        die(EXIT_TEMPORARY, "%s", buffer_text(&payload) + sizeof reply);
    buffer_free(&payload);
}

int
main(int argc, char **argv)
{
    struct buffer why = BUFFER_EMPTY;
    char *name = NULL;
    size_t size = 0;
    unsigned on_the_way = 0;
    int fd;

    if (argc != 2)
        die(EXIT_USAGE, "usage: newgroups CONTROL < NAMES");
    fd = ipc_connect(argv[1], &why);
    if (fd < 0)
        die(EXIT_TEMPORARY, "%s", buffer_text(&why));
    while (getline(&name, &size, stdin) > 0) {
        name[strcspn(name, "\n")] = '\0';
        group_ask(fd, name);
        if (++on_the_way > ON_THE_WAY) {
            answer_take(fd);
            on_the_way--;
        }
    }
    while (on_the_way-- > 0)
        answer_take(fd);
    free(name);
    return 0;
}
