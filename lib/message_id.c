#include "lib/message_id.h"

#include <sodium.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/log.h"

enum { MESSAGE_ID_OCTETS_MIN = 3, RANDOM_OCTETS = 10 };

_Static_assert(sizeof(struct message_hash)
                   == crypto_shorthash_siphashx24_BYTES,
               "SipHash-2-4 with 128 bits");
_Static_assert(sizeof(struct message_key)
                   == crypto_shorthash_siphashx24_KEYBYTES,
               "its key");

bool
message_id_is_valid(const char *id, size_t octets)
{
    if (octets < MESSAGE_ID_OCTETS_MIN || octets > MESSAGE_ID_OCTETS_MAX)
        return false;
    if (id[0] != '<' || id[octets - 1] != '>')
        return false;
    for (size_t i = 1; i < octets - 1; i++)
        if (!ascii_is_graphic(id[i]) || id[i] == '<' || id[i] == '>')
            return false;
    return true;
}

/* One or more atoms with single dots between (RFC 5322, 3.2.3). */
static bool
is_dot_atom(const char *text, size_t octets)
{
    bool dot_allowed = false;

    for (size_t i = 0; i < octets; i++) {
        if (text[i] == '.' ? !dot_allowed : !ascii_is_atext(text[i]))
            return false;
        dot_allowed = text[i] != '.';
    }
    return dot_allowed;
}

/* "[...]" with neither bracket nor backslash inside (RFC 5536, 3.1.3). */
static bool
is_no_fold_literal(const char *text, size_t octets)
{
    if (octets < 2 || text[0] != '[' || text[octets - 1] != ']')
        return false;
    for (size_t i = 1; i < octets - 1; i++)
        if (text[i] == '[' || text[i] == ']' || text[i] == '\\')
            return false;
    return true;
}

bool
message_id_is_strict(const char *id, size_t octets)
{
    const char *left = id + 1;
    const char *at;
    const char *right;
    size_t right_octets;

    if (!message_id_is_valid(id, octets))
        return false;
    at = memchr(id, '@', octets);
    if (at == NULL)
        return false;
    right = at + 1;
    right_octets = (size_t)(id + octets - 1 - right);
    return is_dot_atom(left, (size_t)(at - left))
           && (is_dot_atom(right, right_octets)
               || is_no_fold_literal(right, right_octets));
}

struct message_hash
message_id_hash(const struct message_key *key, const char *id, size_t octets)
{
    struct message_hash hash;

    crypto_shorthash_siphashx24(hash.octets, (const unsigned char *)id, octets,
                                key->octets);
    return hash;
}

/* Lower case and digits only: some software compares IDs without case. */
static void
append_base32(struct buffer *text, uint64_t number, int digits)
{
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

    while (digits-- > 0)
        buffer_append_char(text, alphabet[number >> (5 * digits) & 31]);
}

bool
message_hash_next(struct message_hash *hash)
{
    for (size_t i = sizeof(hash->octets); i > 0; i--)
        if (++hash->octets[i - 1] != 0)
            return true;
    return false;
}

void
message_id_generate(struct buffer *id, const char *host)
{
    unsigned char octets[RANDOM_OCTETS];
    uint64_t high = 0;
    uint64_t low = 0;

    if (getentropy(octets, sizeof(octets)) != 0)
        sysdie(EXIT_SYSTEM, "cannot get random octets for a message-ID");
    for (int i = 0; i < RANDOM_OCTETS / 2; i++) {
        high = high << 8 | octets[i];
        low = low << 8 | octets[RANDOM_OCTETS / 2 + i];
    }
    buffer_append_char(id, '<');
    append_base32(id, (uint64_t)time(NULL), 7);
    buffer_append_char(id, '.');
    append_base32(id, high, 8);
    append_base32(id, low, 8);
    buffer_append_format(id, "@%s>", host);
}
