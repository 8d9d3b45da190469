#include "lib/wildmat.h"

#include <stdint.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/utf8.h"

/* Octets that are no UTF-8 are characters of their own, beyond all others. */
enum { STRAY_OCTET = 0x110000 };

struct text {
    const char *at;
    const char *end;
};

static uint32_t
take_wide_character(struct text *text)
{
    uint32_t character;
    size_t length =
        utf8_read(text->at, (size_t)(text->end - text->at), &character);

    if (length == 0) {
        character = STRAY_OCTET | (unsigned char)*text->at;
        length = 1;
    }
    text->at += length;
    return character;
}

/* The next character, and past it; text is not empty.  Nearly all are ASCII,
   and a pattern meant to take long takes millions of them. */
static inline uint32_t
take_character(struct text *text)
{
    return (*text->at & 0x80) == 0 ? (unsigned char)*text->at++
                                   : take_wide_character(text);
}

/*
 * The "]" that ends the set whose "[" is at open, or NULL.  A "]" that comes
 * first in a set, or first behind its "^", is a member.
 */
static const char *
set_end(const char *open, const char *end)
{
    const char *at = open + 1;

    if (at < end && *at == '^')
        at++;
    if (at < end && *at == ']')
        at++;
    return at < end ? memchr(at, ']', (size_t)(end - at)) : NULL;
}

/* Is the character one of the set between "[" and "]"? */
static bool
set_has(const char *open, const char *close, uint32_t character)
{
    struct text set = {open + 1, close};
    bool positive = true;
    bool found = false;

    if (*set.at == '^') {
        positive = false;
        set.at++;
    }
    while (set.at < set.end && !found) {
        const uint32_t low = take_character(&set);
        uint32_t high = low;

        /* A "-" that comes first or last is a member. */
        if (set.end - set.at >= 2 && *set.at == '-') {
            set.at++;
            high = take_character(&set);
        }
        found = character >= low && character <= high;
    }
    return found == positive;
}

/*
 * Match one element of a pattern that is no "*" against the next character of
 * text, and pass both when they match.  Neither is at its end.  last_close is
 * the pattern's last "]": with none to come, "[" is an ordinary octet, which
 * is known without a search.
 */
static bool
match_element(struct text *pattern, const char *last_close, struct text *text)
{
    const char *close;

    switch (*pattern->at) {
    case '?':
        take_character(text);
        pattern->at++;
        return true;
    case '[':
        close = last_close != NULL && last_close > pattern->at
                    ? set_end(pattern->at, pattern->end)
                    : NULL;
        if (close == NULL)
            break;
        if (!set_has(pattern->at, close, take_character(text)))
            return false;
        pattern->at = close + 1;
        return true;
    case '\\':
        if (pattern->end - pattern->at >= 2)
            pattern->at++;
        break;
    default:
        break;
    }
    return *pattern->at++ == *text->at++;
}

/*
 * Two places are enough: when what follows a star does not match, the star
 * takes one character more and what follows is tried anew.  An earlier star
 * need never be tried again, because the later one can take all it could.
 */
bool
wildmat_match_pattern(const char *octets, size_t pattern_octets,
                      const char *subject, size_t text_octets)
{
    struct text pattern = {octets, octets + pattern_octets};
    struct text text = {subject, subject + text_octets};
    const char *last_close =
        pattern_octets > 0 ? memrchr(octets, ']', pattern_octets) : NULL;
    const char *behind_star = NULL;
    struct text star_text = text;

    while (text.at < text.end) {
        if (pattern.at < pattern.end && *pattern.at == '*') {
            behind_star = ++pattern.at;
            star_text = text;
            /* A star at the end takes all the rest. */
            if (pattern.at == pattern.end)
                return true;
            continue;
        }
        if (pattern.at < pattern.end
            && match_element(&pattern, last_close, &text))
            continue;
        if (behind_star == NULL)
            return false;
        take_character(&star_text);
        text = star_text;
        pattern.at = behind_star;
    }
    while (pattern.at < pattern.end && *pattern.at == '*')
        pattern.at++;
    return pattern.at == pattern.end;
}

/*
 * Where the clause that begins at begin ends: at a comma that is neither in a
 * set nor behind a backslash, or at the end.
 */
static const char *
clause_end(const char *begin, const char *end, const char *last_close)
{
    const char *at = begin;

    while (at < end && *at != ',') {
        const char *close = NULL;

        if (*at == '[' && last_close != NULL && last_close > at)
            close = set_end(at, end);
        if (close != NULL)
            at = close + 1;
        else
            at += *at == '\\' && end - at >= 2 ? 2 : 1;
    }
    return at;
}

static enum wildmat_answer
match_list(const char *wildmat, size_t wildmat_octets, const char *text,
           size_t text_octets, bool with_poison)
{
    const char *const end = wildmat + wildmat_octets;
    const char *last_close =
        wildmat_octets > 0 ? memrchr(wildmat, ']', wildmat_octets) : NULL;
    enum wildmat_answer answer = WILDMAT_NO;
    const char *at = wildmat;

    for (;;) {
        const char *clause = at;
        enum wildmat_answer says = WILDMAT_YES;

        at = clause_end(clause, end, last_close);
        if (clause < at && *clause == '!') {
            says = WILDMAT_NO;
            clause++;
        } else if (with_poison && clause < at && *clause == '@') {
            says = WILDMAT_POISON;
            clause++;
        }
        /* What would say the same again need not be matched. */
        if (says != answer
            && wildmat_match_pattern(clause, (size_t)(at - clause), text,
                                     text_octets))
            answer = says;
        if (at == end)
            return answer;
        at++;
    }
}

bool
wildmat_match(const char *wildmat, size_t wildmat_octets, const char *text,
              size_t text_octets)
{
    return match_list(wildmat, wildmat_octets, text, text_octets, false)
           == WILDMAT_YES;
}

enum wildmat_answer
wildmat_match_poison(const char *wildmat, size_t wildmat_octets,
                     const char *text, size_t text_octets)
{
    return match_list(wildmat, wildmat_octets, text, text_octets, true);
}

/* Has the clause a "[" that no "]" ends? */
static bool
clause_has_open_set(const char *at, const char *end)
{
    while (at < end) {
        if (*at == '[') {
            at = set_end(at, end);
            if (at == NULL)
                return true;
        } else if (*at == '\\' && end - at >= 2) {
            at++;
        }
        at++;
    }
    return false;
}

int
wildmat_check(const char *wildmat, size_t wildmat_octets, struct buffer *why)
{
    const char *const end = wildmat + wildmat_octets;
    const char *last_close =
        wildmat_octets > 0 ? memrchr(wildmat, ']', wildmat_octets) : NULL;
    const char *at = wildmat;
    int clauses = 0;

    if (wildmat_octets > WILDMAT_OCTETS_MAX)
        return why_set(why, "the wildmat is longer than %d octets",
                       WILDMAT_OCTETS_MAX);
    if (!utf8_is_valid(wildmat, wildmat_octets))
        return why_set(why, "the wildmat is not UTF-8");
    for (;;) {
        const char *clause = at;

        at = clause_end(clause, end, last_close);
        if (clause < at && *clause == '!')
            clause++;
        if (clause == at)
            return why_set(why, "the wildmat has an empty pattern");
        if (clause_has_open_set(clause, at))
            return why_set(why, "the wildmat has a \"[\" without its \"]\"");
        if (++clauses > WILDMAT_CLAUSES_MAX)
            return why_set(why, "the wildmat has more than %d patterns",
                           WILDMAT_CLAUSES_MAX);
        if (at == end)
            return 0;
        at++;
    }
}
