#include "innd/login.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "innd/check.h"
#include "innd/checker.h"
#include "innd/failure.h"
#include "innd/verified.h"
#include "lib/account.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/login_link.h"
#include "lib/memory.h"
#include "lib/shared.h"

enum { SECRET_OCTETS_MAX = 32 * 1024 }; /* three lines of SASL */

/* Where a login stands. */
enum login_state {
    LOGIN_NEW,
    LOGIN_TURN,  /* its address has failed: waits for its turn */
    LOGIN_CHECK, /* a thread, or somebody outside, looks at it */
    LOGIN_JOIN, /* another with the same name and password does one of these */
    LOGIN_HELD, /* wrong: the answer waits */
};

struct login {
    TAILQ_ENTRY(login) next;
    struct logins *logins;
    void *asker; /* NULL: nobody waits for the answer any more */
    enum login_state state;
    uint64_t cookie;
    char address[48];
    struct login_tag tag; /* of a password */
    struct check check;
    int64_t begun_ms;    /* of the check */
    struct event *timer; /* NULL: none is set */
};

struct logins {
    TAILQ_HEAD(, login) list;
    size_t count; /* of those that LOGINS_MAX bounds */
    struct event_base *base;
    struct checker *checker;
    struct login_link *outside; /* NULL: nobody is asked there */
    bool database;              /* is asked for passwords */
    const struct shared *shared;
    struct verified *verified;
    struct failures *failures;
    login_answer_func *answer;
};

/* Somebody tries a secret: only such logins have turns and delays. */
static bool
login_is_try(const struct login *login)
{
    return login->check.kind == LOGIN_PASSWORD
           || login->check.kind == LOGIN_PROOF;
}

/* --- the end of a login --- */

static void
login_free(struct login *login)
{
    TAILQ_REMOVE(&login->logins->list, login, next);
    if (login->check.kind != LOGIN_AGAIN)
        login->logins->count--;
    if (login->timer != NULL)
        event_free(login->timer);
    check_clear(&login->check);
    free(login);
}

static void
login_answer(struct login *login, enum ipc_login_answer answer,
             const struct verified_account *account)
{
    struct ipc_login_result result = {
        .cookie = login->cookie,
        .answer = answer,
    };

    memcpy(result.scram, login->check.scram, sizeof(result.scram));
    if (account != NULL) {
        result.generation = account->generation;
        result.role = account->role;
        result.source = account->source;
    }
    if (login->asker != NULL)
        login->logins->answer(login->asker, &result,
                              account != NULL ? account->moderates : "");
    login_free(login);
}

static void
login_accept(struct login *login, const struct verified_account *account)
{
    const struct check *check = &login->check;

    if (check->kind != LOGIN_AGAIN && check->kind != LOGIN_SALT)
        notice("client %s: logged in user=%.*s role=%s", login->address,
               (int)check->name_octets, check->name,
               account_role_name(account->role));
    login_answer(login, LOGIN_ACCEPTED, account);
}

static void
login_wait(struct login *login, enum login_state state, int64_t ms,
           event_callback_fn func)
{
    struct timeval pause = {ms / 1000, (ms % 1000) * 1000};

    login->state = state;
    if (login->timer != NULL)
        event_free(login->timer);
    login->timer = evtimer_new(login->logins->base, func, login);
    if (login->timer == NULL)
        die(EXIT_TEMPORARY, "out of memory: timer of a login");
    event_add(login->timer, &pause);
}

static void
on_held(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    login_answer(context, LOGIN_REFUSED, NULL);
}

static void
login_refuse(struct login *login, int64_t delay_ms)
{
    struct check *check = &login->check;
    int64_t left_ms = login->begun_ms + delay_ms - clock_ms();

    if (check->kind == LOGIN_AGAIN) {
        login_answer(login, LOGIN_REFUSED, NULL);
        return;
    }
    notice("client %s: login refused user=%.*s delay_ms=%" PRId64,
           login->address, (int)check->name_octets, check->name, delay_ms);
    if (check->secret.data != NULL)
        password_wipe(check->secret.data, check->secret.used);
    memset(check->scram, 0, sizeof(check->scram));
    login_wait(login, LOGIN_HELD, left_ms > 0 ? left_ms : 0, on_held);
}

/* --- the check --- */

static void
login_end(struct login *login, enum ipc_login_answer answer,
          const struct verified_account *account, int64_t delay_ms)
{
    if (answer == LOGIN_ACCEPTED)
        login_accept(login, account);
    else if (answer == LOGIN_REFUSED)
        login_refuse(login, delay_ms);
    else
        login_answer(login, answer, NULL);
}

/* What was found out for one is true for all that have joined it. */
static void
login_settle(struct login *login, enum ipc_login_answer answer,
             const struct verified_account *account, int64_t delay_ms)
{
    struct logins *logins = login->logins;
    struct login_tag tag = login->tag;
    int64_t begun_ms = login->begun_ms;
    bool joinable = login->check.kind == LOGIN_PASSWORD;
    struct login *other;
    struct login *next;

    login_end(login, answer, account, delay_ms);
    for (other = TAILQ_FIRST(&logins->list); joinable && other != NULL;
         other = next) {
        next = TAILQ_NEXT(other, next);
        if (other->state != LOGIN_JOIN || !login_tags_equal(&other->tag, &tag))
            continue;
        other->begun_ms = begun_ms;
        login_end(other, answer, account, delay_ms);
    }
}

static void
login_fail(struct login *login)
{
    warn("client %s: login cannot be checked: %s", login->address,
         buffer_text(&login->check.why));
    login_settle(login, LOGIN_FAILED, NULL, 0);
}

/* One failure, on however many connections a program tries it. */
static void
login_wrong(struct login *login)
{
    const struct check *check = &login->check;
    int64_t delay_ms = 0;

    if (login_is_try(login))
        delay_ms = failures_note(login->logins->failures, login->address,
                                 check->name, check->name_octets, clock_ms());
    login_settle(login, LOGIN_REFUSED, NULL, delay_ms);
}

static void
login_right(struct login *login, const struct verified_account *account)
{
    struct logins *logins = login->logins;
    const struct check *check = &login->check;

    if (check->kind == LOGIN_PASSWORD)
        verified_add(logins->verified, &login->tag, account, clock_ms());
    if (login_is_try(login))
        failures_forget_account(logins->failures, check->name,
                                check->name_octets);
    login_settle(login, LOGIN_ACCEPTED, account, 0);
}

/* --- outside --- */

static void
outside_answered(void *context, const struct ipc_login_result *result,
                 const char *moderates)
{
    struct login *login = context;
    struct verified_account account = {
        .generation = login->check.generation,
        .role = result->role,
        .source = result->source,
    };

    switch ((enum ipc_login_answer)result->answer) {
    case LOGIN_ACCEPTED:
        memcpy(account.moderates, moderates, strlen(moderates) + 1);
        login_right(login, &account);
        return;
    case LOGIN_REFUSED:
        login_wrong(login);
        return;
    case LOGIN_BUSY:
        login_settle(login, LOGIN_BUSY, NULL, 0);
        return;
    case LOGIN_FAILED:
        break;
    }
    (void)why_set(&login->check.why, "who was asked outside has not answered");
    login_fail(login);
}

/* The database does not know the name, or is not asked. */
static void
login_ask_outside(struct login *login)
{
    struct logins *logins = login->logins;
    struct check *check = &login->check;
    const struct ipc_login_request request = {
        .address = login->address,
        .kind = LOGIN_PASSWORD,
        .name = check->name,
        .name_octets = check->name_octets,
        .secret = check->secret.data,
        .secret_octets = check->secret.used,
    };

    if (check->kind != LOGIN_PASSWORD || logins->outside == NULL) {
        login_wrong(login);
        return;
    }
    check->generation = atomic_load(&logins->shared->accounts_generation);
    /* A login is not given up. */
    (void)login_link_ask(logins->outside, &request, outside_answered, login);
}

/* --- the database --- */

static void
login_found(struct login *login)
{
    const struct check *check = &login->check;
    struct verified_account account = {
        .generation = check->generation,
        .role = check->account.role,
        .source = SOURCE_DATABASE,
    };

    memcpy(account.moderates, check->account.moderates,
           sizeof(account.moderates));
    login_right(login, &account);
}

static void
login_checked(void *work)
{
    struct login *login = ((struct check *)work)->login;

    switch (login->check.verdict) {
    case VERDICT_RIGHT:
        login_found(login);
        return;
    case VERDICT_WRONG:
        login_wrong(login);
        return;
    case VERDICT_UNKNOWN:
        login_ask_outside(login);
        return;
    case VERDICT_FAILED:
        login_fail(login);
        return;
    }
}

/* True: it was found right a short while ago, and is settled. */
static bool
login_is_remembered(struct login *login)
{
    struct logins *logins = login->logins;
    const struct verified_account *found = NULL;
    struct verified_account account;

    if (login->check.kind == LOGIN_PASSWORD)
        found = verified_find(
            logins->verified, &login->tag,
            atomic_load(&logins->shared->accounts_generation), clock_ms());
    if (found == NULL)
        return false;
    account = *found;
    login_settle(login, LOGIN_ACCEPTED, &account, 0);
    return true;
}

static void
login_check(struct login *login)
{
    enum checker_queue queue =
        login->check.kind == LOGIN_PASSWORD ? CHECKER_SLOW : CHECKER_QUICK;

    if (login_is_remembered(login))
        return;
    login->begun_ms = clock_ms();
    login->state = LOGIN_CHECK;
    if (login->check.kind == LOGIN_PASSWORD && !login->logins->database)
        login_ask_outside(login);
    else if (!checker_submit(login->logins->checker, queue, check_run,
                             login_checked, &login->check))
        login_settle(login, LOGIN_BUSY, NULL, 0);
}

static void
on_turn(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    login_check(context);
}

/* --- its beginning --- */

/* Is another of the same client's, with the same name and password, on its
   way? */
static bool
login_has_twin(const struct login *login)
{
    const struct login *other;

    TAILQ_FOREACH (other, &login->logins->list, next)
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
login_try(struct login *login)
{
    struct failures *failures = login->logins->failures;
    int64_t wait_ms;

    if (login_has_twin(login)) {
        password_wipe(login->check.secret.data, login->check.secret.used);
        login->state = LOGIN_JOIN;
        return;
    }
    if (failures_are_full(failures, login->address, clock_ms())) {
        login_answer(login, LOGIN_BUSY, NULL);
        return;
    }
    if (login_is_remembered(login))
        return;
    wait_ms = failures_turn_ms(failures, login->address, clock_ms());
    if (wait_ms > 0)
        login_wait(login, LOGIN_TURN, wait_ms, on_turn);
    else
        login_check(login);
}

static struct login *
login_new(struct logins *logins, void *asker,
          const struct ipc_login_request *request)
{
    struct login *login = xcalloc(1, sizeof(*login));
    struct check *check = &login->check;

    login->logins = logins;
    login->asker = asker;
    login->cookie = request->cookie;
    memcpy(login->address, request->address, strlen(request->address) + 1);
    check->login = login;
    check->shared = logins->shared;
    check->kind = request->kind;
    memcpy(check->name, request->name, request->name_octets);
    check->name_octets = request->name_octets;
    buffer_append(&check->secret, request->secret, request->secret_octets);
    TAILQ_INSERT_TAIL(&logins->list, login, next);
    /* Who has logged in is never turned away for who tries to. */
    if (check->kind != LOGIN_AGAIN)
        logins->count++;
    return login;
}

int
logins_ask(struct logins *logins, void *asker,
           const struct ipc_login_request *request)
{
    struct login *login;

    if (!account_name_is_valid(request->name, request->name_octets)
        || request->secret_octets > SECRET_OCTETS_MAX
        || (request->kind == LOGIN_PASSWORD
            && !password_may_be(request->secret, request->secret_octets)))
        return -1;
    login = login_new(logins, asker, request);
    if (logins->count > LOGINS_MAX && login->check.kind != LOGIN_AGAIN) {
        login_answer(login, LOGIN_BUSY, NULL);
        return 0;
    }
    if (!login_is_try(login)) {
        login_check(login);
        return 0;
    }
    /* A proof is good once: its tag is no other's. */
    login->tag =
        verified_tag(logins->verified, request->name, request->name_octets,
                     request->secret, request->secret_octets);
    login_try(login);
    return 0;
}

void
logins_forget(struct logins *logins, const void *asker)
{
    struct login *login;

    TAILQ_FOREACH (login, &logins->list, next)
        if (login->asker == asker)
            login->asker = NULL;
}

struct logins *
logins_new(struct event_base *base, const struct config *config,
           struct checker *checker, struct login_link *outside,
           const struct shared *shared, login_answer_func *answer)
{
    struct logins *logins = xcalloc(1, sizeof(*logins));

    for (size_t i = 0; i < config->accounts_source_count; i++)
        if (strcmp(config->accounts_sources[i], "database") == 0)
            logins->database = true;
    logins->outside = outside;
    TAILQ_INIT(&logins->list);
    logins->base = base;
    logins->checker = checker;
    logins->shared = shared;
    logins->verified = verified_new();
    logins->failures = failures_new();
    logins->answer = answer;
    return logins;
}

void
logins_free(struct logins **logins)
{
    struct logins *old = *logins;

    if (old == NULL)
        return;
    while (!TAILQ_EMPTY(&old->list))
        login_free(TAILQ_FIRST(&old->list));
    failures_free(&old->failures);
    verified_free(&old->verified);
    free(old);
    *logins = NULL;
}
