#include "innd/auth.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "innd/checker.h"
#include "innd/login.h"
#include "innd/outside.h"
#include "lib/account.h"
#include "lib/admin.h"
#include "lib/buffer.h"
#include "lib/child.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/login_link.h"
#include "lib/memory.h"
#include "lib/sandbox.h"
#include "lib/shared.h"

enum { WORDS_MAX = 8 };

/* One worker's socket, or the master's. */
struct link {
    TAILQ_ENTRY(link) next;
    struct auth *auth;
    struct ipc *ipc;
};

struct auth {
    struct event_base *base;
    struct config *config;
    struct shared *shared;
    struct shared_slot *slot;
    struct checker *checker;
    struct logins *logins;
    struct login_link *outside; /* NULL: nobody else is asked */
    struct ipc *control;
    struct event *second;
    bool shared_accounts; /* with other servers */
    bool looking;         /* a thread looks for their changes */
    int64_t changes;      /* as last seen */
    TAILQ_HEAD(, link) links;
};

/* --- what workers ask --- */

static void
link_free(struct link *link)
{
    struct auth *auth = link->auth;

    logins_forget(auth->logins, link);
    ipc_free(&link->ipc);
    TAILQ_REMOVE(&auth->links, link, next);
    free(link);
}

static void
link_closed(void *context, struct ipc *ipc, const char *why)
{
    (void)ipc;
    debug("a worker's socket: %s", why);
    link_free(context);
}

static void
link_answer(void *asker, const struct ipc_login_result *result,
            const char *moderates)
{
    struct link *link = asker;
    struct iovec pieces[2] = {
        {(void *)(uintptr_t)result, sizeof(*result)},
        {(void *)(uintptr_t)moderates, strlen(moderates)},
    };

    ipc_sendv(link->ipc, IPC_LOGIN_RESULT, pieces, 2, -1);
}

static void
on_login(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    struct ipc_login_request request;
    int status;

    (void)ipc;
    status = ipc_login_parse(frame, &request);
    if (status == 0)
        status = logins_ask(link->auth->logins, link, &request);
    /* The connection's buffer is nobody's any more. */
    password_wipe((void *)(uintptr_t)frame->payload, frame->octets);
    if (status == 0)
        return;
    warn("a worker has sent a login that is none");
    link_free(link);
}

static const struct ipc_handler worker_handlers[] = {
    {IPC_LOGIN, sizeof(struct ipc_login), false, false, on_login},
};

/* --- what the master says --- */

static void
on_worker(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct auth *auth = context;
    const struct ipc_link *asked = frame->payload;
    struct link *link;

    (void)ipc;
    if (asked->kind == LINK_OUTSIDE && auth->outside != NULL) {
        login_link_connect(auth->outside, frame->descriptor);
        return;
    }
    if (asked->kind != LINK_AUTH) {
        warn("the master sent a link of kind %u", (unsigned)asked->kind);
        close(frame->descriptor);
        return;
    }
    link = xcalloc(1, sizeof(*link));
    link->auth = auth;
    TAILQ_INSERT_TAIL(&auth->links, link, next);
    link->ipc = ipc_new(auth->base, frame->descriptor, worker_handlers,
                        sizeof(worker_handlers) / sizeof(*worker_handlers),
                        link_closed, link);
}

/* --- words about accounts: carried out in a thread --- */

struct command {
    struct auth *auth;
    uint64_t cookie;
    struct buffer payload; /* of the frame: word points into it */
    int words;             /* none: only count */
    const char *word[WORDS_MAX];
    int status;
    struct buffer answer;
    bool counted; /* else why */
    struct account_counts counts;
    struct buffer why;
};

static void
command_run(struct accounts *accounts, void *work)
{
    struct command *command = work;
    const struct admin_word *what =
        command->words > 0 ? admin_find(command->word[0]) : NULL;

    if (command->words > 0
        && (what == NULL
            || (what->place != ADMIN_AUTH
                && what->place != ADMIN_AUTH_PASSWORD)
            || !admin_takes_sent(what, command->words)))
        command->status =
            why_set(&command->answer, "that is no command about accounts");
    else if (command->words > 0)
        command->status = accounts_command(accounts, command->words,
                                           command->word, &command->answer);
    /* Before the answer: from then on no worker believes what it knew. */
    if (command->words != 1)
        atomic_fetch_add(&command->auth->shared->accounts_generation, 1);
    command->counted =
        accounts_count(accounts, &command->counts, &command->why) == 0;
}

static void
command_free(struct command *command)
{
    password_wipe(command->payload.data, command->payload.used);
    buffer_free(&command->payload);
    buffer_free(&command->answer);
    buffer_free(&command->why);
    free(command);
}

static uint32_t
count_fit(int64_t count)
{
    return (uint32_t)(count < UINT32_MAX ? count : UINT32_MAX);
}

/* Workers offer a login where there is an account. */
static void
counts_publish(struct shared *shared, const struct account_counts *counts)
{
    atomic_store(&shared->accounts, count_fit(counts->all));
    atomic_store(&shared->accounts_scram, count_fit(counts->scram));
}

static void
command_publish(const struct command *command)
{
    if (command->counted)
        counts_publish(command->auth->shared, &command->counts);
    else
        warn("%s", buffer_text(&command->why));
}

static void
command_done(void *work)
{
    struct command *command = work;
    struct ipc_reply reply = {
        .cookie = command->cookie,
        .status = command->status < 0 ? 1 : 0,
    };
    struct iovec pieces[2] = {
        {&reply, sizeof(reply)},
        {command->answer.data, command->answer.used},
    };

    command_publish(command);
    if (command->status == 0 && command->words > 1)
        notice("%s %s", command->word[0], command->word[1]);
    ipc_sendv(command->auth->control, IPC_REPLY, pieces, 2, -1);
    command_free(command);
}

static void
on_command(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct command *command = xcalloc(1, sizeof(*command));
    struct ipc_frame copy = *frame;

    (void)ipc;
    command->auth = context;
    command->cookie = ((const struct ipc_command *)frame->payload)->cookie;
    buffer_append(&command->payload, frame->payload, frame->octets);
    copy.payload = command->payload.data;
    command->words = ipc_command_words(&copy, command->word, WORDS_MAX);
    if (command->words <= 0) {
        /* It cannot be carried out, and must be answered all the same. */
        command->words = 1;
        command->word[0] = "";
    }
    (void)checker_submit(command->auth->checker, CHECKER_QUICK, command_run,
                         command_done, command); /* always has room */
}

/* The first of all: logins are offered, and those of before looked at again.
 */
static void
begin_done(void *work)
{
    struct command *command = work;

    if (!command->counted)
        die(EXIT_IO, "%s", buffer_text(&command->why));
    command_publish(command);
    ipc_send(command->auth->control, IPC_READY, NULL, 0, -1);
    command_free(command);
}

/* --- changes by other servers --- */

struct look {
    struct auth *auth;
    int64_t changes; /* -1: why */
    bool counted;
    struct account_counts counts;
    struct buffer why;
};

static void
look_run(struct accounts *accounts, void *work)
{
    struct look *look = work;

    look->changes = accounts_changes(accounts, &look->why);
    if (look->changes < 0 || look->changes == look->auth->changes)
        return;
    atomic_fetch_add(&look->auth->shared->accounts_generation, 1);
    look->counted = accounts_count(accounts, &look->counts, &look->why) == 0;
}

/* A database that is away is told of by the logins that fail. */
static void
look_done(void *work)
{
    struct look *look = work;
    struct auth *auth = look->auth;

    if (look->changes < 0)
        debug("%s", buffer_text(&look->why));
    else
        auth->changes = look->changes;
    if (look->counted)
        counts_publish(auth->shared, &look->counts);
    auth->looking = false;
    buffer_free(&look->why);
    free(look);
}

static void
auth_look(struct auth *auth)
{
    struct look *look;

    if (!auth->shared_accounts || auth->looking)
        return;
    look = xcalloc(1, sizeof(*look));
    look->auth = auth;
    auth->looking = true;
    (void)checker_submit(auth->checker, CHECKER_QUICK, look_run, look_done,
                         look); /* always has room */
}

static void
auth_count(struct auth *auth)
{
    struct command *command = xcalloc(1, sizeof(*command));

    command->auth = auth;
    (void)checker_submit(auth->checker, CHECKER_QUICK, command_run, begin_done,
                         command); /* always has room */
}

static void
on_config(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct auth *auth = context;

    (void)ipc;
    (void)child_config_renew(&auth->config,
                             frame->descriptor); /* or it stays */
}

/* The workers have ended before: nobody waits for an answer. */
static void
on_drain(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct auth *auth = context;

    (void)ipc;
    (void)frame;
    event_base_loopbreak(auth->base);
}

static void
control_closed(void *context, struct ipc *ipc, const char *why)
{
    struct auth *auth = context;

    (void)ipc;
    notice("the master is gone: %s", why);
    event_base_loopbreak(auth->base);
}

static const struct ipc_handler control_handlers[] = {
    /* type      payload                     exact  fd     handler */
    {IPC_CONFIG, 0, true, true, on_config},
    {IPC_DRAIN, 0, true, false, on_drain},
    {IPC_WORKER, sizeof(struct ipc_link), true, true, on_worker},
    {IPC_COMMAND, sizeof(struct ipc_command), false, false, on_command},
};

/* --- its life --- */

static void
on_second(evutil_socket_t fd, short what, void *context)
{
    struct auth *auth = context;

    (void)fd;
    (void)what;
    atomic_fetch_add(&auth->slot->loops, 1);
    if (auth->outside != NULL)
        login_link_tick(auth->outside);
    auth_look(auth);
}

static void
auth_inherit(struct auth *auth, const struct child_arguments *arguments)
{
    struct buffer why = BUFFER_EMPTY;

    auth->config = child_config_inherit();
    log_open("auth", auth->config->syslog);
    auth->shared = shared_map(CHILD_SHARED_FD);
    auth->slot = &auth->shared->slots[arguments->slot];
    auth->checker =
        checker_open(auth->config->accounts, auth->config->pathdb, &why);
    if (auth->checker == NULL)
        die(EXIT_IO, "%s", buffer_text(&why));
    buffer_free(&why);
}

/* The master decides when we end. */
static void
ignore_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM};

    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        signal(ignored[i], SIG_IGN);
}

static void
auth_begin(struct auth *auth)
{
    const struct timeval second = {1, 0};

    auth->base = event_base_new();
    if (auth->base == NULL)
        die(EXIT_TEMPORARY, "out of memory: event base");
    TAILQ_INIT(&auth->links);
    checker_start(auth->checker, auth->base);
    auth->shared_accounts = strcmp(auth->config->accounts, "sqlite") != 0;
    if (outside_is_wanted(auth->config))
        auth->outside = login_link_new(auth->base, "outside");
    auth->logins = logins_new(auth->base, auth->config, auth->checker,
                              auth->outside, auth->shared, link_answer);
    auth->second = event_new(auth->base, -1, EV_PERSIST, on_second, auth);
    if (auth->second == NULL)
        die(EXIT_TEMPORARY, "out of memory: event of auth");
    event_add(auth->second, &second);
    auth->control =
        ipc_new(auth->base, CHILD_CONTROL_FD, control_handlers,
                sizeof(control_handlers) / sizeof(*control_handlers),
                control_closed, auth);
    auth_count(auth);
}

static void
auth_end(struct auth *auth)
{
    while (!TAILQ_EMPTY(&auth->links))
        link_free(TAILQ_FIRST(&auth->links));
    ipc_free(&auth->control);
    checker_free(&auth->checker);
    login_link_free(&auth->outside);
    logins_free(&auth->logins);
    event_free(auth->second);
    event_base_free(auth->base);
    config_free(&auth->config);
}

int
auth_run(const struct child_arguments *arguments)
{
    struct auth auth = {0};

    ignore_signals();
    auth_inherit(&auth, arguments);
    /* The database is open, and its journal there: it may make no file. */
    sandbox_enter(SANDBOX_AUTH, auth.config);
    auth_begin(&auth);
    if (event_base_dispatch(auth.base) < 0)
        die(EXIT_SOFTWARE, "the event loop failed");
    auth_end(&auth);
    return 0;
}
