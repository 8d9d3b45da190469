#include "wsbridge/tunnel.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/utf8.h"
#include "wsbridge/bridge.h"

enum {
    READ_OCTETS = 32 * 1024,
    CLOSE_SECONDS = 5, /* for a close frame to be taken */
};

struct tunnel {
    struct lws *ws;
    struct lws *pair; /* NULL: the server has ended its side */
    int pair_fd;      /* pair's, -1 without it */
    struct buffer to_server;
    struct buffer to_client;
    size_t to_client_done; /* octets of it that have been sent */
    size_t message_octets; /* of the message that is coming in */
    struct utf8_torn torn; /* ... where it is text */
    int close_status;      /* it ends with this; 0: it does not */
    const char *close_reason;
    struct ipc_bridge client;
};

const size_t tunnel_octets = sizeof(struct tunnel);

/* --- the end of a WebSocket --- */

/*
 * End the client with this status, as soon as its socket takes it.  What it
 * sends meanwhile is read and thrown away: a socket that is closed over unread
 * octets is reset, and the status may be lost with it.  Libwebsockets closes
 * properly only from where it lets us write: in the middle of what it reads it
 * would lose its place in the frames.
 */
static void
tunnel_close(struct tunnel *tunnel, enum lws_close_status status,
             const char *reason)
{
    tunnel->close_status = status;
    tunnel->close_reason = reason;
    lws_rx_flow_control(tunnel->ws, 1);
    lws_callback_on_writable(tunnel->ws);
    lws_set_timeout(tunnel->ws, PENDING_TIMEOUT_CLOSE_SEND, CLOSE_SECONDS);
}

/* The close frame, after which libwebsockets waits for the browser's. */
static int
tunnel_close_now(struct tunnel *tunnel)
{
    /* It has been sent, and this is a late call. */
    if (lws_get_close_length(tunnel->ws) > 0)
        return 0;
    lws_close_reason(tunnel->ws, tunnel->close_status,
                     (unsigned char *)(uintptr_t)tunnel->close_reason,
                     strlen(tunnel->close_reason));
    return -1;
}

/* --- browser to server --- */

/* False when the server takes no more for ever. */
static bool
to_server_write(struct tunnel *tunnel)
{
    struct buffer *octets = &tunnel->to_server;

    while (octets->used > 0) {
        ssize_t sent = send(tunnel->pair_fd, octets->data, octets->used,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN;
        buffer_drop(octets, (size_t)sent);
    }
    return true;
}

/* May this be a piece of a message?  False: the client ends. */
static bool
message_is_good(struct tunnel *tunnel, const char *in, size_t octets)
{
    size_t left = lws_remaining_packet_payload(tunnel->ws);
    bool is_last = lws_is_final_fragment(tunnel->ws) && left == 0;

    tunnel->message_octets += octets;
    if (tunnel->message_octets + left > BRIDGE_MESSAGE_OCTETS_MAX) {
        tunnel_close(tunnel, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE,
                     "message too long");
        return false;
    }
    if (!lws_frame_is_binary(tunnel->ws)
        && (!utf8_continues(&tunnel->torn, in, octets)
            || (is_last && tunnel->torn.used > 0))) {
        tunnel_close(tunnel, LWS_CLOSE_STATUS_INVALID_PAYLOAD,
                     "text that is no UTF-8");
        return false;
    }
    if (is_last)
        tunnel->message_octets = 0;
    return true;
}

static void
message_take(struct tunnel *tunnel, const void *in, size_t octets)
{
    if (tunnel->close_status != 0 || !message_is_good(tunnel, in, octets))
        return;
    /* It may have said why before it ended: that is still to be sent. */
    if (tunnel->pair == NULL)
        return;
    buffer_append(&tunnel->to_server, in, octets);
    if (!to_server_write(tunnel))
        buffer_clear(&tunnel->to_server);
    if (tunnel->to_server.used > 0) {
        lws_rx_flow_control(tunnel->ws, 0);
        lws_callback_on_writable(tunnel->pair);
    }
}

static void
pair_writable(struct tunnel *tunnel)
{
    if (!to_server_write(tunnel))
        buffer_clear(&tunnel->to_server);
    if (tunnel->to_server.used > 0)
        lws_callback_on_writable(tunnel->pair);
    else
        lws_rx_flow_control(tunnel->ws, 1);
}

/* --- server to browser --- */

/* One read: 1, 0 when there is nothing to read now, -1 at the end. */
static int
to_client_read(struct tunnel *tunnel)
{
    char octets[READ_OCTETS];
    ssize_t got;

    do {
        got = recv(tunnel->pair_fd, octets, sizeof(octets), MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got > 0)
        buffer_append(&tunnel->to_client, octets, (size_t)got);
    if (got < 0 && errno == EAGAIN)
        return 0;
    return got > 0 ? 1 : -1;
}

/* One message, and only then the next read.  -1 at the end: a worker that has
   said all it will say waits for us to close. */
static int
pair_readable(struct tunnel *tunnel)
{
    if (to_client_read(tunnel) < 0)
        return -1;
    if (tunnel->to_client.used > 0) {
        lws_rx_flow_control(tunnel->pair, 0);
        lws_callback_on_writable(tunnel->ws);
    }
    return 0;
}

/* The server has ended: what it said before lies in the socket, at most as
   much as a socket holds. */
static void
pair_closed(struct tunnel *tunnel)
{
    while (to_client_read(tunnel) > 0)
        continue;
    tunnel->pair = NULL;
    tunnel->pair_fd = -1;
    lws_rx_flow_control(tunnel->ws, 1); /* to see the browser's close */
    lws_callback_on_writable(tunnel->ws);
}

static int
browser_writable(struct tunnel *tunnel)
{
    static unsigned char frame[LWS_PRE + READ_OCTETS];
    size_t octets = tunnel->to_client.used - tunnel->to_client_done;

    if (tunnel->close_status != 0)
        return tunnel_close_now(tunnel);
    if (octets > READ_OCTETS)
        octets = READ_OCTETS;
    if (octets > 0) {
        memcpy(frame + LWS_PRE,
               tunnel->to_client.data + tunnel->to_client_done, octets);
        if (lws_write(tunnel->ws, frame + LWS_PRE, octets, LWS_WRITE_BINARY)
            < (int)octets)
            return -1;
        tunnel->to_client_done += octets;
    }
    if (tunnel->to_client_done < tunnel->to_client.used) {
        lws_callback_on_writable(tunnel->ws);
        return 0;
    }
    buffer_clear(&tunnel->to_client);
    tunnel->to_client_done = 0;
    if (tunnel->pair != NULL) {
        lws_rx_flow_control(tunnel->pair, 1);
        return 0;
    }
    tunnel_close(tunnel, LWS_CLOSE_STATUS_NORMAL, "");
    return tunnel_close_now(tunnel);
}

/* --- begin and end --- */

static int
tunnel_begin(struct tunnel *tunnel, struct lws *wsi)
{
    struct bridge *bridge = bridge_of(wsi);
    lws_adopt_desc_t pair = {
        .vh = bridge->vhost,
        .type = LWS_ADOPT_RAW_FILE_DESC,
        .vh_prot_name = "-pair",
        .opaque = tunnel,
    };
    int fds[2];

    memset(tunnel, 0, sizeof(*tunnel));
    tunnel->ws = wsi;
    tunnel->pair_fd = -1;
    bridge->tunnels++;
    bridge->tunnels_served++;
    if (!bridge_client(wsi, &tunnel->client))
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds)
        < 0) {
        syswarn("client %s: socketpair", tunnel->client.address);
        return -1;
    }
    pair.fd.filefd = fds[0];
    tunnel->pair = lws_adopt_descriptor_vhost_via_info(&pair);
    if (tunnel->pair == NULL) { /* it has closed fds[0] */
        warn("client %s: no room for its socketpair", tunnel->client.address);
        close(fds[1]);
        return -1;
    }
    tunnel->pair_fd = fds[0];
    if (!bridge_send_client(bridge, fds[1], &tunnel->client))
        return -1;
    debug("client %s: begins port=%u", tunnel->client.address,
          tunnel->client.port);
    return 0;
}

static void
tunnel_end(struct tunnel *tunnel)
{
    struct bridge *bridge = bridge_of(tunnel->ws);

    if (tunnel->pair != NULL) {
        lws_set_opaque_user_data(tunnel->pair, NULL);
        lws_set_timeout(tunnel->pair, PENDING_TIMEOUT_USER_OK,
                        LWS_TO_KILL_ASYNC);
    }
    tunnel->pair = NULL;
    buffer_free(&tunnel->to_server);
    buffer_free(&tunnel->to_client);
    bridge->tunnels--;
    debug("client %s: has ended", tunnel->client.address);
}

int
tunnel_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                void *in, size_t octets)
{
    struct tunnel *tunnel = user;

    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return tunnel_begin(tunnel, wsi);
    case LWS_CALLBACK_RECEIVE:
        message_take(tunnel, in, octets);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return browser_writable(tunnel);
    case LWS_CALLBACK_CLOSED:
        tunnel_end(tunnel);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, octets);
    }
}

int
tunnel_pair_callback(struct lws *wsi, enum lws_callback_reasons reason,
                     void *user, void *in, size_t octets)
{
    struct tunnel *tunnel = lws_get_opaque_user_data(wsi);

    (void)user;
    (void)in;
    (void)octets;
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return -1; /* no subprotocol for anyone outside */
    case LWS_CALLBACK_RAW_RX_FILE:
        return tunnel == NULL ? -1 : pair_readable(tunnel);
    case LWS_CALLBACK_RAW_WRITEABLE_FILE:
        if (tunnel != NULL)
            pair_writable(tunnel);
        return tunnel == NULL ? -1 : 0;
    case LWS_CALLBACK_RAW_CLOSE_FILE:
        if (tunnel != NULL)
            pair_closed(tunnel);
        return 0;
    default:
        return 0;
    }
}
