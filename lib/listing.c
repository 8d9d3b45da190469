#include "lib/listing.h"

#include <stdlib.h>
#include <string.h>

#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/newsgroup.h"
#include "lib/utf8.h"
#include "lib/wildmat.h"

enum { SHOWN_OCTETS = 60, WEIGHT_DIGITS_MAX = 9 };

bool
listing_next_line(const char *text, size_t *at_r, const char **line_r,
                  size_t *octets_r)
{
    const char *line = text + *at_r;
    size_t octets = strcspn(line, "\n");

    if (*line == '\0')
        return false;
    *line_r = line;
    *octets_r = octets;
    *at_r += octets + (line[octets] == '\n');
    return true;
}

/* No comment, and not empty; white space at its end is none of it. */
static bool
line_says(const char *line, size_t *octets)
{
    while (*octets > 0 && ascii_is_space(line[*octets - 1]))
        (*octets)--;
    return *octets > 0 && *line != '#' && *line != ';';
}

bool
listing_next(const char *text, size_t *at_r, const char **line_r,
             size_t *octets_r)
{
    while (listing_next_line(text, at_r, line_r, octets_r))
        if (line_says(*line_r, octets_r))
            return true;
    return false;
}

/* --- what a line must be --- */

static int
refuse(const char *line, size_t octets, const char *expected,
       struct buffer *why)
{
    return why_set(why, "found \"%.*s\", expected %s",
                   octets < SHOWN_OCTETS ? (int)octets : SHOWN_OCTETS, line,
                   expected);
}

/* The octets up to the colon; 0 where there is none or nothing before it. */
static size_t
part_octets(const char *at, const char *end)
{
    const char *colon = at < end ? memchr(at, ':', (size_t)(end - at)) : NULL;

    return colon == NULL ? 0 : (size_t)(colon - at);
}

static bool
has_space(const char *octets, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (ascii_is_space(octets[i]))
            return true;
    return false;
}

/* RFC 5536, 3.2.4: the names that a Distribution can have. */
static bool
is_distribution(const char *name, size_t octets)
{
    for (size_t i = 0; i < octets; i++)
        if (!ascii_is_alpha(name[i])
            && (i == 0
                || (!ascii_is_digit(name[i])
                    && memchr("+-_", name[i], 3) == NULL)))
            return false;
    return octets > 0;
}

int
listing_check_distribution(const char *line, size_t octets, struct buffer *why)
{
    size_t name = 0;

    while (name < octets && !ascii_is_space(line[name]))
        name++;
    if (name == octets || !is_distribution(line, name))
        return refuse(line, octets, "a distribution and what it means", why);
    return 0;
}

int
listing_check_distrib_pat(const char *line, size_t octets, struct buffer *why)
{
    static const char expected[] = "WEIGHT:PATTERN:DISTRIBUTION";
    const char *const end = line + octets;
    const size_t weight = part_octets(line, end);
    const char *pattern = line + weight + 1;
    const size_t length = part_octets(pattern, end);
    const char *value = pattern + length + 1;

    if (weight == 0 || weight > WEIGHT_DIGITS_MAX
        || strspn(line, "0123456789") != weight || length == 0
        || wildmat_check(pattern, length, NULL) < 0)
        return refuse(line, octets, expected, why);
    if (value < end && !is_distribution(value, (size_t)(end - value)))
        return refuse(line, octets, expected, why);
    return 0;
}

int
listing_check_moderator(const char *line, size_t octets, struct buffer *why)
{
    const char *const end = line + octets;
    const size_t length = part_octets(line, end);
    const char *address = line + length + 1;

    /* A "-" in front would be an option of the mail program's. */
    if (length == 0 || wildmat_check(line, length, NULL) < 0 || address >= end
        || *address == '-' || has_space(address, (size_t)(end - address)))
        return refuse(line, octets, "PATTERN:ADDRESS", why);
    return 0;
}

int
listing_check_subscription(const char *line, size_t octets, struct buffer *why)
{
    return newsgroup_is_valid(line, octets)
               ? 0
               : refuse(line, octets, "a newsgroup", why);
}

/* --- a whole file --- */

static void
drop_carriage_returns(struct buffer *text)
{
    size_t kept = 0;

    for (size_t i = 0; i < text->used; i++)
        if (text->data[i] != '\r' || i + 1 == text->used
            || text->data[i + 1] != '\n')
            text->data[kept++] = text->data[i];
    text->used = kept;
    if (text->data != NULL)
        text->data[kept] = '\0';
}

/* One line as it stands; what it says is check_line's to see. */
static int
check_octets(const char *line, size_t octets, struct buffer *why)
{
    if (octets > LISTING_LINE_OCTETS_MAX)
        return why_set(why, "found a line of %zu octets, expected %d at most",
                       octets, LISTING_LINE_OCTETS_MAX);
    for (size_t i = 0; i < octets; i++)
        if (((unsigned char)line[i] < ' ' && line[i] != '\t')
            || line[i] == 0x7f)
            return why_set(why, "found the octet 0x%02x, expected text",
                           (unsigned)(unsigned char)line[i]);
    if (!utf8_is_valid(line, octets))
        return why_set(why, "found a line that is not UTF-8, expected UTF-8");
    return 0;
}

int
listing_check(const char *name, struct buffer *text,
              listing_check_func *check_line, struct buffer *why)
{
    struct buffer fault = BUFFER_EMPTY;
    const char *line;
    size_t octets, at = 0;
    int number = 0;
    int result = 0;

    if (text->used > 0 && memchr(text->data, '\0', text->used) != NULL)
        return why_set(why, "%s: found NUL, expected text", name);
    drop_carriage_returns(text);
    while (result == 0
           && listing_next_line(buffer_text(text), &at, &line, &octets)) {
        number++;
        result = check_octets(line, octets, &fault);
        if (result == 0 && check_line != NULL && line_says(line, &octets))
            result = check_line(line, octets, &fault);
    }
    if (result < 0)
        why_set(why, "%s:%d: %s", name, number, buffer_text(&fault));
    buffer_free(&fault);
    return result;
}

/* --- what they say --- */

void
listing_expand_moderator(const char *address, size_t octets, const char *group,
                         size_t group_octets, struct buffer *expanded)
{
    for (size_t i = 0; i < octets; i++) {
        if (address[i] != '%' || i + 1 == octets || address[i + 1] != 's') {
            buffer_append_char(expanded, address[i]);
            continue;
        }
        for (size_t j = 0; j < group_octets; j++)
            buffer_append_char(expanded, group[j] == '.' ? '-' : group[j]);
        i++;
    }
}

bool
listing_moderator(const char *text, const char *group, size_t group_octets,
                  struct buffer *address)
{
    const char *line;
    size_t octets, at = 0;

    while (listing_next(text, &at, &line, &octets)) {
        size_t pattern = part_octets(line, line + octets);

        if (!wildmat_match(line, pattern, group, group_octets))
            continue;
        listing_expand_moderator(line + pattern + 1, octets - pattern - 1,
                                 group, group_octets, address);
        return true;
    }
    return false;
}

bool
listing_distribution(const char *text, const char *group, size_t group_octets,
                     int64_t *weight_r, const char **value_r,
                     size_t *value_octets_r)
{
    const char *line;
    size_t octets, at = 0;
    bool found = false;

    *weight_r = 0;
    while (listing_next(text, &at, &line, &octets)) {
        const char *const end = line + octets;
        const char *pattern = line + part_octets(line, end) + 1;
        const size_t length = part_octets(pattern, end);
        const int64_t weight = strtoll(line, NULL, 10);

        if (weight < *weight_r
            || !wildmat_match(pattern, length, group, group_octets))
            continue;
        found = true;
        *weight_r = weight;
        *value_r = pattern + length + 1;
        *value_octets_r = (size_t)(end - *value_r);
    }
    return found;
}
