/*
 * master -- the process that stands over the others.
 *
 * It binds, drops root, starts the writer and the workers, hands each client's
 * socket to the least loaded worker, answers ctlinnd, reloads, and ends the
 * others in order.  It reads nothing that comes from the network and opens
 * nothing of the store.
 */
#ifndef INND_MASTER_H
#define INND_MASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "innd/process.h"
#include "lib/tls_ticket.h"

struct active;
struct buffer;
struct clients;
struct config;
struct control;
struct event;
struct event_base;
struct listeners;
struct local;
struct shared;
struct watch;

enum {
    /* A worker ends its sessions by itself within 10 s of IPC_DRAIN. */
    MASTER_DRAIN_WORKERS_SECONDS = 12,
    MASTER_DRAIN_WRITER_SECONDS = 10,
    MASTER_SIGNALS = 4,
    MASTER_REFUSALS_SECONDS = 10, /* clients refused: so often in the log */
    /* So many failures of the store in so long: nothing more is written until
       somebody has looked. */
    MASTER_STORE_FAILURES = 3,
    MASTER_STORE_FAILURES_MS = 10 * 60 * 1000,
};

struct master {
    char *config_path;
    struct config *config;
    struct event_base *base;
    struct listeners *listeners;
    struct listeners *bridge_listeners; /* held for the next bridge */
    struct local *local;                /* PATHRUN/nntp */
    int pid_fd;                         /* holds the lock on the pid file */
    struct shared *shared;
    struct active *active; /* read-only, for status */
    struct process_table processes;
    struct clients *clients;
    struct control *control;
    struct watch *watch; /* on the files of the configuration */
    struct event *signals[MASTER_SIGNALS];
    struct tls_tickets tickets; /* keys of session tickets */
    struct event *tickets_due;  /* a new one */
    struct event *drain;        /* how long the children may take */
    struct event *report;       /* ctlinnd status SECONDS */
    uint64_t refused; /* clients, since the last line about them in the log */
    uint64_t refusals_told_ns; /* when that was; 0: never */
    bool accepting;
    bool announced; /* "ready" has been said */
    bool stopping;
    int exit_status;
    /* When the store could not be written, the last one last; 0: never. */
    int64_t store_failed_ms[MASTER_STORE_FAILURES];
    bool store_fails; /* and no writer has come up since */
};

/* As root, or who we are: directories and sockets.  Dies when that fails. */
void master_open(struct master *master, const char *config_path,
                 struct config *config);
/* As who the server is from now on: pid file, control socket, memory. */
void master_claim(struct master *master);
/* Runs until a signal or ctlinnd says stop, and all children have ended. */
void master_serve(struct master *master);
/* In the reverse order of the two above. */
void master_close(struct master *master);

/* Begin to stop: no new clients, then the workers, then the writer. */
void master_stop(struct master *master, const char *why);
/* Read the configuration again: all or nothing.  Says in answer what changed,
   or what is wrong; 0 or -1. */
int master_reload(struct master *master, struct buffer *answer);
/* Log the counters every so many seconds; 0: no more. */
void master_report_every(struct master *master, unsigned seconds);

#endif
