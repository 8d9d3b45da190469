/*
 * overview_line -- see overview_line.h.
 */
#include <string.h>
#include <strings.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/message_id.h"
#include "nnrpd/overview_line.h"
#include "storage/spool_reader.h"

/* By their places in the line. */
static const char *const names[] = {
    NULL,         "Subject", "From",   "Date", "Message-ID",
    "References", ":bytes",  ":lines", "Xref",
};

enum { INDEX_MESSAGE_ID = 4, INDEX_XREF = 8 };

int
overview_line_index(const char *name)
{
    int i;

    for (i = 1; i < (int)(sizeof names / sizeof names[0]); i++)
        if (strcasecmp(name, names[i]) == 0)
            return i;
    return -1;
}

bool
overview_line_field(const char *line, size_t octets, int index,
                    const char **field_r, size_t *field_octets_r)
{
    static const char xref[] = "Xref: ";
    const char *end = line + octets;
    bool is_xref = index == INDEX_XREF;
    const char *tab;

    while (end > line && (end[-1] == '\n' || end[-1] == '\r'))
        end--;
    for (; index > 0; index--) {
        tab = memchr(line, '\t', (size_t)(end - line));
        if (tab == NULL)
            return false;
        line = tab + 1;
    }
    tab = memchr(line, '\t', (size_t)(end - line));
    *field_r = line;
    *field_octets_r = (size_t)((tab == NULL ? end : tab) - line);
    if (is_xref && *field_octets_r >= sizeof xref - 1
        && strncasecmp(line, xref, sizeof xref - 1) == 0) {
        *field_r += sizeof xref - 1;
        *field_octets_r -= sizeof xref - 1;
    }
    return true;
}

void
overview_line_message_id(const char *line, size_t octets, char *id)
{
    const char *field;
    size_t field_octets;

    id[0] = '\0';
    if (!overview_line_field(line, octets, INDEX_MESSAGE_ID, &field,
                             &field_octets)
        || field_octets > MESSAGE_ID_OCTETS_MAX)
        return;
    memcpy(id, field, field_octets);
    id[field_octets] = '\0';
}

bool
overview_line_build(struct buffer *line, const struct spooled *spooled)
{
    const struct record *record = &spooled->record;
    struct article article;

    if (record->head.type != RECORD_ARTICLE
        || article_parse(&article, record->payload,
                         record->head.payload_octets, NULL)
               < 0)
        return false;
    buffer_append_text(line, "0\t");
    article_overview(&article, line);
    buffer_append_format(line, "\t%u\t%u\tXref: ", record->head.bytes,
                         record->head.lines);
    field_unfold(&article.fields[FIELD_XREF], line);
    buffer_append(line, "\r\n", 2);
    return true;
}
