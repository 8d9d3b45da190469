/*
 * writer_link -- see writer_link.h.
 *
 * A message is what goes over the socket under one cookie: an article, a
 * question, or a batch of CHECKs.  A request is one asker's part in it.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"

enum { MESSAGE_BUCKETS = 1024, LINK_KINDS = 2 };

struct writer_request {
    writer_done_func *done; /* NULL: the asker is gone */
    void *context;
};

struct message {
    TAILQ_ENTRY(message) order;
    LIST_ENTRY(message) bucket;
    enum ipc_type type;
    enum ipc_link_kind kind;
    uint64_t cookie;
    bool sent; /* to this writer or one before it */
    size_t count;
    struct buffer payload;
    struct writer_request *requests[];
};

TAILQ_HEAD(message_list, message);
LIST_HEAD(message_bucket, message);

struct writer_socket {
    struct writer_link *link;
    enum ipc_link_kind kind;
    struct ipc *ipc; /* NULL: none */
};

struct writer_link {
    struct worker *worker;
    struct writer_socket sockets[LINK_KINDS];
    struct message_list messages; /* without an answer, oldest first */
    struct message_bucket buckets[MESSAGE_BUCKETS];
    uint64_t last_cookie;
    uint64_t there_ms;      /* when the writer was last seen to be there */
    struct message *checks; /* being gathered; NULL: none */
};

static struct writer_socket *
link_socket(struct writer_link *link, enum ipc_link_kind kind)
{
    return &link->sockets[kind == LINK_POST ? 1 : 0];
}

static bool
link_has_writer(const struct writer_link *link)
{
    return link->sockets[0].ipc != NULL && link->sockets[1].ipc != NULL
           && atomic_load(&link->worker->shared->writer_ready) != 0;
}

struct writer_link *
writer_link_new(struct worker *worker)
{
    struct writer_link *link = xcalloc(1, sizeof *link);
    size_t i;

    link->worker = worker;
    link->there_ms = clock_ms();
    TAILQ_INIT(&link->messages);
    for (i = 0; i < MESSAGE_BUCKETS; i++)
        LIST_INIT(&link->buckets[i]);
    link->sockets[0] = (struct writer_socket){link, LINK_FEED, NULL};
    link->sockets[1] = (struct writer_socket){link, LINK_POST, NULL};
    return link;
}

/* --- messages --- */

static struct message *
message_new(struct writer_link *link, enum ipc_type type,
            enum ipc_link_kind kind, size_t room)
{
    struct message *message =
        xcalloc(1, sizeof *message + room * sizeof(struct writer_request *));

    message->type = type;
    message->kind = kind;
    message->cookie = ++link->last_cookie;
    return message;
}

static struct writer_request *
message_add_request(struct message *message, writer_done_func *done,
                    void *context)
{
    struct writer_request *request = xcalloc(1, sizeof *request);

    request->done = done;
    request->context = context;
    message->requests[message->count++] = request;
    return request;
}

static void
message_send(struct writer_link *link, struct message *message)
{
    struct ipc *ipc = link_socket(link, message->kind)->ipc;

    if (ipc == NULL)
        return;
    message->sent = true;
    ipc_send(ipc, message->type, message->payload.data, message->payload.used,
             -1);
}

/* From here on the message waits for its answer. */
static void
message_begin(struct writer_link *link, struct message *message)
{
    TAILQ_INSERT_TAIL(&link->messages, message, order);
    LIST_INSERT_HEAD(&link->buckets[message->cookie % MESSAGE_BUCKETS],
                     message, bucket);
    message_send(link, message);
}

static void
message_free(struct message *message)
{
    size_t i;

    for (i = 0; i < message->count; i++)
        free(message->requests[i]);
    buffer_free(&message->payload);
    free(message);
}

/*
 * Take it out: it has its answer.  A writer that answers is there, also one
 * that is killed again before the next tick looks.
 */
static void
message_end(struct writer_link *link, struct message *message)
{
    link->there_ms = clock_ms();
    TAILQ_REMOVE(&link->messages, message, order);
    LIST_REMOVE(message, bucket);
}

static struct message *
message_find(struct writer_link *link, uint64_t cookie, enum ipc_type type)
{
    struct message *message;

    for (message = LIST_FIRST(&link->buckets[cookie % MESSAGE_BUCKETS]);
         message != NULL; message = LIST_NEXT(message, bucket))
        if (message->cookie == cookie && message->type == type)
            return message;
    return NULL; /* given up as away, and answered after all */
}

static void
request_answer(struct writer_request *request,
               const struct writer_answer *answer)
{
    if (request->done != NULL)
        request->done(request->context, answer);
}

/* --- what the writer says --- */

static void
writer_outcome(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct writer_link *link = ((struct writer_socket *)context)->link;
    const struct ipc_outcome *outcome = frame->payload;
    struct message *message = message_find(link, outcome->cookie, IPC_ARTICLE);
    char *why;

    (void)ipc; /* the context says which */
    if (message == NULL)
        return;
    why = xmemdup((const char *)frame->payload + sizeof *outcome,
                  frame->octets - sizeof *outcome);
    message_end(link, message);
    request_answer(message->requests[0],
                   &(struct writer_answer){.outcome = outcome->outcome,
                                           .why = why,
                                           .sequence = outcome->sequence,
                                           .token = outcome->token});
    message_free(message);
    free(why);
}

static void
writer_checked(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct writer_link *link = ((struct writer_socket *)context)->link;
    const struct ipc_checked *checked = frame->payload;
    const uint8_t *answers = (const uint8_t *)(checked + 1);
    struct message *message = message_find(link, checked->cookie, IPC_CHECK);
    size_t i;

    (void)ipc; /* the context says which */
    if (message == NULL)
        return;
    if (checked->count != message->count
        || frame->octets != sizeof *checked + checked->count) {
        warn("writer: an answer to %zu CHECKs with %u", message->count,
             checked->count);
        return;
    }
    message_end(link, message);
    for (i = 0; i < message->count; i++)
        request_answer(message->requests[i],
                       &(struct writer_answer){.check = answers[i]});
    message_free(message);
}

static void
writer_found(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct writer_link *link = ((struct writer_socket *)context)->link;
    const struct ipc_found *found = frame->payload;
    struct message *message = message_find(link, found->cookie, IPC_FIND);

    (void)ipc; /* the context says which */
    if (message == NULL)
        return;
    message_end(link, message);
    request_answer(message->requests[0],
                   &(struct writer_answer){.sequence = found->sequence,
                                           .token = found->token});
    message_free(message);
}

static void
writer_closed(void *context, struct ipc *ipc, const char *why)
{
    struct writer_socket *socket = context;

    debug("writer: %s", why);
    ipc_free(&ipc);
    socket->ipc = NULL;
}

static const struct ipc_handler handlers[] = {
    /* type      payload                     exact  fd     handler */
    {IPC_OUTCOME, sizeof(struct ipc_outcome), false, false, writer_outcome},
    {IPC_CHECKED, sizeof(struct ipc_checked), false, false, writer_checked},
    {IPC_FOUND, sizeof(struct ipc_found), true, false, writer_found},
};

void
writer_link_connect(struct writer_link *link, enum ipc_link_kind kind, int fd)
{
    struct writer_socket *socket = link_socket(link, kind);
    struct message *message;

    ipc_free(&socket->ipc);
    socket->ipc =
        ipc_new(link->worker->base, fd, handlers,
                sizeof handlers / sizeof handlers[0], writer_closed, socket);
    for (message = TAILQ_FIRST(&link->messages); message != NULL;
         message = TAILQ_NEXT(message, order)) {
        if (message->kind != kind)
            continue;
        /*
         * The writer before this one may have stored it and died before it
         * could say so: the mark makes the next one answer "stored" and not
         * "duplicate" (one article, one 2xx).
         */
        if (message->sent && message->type == IPC_ARTICLE)
            submission_mark_resubmit(&message->payload);
        message_send(link, message);
    }
}

/* --- no writer --- */

bool
writer_is_away(const struct writer_link *link)
{
    return (uint64_t)clock_ms() > link->there_ms + WRITER_AWAY_MS;
}

/* Take what is given up out of the messages: articles, or everything. */
static void
messages_take(struct writer_link *link, bool articles_only,
              struct message_list *taken)
{
    struct message *message, *next;

    for (message = TAILQ_FIRST(&link->messages); message != NULL;
         message = next) {
        next = TAILQ_NEXT(message, order);
        if (articles_only && message->type != IPC_ARTICLE)
            continue;
        TAILQ_REMOVE(&link->messages, message, order);
        TAILQ_INSERT_TAIL(taken, message, order);
    }
}

void
writer_link_tick(struct writer_link *link)
{
    struct message_list given_up = TAILQ_HEAD_INITIALIZER(given_up);
    bool store_away = atomic_load(&link->worker->shared->store_away) != 0;
    struct message *message;
    size_t i;

    if (link_has_writer(link))
        link->there_ms = clock_ms();
    if (!writer_is_away(link) && !store_away)
        return;
    /* A writer that waits for the overview answers questions all the same.
       An answer may lead to a new question: not in this list. */
    messages_take(link, !writer_is_away(link), &given_up);
    while ((message = TAILQ_FIRST(&given_up)) != NULL) {
        TAILQ_REMOVE(&given_up, message, order);
        LIST_REMOVE(message, bucket);
        for (i = 0; i < message->count; i++)
            request_answer(message->requests[i],
                           &(struct writer_answer){.away = true});
        message_free(message);
    }
}

static bool
answer_away(struct writer_link *link, writer_done_func *done, void *context)
{
    if (!writer_is_away(link))
        return false;
    done(context, &(struct writer_answer){.away = true});
    return true;
}

/* --- what is asked --- */

void
writer_link_turn_ended(struct writer_link *link)
{
    struct message *message = link->checks;
    struct ipc_check *head;

    if (message == NULL)
        return;
    link->checks = NULL;
    head = (struct ipc_check *)message->payload.data;
    head->count = (uint32_t)message->count;
    message_begin(link, message);
}

struct writer_request *
writer_submit(struct writer_link *link, enum ipc_link_kind kind,
              struct buffer *payload, writer_done_func *done, void *context)
{
    struct message *message;
    struct writer_request *request;

    if (answer_away(link, done, context)) {
        buffer_free(payload);
        return NULL;
    }
    /* A CHECK that came before the article is asked before it. */
    if (kind == LINK_FEED)
        writer_link_turn_ended(link);
    message = message_new(link, IPC_ARTICLE, kind, 1);
    request = message_add_request(message, done, context);
    message->payload = *payload;
    *payload = BUFFER_EMPTY;
    memcpy(message->payload.data + offsetof(struct submission, cookie),
           &message->cookie, sizeof message->cookie);
    message_begin(link, message);
    return request;
}

struct writer_request *
writer_check(struct writer_link *link, const struct message_hash *hash,
             writer_done_func *done, void *context)
{
    struct writer_request *request;
    struct ipc_check head = {0};

    if (answer_away(link, done, context))
        return NULL;
    if (link->checks == NULL) {
        link->checks =
            message_new(link, IPC_CHECK, LINK_FEED, WRITER_CHECK_BATCH);
        head.cookie = link->checks->cookie;
        buffer_append(&link->checks->payload, &head, sizeof head);
    }
    request = message_add_request(link->checks, done, context);
    buffer_append(&link->checks->payload, hash, sizeof *hash);
    if (link->checks->count == WRITER_CHECK_BATCH)
        writer_link_turn_ended(link);
    return request;
}

void
writer_refused(struct writer_link *link, const struct message_hash *hash)
{
    struct ipc_refused refused = {.hash = *hash};
    struct ipc *ipc = link_socket(link, LINK_FEED)->ipc;

    if (ipc != NULL)
        ipc_send(ipc, IPC_REFUSED, &refused, sizeof refused, -1);
}

struct writer_request *
writer_find(struct writer_link *link, const struct message_hash *hash,
            writer_done_func *done, void *context)
{
    struct writer_request *request;
    struct message *message;
    struct ipc_find find = {0};

    if (answer_away(link, done, context))
        return NULL;
    message = message_new(link, IPC_FIND, LINK_POST, 1);
    request = message_add_request(message, done, context);
    find.cookie = message->cookie;
    find.hash = *hash;
    buffer_append(&message->payload, &find, sizeof find);
    message_begin(link, message);
    return request;
}

void
writer_forget(struct writer_request **request)
{
    if (*request != NULL)
        (*request)->done = NULL;
    *request = NULL;
}

void
writer_link_free(struct writer_link **link)
{
    struct message *message, *next;

    if (*link == NULL)
        return;
    for (message = TAILQ_FIRST(&(*link)->messages); message != NULL;
         message = next) {
        next = TAILQ_NEXT(message, order);
        message_free(message);
    }
    if ((*link)->checks != NULL)
        message_free((*link)->checks);
    ipc_free(&(*link)->sockets[0].ipc);
    ipc_free(&(*link)->sockets[1].ipc);
    free(*link);
    *link = NULL;
}
