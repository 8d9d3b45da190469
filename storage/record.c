#include "storage/spool.h"

#include <inttypes.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/crc32c.h"

/* What lies on the disk is little-endian and is used where it lies. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the spool's code needs a little-endian machine");

/* Do the lengths in a head agree with each other?  In 64 bits nothing of it
   can overflow. */
static bool
lengths_agree(const struct record_head *head)
{
    uint64_t octets =
        sizeof(*head) + (uint64_t)head->meta_octets + head->payload_octets;

    if (head->octets != ((octets + 7) & ~UINT64_C(7)))
        return false;
    if (head->type != RECORD_ARTICLE)
        return true;
    return head->meta_octets % sizeof(struct record_group) == 0
           && head->head_octets <= head->body_offset
           && head->body_offset <= head->payload_octets;
}

int64_t
record_parse_head(struct record *record, const void *octets, size_t room,
                  struct buffer *why)
{
    const char *at = octets;
    struct record_head *head = &record->head;
    uint32_t crc;

    if (room < sizeof(*head))
        return why_set(why, "record is cut off in its head");
    memcpy(head, at, sizeof(*head));
    if (head->magic != RECORD_MAGIC)
        return why_set(why, "no record begins here");
    if (!lengths_agree(head) || head->octets > room)
        return why_set(why, "record's lengths do not fit");
    crc = crc32c(0, at, offsetof(struct record_head, crc));
    crc = crc32c(crc, at + sizeof(*head), head->meta_octets);
    if (crc != head->crc)
        return why_set(why, "record's head has the wrong checksum");
    record->meta = at + sizeof(*head);
    record->payload = NULL;
    record->token = (struct token){.octets = head->octets};
    return head->octets;
}

int64_t
record_parse(struct record *record, const void *octets, size_t length,
             bool check_payload, struct buffer *why)
{
    const struct record_head *head = &record->head;

    if (record_parse_head(record, octets, length, why) < 0)
        return -1;
    record->payload = record->meta + head->meta_octets;
    if (check_payload
        && crc32c(0, record->payload, head->payload_octets)
               != head->payload_crc)
        return why_set(why,
                       "record's payload has the wrong checksum "
                       "(sequence %" PRIu64 ")",
                       head->sequence);
    return head->octets;
}

struct record_group
record_group(const struct record *record, size_t index)
{
    struct record_group group;

    memcpy(&group, record->meta + index * sizeof(group), sizeof(group));
    return group;
}

size_t
record_group_count(const struct record *record)
{
    if (record->head.type != RECORD_ARTICLE
        && record->head.type != RECORD_SUBMISSION)
        return 0;
    return record->head.meta_octets / sizeof(struct record_group);
}
