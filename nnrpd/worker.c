/*
 * worker -- see worker.h.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/buffer.h"
#include "lib/child.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/config_credentials.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/login_link.h"
#include "lib/memory.h"
#include "lib/sandbox.h"
#include "lib/tls_context.h"
#include "nnrpd/finder.h"
#include "nnrpd/packed.h"
#include "nnrpd/ready_list.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"
#include "storage/active.h"
#include "storage/overview.h"
#include "storage/spool_reader.h"

/* --- ending --- */

static void
worker_drain(struct worker *worker, unsigned at_most_ms)
{
    struct session *session;
    uint64_t until_ms = clock_ms() + at_most_ms;

    if (!worker->draining || until_ms < worker->drain_until_ms)
        worker->drain_until_ms = until_ms;
    worker->draining = true;
    /* A wrong password may wait for its answer longer than we may. */
    login_link_give_up(worker->auth);
    for (session = TAILQ_FIRST(&worker->sessions); session != NULL;
         session = TAILQ_NEXT(session, all))
        session_drain(session);
}

/*
 * Another process is to serve on.  The master says IPC_DRAIN when it sends us
 * no more clients: one that is on its way to us is no client turned away.
 */
static void
worker_retire(struct worker *worker)
{
    struct ipc_load load = {.clients = worker->clients, .retires = 1};

    if (!worker->retires && worker->control != NULL)
        ipc_send(worker->control, IPC_LOAD, &load, sizeof load, -1);
    worker->retires = true;
}

static void
worker_terminated(evutil_socket_t signal_number, short events, void *context)
{
    (void)signal_number;
    (void)events; /* one signal is registered */
    worker_retire(context);
}

static bool
worker_has_ended(const struct worker *worker)
{
    return worker->draining
           && (TAILQ_EMPTY(&worker->sessions)
               || (uint64_t)clock_ms() > worker->drain_until_ms);
}

/* --- TLS --- */

/* What the configuration says of it now, for connections from now on.  Its
   files are wiped: the keys lie where they are safe. */
static void
worker_take_tls(struct worker *worker)
{
    struct buffer why = BUFFER_EMPTY;
    struct tls_context *tls = tls_context_server(worker->config, &why);

    config_forget_credentials(worker->config);
    if (why.used > 0) {
        /* The master has looked at the same octets. */
        warn("TLS stays as it was: %s", buffer_text(&why));
        buffer_free(&why);
        return;
    }
    tls_context_free(&worker->tls);
    worker->tls = tls;
    if (tls != NULL)
        tls_context_set_tickets(tls, &worker->tickets);
}

/* --- what the master says --- */

static void
control_config(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct worker *worker = context;

    (void)ipc; /* there is one */
    if (!child_config_renew(&worker->config, frame->descriptor))
        return;
    worker_take_tls(worker);
}

static void
control_tickets(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct worker *worker = context;

    (void)ipc; /* there is one */
    memcpy(&worker->tickets, frame->payload, sizeof(worker->tickets));
    if (worker->tls != NULL)
        tls_context_set_tickets(worker->tls, &worker->tickets);
}

static void
control_drain(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    (void)ipc;
    (void)frame; /* says no more than its type */
    worker_drain(context, WORKER_DRAIN_MS);
}

static void
control_client(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    (void)ipc; /* there is one */
    session_new(context, frame->payload, frame->descriptor);
}

static void
control_writer(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct worker *worker = context;
    const struct ipc_link *link = frame->payload;

    (void)ipc; /* there is one */
    if (link->kind == LINK_FEED || link->kind == LINK_POST)
        writer_link_connect(worker->writer, link->kind, frame->descriptor);
    else
        (void)close(frame->descriptor); /* nothing was written to it */
}

static void
control_auth(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct worker *worker = context;

    (void)ipc; /* there is one */
    login_link_connect(worker->auth, frame->descriptor);
}

/* The master has gone: so do we, soon. */
static void
control_closed(void *context, struct ipc *ipc, const char *why)
{
    struct worker *worker = context;

    notice("master has gone: %s", why);
    ipc_free(&ipc);
    worker->control = NULL;
    worker_drain(worker, WORKER_ORPHAN_MS);
}

static const struct ipc_handler handlers[] = {
    /* type      payload                    exact  fd     handler */
    {IPC_CONFIG, 0, true, true, control_config},
    {IPC_DRAIN, 0, true, false, control_drain},
    {IPC_CLIENT, sizeof(struct ipc_client), true, true, control_client},
    {IPC_WRITER, sizeof(struct ipc_link), true, true, control_writer},
    {IPC_AUTH, sizeof(struct ipc_link), true, true, control_auth},
    {IPC_TICKETS, sizeof(struct tls_tickets), true, false, control_tickets},
};

void
worker_client_gone(struct worker *worker, uint64_t client)
{
    struct ipc_load load = {.closed = client, .clients = worker->clients};

    if (worker->control != NULL)
        ipc_send(worker->control, IPC_LOAD, &load, sizeof load, -1);
}

/* --- opening --- */

/*
 * The overview is there when the writer has made it, at the first start of
 * all: until then it is tried again.
 */
static void
worker_open_store(evutil_socket_t fd, short events, void *context)
{
    struct worker *worker = context;
    const struct config *config = worker->config;
    struct buffer why = BUFFER_EMPTY;

    (void)fd;
    (void)events; /* a timer has neither */
    if (atomic_load(&worker->shared->writer_ready) != 0)
        worker->overview =
            overview_reader_open(config->overview, config->pathoverview,
                                 worker->active, worker->base, &why);
    if (worker->overview == NULL) {
        if (why.used > 0)
            debug("overview: %s", why.data);
        buffer_free(&why);
        return;
    }
    event_free(worker->opening);
    worker->opening = NULL;
    if (worker->control == NULL)
        return;
    ipc_send(worker->control, IPC_READY, NULL, 0, -1);
    debug("ready");
}

/* Octets that are this process's alone; 0 when the kernel does not tell. */
static uint64_t
memory_own_octets(void)
{
    static const char name[] = "\nRssAnon:";
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    const char *at;

    if (fd >= 0)
        (void)close(fd); /* nothing was written to it */
    if (got <= 0)
        return 0;
    text[got] = '\0';
    at = strstr(text, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10) * 1024;
}

/*
 * What clients had that have gone, and the articles that were sent, lies in
 * pieces all over the heap: only so does the system get it back.  It takes a
 * few milliseconds, so it is not done for little, nor again and again for
 * pieces too small to be given back.  Returns what is left.
 */
static uint64_t
worker_give_memory_back(struct worker *worker, uint64_t octets)
{
    struct mallinfo2 heap = mallinfo2();
    uint64_t used = heap.uordblks + heap.hblkhd;
    uint64_t unused = octets > used ? octets - used : 0;

    if (unused < worker->memory_unused)
        worker->memory_unused = unused;
    if (unused < worker->memory_unused + WORKER_UNUSED_OCTETS)
        return octets;
    (void)malloc_trim(0); /* nothing to give: nothing lost */
    octets = memory_own_octets();
    worker->memory_unused = octets > used ? octets - used : 0;
    return octets;
}

/* Whatever has taken it, a leak or a flood: it ends with the process, and
   another one serves on. */
static void
worker_watch_memory(struct worker *worker)
{
    uint64_t octets;

    if (worker->draining || worker->retires
        || worker->now_ms < worker->memory_seen_ms + WORKER_MEMORY_MS)
        return;
    worker->memory_seen_ms = worker->now_ms;
    octets = worker_give_memory_back(worker, memory_own_octets());
    if (octets <= (uint64_t)worker->config->worker_memory_octets)
        return;
    warn("has %" PRIu64 " octets of memory, more than worker_memory_octets, "
         "and makes room for another process clients=%u",
         octets, worker->clients);
    worker_retire(worker);
}

static void
worker_tick(evutil_socket_t fd, short events, void *context)
{
    struct worker *worker = context;
    struct session *session, *next;

    (void)fd;
    (void)events; /* a timer has neither */
    worker->now_ms = clock_ms();
    writer_link_tick(worker->writer);
    login_link_tick(worker->auth);
    for (session = TAILQ_FIRST(&worker->sessions); session != NULL;
         session = next) {
        next = TAILQ_NEXT(session, all);
        session_tick(session);
    }
    worker_watch_memory(worker);
}

static void
worker_map(struct worker *worker, const struct child_arguments *arguments)
{
    struct buffer why = BUFFER_EMPTY;

    worker->config = child_config_inherit();
    worker->shared = shared_map(CHILD_SHARED_FD);
    worker->slot = &worker->shared->slots[arguments->slot % SHARED_SLOTS];
    worker->number = arguments->worker % LIMIT_WORKERS;
    /* Whoever had the slot before us may have died with clients. */
    limit_forget_worker(&worker->shared->limits, worker->number);
    atomic_store(&worker->slot->counters[COUNTER_CLIENTS_NOW], 0);
    worker->active = active_map(CHILD_ACTIVE_FD, false, &why);
    if (worker->active == NULL)
        die(EXIT_SOFTWARE, "table of groups: %s", buffer_text(&why));
    (void)close(CHILD_ACTIVE_FD); /* it is mapped */
}

void
worker_init(struct worker *worker)
{
    *worker = (struct worker){0};
    TAILQ_INIT(&worker->sessions);
    TAILQ_INIT(&worker->ready);
    TAILQ_INIT(&worker->busy);
}

void
worker_open(struct worker *worker, const struct child_arguments *arguments)
{
    static const struct timeval second = {1, 0}, moment = {0, 50000};

    worker_init(worker);
    worker_map(worker, arguments);
    sandbox_enter(SANDBOX_NNRPD, worker->config);
    tls_secure_memory();
    worker_take_tls(worker);
    worker->now_ms = clock_ms();
    worker->base = event_base_new();
    if (worker->base == NULL)
        die(EXIT_SYSTEM, "no event loop");
    worker->spool = spool_reader_new(worker->config->pathspool, worker->base);
    worker->writer = writer_link_new(worker);
    worker->finder = finder_new(worker);
    worker->packed = packed_new(worker->active);
    worker->ready_lists = ready_lists_new(worker->active);
    worker->auth = login_link_new(worker->base, "auth");
    worker->control =
        ipc_new(worker->base, CHILD_CONTROL_FD, handlers,
                sizeof handlers / sizeof handlers[0], control_closed, worker);
    worker->tick =
        event_new(worker->base, -1, EV_PERSIST, worker_tick, worker);
    event_add(worker->tick, &second);
    worker->terminated =
        evsignal_new(worker->base, SIGTERM, worker_terminated, worker);
    event_add(worker->terminated, NULL);
    worker->opening =
        event_new(worker->base, -1, EV_PERSIST, worker_open_store, worker);
    event_add(worker->opening, &moment);
    event_active(worker->opening, EV_TIMEOUT, 0); /* and at once */
}

/* --- turns --- */

void
worker_submitted(struct worker *worker, size_t more, size_t less)
{
    struct session *session;

    worker->submitted_octets += more;
    worker->submitted_octets -= less;
    if (!worker->feeders_wait
        || worker->submitted_octets >= WORKER_SUBMITTED_OCTETS_MAX)
        return;
    worker->feeders_wait = false;
    for (session = TAILQ_FIRST(&worker->sessions); session != NULL;
         session = TAILQ_NEXT(session, all))
        if (session->starved)
            session_wake(session);
}

/*
 * Each session that is in the queue now runs once, while there is time: who
 * has more to do is in a queue again, behind the others.  At least one runs.
 */
static void
worker_run_queue(struct worker *worker, struct session_list *queue,
                 uint64_t until_ns)
{
    const struct session *last = TAILQ_LAST(queue, session_list);
    struct session *session;
    bool goes_on = last != NULL;

    while (goes_on) {
        session = TAILQ_FIRST(queue);
        goes_on = session != last;
        TAILQ_REMOVE(queue, session, queue_entry);
        session->queue = NULL;
        session_run(session);
        worker->clock_ns = clock_ns();
        goes_on = goes_on && worker->clock_ns < until_ns;
    }
}

static void
worker_run_sessions(struct worker *worker)
{
    uint64_t begun_ns = worker->clock_ns;

    worker_run_queue(worker, &worker->ready, begun_ns + WORKER_TURN_NS);
    worker_run_queue(worker, &worker->busy, begun_ns + WORKER_TURN_NS);
    if (worker->clock_ns > begun_ns + WORKER_TURN_LONG_NS)
        worker_count(worker, COUNTER_LONG_TURNS, 1);
}

void
worker_turn(struct worker *worker, bool wait)
{
    int flags = EVLOOP_ONCE;

    if (!wait || !TAILQ_EMPTY(&worker->ready) || !TAILQ_EMPTY(&worker->busy))
        flags |= EVLOOP_NONBLOCK;
    if (event_base_loop(worker->base, flags) < 0)
        die(EXIT_SYSTEM, "event loop failed");
    worker->clock_ns = clock_ns();
    worker->now_ms = worker->clock_ns / 1000000;
    worker_run_sessions(worker);
    writer_link_turn_ended(worker->writer);
    packed_turn_ended(worker->packed);
    ready_lists_turn_ended(worker->ready_lists);
    if (worker->overview != NULL)
        overview_reader_turn_ended(worker->overview);
    atomic_fetch_add_explicit(&worker->slot->loops, 1, memory_order_relaxed);
}

void
worker_serve(struct worker *worker)
{
    while (!worker_has_ended(worker))
        worker_turn(worker, true);
}

void
worker_close(struct worker *worker)
{
    struct session *session;

    while ((session = TAILQ_FIRST(&worker->sessions)) != NULL)
        session_free(&session);
    if (worker->opening != NULL)
        event_free(worker->opening);
    event_free(worker->tick);
    event_free(worker->terminated);
    ipc_free(&worker->control);
    login_link_free(&worker->auth);
    ready_lists_free(&worker->ready_lists);
    packed_free(&worker->packed);
    finder_free(&worker->finder);
    writer_link_free(&worker->writer);
    overview_reader_close(&worker->overview);
    spool_reader_free(&worker->spool);
    event_base_free(worker->base);
    active_close(&worker->active);
    tls_context_free(&worker->tls);
    config_free(&worker->config);
}
