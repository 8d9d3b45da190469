#include "lib/login_link.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/password.h"

struct login_question {
    TAILQ_ENTRY(login_question) next;
    uint64_t cookie;
    struct buffer payload;
    login_link_func *done; /* NULL: the asker is gone */
    void *context;
};

struct login_link {
    struct event_base *base;
    const char *peer;
    struct ipc *ipc; /* NULL: none */
    TAILQ_HEAD(, login_question) questions;
    uint64_t last_cookie;
    int64_t there_ms; /* when the process was last seen to be there */
};

static void
question_free(struct login_link *link, struct login_question *question)
{
    TAILQ_REMOVE(&link->questions, question, next);
    password_wipe(question->payload.data, question->payload.used);
    buffer_free(&question->payload);
    free(question);
}

static void
question_answer(struct login_link *link, struct login_question *question,
                const struct ipc_login_result *result, const char *moderates)
{
    login_link_func *done = question->done;
    void *context = question->context;

    question_free(link, question);
    if (done != NULL)
        done(context, result, moderates);
}

static void
on_result(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct login_link *link = context;
    const struct ipc_login_result *result = frame->payload;
    struct login_question *question;
    char *moderates;

    (void)ipc;
    TAILQ_FOREACH (question, &link->questions, next)
        if (question->cookie == result->cookie)
            break;
    if (question == NULL)
        return;
    moderates = xmemdup(result + 1, frame->octets - sizeof(*result));
    question_answer(link, question, result, moderates);
    free(moderates);
}

static const struct ipc_handler handlers[] = {
    {IPC_LOGIN_RESULT, sizeof(struct ipc_login_result), false, false,
     on_result},
};

static void
on_closed(void *context, struct ipc *ipc, const char *why)
{
    struct login_link *link = context;

    debug("%s: %s", link->peer, why);
    ipc_free(&ipc);
    link->ipc = NULL;
}

static void
question_send(const struct login_link *link,
              const struct login_question *question)
{
    ipc_send_secret(link->ipc, IPC_LOGIN, question->payload.data,
                    question->payload.used);
}

void
login_link_connect(struct login_link *link, int fd)
{
    const struct login_question *question;

    if (link->ipc != NULL)
        ipc_free(&link->ipc);
    link->ipc = ipc_new(link->base, fd, handlers,
                        sizeof(handlers) / sizeof(*handlers), on_closed, link);
    TAILQ_FOREACH (question, &link->questions, next)
        question_send(link, question);
}

void
login_link_give_up(struct login_link *link)
{
    static const struct ipc_login_result failed = {.answer = LOGIN_FAILED};
    struct login_question *question;
    struct login_question *next;

    for (question = TAILQ_FIRST(&link->questions); question != NULL;
         question = next) {
        next = TAILQ_NEXT(question, next);
        question_answer(link, question, &failed, "");
    }
}

void
login_link_tick(struct login_link *link)
{
    int64_t now = clock_ms();

    if (link->ipc != NULL)
        link->there_ms = now;
    if (now >= link->there_ms + LOGIN_LINK_AWAY_MS)
        login_link_give_up(link);
}

struct login_question *
login_link_ask(struct login_link *link,
               const struct ipc_login_request *request, login_link_func *done,
               void *context)
{
    struct login_question *question = xcalloc(1, sizeof(*question));
    struct ipc_login_request copy = *request;

    copy.cookie = question->cookie = ++link->last_cookie;
    ipc_login_build(&question->payload, &copy);
    question->done = done;
    question->context = context;
    TAILQ_INSERT_TAIL(&link->questions, question, next);
    /* Without a socket it waits for one, or for the tick that gives up. */
    if (link->ipc != NULL)
        question_send(link, question);
    return question;
}

void
login_link_forget(struct login_question **question)
{
    if (*question != NULL)
        (*question)->done = NULL;
    *question = NULL;
}

struct login_link *
login_link_new(struct event_base *base, const char *peer)
{
    struct login_link *link = xcalloc(1, sizeof(*link));

    link->base = base;
    link->peer = peer;
    link->there_ms = clock_ms();
    TAILQ_INIT(&link->questions);
    return link;
}

void
login_link_free(struct login_link **link)
{
    struct login_link *old = *link;

    if (old == NULL)
        return;
    while (!TAILQ_EMPTY(&old->questions))
        question_free(old, TAILQ_FIRST(&old->questions));
    if (old->ipc != NULL)
        ipc_free(&old->ipc);
    free(old);
    *link = NULL;
}
