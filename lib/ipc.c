#include "lib/ipc.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/ipc_private.h"
#include "lib/log.h"
#include "lib/memory.h"

enum {
    READ_OCTETS = 128 * 1024,       /* asked of the socket at once */
    INPUT_KEPT_OCTETS = 512 * 1024, /* a larger input buffer is given back */
    READS_PER_TURN = 8,             /* then the other sockets get their turn */
    WRITE_PIECES = 32,
    DESCRIPTORS_WAITING_MAX = 16, /* received, their frame not yet complete */
    TOO_MANY_IN_FLIGHT_MS = 10,
};

/* A descriptor that leaves with the octet at this place of the stream. */
struct outgoing {
    uint64_t place;
    int fd;
    struct outgoing *next;
};

struct ipc {
    struct event_base *base;
    int fd;
    const struct ipc_handler *handlers;
    size_t handler_count;
    ipc_closed_func *closed;
    void *context;
    struct event *readable;
    struct event *writable;
    struct event *again; /* a turn later: go on where a pause stopped us */

    char *input; /* malloc aligns it, padding keeps each frame aligned */
    size_t input_used;
    size_t input_size;
    size_t input_done; /* octets of it that handlers have had */
    int waiting[DESCRIPTORS_WAITING_MAX]; /* received, in order */
    size_t waiting_count;

    struct evbuffer *output;
    uint64_t sent;   /* octets that the socket has taken */
    uint64_t queued; /* octets ever put in output */
    struct outgoing *outgoing;
    struct outgoing **outgoing_end;

    unsigned busy; /* depth of our own callbacks: free later */
    bool hello;    /* the other end's has come */
    bool paused;
    bool mute;  /* it takes nothing more; what it sent is still read */
    bool ended; /* closed() has been called */
    bool freed; /* ipc_free() has been called while busy */
};

static void
outgoing_drop(struct ipc *ipc)
{
    struct outgoing *first = ipc->outgoing;

    ipc->outgoing = first->next;
    if (ipc->outgoing == NULL)
        ipc->outgoing_end = &ipc->outgoing;
    close(first->fd);
    free(first);
}

static void
output_drop(struct ipc *ipc)
{
    ipc->mute = true;
    event_del(ipc->writable);
    evbuffer_drain(ipc->output, evbuffer_get_length(ipc->output));
    while (ipc->outgoing != NULL)
        outgoing_drop(ipc);
}

static void
ipc_release(struct ipc *ipc)
{
    event_free(ipc->readable);
    output_drop(ipc);
    event_free(ipc->writable);
    event_free(ipc->again);
    evbuffer_free(ipc->output);
    for (size_t i = 0; i < ipc->waiting_count; i++)
        close(ipc->waiting[i]);
    free(ipc->input);
    close(ipc->fd);
    free(ipc);
}

static void
ipc_end(struct ipc *ipc, const char *why)
{
    if (ipc->ended || ipc->freed)
        return;
    ipc->ended = true;
    event_del(ipc->readable);
    event_del(ipc->again);
    output_drop(ipc);
    ipc->closed(ipc->context, ipc, why);
}

static void ipc_failed(struct ipc *ipc, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
ipc_failed(struct ipc *ipc, const char *format, ...)
{
    struct buffer why = BUFFER_EMPTY;
    va_list args;

    va_start(args, format);
    buffer_append_vformat(&why, format, args);
    va_end(args);
    ipc_end(ipc, buffer_text(&why));
    buffer_free(&why);
}

/* --- receiving --- */

/*
 * Take the descriptors out of a received message.  One is what a frame may
 * carry; more in one message are a surplus and closed.
 */
static int
descriptors_take(struct ipc *ipc, struct msghdr *message)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control != NULL;
         control = CMSG_NXTHDR(message, control)) {
        size_t count;
        int fds[DESCRIPTORS_PER_MESSAGE];

        if (control->cmsg_level != SOL_SOCKET
            || control->cmsg_type != SCM_RIGHTS)
            continue;
        count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        assert(count <= DESCRIPTORS_PER_MESSAGE);
        memcpy(fds, CMSG_DATA(control), count * sizeof(int));
        for (size_t i = 0; i < count; i++) {
            if (i == 0 && ipc->waiting_count < DESCRIPTORS_WAITING_MAX)
                ipc->waiting[ipc->waiting_count++] = fds[i];
            else
                close(fds[i]);
        }
    }
    if ((message->msg_flags & MSG_CTRUNC) != 0
        || ipc->waiting_count == DESCRIPTORS_WAITING_MAX) {
        ipc_failed(ipc, "too many descriptors");
        return -1;
    }
    return 0;
}

/* A descriptor that no frame asked for is closed. */
static void
descriptors_close_surplus(struct ipc *ipc)
{
    if (ipc->input_used == ipc->input_done)
        while (ipc->waiting_count > 0)
            close(ipc->waiting[--ipc->waiting_count]);
}

static int
descriptor_next(struct ipc *ipc)
{
    int fd = ipc->waiting[0];

    ipc->waiting_count--;
    memmove(ipc->waiting, ipc->waiting + 1,
            ipc->waiting_count * sizeof(ipc->waiting[0]));
    return fd;
}

static const struct ipc_handler hello_handler = {
    IPC_HELLO, sizeof(struct ipc_hello), true, false, NULL};

/* The row for a type, NULL when it is not one that may come now. */
static const struct ipc_handler *
handler_find(const struct ipc *ipc, unsigned type)
{
    if (!ipc->hello)
        return type == IPC_HELLO ? &hello_handler : NULL;
    for (size_t i = 0; i < ipc->handler_count; i++)
        if (ipc->handlers[i].type == type)
            return &ipc->handlers[i];
    return NULL;
}

/* The row for a frame, or NULL after the connection was ended. */
static const struct ipc_handler *
head_check(struct ipc *ipc, const struct ipc_head *head)
{
    const struct ipc_handler *handler = handler_find(ipc, head->type);
    uint32_t octets = head->payload_octets;

    if (handler == NULL) {
        ipc_failed(ipc, "message of type %u is not understood%s", head->type,
                   ipc->hello ? "" : " before hello");
    } else if (octets > IPC_PAYLOAD_MAX || octets < handler->octets_min
               || (handler->exact && octets != handler->octets_min)) {
        ipc_failed(ipc, "message of type %u has %" PRIu32 " octets",
                   head->type, octets);
        handler = NULL;
    } else if (head->descriptor != (handler->descriptor ? 1 : 0)) {
        ipc_failed(ipc, "message of type %u %s a descriptor", head->type,
                   handler->descriptor ? "has not" : "has");
        handler = NULL;
    }
    return handler;
}

static void
hello_take(struct ipc *ipc, const struct ipc_hello *hello)
{
    if (hello->version == IPC_VERSION)
        ipc->hello = true;
    else
        ipc_failed(ipc, "speaks version %" PRIu32 ", not %d", hello->version,
                   IPC_VERSION);
}

/* Hand over one complete frame that lies at input_done. */
static void
frame_take(struct ipc *ipc, const struct ipc_handler *handler,
           const struct ipc_head *head)
{
    struct ipc_frame frame = {
        .type = handler->type,
        .payload = ipc->input + ipc->input_done + sizeof(*head),
        .octets = head->payload_octets,
        .descriptor = -1,
    };

    ipc->input_done += sizeof(*head) + head->payload_octets
                       + ipc_padding(head->payload_octets);
    if (handler->descriptor) {
        if (ipc->waiting_count == 0) {
            ipc_failed(ipc, "message of type %u came without its descriptor",
                       head->type);
            return;
        }
        frame.descriptor = descriptor_next(ipc);
    }
    if (handler == &hello_handler)
        hello_take(ipc, frame.payload);
    else
        handler->handle(ipc->context, ipc, &frame);
}

static bool
ipc_is_open(const struct ipc *ipc)
{
    return !ipc->ended && !ipc->freed;
}

/* Hand over what is complete; forget it. */
static void
input_take(struct ipc *ipc)
{
    while (ipc_is_open(ipc) && !ipc->paused) {
        size_t left = ipc->input_used - ipc->input_done;
        struct ipc_head head;
        const struct ipc_handler *handler;

        if (left < sizeof(head))
            break;
        memcpy(&head, ipc->input + ipc->input_done, sizeof(head));
        handler = head_check(ipc, &head);
        if (handler == NULL)
            return;
        if (left - sizeof(head)
            < head.payload_octets + ipc_padding(head.payload_octets))
            break;
        frame_take(ipc, handler, &head);
    }
    descriptors_close_surplus(ipc);
    if (ipc->input_done > 0) {
        ipc->input_used -= ipc->input_done;
        memmove(ipc->input, ipc->input + ipc->input_done, ipc->input_used);
        ipc->input_done = 0;
    }
    if (ipc->input_used == 0 && ipc->input_size > INPUT_KEPT_OCTETS) {
        free(ipc->input);
        ipc->input = NULL;
        ipc->input_size = 0;
    }
}

/*
 * Room for what comes next.  It doubles rather than believing the head: a
 * frame that claims to be long costs its sender that many octets first.
 */
static void
input_reserve(struct ipc *ipc)
{
    if (ipc->input_size - ipc->input_used >= READ_OCTETS / 2)
        return;
    ipc->input_size = ipc->input_size == 0 ? READ_OCTETS : ipc->input_size * 2;
    ipc->input = xrealloc(ipc->input, ipc->input_size);
}

/* One recvmsg.  True when there may be more to read at once. */
static bool
input_read(struct ipc *ipc)
{
    union {
        char octets[CMSG_SPACE(DESCRIPTORS_PER_MESSAGE * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec piece;
    struct msghdr message = {
        .msg_iov = &piece,
        .msg_iovlen = 1,
        .msg_control = control.octets,
        .msg_controllen = sizeof(control.octets),
    };
    ssize_t got;

    input_reserve(ipc);
    piece.iov_base = ipc->input + ipc->input_used;
    piece.iov_len = ipc->input_size - ipc->input_used;
    got = recvmsg(ipc->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR)
            ipc_failed(ipc, "cannot be read: %s", strerror(errno));
        return false;
    }
    if (got == 0) {
        ipc_end(ipc, ipc->input_used > 0 ? "ended within a message" : "ended");
        return false;
    }
    ipc->input_used += (size_t)got;
    if (descriptors_take(ipc, &message) < 0)
        return false;
    /* A message with a descriptor ends the read however much follows it. */
    return (size_t)got == piece.iov_len || message.msg_controllen > 0;
}

static void
ipc_leave(struct ipc *ipc)
{
    ipc->busy--;
    if (ipc->busy == 0 && ipc->freed)
        ipc_release(ipc);
}

static void
on_readable(evutil_socket_t fd, short what, void *context)
{
    struct ipc *ipc = context;

    (void)fd;
    (void)what;
    ipc->busy++;
    for (int i = 0; i < READS_PER_TURN; i++) {
        bool more = input_read(ipc);

        if (ipc_is_open(ipc))
            input_take(ipc);
        if (!more || !ipc_is_open(ipc) || ipc->paused)
            break;
    }
    ipc_leave(ipc);
}

static void
on_again(evutil_socket_t fd, short what, void *context)
{
    struct ipc *ipc = context;

    (void)fd;
    (void)what;
    ipc->busy++;
    if (ipc_is_open(ipc) && !ipc->mute && evbuffer_get_length(ipc->output) > 0)
        event_add(ipc->writable, NULL);
    if (ipc_is_open(ipc) && !ipc->paused) {
        event_add(ipc->readable, NULL);
        input_take(ipc);
    }
    ipc_leave(ipc);
}

static void
again_soon(struct ipc *ipc, int ms)
{
    struct timeval delay = {.tv_usec = (suseconds_t)ms * 1000};

    event_add(ipc->again, &delay);
}

void
ipc_pause(struct ipc *ipc)
{
    ipc->paused = true;
    event_del(ipc->readable);
}

void
ipc_resume(struct ipc *ipc)
{
    if (!ipc->paused || !ipc_is_open(ipc))
        return;
    ipc->paused = false;
    again_soon(ipc, 0);
}

/* --- sending --- */

/* How many octets may leave now: up to the next descriptor's frame, so that
   each descriptor begins a message of its own. */
static size_t
output_room(const struct ipc *ipc, int *fd_r)
{
    size_t length = evbuffer_get_length(ipc->output);
    const struct outgoing *next = ipc->outgoing;

    *fd_r = -1;
    if (next != NULL && next->place == ipc->sent) {
        *fd_r = next->fd;
        next = next->next;
    }
    if (next != NULL && next->place - ipc->sent < length)
        length = (size_t)(next->place - ipc->sent);
    return length;
}

static void
descriptor_attach(struct msghdr *message, int fd, void *control, size_t size)
{
    struct cmsghdr *head;

    memset(control, 0, size);
    message->msg_control = control;
    message->msg_controllen = size;
    head = CMSG_FIRSTHDR(message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(int));
}

/* One sendmsg; what sendmsg returned. */
static ssize_t
output_send(struct ipc *ipc)
{
    union {
        char octets[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct evbuffer_iovec pieces[WRITE_PIECES];
    struct msghdr message = {0};
    int fd;
    size_t room = output_room(ipc, &fd);
    int count =
        evbuffer_peek(ipc->output, (ssize_t)room, NULL, pieces, WRITE_PIECES);
    size_t octets = 0;

    if (count > WRITE_PIECES)
        count = WRITE_PIECES;
    for (int i = 0; i < count; i++) {
        if (pieces[i].iov_len > room - octets)
            pieces[i].iov_len = room - octets;
        octets += pieces[i].iov_len;
    }
    message.msg_iov = (struct iovec *)pieces;
    message.msg_iovlen = (size_t)count;
    if (fd >= 0)
        descriptor_attach(&message, fd, control.octets,
                          sizeof(control.octets));
    return sendmsg(ipc->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * The socket took what it could; wait for room, or, where the system holds
 * too many descriptors in flight, for a moment.
 */
static void
output_failed(struct ipc *ipc)
{
    if (errno == EAGAIN) {
        event_add(ipc->writable, NULL);
    } else if (errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM) {
        again_soon(ipc, TOO_MANY_IN_FLIGHT_MS);
    } else {
        /*
         * The other end is gone, but what it said before may still wait to be
         * read; the end of that tells our owner.
         */
        output_drop(ipc);
    }
}

static void
on_writable(evutil_socket_t fd, short what, void *context)
{
    struct ipc *ipc = context;

    (void)fd;
    (void)what;
    while (!ipc->mute && evbuffer_get_length(ipc->output) > 0) {
        ssize_t sent = output_send(ipc);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            output_failed(ipc);
            return;
        }
        if (ipc->outgoing != NULL && ipc->outgoing->place == ipc->sent)
            outgoing_drop(ipc);
        evbuffer_drain(ipc->output, (size_t)sent);
        ipc->sent += (uint64_t)sent;
    }
}

void
ipc_sendv(struct ipc *ipc, enum ipc_type type, const struct iovec *pieces,
          int count, int descriptor)
{
    static const char zeroes[IPC_ALIGNMENT];
    struct ipc_head head = {
        .type = (uint16_t)type,
        .descriptor = descriptor >= 0,
    };
    size_t octets = 0;
    bool idle = evbuffer_get_length(ipc->output) == 0;

    for (int i = 0; i < count; i++)
        octets += pieces[i].iov_len;
    assert(octets <= IPC_PAYLOAD_MAX);
    if (ipc->mute || !ipc_is_open(ipc)) {
        if (descriptor >= 0)
            close(descriptor);
        return;
    }
    if (descriptor >= 0) {
        struct outgoing *outgoing = xcalloc(1, sizeof(*outgoing));

        outgoing->place = ipc->queued;
        outgoing->fd = descriptor;
        *ipc->outgoing_end = outgoing;
        ipc->outgoing_end = &outgoing->next;
    }
    head.payload_octets = (uint32_t)octets;
    evbuffer_add(ipc->output, &head, sizeof(head));
    for (int i = 0; i < count; i++)
        evbuffer_add(ipc->output, pieces[i].iov_base, pieces[i].iov_len);
    evbuffer_add(ipc->output, zeroes, ipc_padding(octets));
    ipc->queued += sizeof(head) + octets + ipc_padding(octets);
    /* Runs behind what the loop still has to do in this turn. */
    if (idle)
        event_active(ipc->writable, EV_WRITE, 0);
}

void
ipc_send(struct ipc *ipc, enum ipc_type type, const void *payload,
         size_t octets, int descriptor)
{
    struct iovec piece = {(void *)(uintptr_t)payload, octets};

    ipc_sendv(ipc, type, &piece, 1, descriptor);
}

static void
secret_free(const void *octets, size_t length, void *context)
{
    (void)octets; /* the same as context, but const */
    explicit_bzero(context, length);
    free(context);
}

void
ipc_send_secret(struct ipc *ipc, enum ipc_type type, const void *payload,
                size_t octets)
{
    struct ipc_head head = {
        .payload_octets = (uint32_t)octets,
        .type = (uint16_t)type,
    };
    size_t length = sizeof(head) + octets + ipc_padding(octets);
    bool idle = evbuffer_get_length(ipc->output) == 0;
    char *frame;

    assert(octets <= IPC_PAYLOAD_MAX);
    if (ipc->mute || !ipc_is_open(ipc))
        return;
    frame = xcalloc(1, length);
    memcpy(frame, &head, sizeof(head));
    memcpy(frame + sizeof(head), payload, octets);
    if (evbuffer_add_reference(ipc->output, frame, length, secret_free, frame)
        < 0)
        die(EXIT_TEMPORARY, "out of memory: output of a connection");
    ipc->queued += length;
    if (idle)
        event_active(ipc->writable, EV_WRITE, 0);
}

size_t
ipc_queued(const struct ipc *ipc)
{
    return evbuffer_get_length(ipc->output);
}

/* --- opening and closing --- */

static struct event *
event_make(struct ipc *ipc, int fd, short what, event_callback_fn function)
{
    struct event *event = event_new(ipc->base, fd, what, function, ipc);

    if (event == NULL)
        die(EXIT_TEMPORARY, "out of memory: event of a connection");
    return event;
}

struct ipc *
ipc_new(struct event_base *base, int fd, const struct ipc_handler *handlers,
        size_t handler_count, ipc_closed_func *closed, void *context)
{
    struct ipc *ipc = xcalloc(1, sizeof(*ipc));
    struct ipc_hello hello = {IPC_VERSION, (uint32_t)getpid()};

    ipc->base = base;
    ipc->fd = fd;
    ipc->handlers = handlers;
    ipc->handler_count = handler_count;
    ipc->closed = closed;
    ipc->context = context;
    ipc->outgoing_end = &ipc->outgoing;
    ipc->output = evbuffer_new();
    if (ipc->output == NULL)
        die(EXIT_TEMPORARY, "out of memory: output of a connection");
    ipc->readable = event_make(ipc, fd, EV_READ | EV_PERSIST, on_readable);
    ipc->writable = event_make(ipc, fd, EV_WRITE, on_writable);
    ipc->again = event_make(ipc, -1, 0, on_again);
    event_add(ipc->readable, NULL);
    ipc_send(ipc, IPC_HELLO, &hello, sizeof(hello), -1);
    return ipc;
}

void
ipc_free(struct ipc **ipc)
{
    struct ipc *old = *ipc;

    *ipc = NULL;
    if (old == NULL)
        return;
    old->freed = true;
    if (old->busy == 0) {
        ipc_release(old);
        return;
    }
    /* Within a handler of its own: quiet now, released when that returns. */
    event_del(old->readable);
    event_del(old->again);
    output_drop(old);
}

bool
ipc_peer(const struct ipc *ipc, uint32_t *uid_r, uint32_t *pid_r)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);

    if (getsockopt(ipc->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
        return false;
    *uid_r = credentials.uid;
    *pid_r = (uint32_t)credentials.pid;
    return true;
}
