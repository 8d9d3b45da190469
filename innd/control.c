#include "innd/control.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/admin.h"
#include "lib/buffer.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"

enum {
    GROUPS_MAX = 1024,
    ASKED_WORDS_MAX = 128, /* a reason has many */
};

/* A ctlinnd. */
struct asker {
    struct control *control;
    struct ipc *ipc;
    TAILQ_ENTRY(asker) next;
};

/* What a child is asked, or will be when there is one. */
struct request {
    struct control *control;
    struct asker *asker; /* NULL: gone, nobody wants the answer */
    enum control_child child;
    uint64_t number; /* the child's cookie */
    uint64_t cookie; /* the asker's */
    bool sent;
    struct buffer payload;
    struct event *timeout;
    TAILQ_ENTRY(request) next;
};

TAILQ_HEAD(asker_list, asker);
TAILQ_HEAD(request_list, request);

struct control {
    struct event_base *base;
    int fd;
    int spare; /* for one asker when descriptors have run out; -1: given up */
    struct event *acceptable;
    struct event *again;                    /* accept again, after it failed */
    struct ipc *children[CONTROL_CHILDREN]; /* NULL: away */
    control_func *func;
    void *context;
    uint64_t number;
    size_t asker_count;
    struct asker_list askers;
    struct request_list requests;
};

static void
asker_answer(struct asker *asker, uint64_t cookie, uint32_t status,
             const char *text, size_t octets)
{
    struct ipc_reply reply = {.cookie = cookie, .status = status};
    struct iovec pieces[] = {
        {&reply, sizeof(reply)},
        {(void *)(uintptr_t)text, octets},
    };

    ipc_sendv(asker->ipc, IPC_REPLY, pieces, 2, -1);
}

/* --- asking a child --- */

static const char *const child_names[CONTROL_CHILDREN] = {
    [CONTROL_WRITER] = "writer",
    [CONTROL_AUTH] = "auth process",
};

static void
request_free(struct request *request)
{
    TAILQ_REMOVE(&request->control->requests, request, next);
    event_free(request->timeout);
    buffer_free(&request->payload);
    free(request);
}

static void
request_end(struct request *request, uint32_t status, const char *text,
            size_t octets)
{
    if (request->asker != NULL)
        asker_answer(request->asker, request->cookie, status, text, octets);
    request_free(request);
}

static void
request_fail(struct request *request, const char *what)
{
    char *text = xasprintf("The %s %s", child_names[request->child], what);

    request_end(request, 1, text, strlen(text));
    free(text);
}

static void
on_timeout(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    request_fail(context, "is away and did not come back in time; nothing was "
                          "done");
}

static void
request_send(struct request *request)
{
    ipc_send(request->control->children[request->child], IPC_COMMAND,
             request->payload.data, request->payload.used, -1);
    request->sent = true;
    event_del(request->timeout);
}

static void
request_make(struct asker *asker, uint64_t cookie, enum control_child child,
             int words, const char *const *word)
{
    static const struct timeval patience = {CONTROL_WAIT_SECONDS, 0};
    struct control *control = asker->control;
    struct request *request = xcalloc(1, sizeof(*request));

    request->control = control;
    request->asker = asker;
    request->child = child;
    request->cookie = cookie;
    request->number = ++control->number;
    ipc_command_build(&request->payload, request->number, words, word);
    request->timeout = evtimer_new(control->base, on_timeout, request);
    if (request->timeout == NULL)
        die(EXIT_TEMPORARY, "out of memory: request of ctlinnd");
    TAILQ_INSERT_TAIL(&control->requests, request, next);
    if (control->children[child] != NULL)
        request_send(request);
    else
        event_add(request->timeout, &patience);
}

void
control_set_child(struct control *control, enum control_child child,
                  struct ipc *ipc)
{
    struct request *request;
    struct request *next;

    control->children[child] = ipc;
    for (request = TAILQ_FIRST(&control->requests); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, next);
        if (request->child != child)
            continue;
        if (ipc != NULL && !request->sent)
            request_send(request);
        else if (ipc == NULL && request->sent)
            request_fail(request, "ended before it answered: this may be done "
                                  "or not; look, and ask again");
    }
}

void
control_child_reply(struct control *control, const struct ipc_frame *frame)
{
    const struct ipc_reply *reply = frame->payload;
    struct request *request = NULL;

    TAILQ_FOREACH (request, &control->requests, next) {
        if (request->number == reply->cookie && request->sent) {
            request_end(request, reply->status,
                        (const char *)frame->payload + sizeof(*reply),
                        frame->octets - sizeof(*reply));
            return;
        }
    }
}

/* --- askers --- */

/* One command, taken apart; a child answers later. */
static void
command_run(struct asker *asker, uint64_t cookie,
            const struct admin_word *what, int words, const char **word)
{
    struct control *control = asker->control;
    struct buffer answer = BUFFER_EMPTY;
    uint32_t status = EXIT_USAGE;

    if (!admin_takes_sent(what, words))
        admin_usage(what, &answer);
    else if (what->place == ADMIN_MASTER)
        status = control->func(control->context, what, words, word, &answer);
    else if (what->place == ADMIN_HERE)
        buffer_append_text(&answer, "no server is asked for that");
    else {
        buffer_free(&answer);
        request_make(asker, cookie,
                     what->place == ADMIN_STORE ? CONTROL_WRITER
                                                : CONTROL_AUTH,
                     words, word);
        return;
    }
    asker_answer(asker, cookie, status, buffer_text(&answer), answer.used);
    buffer_free(&answer);
}

static void
spare_open(struct control *control)
{
    if (control->spare < 0)
        control->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
asker_free(struct asker *asker)
{
    struct control *control = asker->control;
    struct request *request;

    TAILQ_FOREACH (request, &control->requests, next)
        if (request->asker == asker)
            request->asker = NULL;
    TAILQ_REMOVE(&control->askers, asker, next);
    control->asker_count--;
    ipc_free(&asker->ipc);
    free(asker);
    spare_open(control);
}

static void
on_command(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct asker *asker = context;
    const struct ipc_command *command = frame->payload;
    const char *word[ASKED_WORDS_MAX];
    int words = ipc_command_words(frame, word, ASKED_WORDS_MAX);
    const struct admin_word *what = words > 0 ? admin_find(word[0]) : NULL;
    struct buffer joined = BUFFER_EMPTY;

    (void)ipc;
    if (what == NULL) {
        static const char text[] = "No such command; try ctlinnd help";

        asker_answer(asker, command->cookie, EXIT_USAGE, text,
                     sizeof(text) - 1);
        return;
    }
    words = admin_join(what, words, word, &joined);
    command_run(asker, command->cookie, what, words, word);
    buffer_free(&joined);
}

static const struct ipc_handler asker_handlers[] = {
    {IPC_COMMAND, sizeof(struct ipc_command), false, false, on_command},
};

static void
on_asker_closed(void *context, struct ipc *ipc, const char *why)
{
    (void)ipc;
    if (strcmp(why, "ended") != 0)
        warn("control socket: %s", why);
    asker_free(context);
}

/* Is our group one of the groups that the other end has? */
static bool
peer_in_group(int fd, const struct ucred *peer)
{
    gid_t groups[GROUPS_MAX];
    socklen_t size = sizeof(groups);

    if (peer->gid == getegid())
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return false;
    for (size_t i = 0; i < size / sizeof(groups[0]); i++)
        if (groups[i] == getegid())
            return true;
    return false;
}

static bool
peer_may_ask(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    if (peer.uid == 0 || peer.uid == geteuid() || peer_in_group(fd, &peer))
        return true;
    warn("control socket: uid=%u may not ask", (unsigned)peer.uid);
    return false;
}

/*
 * When clients have taken all descriptors an admin must still be heard: the
 * spare one makes room for him.
 */
static int
asker_accept(struct control *control)
{
    int peer = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (peer >= 0 || (errno != EMFILE && errno != ENFILE)
        || control->spare < 0)
        return peer;
    close(control->spare);
    control->spare = -1;
    return accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void
on_acceptable(evutil_socket_t fd, short what, void *context)
{
    static const struct timeval pause = {1, 0};
    struct control *control = context;
    struct asker *asker;
    int peer = asker_accept(control);

    (void)fd;
    (void)what;
    if (peer < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return;
        /* The asker stays in the queue, and would call us without end. */
        syswarn("control socket: accept");
        event_del(control->acceptable);
        event_add(control->again, &pause);
        return;
    }
    if (control->asker_count >= CONTROL_ASKERS_MAX || !peer_may_ask(peer)) {
        close(peer);
        spare_open(control);
        return;
    }
    asker = xcalloc(1, sizeof(*asker));
    asker->control = control;
    TAILQ_INSERT_TAIL(&control->askers, asker, next);
    control->asker_count++;
    asker->ipc = ipc_new(control->base, peer, asker_handlers,
                         sizeof(asker_handlers) / sizeof(*asker_handlers),
                         on_asker_closed, asker);
}

static void
on_again(evutil_socket_t fd, short what, void *context)
{
    struct control *control = context;

    (void)fd;
    (void)what;
    event_add(control->acceptable, NULL);
}

struct control *
control_open(struct event_base *base, int fd, control_func *func,
             void *context)
{
    struct control *control = xcalloc(1, sizeof(*control));

    control->base = base;
    control->fd = fd;
    control->spare = -1;
    spare_open(control);
    control->func = func;
    control->context = context;
    TAILQ_INIT(&control->askers);
    TAILQ_INIT(&control->requests);
    control->acceptable =
        event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, control);
    control->again = evtimer_new(base, on_again, control);
    if (control->acceptable == NULL || control->again == NULL)
        die(EXIT_TEMPORARY, "out of memory: control socket");
    event_add(control->acceptable, NULL);
    return control;
}

void
control_close(struct control **control)
{
    struct control *old = *control;
    struct request *request;
    struct request *next_request;
    struct asker *asker;
    struct asker *next_asker;

    if (old == NULL)
        return;
    for (request = TAILQ_FIRST(&old->requests); request != NULL;
         request = next_request) {
        next_request = TAILQ_NEXT(request, next);
        request_free(request);
    }
    for (asker = TAILQ_FIRST(&old->askers); asker != NULL;
         asker = next_asker) {
        next_asker = TAILQ_NEXT(asker, next);
        asker_free(asker);
    }
    event_free(old->acceptable);
    event_free(old->again);
    if (old->spare >= 0)
        close(old->spare);
    close(old->fd);
    free(old);
    *control = NULL;
}
