/*
 * session -- one client: its input, its output, what it is in the middle of.
 *
 * A session takes one command after the other.  Most are a barrier: they begin
 * when all earlier replies are known, and the next command begins when they
 * are done.  A command that cannot answer at once leaves work behind, which is
 * stepped whenever there is room in the output; one that is followed by an
 * article leaves a receive.  CHECK and TAKETHIS alone overlap (pending.h).
 *
 * A session that has something to do is in a queue of the worker's and runs
 * once in a turn, for at most SESSION_ROWS rows or commands, SESSION_OCTETS
 * octets and SESSION_NS nanoseconds: then it is others' turn.
 */
#ifndef NNRPD_SESSION_H
#define NNRPD_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "nnrpd/access.h"
#include "nnrpd/login.h"
#include "nnrpd/pending.h"
#include "nnrpd/usage.h"

struct buffer;
struct evbuffer;
struct ipc_client;
struct receive;
struct sasl;
struct stream;
struct tls_identity;
struct worker;

TAILQ_HEAD(session_list, session);

enum {
    SESSION_ROWS = 200,
    SESSION_OCTETS = 64 * 1024,
    SESSION_NS = 1000 * 1000,
    SESSION_TIMED_ROWS = 8, /* the clock is looked at so often */
    /* Commands that wait in memory; the rest waits in the client's kernel. */
    SESSION_INPUT_OCTETS = 32 * 1024,
    SESSION_BAD_LINES = 10,
    SESSION_STALLED_MS = 120 * 1000, /* output that nobody takes */
    /* After a last word the client's octets are read and thrown away for so
       long, since closing on them would reset the connection and destroy the
       last word too. */
    SESSION_LINGER_MS = 2 * 1000,
};

enum session_state {
    SESSION_OPEN,
    SESSION_ENDING,    /* no more commands; closes when all is sent */
    SESSION_LINGERING, /* all is sent */
    SESSION_DEAD,      /* to be freed */
};

/* What a command left to be done. */
enum step {
    STEP_DONE, /* the command is finished */
    STEP_MORE, /* go on, in this turn or the next */
    STEP_WAIT, /* whoever is waited for calls session_wake() */
};
struct work_kind {
    enum step (*step)(void *work);
    void (*free)(void *work); /* forgets whatever is waited for */
};

struct session {
    TAILQ_ENTRY(session) all;
    TAILQ_ENTRY(session) queue_entry;
    struct session_list *queue; /* that it is in; NULL: none */
    struct worker *worker;
    struct stream *stream;
    uint64_t client;   /* the master's number for it */
    uint32_t listener; /* enum ipc_listener */
    bool near;         /* what it says comes here within this machine */
    char address[48];
    struct login_account account;
    struct access access; /* what follows from all of these */
    uint64_t generation;  /* of the configuration that access came from */
    struct usage usage;
    uint64_t held_until_ms;  /* it has had enough commands until then */
    char *login_name;        /* whom the dialogue is about; NULL: nobody */
    struct sasl *sasl;       /* an exchange under way; NULL: none */
    unsigned login_failures; /* wrong passwords */

    enum session_state state;
    bool securing;       /* a TLS handshake is under way */
    bool greeted;        /* and its rights are known */
    bool running;        /* inside session_run() */
    bool again;          /* its share of the turn is used up: run again */
    bool greedy;         /* ... was, when it last ran: others come first */
    bool blocked;        /* waits for room in the output */
    bool starved;        /* waits for articles to be decided */
    bool commanded;      /* a first command came */
    bool capable;        /* has sent CAPABILITIES: knows RFC 3977 */
    bool lingers;        /* closing needs care: see SESSION_LINGER_MS */
    unsigned bad_lines;  /* in a row */
    unsigned rows;       /* left of the turn */
    unsigned rows_timed; /* rows that were left when the clock was looked at */
    uint64_t until_ns;   /* when the turn's share is used up */
    size_t octets;       /* in the output when the turn's share is used up */

    uint32_t group;  /* 0: none selected */
    uint64_t number; /* the current article; 0: invalid */

    const struct work_kind *work_kind;
    void *work;              /* NULL: none */
    struct receive *receive; /* NULL: none */
    struct pending pending;

    uint64_t active_ms;   /* when something last happened: idle time-outs */
    uint64_t progress_ms; /* when the client last took octets */
    uint64_t written;     /* how many it had taken by then */
    uint64_t counted;     /* ... and how many are in the counters */

    uint64_t posted, received, duplicates, refused; /* for the log */
    uint64_t limited; /* posts that a limit forbade */
};

/* Serve the client at fd, which is owned from here on: greets it. */
void session_new(struct worker *worker, const struct ipc_client *client,
                 int fd);
/* At once, whatever it is in the middle of. */
void session_free(struct session **session);
/* Its share of this turn. */
void session_run(struct session *session);
/* Each second: time-outs.  May free the session. */
void session_tick(struct session *session);
/* The worker is draining: end as soon as what was begun is answered. */
void session_drain(struct session *session);

/* Something has changed for the session: let it run. */
void session_wake(struct session *session);
/* Take no more commands, close when all is sent. */
void session_end(struct session *session);
/* Close now: the reply that was begun cannot be finished truthfully. */
void session_abort(struct session *session, const char *why);
/* Leave work to be stepped; it is owned by the session. */
void session_begin(struct session *session, const struct work_kind *kind,
                   void *work);

/* A reply line; CRLF is added. */
void session_reply(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A reply line of a command that made no sense: ten in a row are the end. */
void session_reply_bad(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Octets of a reply, as they are. */
void session_write(struct session *session, const void *octets, size_t length);
/* A reason as it may stand in a reply line: printable, and not too long.
   Points to static memory. */
const char *session_reason(const char *why);
/* Rows of a long reply were written: is the share of the turn used up? */
bool session_spend(struct session *session, unsigned rows);

/* Begin TLS; no output may wait. */
void session_start_tls(struct session *session);
/* Are its octets encrypted? */
bool session_is_secure(const struct session *session);
/* The certificate that the client has shown; NULL: none. */
const struct tls_identity *session_certificate(const struct session *session);

/* Are STARTTLS and COMPRESS possible, here and now? */
bool session_may_start_tls(const struct session *session);
bool session_may_compress(const struct session *session);
/* Its rights anew: something that they are made of has changed.  A group that
   it may not read any more is selected no more. */
void session_evaluate(struct session *session);
/* Could AUTHINFO grant it more, here and now? */
bool session_login_helps(const struct session *session);
/* The code for what it has no right to: 480 where a login could help, 483
   where that takes TLS first (RFC 4643, 2.1), else 502. */
unsigned session_denial(const struct session *session);

/* Who it is, for the log: "client 192.0.2.1", with "user=NAME" who has logged
   in, or "peer news.example.net". */
const char *session_name(const struct session *session);

#endif
