#include "innd/outside.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "innd/helper.h"
#include "innd/pam.h"
#include "lib/account.h"
#include "lib/buffer.h"
#include "lib/child.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/password.h"
#include "lib/sandbox.h"
#include "lib/shared.h"

struct outside {
    struct event_base *base;
    struct config *config;
    struct shared_slot *slot;
    struct ipc *control;
    struct ipc *auth; /* NULL: there is none at present */
    struct pam *pam;  /* NULL: not asked, as is the next */
    struct helper *helper;
    struct event *second;
    TAILQ_HEAD(, question) questions;
    unsigned count;
};

/* One login, which the sources are asked about one after the other. */
struct question {
    TAILQ_ENTRY(question) next;
    struct outside *outside;
    bool forgotten; /* by an auth process that is no more */
    struct ipc_frame frame;
    struct buffer payload; /* the request points into it */
    struct ipc_login_request request;
    size_t source; /* of config->accounts_sources: the next one */
};

static void
question_free(struct question *question)
{
    TAILQ_REMOVE(&question->outside->questions, question, next);
    question->outside->count--;
    password_wipe(question->payload.data, question->payload.used);
    buffer_free(&question->payload);
    free(question);
}

static void
question_answer(struct question *question,
                const struct ipc_login_result *result, const char *moderates)
{
    struct ipc_login_result copy = *result;
    struct iovec pieces[2] = {
        {&copy, sizeof(copy)},
        {(void *)(uintptr_t)moderates, strlen(moderates)},
    };

    copy.cookie = question->request.cookie;
    if (!question->forgotten && question->outside->auth != NULL)
        ipc_sendv(question->outside->auth, IPC_LOGIN_RESULT, pieces, 2, -1);
    question_free(question);
}

/* Ask the next source; when there is none more, nobody knows him. */
static void
question_go_on(struct question *question)
{
    static const struct ipc_login_result refused = {.answer = LOGIN_REFUSED};
    struct outside *outside = question->outside;
    const struct config *config = outside->config;

    while (question->source < config->accounts_source_count) {
        const char *name = config->accounts_sources[question->source++];

        if (strcmp(name, "pam") == 0) {
            pam_ask(outside->pam, &question->request, question);
            return;
        }
        if (strcmp(name, "helper") == 0) {
            helper_ask(outside->helper, &question->request, question);
            return;
        }
    }
    question_answer(question, &refused, "");
}

static void
question_settle(struct question *question, enum source_verdict verdict,
                const struct ipc_login_result *accepted, const char *moderates)
{
    static const struct ipc_login_result refused = {.answer = LOGIN_REFUSED};
    static const struct ipc_login_result failed = {.answer = LOGIN_FAILED};

    switch (verdict) {
    case SOURCE_YES:
        question_answer(question, accepted, moderates);
        return;
    case SOURCE_NO:
        question_answer(question, &refused, "");
        return;
    case SOURCE_UNKNOWN:
        question_go_on(question);
        return;
    case SOURCE_FAILED:
        break;
    }
    question_answer(question, &failed, "");
}

static void
pam_done(void *context, enum source_verdict verdict)
{
    struct question *question = context;
    const struct ipc_login_result accepted = {
        .answer = LOGIN_ACCEPTED,
        .role = (uint32_t)question->outside->config->pam_role + 1,
        .source = SOURCE_PAM,
    };

    question_settle(question, verdict, &accepted, "*");
}

static void
helper_done(void *context, const struct source_answer *answer)
{
    const struct ipc_login_result accepted = {
        .answer = LOGIN_ACCEPTED,
        .role = answer->role,
        .source = SOURCE_HELPER,
    };

    question_settle(context, answer->verdict, &accepted, answer->moderates);
}

/* --- what auth asks --- */

static void
auth_closed(void *context, struct ipc *ipc, const char *why)
{
    struct outside *outside = context;
    struct question *question;

    debug("auth: %s", why);
    ipc_free(&ipc);
    outside->auth = NULL;
    TAILQ_FOREACH (question, &outside->questions, next)
        question->forgotten = true;
}

static void
on_login(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct outside *outside = context;
    struct question *question = xcalloc(1, sizeof(*question));
    static const struct ipc_login_result busy = {.answer = LOGIN_BUSY};

    (void)ipc;
    question->outside = outside;
    buffer_append(&question->payload, frame->payload, frame->octets);
    password_wipe((void *)(uintptr_t)frame->payload, frame->octets);
    question->frame = *frame;
    question->frame.payload = question->payload.data;
    TAILQ_INSERT_TAIL(&outside->questions, question, next);
    outside->count++;
    if (ipc_login_parse(&question->frame, &question->request) < 0)
        die(EXIT_SOFTWARE, "auth has sent a login that is none");
    if (outside->count > OUTSIDE_QUESTIONS_MAX)
        question_answer(question, &busy, "");
    else
        question_go_on(question);
}

static const struct ipc_handler auth_handlers[] = {
    {IPC_LOGIN, sizeof(struct ipc_login), false, false, on_login},
};

/* --- what the master says --- */

static void
on_auth(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct outside *outside = context;

    (void)ipc;
    if (outside->auth != NULL)
        auth_closed(outside, outside->auth, "another one is there");
    outside->auth = ipc_new(outside->base, frame->descriptor, auth_handlers,
                            sizeof(auth_handlers) / sizeof(*auth_handlers),
                            auth_closed, outside);
}

static void
on_config(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct outside *outside = context;

    (void)ipc;
    (void)child_config_renew(&outside->config,
                             frame->descriptor); /* or it stays */
}

static void
on_drain(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct outside *outside = context;

    (void)ipc;
    (void)frame;
    event_base_loopbreak(outside->base);
}

static void
control_closed(void *context, struct ipc *ipc, const char *why)
{
    struct outside *outside = context;

    (void)ipc;
    notice("the master is gone: %s", why);
    event_base_loopbreak(outside->base);
}

static const struct ipc_handler control_handlers[] = {
    {IPC_AUTH, sizeof(struct ipc_link), true, true, on_auth},
    {IPC_CONFIG, 0, true, true, on_config},
    {IPC_DRAIN, 0, true, false, on_drain},
};

/* --- its life --- */

static void
on_second(evutil_socket_t fd, short what, void *context)
{
    struct outside *outside = context;

    (void)fd;
    (void)what;
    atomic_fetch_add(&outside->slot->loops, 1);
    if (outside->helper != NULL)
        helper_tick(outside->helper);
}

static void
outside_inherit(struct outside *outside,
                const struct child_arguments *arguments)
{
    outside->config = child_config_inherit();
    log_open("outside", outside->config->syslog);
    outside->slot = &shared_map(CHILD_SHARED_FD)->slots[arguments->slot];
}

static bool
source_is_listed(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->accounts_source_count; i++)
        if (strcmp(config->accounts_sources[i], name) == 0)
            return true;
    return false;
}

bool
outside_is_wanted(const struct config *config)
{
    return source_is_listed(config, "pam")
           || source_is_listed(config, "helper");
}

static void
outside_begin(struct outside *outside)
{
    const struct timeval second = {1, 0};
    const struct config *config = outside->config;

    outside->base = event_base_new();
    if (outside->base == NULL)
        die(EXIT_TEMPORARY, "out of memory: event base");
    TAILQ_INIT(&outside->questions);
    if (source_is_listed(config, "pam"))
        outside->pam = pam_new(outside->base, config->pam_service, pam_done);
    if (source_is_listed(config, "helper"))
        outside->helper =
            helper_new(outside->base, config->accounts_helper, helper_done);
    outside->second =
        event_new(outside->base, -1, EV_PERSIST, on_second, outside);
    if (outside->second == NULL)
        die(EXIT_TEMPORARY, "out of memory: event of outside");
    event_add(outside->second, &second);
    outside->control =
        ipc_new(outside->base, CHILD_CONTROL_FD, control_handlers,
                sizeof(control_handlers) / sizeof(*control_handlers),
                control_closed, outside);
    ipc_send(outside->control, IPC_READY, NULL, 0, -1);
}

static void
outside_end(struct outside *outside)
{
    helper_free(&outside->helper);
    pam_free(&outside->pam);
    while (!TAILQ_EMPTY(&outside->questions))
        question_free(TAILQ_FIRST(&outside->questions));
    if (outside->auth != NULL)
        ipc_free(&outside->auth);
    ipc_free(&outside->control);
    event_free(outside->second);
    event_base_free(outside->base);
    config_free(&outside->config);
}

int
outside_run(const struct child_arguments *arguments)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM};
    struct outside outside = {0};

    /* The master decides when we end. */
    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        signal(ignored[i], SIG_IGN);
    outside_inherit(&outside, arguments);
    sandbox_enter(SANDBOX_OUTSIDE, outside.config);
    outside_begin(&outside);
    if (event_base_dispatch(outside.base) < 0)
        die(EXIT_SOFTWARE, "the event loop failed");
    outside_end(&outside);
    return 0;
}
