#include "lib/response.h"

#include <string.h>

#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/message_id.h"

enum { CODE_OCTETS = 3, NUMBER_DIGITS_MAX = 16 };

size_t
response_line_octets(const char *octets, size_t length)
{
    const char *end = memchr(octets, '\n', length);

    if (end != NULL)
        return (size_t)(end - octets) + 1;
    return length >= RESPONSE_ENDLESS_OCTETS ? RESPONSE_ENDLESS_OCTETS : 0;
}

static size_t
end_strip(const char *line, size_t octets)
{
    if (octets > 0 && line[octets - 1] == '\n')
        octets--;
    if (octets > 0 && line[octets - 1] == '\r')
        octets--;
    return octets;
}

int
response_parse(struct response *response, const char *line, size_t octets,
               struct buffer *why)
{
    octets = end_strip(line, octets);
    if (octets < CODE_OCTETS || line[0] < '1' || line[0] > '5'
        || !ascii_is_digit(line[1]) || !ascii_is_digit(line[2])
        || (octets > CODE_OCTETS && line[CODE_OCTETS] != ' '
            && line[CODE_OCTETS] != '\t'))
        return why_set(why, "no response code");
    if (memchr(line, '\0', octets) != NULL
        || memchr(line, '\r', octets) != NULL)
        return why_set(why, "a response with a NUL or CR in it");
    response->code = (unsigned)((line[0] - '0') * 100 + (line[1] - '0') * 10
                                + (line[2] - '0'));
    octets -= CODE_OCTETS;
    response->text = line + CODE_OCTETS;
    if (octets > 0) {
        response->text++;
        octets--;
    }
    response->octets = octets;
    return 0;
}

bool
response_message_id(const struct response *response, const char **id_r,
                    size_t *octets_r)
{
    size_t octets = 0;

    while (octets < response->octets
           && !ascii_is_space(response->text[octets]))
        octets++;
    if (!message_id_is_valid(response->text, octets))
        return false;
    *id_r = response->text;
    *octets_r = octets;
    return true;
}

size_t
response_numbers(const struct response *response, uint64_t *numbers_r,
                 size_t max)
{
    size_t at = 0;
    size_t count = 0;

    while (count < max) {
        uint64_t number = 0;
        size_t digits = 0;

        while (at < response->octets && response->text[at] == ' ')
            at++;
        while (at < response->octets && ascii_is_digit(response->text[at])
               && digits < NUMBER_DIGITS_MAX) {
            number = number * 10 + (uint64_t)(response->text[at] - '0');
            at++;
            digits++;
        }
        if (digits == 0
            || (at < response->octets && response->text[at] != ' '))
            break;
        numbers_r[count++] = number;
    }
    return count;
}
