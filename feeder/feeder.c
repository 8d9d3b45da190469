/*
 * feeder -- see feeder.h.
 */
#include "feeder/feeder.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "feeder/backlog.h"
#include "feeder/pull.h"
#include "feeder/push.h"
#include "feeder/submit.h"
#include "lib/buffer.h"
#include "lib/child.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/config_credentials.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sandbox.h"
#include "lib/tls_context.h"
#include "storage/active.h"
#include "storage/overview.h"
#include "storage/spool_reader.h"

uint64_t
feeder_pause_ms(unsigned failures)
{
    uint64_t pause = FEEDER_PAUSE_FIRST_MS;

    while (failures-- > 1 && pause < FEEDER_PAUSE_MOST_MS)
        pause *= 2;
    return pause < FEEDER_PAUSE_MOST_MS ? pause : FEEDER_PAUSE_MOST_MS;
}

bool
feeder_tells(unsigned failures)
{
    return failures <= 4 || (failures & (failures - 1)) == 0;
}

/* --- ending --- */

static void
feeder_drain(struct feeder *feeder, unsigned at_most_ms)
{
    uint64_t until_ms = clock_ms() + at_most_ms;

    if (!feeder->draining || until_ms < feeder->drain_until_ms)
        feeder->drain_until_ms = until_ms;
    feeder->draining = true;
}

static void
on_terminated(evutil_socket_t signal_number, short events, void *context)
{
    (void)signal_number;
    (void)events; /* one signal is registered */
    feeder_drain(context, FEEDER_DRAIN_MS);
}

static bool
feeder_has_ended(const struct feeder *feeder)
{
    return feeder->draining
           && (feeder->push == NULL || push_drained(feeder->push)
               || feeder->now_ms > feeder->drain_until_ms);
}

/* --- TLS --- */

/* What the configuration says of it now, for connections from now on. */
static void
feeder_take_tls(struct feeder *feeder)
{
    struct buffer why = BUFFER_EMPTY;

    tls_context_free(&feeder->tls);
    if (feeder->peer->tls != PEER_TLS_NONE)
        feeder->tls = tls_context_peer(feeder->config, feeder->peer, &why);
    if (why.used > 0)
        /* The master has looked at the same octets. */
        warn("peer %s: TLS cannot be used: %s", feeder->name,
             buffer_text(&why));
    buffer_free(&why);
    config_forget_credentials(feeder->config);
}

/* --- what the master says --- */

static bool
peer_is_same(const struct config_peer *one, const struct config_peer *other)
{
    struct buffer a = BUFFER_EMPTY, b = BUFFER_EMPTY;
    bool same;

    config_print_peer(one, &a);
    config_print_peer(other, &b);
    same = a.used == b.used && memcmp(a.data, b.data, a.used) == 0;
    buffer_free(&a);
    buffer_free(&b);
    return same;
}

static void
control_config(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct feeder *feeder = context;
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_from_memfd(frame->descriptor, &why);
    struct config *old = feeder->config;
    const struct config_peer *peer;
    bool same;

    (void)ipc; /* there is one */
    peer = config == NULL ? NULL : config_find_peer(config, feeder->name);
    if (peer == NULL) {
        /* Without a section the master ends us, next. */
        if (config == NULL)
            warn("new configuration: %s", buffer_text(&why));
        config_free(&config);
        buffer_free(&why);
        return;
    }
    same = peer_is_same(feeder->peer, peer);
    feeder->config = config;
    feeder->peer = peer;
    log_set_level((enum log_level)config->log_level);
    feeder_take_tls(feeder);
    if (!same && feeder->push != NULL) {
        push_restart(feeder->push);
        pull_restart(feeder->pull);
    }
    config_free(&old);
}

static void
control_drain(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    (void)ipc;
    (void)frame; /* says no more than its type */
    feeder_drain(context, FEEDER_DRAIN_MS);
}

/* "begin" is the one command that there is. */
static void
control_command(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct feeder *feeder = context;

    (void)ipc;
    (void)frame;
    if (feeder->push == NULL)
        return;
    push_begin(feeder->push);
    pull_begin(feeder->pull);
}

static void
control_writer(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct feeder *feeder = context;

    (void)ipc; /* there is one */
    submit_connect(feeder->submit, frame->descriptor);
}

/* The master has gone: so do we, soon. */
static void
control_closed(void *context, struct ipc *ipc, const char *why)
{
    struct feeder *feeder = context;

    notice("master has gone: %s", why);
    ipc_free(&ipc);
    feeder->control = NULL;
    feeder_drain(feeder, FEEDER_ORPHAN_MS);
}

static const struct ipc_handler handlers[] = {
    /* type       payload                     exact  fd     handler */
    {IPC_CONFIG, 0, true, true, control_config},
    {IPC_DRAIN, 0, true, false, control_drain},
    {IPC_COMMAND, sizeof(struct ipc_command), false, false, control_command},
    {IPC_WRITER, sizeof(struct ipc_link), true, true, control_writer},
};

/* --- opening --- */

static void
directory_make(const char *path)
{
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        sysdie(EXIT_IO, "%s", path);
}

static void
feeder_map(struct feeder *feeder, const struct child_arguments *arguments)
{
    struct buffer why = BUFFER_EMPTY;

    feeder->config = child_config_inherit();
    feeder->name = xstrdup(arguments->peer);
    feeder->peer = config_find_peer(feeder->config, feeder->name);
    if (feeder->peer == NULL)
        die(EXIT_TEMPORARY, "peer %s: has gone", feeder->name);
    feeder->since = arguments->since;
    feeder->shared = shared_map(CHILD_SHARED_FD);
    feeder->slot = &feeder->shared->slots[arguments->slot % SHARED_SLOTS];
    feeder->active = active_map(CHILD_ACTIVE_FD, false, &why);
    if (feeder->active == NULL)
        die(EXIT_SOFTWARE, "table of groups: %s", buffer_text(&why));
    (void)close(CHILD_ACTIVE_FD); /* it is mapped */
}

/* What needs the writer to have made the store. */
static void
feeder_open_store(struct feeder *feeder)
{
    const struct config *config = feeder->config;
    struct buffer why = BUFFER_EMPTY;

    if (atomic_load(&feeder->shared->writer_ready) == 0)
        return;
    feeder->overview =
        overview_reader_open(config->overview, config->pathoverview,
                             feeder->active, feeder->base, &why);
    if (feeder->overview == NULL) {
        debug("overview: %s", buffer_text(&why));
        buffer_free(&why);
        return;
    }
    feeder->backlog = backlog_open(feeder, feeder->directory, feeder->since);
    feeder->push = push_new(feeder);
    feeder->pull = pull_new(feeder);
    if (feeder->control != NULL)
        ipc_send(feeder->control, IPC_READY, NULL, 0, -1);
    debug("ready");
}

static void
on_tick(evutil_socket_t fd, short events, void *context)
{
    struct feeder *feeder = context;

    (void)fd;
    (void)events; /* a timer has neither */
    feeder->now_ms = clock_ms();
    if (feeder->backlog == NULL && !feeder->draining)
        feeder_open_store(feeder);
    if (feeder->backlog == NULL)
        return;
    push_tick(feeder->push);
    pull_tick(feeder->pull);
    backlog_save(feeder->backlog);
}

void
feeder_open(struct feeder *feeder, const struct child_arguments *arguments)
{
    static const struct timeval tick = {0, FEEDER_TICK_MS * 1000};
    char *feeds;

    *feeder = (struct feeder){0};
    feeder_map(feeder, arguments);
    feeds = xasprintf("%s/feeds", feeder->config->pathdb);
    feeder->directory = xasprintf("%s/%s", feeds, feeder->name);
    directory_make(feeds);
    directory_make(feeder->directory);
    free(feeds);
    sandbox_enter(SANDBOX_FEEDER, feeder->config);
    tls_secure_memory();
    feeder_take_tls(feeder);
    feeder->now_ms = clock_ms();
    feeder->base = event_base_new();
    if (feeder->base == NULL)
        die(EXIT_SYSTEM, "no event loop");
    feeder->spool = spool_reader_new(feeder->config->pathspool, feeder->base);
    feeder->submit = submit_new(feeder->base);
    feeder->control = ipc_new(feeder->base, CHILD_CONTROL_FD, handlers,
                              sizeof(handlers) / sizeof(handlers[0]),
                              control_closed, feeder);
    feeder->tick = event_new(feeder->base, -1, EV_PERSIST, on_tick, feeder);
    event_add(feeder->tick, &tick);
    feeder->terminated =
        evsignal_new(feeder->base, SIGTERM, on_terminated, feeder);
    event_add(feeder->terminated, NULL);
}

/* --- turns --- */

static void
feeder_turn(struct feeder *feeder, bool *more)
{
    int flags = EVLOOP_ONCE;

    if (*more)
        flags |= EVLOOP_NONBLOCK;
    if (event_base_loop(feeder->base, flags) < 0)
        die(EXIT_SYSTEM, "event loop failed");
    feeder->now_ms = clock_ms();
    *more = false;
    if (feeder->backlog != NULL) {
        if (!feeder->draining)
            *more = backlog_pump(feeder->backlog);
        push_run(feeder->push);
        pull_run(feeder->pull);
        overview_reader_turn_ended(feeder->overview);
    }
    atomic_fetch_add_explicit(&feeder->slot->loops, 1, memory_order_relaxed);
}

void
feeder_serve(struct feeder *feeder)
{
    bool more = false;

    while (!feeder_has_ended(feeder))
        feeder_turn(feeder, &more);
}

void
feeder_close(struct feeder *feeder)
{
    pull_free(&feeder->pull);
    push_free(&feeder->push);
    backlog_close(&feeder->backlog);
    event_free(feeder->tick);
    event_free(feeder->terminated);
    ipc_free(&feeder->control);
    submit_free(&feeder->submit);
    overview_reader_close(&feeder->overview);
    spool_reader_free(&feeder->spool);
    event_base_free(feeder->base);
    active_close(&feeder->active);
    tls_context_free(&feeder->tls);
    config_free(&feeder->config);
    free(feeder->directory);
    free(feeder->name);
}
