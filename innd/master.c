#include "innd/master.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "innd/admin_master.h"
#include "innd/bridge_client.h"
#include "innd/client.h"
#include "innd/control.h"
#include "innd/daemon.h"
#include "innd/feed.h"
#include "innd/listener.h"
#include "innd/local.h"
#include "innd/moderation.h"
#include "innd/outside.h"
#include "innd/place.h"
#include "innd/watch.h"
#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/config_credentials.h"
#include "lib/ipc.h"
#include "lib/limit.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/shared.h"
#include "lib/tls_context.h"
#include "storage/active.h"

enum { WORKERS_PER_CORE = 2 };

/* --- clients --- */

static void
client_refuse(int fd, enum ipc_listener listener, const char *reason)
{
    struct buffer text = BUFFER_EMPTY;
    ssize_t sent;

    /* The master speaks no TLS. */
    if (listener == LISTENER_TLS) {
        close(fd);
        return;
    }

    buffer_append_format(&text, "400 %s\r\n", reason);
    sent = send(fd, text.data, text.used, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent; /* a courtesy: it is closed all the same */
    buffer_free(&text);
    close(fd);
}

/*
 * The ready worker with the fewest clients.  One whose socket does not take
 * what was sent before (it is busy, or the system has too many descriptors
 * under way) comes last.
 */
static struct process *
worker_choose(struct master *master)
{
    struct process *best = NULL;
    bool best_waits = false;

    for (size_t i = 1; i <= master->processes.workers; i++) {
        struct process *worker = &master->processes.rows[i];
        bool waits;

        if (worker->role != ROLE_NNRPD || worker->state != PROCESS_READY
            || worker->control == NULL)
            continue;
        waits = ipc_queued(worker->control) > 0;
        if (best == NULL || (best_waits && !waits)
            || (best_waits == waits && worker->clients < best->clients)) {
            best = worker;
            best_waits = waits;
        }
    }
    return best;
}

/* Who is refused may come back a thousand times a second: one line says how
   many came. */
static void
refusal_log(struct master *master, const char *address, const char *why)
{
    uint64_t now_ns = clock_ns();

    master->refused++;
    if (now_ns < master->refusals_told_ns
                     + MASTER_REFUSALS_SECONDS * UINT64_C(1000000000)
        && master->refusals_told_ns != 0)
        return;
    notice("client %s: refused count=%" PRIu64 " why=%s", address,
           master->refused, why);
    master->refused = 0;
    master->refusals_told_ns = now_ns;
}

/* To a worker, or away.  client has all but its number. */
static void
client_hand(struct master *master, int fd, struct ipc_client *client)
{
    struct process *worker = worker_choose(master);
    struct buffer why = BUFFER_EMPTY;

    if (worker == NULL)
        why_set(&why, "Server is busy, try again");
    if (worker == NULL
        || (client->trusted == 0
            && clients_refuse(master->clients, master->config, client->address,
                              &why))) {
        refusal_log(master, client->address, buffer_text(&why));
        client_refuse(fd, (enum ipc_listener)client->listener,
                      buffer_text(&why));
        buffer_free(&why);
        return;
    }
    client->client = clients_add(master->clients, master->config,
                                 client->address, worker->worker);
    worker->clients++;
    ipc_send(worker->control, IPC_CLIENT, client, sizeof(*client), fd);
}

static void
on_client(void *context, int fd, bool tls, const char *address, unsigned port)
{
    struct ipc_client client = {
        .listener = tls ? LISTENER_TLS : LISTENER_PLAIN,
        .port = port,
    };

    memcpy(client.address, address, strlen(address));
    client_hand(context, fd, &client);
}

/* A program of this machine: as one that comes over the loopback, but known.
 */
static void
on_local(void *context, int fd, const struct local_user *user)
{
    struct ipc_client client = {
        .listener = LISTENER_LOCAL,
        .address = "127.0.0.1",
        .trusted = user->trusted,
    };

    memcpy(client.user, user->name, sizeof(client.user));
    client_hand(context, fd, &client);
}

static void
on_bridge(void *context, struct process *process,
          const struct ipc_bridge *client, int fd)
{
    struct master *master = context;
    struct ipc_client ours = {.listener = LISTENER_BRIDGE,
                              .port = client->port,
                              .near = client->near};

    if (!bridge_client_is_good(client, fd)) {
        warn("%s: pid %d sent no client but something else, and is killed",
             process_name(process), (int)process->pid);
        close(fd);
        process_kill(process, SIGKILL);
        return;
    }
    memcpy(ours.address, client->address, sizeof(ours.address));
    if (master->stopping)
        client_refuse(fd, LISTENER_BRIDGE, "Server is stopping");
    else
        client_hand(master, fd, &ours);
}

/* Clients wait in the kernel while no worker is there. */
static void
accept_update(struct master *master)
{
    bool accept = !master->stopping && worker_choose(master) != NULL;

    if (accept != master->accepting) {
        listeners_accept(master->listeners, accept);
        local_accept(master->local, accept);
    }
    master->accepting = accept;
}

static void
on_load(void *context, struct process *process, uint64_t closed)
{
    struct master *master = context;

    if (closed != 0
        && clients_remove(master->clients, closed, process->worker))
        process->clients--;
    if (process->state == PROCESS_DRAINING)
        accept_update(master);
}

/* --- children --- */

/* A socket between a worker and the writer or auth, for this use. */
static void
link_make(struct process *other, struct process *worker,
          enum ipc_link_kind kind)
{
    struct ipc_link link = {.kind = kind, .worker = worker->worker};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   pair)
        < 0) {
        syswarn("%s: socket to another process", process_name(worker));
        return;
    }
    ipc_send(other->control, IPC_WORKER, &link, sizeof(link), pair[0]);
    ipc_send(worker->control,
             kind == LINK_AUTH || kind == LINK_OUTSIDE ? IPC_AUTH : IPC_WRITER,
             &link, sizeof(link), pair[1]);
}

/* Connect a worker, or outside, with auth, when both are there. */
static void
auth_link_make(struct master *master, struct process *worker)
{
    struct process *auth = process_auth(&master->processes);

    if (auth->state != PROCESS_READY || auth->control == NULL
        || worker->state != PROCESS_READY || worker->control == NULL)
        return;
    if (worker->role == ROLE_NNRPD)
        link_make(auth, worker, LINK_AUTH);
    else if (worker->role == ROLE_OUTSIDE)
        link_make(auth, worker, LINK_OUTSIDE);
}

/* Connect a worker with the writer, when both are there. */
static void
links_make(struct master *master, struct process *worker)
{
    struct process *writer = process_writer(&master->processes);

    if (worker->role == ROLE_BRIDGE || worker->role == ROLE_MODERATION
        || worker->role == ROLE_OUTSIDE || writer->state != PROCESS_READY
        || writer->control == NULL || worker->state != PROCESS_READY
        || worker->control == NULL)
        return;
    link_make(writer, worker, LINK_FEED);
    if (worker->role == ROLE_NNRPD)
        link_make(writer, worker, LINK_POST);
}

/* --- keys of session tickets --- */

static void
tickets_send(struct master *master, struct process *process)
{
    if (process->role == ROLE_NNRPD && process->control != NULL)
        ipc_send_secret(process->control, IPC_TICKETS, &master->tickets,
                        sizeof(master->tickets));
}

static void
on_tickets(evutil_socket_t fd, short what, void *context)
{
    struct master *master = context;

    (void)fd;
    (void)what;
    tls_tickets_rotate(&master->tickets);
    for (size_t i = 1; i <= master->processes.workers; i++)
        if (master->processes.rows[i].state == PROCESS_READY)
            tickets_send(master, &master->processes.rows[i]);
}

static unsigned
workers_count(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->workers > 0)
        return (unsigned)config->workers;
    if (cores < 1)
        cores = 1;
    if (cores > PROCESS_WORKERS_MAX / WORKERS_PER_CORE)
        cores = PROCESS_WORKERS_MAX / WORKERS_PER_CORE;
    return (unsigned)cores * WORKERS_PER_CORE;
}

/* Once: every process has served. */
static void
announce_ready(struct master *master)
{
    struct buffer where = BUFFER_EMPTY;

    if (master->announced || master->stopping)
        return;
    for (size_t i = 0; i < master->processes.count; i++)
        if (!process_is_optional(&master->processes.rows[i])
            && !master->processes.rows[i].served)
            return;
    if (!process_auth(&master->processes)->served)
        return;
    master->announced = true;
    listeners_describe(master->listeners, &where);
    notice("ready on %s workers=%zu", buffer_text(&where),
           master->processes.workers);
    buffer_free(&where);
    (void)sd_notifyf(0, "READY=1\nMAINPID=%ld", (long)getpid());
    daemon_ready();
}

/* From when somebody moderates on, to the server's end: what waits is mailed,
   whatever a later configuration says. */
static void
moderation_update(struct master *master)
{
    struct process *process = process_moderation(&master->processes);

    if (!master->stopping && process->starts == 0
        && process_writer(&master->processes)->served
        && moderation_is_wanted(master->config))
        process_start(process);
}

/* Once: only a restart changes who is asked. */
static void
outside_begin(struct master *master)
{
    struct process *process = process_outside(&master->processes);

    if (process->starts == 0 && outside_is_wanted(master->config))
        process_start(process);
}

static void
on_ready(void *context, struct process *process)
{
    struct master *master = context;
    struct process_table *table = &master->processes;

    if (process->role == ROLE_WRITER) {
        debug("writer: ready");
        master->store_fails = false;
        atomic_store(&master->shared->writer_ready, 1);
        control_set_child(master->control, CONTROL_WRITER, process->control);
        for (size_t i = 1; i < table->count - 1; i++) {
            /* The first time: until now there was no store to read. */
            if (!process_is_optional(&table->rows[i])
                && table->rows[i].starts == 0)
                process_start(&table->rows[i]);
            links_make(master, &table->rows[i]);
        }
        feeds_update(master);
        moderation_update(master);
        outside_begin(master);
    } else if (process->role == ROLE_AUTH) {
        control_set_child(master->control, CONTROL_AUTH, process->control);
        for (size_t i = 1; i < table->count - 1; i++)
            auth_link_make(master, &table->rows[i]);
    } else {
        links_make(master, process);
        auth_link_make(master, process);
        tickets_send(master, process);
    }
    accept_update(master);
    announce_ready(master);
}

/*
 * A writer gave up because the store could not be written, or the next one
 * could not begin for the same reason.  Once may be chance.  Readers do
 * without it, and go on.
 */
static void
store_failed(struct master *master)
{
    int64_t *failed_ms = master->store_failed_ms;
    const size_t last = MASTER_STORE_FAILURES - 1;

    master->store_fails = true;
    memmove(failed_ms, failed_ms + 1, last * sizeof(*failed_ms));
    failed_ms[last] = clock_ms();
    if (failed_ms[0] == 0
        || failed_ms[last] - failed_ms[0] > MASTER_STORE_FAILURES_MS
        || atomic_load(&master->shared->mode) == MODE_THROTTLED)
        return;
    warn("ALARM: the store could not be written, times=%d in 10 min: it is"
         " read-only until \"ctlinnd go\"",
         MASTER_STORE_FAILURES);
    shared_set_mode(master->shared, MODE_THROTTLED,
                    "The store cannot be written, see the log");
    memset(failed_ms, 0, sizeof(master->store_failed_ms));
}

static bool
workers_have_ended(const struct master *master)
{
    /* And feeders: all but the writer and auth. */
    for (size_t i = 1; i < master->processes.count - 1; i++)
        if (master->processes.rows[i].pid != 0)
            return false;
    return true;
}

/* While stopping: is it the writer's turn, or ours? */
static void
stop_continue(struct master *master)
{
    struct timeval patience = {MASTER_DRAIN_WRITER_SECONDS, 0};
    struct process *writer = process_writer(&master->processes);
    struct process *auth = process_auth(&master->processes);

    if (!workers_have_ended(master))
        return;
    if (writer->state != PROCESS_DRAINING) {
        process_drain(writer);
        process_drain(auth);
        event_add(master->drain, &patience);
    }
    if (writer->pid == 0 && auth->pid == 0)
        event_base_loopbreak(master->base);
}

/*
 * A child that cannot even begin has said why, and would say so for ever: the
 * server ends with its status.  What may pass by itself is tried again.
 */
static bool
cannot_begin(const struct process *process, int status)
{
    return process->starts == 1 && !process->served && WIFEXITED(status)
           && WEXITSTATUS(status) >= EXIT_USAGE
           && WEXITSTATUS(status) <= EXIT_CONFIG
           && WEXITSTATUS(status) != EXIT_TEMPORARY;
}

/* One that cannot begin is tried again and again: the others serve on. */
static bool
feed_end(struct master *master, struct process *process)
{
    bool restart = feed_ended(master, process);

    if (master->stopping)
        stop_continue(master);
    return restart;
}

static bool
on_ended(void *context, struct process *process, int status)
{
    struct master *master = context;
    bool restart;

    if (process->role == ROLE_WRITER) {
        atomic_store(&master->shared->writer_ready, 0);
        control_set_child(master->control, CONTROL_WRITER, NULL);
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_IO
            && (process->ready_ms != 0 || master->store_fails))
            store_failed(master);
    } else if (process->role == ROLE_AUTH) {
        control_set_child(master->control, CONTROL_AUTH, NULL);
    } else if (process->role == ROLE_FEEDER) {
        return feed_end(master, process);
    } else if (process->role == ROLE_NNRPD) {
        clients_remove_worker(master->clients, process->worker);
        process->clients = 0;
    }
    if (cannot_begin(process, status) && !master->stopping) {
        master->exit_status = WEXITSTATUS(status);
        master_stop(master, "a process cannot begin");
    }
    /* Workers that end still wait for what the writer has of theirs. */
    restart = !master->stopping
              || (process->role == ROLE_WRITER && !workers_have_ended(master));
    accept_update(master);
    if (master->stopping)
        stop_continue(master);
    return restart;
}

static void
on_reply(void *context, const struct ipc_frame *frame)
{
    struct master *master = context;

    control_child_reply(master->control, frame);
}

static const struct process_hooks process_hooks = {
    .ready = on_ready,
    .ended = on_ended,
    .load = on_load,
    .reply = on_reply,
    .bridge = on_bridge,
};

/* --- stopping --- */

void
master_stop(struct master *master, const char *why)
{
    struct timeval patience = {MASTER_DRAIN_WORKERS_SECONDS, 0};

    if (master->stopping)
        return;
    master->stopping = true;
    notice("stopping reason=%s clients=%zu", why,
           clients_count(master->clients));
    (void)sd_notify(0, "STOPPING=1");
    /* A client that comes now is refused at once and goes elsewhere; in the
       kernel's queue it would wait for our end. */
    listeners_close(&master->listeners);
    local_free(&master->local);
    listeners_close(&master->bridge_listeners);
    master->processes.bridge_fd_count = 0;
    master->accepting = false;
    for (size_t i = 1; i < master->processes.count - 1; i++)
        process_drain(&master->processes.rows[i]);
    event_add(master->drain, &patience);
    stop_continue(master);
}

/* They had their time. */
static void
on_drain(evutil_socket_t fd, short what, void *context)
{
    struct master *master = context;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < master->processes.count; i++) {
        struct process *process = &master->processes.rows[i];

        if (process->pid == 0 || process->state != PROCESS_DRAINING)
            continue;
        warn("%s: pid %d does not end and is killed", process_name(process),
             (int)process->pid);
        process_kill(process, SIGKILL);
    }
}

/* --- reloading --- */

static void
keys_join(struct buffer *answer, const char *what, const struct buffer *keys)
{
    const char *key = buffer_text(keys);

    if (keys->used == 0)
        return;
    buffer_append_format(answer, "\n%s:", what);
    while (*key != '\0') {
        size_t length = strcspn(key, "\n");

        buffer_append_format(answer, " %.*s", (int)length, key);
        key += length + (key[length] == '\n');
    }
}

/* What children get; the keys are in no memory of ours from then on. */
static void
config_hand_on(struct master *master)
{
    static const enum config_keys keys[] = {
        CONFIG_KEYS_NONE, CONFIG_KEYS_SERVER, CONFIG_KEYS_PEERS};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        master->processes.config_fds[keys[i]] =
            config_to_memfd(master->config, keys[i]);
    config_forget_credentials(master->config);
}

static void
config_take_back(struct master *master)
{
    for (size_t i = 0; i < 3; i++)
        close(master->processes.config_fds[i]);
}

/* The new one is good: make it ours, and everybody's. */
static void
config_replace(struct master *master, struct config *config,
               struct buffer *answer)
{
    struct buffer changed = BUFFER_EMPTY;
    struct buffer restart = BUFFER_EMPTY;

    config_compare(master->config, config, &changed, &restart);
    config_keep(config, master->config);
    config->generation = master->config->generation + (changed.used > 0);
    buffer_append_text(answer, "Ok");
    keys_join(answer, "changed", &changed);
    keys_join(answer, "needs a restart", &restart);
    config_free(&master->config);
    master->config = config;
    config_take_back(master);
    config_hand_on(master);
    log_set_level((enum log_level)config->log_level);
    clients_reload(master->clients, config);
    if (changed.used > 0)
        process_send_config(&master->processes);
    feeds_update(master);
    moderation_update(master);
    buffer_free(&changed);
    buffer_free(&restart);
}

/* The files of the configuration that is in force, as they are now. */
static void
files_watch(const struct master *master)
{
    const struct config *config = master->config;
    size_t count = config->file_count + config->credential_count;
    const char **files = xcalloc(count, sizeof(*files));

    for (size_t i = 0; i < config->file_count; i++)
        files[i] = config->files[i];
    for (size_t i = 0; i < config->credential_count; i++)
        files[config->file_count + i] = config_credential_path(config, i);
    watch_set(master->watch, files, count);
    free(files);
}

int
master_reload(struct master *master, struct buffer *answer)
{
    struct config *config;

    (void)sd_notify(0, "RELOADING=1");
    config = config_load(master->config_path, answer);
    if (config != NULL
        && (config_read_files(config, answer) < 0
            || config_read_credentials(config, answer) < 0
            || tls_check(config, answer) < 0))
        config_free(&config);
    if (config == NULL)
        warn("reload: nothing is changed: %s", buffer_text(answer));
    else
        config_replace(master, config, answer);
    /* Whatever the file is like: as it is now, it has been looked at. */
    files_watch(master);
    (void)sd_notify(0, "READY=1");
    return config == NULL ? -1 : 0;
}

/* Nobody waits for the answer: it goes to the log. */
static void
reload_and_log(struct master *master, const char *reason)
{
    struct buffer answer = BUFFER_EMPTY;

    if (master_reload(master, &answer) == 0) {
        for (char *at = answer.data; *at != '\0'; at++)
            if (*at == '\n')
                *at = ' ';
        notice("reload: %s reason=%s", buffer_text(&answer), reason);
    }
    buffer_free(&answer);
}

static void
on_file_changed(void *context)
{
    struct master *master = context;

    if (!master->stopping)
        reload_and_log(master, "the file has changed");
}

/* --- the loop --- */

static void
on_signal(evutil_socket_t signal, short what, void *context)
{
    struct master *master = context;

    (void)what;
    if (signal == SIGCHLD)
        process_reap(&master->processes);
    else if (signal == SIGHUP)
        reload_and_log(master, "SIGHUP");
    else
        master_stop(master, signal == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void
on_report(evutil_socket_t fd, short what, void *context)
{
    struct buffer text = BUFFER_EMPTY;

    (void)fd;
    (void)what;
    admin_print_report(context, &text);
    notice("%s", buffer_text(&text));
    buffer_free(&text);
}

void
master_report_every(struct master *master, unsigned seconds)
{
    struct timeval interval = {seconds, 0};

    event_del(master->report);
    if (seconds > 0)
        event_add(master->report, &interval);
}

static struct event *
event_make(struct master *master, int fd, short what,
           event_callback_fn function)
{
    struct event *event = event_new(master->base, fd, what, function, master);

    if (event == NULL)
        die(EXIT_TEMPORARY, "out of memory: event of the master");
    return event;
}

static void
events_open(struct master *master)
{
    static const int signals[MASTER_SIGNALS] = {SIGTERM, SIGINT, SIGHUP,
                                                SIGCHLD};
    static const struct timeval tickets_interval = {TLS_TICKET_SECONDS, 0};

    master->base = event_base_new();
    if (master->base == NULL)
        die(EXIT_SYSTEM, "no event loop");
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < MASTER_SIGNALS; i++) {
        master->signals[i] =
            event_make(master, signals[i], EV_SIGNAL | EV_PERSIST, on_signal);
        event_add(master->signals[i], NULL);
    }
    master->tickets_due = event_make(master, -1, EV_PERSIST, on_tickets);
    event_add(master->tickets_due, &tickets_interval);
    master->drain = event_make(master, -1, 0, on_drain);
    master->report = event_make(master, -1, EV_PERSIST, on_report);
}

/* --- opening and closing --- */

/*
 * The program of the workers or feeders: in the tree of a build it lies beside
 * us, as nnrpd/nnrpd; installed, in libexec.
 */
static char *
program_find(const char *name)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *path;

    if (length > 0) {
        self[length] = '\0';
        *strrchr(self, '/') = '\0';
        path = xasprintf("%s/../%s/%s", self, name, name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    path = xasprintf("%s/%s", LIBEXECDIR, name);
    if (access(path, X_OK) < 0)
        sysdie(EXIT_SYSTEM, "the program %s", path);
    return path;
}

static void
bridge_open(struct master *master)
{
    struct process_table *table = &master->processes;
    struct buffer why = BUFFER_EMPTY;

    master->bridge_listeners = listeners_open_bridge(master->config, &why);
    if (master->bridge_listeners == NULL)
        die(EXIT_SYSTEM, "bridge: %s", buffer_text(&why));
    table->bridge_fd_count =
        listeners_fds(master->bridge_listeners, &table->bridge_fds);
    if (table->bridge_fd_count > PROCESS_BRIDGE_SOCKETS_MAX)
        die(EXIT_CONFIG, "http_listen: more than four addresses");
    if (table->bridge_fd_count > 0)
        table->bridge_path = program_find("wsbridge");
    buffer_free(&why);
}

void
master_open(struct master *master, const char *config_path,
            struct config *config)
{
    struct buffer why = BUFFER_EMPTY;

    memset(master, 0, sizeof(*master));
    master->config_path = xstrdup(config_path);
    master->config = config;
    master->processes.nnrpd_path = program_find("nnrpd");
    master->processes.feeder_path = program_find("feeder");
    place_make(config);
    place_check_other(config);
    place_raise_limits(config);
    master->listeners = listeners_open(config, &why);
    if (master->listeners == NULL)
        die(EXIT_SYSTEM, "%s", buffer_text(&why));
    bridge_open(master);
    buffer_free(&why);
}

/* The memory of the groups: the writer's descriptor and, for all others, one
   that cannot be written through. */
static void
active_open(struct master *master)
{
    struct process_table *table = &master->processes;
    struct buffer why = BUFFER_EMPTY;
    char *path;

    table->active_fd = active_create((size_t)master->config->groups_max, &why);
    if (table->active_fd < 0)
        die(EXIT_SYSTEM, "%s", buffer_text(&why));
    path = xasprintf("/proc/self/fd/%d", table->active_fd);
    table->active_read_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (table->active_read_fd < 0)
        sysdie(EXIT_SYSTEM, "memory of the groups");
    free(path);
    master->active = active_map(table->active_read_fd, false, &why);
    if (master->active == NULL)
        die(EXIT_SYSTEM, "%s", buffer_text(&why));
    buffer_free(&why);
}

static int
socket_open(const struct master *master, const char *name)
{
    struct buffer why = BUFFER_EMPTY;
    char *path = xasprintf("%s/%s", master->config->pathrun, name);
    int fd = ipc_listen(path, &why);

    if (fd < 0)
        die(EXIT_SYSTEM, "%s", buffer_text(&why));
    buffer_free(&why);
    free(path);
    return fd;
}

/* As who the server is from now on: a key that only root can read would be
   missed at the next reload. */
static void
credentials_read(struct master *master)
{
    struct buffer why = BUFFER_EMPTY;

    tls_secure_memory();
    if (config_read_credentials(master->config, &why) < 0
        || tls_check(master->config, &why) < 0)
        die(EXIT_CONFIG, "%s", buffer_text(&why));
}

/* Who may enter pathrun may speak NNTP, whatever group he is in. */
static int
local_socket_open(const struct master *master)
{
    int fd = socket_open(master, "nntp");
    char *path = xasprintf("%s/nntp", master->config->pathrun);

    if (chmod(path, 0666) < 0)
        sysdie(EXIT_SYSTEM, "%s", path);
    free(path);
    return fd;
}

void
master_claim(struct master *master)
{
    struct process_table *table = &master->processes;

    credentials_read(master);
    place_check(master->config);
    master->pid_fd = place_claim(master->config);
    events_open(master);
    master->control = control_open(
        master->base, socket_open(master, "control"), admin_master, master);
    master->watch = watch_new(master->base, on_file_changed, master);
    files_watch(master);
    master->shared = shared_create(&table->shared_fd);
    atomic_store(&master->shared->accounts, SHARED_ACCOUNTS_UNKNOWN);
    atomic_store(&master->shared->accounts_scram, SHARED_ACCOUNTS_UNKNOWN);
    master->clients = clients_new(master->config, &master->shared->limits);
    active_open(master);
    table->base = master->base;
    table->shared = master->shared;
    config_hand_on(master);
    tls_tickets_rotate(&master->tickets);
    table->tools_fd = socket_open(master, "tools");
    table->hooks = &process_hooks;
    table->context = master;
    process_table_open(table, workers_count(master->config));
    listeners_join(master->listeners, master->base, on_client, master);
    master->local =
        local_new(master->base, local_socket_open(master), on_local, master);
}

void
master_serve(struct master *master)
{
    struct buffer where = BUFFER_EMPTY;

    listeners_describe(master->listeners, &where);
    notice("starting on %s", buffer_text(&where));
    buffer_free(&where);
    process_start(process_writer(&master->processes));
    process_start(process_auth(&master->processes));
    if (event_base_dispatch(master->base) < 0)
        die(EXIT_SOFTWARE, "event loop");
    if (master->exit_status == 0)
        notice("stopped");
}

void
master_close(struct master *master)
{
    struct process_table *table = &master->processes;

    listeners_close(&master->listeners);
    local_free(&master->local);
    listeners_close(&master->bridge_listeners);
    process_table_close(table);
    control_close(&master->control);
    watch_free(&master->watch);
    clients_free(&master->clients);
    close(table->tools_fd);
    active_close(&master->active);
    close(table->active_read_fd);
    close(table->active_fd);
    close(table->shared_fd);
    config_take_back(master);
    for (size_t i = 0; i < MASTER_SIGNALS; i++)
        event_free(master->signals[i]);
    event_free(master->tickets_due);
    event_free(master->drain);
    event_free(master->report);
    event_base_free(master->base);
    place_leave(master->config, master->pid_fd);
    free(table->bridge_path);
    free(table->nnrpd_path);
    free(table->feeder_path);
    config_free(&master->config);
    free(master->config_path);
}
