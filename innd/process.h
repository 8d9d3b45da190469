/*
 * process -- the master's table of children: start, watch, start again.
 *
 * Each child has a row, a slot of struct shared, and a control socket with
 * the master (lib/child.h says what it inherits).  A child that ends is
 * started again: at once when it had served, with growing pauses when it ends
 * before it ever served, and again and again.  One whose loop counter stands
 * still for PROCESS_STILL_SECONDS is aborted.
 */
#ifndef INND_PROCESS_H
#define INND_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct config;
struct event;
struct event_base;
struct ipc;
struct ipc_bridge;
struct ipc_frame;
struct process;
struct shared;

enum {
    PROCESS_STILL_SECONDS = 30, /* a loop that stands still: SIGABRT */
    PROCESS_START_SECONDS = 60, /* for a worker to say that it serves */
    PROCESS_LOST_SECONDS = 5,   /* without a control socket, or after SIGABRT:
                                   SIGKILL */
    PROCESS_WORKERS_MAX = 128,
    PROCESS_BRIDGE_SOCKETS_MAX = 8, /* four addresses, two ports */
    PROCESS_FEEDERS_MAX = 64,
};

/* Kept in shared_slot.role. */
enum process_role {
    ROLE_NONE,
    ROLE_WRITER,
    ROLE_NNRPD,
    ROLE_FEEDER,
    ROLE_AUTH,
    ROLE_BRIDGE,
    ROLE_MODERATION,
    ROLE_OUTSIDE
};

enum process_state {
    PROCESS_AWAY,     /* not running: to be started, or never again */
    PROCESS_STARTING, /* no IPC_READY yet */
    PROCESS_READY,
    PROCESS_DRAINING, /* told to end, or about to by itself */
};

/* What the master does when something happens to a child. */
struct process_hooks {
    void (*ready)(void *context, struct process *process);
    /* It has ended with wait(2)'s status, its row is PROCESS_AWAY.  Says
       whether it is to be started again. */
    bool (*ended)(void *context, struct process *process, int status);
    /* IPC_LOAD, from a worker: client number `closed` is gone (0: none), or
       it takes no more (its state says so). */
    void (*load)(void *context, struct process *process, uint64_t closed);
    /* IPC_REPLY, from the writer or auth. */
    void (*reply)(void *context, const struct ipc_frame *frame);
    /* IPC_BRIDGE, from the bridge: a client; fd is the callee's. */
    void (*bridge)(void *context, struct process *process,
                   const struct ipc_bridge *client, int fd);
};

struct process {
    struct process_table *table;
    enum process_role role;
    enum process_state state;
    unsigned slot;
    unsigned worker; /* which, from 0; the writer and auth: 0 */
    char *peer;      /* a feeder's, owned; NULL: the row is free */
    uint64_t since;  /* a feeder's: where a new peer begins in the log */
    bool dropped;    /* a feeder's: ctlinnd drop */
    pid_t pid;       /* 0: not running */
    struct ipc *control;
    struct event *restart;
    int64_t started_ms; /* monotonic, of the last start */
    int64_t ready_ms;   /* of its IPC_READY, 0: not yet */
    bool served;        /* any process of this row has been ready */
    unsigned failures;  /* ends in a row that call for a pause */
    uint64_t starts;
    uint64_t loops; /* as seen by the last look */
    unsigned still_seconds;
    unsigned lost_seconds;
    unsigned clients; /* a worker's, as dispatched and given back */
};

struct process_table {
    struct event_base *base;
    struct shared *shared;
    /* The current configuration, as children get it: with no keys, with those
       of our certificates (nnrpd), with those shown to peers (feeder). */
    int config_fds[3]; /* by enum config_keys */
    int shared_fd;
    int active_fd;      /* the writer's */
    int active_read_fd; /* the same memory, opened read-only */
    int tools_fd;       /* the writer's listening socket */
    char *nnrpd_path;
    char *bridge_path;
    const int *bridge_fds; /* its listening sockets; none: no bridge */
    size_t bridge_fd_count;
    const struct process_hooks *hooks;
    void *context;
    char *feeder_path;
    struct process *rows; /* [0] is the writer, then the workers, then rows
                             for feeders (innd/feed.h), the bridge where there
                             is one; outside and moderation, which may not
                             run, and auth are the last */
    size_t workers;
    size_t count;
    struct event *watch; /* each second */
};

/* The table's members up to context are the caller's to fill first. */
void process_table_open(struct process_table *table, unsigned workers);
void process_table_close(struct process_table *table);

static inline struct process *
process_writer(const struct process_table *table)
{
    return &table->rows[0];
}

static inline struct process *
process_auth(const struct process_table *table)
{
    return &table->rows[table->count - 1];
}

static inline struct process *
process_moderation(const struct process_table *table)
{
    return &table->rows[table->count - 2];
}

static inline struct process *
process_outside(const struct process_table *table)
{
    return &table->rows[table->count - 3];
}

/* A row of a process that runs only where the configuration, or a peer, wants
   it. */
static inline bool
process_is_optional(const struct process *process)
{
    return process->role == ROLE_FEEDER || process->role == ROLE_MODERATION
           || process->role == ROLE_OUTSIDE;
}

/* "writer", "nnrpd 2": its name in the log. */
const char *process_name(const struct process *process);
/* Start it now; where the system refuses, soon again. */
void process_start(struct process *process);
/* Look for children that have ended; for SIGCHLD. */
void process_reap(struct process_table *table);
/* IPC_DRAIN; it is not started again. */
void process_drain(struct process *process);
void process_kill(struct process *process, int signal);
/* Send the table's configuration, which is another one now, to all. */
void process_send_config(struct process_table *table);
/* The pause before the start that follows so many failures, milliseconds. */
int64_t process_pause_ms(unsigned failures, bool served);

#endif
