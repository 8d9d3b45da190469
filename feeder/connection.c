/*
 * connection -- see connection.h.
 */
#include "feeder/connection.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "feeder/feeder.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/response.h"
#include "lib/stream.h"
#include "lib/tls.h"
#include "lib/wire.h"

enum { CONNECT_MS = 20 * 1000, LINES_PER_RUN = 500 };

enum state {
    STATE_DOWN,
    STATE_LOOKUP,
    STATE_CONNECTING,
    STATE_SECURE,   /* TLS is to begin */
    STATE_SECURING, /* its handshake is under way */
    STATE_GREETING,
    STATE_STARTTLS, /* is sent */
    STATE_USER,     /* AUTHINFO USER is sent */
    STATE_PASSWORD, /* AUTHINFO PASS is sent */
    STATE_UP,
};

/* A name that is being looked up; it outlives the connection's interest, for
   the C library's thread cannot be called back. */
struct lookup {
    struct gaicb request;
    struct gaicb *list[1];
    struct addrinfo hints;
    char *host;
    char port[8];
};

struct connection {
    struct feeder *feeder;
    const struct connection_owner *owner;
    void *context;
    enum state state;
    struct lookup *lookup; /* NULL: none under way */
    struct addrinfo *addresses, *next;
    int fd; /* while connecting; then the stream's */
    struct event *connected;
    struct stream *stream;
    bool woken;
    int connect_error; /* of the last address, 0: none */
    uint64_t since_ms; /* of what is waited for */
    uint64_t octets;   /* read and written, when it was last looked */
    bool expect;
    bool in_article;
    struct wire_scanner scanner;
    struct buffer article;
    size_t article_max;
    bool article_long;
};

struct connection *
connection_new(struct feeder *feeder, const struct connection_owner *owner,
               void *context)
{
    struct connection *connection = xcalloc(1, sizeof(*connection));

    connection->feeder = feeder;
    connection->owner = owner;
    connection->context = context;
    connection->fd = -1;
    return connection;
}

/* --- ending --- */

static void
lookup_free(struct lookup *lookup)
{
    free(lookup->host);
    free(lookup);
}

static void
connection_reset(struct connection *connection)
{
    connection->state = STATE_DOWN;
    /* One that cannot be cancelled keeps its memory: a few octets, once in a
       while. */
    if (connection->lookup != NULL
        && gai_cancel(&connection->lookup->request) != EAI_NOTCANCELED) {
        if (connection->lookup->request.ar_result != NULL)
            freeaddrinfo(connection->lookup->request.ar_result);
        lookup_free(connection->lookup);
    }
    connection->lookup = NULL;
    if (connection->connected != NULL)
        event_free(connection->connected);
    connection->connected = NULL;
    if (connection->addresses != NULL)
        freeaddrinfo(connection->addresses);
    connection->addresses = NULL;
    if (connection->stream != NULL)
        stream_free(&connection->stream);
    else if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    connection->in_article = false;
    connection->expect = false;
    connection->connect_error = 0;
    buffer_free(&connection->article);
}

static void
connection_end(struct connection *connection, const char *why)
{
    if (connection->state == STATE_DOWN)
        return;
    connection_reset(connection);
    connection->owner->closed(connection->context, why);
}

void
connection_close(struct connection *connection)
{
    connection_end(connection, "");
}

void
connection_free(struct connection **connection)
{
    if (*connection == NULL)
        return;
    connection_reset(*connection);
    free(*connection);
    *connection = NULL;
}

static void __attribute__((format(printf, 2, 3)))
connection_fail(struct connection *connection, const char *format, ...)
{
    struct buffer why = BUFFER_EMPTY;
    va_list args;

    va_start(args, format);
    buffer_append_vformat(&why, format, args);
    va_end(args);
    connection_end(connection, buffer_text(&why));
    buffer_free(&why);
}

/* --- beginning --- */

static void
state_enter(struct connection *connection, enum state state)
{
    connection->state = state;
    connection->since_ms = connection->feeder->now_ms;
}

static void
on_stream(void *context)
{
    struct connection *connection = context;

    connection->woken = true;
}

/* A peer that is to be reached by TLS is reached by TLS, or not at all. */
static void
secure(struct connection *connection)
{
    struct tls_context *context = connection->feeder->tls;

    if (context == NULL) {
        connection_fail(connection, "TLS: its keys cannot be used");
        return;
    }
    stream_start_tls(connection->stream, tls_connect(context, connection->fd));
    state_enter(connection, STATE_SECURING);
}

static void
stream_begin(struct connection *connection)
{
    static const int on = 1;

    event_free(connection->connected);
    connection->connected = NULL;
    /* A cosmetic of speed: a refusal is no failure. */
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on,
                     sizeof(on));
    connection->stream = stream_new(connection->feeder->base, connection->fd,
                                    on_stream, connection);
    connection->woken = true;
    state_enter(connection, connection->feeder->peer->tls == PEER_TLS_IMPLICIT
                                ? STATE_SECURE
                                : STATE_GREETING);
}

static void
on_connected(evutil_socket_t fd, short what, void *context)
{
    struct connection *connection = context;
    int error = 0;
    socklen_t size = sizeof(error);

    (void)what;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error == 0) {
        stream_begin(connection);
        return;
    }
    event_free(connection->connected);
    connection->connected = NULL;
    close(connection->fd);
    connection->fd = -1;
    connection->connect_error = error;
    connection->woken = true;
}

/* Begin to connect to the next address that takes it. */
static void
address_try(struct connection *connection, int error)
{
    while (connection->next != NULL) {
        const struct addrinfo *address = connection->next;

        connection->next = address->ai_next;
        connection->fd =
            socket(address->ai_family,
                   address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                   address->ai_protocol);
        if (connection->fd >= 0
            && (connect(connection->fd, address->ai_addr, address->ai_addrlen)
                    == 0
                || errno == EINPROGRESS)) {
            connection->connected =
                event_new(connection->feeder->base, connection->fd, EV_WRITE,
                          on_connected, connection);
            event_add(connection->connected, NULL);
            connection->connect_error = 0;
            state_enter(connection, STATE_CONNECTING);
            return;
        }
        error = errno;
        if (connection->fd >= 0)
            close(connection->fd);
        connection->fd = -1;
    }
    connection_fail(connection, "cannot connect: %s", strerror(error));
}

static void
lookup_look(struct connection *connection)
{
    struct lookup *lookup = connection->lookup;
    int error = gai_error(&lookup->request);

    if (error == EAI_INPROGRESS)
        return;
    connection->lookup = NULL;
    if (error == 0)
        connection->addresses = lookup->request.ar_result;
    lookup_free(lookup);
    if (error != 0) {
        connection_fail(connection, "cannot find its address: %s",
                        gai_strerror(error));
        return;
    }
    connection->next = connection->addresses;
    address_try(connection, EADDRNOTAVAIL);
}

void
connection_open(struct connection *connection)
{
    const struct config_peer *peer = connection->feeder->peer;
    struct lookup *lookup = xcalloc(1, sizeof(*lookup));
    int error;

    lookup->host = xstrdup(peer->host);
    snprintf(lookup->port, sizeof(lookup->port), "%u", (unsigned)peer->port);
    lookup->hints.ai_socktype = SOCK_STREAM;
    lookup->request.ar_name = lookup->host;
    lookup->request.ar_service = lookup->port;
    lookup->request.ar_request = &lookup->hints;
    lookup->list[0] = &lookup->request;
    connection->woken = true;
    connection->octets = 0;
    state_enter(connection, STATE_LOOKUP);
    /* A numeric address needs no thread. */
    lookup->hints.ai_flags = AI_NUMERICHOST;
    if (getaddrinfo(lookup->host, lookup->port, &lookup->hints,
                    &connection->addresses)
        == 0) {
        lookup_free(lookup);
        connection->next = connection->addresses;
        return;
    }
    lookup->hints.ai_flags = AI_ADDRCONFIG;
    error = getaddrinfo_a(GAI_NOWAIT, lookup->list, 1, NULL);
    if (error == 0)
        connection->lookup = lookup;
    else
        lookup_free(lookup);
}

bool
connection_is_up(const struct connection *connection)
{
    return connection->state != STATE_DOWN;
}

const char *
connection_tls(const struct connection *connection)
{
    const struct tls *tls = stream_tls(connection->stream);

    return tls == NULL ? "none" : tls_description(tls);
}

/* --- output --- */

struct evbuffer *
connection_output(struct connection *connection)
{
    return stream_output(connection->stream);
}

bool
connection_is_full(struct connection *connection)
{
    return stream_is_full(connection->stream);
}

void
connection_flush(struct connection *connection)
{
    if (connection->stream == NULL)
        return;
    stream_flush(connection->stream);
    /* No event tells of a write that failed: the next run does. */
    if (stream_has_failed(connection->stream))
        connection->woken = true;
}

void
connection_want_article(struct connection *connection, size_t octets_max)
{
    connection->in_article = true;
    connection->scanner = (struct wire_scanner){0};
    connection->article_max = octets_max;
    connection->article_long = false;
    buffer_clear(&connection->article);
}

void
connection_expect(struct connection *connection, bool expect)
{
    if (expect && !connection->expect)
        connection->since_ms = connection->feeder->now_ms;
    connection->expect = expect;
}

/* --- the first exchanges --- */

static void
say(struct connection *connection, const char *command, const char *argument)
{
    /* Room can only be lacking when there is no memory, which ends us. */
    (void)evbuffer_add_printf(connection_output(connection), "%s%s\r\n",
                              command, argument);
}

static void
become_ready(struct connection *connection)
{
    state_enter(connection, STATE_UP);
    connection->owner->ready(connection->context);
}

static void
refused(struct connection *connection, const char *what,
        const struct response *response)
{
    connection_fail(connection, "%s: %u %.*s", what, response->code,
                    (int)response->octets, response->text);
}

static void
log_in(struct connection *connection)
{
    const struct config_peer *peer = connection->feeder->peer;

    if (peer->username[0] == '\0') {
        become_ready(connection);
    } else {
        say(connection, "AUTHINFO USER ", peer->username);
        state_enter(connection, STATE_USER);
    }
}

static void
take_greeting(struct connection *connection, const struct response *response)
{
    if (response->code != 200 && response->code != 201) {
        refused(connection, "it does not serve us", response);
    } else if (connection->feeder->peer->tls == PEER_TLS_STARTTLS) {
        say(connection, "STARTTLS", "");
        state_enter(connection, STATE_STARTTLS);
    } else {
        log_in(connection);
    }
}

static void
take_starttls(struct connection *connection, const struct response *response)
{
    connection_flush(connection);
    if (response->code != 382)
        refused(connection, "it speaks no TLS", response);
    else if (stream_unsent(connection->stream) > 0)
        connection_fail(connection, "it answers what was not asked yet");
    else
        secure(connection);
}

static void
take_login(struct connection *connection, const struct response *response)
{
    if (response->code == 281) {
        become_ready(connection);
    } else if (response->code == 381 && connection->state == STATE_USER) {
        say(connection, "AUTHINFO PASS ", connection->feeder->peer->password);
        state_enter(connection, STATE_PASSWORD);
    } else {
        refused(connection, "login refused", response);
    }
}

static void
take_response(struct connection *connection, const struct response *response)
{
    struct buffer why = BUFFER_EMPTY;

    switch (connection->state) {
    case STATE_GREETING:
        take_greeting(connection, response);
        break;
    case STATE_STARTTLS:
        take_starttls(connection, response);
        break;
    case STATE_USER:
    case STATE_PASSWORD:
        take_login(connection, response);
        break;
    case STATE_UP:
        if (connection->owner->response(connection->context, response, &why)
            < 0)
            connection_fail(connection, "%s", buffer_text(&why));
        break;
    case STATE_DOWN:
    case STATE_LOOKUP:
    case STATE_CONNECTING:
    case STATE_SECURE:
    case STATE_SECURING:
        break;
    }
    buffer_free(&why);
}

/* --- input --- */

/* 1: a line was taken, 0: none has come whole, -1: closed. */
static int
line_take(struct connection *connection)
{
    struct evbuffer *input = stream_input(connection->stream);
    size_t length = evbuffer_get_length(input);
    struct buffer why = BUFFER_EMPTY;
    struct response response;
    size_t octets;
    const char *line;
    char *copy;
    int status;

    if (length > RESPONSE_ENDLESS_OCTETS)
        length = RESPONSE_ENDLESS_OCTETS;
    if (length == 0)
        return 0;
    line = (const char *)evbuffer_pullup(input, (ev_ssize_t)length);
    octets = response_line_octets(line, length);
    if (octets == 0)
        return 0;
    copy = xmemdup(line, octets);
    (void)evbuffer_drain(input, octets); /* it has them */
    status = response_parse(&response, copy, octets, &why);
    if (status < 0)
        connection_fail(connection, "nonsense (%s): %.*s", buffer_text(&why),
                        octets > 80 ? 80 : (int)octets, copy);
    else
        take_response(connection, &response);
    free(copy);
    buffer_free(&why);
    return connection->state == STATE_DOWN ? -1 : 1;
}

/* 1: the article has ended, 0: more is to come. */
static int
article_take(struct connection *connection)
{
    struct evbuffer *input = stream_input(connection->stream);
    bool ended = false;

    while (!ended && evbuffer_get_length(input) > 0) {
        struct evbuffer_iovec piece;
        size_t octets;

        (void)evbuffer_peek(input, -1, NULL, &piece, 1); /* not empty */
        octets = wire_scan(&connection->scanner, piece.iov_base, piece.iov_len,
                           &ended);
        if (connection->article.used + octets > connection->article_max)
            connection->article_long = true;
        if (!connection->article_long)
            buffer_append(&connection->article, piece.iov_base, octets);
        (void)evbuffer_drain(input, octets); /* it has them */
    }
    if (!ended)
        return 0;
    connection->in_article = false;
    connection->owner->article(connection->context,
                               connection->article_long ? NULL
                                                        : &connection->article,
                               connection->scanner.faults);
    return 1;
}

/* The connection has failed or ended: in words. */
static void
stream_told(struct connection *connection)
{
    const char *why = stream_failure(connection->stream);

    if (why[0] != '\0')
        connection_fail(connection, "TLS: %s", why);
    else if (stream_has_failed(connection->stream))
        connection_fail(connection, "the connection broke");
    else
        connection_fail(connection, "it closed the connection");
}

static void
secured(struct connection *connection)
{
    if (stream_tls(connection->stream) == NULL
        || stream_has_failed(connection->stream))
        stream_told(connection);
    else if (connection->feeder->peer->tls == PEER_TLS_IMPLICIT)
        state_enter(connection, STATE_GREETING);
    else
        log_in(connection);
}

static void
input_run(struct connection *connection)
{
    int status = 1;

    if (connection->state == STATE_SECURE) {
        secure(connection);
        return;
    }
    if (connection->state == STATE_SECURING) {
        if (!stream_is_securing(connection->stream))
            secured(connection);
        return;
    }
    for (int i = 0; i < LINES_PER_RUN && status > 0; i++)
        status = connection->in_article ? article_take(connection)
                                        : line_take(connection);
    if (connection->state == STATE_DOWN)
        return;
    if (status > 0) {
        connection->woken = true;
        return;
    }
    if (stream_has_failed(connection->stream)
        || stream_has_ended(connection->stream))
        stream_told(connection);
}

void
connection_run(struct connection *connection)
{
    if (connection->woken && connection->state != STATE_DOWN) {
        connection->woken = false;
        if (connection->stream != NULL)
            input_run(connection);
        else if (connection->state == STATE_LOOKUP
                 && connection->addresses != NULL)
            address_try(connection, EADDRNOTAVAIL);
        else if (connection->connect_error != 0)
            address_try(connection, connection->connect_error);
    }
    connection_flush(connection);
}

/* --- time --- */

static bool
is_moving(struct connection *connection)
{
    uint64_t octets = stream_octets_read(connection->stream)
                      + stream_octets_written(connection->stream);
    bool moves = octets != connection->octets;

    connection->octets = octets;
    return moves;
}

void
connection_tick(struct connection *connection)
{
    uint64_t now_ms = connection->feeder->now_ms;
    uint64_t patience_ms =
        (uint64_t)connection->feeder->peer->responsetimeout * 1000;

    switch (connection->state) {
    case STATE_DOWN:
        return;
    case STATE_LOOKUP:
        if (connection->lookup != NULL)
            lookup_look(connection);
        else if (connection->addresses == NULL)
            connection_fail(connection, "its address cannot be looked up");
        return;
    case STATE_CONNECTING:
        if (now_ms > connection->since_ms + CONNECT_MS)
            connection_fail(connection, "cannot connect: no answer in %d s",
                            CONNECT_MS / 1000);
        return;
    case STATE_SECURE:
    case STATE_SECURING:
        if (now_ms > connection->since_ms + TLS_HANDSHAKE_MS)
            connection_fail(connection, "TLS: no handshake in %d s",
                            TLS_HANDSHAKE_MS / 1000);
        return;
    case STATE_GREETING:
    case STATE_STARTTLS:
    case STATE_USER:
    case STATE_PASSWORD:
    case STATE_UP:
        break;
    }
    if (connection->stream != NULL && is_moving(connection))
        connection->since_ms = now_ms;
    if ((connection->state != STATE_UP || connection->expect)
        && now_ms > connection->since_ms + patience_ms)
        connection_fail(connection, "no answer in %u s",
                        (unsigned)(patience_ms / 1000));
}
