#include "innd/local.h"

#include <errno.h>
#include <event2/event.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"

enum { ACCEPTS_PER_TURN = 16, ENTRY_OCTETS = 1024 };

/* With no descriptor left, others have to go before one more may come. */
static const struct timeval pause_time = {1, 0};

struct local {
    struct event *acceptable;
    struct event *later; /* after a pause; pending while it lasts */
    int fd;
    local_client_func *client;
    void *context;
};

/* The name is looked up here, where nothing is served: in a file, on most
   machines. */
static void
user_name(uid_t uid, char *name, size_t size)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char octets[ENTRY_OCTETS];

    if (getpwuid_r(uid, &entry, octets, sizeof(octets), &found) == 0
        && found != NULL
        && (size_t)snprintf(name, size, "local:%s", found->pw_name) < size)
        return;
    snprintf(name, size, "local:%lu", (unsigned long)uid);
}

/* False when there is none to take now. */
static bool
accept_one(struct local *local)
{
    struct local_user user = {0};
    struct ucred peer;
    socklen_t size = sizeof(peer);
    int fd = accept4(local->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        syswarn("local socket: accept");
        event_del(local->acceptable);
        event_add(local->later, &pause_time);
        return false;
    }
    if (fd < 0)
        return errno != EAGAIN;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
        syswarn("local socket: who has connected");
        close(fd);
        return true;
    }
    user_name(peer.uid, user.name, sizeof(user.name));
    user.trusted = peer.uid == 0 || peer.uid == geteuid();
    local->client(local->context, fd, &user);
    return true;
}

static void
on_acceptable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++)
        if (!accept_one(context))
            break;
}

static void
on_later(evutil_socket_t fd, short what, void *context)
{
    struct local *local = context;

    (void)fd;
    (void)what;
    event_add(local->acceptable, NULL);
}

struct local *
local_new(struct event_base *base, int fd, local_client_func *client,
          void *context)
{
    struct local *local = xcalloc(1, sizeof(*local));

    local->fd = fd;
    local->client = client;
    local->context = context;
    local->acceptable =
        event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, local);
    local->later = event_new(base, -1, 0, on_later, local);
    if (local->acceptable == NULL || local->later == NULL)
        die(EXIT_TEMPORARY, "out of memory: local socket");
    return local;
}

void
local_free(struct local **local)
{
    struct local *old = *local;

    if (old == NULL)
        return;
    event_free(old->acceptable);
    event_free(old->later);
    close(old->fd);
    free(old);
    *local = NULL;
}

void
local_accept(struct local *local, bool accept)
{
    event_del(local->later);
    if (accept)
        event_add(local->acceptable, NULL);
    else
        event_del(local->acceptable);
}
