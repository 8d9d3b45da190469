#include "storage/batch.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/memory.h"

struct batch *
batch_new(void)
{
    struct batch *batch = xcalloc(1, sizeof(*batch));

    batch->octets = xcalloc(1, sizeof(*batch->octets));
    return batch;
}

void
batch_free(struct batch **batch)
{
    if (*batch == NULL)
        return;
    buffer_free((*batch)->octets);
    free((*batch)->octets);
    free(*batch);
    *batch = NULL;
}

void
batch_clear(struct batch *batch)
{
    struct buffer *octets = batch->octets;

    buffer_clear(octets);
    *batch = (struct batch){.octets = octets};
}

static void
append_zeroes(struct buffer *buffer, size_t octets)
{
    memset(buffer_reserve(buffer, octets), 0, octets + 1);
    buffer->used += octets;
}

/* Keep the batch's own account, and insist on the order that the log has. */
static void
count_record(struct batch *batch, const struct record_head *head)
{
    if (batch->count == 0) {
        batch->first_sequence = head->sequence;
        batch->first_arrival = head->arrival;
    } else {
        assert(head->sequence >= batch->last_sequence);
        assert(head->arrival >= batch->last_arrival);
    }
    batch->last_sequence = head->sequence;
    batch->last_arrival = head->arrival;
    batch->count++;
}

/* Fill in what the caller leaves to us; the sum of the head comes last. */
static void
complete_head(struct record_head *head, const void *meta, size_t meta_octets,
              const struct iovec *payload, int count)
{
    uint64_t payload_octets = 0;
    uint64_t octets;
    uint32_t crc = 0;

    for (int i = 0; i < count; i++) {
        payload_octets += payload[i].iov_len;
        crc = crc32c(crc, payload[i].iov_base, payload[i].iov_len);
    }
    octets = sizeof(*head) + meta_octets + payload_octets;
    octets = (octets + 7) & ~UINT64_C(7);
    assert(octets <= UINT32_MAX);

    head->magic = RECORD_MAGIC;
    head->octets = (uint32_t)octets;
    head->meta_octets = (uint32_t)meta_octets;
    head->payload_octets = (uint32_t)payload_octets;
    head->payload_crc = crc;
    crc = crc32c(0, head, offsetof(struct record_head, crc));
    head->crc = crc32c(crc, meta, meta_octets);
}

uint32_t
batch_append(struct batch *batch, struct record_head *head, const void *meta,
             size_t meta_octets, const struct iovec *payload, int count)
{
    struct buffer *octets = batch->octets;
    size_t offset;

    complete_head(head, meta, meta_octets, payload, count);
    count_record(batch, head);
    if (octets->used == 0)
        append_zeroes(octets, sizeof(struct batch_head));
    offset = octets->used;
    assert(offset + head->octets <= UINT32_MAX);

    buffer_append(octets, head, sizeof(*head));
    buffer_append(octets, meta, meta_octets);
    batch->heads_crc = crc32c(batch->heads_crc, octets->data + offset,
                              sizeof(*head) + meta_octets);
    for (int i = 0; i < count; i++)
        buffer_append(octets, payload[i].iov_base, payload[i].iov_len);
    append_zeroes(octets, offset + head->octets - octets->used);
    return (uint32_t)offset;
}

void
batch_place(struct batch *batch, uint32_t segment, uint64_t epoch,
            uint32_t offset, uint32_t previous)
{
    struct batch_head head = {
        .magic = BATCH_MAGIC,
        .segment = segment,
        .epoch = epoch,
        .first_sequence = batch->first_sequence,
        .count = batch->count,
        .octets = (uint32_t)batch->octets->used,
        .previous = previous,
        .heads_crc = batch->heads_crc,
    };

    assert(batch->count > 0);
    memcpy(batch->octets->data, &head, sizeof(head));
    batch->segment = segment;
    batch->offset = offset;
}

static uint32_t
head_crc(const struct batch_head *head, uint32_t offset)
{
    return crc32c(offset, head, offsetof(struct batch_head, crc));
}

void
batch_stamp(struct batch *batch, uint32_t synced)
{
    struct batch_head head;

    memcpy(&head, batch->octets->data, sizeof(head));
    head.synced = synced;
    head.crc = head_crc(&head, batch->offset);
    memcpy(batch->octets->data, &head, sizeof(head));
}

bool
batch_head_is_good(const struct batch_head *head, uint32_t segment,
                   uint64_t epoch, uint64_t offset)
{
    return head->magic == BATCH_MAGIC
           && head->crc == head_crc(head, (uint32_t)offset)
           && head->segment == segment && (epoch == 0 || head->epoch == epoch)
           && head->octets >= sizeof(*head) && head->octets % 8 == 0;
}

bool
batch_is_good(const struct batch_head *head, const char *octets)
{
    uint64_t sequence = head->first_sequence;
    size_t at = sizeof(*head);
    uint32_t crc = 0;
    struct record record;

    for (uint32_t i = 0; i < head->count; i++) {
        int64_t length =
            record_parse(&record, octets + at, head->octets - at, true, NULL);

        if (length < 0 || record.head.sequence < sequence
            || (i == 0 && record.head.sequence != sequence))
            return false;
        crc = crc32c(crc, octets + at,
                     sizeof(record.head) + record.head.meta_octets);
        sequence = record.head.sequence;
        at += (size_t)length;
    }
    return head->count > 0 && at == head->octets && crc == head->heads_crc;
}
