#include "innd/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"

enum {
    BACKLOG = 1024,
    ACCEPTS_PER_TURN = 64,  /* then the children are heard */
    KEEPALIVE_SECONDS = 60, /* an idle client is asked whether it lives */
    KEEPALIVE_INTERVAL_SECONDS = 15,
    KEEPALIVE_TRIES = 4,
    /* Unanswered octets for so long: a half-open connection. */
    USER_TIMEOUT_MS = 120 * 1000,
    COMPLAINT_SECONDS = 10, /* a fault that repeats is logged so often */
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct listeners {
    int *fds;
    unsigned tls_port; /* 0: none speaks TLS at once */
    struct event **events;
    size_t count;
    int spare; /* given up for a moment when descriptors have run out */
    listener_client_func *client;
    void *context;
    unsigned faults; /* since the last complaint */
    time_t complained;
};

/* Numeric, an IPv4 address within IPv6 as IPv4. */
static void
address_text(const union address *address, char text[INET6_ADDRSTRLEN],
             unsigned *port_r)
{
    const uint8_t *octets = address->v6.sin6_addr.s6_addr;

    text[0] = '\0';
    *port_r = 0;
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, text, INET6_ADDRSTRLEN);
        *port_r = ntohs(address->v4.sin_port);
    } else if (address->any.sa_family == AF_INET6) {
        if (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
            inet_ntop(AF_INET, octets + 12, text, INET6_ADDRSTRLEN);
        else
            inet_ntop(AF_INET6, octets, text, INET6_ADDRSTRLEN);
        *port_r = ntohs(address->v6.sin6_port);
    }
}

/*
 * What each client's socket shall have is set here: Linux hands it on to what
 * is accepted.  Nagle's algorithm beside delayed acknowledgements costs 40 ms
 * for each small answer.
 */
static int
options_set(int fd)
{
    static const struct {
        int level;
        int name;
        int value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_SECONDS},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_TRIES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (setsockopt(fd, options[i].level, options[i].name,
                       &options[i].value, sizeof(options[i].value))
            < 0)
            return -1;
    return fcntl(fd, F_SETFL, O_NONBLOCK);
}

static int
socket_bind(int fd, const union address *address)
{
    int yes = 1;
    socklen_t size = address->any.sa_family == AF_INET6 ? sizeof(address->v6)
                                                        : sizeof(address->v4);

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0)
        return -1;
    /* IPv4 has its own socket, so that either can be left out. */
    if (address->any.sa_family == AF_INET6
        && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) < 0)
        return -1;
    if (bind(fd, &address->any, size) < 0 || options_set(fd) < 0)
        return -1;
    return listen(fd, BACKLOG);
}

static void
listener_add(struct listeners *listeners, int fd)
{
    listeners->fds = xreallocarray(listeners->fds, listeners->count + 1,
                                   sizeof(*listeners->fds));
    listeners->fds[listeners->count++] = fd;
}

static int
listener_bind(struct listeners *listeners, const char *text, unsigned port,
              struct buffer *why)
{
    union address address = {0};
    int fd;

    if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons((uint16_t)port);
    } else {
        inet_pton(AF_INET6, text, &address.v6.sin6_addr);
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons((uint16_t)port);
    }
    fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* A kernel without IPv6 serves IPv4 alone; "::" is a default. */
    if (fd < 0 && errno == EAFNOSUPPORT && strcmp(text, "::") == 0) {
        notice("this system has no IPv6");
        return 0;
    }
    if (fd < 0 || socket_bind(fd, &address) < 0) {
        (void)why_set_errno(why, "cannot listen on %s port %u", text, port);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    listener_add(listeners, fd);
    return 0;
}

/* Returns how many sockets systemd has passed, or -1. */
static int
listeners_inherit(struct listeners *listeners, struct buffer *why)
{
    int count = sd_listen_fds(1);

    if (count < 0) {
        errno = -count;
        return why_set_errno(why, "sockets of systemd");
    }
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count;
         fd++) {
        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0
            || sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0)
            return why_set(why,
                           "socket %d of systemd is not a listening TCP "
                           "socket",
                           fd);
        if (options_set(fd) < 0)
            return why_set_errno(why, "socket %d of systemd", fd);
        listener_add(listeners, fd);
    }
    return count;
}

/* Where a socket listens; port 0: the system does not say. */
static void
socket_address(int fd, char text[INET6_ADDRSTRLEN], unsigned *port_r)
{
    union address address = {0};
    socklen_t size = sizeof(address);

    text[0] = '\0';
    *port_r = 0;
    if (getsockname(fd, &address.any, &size) == 0)
        address_text(&address, text, port_r);
}

unsigned
listeners_port(const struct listeners *listeners)
{
    char text[INET6_ADDRSTRLEN];
    unsigned port = 0;

    if (listeners->count > 0)
        socket_address(listeners->fds[0], text, &port);
    return port;
}

struct listeners *
listeners_open(const struct config *config, struct buffer *why)
{
    struct listeners *listeners = xcalloc(1, sizeof(*listeners));
    int inherited = listeners_inherit(listeners, why);
    unsigned port = (unsigned)config->port;
    bool good = inherited >= 0;

    listeners->tls_port = (unsigned)config->tls_port;
    listeners->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; inherited == 0 && good && i < config->listen_count;
         i++) {
        good = listener_bind(listeners, config->listen[i], port, why) == 0;
        /* Port 0: the system chooses once, and the others follow. */
        if (good && port == 0)
            port = listeners_port(listeners);
        if (good && listeners->tls_port != 0)
            good = listener_bind(listeners, config->listen[i],
                                 listeners->tls_port, why)
                   == 0;
    }
    if (good && listeners->count == 0) {
        good = false;
        (void)why_set(why, "no address to listen on");
    }
    if (!good)
        listeners_close(&listeners);
    return listeners;
}

struct listeners *
listeners_open_bridge(const struct config *config, struct buffer *why)
{
    struct listeners *listeners = xcalloc(1, sizeof(*listeners));
    const int64_t ports[] = {config->http_port, config->ws_port};
    bool good = true;

    listeners->spare = -1;
    for (size_t i = 0; i < config->http_listen_count * 2; i++) {
        int64_t port = ports[i % 2];

        if (good && port != 0 && (i % 2 == 0 || port != ports[0]))
            good = listener_bind(listeners, config->http_listen[i / 2],
                                 (unsigned)port, why)
                   == 0;
    }
    if (!good)
        listeners_close(&listeners);
    return listeners;
}

size_t
listeners_fds(const struct listeners *listeners, const int **fds_r)
{
    *fds_r = listeners->fds;
    return listeners->count;
}

void
listeners_close(struct listeners **listeners)
{
    struct listeners *old = *listeners;

    if (old == NULL)
        return;
    for (size_t i = 0; i < old->count; i++) {
        if (old->events != NULL)
            event_free(old->events[i]);
        close(old->fds[i]);
    }
    if (old->spare >= 0)
        close(old->spare);
    free(old->events);
    free(old->fds);
    free(old);
    *listeners = NULL;
}

void
listeners_describe(const struct listeners *listeners, struct buffer *text)
{
    for (size_t i = 0; i < listeners->count; i++) {
        char name[INET6_ADDRSTRLEN];
        unsigned port;

        socket_address(listeners->fds[i], name, &port);
        buffer_append_format(
            text, "%s%s port %u%s", i > 0 ? ", " : "", name, port,
            port != 0 && port == listeners->tls_port ? " (TLS)" : "");
    }
}

/* An accept that fails may fail a thousand times. */
static void
complain(struct listeners *listeners, int error)
{
    struct timespec now;

    listeners->faults++;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (listeners->complained != 0
        && now.tv_sec - listeners->complained < COMPLAINT_SECONDS)
        return;
    errno = error;
    syswarn("accept fails count=%u", listeners->faults);
    listeners->complained = now.tv_sec;
    listeners->faults = 0;
}

/*
 * No descriptor is left.  With the spare one we take a client and tell it so,
 * for a client left in the queue would keep this event firing.
 */
static bool
accept_with_spare(struct listeners *listeners, int listener)
{
    static const char text[] = "400 Too many connections\r\n";
    int fd;

    if (listeners->spare < 0)
        return false;
    close(listeners->spare);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        ssize_t sent = send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);

        (void)sent; /* a courtesy: it is closed all the same */
        close(fd);
    }
    listeners->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

/* One client.  False when there is none to take now. */
static bool
accept_one(struct listeners *listeners, int listener)
{
    union address address = {0};
    socklen_t size = sizeof(address);
    char text[INET6_ADDRSTRLEN], own[INET6_ADDRSTRLEN];
    unsigned port, own_port;
    int fd =
        accept4(listener, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        address_text(&address, text, &port);
        socket_address(listener, own, &own_port);
        listeners->client(listeners->context, fd,
                          own_port != 0 && own_port == listeners->tls_port,
                          text, port);
        return true;
    }
    if (errno == EAGAIN)
        return false;
    if (errno == EINTR || errno == ECONNABORTED)
        return true;
    complain(listeners, errno);
    if (errno == EMFILE || errno == ENFILE)
        return accept_with_spare(listeners, listener);
    return false;
}

static void
on_acceptable(evutil_socket_t fd, short what, void *context)
{
    struct listeners *listeners = context;

    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++)
        if (!accept_one(listeners, fd))
            break;
}

void
listeners_join(struct listeners *listeners, struct event_base *base,
               listener_client_func *client, void *context)
{
    listeners->client = client;
    listeners->context = context;
    listeners->events = xcalloc(listeners->count, sizeof(struct event *));
    for (size_t i = 0; i < listeners->count; i++) {
        listeners->events[i] =
            event_new(base, listeners->fds[i], EV_READ | EV_PERSIST,
                      on_acceptable, listeners);
        if (listeners->events[i] == NULL)
            die(EXIT_TEMPORARY, "out of memory: events of listeners");
    }
}

void
listeners_accept(struct listeners *listeners, bool accept)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (accept)
            event_add(listeners->events[i], NULL);
        else
            event_del(listeners->events[i]);
    }
}
