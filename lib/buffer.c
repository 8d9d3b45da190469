#include "lib/buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/memory.h"

/* What clang-tidy sees of them is a macro. */
#undef why_set
#undef why_set_errno

void
buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = BUFFER_EMPTY;
}

void
buffer_clear(struct buffer *buffer)
{
    buffer->used = 0;
    if (buffer->data != NULL)
        buffer->data[0] = '\0';
}

char *
buffer_reserve(struct buffer *buffer, size_t octets)
{
    size_t wanted = buffer->used + octets + 1;

    assert(wanted > octets);
    if (wanted > buffer->size) {
        size_t size = buffer->size + buffer->size / 2;

        buffer->size = size > wanted ? size : wanted;
        buffer->data = xrealloc(buffer->data, buffer->size);
        buffer->data[buffer->used] = '\0';
    }
    return buffer->data + buffer->used;
}

void
buffer_used(struct buffer *buffer, size_t octets)
{
    buffer->used += octets;
    assert(buffer->used < buffer->size);
    buffer->data[buffer->used] = '\0';
}

void
buffer_append(struct buffer *buffer, const void *octets, size_t length)
{
    char *end = buffer_reserve(buffer, length);

    if (length > 0)
        memcpy(end, octets, length);
    buffer_used(buffer, length);
}

void
buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void
buffer_append_char(struct buffer *buffer, char octet)
{
    buffer_append(buffer, &octet, 1);
}

void
buffer_append_number(struct buffer *buffer, uint64_t number,
                     unsigned digits_min)
{
    char digits[32];
    char *end = digits + sizeof digits;
    char *first = end;

    assert(digits_min <= sizeof digits);
    while (number > 0 || first == end) {
        *--first = (char)('0' + number % 10);
        number /= 10;
    }
    while (end - first < (ptrdiff_t)digits_min)
        *--first = '0';
    buffer_append(buffer, first, (size_t)(end - first));
}

void
buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buffer_append_vformat(buffer, format, args);
    va_end(args);
}

void
buffer_append_vformat(struct buffer *buffer, const char *format, va_list args)
{
    va_list again;
    int length;

    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, args);
    if (length < 0)
        die(EXIT_SOFTWARE, "format cannot be printed: %s", format);
    vsnprintf(buffer_reserve(buffer, (size_t)length), (size_t)length + 1,
              format, again);
    va_end(again);
    buffer->used += (size_t)length;
}

void
buffer_drop(struct buffer *buffer, size_t length)
{
    assert(length <= buffer->used);
    if (length == 0)
        return;
    memmove(buffer->data, buffer->data + length, buffer->used - length + 1);
    buffer->used -= length;
}

char *
buffer_take(struct buffer *buffer)
{
    char *data = buffer_reserve(buffer, 0) - buffer->used;

    *buffer = BUFFER_EMPTY;
    return data;
}

const char *
buffer_text(const struct buffer *buffer)
{
    return buffer->data != NULL ? buffer->data : "";
}

int
why_set(struct buffer *why, const char *format, ...)
{
    va_list args;

    if (why == NULL)
        return -1;
    buffer_clear(why);
    va_start(args, format);
    buffer_append_vformat(why, format, args);
    va_end(args);
    return -1;
}

int
why_set_errno(struct buffer *why, const char *format, ...)
{
    int error = errno;
    va_list args;

    if (why == NULL)
        return -1;
    buffer_clear(why);
    va_start(args, format);
    buffer_append_vformat(why, format, args);
    va_end(args);
    buffer_append_format(why, ": %s", strerror(error));
    return -1;
}
