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
char *xasprintf(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif
