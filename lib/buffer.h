/*
 * buffer -- a growing run of octets, for building text.
 *
 * Octets may contain NUL; a NUL always stands behind the last one, so data is
 * also a C string whenever no NUL was put in.  A struct buffer of zeroes is an
 * empty buffer (BUFFER_EMPTY).  A function's `why` is a buffer into which it
 * puts the reason of a failure, for a person, without a newline; why may be
 * NULL where nobody wants to know.
 */
#ifndef LIB_BUFFER_H
#define LIB_BUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data;  /* owned; NULL while nothing was ever put in */
    size_t used; /* octets in data, the NUL behind them not counted */
    size_t size; /* octets allocated */
};

#define BUFFER_EMPTY                                                          \
    (struct buffer)                                                           \
    {                                                                         \
        NULL, 0, 0                                                            \
    }

/* Free what the buffer holds; it is empty, and usable, afterwards. */
void buffer_free(struct buffer *buffer);
/* Forget the contents, keep the memory. */
void buffer_clear(struct buffer *buffer);
/* Make room for octets more, and return where they go; buffer_used() them. */
char *buffer_reserve(struct buffer *buffer, size_t octets);
/* So many octets stand behind the others now. */
void buffer_used(struct buffer *buffer, size_t octets);
void buffer_append(struct buffer *buffer, const void *octets, size_t length);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_char(struct buffer *buffer, char octet);
/* A decimal number, with zeroes in front of it up to so many digits. */
void buffer_append_number(struct buffer *buffer, uint64_t number,
                          unsigned digits_min);
void buffer_append_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_append_vformat(struct buffer *buffer, const char *format,
                           va_list args);
/* Drop the first length octets, moving the rest to the front. */
void buffer_drop(struct buffer *buffer, size_t length);
/* Hand the contents to the caller, who frees them; the buffer is empty then.
 */
char *buffer_take(struct buffer *buffer);
/* The contents as text, never NULL. */
const char *buffer_text(const struct buffer *buffer);

/*
 * Say why something failed: replaces what why held.  Always returns -1, so
 * that a function can fail in one line: return why_set(why, "...").  why may
 * be NULL.  why_set_errno adds ": " and strerror(errno).
 */
int why_set(struct buffer *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int why_set_errno(struct buffer *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* clang-tidy looks at one file at a time, and would not know. */
#ifdef __clang_analyzer__
#include <stdio.h>
#define why_set(why, ...)                                                     \
    ((void)(why), (void)snprintf(NULL, 0, __VA_ARGS__), -1)
#define why_set_errno(why, ...) why_set(why, __VA_ARGS__)
#endif

#endif
