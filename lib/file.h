/*
 * file -- small files as a whole.
 */
#ifndef LIB_FILE_H
#define LIB_FILE_H

#include <stddef.h>

struct buffer;

/*
 * Append all that is in a file to text.  flags: O_NOFOLLOW or 0, for open(2).
 * 0, or -1 with errno, EFBIG for more than octets_max octets; what was read
 * until then stands in text.
 */
int file_read(const char *path, int flags, size_t octets_max,
              struct buffer *text);

/* Write path.new, sync it, and give it the name.  0 or -1 with why. */
int file_replace(const char *path, const struct buffer *octets,
                 struct buffer *why);

#endif
