#include "expire/newsimport_content.h"

#include <stdlib.h>
#include <string.h>

#include "lib/article.h"
#include "lib/ascii.h"

enum {
    READ_OCTETS = 64 * 1024,
    /* "#! rnews 16777216" is shorter by far. */
    RNEWS_LINE_OCTETS_MAX = 80,
};

static const char too_long[] = "longer than any article may be (16 MiB)";

void
content_open(struct content *content, content_read_func *read, void *context)
{
    *content = (struct content){.read = read, .context = context};
}

void
content_close(struct content *content)
{
    buffer_free(&content->octets);
}

static const char *
content_rest(const struct content *content)
{
    return buffer_text(&content->octets) + content->at;
}

static size_t
content_rest_octets(const struct content *content)
{
    return content->octets.used - content->at;
}

/* Read until wanted octets are there or no more come.  0 or -1 with why. */
static int
content_fill(struct content *content, size_t wanted, struct buffer *why)
{
    /* Moving the rest to the front now and then, not for each line. */
    if (content->at > READ_OCTETS) {
        buffer_drop(&content->octets, content->at);
        content->at = 0;
    }
    while (!content->ended && content_rest_octets(content) < wanted) {
        char *room = buffer_reserve(&content->octets, READ_OCTETS);
        ssize_t got = content->read(content->context, room, READ_OCTETS, why);

        if (got < 0)
            return -1;
        content->ended = got == 0;
        buffer_used(&content->octets, (size_t)got);
    }
    return 0;
}

/*
 * The next line with its LF, borrowed until the next call; the last one may
 * have none, and one that no article could hold comes in parts.  1, 0 at the
 * end, -1 with why.
 */
static int
content_line(struct content *content, const char **line_r, size_t *octets_r,
             struct buffer *why)
{
    size_t searched = 0;
    const char *lf = NULL;

    for (;;) {
        size_t rest = content_rest_octets(content);

        lf = memchr(content_rest(content) + searched, '\n', rest - searched);
        if (lf != NULL || content->ended || rest > ARTICLE_OCTETS_HARD_MAX)
            break;
        searched = rest;
        if (content_fill(content, rest + 1, why) < 0)
            return -1;
    }
    *line_r = content_rest(content);
    *octets_r =
        lf != NULL ? (size_t)(lf - *line_r) + 1 : content_rest_octets(content);
    content->at += *octets_r;
    return *octets_r > 0 ? 1 : 0;
}

static bool
starts_with(const char *octets, size_t length, const char *start)
{
    return length >= strlen(start)
           && memcmp(octets, start, strlen(start)) == 0;
}

static bool
is_field(const char *octets, size_t length)
{
    size_t name = 0;

    while (name < length && ascii_is_graphic(octets[name])
           && octets[name] != ':')
        name++;
    return name > 0 && name < length && octets[name] == ':';
}

static enum content_kind
kind_of(const char *octets, size_t length)
{
    if (starts_with(octets, length, "#! rnews "))
        return CONTENT_RNEWS;
    if (starts_with(octets, length, "From "))
        return CONTENT_MBOX;
    return is_field(octets, length) ? CONTENT_ARTICLE : 0;
}

bool
content_is_plain(const char *octets, size_t length)
{
    return kind_of(octets, length) != 0
           && memchr(octets, '\0', length) == NULL;
}

/* --- one article: all of the content --- */

static int
article_next(struct content *content, struct buffer *text, struct buffer *why)
{
    bool fits = true;

    content->done = true;
    do {
        if (fits)
            buffer_append(text, content_rest(content),
                          content_rest_octets(content));
        fits = text->used <= ARTICLE_OCTETS_HARD_MAX;
        content->at = content->octets.used;
        if (content_fill(content, 1, why) < 0)
            return -1;
    } while (content_rest_octets(content) > 0);
    return fits ? 1 : why_set(why, "%s", too_long);
}

/* --- rnews: "#! rnews LENGTH", and so many octets --- */

/* The length that a batch's line gives, or -1. */
static long
rnews_length(const char *line, size_t octets)
{
    char number[RNEWS_LINE_OCTETS_MAX];
    size_t start = strlen("#! rnews ");
    char *end;
    long length;

    if (!starts_with(line, octets, "#! rnews ") || octets >= sizeof(number)
        || line[octets - 1] != '\n')
        return -1;
    memcpy(number, line + start, octets - start);
    number[octets - start - 1] = '\0';
    length = strtol(number, &end, 10);
    /* Some writers put the sender's name behind the number. */
    if (end == number || length < 0 || (*end != '\0' && *end != ' '))
        return -1;
    return length;
}

/* Pass over octets that nobody wants.  0 or -1 with why. */
static int
content_pass(struct content *content, size_t octets, struct buffer *why)
{
    while (octets > 0) {
        size_t rest;

        if (content_fill(content, 1, why) < 0)
            return -1;
        rest = content_rest_octets(content);
        if (rest == 0)
            break;
        if (rest > octets)
            rest = octets;
        content->at += rest;
        octets -= rest;
    }
    return 0;
}

static int
rnews_next(struct content *content, struct buffer *text, struct buffer *why)
{
    const char *line;
    size_t octets;
    size_t length;
    int result = content_line(content, &line, &octets, why);

    /* Where the next article begins is not known if this is no batch line:
       the rest is one unreadable thing. */
    content->done = true;
    if (result <= 0)
        return result;
    if (rnews_length(line, octets) < 0)
        return why_set(why, "a batch whose next line is no \"#! rnews\"");
    length = (size_t)rnews_length(line, octets);
    if (length > ARTICLE_OCTETS_HARD_MAX) {
        if (content_pass(content, length, why) < 0)
            return -1;
        content->done = false;
        return why_set(why, "%s", too_long);
    }
    if (content_fill(content, length, why) < 0)
        return -1;
    if (content_rest_octets(content) < length)
        return why_set(why, "the batch ends within an article");
    buffer_append(text, content_rest(content), length);
    content->at += length;
    content->done = false;
    return 1;
}

/* --- mbox: "From " behind an empty line begins the next --- */

/* ">From ", ">>From ": a ">" of these was put there by the mbox's writer. */
static bool
is_quoted_from(const char *line, size_t octets)
{
    size_t quotes = 0;

    while (quotes < octets && line[quotes] == '>')
        quotes++;
    return quotes > 0 && starts_with(line + quotes, octets - quotes, "From ");
}

static bool
is_empty_line(const char *line, size_t octets)
{
    return octets > 0 && (*line == '\n' || (octets == 2 && *line == '\r'));
}

/* A message of an mbox as far as it was read. */
struct message {
    struct buffer *text;
    bool head_ended;  /* an empty line was there */
    bool after_empty; /* the last line was empty */
    bool fits;
    size_t separator; /* of text, without the last line when that is empty and
                         not the one that ends the head */
};

static void
message_append(struct message *message, const char *line, size_t octets)
{
    bool empty = is_empty_line(line, octets);
    size_t before = message->text->used;

    if (is_quoted_from(line, octets))
        buffer_append(message->text, line + 1, octets - 1);
    else
        buffer_append(message->text, line, octets);
    if (message->text->used > ARTICLE_OCTETS_HARD_MAX) {
        message->fits = false;
        buffer_clear(message->text);
        before = 0;
    }
    message->separator =
        empty && message->head_ended ? before : message->text->used;
    message->head_ended = message->head_ended || empty;
    message->after_empty = empty;
}

static int
mbox_next(struct content *content, struct buffer *text, struct buffer *why)
{
    struct message message = {.text = text, .fits = true};
    const char *line;
    size_t octets;
    int result = content_line(content, &line, &octets, why); /* "From " */

    if (result <= 0) {
        content->done = true;
        return result;
    }
    while ((result = content_line(content, &line, &octets, why)) > 0) {
        if (message.after_empty && starts_with(line, octets, "From ")) {
            content->at -= octets;
            break;
        }
        message_append(&message, line, octets);
    }
    if (result < 0) {
        content->done = true;
        return -1;
    }
    /* The empty line behind a message is the mbox's and not the message's. */
    text->used = message.separator;
    return message.fits ? 1 : why_set(why, "%s", too_long);
}

int
content_next(struct content *content, struct buffer *text, struct buffer *why)
{
    static int (*const next[])(struct content *, struct buffer *,
                               struct buffer *) = {
        [CONTENT_ARTICLE] = article_next,
        [CONTENT_RNEWS] = rnews_next,
        [CONTENT_MBOX] = mbox_next,
    };

    buffer_clear(text);
    if (content->done)
        return 0;
    if (content->kind == 0) {
        if (content_fill(content, READ_OCTETS, why) < 0) {
            content->done = true;
            return -1;
        }
        content->kind =
            kind_of(content_rest(content), content_rest_octets(content));
    }
    if (content->kind == 0) {
        content->done = true;
        return why_set(why, content_rest_octets(content) == 0
                                ? "empty"
                                : "no article, batch, mbox or archive");
    }
    return next[content->kind](content, text, why);
}
