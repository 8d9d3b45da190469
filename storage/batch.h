/*
 * batch -- what spool*.c alone needs to know of a batch: its head.
 */
#ifndef STORAGE_BATCH_H
#define STORAGE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/spool.h"

/*
 * Fill in the head for a place in the log; batch_stamp() completes it when it
 * is written.  The batch is not empty.
 */
void batch_place(struct batch *batch, uint32_t segment, uint64_t epoch,
                 uint32_t offset, uint32_t previous);
/* Say how far the segment was synced, and sum the head. */
void batch_stamp(struct batch *batch, uint32_t synced);

/* Is this the head of a batch at this place?  epoch 0: of any epoch. */
bool batch_head_is_good(const struct batch_head *head, uint32_t segment,
                        uint64_t epoch, uint64_t offset);
/*
 * Is all of a batch good: every record, and the heads as a whole?  octets has
 * head->octets octets, from the batch head on.
 */
bool batch_is_good(const struct batch_head *head, const char *octets);

#endif
