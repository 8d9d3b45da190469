/*
 * file -- replace a small file as a whole.
 */
#ifndef LIB_FILE_H
#define LIB_FILE_H

struct buffer;

/* Write path.new, sync it, and give it the name.  0 or -1 with why. */
int file_replace(const char *path, const struct buffer *octets,
                 struct buffer *why);

#endif
