/*
 * A block of overview lines as it may lie on a damaged disk: whatever the
 * octets are, reading them stays within them; what is read and written again
 * is the same block.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/buffer.h"
#include "storage/overview_block.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

int
LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    struct buffer again = BUFFER_EMPTY;
    const char *end = (const char *)octets + length;
    int count = overview_block_read(lines, 640, octets, length, NULL);

    if (count < 0)
        return 0;
    for (int i = 0; i < count; i++) {
        assert(lines[i].number >= 640);
        assert(lines[i].number < 640 + OVERVIEW_BLOCK_NUMBERS);
        assert(lines[i].text >= (const char *)octets);
        assert(lines[i].text + lines[i].octets <= end);
    }
    overview_block_write(&again, lines, (size_t)count);
    assert(again.used == length);
    assert(memcmp(again.data, octets, length) == 0);
    buffer_free(&again);
    return 0;
}
