/*
 * auth_link -- see auth_link.h.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "nnrpd/auth_link.h"
#include "nnrpd/worker.h"

struct auth_request {
    TAILQ_ENTRY(auth_request) next;
    uint64_t cookie;
    struct buffer payload;
    auth_done_func *done; /* NULL: the asker is gone */
    void *context;
};

struct auth_link {
    struct worker *worker;
    struct ipc *ipc; /* NULL: none */
    TAILQ_HEAD(, auth_request) requests;
    uint64_t last_cookie;
    uint64_t there_ms; /* when the process was last seen to be there */
};

struct auth_link *
auth_link_new(struct worker *worker)
{
    struct auth_link *link = xcalloc(1, sizeof *link);

    link->worker = worker;
    link->there_ms = worker_clock_ms();
    TAILQ_INIT(&link->requests);
    return link;
}

static void
request_free(struct auth_link *link, struct auth_request *request)
{
    TAILQ_REMOVE(&link->requests, request, next);
    explicit_bzero(request->payload.data, request->payload.used);
    buffer_free(&request->payload);
    free(request);
}

static void
request_answer(struct auth_link *link, struct auth_request *request,
               const struct ipc_login_result *result, const char *moderates)
{
    auth_done_func *done = request->done;
    void *context = request->context;

    request_free(link, request);
    if (done != NULL)
        done(context, result, moderates);
}

void
auth_link_free(struct auth_link **link)
{
    if (*link == NULL)
        return;
    while (!TAILQ_EMPTY(&(*link)->requests))
        request_free(*link, TAILQ_FIRST(&(*link)->requests));
    ipc_free(&(*link)->ipc);
    free(*link);
    *link = NULL;
}

/* --- what the auth process says --- */

static void
auth_result(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct auth_link *link = context;
    const struct ipc_login_result *result = frame->payload;
    struct auth_request *request;
    char *moderates;

    (void)ipc; /* there is one */
    TAILQ_FOREACH (request, &link->requests, next)
        if (request->cookie == result->cookie)
            break;
    if (request == NULL)
        return;
    moderates = xmemdup(result + 1, frame->octets - sizeof *result);
    request_answer(link, request, result, moderates);
    free(moderates);
}

static void
auth_closed(void *context, struct ipc *ipc, const char *why)
{
    struct auth_link *link = context;

    debug("auth: %s", why);
    ipc_free(&ipc);
    link->ipc = NULL;
}

static const struct ipc_handler handlers[] = {
    /* type            payload                          exact fd     handler */
    {IPC_LOGIN_RESULT, sizeof(struct ipc_login_result), false, false,
     auth_result},
};

static void
request_send(struct auth_link *link, const struct auth_request *request)
{
    ipc_send_secret(link->ipc, IPC_LOGIN, request->payload.data,
                    request->payload.used);
}

void
auth_link_connect(struct auth_link *link, int fd)
{
    struct auth_request *request;

    ipc_free(&link->ipc);
    link->ipc =
        ipc_new(link->worker->base, fd, handlers,
                sizeof handlers / sizeof handlers[0], auth_closed, link);
    TAILQ_FOREACH (request, &link->requests, next)
        request_send(link, request);
}

void
auth_link_give_up(struct auth_link *link)
{
    static const struct ipc_login_result failed = {.answer = LOGIN_FAILED};
    struct auth_request *request, *next;

    for (request = TAILQ_FIRST(&link->requests); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, next);
        request_answer(link, request, &failed, "");
    }
}

void
auth_link_tick(struct auth_link *link)
{
    if (link->ipc != NULL)
        link->there_ms = worker_clock_ms();
    if (worker_clock_ms() >= link->there_ms + AUTH_AWAY_MS)
        auth_link_give_up(link);
}

/* --- what is asked --- */

struct auth_request *
auth_ask(struct auth_link *link, struct ipc_login_request *request,
         auth_done_func *done, void *context)
{
    struct auth_request *asked = xcalloc(1, sizeof *asked);

    request->cookie = asked->cookie = ++link->last_cookie;
    ipc_login_build(&asked->payload, request);
    asked->done = done;
    asked->context = context;
    TAILQ_INSERT_TAIL(&link->requests, asked, next);
    /* Without a socket it waits for one, or for the next tick that gives up.
     */
    if (link->ipc != NULL)
        request_send(link, asked);
    return asked;
}

void
auth_forget(struct auth_request **request)
{
    if (*request != NULL)
        (*request)->done = NULL;
    *request = NULL;
}
