#include "innd/auth.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "innd/failure.h"
#include "innd/hasher.h"
#include "innd/verified.h"
#include "lib/account.h"
#include "lib/admin.h"
#include "lib/buffer.h"
#include "lib/child.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sandbox.h"
#include "lib/shared.h"

enum {
    LOGINS_MAX = 2048, /* in all, those held by a timer too */
    WORDS_MAX = 8,
};

/* One worker's socket, or the master's. */
struct link {
    TAILQ_ENTRY(link) next;
    struct auth *auth;
    struct ipc *ipc;
};

/* Where a login stands. */
enum login_state {
    LOGIN_NEW,
    LOGIN_TURN,  /* its address has failed: waits for its turn */
    LOGIN_CHECK, /* its password is being checked */
    LOGIN_JOIN, /* another with the same name and password does one of these */
    LOGIN_HELD, /* wrong: the answer waits */
};

struct login {
    TAILQ_ENTRY(login) next;
    struct auth *auth;
    struct link *link; /* NULL: nobody waits for the answer any more */
    enum login_state state;
    uint64_t cookie;
    char address[48];
    char name[ACCOUNT_NAME_OCTETS_MAX];
    size_t name_octets;
    char password[PASSWORD_OCTETS_MAX]; /* wiped as soon as it is known */
    size_t password_octets;
    struct login_tag tag;
    struct account account; /* as it was when the check began */
    struct event *timer;    /* NULL: none is set */
};

struct auth {
    struct event_base *base;
    struct config *config;
    struct shared *shared;
    struct shared_slot *slot;
    struct accounts *accounts;
    struct hasher *hasher;
    struct verified *verified;
    struct failures *failures;
    struct ipc *control;
    struct event *hashed; /* hasher_fd() */
    struct event *second;
    TAILQ_HEAD(, link) links;
    TAILQ_HEAD(, login) logins;
    size_t login_count;
};

static int64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- the end of a login --- */

static void
login_free(struct login *login)
{
    TAILQ_REMOVE(&login->auth->logins, login, next);
    login->auth->login_count--;
    if (login->timer != NULL)
        event_free(login->timer);
    password_wipe(login, sizeof(*login));
    free(login);
}

static void
login_answer(struct login *login, enum ipc_login_answer answer, unsigned role)
{
    struct ipc_login_result result = {
        .cookie = login->cookie,
        .answer = answer,
        .role = role,
    };

    if (login->link != NULL)
        ipc_send(login->link->ipc, IPC_LOGIN_RESULT, &result, sizeof(result),
                 -1);
    login_free(login);
}

static void
login_accept(struct login *login, enum account_role role)
{
    notice("client %s: logged in user=%.*s role=%s", login->address,
           (int)login->name_octets, login->name, account_role_name(role));
    login_answer(login, LOGIN_ACCEPTED, role);
}

static void
login_wait(struct login *login, enum login_state state, int64_t ms,
           event_callback_fn func)
{
    struct timeval pause = {ms / 1000, (ms % 1000) * 1000};

    login->state = state;
    if (login->timer != NULL)
        event_free(login->timer);
    login->timer = evtimer_new(login->auth->base, func, login);
    if (login->timer == NULL)
        die(EXIT_TEMPORARY, "out of memory: timer of a login");
    event_add(login->timer, &pause);
}

static void
on_held(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    login_answer(context, LOGIN_REFUSED, 0);
}

static void
login_refuse(struct login *login, int64_t delay_ms)
{
    notice("client %s: login refused user=%.*s delay_ms=%" PRId64,
           login->address, (int)login->name_octets, login->name, delay_ms);
    password_wipe(login->password, sizeof(login->password));
    login_wait(login, LOGIN_HELD, delay_ms, on_held);
}

/* --- the check --- */

/* What was found out for one is true for all that have joined it. */
static void
login_settle(struct login *login, enum ipc_login_answer answer, unsigned role,
             int64_t delay_ms)
{
    struct auth *auth = login->auth;
    struct login_tag tag = login->tag;
    struct login *other;
    struct login *next;

    for (other = TAILQ_FIRST(&auth->logins); other != NULL; other = next) {
        next = TAILQ_NEXT(other, next);
        if (other != login
            && (other->state != LOGIN_JOIN
                || !login_tags_equal(&other->tag, &tag)))
            continue;
        if (answer == LOGIN_ACCEPTED)
            login_accept(other, role);
        else if (answer == LOGIN_REFUSED)
            login_refuse(other, delay_ms);
        else
            login_answer(other, answer, 0);
    }
}

static void
login_fail(struct login *login, const struct buffer *why)
{
    warn("client %s: login cannot be checked: %s", login->address,
         buffer_text(why));
    login_settle(login, LOGIN_FAILED, 0, 0);
}

/* True: it was found right a short while ago, and is settled. */
static bool
login_is_remembered(struct login *login)
{
    unsigned role =
        verified_find(login->auth->verified, &login->tag, now_ms());

    if (role != 0)
        login_settle(login, LOGIN_ACCEPTED, role, 0);
    return role != 0;
}

static void
login_check(struct login *login)
{
    struct auth *auth = login->auth;
    struct buffer why = BUFFER_EMPTY;
    bool begun;
    int found;

    if (login_is_remembered(login))
        return;
    found = account_find(auth->accounts, login->name, login->name_octets,
                         &login->account, &why);
    if (found < 0) {
        login_fail(login, &why);
        buffer_free(&why);
        return;
    }
    login->state = LOGIN_CHECK;
    /* The work for a name that is none is the same. */
    begun =
        hasher_submit(auth->hasher, login->password, login->password_octets,
                      found > 0 ? login->account.hash : NULL, login);
    password_wipe(login->password, sizeof(login->password));
    if (!begun)
        login_settle(login, LOGIN_BUSY, 0, 0);
}

/* Does the account still have the hash that was checked? */
static int
account_is_same(struct login *login, struct buffer *why)
{
    struct account now;
    int found = account_find(login->auth->accounts, login->name,
                             login->name_octets, &now, why);

    if (found <= 0 || strcmp(now.hash, login->account.hash) != 0)
        return found < 0 ? -1 : 0;
    login->account.role = now.role;
    return 1;
}

static void
login_checked(struct login *login, bool matches)
{
    struct auth *auth = login->auth;
    struct buffer why = BUFFER_EMPTY;
    int good = matches ? account_is_same(login, &why) : 0;

    if (good > 0) {
        verified_add(auth->verified, &login->tag, login->name,
                     login->name_octets, login->account.role, now_ms());
        failures_forget_account(auth->failures, login->name,
                                login->name_octets);
        login_settle(login, LOGIN_ACCEPTED, login->account.role, 0);
    } else if (good < 0) {
        login_fail(login, &why);
    } else {
        /* One failure, on however many connections a program tries it. */
        login_settle(login, LOGIN_REFUSED, 0,
                     failures_note(auth->failures, login->address, login->name,
                                   login->name_octets, now_ms()));
    }
    buffer_free(&why);
}

static void
on_hashed(evutil_socket_t fd, short what, void *context)
{
    struct auth *auth = context;
    void *login;
    bool matches;

    (void)fd;
    (void)what;
    while (hasher_take(auth->hasher, &login, &matches))
        login_checked(login, matches);
}

static void
on_turn(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    login_check(context);
}

/* --- what workers ask --- */

static void
link_free(struct link *link)
{
    struct auth *auth = link->auth;
    struct login *login;

    TAILQ_FOREACH (login, &auth->logins, next)
        if (login->link == link)
            login->link = NULL;
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

static struct login *
login_new(struct link *link, const struct ipc_login_request *request)
{
    struct login *login = xcalloc(1, sizeof(*login));

    login->auth = link->auth;
    login->link = link;
    login->cookie = request->cookie;
    memcpy(login->address, request->address, strlen(request->address) + 1);
    memcpy(login->name, request->name, request->name_octets);
    login->name_octets = request->name_octets;
    memcpy(login->password, request->password, request->password_octets);
    login->password_octets = request->password_octets;
    TAILQ_INSERT_TAIL(&link->auth->logins, login, next);
    link->auth->login_count++;
    return login;
}

/* Is another of the same client's, with the same name and password, on its
   way? */
static bool
login_has_twin(const struct login *login)
{
    const struct login *other;

    TAILQ_FOREACH (other, &login->auth->logins, next)
        if (other != login
            && (other->state == LOGIN_TURN || other->state == LOGIN_CHECK)
            && login_tags_equal(&other->tag, &login->tag)
            && strcmp(other->address, login->address) == 0)
            return true;
    return false;
}

/*
 * The order matters: where too many wait, not even what is remembered is
 * looked at, so that nobody can try passwords against it faster than his
 * turns come; but a right one that is remembered costs no turn.
 */
static void
login_begin(struct login *login)
{
    struct auth *auth = login->auth;
    int64_t wait_ms;

    login->tag = verified_tag(auth->verified, login->name, login->name_octets,
                              login->password, login->password_octets);
    if (auth->login_count > LOGINS_MAX) {
        login_answer(login, LOGIN_BUSY, 0);
        return;
    }
    if (login_has_twin(login)) {
        password_wipe(login->password, sizeof(login->password));
        login->state = LOGIN_JOIN;
        return;
    }
    if (failures_are_full(auth->failures, login->address, now_ms())) {
        login_answer(login, LOGIN_BUSY, 0);
        return;
    }
    if (login_is_remembered(login))
        return;
    wait_ms = failures_turn_ms(auth->failures, login->address, now_ms());
    if (wait_ms > 0)
        login_wait(login, LOGIN_TURN, wait_ms, on_turn);
    else
        login_check(login);
}

static void
on_login(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    struct ipc_login_request request;
    struct login *login = NULL;

    (void)ipc;
    if (ipc_login_parse(frame, &request) == 0
        && account_name_is_valid(request.name, request.name_octets)
        && password_check(request.password, request.password_octets, NULL)
               == 0)
        login = login_new(link, &request);
    /* The connection's buffer is nobody's any more. */
    password_wipe((void *)(uintptr_t)frame->payload, frame->octets);
    if (login != NULL) {
        login_begin(login);
        return;
    }
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

/* Workers offer a login where there is an account. */
static int
accounts_publish(struct auth *auth, struct buffer *why)
{
    int64_t count = accounts_count(auth->accounts, why);

    if (count < 0)
        return -1;
    atomic_store(&auth->shared->accounts,
                 (uint32_t)(count < UINT32_MAX ? count : UINT32_MAX));
    return 0;
}

static int
command_run(struct auth *auth, int words, const char *const *word,
            struct buffer *answer)
{
    const struct admin_word *what = words > 0 ? admin_find(word[0]) : NULL;
    struct buffer why = BUFFER_EMPTY;
    int result;

    if (what == NULL
        || (what->place != ADMIN_AUTH && what->place != ADMIN_AUTH_PASSWORD)
        || !admin_takes_sent(what, words))
        return why_set(answer, "that is no command about accounts");
    result = accounts_command(auth->accounts, words, word, answer);
    if (words == 1)
        return result;
    verified_drop(auth->verified, word[1], strlen(word[1]));
    if (result == 0)
        notice("%s %s", word[0], word[1]);
    if (accounts_publish(auth, &why) < 0)
        warn("%s", buffer_text(&why));
    buffer_free(&why);
    return result;
}

static void
on_command(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct auth *auth = context;
    const struct ipc_command *command = frame->payload;
    struct ipc_reply reply = {.cookie = command->cookie};
    const char *word[WORDS_MAX];
    struct buffer answer = BUFFER_EMPTY;
    int words = ipc_command_words(frame, word, WORDS_MAX);
    struct iovec pieces[2];

    reply.status = command_run(auth, words, word, &answer) < 0 ? 1 : 0;
    pieces[0] = (struct iovec){&reply, sizeof(reply)};
    pieces[1] = (struct iovec){answer.data, answer.used};
    ipc_sendv(ipc, IPC_REPLY, pieces, 2, -1);
    buffer_free(&answer);
}

static void
on_config(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct auth *auth = context;
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_from_memfd(frame->descriptor, &why);

    (void)ipc;
    if (config == NULL) {
        warn("a new configuration cannot be read: %s", buffer_text(&why));
        buffer_free(&why);
        return;
    }
    config_free(&auth->config);
    auth->config = config;
    log_set_level((enum log_level)config->log_level);
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
}

static void
auth_inherit(struct auth *auth, const struct child_arguments *arguments)
{
    struct buffer why = BUFFER_EMPTY;

    auth->config = config_from_memfd(CHILD_CONFIG_FD, &why);
    if (auth->config == NULL)
        die(EXIT_SOFTWARE, "configuration: %s", buffer_text(&why));
    log_open("auth", auth->config->syslog);
    log_set_level((enum log_level)auth->config->log_level);
    auth->shared = shared_map(CHILD_SHARED_FD);
    auth->slot = &auth->shared->slots[arguments->slot];
    auth->accounts = accounts_open(auth->config->pathdb, &why);
    if (auth->accounts == NULL || accounts_publish(auth, &why) < 0)
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

static struct event *
event_make(struct auth *auth, int fd, short what, event_callback_fn func)
{
    struct event *event = event_new(auth->base, fd, what, func, auth);

    if (event == NULL)
        die(EXIT_TEMPORARY, "out of memory: event of auth");
    return event;
}

static void
auth_begin(struct auth *auth)
{
    const struct timeval second = {1, 0};

    auth->base = event_base_new();
    if (auth->base == NULL)
        die(EXIT_TEMPORARY, "out of memory: event base");
    TAILQ_INIT(&auth->links);
    TAILQ_INIT(&auth->logins);
    auth->hasher = hasher_new();
    auth->verified = verified_new();
    auth->failures = failures_new();
    auth->hashed = event_make(auth, hasher_fd(auth->hasher),
                              EV_READ | EV_PERSIST, on_hashed);
    auth->second = event_make(auth, -1, EV_PERSIST, on_second);
    event_add(auth->hashed, NULL);
    event_add(auth->second, &second);
    auth->control =
        ipc_new(auth->base, CHILD_CONTROL_FD, control_handlers,
                sizeof(control_handlers) / sizeof(*control_handlers),
                control_closed, auth);
    ipc_send(auth->control, IPC_READY, NULL, 0, -1);
}

static void
auth_end(struct auth *auth)
{
    while (!TAILQ_EMPTY(&auth->links))
        link_free(TAILQ_FIRST(&auth->links));
    ipc_free(&auth->control);
    hasher_free(&auth->hasher);
    while (!TAILQ_EMPTY(&auth->logins))
        login_free(TAILQ_FIRST(&auth->logins));
    event_free(auth->second);
    event_free(auth->hashed);
    failures_free(&auth->failures);
    verified_free(&auth->verified);
    event_base_free(auth->base);
    accounts_close(&auth->accounts);
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
