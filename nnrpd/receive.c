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
    receive->begun_ms = receive->progress_ms = session->worker->now_ms;
    session->receive = receive;
    return receive;
}

void
receive_free(struct receive **receive)
{
    if (*receive == NULL)
        return;
    buffer_free(&(*receive)->octets);
    free((*receive)->id);
    free((*receive)->refusal);
    free(*receive);
    *receive = NULL;
}

static void
receive_keep(struct receive *receive, const char *octets, size_t length)
{
    if (receive->refusal != NULL || receive->too_large)
        return;
    if (receive->scanner.octets > receive->octets_max) {
        receive->too_large = true;
        buffer_free(&receive->octets);
        return;
    }
    buffer_append(&receive->octets, octets, length);
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
