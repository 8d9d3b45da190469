/*
 * command_line -- see command_line.h.
 */
#include <string.h>

#include "lib/command_line.h"

size_t
command_line_octets(const char *octets, size_t length)
{
    const char *end = length == 0 ? NULL : memchr(octets, '\n', length);

    return end == NULL ? 0 : (size_t)(end - octets) + 1;
}

/* The octets that may be words: without the line's end, up to what is wrong.
 */
static size_t
command_line_measure(struct command_line *line, const char *octets,
                     size_t length)
{
    size_t at;

    line->fault = COMMAND_LINE_GOOD;
    if (length > COMMAND_LINE_OCTETS_MAX) {
        line->fault = COMMAND_LINE_LONG;
        length = COMMAND_LINE_OCTETS_MAX;
    }
    if (length > 0 && octets[length - 1] == '\n') {
        length--;
        if (length > 0 && octets[length - 1] == '\r')
            length--;
    }
    for (at = 0; at < length; at++) {
        if (octets[at] != '\0' && octets[at] != '\r' && octets[at] != '\n')
            continue;
        if (line->fault == COMMAND_LINE_GOOD)
            line->fault = COMMAND_LINE_OCTETS;
        break;
    }
    return at;
}

void
command_line_parse(struct command_line *line, const char *octets,
                   size_t length)
{
    char *at, *end;

    length = command_line_measure(line, octets, length);
    memcpy(line->text, octets, length);
    line->text[length] = '\0';
    line->count = 0;
    end = line->text + length;
    for (at = line->text; at < end; at++) {
        at += strspn(at, " \t");
        if (at >= end || line->count == COMMAND_WORDS_MAX)
            break;
        line->word[line->count++] = at;
        at += strcspn(at, " \t");
        if (at - line->word[line->count - 1] > COMMAND_ARGUMENT_OCTETS_MAX
            && line->fault == COMMAND_LINE_GOOD)
            line->fault = COMMAND_LINE_WORD;
        *at = '\0';
    }
}

/* Reads the digits at *text and moves it behind them. */
static bool
number_read(const char **text, uint64_t *number_r)
{
    uint64_t number = 0;
    size_t digits = strspn(*text, "0123456789");
    size_t at;

    if (digits == 0 || digits > 16)
        return false;
    for (at = 0; at < digits; at++)
        number = number * 10 + (uint64_t)((*text)[at] - '0');
    *text += digits;
    *number_r = number;
    return true;
}

bool
article_number_parse(const char *text, uint64_t *number_r)
{
    return number_read(&text, number_r) && *text == '\0';
}

bool
article_range_parse(const char *text, uint64_t *low_r, uint64_t *high_r)
{
    if (!number_read(&text, low_r))
        return false;
    *high_r = *low_r;
    if (*text == '\0')
        return true;
    if (*text++ != '-')
        return false;
    *high_r = UINT64_MAX;
    return *text == '\0' || (number_read(&text, high_r) && *text == '\0');
}
