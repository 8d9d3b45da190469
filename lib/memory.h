/*
 * memory -- allocation that never returns NULL.
 *
 * A process that cannot get memory cannot keep a promise either: it says so
 * and ends, and the master starts the next one.  What these return is released
 * with free().
 */
#ifndef LIB_MEMORY_H
#define LIB_MEMORY_H

#include <stddef.h>

/*
 * For a process that articles go through, at its start: what was used for a
 * large article is kept for the next one, up to MEMORY_KEPT_OCTETS, instead of
 * being given back to the system and asked for again page by page (half of the
 * time an article of 600 KB takes).
 */
enum { MEMORY_KEPT_OCTETS = 16 * 1024 * 1024 };
void memory_keep(void);

void *xmalloc(size_t octets);
/* Zeroed; dies when count * octets would overflow. */
void *xcalloc(size_t count, size_t octets);
void *xrealloc(void *old, size_t octets);
/* As xrealloc, for count members; dies when the product would overflow. */
void *xreallocarray(void *old, size_t count, size_t octets);
char *xstrdup(const char *text);
/* Copies length octets, which may contain NUL, and adds a NUL. */
char *xmemdup(const void *octets, size_t length);
/* A printf that allocates. */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
