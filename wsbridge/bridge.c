#include "wsbridge/bridge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/buffer.h"
#include "lib/child.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sandbox.h"
#include "lib/shared.h"
#include "wsbridge/forwarded.h"
#include "wsbridge/http.h"
#include "wsbridge/pages.h"
#include "wsbridge/tunnel.h"

enum {
    ACCEPTS_PER_TURN = 64,
    PING_SECONDS = 60, /* an idle browser is asked whether it lives */
    HANGUP_SECONDS = 90,
    FORWARDED_OCTETS_MAX = 1024,
};

/* The signal's handler has no other way to the loop. */
static struct bridge *the_bridge;
static volatile sig_atomic_t terminated;

struct bridge *
bridge_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

bool
bridge_peer_address(struct lws *wsi, char address[48], unsigned *port_r)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer = {.v6 = {0}};
    socklen_t size = sizeof(peer);
    const uint8_t *octets = peer.v6.sin6_addr.s6_addr;

    memset(address, 0, 48);
    if (getpeername(lws_get_socket_fd(wsi), &peer.any, &size) < 0)
        return false;
    if (peer.any.sa_family == AF_INET) {
        *port_r = ntohs(peer.v4.sin_port);
        return inet_ntop(AF_INET, &peer.v4.sin_addr, address, 48) != NULL;
    }
    if (peer.any.sa_family != AF_INET6)
        return false;
    *port_r = ntohs(peer.v6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&peer.v6.sin6_addr))
        return inet_ntop(AF_INET, octets + 12, address, 48) != NULL;
    return inet_ntop(AF_INET6, octets, address, 48) != NULL;
}

bool
bridge_address_is_near(const char *address)
{
    return address_matches(address, "127.0.0.0/8")
           || address_matches(address, "::1");
}

bool
bridge_client(struct lws *wsi, struct ipc_bridge *client)
{
    char peer[sizeof(client->address)];
    char forwarded[FORWARDED_OCTETS_MAX] = "";
    unsigned port;

    memset(client, 0, sizeof(*client));
    if (!bridge_peer_address(wsi, peer, &port)
        || (lws_hdr_total_length(wsi, WSI_TOKEN_X_FORWARDED_FOR) > 0
            && lws_hdr_copy(wsi, forwarded, sizeof(forwarded),
                            WSI_TOKEN_X_FORWARDED_FOR)
                   <= 0)
        || forwarded_client(bridge_of(wsi)->config, peer, forwarded,
                            client->address)
               < 0)
        return false;
    client->port = port;
    client->near = bridge_address_is_near(peer);
    return true;
}

/* --- ending --- */

static void
listeners_accept(struct bridge *bridge, bool accept)
{
    if (bridge->accepting == accept)
        return;
    bridge->accepting = accept;
    for (size_t i = 0; i < bridge->listener_count; i++)
        lws_rx_flow_control(bridge->listeners[i], accept);
}

static void
bridge_drain(struct bridge *bridge, unsigned at_most_ms)
{
    uint64_t until_ms = clock_ms() + at_most_ms;

    if (!bridge->draining || until_ms < bridge->drain_until_ms)
        bridge->drain_until_ms = until_ms;
    bridge->draining = true;
    listeners_accept(bridge, false);
}

static bool
bridge_has_ended(const struct bridge *bridge)
{
    return bridge->draining
           && (bridge->tunnels == 0
               || (uint64_t)clock_ms() > bridge->drain_until_ms);
}

static void
on_terminated(int signal_number)
{
    int error = errno;

    (void)signal_number; /* one is registered */
    terminated = 1;
    lws_cancel_service(the_bridge->context); /* a write to a pipe */
    errno = error;
}

/* --- what the master says --- */

static void
control_config(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct bridge *bridge = context;

    (void)ipc; /* there is one */
    if (child_config_renew(&bridge->config, frame->descriptor))
        bridge->stranger_told = false;
}

static void
control_drain(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    (void)ipc;
    (void)frame; /* says no more than its type */
    bridge_drain(context, BRIDGE_DRAIN_MS);
}

static void
control_closed(void *context, struct ipc *ipc, const char *why)
{
    struct bridge *bridge = context;

    notice("master has gone: %s", why);
    ipc_free(&ipc);
    bridge->control = NULL;
    bridge_drain(bridge, BRIDGE_ORPHAN_MS);
}

static const struct ipc_handler handlers[] = {
    {IPC_CONFIG, 0, true, true, control_config},
    {IPC_DRAIN, 0, true, false, control_drain},
};

bool
bridge_send_client(struct bridge *bridge, int fd,
                   const struct ipc_bridge *client)
{
    if (bridge->control == NULL) {
        close(fd);
        return false;
    }
    ipc_send(bridge->control, IPC_BRIDGE, client, sizeof(*client), fd);
    return true;
}

/* One turn of what lib/ipc.h waits for. */
static void
control_turn(struct bridge *bridge)
{
    if (event_base_loop(bridge->base, EVLOOP_ONCE | EVLOOP_NONBLOCK) < 0)
        die(EXIT_SYSTEM, "event loop failed");
    if (bridge->control != NULL && ipc_queued(bridge->control) > 0
        && bridge->control_wsi != NULL)
        lws_callback_on_writable(bridge->control_wsi);
}

static int
control_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                 void *in, size_t octets)
{
    struct bridge *bridge;

    (void)user;
    (void)in;
    (void)octets;
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return -1; /* no subprotocol for anyone outside */
    case LWS_CALLBACK_RAW_RX_FILE:
    case LWS_CALLBACK_RAW_WRITEABLE_FILE:
        control_turn(bridge_of(wsi));
        return 0;
    case LWS_CALLBACK_RAW_CLOSE_FILE:
        bridge = bridge_of(wsi);
        bridge->control_wsi = NULL;
        control_turn(bridge);
        return 0;
    default:
        return 0;
    }
}

/* --- the listening sockets --- */

/* Descriptors have run out, or the like: the next tick tries again, for a
   browser left in the queue would keep this firing. */
static void
accept_failed(struct bridge *bridge)
{
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
        return;
    syswarn("accept fails");
    listeners_accept(bridge, false);
}

static void
listener_accept(struct bridge *bridge, int listener)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            accept_failed(bridge);
            return;
        }
        /* It closes fd where it has no room. */
        if (lws_adopt_socket_vhost(bridge->vhost, fd) == NULL)
            debug("a connection is refused: no room");
    }
}

static int
listener_callback(struct lws *wsi, enum lws_callback_reasons reason,
                  void *user, void *in, size_t octets)
{
    (void)user;
    (void)in;
    (void)octets;
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return -1; /* no subprotocol for anyone outside */
    case LWS_CALLBACK_RAW_RX_FILE:
        if (!bridge_of(wsi)->draining)
            listener_accept(bridge_of(wsi),
                            (int)(intptr_t)lws_get_opaque_user_data(wsi));
        return 0;
    default:
        return 0;
    }
}

/* --- opening --- */

static void
on_tick(lws_sorted_usec_list_t *tick)
{
    struct bridge *bridge = lws_container_of(tick, struct bridge, tick);

    control_turn(bridge);
    if (!bridge->draining)
        listeners_accept(bridge, true);
    lws_sul_schedule(bridge->context, 0, &bridge->tick, on_tick,
                     LWS_US_PER_SEC);
}

static void
on_library_log(int level, const char *line)
{
    int length = (int)strcspn(line, "\n");

    if (level == LLL_ERR)
        warn("libwebsockets: %.*s", length, line);
    else
        debug("libwebsockets: %.*s", length, line);
}

static struct lws *
descriptor_join(struct bridge *bridge, int fd, const char *protocol)
{
    lws_adopt_desc_t descriptor = {
        .vh = bridge->vhost,
        .type = LWS_ADOPT_RAW_FILE_DESC,
        .fd.filefd = fd,
        .vh_prot_name = protocol,
        .opaque = (void *)(intptr_t)fd,
    };
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&descriptor);

    if (wsi == NULL)
        die(EXIT_SYSTEM, "descriptor %d cannot join the loop", fd);
    return wsi;
}

static void
loop_open(struct bridge *bridge)
{
    /* The names with "-" are none that a browser may ask for. */
    static struct lws_protocols protocols[] = {
        {.name = "-http", .callback = http_callback},
        {.name = TUNNEL_PROTOCOL,
         .callback = tunnel_callback,
         .rx_buffer_size = BRIDGE_MESSAGE_OCTETS_MAX},
        {.name = "-pair", .callback = tunnel_pair_callback},
        {.name = "-control", .callback = control_callback},
        {.name = "-listener", .callback = listener_callback},
        {.name = NULL},
    };
    static const lws_retry_bo_t idle = {
        .secs_since_valid_ping = PING_SECONDS,
        .secs_since_valid_hangup = HANGUP_SECONDS,
    };
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .user = bridge,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .retry_and_idle_policy = &idle,
        .server_string = "renews",
        .keepalive_timeout = 30,
    };

    protocols[0].per_session_data_size = http_octets;
    protocols[1].per_session_data_size = tunnel_octets;
    lws_set_log_level(LLL_ERR | LLL_WARN, on_library_log);
    bridge->context = lws_create_context(&info);
    if (bridge->context == NULL)
        die(EXIT_SYSTEM, "libwebsockets gives no loop");
    bridge->vhost = lws_create_vhost(bridge->context, &info);
    if (bridge->vhost == NULL)
        die(EXIT_SYSTEM, "libwebsockets gives no server");
}

static bool
socket_listens(int fd)
{
    int listens = 0;
    socklen_t size = sizeof(listens);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0
           && listens != 0;
}

static void
descriptors_join(struct bridge *bridge)
{
    /* lib/ipc.h closes its own at the end, and the loop another. */
    int control = fcntl(CHILD_CONTROL_FD, F_DUPFD_CLOEXEC, 0);

    if (control < 0)
        sysdie(EXIT_SYSTEM, "control socket");
    bridge->control_wsi = descriptor_join(bridge, control, "-control");
    for (int fd = CHILD_FIRST_FREE_FD;
         bridge->listener_count < BRIDGE_SOCKETS_MAX; fd++) {
        if (!socket_listens(fd))
            break;
        bridge->listeners[bridge->listener_count++] =
            descriptor_join(bridge, fd, "-listener");
    }
    if (bridge->listener_count == 0)
        die(EXIT_SOFTWARE, "no listening socket");
    bridge->accepting = true;
}

/* The page: in the tree of a build three folders above us; installed, among
   the files that no machine differs in. */
static char *
pages_directory(const struct config *config)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *path;

    if (config->pathweb[0] != '\0')
        return xstrdup(config->pathweb);
    if (length > 0) {
        self[length] = '\0';
        *strrchr(self, '/') = '\0';
        path = xasprintf("%s/../../../web", self);
        if (access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return xstrdup(DATADIR "/web");
}

static void
bridge_map(struct bridge *bridge, const struct child_arguments *arguments)
{
    struct buffer why = BUFFER_EMPTY;
    char *directory;

    bridge->config = child_config_inherit();
    bridge->shared = shared_map(CHILD_SHARED_FD);
    bridge->slot = &bridge->shared->slots[arguments->slot % SHARED_SLOTS];
    (void)close(CHILD_ACTIVE_FD); /* the groups are none of ours */
    directory = pages_directory(bridge->config);
    bridge->pages = pages_load(directory, &why);
    if (bridge->pages == NULL)
        die(EXIT_CONFIG, "page: %s", buffer_text(&why));
    free(directory);
}

void
bridge_open(struct bridge *bridge, const struct child_arguments *arguments)
{
    struct sigaction action = {.sa_handler = on_terminated};

    *bridge = (struct bridge){0};
    bridge_map(bridge, arguments);
    sandbox_enter(SANDBOX_BRIDGE, bridge->config);
    bridge->base = event_base_new();
    if (bridge->base == NULL)
        die(EXIT_SYSTEM, "no event loop");
    bridge->control = ipc_new(bridge->base, CHILD_CONTROL_FD, handlers,
                              sizeof(handlers) / sizeof(handlers[0]),
                              control_closed, bridge);
    loop_open(bridge);
    descriptors_join(bridge);
    the_bridge = bridge;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    on_tick(&bridge->tick);
    ipc_send(bridge->control, IPC_READY, NULL, 0, -1);
    debug("ready");
}

void
bridge_serve(struct bridge *bridge)
{
    while (!bridge_has_ended(bridge)) {
        /* What was queued for the master leaves with this turn. */
        control_turn(bridge);
        if (lws_service(bridge->context, 0) < 0)
            die(EXIT_SOFTWARE, "libwebsockets' loop failed");
        if (terminated != 0) {
            terminated = 0;
            bridge_drain(bridge, BRIDGE_DRAIN_MS);
        }
        atomic_fetch_add_explicit(&bridge->slot->loops, 1,
                                  memory_order_relaxed);
    }
}

void
bridge_close(struct bridge *bridge)
{
    (void)signal(SIGTERM, SIG_IGN); /* we are ending */
    lws_sul_cancel(&bridge->tick);
    lws_context_destroy(bridge->context);
    if (bridge->control != NULL)
        ipc_free(&bridge->control);
    event_base_free(bridge->base);
    pages_free(&bridge->pages);
    config_free(&bridge->config);
}
