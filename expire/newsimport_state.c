#include "expire/newsimport_state.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/memory.h"

static const char first_line[] = "newsimport 1\n";

/*
 * The file is lines of a word and a value; "%" and control octets in names
 * stand as %HH, so that a name is one line whatever is in it.
 */
static void
value_append(struct buffer *text, const char *word, const char *value)
{
    buffer_append_format(text, "%s ", word);
    for (; *value != '\0'; value++) {
        unsigned char octet = (unsigned char)*value;

        if (octet == '%' || octet < 0x20 || octet == 0x7f)
            buffer_append_format(text, "%%%02X", octet);
        else
            buffer_append_char(text, *value);
    }
    buffer_append_char(text, '\n');
}

static char *
value_decode(const char *value)
{
    struct buffer text = BUFFER_EMPTY;

    while (*value != '\0') {
        char digits[3] = "";
        char *end = digits;
        unsigned long octet = 0;

        if (*value == '%') {
            memcpy(digits, value + 1, strnlen(value + 1, 2));
            octet = strtoul(digits, &end, 16);
        }
        if (end == digits + 2) {
            buffer_append_char(&text, (char)octet);
            value += 3;
        } else {
            buffer_append_char(&text, *value++);
        }
    }
    return text.data != NULL ? buffer_take(&text) : xstrdup("");
}

int
state_write(const char *file, int count, char *const *paths,
            const struct source_position *position, struct buffer *why)
{
    struct buffer text = BUFFER_EMPTY;
    char *temporary = xasprintf("%s.new", file);
    FILE *out = fopen(temporary, "we");
    int result = 0;

    buffer_append_text(&text, first_line);
    for (int i = 0; i < count; i++)
        value_append(&text, "path", paths[i]);
    buffer_append_format(&text, "at %d %" PRIu64 " %" PRIu64 "\n",
                         position->path, position->member, position->index);
    value_append(&text, "file", position->file);
    if (out == NULL || fwrite(text.data, 1, text.used, out) != text.used) {
        result = why_set_errno(why, "%s", temporary);
    }
    if (out != NULL && fclose(out) != 0 && result == 0)
        result = why_set_errno(why, "%s", temporary);
    if (result == 0 && rename(temporary, file) < 0)
        result = why_set_errno(why, "%s", file);
    buffer_free(&text);
    free(temporary);
    return result;
}

/* "at PATH MEMBER INDEX"; anything else leaves path at -1. */
static void
place_take(struct source_position *position, const char *numbers)
{
    unsigned long long number[3];
    char *end = NULL;

    for (size_t i = 0; i < 3; i++) {
        number[i] = strtoull(numbers, &end, 10);
        if (end == numbers || number[i] > INT64_MAX)
            return;
        numbers = end;
    }
    position->path = number[0] < INT_MAX ? (int)number[0] : -1;
    position->member = number[1];
    position->index = number[2];
}

static void
line_take(struct state *state, const char *line)
{
    struct source_position *position = &state->position;

    if (strncmp(line, "path ", 5) == 0) {
        state->paths = xreallocarray(state->paths, (size_t)state->count + 1,
                                     sizeof(char *));
        state->paths[state->count++] = value_decode(line + 5);
    } else if (strncmp(line, "file ", 5) == 0) {
        free(position->file);
        position->file = value_decode(line + 5);
    } else if (strncmp(line, "at ", 3) == 0) {
        place_take(position, line + 3);
    }
}

int
state_read(const char *file, struct state *state, struct buffer *why)
{
    FILE *in = fopen(file, "re");
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    *state = (struct state){.position.path = -1};
    if (in == NULL)
        return why_set_errno(why, "%s", file);
    length = getline(&line, &size, in);
    if (length > 0 && strcmp(line, first_line) == 0) {
        while ((length = getline(&line, &size, in)) > 0) {
            if (line[length - 1] == '\n')
                line[length - 1] = '\0';
            line_take(state, line);
        }
    }
    free(line);
    fclose(in);
    if (state->position.file == NULL || state->position.path < 0
        || state->position.path >= state->count) {
        state_free(state);
        return why_set(why, "%s: no state of newsimport", file);
    }
    return 0;
}

void
state_free(struct state *state)
{
    for (int i = 0; i < state->count; i++)
        free(state->paths[i]);
    free(state->paths);
    source_position_free(&state->position);
    *state = (struct state){.position.path = -1};
}
