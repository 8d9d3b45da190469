/*
 * Messages: whatever a process sends, the receiver's handlers see only what
 * their table allows, the connection ends at most once, and no descriptor is
 * left.  The first octet says how often a descriptor goes along; the rest is
 * what is sent, with a hello in front unless its lowest bit says otherwise.
 */
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

enum { OCTETS_MAX = 64 * 1024 };

static struct ipc *receiver;
static int ended;
static unsigned heard;

static void
hear(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    const char *words[4];
    unsigned sum = 0;

    (void)context;
    heard++;
    for (size_t i = 0; i < frame->octets; i++)
        sum += ((const uint8_t *)frame->payload)[i];
    if (frame->type == IPC_COMMAND && ipc_command_words(frame, words, 4) > 0)
        sum += (unsigned)strlen(words[0]);
    if ((frame->descriptor >= 0) != (frame->type == IPC_CLIENT))
        abort();
    if (frame->descriptor >= 0)
        close(frame->descriptor);
    if (sum % 64 == 63)
        ipc_free(&receiver);
    else if (sum % 64 == 62)
        ipc_pause(ipc);
    else
        ipc_send(ipc, IPC_DRAIN, NULL, 0, -1);
}

static void
hear_end(void *context, struct ipc *ipc, const char *why)
{
    (void)context;
    (void)ipc;
    if (strlen(why) == 0 || ++ended > 1)
        abort();
}

static const struct ipc_handler handlers[] = {
    {IPC_DRAIN, 0, true, false, hear},
    {IPC_COMMAND, sizeof(struct ipc_command), false, false, hear},
    {IPC_CLIENT, sizeof(struct ipc_client), true, true, hear},
    {IPC_REPLY, sizeof(struct ipc_reply), false, false, hear},
};

static void
send_piece(int fd, const uint8_t *octets, size_t length, bool descriptor)
{
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
    struct iovec piece = {(void *)(uintptr_t)octets, length};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    if (descriptor) {
        struct cmsghdr *head;
        int standard_error = STDERR_FILENO;

        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &standard_error, sizeof(int));
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* the receiver has had enough */
}

int
LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    static struct event_base *base;
    struct {
        struct ipc_head head;
        struct ipc_hello hello;
    } hello = {{sizeof(struct ipc_hello), IPC_HELLO, 0}, {IPC_VERSION, 1}};
    int pair[2];
    int probe;
    int probe_after;

    if (length == 0 || length > OCTETS_MAX)
        return 0;
    if (base == NULL)
        base = event_base_new();
    probe = dup(STDERR_FILENO);
    close(probe);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        abort();
    ended = 0;
    receiver = ipc_new(base, pair[0], handlers,
                       sizeof(handlers) / sizeof(handlers[0]), hear_end, NULL);
    if (octets[0] % 2 == 0)
        send_piece(pair[1], (const uint8_t *)&hello, sizeof(hello), false);
    for (size_t at = 1, i = 0; at < length; i++) {
        size_t piece = 1 + octets[0] * (i % 3 + 1);

        if (piece > length - at)
            piece = length - at;
        send_piece(pair[1], octets + at, piece, octets[0] % 5 == i % 5);
        event_base_loop(base, EVLOOP_NONBLOCK);
        at += piece;
    }
    if (receiver != NULL)
        ipc_resume(receiver);
    event_base_loop(base, EVLOOP_NONBLOCK);
    close(pair[1]);
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ipc_free(&receiver);
    /* The lowest free descriptor is the one it was. */
    probe_after = dup(STDERR_FILENO);
    close(probe_after);
    if (probe_after != probe)
        abort();
    return 0;
}
