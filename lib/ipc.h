/*
 * ipc -- messages between the processes of one server, on stream sockets.
 *
 * A frame is a head (struct ipc_head) and a payload; one descriptor may ride
 * along.  The receiver checks type, size and descriptor against a table of
 * what it understands before a handler runs, exactly as it would for octets
 * from the network: a wrong message ends the sender's connection, a surplus
 * descriptor is closed.  Whoever receives a descriptor owns it; whoever sent
 * it has given it away.
 *
 * The first frame in each direction is IPC_HELLO; another version than ours
 * ends the connection.  Numbers are in the machine's order: both ends are
 * programs of one installation.
 */
#ifndef LIB_IPC_H
#define LIB_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/message_id.h"
#include "lib/token.h"

struct buffer;
struct event_base;

/* Raise it with every change of a payload or of what a type means. */
enum { IPC_VERSION = 5 };

/* A frame longer than this is a mistake: an article of 16 MiB fits. */
enum { IPC_PAYLOAD_MAX = 18 * 1024 * 1024 };

/* Zeroes follow a payload up to a multiple of this, so that every payload in
   a run of frames lies aligned; payload_octets does not count them. */
enum { IPC_ALIGNMENT = 8 };

enum ipc_type {
    IPC_HELLO = 1,
    /* The control socket of each child (a socketpair with the master). */
    IPC_CONFIG, /* master -> child: a new configuration; carries its memfd */
    IPC_DRAIN,  /* master -> child: take nothing new, finish, exit 0 */
    IPC_READY,  /* child -> master: I serve now */
    IPC_CLIENT, /* master -> nnrpd: serve this client; carries its socket */
    IPC_LOAD,   /* nnrpd -> master: clients held, and one address given back */
    IPC_WRITER, /* master -> nnrpd: your sockets to the (new) writer; one
                   descriptor a message, ipc_link says which */
    IPC_WORKER, /* master -> writer, auth: the other end of such a socket */
    IPC_COMMAND, /* ctlinnd -> master, master -> writer or auth: words of a
                    command */
    IPC_REPLY,   /* back: exit status and text */
    /* The sockets to the writer: a worker's feed and post, a tool's. */
    IPC_ARTICLE, /* -> writer: store this; the article follows inline */
    IPC_OUTCOME, /* writer ->: what became of an IPC_ARTICLE */
    IPC_CHECK,   /* -> writer: do you want these (up to 1,024 hashes)? */
    IPC_CHECKED, /* writer ->: the answers, in order */
    IPC_REFUSED, /* nnrpd -> writer: this ID was refused, for what its article
                    is */
    IPC_FIND,    /* -> writer: where is this message-ID? */
    IPC_FOUND,   /* writer ->: there, or nowhere */
    IPC_MEND,    /* tool -> writer: put these rows of the indices right */
    IPC_HISTORY, /* tool -> writer: what is in the history from this hash on?
                  */
    IPC_HISTORY_ENTRIES, /* writer -> tool: so many of it, in order */
    IPC_ACTIVE, /* writer -> tool, after the hello: the groups; carries the
           memfd of storage/active.h, read-only */
    /* A worker's socket to the auth process. */
    IPC_AUTH,  /* master -> nnrpd, outside: your socket to the (new) auth
                  process */
    IPC_LOGIN, /* nnrpd -> auth -> outside: may this client log in as that
                  account? */
    IPC_LOGIN_RESULT, /* back: that it may, or not */
    /* The control socket of the bridge. */
    IPC_BRIDGE, /* wsbridge -> master: a client of mine; carries one end of
                   its socketpair */
    IPC_EXPIRE, /* tool -> writer: remove this batch; an IPC_REPLY comes back
                 */
    /* The control socket of a worker, too. */
    IPC_TICKETS, /* master -> nnrpd: keys of session tickets, once it is ready
                    and whenever there is a new one; lib/tls_ticket.h's */
};

struct ipc_head {
    uint32_t payload_octets;
    uint16_t type;       /* enum ipc_type */
    uint16_t descriptor; /* 1: one rides along, else 0 */
};
_Static_assert(sizeof(struct ipc_head) == 8, "frame head");

/* --- payloads: a fixed head, then what its comment says --- */

struct ipc_hello {
    uint32_t version; /* IPC_VERSION */
    uint32_t pid;
};
_Static_assert(sizeof(struct ipc_hello) == 8, "payload");

enum ipc_listener {
    LISTENER_PLAIN = 1,
    LISTENER_TLS = 2,
    LISTENER_BRIDGE = 3,
    LISTENER_LOCAL = 4 /* in the file system: the kernel says who it is */
};

struct ipc_client {
    uint64_t client;   /* the master's number for it, for IPC_LOAD */
    uint32_t listener; /* enum ipc_listener */
    uint32_t port;     /* the client's */
    char address[48];  /* numeric, NUL-terminated */
    char user[40];     /* LISTENER_LOCAL: "local:NAME"; else "" */
    uint32_t trusted;  /* LISTENER_LOCAL: 1 for root and the server's user */
    uint32_t near;     /* LISTENER_BRIDGE: as in struct ipc_bridge */
};
_Static_assert(sizeof(struct ipc_client) == 112, "payload");

struct ipc_load {
    uint64_t closed;  /* the client that has gone, 0: none */
    uint32_t clients; /* that this worker holds now */
    uint32_t retires; /* 1: it wants to end; IPC_DRAIN is the answer */
};
_Static_assert(sizeof(struct ipc_load) == 16, "payload");

/* Whom the bridge speaks for; the master believes no one else this. */
struct ipc_bridge {
    uint32_t port;
    uint32_t near; /* 1: its connection to the bridge is within this machine,
                      be it a proxy's that speaks for it */
    char address[48]; /* numeric, NUL-terminated */
};
_Static_assert(sizeof(struct ipc_bridge) == 56, "payload");

enum ipc_link_kind {
    LINK_FEED = 1,
    LINK_POST = 2,
    LINK_TOOL = 3,
    LINK_AUTH = 4,
    LINK_OUTSIDE = 5, /* auth's, to the process that asks others */
};

struct ipc_link {
    uint32_t kind;   /* enum ipc_link_kind */
    uint32_t worker; /* slot of the worker, from 0 */
};
_Static_assert(sizeof(struct ipc_link) == 8, "payload");

/* Words follow, each ended by NUL. */
struct ipc_command {
    uint64_t cookie; /* the asker's; comes back */
    uint32_t words;
    uint32_t zero;
};
_Static_assert(sizeof(struct ipc_command) == 16, "payload");

/* The text follows. */
struct ipc_reply {
    uint64_t cookie;
    uint32_t status; /* 0 done, else ctlinnd's exit status */
    uint32_t zero;
};
_Static_assert(sizeof(struct ipc_reply) == 16, "payload");

/* IPC_ARTICLE's payload is storage/submission.h's. */

/* Steps of storage/mend.h follow. */
struct ipc_mend {
    uint64_t cookie; /* the tool's; comes back */
};
_Static_assert(sizeof(struct ipc_mend) == 8, "payload");

/* A batch of storage/expiry.h follows. */
struct ipc_expire {
    uint64_t cookie; /* the tool's; comes back */
};
_Static_assert(sizeof(struct ipc_expire) == 8, "payload");

struct ipc_outcome {
    uint64_t cookie;   /* the submission's */
    uint64_t sequence; /* of the stored article, else 0 */
    struct token token;
    uint32_t outcome; /* enum store_outcome */
    uint32_t zero;
    /* the reason follows, for a person; empty when stored */
};
_Static_assert(sizeof(struct ipc_outcome) == 40, "payload");

enum ipc_check_answer {
    CHECK_WANTED = 0,
    CHECK_KNOWN = 1,       /* 438: stored, or never to be stored */
    CHECK_IN_PROGRESS = 2, /* 431: another has just sent it */
    CHECK_LATER = 3,       /* 431: paused, disk full */
};

struct ipc_check { /* hashes follow */
    uint64_t cookie;
    uint32_t count;
    uint32_t zero;
};
struct ipc_checked { /* count octets follow: enum ipc_check_answer */
    uint64_t cookie;
    uint32_t count;
    uint32_t zero;
};
struct ipc_find {
    uint64_t cookie;
    struct message_hash hash;
};
struct ipc_found {
    uint64_t cookie;
    uint64_t sequence; /* 0: we do not have it */
    struct token token;
};
struct ipc_refused {
    struct message_hash hash;
};
_Static_assert(sizeof(struct ipc_refused) == 16, "payload");
_Static_assert(sizeof(struct ipc_check) == 16, "payload");
_Static_assert(sizeof(struct ipc_checked) == 16, "payload");
_Static_assert(sizeof(struct ipc_find) == 24, "payload");
_Static_assert(sizeof(struct ipc_found) == 32, "payload");

enum { IPC_HISTORY_MAX = 1024 }; /* entries a message */

struct ipc_history {
    uint64_t cookie;
    struct message_hash from; /* the first one, or the next above it */
    uint32_t count;           /* at most so many, up to IPC_HISTORY_MAX */
    uint32_t zero;
};
_Static_assert(sizeof(struct ipc_history) == 32, "payload");

/* count entries follow, ascending by hash; none: there are no more. */
struct ipc_history_entries {
    uint64_t cookie;
    uint32_t count;
    uint32_t zero;
};
_Static_assert(sizeof(struct ipc_history_entries) == 16, "payload");

struct ipc_history_entry {
    struct message_hash hash;
    uint64_t sequence;
    int64_t until;
    struct token token;
    uint32_t fate; /* enum history_fate of storage/history.h */
    uint32_t zero;
};
_Static_assert(sizeof(struct ipc_history_entry) == 56, "payload");

enum ipc_login_kind {
    LOGIN_PASSWORD = 1, /* the secret is a password */
    LOGIN_CERTIFICATE,  /* there is none: the worker has verified a client
                           certificate of this name */
    LOGIN_SALT,         /* none: what SCRAM tells of the account */
    LOGIN_PROOF,        /* SCRAM's proof, and the AuthMessage behind it */
    LOGIN_AGAIN,        /* none: he has logged in; may he still? */
};

/* The name and the secret follow; ipc_login_build() and _parse(). */
struct ipc_login {
    uint64_t cookie;
    char address[48]; /* of the client; numeric, NUL-terminated */
    uint32_t kind;    /* enum ipc_login_kind */
    uint32_t name_octets;
    uint32_t secret_octets;
    uint32_t zero;
};
_Static_assert(sizeof(struct ipc_login) == 72, "payload");

enum ipc_login_answer {
    LOGIN_ACCEPTED = 1,
    LOGIN_REFUSED, /* 481: another password, or no such account */
    LOGIN_BUSY,    /* 400: too many wait for an answer */
    LOGIN_FAILED,  /* 403: the accounts cannot be read at present */
};

/* Behind it follows, accepted: the wildmat of the groups it moderates. */
struct ipc_login_result {
    uint64_t cookie;
    uint64_t generation; /* of the accounts (lib/shared.h), when the account
                            was looked up */
    uint32_t answer;     /* enum ipc_login_answer */
    uint32_t role;       /* accepted: enum account_role */
    uint32_t source;     /* accepted: enum account_source */
    uint32_t zero;
    unsigned char scram[32]; /* LOGIN_SALT: the salt, and zeroes; LOGIN_PROOF,
                                accepted: the server's signature */
};
_Static_assert(sizeof(struct ipc_login_result) == 64, "payload");

/* --- a connection in an event loop --- */

struct ipc;

/* What a handler gets; payload is borrowed until it returns, descriptor is
   its own (-1: none).  payload is aligned to 8. */
struct ipc_frame {
    enum ipc_type type;
    const void *payload;
    size_t octets;
    int descriptor;
};

typedef void ipc_handler_func(void *context, struct ipc *ipc,
                              const struct ipc_frame *frame);
/* The other end is gone or sent nonsense (why says which).  The callee calls
   ipc_free(), at once or later; nothing more comes. */
typedef void ipc_closed_func(void *context, struct ipc *ipc, const char *why);

struct ipc_handler {
    enum ipc_type type;
    size_t octets_min; /* the payload's fixed head; exact where exact is set */
    bool exact;
    bool descriptor; /* does one ride along */
    ipc_handler_func *handle;
};

/*
 * Take over a connected stream socket.  Sends IPC_HELLO.  handlers must
 * outlive the connection.  A handler may call ipc_send() and ipc_free().
 */
struct ipc *ipc_new(struct event_base *base, int fd,
                    const struct ipc_handler *handlers, size_t handler_count,
                    ipc_closed_func *closed, void *context);
void ipc_free(struct ipc **ipc);

/*
 * Queue a frame; never blocks.  All frames of one turn of the loop leave in
 * one system call.  descriptor is -1 or one that is given away.
 */
void ipc_send(struct ipc *ipc, enum ipc_type type, const void *payload,
              size_t octets, int descriptor);
/* The same from pieces; copies them. */
void ipc_sendv(struct ipc *ipc, enum ipc_type type, const struct iovec *pieces,
               int count, int descriptor);
/* The same for what nobody may find in memory later: wiped when it has gone.
 */
void ipc_send_secret(struct ipc *ipc, enum ipc_type type, const void *payload,
                     size_t octets);
/* Octets queued and not yet taken by the socket. */
size_t ipc_queued(const struct ipc *ipc);
/* Stop and resume calling handlers (nothing is lost; the sender blocks). */
void ipc_pause(struct ipc *ipc);
void ipc_resume(struct ipc *ipc);
/* Who is at the other end (SO_PEERCRED); false when the system cannot tell. */
bool ipc_peer(const struct ipc *ipc, uint32_t *uid_r, uint32_t *pid_r);

/* --- the same for programs without a loop (ctlinnd, newsimport) --- */

/* Connect to a Unix-domain socket and exchange IPC_HELLO.  -1 with why, and
   errno ENOENT or ECONNREFUSED when nobody listens there. */
int ipc_connect(const char *path, struct buffer *why);
/* Make a listening socket at path, mode 0660, in place of what was there;
   non-blocking, close-on-exec.  -1 with why. */
int ipc_listen(const char *path, struct buffer *why);
/* 0 or -1; blocks. */
int ipc_write(int fd, enum ipc_type type, const struct iovec *pieces,
              int count, struct buffer *why);
/* Wait for one frame, at most timeout_ms (-1: for ever); payload is cleared
   and filled; *descriptor_r is -1 or the caller's to close (NULL: none is
   expected, and one that comes is closed).  1: got one, 0: timed out, -1:
   why. */
int ipc_read(int fd, enum ipc_type *type_r, struct buffer *payload,
             int *descriptor_r, int timeout_ms, struct buffer *why);

/* Build the payload of an IPC_COMMAND, and take one apart: words_r points
   into the payload, at most words_max; returns the count or -1. */
void ipc_command_build(struct buffer *payload, uint64_t cookie, int words,
                       const char *const *word);
int ipc_command_words(const struct ipc_frame *frame, const char **words_r,
                      int words_max);

/* The same for an IPC_LOGIN.  What is parsed points into the frame; -1 when it
   is not what a worker sends. */
struct ipc_login_request {
    uint64_t cookie;
    const char *address;
    enum ipc_login_kind kind;
    const char *name;
    size_t name_octets;
    const char *secret;
    size_t secret_octets;
};
void ipc_login_build(struct buffer *payload,
                     const struct ipc_login_request *request);
int ipc_login_parse(const struct ipc_frame *frame,
                    struct ipc_login_request *request_r);

#endif
