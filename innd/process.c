#include "innd/process.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/child.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/shared.h"

enum {
    DESCRIPTORS_MAX = CHILD_FIRST_FREE_FD + PROCESS_BRIDGE_SOCKETS_MAX,
    /* Where descriptors wait, out of the way of their places. */
    DESCRIPTOR_ASIDE = 64,
    PAUSE_MS_MAX = 30000,
    PAUSE_SERVED_MS_MAX = 500,
    SHORT_LIFE_MS = 1000,
};

const char *
process_name(const struct process *process)
{
    static char name[272];

    if (process->role == ROLE_WRITER)
        return "writer";
    if (process->role == ROLE_AUTH)
        return "auth";
    if (process->role == ROLE_BRIDGE)
        return "wsbridge";
    if (process->role == ROLE_MODERATION)
        return "moderation";
    if (process->role == ROLE_OUTSIDE)
        return "outside";
    if (process->role == ROLE_FEEDER)
        snprintf(name, sizeof(name), "feeder %s",
                 process->peer != NULL ? process->peer : "");
    else
        snprintf(name, sizeof(name), "nnrpd %u", process->worker);
    return name;
}

static int
config_of(const struct process *process)
{
    enum config_keys keys = process->role == ROLE_NNRPD    ? CONFIG_KEYS_SERVER
                            : process->role == ROLE_FEEDER ? CONFIG_KEYS_PEERS
                                                           : CONFIG_KEYS_NONE;

    return process->table->config_fds[keys];
}

/* --- starting --- */

/* What a child is given, by the descriptor it finds it at. */
static size_t
descriptors_fill(const struct process *process, int control,
                 int fds[DESCRIPTORS_MAX])
{
    const struct process_table *table = process->table;
    bool writer = process->role == ROLE_WRITER;

    fds[CHILD_CONTROL_FD] = control;
    fds[CHILD_CONFIG_FD] = config_of(process);
    fds[CHILD_SHARED_FD] = table->shared_fd;
    fds[CHILD_ACTIVE_FD] = writer ? table->active_fd : table->active_read_fd;
    if (process->role == ROLE_BRIDGE) {
        memcpy(fds + CHILD_FIRST_FREE_FD, table->bridge_fds,
               table->bridge_fd_count * sizeof(fds[0]));
        return CHILD_FIRST_FREE_FD + table->bridge_fd_count;
    }
    fds[CHILD_FIRST_FREE_FD] = table->tools_fd;
    /* It knows accounts and no news. */
    if (process->role == ROLE_AUTH || process->role == ROLE_OUTSIDE)
        return CHILD_ACTIVE_FD;
    return writer ? CHILD_FIRST_FREE_FD + 1 : CHILD_FIRST_FREE_FD;
}

/* In the child: put them there, and close everything else. */
static int
descriptors_place(int fds[DESCRIPTORS_MAX], size_t count)
{
    for (size_t i = CHILD_CONTROL_FD; i < count; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD, DESCRIPTOR_ASIDE);
        if (fds[i] < 0)
            return -1;
    }
    for (size_t i = CHILD_CONTROL_FD; i < count; i++)
        if (dup2(fds[i], (int)i) < 0)
            return -1;
    return close_range((unsigned)count, ~0U, 0);
}

/*
 * In the child: signals as they are for any new program.  They are blocked
 * from before the fork until here, for until then a signal would run the
 * master's handler and wake the master's loop.
 */
static void
signals_restore(void)
{
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t none;

    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
        signal(handled[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *
program_path(const struct process *process)
{
    switch (process->role) {
    case ROLE_WRITER:
    case ROLE_AUTH:
    case ROLE_MODERATION:
    case ROLE_OUTSIDE:
        return "/proc/self/exe";
    case ROLE_FEEDER:
        return process->table->feeder_path;
    case ROLE_BRIDGE:
        return process->table->bridge_path;
    case ROLE_NNRPD:
    case ROLE_NONE:
        break;
    }
    return process->table->nnrpd_path;
}

/* In the child, after fork; never returns.  No exit(): what the master has
   registered to run at its own end is none of ours. */
static void
child_execute(const struct process *process, int fds[DESCRIPTORS_MAX],
              size_t count)
{
    const char *program = program_path(process);
    char role[] = "--role=writer";
    char auth[] = "--role=auth";
    char moderation[] = "--role=moderation";
    char outside[] = "--role=outside";
    char slot[32];
    char worker[32];
    char since[48];
    char *words[7] = {(char *)(uintptr_t)process_name(process)};
    size_t next = 1;

    snprintf(slot, sizeof(slot), "--slot=%u", process->slot);
    snprintf(worker, sizeof(worker), "--worker=%u", process->worker);
    if (process->role == ROLE_WRITER)
        words[next++] = role;
    if (process->role == ROLE_AUTH)
        words[next++] = auth;
    if (process->role == ROLE_MODERATION)
        words[next++] = moderation;
    if (process->role == ROLE_OUTSIDE)
        words[next++] = outside;
    words[next++] = slot;
    words[next++] = worker;
    if (process->role == ROLE_FEEDER) {
        snprintf(since, sizeof(since), "--since=%" PRIu64, process->since);
        words[next++] = xasprintf("--peer=%s", process->peer);
        words[next++] = since;
    }
    words[next] = NULL;
    /* The master alone speaks with systemd. */
    unsetenv("NOTIFY_SOCKET");
    signals_restore();
    if (descriptors_place(fds, count) < 0)
        syswarn("%s: descriptors", process_name(process));
    else if (execv(program, words) < 0)
        syswarn("%s: cannot run %s", process_name(process), program);
    _exit(EXIT_SYSTEM);
}

static void
on_ready(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct process *process = context;

    (void)ipc;
    (void)frame;
    if (process->state != PROCESS_STARTING)
        return;
    process->state = PROCESS_READY;
    process->ready_ms = clock_ms();
    process->served = true;
    process->table->hooks->ready(process->table->context, process);
}

static void
on_load(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct process *process = context;
    const struct ipc_load *load = frame->payload;

    (void)ipc;
    if (load->retires != 0)
        process_drain(process);
    process->table->hooks->load(process->table->context, process,
                                load->closed);
}

static void
on_reply(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct process *process = context;

    (void)ipc;
    process->table->hooks->reply(process->table->context, frame);
}

static void
on_bridge(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct process *process = context;

    (void)ipc;
    process->table->hooks->bridge(process->table->context, process,
                                  frame->payload, frame->descriptor);
}

/* Everything that a child may tell the master on its control socket. */
static const struct ipc_handler writer_handlers[] = {
    {IPC_READY, 0, true, false, on_ready},
    {IPC_REPLY, sizeof(struct ipc_reply), false, false, on_reply},
};
static const struct ipc_handler nnrpd_handlers[] = {
    {IPC_READY, 0, true, false, on_ready},
    {IPC_LOAD, sizeof(struct ipc_load), true, false, on_load},
};
static const struct ipc_handler feeder_handlers[] = {
    {IPC_READY, 0, true, false, on_ready},
};
static const struct ipc_handler bridge_handlers[] = {
    {IPC_READY, 0, true, false, on_ready},
    {IPC_BRIDGE, sizeof(struct ipc_bridge), true, true, on_bridge},
};

#define TABLE(rows) (rows), sizeof(rows) / sizeof((rows)[0])
static const struct {
    const struct ipc_handler *rows;
    size_t count;
} handlers[] = {
    [ROLE_WRITER] = {TABLE(writer_handlers)},
    [ROLE_NNRPD] = {TABLE(nnrpd_handlers)},
    [ROLE_FEEDER] = {TABLE(feeder_handlers)},
    [ROLE_AUTH] = {TABLE(writer_handlers)}, /* no other words */
    [ROLE_BRIDGE] = {TABLE(bridge_handlers)},
    [ROLE_MODERATION] = {TABLE(feeder_handlers)}, /* no other words */
    [ROLE_OUTSIDE] = {TABLE(feeder_handlers)},    /* the same */
};

/* Its end closes the control socket too; what hangs on without one is killed
   by the watch. */
static void
on_control_closed(void *context, struct ipc *ipc, const char *why)
{
    struct process *process = context;

    (void)ipc;
    if (strcmp(why, "ended") != 0)
        warn("%s (pid %d): control socket: %s", process_name(process),
             (int)process->pid, why);
    ipc_free(&process->control);
}

static void
start_later(struct process *process)
{
    int64_t ms = process_pause_ms(process->failures, process->served);
    struct timeval pause;

    /* Between two starts, not between an end and a start: one that is killed
       each second is back at once. */
    ms -= clock_ms() - process->started_ms;
    if (ms < 0)
        ms = 0;
    pause = (struct timeval){ms / 1000, (ms % 1000) * 1000};
    if (ms > 0)
        notice("%s: next start in %" PRId64 " ms", process_name(process), ms);
    event_add(process->restart, &pause);
}

/* The parent's half of a start. */
static void
child_adopt(struct process *process, pid_t pid, int control)
{
    struct process_table *table = process->table;
    struct shared_slot *slot = &table->shared->slots[process->slot];

    process->pid = pid;
    process->state = PROCESS_STARTING;
    process->started_ms = clock_ms();
    process->ready_ms = 0;
    process->still_seconds = 0;
    process->lost_seconds = 0;
    process->starts++;
    atomic_store(&slot->pid, (uint32_t)pid);
    atomic_store(&slot->role, process->role);
    process->control =
        ipc_new(table->base, control, handlers[process->role].rows,
                handlers[process->role].count, on_control_closed, process);
    debug("%s: started pid=%d", process_name(process), (int)pid);
}

void
process_start(struct process *process)
{
    int fds[DESCRIPTORS_MAX];
    int pair[2];
    size_t count;
    sigset_t all;
    sigset_t before;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        syswarn("%s: cannot be started: socketpair", process_name(process));
        process->failures++;
        start_later(process);
        return;
    }
    count = descriptors_fill(process, pair[1], fds);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        child_execute(process, fds, count);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(pair[1]);
    if (pid < 0) {
        syswarn("%s: cannot be started: fork", process_name(process));
        close(pair[0]);
        process->failures++;
        start_later(process);
        return;
    }
    child_adopt(process, pid, pair[0]);
}

static void
on_restart(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    process_start(context);
}

/* --- ending --- */

/*
 * A process that never served is likely to fail again: 0, 1, 2, 4 ... 30 s.
 * One that had served was killed or met a fault by chance, and somebody waits
 * for it: its successor starts at once, and only a row of very short lives
 * brings pauses, of up to half a second.  They must stay well below the second
 * or so in which an admin or a test kills it again, or it would never live.
 */
int64_t
process_pause_ms(unsigned failures, bool served)
{
    int64_t first = served ? 125 : 1000;
    int64_t most = served ? PAUSE_SERVED_MS_MAX : PAUSE_MS_MAX;
    int64_t pause;

    if (failures <= 1)
        return 0;
    if (failures > 16)
        return most;
    pause = first << (failures - 2);
    return pause < most ? pause : most;
}

static void
end_log(const struct process *process, int status)
{
    const char *name = process_name(process);
    int pid = (int)process->pid;

    if (WIFSIGNALED(status))
        warn("%s: pid %d was ended by signal %d (%s)", name, pid,
             WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        warn("%s: pid %d ended with status %d", name, pid,
             WEXITSTATUS(status));
    else if (process->state != PROCESS_DRAINING)
        warn("%s: pid %d ended unasked", name, pid);
    else
        debug("%s: pid %d has ended", name, pid);
}

static void
process_ended(struct process *process, int status)
{
    struct process_table *table = process->table;
    struct shared_slot *slot = &table->shared->slots[process->slot];
    int64_t now = clock_ms();

    end_log(process, status);
    if (process->ready_ms == 0 || now - process->ready_ms < SHORT_LIFE_MS)
        process->failures++;
    else
        process->failures = 0;
    atomic_store(&slot->pid, 0);
    atomic_store(&slot->counters[COUNTER_CLIENTS_NOW], 0);
    process->pid = 0;
    process->state = PROCESS_AWAY;
    if (process->control != NULL)
        ipc_free(&process->control);
    if (table->hooks->ended(table->context, process, status))
        start_later(process);
}

void
process_reap(struct process_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        struct process *process = &table->rows[i];
        int status;

        if (process->pid > 0
            && waitpid(process->pid, &status, WNOHANG) == process->pid)
            process_ended(process, status);
    }
}

void
process_drain(struct process *process)
{
    event_del(process->restart);
    if (process->pid == 0)
        return;
    process->state = PROCESS_DRAINING;
    if (process->control != NULL)
        ipc_send(process->control, IPC_DRAIN, NULL, 0, -1);
}

void
process_kill(struct process *process, int signal)
{
    if (process->pid > 0 && kill(process->pid, signal) < 0)
        syswarn("%s: signal %d", process_name(process), signal);
}

void
process_send_config(struct process_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        struct process *process = &table->rows[i];
        int fd;

        if (process->control == NULL)
            continue;
        fd = fcntl(config_of(process), F_DUPFD_CLOEXEC, 0);
        if (fd >= 0) {
            ipc_send(process->control, IPC_CONFIG, NULL, 0, fd);
        } else {
            /* It may not go on with the old one: its successor has the new. */
            syswarn("%s: cannot be given the configuration, is ended",
                    process_name(process));
            process_kill(process, SIGKILL);
        }
    }
}

/* --- watching --- */

/*
 * Each second.  The seconds are counted by looks and not by the clock: when
 * the machine slept, or the master itself was stopped, nobody stood still.
 */
static void
process_look(struct process *process)
{
    const struct shared *shared = process->table->shared;
    uint64_t loops = atomic_load(&shared->slots[process->slot].loops);
    unsigned limit = process->state == PROCESS_STARTING
                         ? PROCESS_START_SECONDS
                         : PROCESS_STILL_SECONDS;

    if (process->control == NULL
        && ++process->lost_seconds == PROCESS_LOST_SECONDS)
        process_kill(process, SIGKILL);
    if (loops != process->loops && process->state != PROCESS_STARTING)
        process->still_seconds = 0;
    else
        process->still_seconds++;
    process->loops = loops;
    /* A writer that recovers may take its time, and says how far it is. */
    if (process->role == ROLE_WRITER && process->state == PROCESS_STARTING)
        return;
    if (process->still_seconds == limit) {
        warn("%s: pid %d has not moved for %u s and is aborted",
             process_name(process), (int)process->pid, limit);
        process_kill(process, SIGABRT);
    } else if (process->still_seconds == limit + PROCESS_LOST_SECONDS) {
        process_kill(process, SIGKILL);
    }
}

static void
on_watch(evutil_socket_t fd, short what, void *context)
{
    struct process_table *table = context;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].pid > 0)
            process_look(&table->rows[i]);
}

/* --- the table --- */

void
process_table_open(struct process_table *table, unsigned workers)
{
    struct timeval second = {1, 0};
    bool bridge = table->bridge_fd_count > 0;

    table->workers = workers;
    table->count = 1 + workers + PROCESS_FEEDERS_MAX + (bridge ? 1 : 0) + 3;
    table->rows = xcalloc(table->count, sizeof(*table->rows));
    for (unsigned i = 0; i < table->count; i++) {
        struct process *process = &table->rows[i];

        process->table = table;
        process->role = i == 0                               ? ROLE_WRITER
                        : i <= workers                       ? ROLE_NNRPD
                        : i <= workers + PROCESS_FEEDERS_MAX ? ROLE_FEEDER
                        : i == table->count - 1              ? ROLE_AUTH
                        : i == table->count - 2              ? ROLE_MODERATION
                        : i == table->count - 3              ? ROLE_OUTSIDE
                                                             : ROLE_BRIDGE;
        process->slot = i;
        process->worker = process->role == ROLE_NNRPD ? i - 1 : 0;
        process->restart = evtimer_new(table->base, on_restart, process);
        if (process->restart == NULL)
            die(EXIT_TEMPORARY, "out of memory: table of processes");
    }
    table->watch = event_new(table->base, -1, EV_PERSIST, on_watch, table);
    if (table->watch == NULL)
        die(EXIT_TEMPORARY, "out of memory: table of processes");
    event_add(table->watch, &second);
}

void
process_table_close(struct process_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->rows[i].control != NULL)
            ipc_free(&table->rows[i].control);
        event_free(table->rows[i].restart);
        free(table->rows[i].peer);
    }
    event_free(table->watch);
    free(table->rows);
    table->rows = NULL;
    table->count = 0;
}
