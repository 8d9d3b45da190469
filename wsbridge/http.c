#include "wsbridge/http.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "lib/ipc.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "wsbridge/bridge.h"
#include "wsbridge/handshake.h"
#include "wsbridge/metrics.h"
#include "wsbridge/pages.h"
#include "wsbridge/tunnel.h"

enum {
    HEAD_OCTETS = 2048,
    CHUNK_OCTETS = 16 * 1024,
    HEADER_OCTETS_MAX = 512,  /* a longer Origin, Host or subprotocol is bad */
    STATUS_MISDIRECTED = 421, /* RFC 9110, 15.5.20 */
};

static const char misdirected[] =
    "this server has no such name: http_hosts lists those it has\n";

/* connect-src 'self' is ws: and wss: of this place too (CSP 3). */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

/* An answer whose body is still on its way. */
struct http {
    struct buffer body;
    size_t done;
    bool last; /* of its connection: what was sent with it is not read */
};

const size_t http_octets = sizeof(struct http);

/* --- answering --- */

struct answer {
    unsigned status;
    const char *type;
    const char *octets;
    size_t length;
};

static int
header_add(struct lws *wsi, const char *name, const char *value,
           unsigned char **at, unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
                                       (const unsigned char *)value,
                                       (int)strlen(value), at, end);
}

/* The head of an answer, sent.  0 or -1. */
static int
head_send(struct lws *wsi, const struct answer *answer)
{
    static const struct {
        const char *name;
        const char *value;
    } headers[] = {
        {"x-content-type-options:", "nosniff"},
        {"content-security-policy:", policy},
        {"referrer-policy:", "no-referrer"},
        {"cross-origin-opener-policy:", "same-origin"},
        {"cache-control:", "no-cache"},
    };
    unsigned char head[LWS_PRE + HEAD_OCTETS];
    unsigned char *at = head + LWS_PRE;
    unsigned char *end = head + sizeof(head) - 1;

    if (lws_add_http_common_headers(wsi, answer->status, answer->type,
                                    answer->length, &at, end))
        return -1;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        if (header_add(wsi, headers[i].name, headers[i].value, &at, end))
            return -1;
    if (answer->status == HTTP_STATUS_METHOD_NOT_ALLOWED
        && header_add(wsi, "allow:", "GET, HEAD", &at, end))
        return -1;
    if (lws_finalize_write_http_header(wsi, head + LWS_PRE, &at, end))
        return -1;
    bridge_of(wsi)->http_answers++;
    return 0;
}

/* The rest goes as the browser takes it. */
static int
answer_send(struct lws *wsi, struct http *http, const struct answer *answer)
{
    bool head_only = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;

    if (head_send(wsi, answer) < 0)
        return -1;
    buffer_clear(&http->body);
    http->done = 0;
    if (!head_only)
        buffer_append(&http->body, answer->octets, answer->length);
    lws_callback_on_writable(wsi);
    return 0;
}

static int
text_send(struct lws *wsi, struct http *http, unsigned status,
          const char *text)
{
    struct answer answer = {status, "text/plain; charset=utf-8", text,
                            strlen(text)};

    return answer_send(wsi, http, &answer);
}

static int
body_send(struct lws *wsi, struct http *http)
{
    static unsigned char chunk[LWS_PRE + CHUNK_OCTETS];
    size_t octets = http->body.used - http->done;
    bool last = octets <= CHUNK_OCTETS;

    if (!last)
        octets = CHUNK_OCTETS;
    if (octets > 0)
        memcpy(chunk + LWS_PRE, http->body.data + http->done, octets);
    if (octets > 0
        && lws_write(wsi, chunk + LWS_PRE, octets,
                     last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP)
               < (int)octets)
        return -1;
    http->done += octets;
    if (!last) {
        lws_callback_on_writable(wsi);
        return 0;
    }
    buffer_free(&http->body);
    http->done = 0;
    return http->last || lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* --- what is asked --- */

/* A header's value, "" where there is none; false when it is too long. */
static bool
header_copy(struct lws *wsi, enum lws_token_indexes token,
            char value[HEADER_OCTETS_MAX])
{
    int length = lws_hdr_total_length(wsi, token);

    value[0] = '\0';
    return length == 0
           || lws_hdr_copy(wsi, value, HEADER_OCTETS_MAX, token) > 0;
}

/* Does the browser call us by a name that is ours?  The admin hears of the
   first that does not: it may be a name that he has forgotten. */
static bool
host_is_ours(struct lws *wsi)
{
    struct bridge *bridge = bridge_of(wsi);
    char host[HEADER_OCTETS_MAX];

    if (!header_copy(wsi, WSI_TOKEN_HOST, host))
        return false;
    if (handshake_host_is_ours(bridge->config, host))
        return true;
    if (!bridge->stranger_told)
        notice("refused who calls us \"%s\": our names are in http_hosts",
               host);
    bridge->stranger_told = true;
    return false;
}

static bool
comes_from_here(struct lws *wsi)
{
    char address[48];
    unsigned port;

    return bridge_peer_address(wsi, address, &port)
           && bridge_address_is_near(address)
           && lws_hdr_total_length(wsi, WSI_TOKEN_X_FORWARDED_FOR) == 0;
}

static int
watch_send(struct lws *wsi, struct http *http, const char *path)
{
    const struct bridge *bridge = bridge_of(wsi);
    struct buffer text = BUFFER_EMPTY;
    struct answer answer = {.status = HTTP_STATUS_OK,
                            .type = "text/plain; charset=utf-8"};
    int result;

    if (!comes_from_here(wsi))
        return text_send(wsi, http, HTTP_STATUS_FORBIDDEN, "not from here\n");
    if (strcmp(path, "/metrics") == 0) {
        answer.type = "text/plain; version=0.0.4; charset=utf-8";
        metrics_print(bridge, &text);
    } else if (!metrics_health(bridge, &text)) {
        answer.status = HTTP_STATUS_SERVICE_UNAVAILABLE;
    }
    answer.octets = text.data;
    answer.length = text.used;
    result = answer_send(wsi, http, &answer);
    buffer_free(&text);
    return result;
}

static int
request_take(struct lws *wsi, struct http *http, const char *path)
{
    const struct page *page;
    struct answer answer = {.status = HTTP_STATUS_OK};

    if (!host_is_ours(wsi))
        return text_send(wsi, http, STATUS_MISDIRECTED, misdirected);
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) == 0
        && lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) == 0) {
        http->last = true;
        return text_send(wsi, http, HTTP_STATUS_METHOD_NOT_ALLOWED,
                         "only GET and HEAD\n");
    }
    if (strcmp(path, "/metrics") == 0 || strcmp(path, "/healthz") == 0)
        return watch_send(wsi, http, path);
    page = pages_find(bridge_of(wsi)->pages, path);
    if (page == NULL)
        return text_send(wsi, http, HTTP_STATUS_NOT_FOUND,
                         "there is no such page\n");
    answer.type = page->type;
    answer.octets = page->octets;
    answer.length = page->length;
    return answer_send(wsi, http, &answer);
}

/* --- may it begin --- */

/* NULL, or why not, with the status that says so. */
static const char *
upgrade_refusal(struct lws *wsi, const char *kind, unsigned *status_r)
{
    const struct bridge *bridge = bridge_of(wsi);
    char origin[HEADER_OCTETS_MAX];
    char host[HEADER_OCTETS_MAX];
    char offered[HEADER_OCTETS_MAX];
    struct ipc_bridge client;

    *status_r = STATUS_MISDIRECTED;
    if (!host_is_ours(wsi))
        return misdirected;
    *status_r = HTTP_STATUS_BAD_REQUEST;
    if (kind == NULL || strcasecmp(kind, "websocket") != 0)
        return "only WebSocket is spoken here\n";
    if (!header_copy(wsi, WSI_TOKEN_ORIGIN, origin)
        || !header_copy(wsi, WSI_TOKEN_HOST, host)
        || !header_copy(wsi, WSI_TOKEN_PROTOCOL, offered))
        return "a header is too long\n";
    if (!handshake_offers(offered, TUNNEL_PROTOCOL))
        return "the subprotocol is " TUNNEL_PROTOCOL "\n";
    if (!bridge_client(wsi, &client))
        return "the proxy does not say where you come from\n";
    *status_r = HTTP_STATUS_FORBIDDEN;
    if (!handshake_origin_is_good(bridge->config, origin, host))
        return "pages of this origin may not connect\n";
    *status_r = HTTP_STATUS_SERVICE_UNAVAILABLE;
    if (bridge->draining)
        return "the server is stopping\n";
    return NULL;
}

/* 0: it may; 1: it has been told why not; -1: nothing more to say to it. */
static int
upgrade_take(struct lws *wsi, const char *kind)
{
    struct bridge *bridge = bridge_of(wsi);
    unsigned char body[LWS_PRE + 128];
    struct answer answer = {.type = "text/plain; charset=utf-8"};
    char address[48];
    unsigned port;

    answer.octets = upgrade_refusal(wsi, kind, &answer.status);
    if (answer.octets == NULL)
        return 0;
    bridge->upgrades_refused++;
    if (bridge_peer_address(wsi, address, &port))
        debug("client %s: refused why=%.*s", address,
              (int)strcspn(answer.octets, "\n"), answer.octets);
    answer.length = strlen(answer.octets);
    memcpy(body + LWS_PRE, answer.octets, answer.length);
    if (head_send(wsi, &answer) < 0
        || lws_write(wsi, body + LWS_PRE, answer.length, LWS_WRITE_HTTP_FINAL)
               < (int)answer.length)
        return -1;
    return 1;
}

int
http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
              void *in, size_t octets)
{
    struct http *http = user;

    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return upgrade_take(wsi, in);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return -1; /* no subprotocol */
    case LWS_CALLBACK_HTTP:
        return request_take(wsi, http, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return body_send(wsi, http);
    case LWS_CALLBACK_CLOSED_HTTP:
        if (http != NULL)
            buffer_free(&http->body);
        return 0;
    case LWS_CALLBACK_HTTP_BODY:
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
    case LWS_CALLBACK_HTTP_FILE_COMPLETION:
        return 0; /* nothing that has one is taken; 405 is on its way */
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, octets);
    }
}
