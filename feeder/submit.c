/*
 * submit -- see submit.h.
 */
#include "feeder/submit.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/buffer.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"

struct submitted {
    TAILQ_ENTRY(submitted) order;
    uint64_t cookie;
    uint64_t number;
    submit_done_func *done; /* NULL: nobody waits */
    void *context;
    struct buffer payload;
};

struct submit {
    struct event_base *base;
    struct ipc *ipc;              /* NULL: no writer */
    TAILQ_HEAD(, submitted) list; /* oldest first */
    uint64_t last_cookie;
    size_t octets;
};

struct submit *
submit_new(struct event_base *base)
{
    struct submit *submit = xcalloc(1, sizeof(*submit));

    submit->base = base;
    TAILQ_INIT(&submit->list);
    return submit;
}

static void
submitted_free(struct submit *submit, struct submitted *submitted)
{
    TAILQ_REMOVE(&submit->list, submitted, order);
    submit->octets -= submitted->payload.used;
    buffer_free(&submitted->payload);
    free(submitted);
}

void
submit_free(struct submit **submit)
{
    if (*submit == NULL)
        return;
    while (!TAILQ_EMPTY(&(*submit)->list))
        submitted_free(*submit, TAILQ_FIRST(&(*submit)->list));
    ipc_free(&(*submit)->ipc);
    free(*submit);
    *submit = NULL;
}

static void
on_outcome(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct submit *submit = context;
    const struct ipc_outcome *outcome = frame->payload;
    struct submitted *submitted;
    struct submitted found;
    char *why;

    (void)ipc; /* there is one */
    TAILQ_FOREACH (submitted, &submit->list, order)
        if (submitted->cookie == outcome->cookie)
            break;
    if (submitted == NULL)
        return;
    why = xmemdup((const char *)frame->payload + sizeof(*outcome),
                  frame->octets - sizeof(*outcome));
    found = *submitted;
    submitted_free(submit, submitted);
    if (found.done != NULL)
        found.done(found.context, found.number,
                   (enum store_outcome)outcome->outcome, why);
    free(why);
}

static void
on_closed(void *context, struct ipc *ipc, const char *why)
{
    struct submit *submit = context;

    debug("writer: %s", why);
    ipc_free(&ipc);
    submit->ipc = NULL;
}

static const struct ipc_handler handlers[] = {
    {IPC_OUTCOME, sizeof(struct ipc_outcome), false, false, on_outcome},
};

static void
submitted_send(struct submit *submit, const struct submitted *submitted)
{
    if (submit->ipc != NULL)
        ipc_send(submit->ipc, IPC_ARTICLE, submitted->payload.data,
                 submitted->payload.used, -1);
}

void
submit_connect(struct submit *submit, int fd)
{
    struct submitted *submitted;

    ipc_free(&submit->ipc);
    submit->ipc =
        ipc_new(submit->base, fd, handlers,
                sizeof(handlers) / sizeof(handlers[0]), on_closed, submit);
    TAILQ_FOREACH (submitted, &submit->list, order) {
        submission_mark_resubmit(&submitted->payload);
        submitted_send(submit, submitted);
    }
}

size_t
submit_octets(const struct submit *submit)
{
    return submit->octets;
}

void
submit_article(struct submit *submit, struct buffer *payload, uint64_t number,
               submit_done_func *done, void *context)
{
    struct submitted *submitted = xcalloc(1, sizeof(*submitted));

    submitted->cookie = ++submit->last_cookie;
    submitted->number = number;
    submitted->done = done;
    submitted->context = context;
    submitted->payload = *payload;
    *payload = BUFFER_EMPTY;
    memcpy(submitted->payload.data + offsetof(struct submission, cookie),
           &submitted->cookie, sizeof(submitted->cookie));
    submit->octets += submitted->payload.used;
    TAILQ_INSERT_TAIL(&submit->list, submitted, order);
    submitted_send(submit, submitted);
}

void
submit_forget(struct submit *submit)
{
    struct submitted *submitted;

    TAILQ_FOREACH (submitted, &submit->list, order)
        submitted->done = NULL;
}
