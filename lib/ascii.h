/*
 * ascii -- classes of octets as the RFCs mean them, whatever the locale.
 */
#ifndef LIB_ASCII_H
#define LIB_ASCII_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool
ascii_is_digit(char octet)
{
    return octet >= '0' && octet <= '9';
}

static inline bool
ascii_is_alpha(char octet)
{
    return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z');
}

static inline char
ascii_lower(char octet)
{
    return octet >= 'A' && octet <= 'Z' ? (char)(octet + 32) : octet;
}

/* Space, TAB, CR, LF: what separates words once folding is allowed for. */
static inline bool
ascii_is_space(char octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

/* Printable and no space. */
static inline bool
ascii_is_graphic(char octet)
{
    return octet > ' ' && octet < 0x7f;
}

/* RFC 5322, 3.2.3: what an atom is made of. */
static inline bool
ascii_is_atext(char octet)
{
    static const char signs[] = "!#$%&'*+-/=?^_`{|}~";

    return ascii_is_alpha(octet) || ascii_is_digit(octet)
           || memchr(signs, octet, sizeof(signs) - 1) != NULL;
}

/* Are the octets word, which has that length too, but for letters' case? */
static inline bool
ascii_same(const char *octets, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (ascii_lower(octets[i]) != ascii_lower(word[i]))
            return false;
    return true;
}

#endif
