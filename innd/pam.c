#include "innd/pam.h"

#include <event2/event.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/password.h"

/* A question, and the child that asks it. */
struct question {
    TAILQ_ENTRY(question) next;
    struct pam *pam;
    pid_t pid; /* 0: it waits */
    char *address;
    char *name;
    char *password;
    void *context;
    struct event *limit;
};

struct pam {
    struct event_base *base;
    char *service;
    pam_done_func *done;
    struct event *ended;              /* SIGCHLD */
    TAILQ_HEAD(, question) questions; /* in their order */
    unsigned running;
};

/* --- in the child --- */

/* A module may ask more than the password: it gets nothing else. */
static int
converse(int count, const struct pam_message **message,
         struct pam_response **response_r, void *context)
{
    const struct question *question = context;
    struct pam_response *response;

    if (count <= 0 || count > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    response = xcalloc((size_t)count, sizeof(*response));
    for (int i = 0; i < count; i++)
        if (message[i]->msg_style == PAM_PROMPT_ECHO_OFF)
            response[i].resp = xstrdup(question->password);
        else if (message[i]->msg_style == PAM_PROMPT_ECHO_ON)
            response[i].resp = xstrdup(question->name);
    *response_r = response;
    return PAM_SUCCESS;
}

/* The delay is the auth process's to make (innd/failure.h). */
static void
no_delay(int status, unsigned microseconds, void *context)
{
    (void)status;
    (void)microseconds;
    (void)context;
}

static int
service_start(const char *service, const char *name,
              const struct pam_conv *conversation, pam_handle_t **handle_r)
{
    const char *slash = strrchr(service, '/');
    char *directory;
    int status;

    if (slash == NULL)
        return pam_start(service, name, conversation, handle_r);
    directory = xmemdup(service, (size_t)(slash - service));
    status =
        pam_start_confdir(slash + 1, name, conversation, directory, handle_r);
    free(directory);
    return status;
}

static enum source_verdict
status_verdict(int status)
{
    switch (status) {
    case PAM_SUCCESS:
        return SOURCE_YES;
    case PAM_USER_UNKNOWN:
        return SOURCE_UNKNOWN;
    case PAM_AUTH_ERR:
    case PAM_SYSTEM_ERR: /* so pam_exec says that its program says no */
    case PAM_ACCT_EXPIRED:
    case PAM_MAXTRIES:
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_PERM_DENIED:
        return SOURCE_NO;
    default:
        return SOURCE_FAILED;
    }
}

static enum source_verdict
child_ask(const struct question *question)
{
    const struct pam_conv conversation = {converse,
                                          (void *)(uintptr_t)question};
    pam_handle_t *handle = NULL;
    int status = service_start(question->pam->service, question->name,
                               &conversation, &handle);

    if (status != PAM_SUCCESS) {
        warn("pam: service %s cannot be started", question->pam->service);
        return SOURCE_FAILED;
    }
    status = pam_set_item(handle, PAM_RHOST, question->address);
    if (status == PAM_SUCCESS)
        status = pam_set_item(handle, PAM_FAIL_DELAY,
                              (const void *)(uintptr_t)no_delay);
    if (status == PAM_SUCCESS)
        status =
            pam_authenticate(handle, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    if (status == PAM_SUCCESS)
        status = pam_acct_mgmt(handle, PAM_SILENT);
    if (status_verdict(status) == SOURCE_FAILED)
        warn("pam: service %s: %s", question->pam->service,
             pam_strerror(handle, status));
    (void)pam_end(handle, status); /* the process ends with it */
    return status_verdict(status);
}

/* --- in the parent --- */

static void
question_free(struct question *question)
{
    TAILQ_REMOVE(&question->pam->questions, question, next);
    event_free(question->limit);
    password_wipe(question->password, strlen(question->password));
    free(question->password);
    free(question->name);
    free(question->address);
    free(question);
}

static void
question_end(struct question *question, enum source_verdict verdict)
{
    struct pam *pam = question->pam;
    void *context = question->context;

    if (question->pid > 0)
        pam->running--;
    question_free(question);
    pam->done(context, verdict);
}

static void
question_run(struct question *question)
{
    const struct timeval limit = {PAM_SECONDS, 0};
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        signal(SIGCHLD, SIG_DFL);
        _exit((int)child_ask(question));
    }
    if (pid < 0) {
        syswarn("pam: fork");
        question_end(question, SOURCE_FAILED);
        return;
    }
    question->pid = pid;
    question->pam->running++;
    event_add(question->limit, &limit);
}

static void
questions_run(struct pam *pam)
{
    struct question *question;
    struct question *next;

    for (question = TAILQ_FIRST(&pam->questions);
         question != NULL && pam->running < PAM_CHILDS_MAX; question = next) {
        next = TAILQ_NEXT(question, next);
        if (question->pid == 0)
            question_run(question);
    }
}

static enum source_verdict
end_verdict(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) <= SOURCE_FAILED)
        return (enum source_verdict)WEXITSTATUS(status);
    warn("pam: a module has ended its process with status %#x",
         (unsigned)status);
    return SOURCE_FAILED;
}

static void
on_ended(evutil_socket_t signal_number, short what, void *context)
{
    struct pam *pam = context;
    struct question *question;
    struct question *next;
    int status;

    (void)signal_number;
    (void)what;
    for (question = TAILQ_FIRST(&pam->questions); question != NULL;
         question = next) {
        next = TAILQ_NEXT(question, next);
        if (question->pid > 0
            && waitpid(question->pid, &status, WNOHANG) == question->pid)
            question_end(question, end_verdict(status));
    }
    questions_run(pam);
}

/* It is waited for all the same: on_ended() answers. */
static void
on_limit(evutil_socket_t fd, short what, void *context)
{
    const struct question *question = context;

    (void)fd;
    (void)what;
    warn("pam: service %s has not answered in %d s", question->pam->service,
         PAM_SECONDS);
    kill(question->pid, SIGKILL);
}

void
pam_ask(struct pam *pam, const struct ipc_login_request *request,
        void *context)
{
    struct question *question = xcalloc(1, sizeof(*question));

    question->pam = pam;
    question->address = xstrdup(request->address);
    question->name = xmemdup(request->name, request->name_octets);
    question->password = xmemdup(request->secret, request->secret_octets);
    question->context = context;
    question->limit = evtimer_new(pam->base, on_limit, question);
    if (question->limit == NULL)
        die(EXIT_TEMPORARY, "out of memory: timer of a question to PAM");
    TAILQ_INSERT_TAIL(&pam->questions, question, next);
    questions_run(pam);
}

struct pam *
pam_new(struct event_base *base, const char *service, pam_done_func *done)
{
    struct pam *pam = xcalloc(1, sizeof(*pam));

    pam->base = base;
    pam->service = xstrdup(service);
    pam->done = done;
    TAILQ_INIT(&pam->questions);
    pam->ended = evsignal_new(base, SIGCHLD, on_ended, pam);
    if (pam->ended == NULL)
        die(EXIT_TEMPORARY, "out of memory: event of PAM");
    event_add(pam->ended, NULL);
    return pam;
}

void
pam_free(struct pam **pam)
{
    struct pam *old = *pam;

    if (old == NULL)
        return;
    while (!TAILQ_EMPTY(&old->questions)) {
        struct question *question = TAILQ_FIRST(&old->questions);

        if (question->pid > 0)
            kill(question->pid, SIGKILL);
        question_free(question);
    }
    event_free(old->ended);
    free(old->service);
    free(old);
    *pam = NULL;
}
