/*
 * response -- one line that a news server answers (RFC 3977, 3.2): a code of
 * three digits, and text.
 *
 * This knows no command and no session; it is fuzzed alone.
 */
#ifndef LIB_RESPONSE_H
#define LIB_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

enum {
    RESPONSE_OCTETS_MAX = 512, /* RFC 3977, 3.1; CRLF included */
    /* Texts of the wild are longer; who sends so much without an end is no
       news server. */
    RESPONSE_ENDLESS_OCTETS = 8 * 1024,
};

struct response {
    unsigned code;    /* 100 to 599 */
    const char *text; /* behind the code and a space; points into the line, not
                         ended by NUL */
    size_t octets;    /* of text, the line's end not counted */
};

/*
 * How long the first line in octets is, its end included; a bare LF ends it
 * too.  0 when its end has not come yet; RESPONSE_ENDLESS_OCTETS without an
 * end is a line that never will.
 */
size_t response_line_octets(const char *octets, size_t length);
/* Take a line apart, its end included or not.  0, or -1 with why: it begins
   with no code, or has a NUL or a bare CR in it. */
int response_parse(struct response *response, const char *line, size_t octets,
                   struct buffer *why);
/* The message-ID with which the text begins; false when none does. */
bool response_message_id(const struct response *response, const char **id_r,
                         size_t *octets_r);
/* The numbers with which the text begins, at most max; returns how many. */
size_t response_numbers(const struct response *response, uint64_t *numbers_r,
                        size_t max);

#endif
