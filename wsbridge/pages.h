/*
 * pages -- the files of the page, in memory.
 *
 * Read once, before the process gives up the file system: a request can name
 * nothing else, whatever its path says.  Names begin with "/" and are those of
 * the files below the directory; "/" is "/index.html".
 */
#ifndef WSBRIDGE_PAGES_H
#define WSBRIDGE_PAGES_H

#include <stddef.h>

struct buffer;
struct pages;

struct page {
    char *name;
    const char *type; /* Content-Type */
    char *octets;
    size_t length;
};

/* NULL with why when the directory or a file in it cannot be read.  Files of
   other kinds than a page has are left out. */
struct pages *pages_load(const char *directory, struct buffer *why);
void pages_free(struct pages **pages);
/* NULL: there is none of this name. */
const struct page *pages_find(const struct pages *pages, const char *name);

#endif
