/* Putting right what lies in blocks and rows, whatever the backend. */
#include <assert.h>
#include <string.h>

#include "storage/overview_writer.h"

/* The line of one place, in the place of what its block has there. */
static int
mend_line(struct overview_writer *writer, const struct overview_entry *entry,
          const struct record_group *place, struct buffer *why)
{
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS + 1];
    struct buffer text = BUFFER_EMPTY;
    int64_t key = overview_block_key(place->group, place->number);
    int count = writer->rows->get_block(writer, key, lines, why);
    int at = 0;
    int status;

    if (count < 0)
        return -1;
    while (at < count && lines[at].number < place->number)
        at++;
    if (at == count || lines[at].number != place->number) {
        memmove(&lines[at + 1], &lines[at],
                (size_t)(count - at) * sizeof(lines[0]));
        count++;
    }
    overview_block_text(&text, place->number, entry->line, entry->line_octets);
    lines[at] = (struct overview_line){
        .number = place->number,
        .sequence = entry->sequence,
        .token = entry->token,
        .text = text.data,
        .octets = (uint32_t)text.used,
    };
    status = writer->rows->put_block(writer, key, lines, (size_t)count, why);
    buffer_free(&text);
    return status;
}

int
overview_writer_mend(struct overview *overview,
                     const struct overview_entry *entry, struct buffer *why)
{
    struct overview_writer *writer = overview_writer(overview);
    const struct fold_row row = {
        .sequence = entry->sequence,
        .arrival = entry->arrival,
        .token = entry->token,
    };

    assert(writer->in_transaction && writer->recent == 0);
    for (size_t i = 0; i < entry->group_count; i++)
        if (mend_line(writer, entry, &entry->groups[i], why) < 0)
            return -1;
    return writer->rows->put_article(writer, &row, why);
}

int
overview_writer_recount(struct overview *overview, uint32_t group,
                        uint64_t low, struct buffer *why)
{
    struct overview_writer *writer = overview_writer(overview);
    struct overview_line lines[OVERVIEW_BLOCK_NUMBERS];
    int64_t key = overview_block_key(group, low);
    int64_t last = overview_block_key(group, UINT32_MAX);
    uint64_t count = 0, high = 0;
    int found;

    assert(writer->in_transaction && writer->recent == 0);
    while (
        (found = writer->rows->next_block(writer, key, last, &key, lines, why))
        > 0) {
        for (int i = 0; i < found; i++)
            count += lines[i].number >= low;
        high = lines[found - 1].number;
        writer->rows->done_block(writer);
        if (key++ == last)
            break;
    }
    if (found < 0
        || writer->rows->set_group(writer, group, low, high, count,
                                   writer->last_put, why)
               < 0)
        return -1;
    overview_writer_set_folded(writer, group, writer->last_put);
    return 0;
}
