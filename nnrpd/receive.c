/*
 * receive -- see receive.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "lib/memory.h"
#include "nnrpd/receive.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"

struct receive *
receive_begin(struct session *session, const char *id, size_t octets_max,
              receive_done_func *done)
{
    struct receive *receive = xcalloc(1, sizeof *receive);

    receive->done = done;
    receive->id = id == NULL ? NULL : xstrdup(id);
    receive->octets_max = octets_max;
    receive->worker = session->worker;
    receive->begun_ms = receive->progress_ms = session->worker->now_ms;
    session->receive = receive;
    return receive;
}

/* What it holds is counted with its worker, and bounded there. */
static void
receive_forget(struct receive *receive)
{
    buffer_free(&receive->octets);
    worker_submitted(receive->worker, 0, receive->counted);
    receive->counted = 0;
}

void
receive_free(struct receive **receive)
{
    if (*receive == NULL)
        return;
    receive_forget(*receive);
    free((*receive)->id);
    free((*receive)->refusal);
    free(*receive);
    *receive = NULL;
}

static void
receive_keep(struct receive *receive, const char *octets, size_t length)
{
    if (receive->refusal != NULL || receive->too_large || receive->no_room)
        return;
    receive->too_large = receive->scanner.octets > receive->octets_max;
    receive->no_room = receive->worker->submitted_octets + length
                       > WORKER_RECEIVED_OCTETS_MAX;
    if (receive->too_large || receive->no_room) {
        receive_forget(receive);
        return;
    }
    buffer_append(&receive->octets, octets, length);
    receive->counted += length;
    worker_submitted(receive->worker, length, 0);
}

bool
receive_take(struct receive *receive, struct evbuffer *input)
{
    struct evbuffer_iovec piece;
    bool ended = false;
    size_t taken;

    while (!ended && evbuffer_peek(input, 1, NULL, &piece, 1) > 0
           && piece.iov_len > 0) {
        taken = wire_scan(&receive->scanner, piece.iov_base, piece.iov_len,
                          &ended);
        receive_keep(receive, piece.iov_base, taken);
        evbuffer_drain(input, taken);
    }
    return ended;
}

bool
receive_is_stalled(struct receive *receive, uint64_t now_ms)
{
    uint64_t octets = receive->scanner.octets - receive->progress_octets;

    if (now_ms > receive->begun_ms + RECEIVE_TOTAL_MS)
        return true;
    if (octets >= RECEIVE_PROGRESS_OCTETS) {
        receive->progress_octets = receive->scanner.octets;
        receive->progress_ms = now_ms;
    }
    return now_ms > receive->progress_ms + RECEIVE_PROGRESS_MS;
}

const char *
receive_deferral(const struct receive *receive)
{
    /* Too large, it is too large later too. */
    return receive->no_room && !receive->too_large
               ? "Too many articles at once"
               : NULL;
}

const char *
receive_fault(const struct receive *receive, struct buffer *text)
{
    if (receive->refusal != NULL)
        return receive->refusal;
    if (receive->too_large) {
        why_set(text, "Article of %" PRIu64 " octets is over the limit of %zu",
                receive->scanner.octets, receive->octets_max);
        return text->data;
    }
    if (receive->scanner.faults != 0)
        return wire_fault_text(receive->scanner.faults);
    return NULL;
}
