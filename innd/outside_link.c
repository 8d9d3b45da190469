#include "innd/outside_link.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/password.h"

struct question {
    TAILQ_ENTRY(question) next;
    uint64_t cookie;
    struct buffer payload;
    outside_done_func *done;
    void *context;
};

struct outside_link {
    struct event_base *base;
    struct ipc *ipc; /* NULL: none */
    TAILQ_HEAD(, question) questions;
    uint64_t last_cookie;
    int64_t there_ms; /* when the process was last seen to be there */
};

static int64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
question_free(struct outside_link *link, struct question *question)
{
    TAILQ_REMOVE(&link->questions, question, next);
    password_wipe(question->payload.data, question->payload.used);
    buffer_free(&question->payload);
    free(question);
}

static void
question_answer(struct outside_link *link, struct question *question,
                const struct ipc_login_result *result, const char *moderates)
{
    outside_done_func *done = question->done;
    void *context = question->context;

    question_free(link, question);
    done(context, result, moderates);
}

static void
on_result(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct outside_link *link = context;
    const struct ipc_login_result *result = frame->payload;
    struct question *question;
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
    struct outside_link *link = context;

    debug("outside: %s", why);
    ipc_free(&ipc);
    link->ipc = NULL;
}

static void
question_send(const struct outside_link *link, const struct question *question)
{
    ipc_send_secret(link->ipc, IPC_LOGIN, question->payload.data,
                    question->payload.used);
}

void
outside_link_connect(struct outside_link *link, int fd)
{
    const struct question *question;

    if (link->ipc != NULL)
        ipc_free(&link->ipc);
    link->ipc = ipc_new(link->base, fd, handlers,
                        sizeof(handlers) / sizeof(*handlers), on_closed, link);
    TAILQ_FOREACH (question, &link->questions, next)
        question_send(link, question);
}

void
outside_link_tick(struct outside_link *link)
{
    static const struct ipc_login_result failed = {.answer = LOGIN_FAILED};
    int64_t now = now_ms();

    if (link->ipc != NULL)
        link->there_ms = now;
    while (now >= link->there_ms + OUTSIDE_AWAY_MS
           && !TAILQ_EMPTY(&link->questions))
        question_answer(link, TAILQ_FIRST(&link->questions), &failed, "");
}

void
outside_ask(struct outside_link *link, const struct ipc_login_request *request,
            outside_done_func *done, void *context)
{
    struct question *question = xcalloc(1, sizeof(*question));
    struct ipc_login_request copy = *request;

    copy.cookie = question->cookie = ++link->last_cookie;
    ipc_login_build(&question->payload, &copy);
    question->done = done;
    question->context = context;
    TAILQ_INSERT_TAIL(&link->questions, question, next);
    if (link->ipc != NULL)
        question_send(link, question);
}

struct outside_link *
outside_link_new(struct event_base *base)
{
    struct outside_link *link = xcalloc(1, sizeof(*link));

    link->base = base;
    link->there_ms = now_ms();
    TAILQ_INIT(&link->questions);
    return link;
}

void
outside_link_free(struct outside_link **link)
{
    struct outside_link *old = *link;

    if (old == NULL)
        return;
    while (!TAILQ_EMPTY(&old->questions))
        question_free(old, TAILQ_FIRST(&old->questions));
    if (old->ipc != NULL)
        ipc_free(&old->ipc);
    free(old);
    *link = NULL;
}
