/*
 * utf8 -- is this UTF-8 (RFC 3629), and where does a character end?
 */
#ifndef LIB_UTF8_H
#define LIB_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Read one character of text, which has at least one octet.  Returns how many
 * octets it takes, with its number in *character_r; 0 when what stands there
 * is no UTF-8: a stray octet, a longer form than needed, a surrogate, or a
 * number beyond U+10FFFF.
 */
size_t utf8_read(const char *text, size_t octets, uint32_t *character_r);
bool utf8_is_valid(const char *text, size_t octets);

/* Text that comes in pieces: the begin of a character whose rest is in the
   next one.  All zeroes at first, and used is 0 where the text may end. */
struct utf8_torn {
    char octets[4];
    size_t used;
};
/* The next piece.  False when the text is no UTF-8, which may be seen up to
   three octets late. */
bool utf8_continues(struct utf8_torn *torn, const char *piece, size_t octets);

#endif
