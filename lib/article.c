#include "lib/article.h"

#include <string.h>

#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/wire.h"

static const char terminator[] = "\r\n.\r\n";
enum { TERMINATOR_OCTETS = sizeof(terminator) - 1, DOT_LINE_OCTETS = 3 };

/* Of a structured field the white space round the value means nothing; of an
   unstructured one only the first space is not part of the text. */
struct kind {
    const char *name;
    const char *lower; /* to compare with */
    bool unstructured;
};

static const struct kind kinds[FIELD_COUNT] = {
    [FIELD_APPROVED] = {"Approved", "approved", false},
    [FIELD_ARCHIVE] = {"Archive", "archive", false},
    [FIELD_CANCEL_KEY] = {"Cancel-Key", "cancel-key", false},
    [FIELD_CANCEL_LOCK] = {"Cancel-Lock", "cancel-lock", false},
    [FIELD_CONTROL] = {"Control", "control", false},
    [FIELD_DATE] = {"Date", "date", false},
    [FIELD_DISTRIBUTION] = {"Distribution", "distribution", false},
    [FIELD_EXPIRES] = {"Expires", "expires", false},
    [FIELD_FOLLOWUP_TO] = {"Followup-To", "followup-to", false},
    [FIELD_FROM] = {"From", "from", false},
    [FIELD_INJECTION_DATE] = {"Injection-Date", "injection-date", false},
    [FIELD_INJECTION_INFO] = {"Injection-Info", "injection-info", false},
    [FIELD_LINES] = {"Lines", "lines", false},
    [FIELD_MESSAGE_ID] = {"Message-ID", "message-id", false},
    [FIELD_NEWSGROUPS] = {"Newsgroups", "newsgroups", false},
    [FIELD_NNTP_POSTING_DATE] = {"NNTP-Posting-Date", "nntp-posting-date",
                                 false},
    [FIELD_NNTP_POSTING_HOST] = {"NNTP-Posting-Host", "nntp-posting-host",
                                 false},
    [FIELD_ORGANIZATION] = {"Organization", "organization", true},
    [FIELD_PATH] = {"Path", "path", false},
    [FIELD_REFERENCES] = {"References", "references", false},
    [FIELD_REPLY_TO] = {"Reply-To", "reply-to", false},
    [FIELD_SENDER] = {"Sender", "sender", false},
    [FIELD_SUBJECT] = {"Subject", "subject", true},
    [FIELD_SUPERSEDES] = {"Supersedes", "supersedes", false},
    [FIELD_X_TRACE] = {"X-Trace", "x-trace", true},
    [FIELD_XREF] = {"Xref", "xref", false},
};

/* The fields whose names have so many octets, each list ended by
   FIELD_COUNT: a name is compared with the few that it can be. */
enum { NAME_OCTETS_MAX = 17, SAME_LENGTH_MAX = 6 };
static const uint8_t by_length[NAME_OCTETS_MAX + 1][SAME_LENGTH_MAX] = {
    [0] = {FIELD_COUNT},
    [1] = {FIELD_COUNT},
    [2] = {FIELD_COUNT},
    [3] = {FIELD_COUNT},
    [4] = {FIELD_FROM, FIELD_DATE, FIELD_PATH, FIELD_XREF, FIELD_COUNT},
    [5] = {FIELD_LINES, FIELD_COUNT},
    [6] = {FIELD_SENDER, FIELD_COUNT},
    [7] = {FIELD_SUBJECT, FIELD_CONTROL, FIELD_EXPIRES, FIELD_ARCHIVE,
           FIELD_X_TRACE, FIELD_COUNT},
    [8] = {FIELD_APPROVED, FIELD_REPLY_TO, FIELD_COUNT},
    [9] = {FIELD_COUNT},
    [10] = {FIELD_NEWSGROUPS, FIELD_MESSAGE_ID, FIELD_REFERENCES,
            FIELD_SUPERSEDES, FIELD_CANCEL_KEY, FIELD_COUNT},
    [11] = {FIELD_FOLLOWUP_TO, FIELD_CANCEL_LOCK, FIELD_COUNT},
    [12] = {FIELD_ORGANIZATION, FIELD_DISTRIBUTION, FIELD_COUNT},
    [13] = {FIELD_COUNT},
    [14] = {FIELD_INJECTION_INFO, FIELD_INJECTION_DATE, FIELD_COUNT},
    [15] = {FIELD_COUNT},
    [16] = {FIELD_COUNT},
    [17] = {FIELD_NNTP_POSTING_HOST, FIELD_NNTP_POSTING_DATE, FIELD_COUNT},
};

const char *
field_name(enum field field)
{
    return kinds[field].name;
}

static enum field
field_by_name(const char *name, size_t octets)
{
    const uint8_t *field;

    if (octets > NAME_OCTETS_MAX)
        return FIELD_COUNT;
    for (field = by_length[octets]; *field != FIELD_COUNT; field++)
        if (ascii_lower(*name) == kinds[*field].lower[0]
            && ascii_same(name, kinds[*field].lower, octets))
            return *field;
    return FIELD_COUNT;
}

/* --- one header field */

/* The octets of a field's name, which ends at the colon; 0 when what stands
   here is no field (RFC 5322, 3.6.8). */
static size_t
name_octets(const char *at, const char *end)
{
    const char *const begin = at;

    while (at < end && ascii_is_graphic(*at) && *at != ':')
        at++;
    return at < end && *at == ':' ? (size_t)(at - begin) : 0;
}

/* Where the field that begins here ends, folded lines included: behind its
   last LF, or end. */
static const char *
field_end(const char *at, const char *end, uint64_t *lines)
{
    do {
        const char *lf = memchr(at, '\n', (size_t)(end - at));

        at = lf != NULL ? lf + 1 : end;
        ++*lines;
    } while (at < end && (*at == ' ' || *at == '\t'));
    return at;
}

/* What stands behind the colon, up to the last CRLF. */
static void
value_set(struct field_value *value, const char *at, const char *end,
          bool unstructured)
{
    const char *begin = at;
    const char *last = end;

    while (begin < last && ascii_is_space(*begin))
        begin++;
    while (last > begin && ascii_is_space(last[-1]))
        last--;
    if (unstructured && begin < last) {
        begin = at + (*at == ' ' || *at == '\t');
        last = end;
        if (last > begin && last[-1] == '\n')
            last--;
        if (last > begin && last[-1] == '\r')
            last--;
    }
    value->octets = begin;
    value->length = (size_t)(last - begin);
}

/* --- the whole article */

static int
field_add(struct article *article, const char *at, const char *end,
          struct buffer *why)
{
    const size_t octets = name_octets(at, end);
    enum field field;
    struct field_value *value;

    if (octets == 0)
        return why_set(why, "a line of the header is no header field");
    if (end - at > ARTICLE_FIELD_OCTETS_MAX)
        return why_set(why, "a header field is longer than %d octets",
                       ARTICLE_FIELD_OCTETS_MAX);
    if (end[-1] != '\n' || end[-2] != '\r')
        return why_set(why, "a header field does not end with CRLF");
    field = field_by_name(at, octets);
    if (field == FIELD_COUNT)
        return 0;
    value = &article->fields[field];
    if (value->times++ > 0)
        return 0;
    value_set(value, at + octets + 1, end, kinds[field].unstructured);
    value->line_offset = (size_t)(at - article->octets);
    value->line_octets = (size_t)(end - at);
    return 0;
}

/* The header fields, up to the empty line; lines counts theirs. */
static int
head_parse(struct article *article, uint64_t *lines, struct buffer *why)
{
    const char *const last =
        article->octets + article->length - DOT_LINE_OCTETS;
    const char *at = article->octets;
    int fields = 0;

    while (at < last && !(at[0] == '\r' && at[1] == '\n')) {
        const char *next = field_end(at, last, lines);

        if (field_add(article, at, next, why) < 0)
            return -1;
        if (++fields > ARTICLE_FIELDS_MAX)
            return why_set(why, "more than %d header fields",
                           ARTICLE_FIELDS_MAX);
        if (next - article->octets > ARTICLE_HEAD_OCTETS_MAX)
            return why_set(why, "the header is longer than %d octets",
                           ARTICLE_HEAD_OCTETS_MAX);
        at = next;
    }
    if (fields == 0)
        return why_set(why, "the article has no header");
    if (at >= last)
        return why_set(why, "no empty line between header and body");
    article->head_octets = (size_t)(at - article->octets);
    article->body_offset = article->head_octets + 2;
    return 0;
}

int
article_parse(struct article *article, const char *octets, size_t length,
              struct buffer *why)
{
    struct wire_measure measure;
    uint64_t head_lines = 0;

    memset(article, 0, sizeof(*article));
    article->octets = octets;
    article->length = length;
    if (length > ARTICLE_OCTETS_HARD_MAX)
        return why_set(why, "the article is longer than %d octets",
                       ARTICLE_OCTETS_HARD_MAX);
    if (length < TERMINATOR_OCTETS
        || memcmp(octets + length - TERMINATOR_OCTETS, terminator,
                  TERMINATOR_OCTETS)
               != 0)
        return why_set(why, "the article has no end");
    if (head_parse(article, &head_lines, why) < 0)
        return -1;

    measure = wire_measure(octets, length);
    article->lines = measure.lines - head_lines - 1;
    article->bytes = length - DOT_LINE_OCTETS - measure.stuffed;
    return 0;
}

bool
head_find(const char *head, size_t head_octets, const char *name,
          struct field_value *value_r)
{
    const char *const end = head + head_octets;
    const size_t octets = strlen(name);
    const enum field field = field_by_name(name, octets);
    uint64_t lines = 0;
    const char *next;

    memset(value_r, 0, sizeof(*value_r));
    for (const char *at = head; at < end; at = next) {
        next = field_end(at, end, &lines);
        if ((size_t)(next - at) <= octets || at[octets] != ':'
            || !ascii_same(at, name, octets) || value_r->times++ > 0)
            continue;
        value_set(value_r, at + octets + 1, next,
                  field == FIELD_COUNT || kinds[field].unstructured);
        value_r->line_offset = (size_t)(at - head);
        value_r->line_octets = (size_t)(next - at);
    }
    return value_r->times > 0;
}

/* --- what a field says */

void
field_unfold(const struct field_value *value, struct buffer *text)
{
    const char *at = value->octets;
    const char *const end = at + value->length;
    char *to = buffer_reserve(text, value->length);
    char *const begin = to;

    while (at < end) {
        const char octet = *at++;

        if (octet == '\r' && at < end && *at == '\n')
            at++;
        else
            *to++ = octet == '\t' || octet == '\r' || octet == '\n'
                            || octet == '\0'
                        ? ' '
                        : octet;
    }
    *to = '\0';
    text->used += (size_t)(to - begin);
}

bool
path_has(const struct field_value *path, const char *host)
{
    const size_t host_octets = strlen(host);
    const char *at = path->octets;
    const char *const end = at + path->length;

    while (at < end) {
        const char *bang = memchr(at, '!', (size_t)(end - at));
        const char *last = bang != NULL ? bang : end;
        const char *next = bang != NULL ? bang + 1 : end;

        while (at < last && ascii_is_space(*at))
            at++;
        while (last > at && ascii_is_space(last[-1]))
            last--;
        if ((size_t)(last - at) == host_octets
            && ascii_same(at, host, host_octets))
            return true;
        at = next;
    }
    return false;
}
