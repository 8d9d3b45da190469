#include "lib/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

void
memory_keep(void)
{
    /* Neither fails for values in range; setting one also ends glibc's own
       moving of them. */
    (void)mallopt(M_MMAP_THRESHOLD, MEMORY_KEPT_OCTETS);
    (void)mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT_OCTETS);
}

void *
xmalloc(size_t octets)
{
    void *memory = malloc(octets > 0 ? octets : 1);

    if (memory == NULL)
        die(EXIT_TEMPORARY, "out of memory: wanted %zu octets", octets);
    return memory;
}

void *
xcalloc(size_t count, size_t octets)
{
    void *memory = calloc(count > 0 ? count : 1, octets > 0 ? octets : 1);

    if (memory == NULL)
        die(EXIT_TEMPORARY, "out of memory: wanted %zu times %zu octets",
            count, octets);
    return memory;
}

void *
xrealloc(void *old, size_t octets)
{
    void *memory = realloc(old, octets > 0 ? octets : 1);

    if (memory == NULL)
        die(EXIT_TEMPORARY, "out of memory: wanted %zu octets", octets);
    return memory;
}

void *
xreallocarray(void *old, size_t count, size_t octets)
{
    if (octets > 0 && count > SIZE_MAX / octets)
        die(EXIT_TEMPORARY, "out of memory: wanted %zu times %zu octets",
            count, octets);
    return xrealloc(old, count * octets);
}

char *
xstrdup(const char *text)
{
    return xmemdup(text, strlen(text));
}

char *
xmemdup(const void *octets, size_t length)
{
    char *copy = xmalloc(length + 1);

    if (length > 0)
        memcpy(copy, octets, length);
    copy[length] = '\0';
    return copy;
}

char *
xasprintf(const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        die(EXIT_TEMPORARY, "out of memory: formatting a text");
    va_end(args);
    return text;
}
