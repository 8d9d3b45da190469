#include "lib/canlock.h"

#include <canlock.h>
#include <stdlib.h>
#include <string.h>

#include "lib/article.h"
#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/listing.h"
#include "lib/log.h"

enum { ELEMENT_OCTETS_MAX = 200 };

typedef char *make_func(cl_hash_version hash, const unsigned char *secret,
                        size_t secret_octets, const unsigned char *message,
                        size_t message_octets);

static void
separate(struct buffer *list)
{
    if (list->used > 0)
        buffer_append_char(list, ' ');
}

/* Append what make makes of each secret, or of the first alone. */
static void
append_made(struct buffer *list, make_func *make, bool all,
            const char *secrets, const char *user, const char *message_id,
            size_t id_octets)
{
    struct buffer message = BUFFER_EMPTY;
    const char *line;
    size_t octets, at = 0;

    /* RFC 8315, 4: the user, then the message-ID, with nothing between. */
    buffer_append_text(&message, user);
    buffer_append(&message, message_id, id_octets);
    while (listing_next(secrets, &at, &line, &octets)) {
        char *made = make(CL_SHA256, (const unsigned char *)line, octets,
                          (const unsigned char *)message.data, message.used);

        if (made == NULL)
            die(EXIT_TEMPORARY, "out of memory: Cancel-Lock");
        separate(list);
        buffer_append_text(list, made);
        free(made);
        if (!all)
            break;
    }
    buffer_free(&message);
}

void
canlock_append_lock(struct buffer *list, const char *secrets, const char *user,
                    const char *message_id, size_t id_octets)
{
    append_made(list, cl_get_lock, false, secrets, user, message_id,
                id_octets);
}

void
canlock_append_keys(struct buffer *list, const char *secrets, const char *user,
                    const char *message_id, size_t id_octets)
{
    append_made(list, cl_get_key, true, secrets, user, message_id, id_octets);
}

/* Behind white space and comments (RFC 5322, 3.2.2), which may be nested. */
static const char *
skip_comments(const char *at, const char *end)
{
    int depth = 0;

    for (; at < end; at++) {
        if (depth > 0 && *at == '\\' && at + 1 < end)
            at++;
        else if (*at == '(')
            depth++;
        else if (*at == ')' && depth > 0)
            depth--;
        else if (depth == 0 && !ascii_is_space(*at))
            break;
    }
    return at;
}

void
canlock_append_field(struct buffer *list, const struct field_value *field)
{
    const char *at = field->octets;
    const char *end;
    int elements = 0;

    if (at == NULL)
        return; /* the article has no such field */
    end = at + field->length;
    while ((at = skip_comments(at, end)) < end
           && elements < CANLOCK_ELEMENTS_MAX) {
        const char *begin = at;

        while (at < end && !ascii_is_space(*at) && *at != '(')
            at++;
        if (at - begin > ELEMENT_OCTETS_MAX)
            continue;
        separate(list);
        buffer_append(list, begin, (size_t)(at - begin));
        elements++;
    }
}

static bool
key_fits(const char *keys, const char *locks)
{
    static cl_hash_version rejected[] = {CL_SHA1, CL_SHA224, CL_SHA384,
                                         CL_INVALID};

    return keys[0] != '\0' && cl_verify_multi(rejected, keys, locks) == 0;
}

bool
canlock_allows(enum canlock_policy policy, const char *keys, const char *locks)
{
    switch (policy) {
    case CANCELS_REQUIRE_AUTH:
        return locks[0] != '\0' && key_fits(keys, locks);
    case CANCELS_AUTH:
        return locks[0] == '\0' || key_fits(keys, locks);
    case CANCELS_ALL:
        return true;
    case CANCELS_NONE:
        break;
    }
    return false;
}

int
canlock_check_secret(const char *line, size_t octets, struct buffer *why)
{
    (void)line; /* its octets are nobody's to see */
    if (octets >= CANLOCK_SECRET_OCTETS_MIN)
        return 0;
    return why_set(why, "found a secret of %zu octets, expected %d at least",
                   octets, CANLOCK_SECRET_OCTETS_MIN);
}
