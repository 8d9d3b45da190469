/*
 * session -- see session.h.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/util.h>

#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/command_line.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/stream.h"
#include "lib/tls.h"
#include "nnrpd/cmd.h"
#include "nnrpd/command.h"
#include "nnrpd/receive.h"
#include "nnrpd/sasl.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"

static void
session_stream_changed(void *context)
{
    session_wake(context);
}

/*
 * Answers leave at once, not when the client has acknowledged the one before;
 * and a client whose machine has vanished is found out within minutes.
 */
static void
socket_set_options(int fd)
{
    static const int on = 1, idle_s = 60, timeout_ms = 120 * 1000;

    /* A socketpair has none of these: the bridge's clients. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
                     sizeof timeout_ms);
}

/* --- who it is, and how it is reached --- */

bool
session_is_secure(const struct session *session)
{
    return stream_tls(session->stream) != NULL;
}

const struct tls_identity *
session_certificate(const struct session *session)
{
    struct tls *tls = stream_tls(session->stream);

    return tls == NULL ? NULL : tls_identity(tls);
}

static bool
session_reads_its_group(const struct session *session)
{
    size_t octets;
    const char *name =
        active_name(session->worker->active, session->group, &octets);

    return (session->access.rights & RIGHT_READ) != 0
           && access_reads_group(&session->access, name, octets);
}

void
session_evaluate(struct session *session)
{
    const struct config *config = session->worker->config;
    struct access_client client = {
        .address = session->address,
        .is_page = session->listener == LISTENER_BRIDGE,
        .secure = session_is_secure(session),
        .certificate = session_certificate(session),
        .user = session->account.user,
        .role = session->account.role,
        .moderates = session->account.moderates,
    };

    access_evaluate(&session->access, config, &client);
    session->generation = config->generation;
    usage_set(session);
    if (session->group != 0 && !session_reads_its_group(session)) {
        session->group = 0;
        session->number = 0;
    }
}

/* Before each command: a reload counts for those who are here already. */
static void
session_follow_config(struct session *session)
{
    if (session->generation != session->worker->config->generation)
        session_evaluate(session);
}

static void
session_greet(struct session *session)
{
    session->greeted = true;
    session_evaluate(session);
    if (session->worker->draining) {
        session_reply(session, "400 Server is shutting down");
        session_end(session);
    } else if (session->access.rights == 0 && session_denial(session) == 502) {
        session_reply(session, "502 You have no permission to talk to %s",
                      session->worker->config->pathhost);
        session_end(session);
    } else {
        cmd_greet(session);
    }
}

void
session_start_tls(struct session *session)
{
    session->securing = true;
    session->active_ms = session->worker->now_ms;
    stream_start_tls(session->stream, tls_accept(session->worker->tls,
                                                 stream_fd(session->stream)));
}

/* The handshake is done: after it nothing is known of what was before (RFC
   4642, 2.2.2), for anybody may have said it. */
static void
session_secured(struct session *session)
{
    session->securing = false;
    session->active_ms = session->worker->now_ms;
    debug("%s: %s", session_name(session),
          tls_description(stream_tls(session->stream)));
    if (!session->greeted) {
        session_greet(session);
        return;
    }
    free(session->login_name);
    session->login_name = NULL;
    login_account_free(&session->account);
    session->group = 0;
    session->number = 0;
    session->capable = false;
    session->bad_lines = 0;
    session_evaluate(session);
}

static void
session_handshake_failed(struct session *session)
{
    const char *why = stream_failure(session->stream);

    notice("%s: TLS handshake failed: %s", session_name(session),
           why[0] != '\0' ? why : "the client has gone");
    session->state = SESSION_DEAD;
}

/* The kernel has said who it is. */
static void
session_admit_local(struct session *session, const struct ipc_client *client)
{
    struct buffer why = BUFFER_EMPTY;

    session->account.user = xstrdup(client->user);
    session->account.role =
        client->trusted != 0 ? ACCESS_LOCAL_TRUSTED : ACCESS_LOCAL;
    session_evaluate(session);
    if (client->trusted == 0 && usage_login(session, &why) < 0) {
        session_reply(session, "400 %s", buffer_text(&why));
        session_end(session);
    } else {
        session_greet(session);
    }
    buffer_free(&why);
}

void
session_new(struct worker *worker, const struct ipc_client *client, int fd)
{
    struct session *session = xcalloc(1, sizeof *session);

    session->worker = worker;
    session->client = client->client;
    session->listener = client->listener;
    session->near = client->near != 0;
    memcpy(session->address, client->address, sizeof session->address - 1);
    session->active_ms = session->progress_ms = worker->now_ms;
    pending_init(&session->pending);
    TAILQ_INSERT_TAIL(&worker->sessions, session, all);
    worker->clients++;
    worker_count(worker, COUNTER_CLIENTS_NOW, 1);
    worker_count(worker, COUNTER_CLIENTS_SERVED, 1);
    socket_set_options(fd);
    session->stream =
        stream_new(worker->base, fd, session_stream_changed, session);
    if (client->listener == LISTENER_LOCAL)
        session_admit_local(session, client);
    else if (client->listener != LISTENER_TLS)
        session_greet(session);
    else if (worker->tls != NULL)
        session_start_tls(session);
    else
        session->state = SESSION_DEAD; /* a reload has just taken it away */
    session_wake(session);
}

static void
session_log_end(const struct session *session)
{
    if (session->received + session->refused + session->duplicates
            + session->posted + session->limited
        > 0)
        notice("%s: closed received=%" PRIu64 " posted=%" PRIu64
               " duplicates=%" PRIu64 " refused=%" PRIu64 " limited=%" PRIu64,
               session_name(session), session->received, session->posted,
               session->duplicates, session->refused, session->limited);
    else
        debug("%s: closed", session_name(session));
}

static void
session_work_free(struct session *session)
{
    void *work = session->work;

    session->work = NULL;
    if (work != NULL)
        session->work_kind->free(work);
}

static void
session_count_sent(struct session *session)
{
    uint64_t written = stream_octets_written(session->stream);

    worker_count(session->worker, COUNTER_OCTETS_SENT,
                 written - session->counted);
    if (written != session->counted)
        usage_charge(session, LIMIT_OCTETS, written - session->counted);
    session->counted = written;
}

void
session_free(struct session **session)
{
    struct session *gone = *session;
    struct worker *worker = gone->worker;

    *session = NULL;
    session_log_end(gone);
    session_count_sent(gone);
    usage_clear(gone);
    session_work_free(gone);
    receive_free(&gone->receive);
    pending_free(gone);
    stream_free(&gone->stream);
    access_free(&gone->access);
    login_account_free(&gone->account);
    free(gone->login_name);
    sasl_free(&gone->sasl);
    TAILQ_REMOVE(&worker->sessions, gone, all);
    if (gone->queue != NULL)
        TAILQ_REMOVE(gone->queue, gone, queue_entry);
    worker->clients--;
    worker_count(worker, COUNTER_CLIENTS_NOW, (uint64_t)-1);
    worker_client_gone(worker, gone->client);
    free(gone);
}

const char *
session_name(const struct session *session)
{
    static char name[320];

    if (session->access.peer != NULL)
        evutil_snprintf(name, sizeof name, "peer %s", session->access.peer);
    else if (session->access.user != NULL)
        evutil_snprintf(name, sizeof name, "client %s user=%s",
                        session->address, session->access.user);
    else
        evutil_snprintf(name, sizeof name, "client %s", session->address);
    return name;
}

/* --- replies --- */

void
session_write(struct session *session, const void *octets, size_t length)
{
    if (evbuffer_add(stream_output(session->stream), octets, length) < 0)
        session_abort(session, "no memory for a reply");
}

static void
session_vreply(struct session *session, const char *format, va_list args)
{
    struct buffer line = BUFFER_EMPTY;

    buffer_append_vformat(&line, format, args);
    buffer_append(&line, "\r\n", 2);
    session_write(session, line.data, line.used);
    buffer_free(&line);
}

void
session_reply(struct session *session, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    session_vreply(session, format, args);
    va_end(args);
}

void
session_reply_bad(struct session *session, const char *format, ...)
{
    va_list args;

    if (++session->bad_lines >= SESSION_BAD_LINES) {
        session_reply(session, "400 Too many unrecognized commands");
        session_end(session);
        return;
    }
    va_start(args, format);
    session_vreply(session, format, args);
    va_end(args);
}

const char *
session_reason(const char *why)
{
    static char reason[400];
    size_t i;

    for (i = 0; i < sizeof reason - 1 && why[i] != '\0'; i++)
        reason[i] = why[i] < ' ' || why[i] > '~' ? '?' : why[i];
    reason[i] = '\0';
    return reason;
}

bool
session_spend(struct session *session, unsigned rows)
{
    session->rows -= rows < session->rows ? rows : session->rows;
    if (session->rows + SESSION_TIMED_ROWS <= session->rows_timed) {
        session->rows_timed = session->rows;
        if (clock_ns() >= session->until_ns)
            session->rows = 0;
    }
    return session->rows == 0
           || evbuffer_get_length(stream_output(session->stream))
                  >= session->octets;
}

/* --- its life --- */

void
session_wake(struct session *session)
{
    struct worker *worker = session->worker;

    if (session->queue != NULL || session->running)
        return;
    session->queue = session->greedy ? &worker->busy : &worker->ready;
    TAILQ_INSERT_TAIL(session->queue, session, queue_entry);
}

void
session_end(struct session *session)
{
    if (session->state != SESSION_OPEN)
        return;
    session->state = SESSION_ENDING;
    session->lingers = true;
    session_wake(session);
}

void
session_abort(struct session *session, const char *why)
{
    if (session->state == SESSION_DEAD)
        return;
    notice("%s: closed: %s", session_name(session), why);
    session->state = SESSION_DEAD;
    session_wake(session);
}

void
session_begin(struct session *session, const struct work_kind *kind,
              void *work)
{
    session->work_kind = kind;
    session->work = work;
    session_wake(session);
}

void
session_drain(struct session *session)
{
    if (session->state != SESSION_OPEN || session->work != NULL
        || session->receive != NULL || session->pending.count > 0
        || session->securing) /* then it can be told why */
        return;
    session_reply(session, "400 Server is shutting down");
    session_end(session);
}

/* --- what it does in a turn: each returns whether to go on --- */

static bool
session_step_work(struct session *session)
{
    switch (session->work_kind->step(session->work)) {
    case STEP_DONE:
        session_work_free(session);
        session->active_ms = session->worker->now_ms;
        (void)session_spend(session, 1); /* asked at the next step */
        return true;
    case STEP_MORE:
        return true;
    case STEP_WAIT:
        break;
    }
    return false;
}

static bool
session_step_receive(struct session *session)
{
    struct receive *receive = session->receive;

    if (!receive_take(receive, stream_input(session->stream))) {
        /* An article without its end is no article: nobody waits for the
           answer either. */
        if (stream_has_ended(session->stream))
            session->state = SESSION_DEAD;
        return false;
    }
    session->receive = NULL;
    session->active_ms = session->worker->now_ms;
    receive->done(session, receive);
    receive_free(&receive);
    return true;
}

/* Find the first line; returns its octets or NULL. */
static const char *
session_line(struct session *session, size_t *octets_r)
{
    struct evbuffer *input = stream_input(session->stream);
    size_t length = evbuffer_get_length(input);
    size_t first = evbuffer_get_contiguous_space(input);
    const char *octets;

    if (length == 0)
        return NULL;
    octets = (const char *)evbuffer_pullup(input, (ev_ssize_t)first);
    *octets_r = command_line_octets(octets, first);
    if (*octets_r > 0 || first == length)
        return *octets_r > 0 ? octets : NULL;
    if (length > COMMAND_LINE_ENDLESS_OCTETS)
        length = COMMAND_LINE_ENDLESS_OCTETS;
    octets = (const char *)evbuffer_pullup(input, (ev_ssize_t)length);
    *octets_r = command_line_octets(octets, length);
    return *octets_r > 0 ? octets : NULL;
}

/* Has it had so much that its next command must wait, or is its last? */
static bool
session_has_had_enough(struct session *session)
{
    struct buffer why = BUFFER_EMPTY;
    uint64_t wait_ns;

    if (usage_wait(session, LIMIT_OCTETS, &why) > 0) {
        notice("%s: closed: %s", session_name(session), buffer_text(&why));
        session_reply(session, "400 %s", session_reason(buffer_text(&why)));
        session_end(session);
        buffer_free(&why);
        return true;
    }
    wait_ns = usage_take(session, LIMIT_COMMANDS, 1, &why);
    if (wait_ns > 0)
        session->held_until_ms =
            session->worker->now_ms + wait_ns / 1000000 + 1;
    buffer_free(&why);
    return wait_ns > 0;
}

/* A line of a SASL exchange, which is as secret as a password. */
static void
session_take_response(struct session *session, const char *octets,
                      size_t length)
{
    char *line = xmemdup(octets, length);

    explicit_bzero((void *)(uintptr_t)octets, length);
    evbuffer_drain(stream_input(session->stream), length);
    session->active_ms = session->worker->now_ms;
    (void)session_spend(session, 1); /* asked at the next step */
    sasl_respond(session, line, length);
    explicit_bzero(line, length);
    free(line);
}

static bool
session_step_command(struct session *session)
{
    struct evbuffer *input = stream_input(session->stream);
    struct command_line line;
    const char *octets;
    size_t length;
    bool secret;

    if (session->worker->draining && session->pending.count == 0) {
        session_drain(session);
        return false;
    }
    if (login_is_stale(session)) {
        if (session->pending.count > 0)
            return false;
        login_again(session);
        return true;
    }
    octets = session_line(session, &length);
    if (octets == NULL) {
        if (session->pending.count > 0)
            return false;
        if (evbuffer_get_length(input) >= COMMAND_LINE_ENDLESS_OCTETS) {
            session_reply(session, "400 Line without an end");
            session_end(session);
        } else if (stream_has_ended(session->stream)) {
            session->state = SESSION_ENDING;
        }
        return false;
    }
    session_follow_config(session);
    if (session->sasl != NULL) {
        session_take_response(session, octets, length);
        return true;
    }
    command_line_parse(&line, octets, length);
    if (!command_may_begin(session, &line) || session_has_had_enough(session))
        return false;
    secret = command_is_secret(&line);
    if (secret)
        explicit_bzero((void *)(uintptr_t)octets, length);
    evbuffer_drain(input, length);
    session->commanded = true;
    session->active_ms = session->worker->now_ms;
    (void)session_spend(session, 1); /* asked at the next step */
    command_dispatch(session, &line);
    if (secret)
        explicit_bzero(&line, sizeof line);
    return true;
}

static bool
session_step(struct session *session)
{
    if (session->securing && !stream_is_securing(session->stream)) {
        if (stream_tls(session->stream) == NULL
            || stream_has_failed(session->stream))
            session_handshake_failed(session);
        else
            session_secured(session);
    }
    if (session->state != SESSION_OPEN || session->securing
        || stream_has_failed(session->stream)
        || session->held_until_ms > session->worker->now_ms)
        return false;
    session->held_until_ms = 0;
    session->blocked = stream_is_full(session->stream);
    if (session->blocked)
        return false;
    if (session_spend(session, 0)) {
        session->again = true;
        return false;
    }
    if (session->work != NULL)
        return session_step_work(session);
    if (session->receive != NULL)
        return session_step_receive(session);
    return session_step_command(session);
}

/* All is sent, or nobody will read it: how the connection closes. */
static void
session_settle(struct session *session)
{
    struct evbuffer *input = stream_input(session->stream);

    if (session->state == SESSION_ENDING && session->pending.count == 0
        && stream_unsent(session->stream) == 0) {
        session->state = SESSION_DEAD;
        if (session->lingers && !stream_has_ended(session->stream)) {
            stream_shutdown(session->stream);
            session->state = SESSION_LINGERING;
            session->active_ms = session->worker->now_ms;
        }
    }
    if (session->state == SESSION_LINGERING) {
        evbuffer_drain(input, evbuffer_get_length(input));
        if (stream_has_ended(session->stream))
            session->state = SESSION_DEAD;
    }
    if (stream_has_failed(session->stream) && session->state != SESSION_DEAD) {
        const char *why = stream_failure(session->stream);

        if (why[0] != '\0')
            notice("%s: closed: %s", session_name(session), why);
        session->state = SESSION_DEAD;
    }
}

static bool
session_wants_input(struct session *session)
{
    if (session->state == SESSION_LINGERING)
        return true;
    return session->state == SESSION_OPEN && !session->blocked
           && !session->starved && session->held_until_ms == 0
           && evbuffer_get_length(stream_input(session->stream))
                  < SESSION_INPUT_OCTETS;
}

void
session_run(struct session *session)
{
    session->running = true;
    session->again = session->blocked = session->starved = false;
    session->rows = session->rows_timed = SESSION_ROWS;
    session->until_ns = session->worker->clock_ns + SESSION_NS;
    session->octets =
        evbuffer_get_length(stream_output(session->stream)) + SESSION_OCTETS;
    while (session_step(session))
        continue;
    session->greedy = session_spend(session, 0);
    if (session->state != SESSION_DEAD)
        stream_flush(session->stream);
    session_count_sent(session);
    session_settle(session);
    session->running = false;
    if (session->state == SESSION_DEAD) {
        session_free(&session);
        return;
    }
    stream_want_input(session->stream, session_wants_input(session));
    if (session->again
        || (session->blocked && !stream_is_full(session->stream)))
        session_wake(session);
}

/* --- time-outs --- */

static bool
session_is_stalled(struct session *session, uint64_t now_ms)
{
    uint64_t written = stream_octets_written(session->stream);

    if (written != session->written || stream_unsent(session->stream) == 0) {
        session->written = written;
        session->progress_ms = now_ms;
    }
    return now_ms > session->progress_ms + SESSION_STALLED_MS;
}

static bool
session_is_idle(const struct session *session, uint64_t now_ms)
{
    const struct config *config = session->worker->config;
    int64_t timeout =
        session->commanded ? config->clienttimeout : config->initialtimeout;

    return session->work == NULL && session->pending.count == 0
           && stream_unsent(session->stream) == 0
           && now_ms > session->active_ms + (uint64_t)timeout * 1000;
}

static void
session_end_receive(struct session *session)
{
    static const char text[] = "400 Article comes too slowly";
    struct pending_reply *reply = session->receive->reply;

    if (reply == NULL) {
        session_reply(session, text);
    } else {
        reply->closes = true;
        pending_know(reply, text);
    }
    session_end(session);
}

void
session_tick(struct session *session)
{
    uint64_t now_ms = session->worker->now_ms;

    if (session->state == SESSION_LINGERING) {
        if (now_ms > session->active_ms + SESSION_LINGER_MS)
            session_free(&session);
        return;
    }
    if (session_is_stalled(session, now_ms)) {
        session_abort(session, "takes no more of its output");
    } else if (session->state != SESSION_OPEN) {
        return;
    } else if (session->securing) {
        if (now_ms > session->active_ms + TLS_HANDSHAKE_MS)
            session_abort(session, "TLS handshake takes too long");
    } else if (session->held_until_ms > 0) {
        if (session->held_until_ms <= now_ms)
            session_wake(session);
    } else if (session->receive != NULL) {
        if (receive_is_stalled(session->receive, now_ms))
            session_end_receive(session);
    } else if (session_is_idle(session, now_ms)) {
        session_reply(session, "400 Timeout, closing connection");
        session_end(session);
    }
}
