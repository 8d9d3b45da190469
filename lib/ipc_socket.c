/* Messages without an event loop: of tools, and of a process that begins. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/ipc.h"
#include "lib/ipc_private.h"
#include "lib/memory.h"

enum {
    LISTEN_BACKLOG = 64,
    FRAME_MS_MAX = 30000, /* from a frame's first octet to its last */
};

int
ipc_write(int fd, enum ipc_type type, const struct iovec *pieces, int count,
          struct buffer *why)
{
    static const char zeroes[IPC_ALIGNMENT];
    struct ipc_head head = {.type = (uint16_t)type};
    struct buffer frame = BUFFER_EMPTY;
    size_t octets = 0;
    int result = 0;

    buffer_append(&frame, &head, sizeof(head));
    for (int i = 0; i < count; i++) {
        buffer_append(&frame, pieces[i].iov_base, pieces[i].iov_len);
        octets += pieces[i].iov_len;
    }
    buffer_append(&frame, zeroes, ipc_padding(octets));
    head.payload_octets = (uint32_t)octets;
    memcpy(frame.data, &head, sizeof(head));
    for (size_t done = 0; done < frame.used;) {
        ssize_t sent =
            send(fd, frame.data + done, frame.used - done, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            result = why_set_errno(why, "connection to the server");
            break;
        }
        done += (size_t)sent;
    }
    buffer_free(&frame);
    return result;
}

/*
 * As recv(), but a descriptor that comes along goes to *fd_r, which must be
 * -1 for that; any other is closed.
 */
static ssize_t
recv_descriptor(int fd, char *octets, size_t length, int *fd_r)
{
    union {
        char octets[CMSG_SPACE(DESCRIPTORS_PER_MESSAGE * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec piece = {octets, length};
    struct msghdr message = {
        .msg_iov = &piece,
        .msg_iovlen = 1,
        .msg_control = control.octets,
        .msg_controllen = sizeof(control.octets),
    };
    ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

    if (got < 0)
        return got;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head != NULL;
         head = CMSG_NXTHDR(&message, head)) {
        int fds[DESCRIPTORS_PER_MESSAGE];
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        memcpy(fds, CMSG_DATA(head), count * sizeof(int));
        for (size_t i = 0; i < count; i++) {
            if (*fd_r < 0)
                *fd_r = fds[i];
            else
                close(fds[i]);
        }
    }
    return got;
}

/* 1: got all of them, 0: the deadline has passed, -1: why. */
static int
read_octets(int fd, char *octets, size_t length, int64_t deadline, int *fd_r,
            struct buffer *why)
{
    while (length > 0) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - clock_ms();
        int ready = poll(&waiting, 1, left < 0 ? 0 : (int)left);
        ssize_t got;

        if (ready == 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return why_set_errno(why, "connection to the server: poll");
        if (ready < 0)
            continue;
        got = recv_descriptor(fd, octets, length, fd_r);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return why_set_errno(why, "connection to the server");
        if (got == 0)
            return why_set(why, "the server has closed the connection");
        octets += got;
        length -= (size_t)got;
    }
    return 1;
}

/* The rest of a frame whose head has come. */
static int
read_payload(int fd, const struct ipc_head *head, struct buffer *payload,
             int64_t deadline, int *fd_r, struct buffer *why)
{
    size_t octets = head->payload_octets + ipc_padding(head->payload_octets);
    int result;

    if (head->payload_octets > IPC_PAYLOAD_MAX || head->descriptor > 1)
        return why_set(why, "the server has sent nonsense");
    result = read_octets(fd, buffer_reserve(payload, octets), octets, deadline,
                         fd_r, why);
    if (result < 0)
        return -1;
    if (result == 0)
        return why_set(why, "the server has stopped within a message");
    if (head->descriptor != (*fd_r >= 0 ? 1 : 0))
        return why_set(why, "the server has sent a message %s a descriptor",
                       head->descriptor ? "without" : "with");
    payload->used = head->payload_octets;
    payload->data[payload->used] = '\0';
    return 1;
}

int
ipc_read(int fd, enum ipc_type *type_r, struct buffer *payload,
         int *descriptor_r, int timeout_ms, struct buffer *why)
{
    struct ipc_head head = {0};
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    int64_t deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
    int descriptor = -1;
    int result;

    buffer_clear(payload);
    /* The caller's time counts until a frame begins: to give up within one
       would lose its place in the stream. */
    do {
        int64_t left = deadline < 0 ? -1 : deadline - clock_ms();

        result = poll(&waiting, 1, left < 0 && deadline >= 0 ? 0 : (int)left);
    } while (result < 0 && errno == EINTR);
    if (result < 0)
        return why_set_errno(why, "connection to the server: poll");
    if (result == 0)
        return 0;
    deadline = clock_ms() + FRAME_MS_MAX;
    result = read_octets(fd, (char *)&head, sizeof(head), deadline,
                         &descriptor, why);
    if (result == 0)
        result = why_set(why, "the server has stopped within a message");
    if (result > 0)
        result = read_payload(fd, &head, payload, deadline, &descriptor, why);
    if (result > 0 && descriptor_r != NULL) {
        *descriptor_r = descriptor;
        descriptor = -1;
    }
    if (descriptor >= 0)
        close(descriptor);
    if (result > 0)
        *type_r = head.type;
    return result;
}

static int
hello_exchange(int fd, struct buffer *why)
{
    struct ipc_hello hello = {IPC_VERSION, (uint32_t)getpid()};
    struct iovec piece = {&hello, sizeof(hello)};
    struct buffer payload = BUFFER_EMPTY;
    enum ipc_type type = 0;
    int result;

    if (ipc_write(fd, IPC_HELLO, &piece, 1, why) < 0)
        return -1;
    result = ipc_read(fd, &type, &payload, NULL, -1, why);
    if (result > 0) {
        if (type != IPC_HELLO || payload.used != sizeof(hello))
            result = why_set(why, "the server has sent nonsense");
        else if (memcpy(&hello, payload.data, sizeof(hello)),
                 hello.version != IPC_VERSION)
            result =
                why_set(why, "the server speaks version %" PRIu32 ", not %d",
                        hello.version, IPC_VERSION);
    }
    buffer_free(&payload);
    return result > 0 ? 0 : -1;
}

/*
 * The address of a socket.  A path too long for it is reached through its
 * directory's descriptor, *directory_r, which the caller closes after use.
 */
static int
address_make(const char *path, struct sockaddr_un *address, int *directory_r,
             struct buffer *why)
{
    const char *slash = strrchr(path, '/');
    char *directory;

    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    *directory_r = -1;
    if (strlen(path) < sizeof(address->sun_path)) {
        memcpy(address->sun_path, path, strlen(path));
        return 0;
    }
    if (slash == NULL || strlen(slash) > 64) {
        errno = ENAMETOOLONG;
        return why_set_errno(why, "%s", path);
    }
    directory = xmemdup(path, (size_t)(slash - path));
    *directory_r = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    if (*directory_r < 0)
        return why_set_errno(why, "%s", path);
    snprintf(address->sun_path, sizeof(address->sun_path),
             "/proc/self/fd/%d%s", *directory_r, slash);
    return 0;
}

/* Close fd and directory (-1: none) and give errno back as it was. */
static int
socket_failed(int fd, int directory, struct buffer *why, const char *path)
{
    int error = errno;

    (void)why_set_errno(why, "%s", path); /* always -1, as we return */
    if (directory >= 0)
        close(directory);
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

int
ipc_connect(const char *path, struct buffer *why)
{
    struct sockaddr_un address;
    int directory;
    int fd;

    if (address_make(path, &address, &directory, why) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0
        || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return socket_failed(fd, directory, why, path);
    if (directory >= 0)
        close(directory);
    if (hello_exchange(fd, why) < 0) {
        close(fd);
        errno = EPROTO;
        return -1;
    }
    return fd;
}

int
ipc_listen(const char *path, struct buffer *why)
{
    struct sockaddr_un address;
    mode_t mask;
    int directory;
    int bound;
    int fd;

    if (address_make(path, &address, &directory, why) < 0)
        return -1;
    if (unlink(path) < 0 && errno != ENOENT)
        return socket_failed(-1, directory, why, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return socket_failed(fd, directory, why, path);
    /* Never, not for a moment, open to more than owner and group. */
    mask = umask(0117);
    bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (bound < 0 || listen(fd, LISTEN_BACKLOG) < 0)
        return socket_failed(fd, directory, why, path);
    if (directory >= 0)
        close(directory);
    return fd;
}
