#include "storage/overview_block.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "lib/buffer.h"

enum {
    BLOCK_MAGIC = 0x4f4e52, /* "RNO", then the version */
    BLOCK_VERSION = 1,
};

struct block_head {
    uint32_t magic; /* BLOCK_MAGIC, BLOCK_VERSION in the highest octet */
    uint32_t count; /* of struct block_line behind it */
};
_Static_assert(sizeof(struct block_head) == 8, "on disk");

struct block_line {
    uint64_t sequence;
    uint32_t segment;
    uint32_t offset;
    uint32_t octets;      /* the token's */
    uint32_t place;       /* number - first number of the block */
    uint32_t text_offset; /* from the beginning of the block */
    uint32_t text_octets;
};
_Static_assert(sizeof(struct block_line) == 32, "on disk");

void
overview_block_text(struct buffer *text, uint64_t number, const char *line,
                    size_t octets)
{
    char digits[20];
    size_t count = 0;
    char *end;

    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    end = buffer_reserve(text, count + octets + 3);
    text->used += count + octets + 3;
    while (count > 0)
        *end++ = digits[--count];
    *end++ = '\t';
    memcpy(end, line, octets);
    memcpy(end + octets, "\r\n", 3);
}

void
overview_block_write(struct buffer *data, const struct overview_line *lines,
                     size_t count)
{
    struct block_head head = {
        htole32(BLOCK_MAGIC | (uint32_t)BLOCK_VERSION << 24),
        htole32((uint32_t)count)};
    size_t offset = sizeof(head) + count * sizeof(struct block_line);

    assert(count <= OVERVIEW_BLOCK_NUMBERS);
    buffer_clear(data);
    buffer_append(data, &head, sizeof(head));
    for (size_t i = 0; i < count; i++) {
        const struct overview_line *line = &lines[i];
        struct block_line on_disk = {
            .sequence = htole64(line->sequence),
            .segment = htole32(line->token.segment),
            .offset = htole32(line->token.offset),
            .octets = htole32(line->token.octets),
            .place =
                htole32((uint32_t)(line->number % OVERVIEW_BLOCK_NUMBERS)),
            .text_offset = htole32((uint32_t)offset),
            .text_octets = htole32(line->octets),
        };

        assert(i == 0 || lines[i - 1].number < line->number);
        buffer_append(data, &on_disk, sizeof(on_disk));
        offset += line->octets;
    }
    for (size_t i = 0; i < count; i++)
        buffer_append(data, lines[i].text, lines[i].octets);
}

static struct block_line
line_on_disk(const char *base, uint32_t index)
{
    struct block_line line;

    memcpy(&line, base + sizeof(struct block_head) + index * sizeof(line),
           sizeof(line));
    return line;
}

static struct overview_line
line_read(const char *base, uint64_t first, const struct block_line *on_disk)
{
    return (struct overview_line){
        .number = first + le32toh(on_disk->place),
        .sequence = le64toh(on_disk->sequence),
        .token = {.segment = le32toh(on_disk->segment),
                  .offset = le32toh(on_disk->offset),
                  .octets = le32toh(on_disk->octets)},
        .text = base + le32toh(on_disk->text_offset),
        .octets = le32toh(on_disk->text_octets),
    };
}

int
overview_block_read(struct overview_line lines[OVERVIEW_BLOCK_NUMBERS],
                    uint64_t first, const void *data, size_t octets,
                    struct buffer *why)
{
    const char *base = data;
    struct block_head head;
    uint32_t count;
    size_t offset;
    int64_t last_place = -1;

    if (octets < sizeof(head))
        return why_set(why, "a block of only %zu octets", octets);
    memcpy(&head, base, sizeof(head));
    if (le32toh(head.magic) != (BLOCK_MAGIC | (uint32_t)BLOCK_VERSION << 24))
        return why_set(why, "a block begins with %08x",
                       (unsigned)le32toh(head.magic));
    count = le32toh(head.count);
    offset = sizeof(head) + (size_t)count * sizeof(struct block_line);
    if (count > OVERVIEW_BLOCK_NUMBERS || offset > octets)
        return why_set(why, "a block of %zu octets claims %u lines", octets,
                       (unsigned)count);
    for (uint32_t i = 0; i < count; i++) {
        struct block_line on_disk = line_on_disk(base, i);
        uint32_t place = le32toh(on_disk.place);

        if (place >= OVERVIEW_BLOCK_NUMBERS || (int64_t)place <= last_place)
            return why_set(why, "line %u of a block has place %u", (unsigned)i,
                           (unsigned)place);
        if (le32toh(on_disk.text_offset) != offset
            || le32toh(on_disk.text_octets) > octets - offset)
            return why_set(why, "the text of line %u of a block is outside",
                           (unsigned)i);
        last_place = place;
        lines[i] = line_read(base, first, &on_disk);
        offset += lines[i].octets;
    }
    if (offset != octets)
        return why_set(why, "a block of %zu octets has texts up to %zu",
                       octets, offset);
    return (int)count;
}

bool
overview_block_find(const void *data, uint64_t number,
                    struct overview_line *line_r)
{
    uint32_t wanted = (uint32_t)(number % OVERVIEW_BLOCK_NUMBERS);
    const char *base = data;
    struct block_head head;
    uint32_t low = 0, high;

    memcpy(&head, base, sizeof(head));
    high = le32toh(head.count);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct block_line on_disk = line_on_disk(base, middle);
        uint32_t place = le32toh(on_disk.place);

        if (place == wanted) {
            *line_r = line_read(base, number - wanted, &on_disk);
            return true;
        }
        if (place < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
