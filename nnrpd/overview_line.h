/*
 * overview_line -- the fields of a line as OVER sends it (RFC 3977, 8.3):
 * number, Subject, From, Date, Message-ID, References, :bytes, :lines,
 * "Xref: ...", tabs between and CRLF behind.
 */
#ifndef NNRPD_OVERVIEW_LINE_H
#define NNRPD_OVERVIEW_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct spooled;

/*
 * Which field of the line holds this header or metadata item ("Subject",
 * ":lines"), its name's case not mattering; -1: none does.
 */
int overview_line_index(const char *name);
/* The field's octets in the line; false when the line has not so many.  Xref
   is without its name. */
bool overview_line_field(const char *line, size_t octets, int index,
                         const char **field_r, size_t *field_octets_r);
/* id has room for MESSAGE_ID_OCTETS_MAX and a NUL; "" when there is none. */
void overview_line_message_id(const char *line, size_t octets, char *id);
/* Append the line, number and CRLF included, of an article that was fetched
   by message-ID; false when the record holds no article. */
bool overview_line_build(struct buffer *line, const struct spooled *spooled);

#endif
