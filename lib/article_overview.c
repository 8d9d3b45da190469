#include "lib/article.h"

#include <string.h>

#include "lib/buffer.h"

/* Of longer References the oldest ID stays, and as many of the newest as
   there is room for (RFC 5537, 3.4.4): a thread is found by these. */
enum { REFERENCES_OCTETS_MAX = 8 * 1024 };

/* Shorten the References that begin at from in line and reach to its end. */
static void
references_shorten(struct buffer *line, size_t from)
{
    const size_t octets = line->used - from;
    char *const references = line->data + from;
    const char *first_end;
    const char *rest;
    size_t first_octets;

    if (octets <= REFERENCES_OCTETS_MAX)
        return;
    first_end = memchr(references, ' ', REFERENCES_OCTETS_MAX / 2);
    first_octets = first_end != NULL ? (size_t)(first_end - references) : 0;
    rest = references + octets - (REFERENCES_OCTETS_MAX - first_octets);
    rest = memchr(rest, ' ', (size_t)(references + octets - rest));
    /* One word of that length is no list of message-IDs. */
    if (rest == NULL) {
        line->used = from;
        line->data[from] = '\0';
        return;
    }
    memmove(references + first_octets, rest,
            (size_t)(references + octets - rest));
    line->used -= (size_t)(rest - (references + first_octets));
    line->data[line->used] = '\0';
}

void
article_overview(const struct article *article, struct buffer *line)
{
    static const enum field order[] = {
        FIELD_SUBJECT,    FIELD_FROM,       FIELD_DATE,
        FIELD_MESSAGE_ID, FIELD_REFERENCES,
    };
    size_t from = line->used;

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        const struct field_value *value = &article->fields[order[i]];

        if (i > 0)
            buffer_append_char(line, '\t');
        from = line->used;
        if (value->octets != NULL)
            field_unfold(value, line);
    }
    references_shorten(line, from);
}
