#include "lib/mailbox.h"

#include "lib/ascii.h"

struct reader {
    const char *at;
    const char *end;
};

/* Past a comment, whose "(" is next; false when it has no end. */
static bool
skip_comment(struct reader *reader)
{
    int depth = 0;

    while (reader->at < reader->end) {
        const char octet = *reader->at++;

        if (octet == '(')
            depth++;
        else if (octet == ')' && --depth == 0)
            return true;
        else if (octet == '\\' && reader->at < reader->end)
            reader->at++;
    }
    return false;
}

/* White space and comments; false when a comment has no end. */
static bool
skip_space(struct reader *reader)
{
    while (reader->at < reader->end) {
        if (ascii_is_space(*reader->at))
            reader->at++;
        else if (*reader->at != '(')
            return true;
        else if (!skip_comment(reader))
            return false;
    }
    return true;
}

static bool
read_octet(struct reader *reader, char octet)
{
    if (reader->at == reader->end || *reader->at != octet)
        return false;
    reader->at++;
    return true;
}

/* "..." or [...]: up to close, a backslash takes the next octet along. */
static bool
read_enclosed(struct reader *reader, char open, char close)
{
    if (!read_octet(reader, open))
        return false;
    while (reader->at < reader->end) {
        const char octet = *reader->at++;

        if (octet == close)
            return true;
        if (octet == '\\' && reader->at < reader->end)
            reader->at++;
    }
    return false;
}

static bool
read_dot_atom(struct reader *reader)
{
    do {
        const char *begin = reader->at;

        while (reader->at < reader->end && ascii_is_atext(*reader->at))
            reader->at++;
        if (reader->at == begin)
            return false;
    } while (read_octet(reader, '.'));
    return true;
}

static bool
read_address(struct reader *reader)
{
    const bool quoted = reader->at < reader->end && *reader->at == '"';

    if (quoted ? !read_enclosed(reader, '"', '"') : !read_dot_atom(reader))
        return false;
    if (!skip_space(reader) || !read_octet(reader, '@') || !skip_space(reader))
        return false;
    if (reader->at < reader->end && *reader->at == '[')
        return read_enclosed(reader, '[', ']');
    return read_dot_atom(reader);
}

/* The name before "<": atoms, dots and quoted strings, or nothing. */
static bool
read_phrase(struct reader *reader)
{
    while (skip_space(reader) && reader->at < reader->end) {
        const char octet = *reader->at;

        if (octet == '<')
            return true;
        if (octet == '"') {
            if (!read_enclosed(reader, '"', '"'))
                return false;
        } else if (ascii_is_atext(octet) || octet == '.' || octet & '\x80') {
            reader->at++;
        } else {
            return false;
        }
    }
    return false;
}

/* Is this the end of a mailbox: a comma, or the end of all? */
static bool
at_end(struct reader *reader)
{
    return skip_space(reader)
           && (reader->at == reader->end || *reader->at == ',');
}

static bool
read_mailbox(struct reader *reader)
{
    struct reader bare;

    if (!skip_space(reader))
        return false;
    bare = *reader;
    if (read_address(&bare) && at_end(&bare)) {
        *reader = bare;
        return true;
    }
    return read_phrase(reader) && read_octet(reader, '<') && skip_space(reader)
           && read_address(reader) && skip_space(reader)
           && read_octet(reader, '>') && at_end(reader);
}

bool
mailbox_list_is_valid(const char *text, size_t octets)
{
    struct reader reader = {text, text + octets};

    do {
        if (!read_mailbox(&reader))
            return false;
    } while (read_octet(&reader, ','));
    return true;
}
