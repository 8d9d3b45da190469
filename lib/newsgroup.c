#include "lib/newsgroup.h"

#include <string.h>

#include "lib/ascii.h"
#include "lib/utf8.h"

/* RFC 3977, 4.1: these would make a wildmat of the name. */
static bool
is_wildmat_octet(char octet)
{
    static const char special[] = "*?[]\\!";

    return memchr(special, octet, sizeof(special) - 1) != NULL;
}

bool
newsgroup_is_valid(const char *name, size_t octets)
{
    char before = '.';

    if (octets == 0 || octets > NEWSGROUP_OCTETS_MAX)
        return false;
    for (size_t i = 0; i < octets; i++) {
        const unsigned char octet = (unsigned char)name[i];

        if (octet <= ' ' || octet == 0x7f || octet == ','
            || is_wildmat_octet(name[i]))
            return false;
        if (octet == '.' && before == '.')
            return false;
        before = name[i];
    }
    return before != '.' && utf8_is_valid(name, octets);
}

/* One component of a name: its grammar, and that it is not all digits. */
static bool
component_is_creatable(const char *component, size_t octets)
{
    bool all_digits = true;

    for (size_t i = 0; i < octets; i++) {
        const char octet = component[i];

        if (!ascii_is_alpha(octet) && !ascii_is_digit(octet) && octet != '+'
            && octet != '-' && octet != '_')
            return false;
        all_digits = all_digits && ascii_is_digit(octet);
    }
    return octets > 0 && !all_digits;
}

static bool
is_word(const char *octets, size_t length, const char *word)
{
    return length == strlen(word) && ascii_same(octets, word, length);
}

/* RFC 5536, 3.1.4: reserved names, by what stands first and what anywhere. */
static bool
component_is_reserved(const char *component, size_t octets, bool first)
{
    if (first
        && (is_word(component, octets, "example")
            || is_word(component, octets, "to")
            || is_word(component, octets, "control")))
        return true;
    return is_word(component, octets, "all")
           || is_word(component, octets, "ctl");
}

bool
newsgroup_is_creatable(const char *name, size_t octets)
{
    size_t at = 0;

    if (!newsgroup_is_valid(name, octets))
        return false;
    if (is_word(name, octets, "poster") || is_word(name, octets, "junk"))
        return false;
    while (at < octets) {
        const char *dot = memchr(name + at, '.', octets - at);
        size_t length = dot != NULL ? (size_t)(dot - name) - at : octets - at;

        if (!component_is_creatable(name + at, length)
            || component_is_reserved(name + at, length, at == 0))
            return false;
        at += length + 1;
    }
    return true;
}

bool
newsgroups_next(const char *field, size_t field_octets, size_t *at_r,
                const char **name_r, size_t *octets_r)
{
    size_t at = *at_r;
    size_t begin;

    while (at < field_octets
           && (field[at] == ',' || ascii_is_space(field[at])))
        at++;
    begin = at;
    while (at < field_octets && field[at] != ',' && !ascii_is_space(field[at]))
        at++;
    *at_r = at;
    *name_r = field + begin;
    *octets_r = at - begin;
    return at > begin;
}
