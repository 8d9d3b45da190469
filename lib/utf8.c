#include "lib/utf8.h"

/* How many octets a character takes that begins so, or 0. */
static size_t
length_by_lead(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead < 0xe0)
        return 2;
    if (lead >= 0xe0 && lead < 0xf0)
        return 3;
    if (lead >= 0xf0 && lead < 0xf5)
        return 4;
    return 0;
}

size_t
utf8_read(const char *text, size_t octets, uint32_t *character_r)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text;
    const size_t length = length_by_lead(at[0]);
    uint32_t character;

    if (length == 0 || length > octets)
        return 0;
    character = at[0] & lead_bits[length];
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (at[i] & 0x3f);
    }
    if (character < least[length] || character > 0x10ffff
        || (character >= 0xd800 && character < 0xe000))
        return 0;
    *character_r = character;
    return length;
}

bool
utf8_is_valid(const char *text, size_t octets)
{
    uint32_t character;

    for (size_t at = 0; at < octets;) {
        size_t length = utf8_read(text + at, octets - at, &character);

        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

bool
utf8_continues(struct utf8_torn *torn, const char *piece, size_t octets)
{
    uint32_t character;

    for (size_t at = 0; at < octets; at++) {
        if (torn->used == 0 && (unsigned char)piece[at] < 0x80)
            continue;
        torn->octets[torn->used++] = piece[at];
        if (utf8_read(torn->octets, torn->used, &character) == torn->used)
            torn->used = 0;
        else if (torn->used == sizeof(torn->octets))
            return false;
    }
    return true;
}
