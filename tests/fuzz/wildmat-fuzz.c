/*
 * The matcher against a naive one that tries everything, on small input: the
 * first octet says how much of the rest is the wildmat, what follows is text.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/utf8.h"
#include "lib/wildmat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SMALL = 48 };

/* One character each; an octet that is no UTF-8 is beyond all of them. */
struct characters {
    uint32_t at[SMALL];
    size_t count;
};

static struct characters
decode(const char *octets, size_t length)
{
    struct characters text = {{0}, 0};

    for (size_t at = 0; at < length;) {
        size_t taken =
            utf8_read(octets + at, length - at, &text.at[text.count]);

        if (taken == 0) {
            text.at[text.count] = 0x110000 + (unsigned char)octets[at];
            taken = 1;
        }
        text.count++;
        at += taken;
    }
    return text;
}

/* The index of the "]" of the set that begins at open, or 0. */
static size_t
reference_close(const struct characters *pattern, size_t open)
{
    size_t at = open + 1;

    if (at < pattern->count && pattern->at[at] == '^')
        at++;
    for (at++; at < pattern->count; at++)
        if (pattern->at[at] == ']')
            return at;
    return 0;
}

static bool
reference_set(const struct characters *pattern, size_t at, size_t close,
              uint32_t character)
{
    const bool negative = pattern->at[++at] == '^';
    bool found = false;

    for (at += negative; at < close; at++) {
        uint32_t high = pattern->at[at];
        const uint32_t low = high;

        if (at + 2 < close && pattern->at[at + 1] == '-') {
            at += 2;
            high = pattern->at[at];
        }
        found = found || (low <= character && character <= high);
    }
    return found != negative;
}

static signed char known[SMALL + 1][SMALL + 1]; /* 0 not yet, else +1, -1 */

static bool
reference_match(const struct characters *pattern, size_t p,
                const struct characters *text, size_t t)
{
    bool matches;
    size_t close = 0;

    if (p == pattern->count)
        return t == text->count;
    if (known[p][t] != 0)
        return known[p][t] > 0;
    if (pattern->at[p] == '*') {
        matches =
            reference_match(pattern, p + 1, text, t)
            || (t < text->count && reference_match(pattern, p, text, t + 1));
    } else if (t == text->count) {
        matches = false;
    } else if (pattern->at[p] == '?') {
        matches = reference_match(pattern, p + 1, text, t + 1);
    } else if (pattern->at[p] == '['
               && (close = reference_close(pattern, p)) != 0) {
        matches = reference_set(pattern, p, close, text->at[t])
                  && reference_match(pattern, close + 1, text, t + 1);
    } else {
        const size_t skip =
            pattern->at[p] == '\\' && p + 1 < pattern->count ? 1 : 0;

        matches = pattern->at[p + skip] == text->at[t]
                  && reference_match(pattern, p + skip + 1, text, t + 1);
    }
    known[p][t] = matches ? 1 : -1;
    return matches;
}

static bool
reference_pattern(const struct characters *pattern,
                  const struct characters *text)
{
    memset(known, 0, sizeof(known));
    return reference_match(pattern, 0, text, 0);
}

/* Where the clause at begin ends, in a wildmat without open sets. */
static size_t
reference_clause_end(const struct characters *wildmat, size_t begin)
{
    size_t at = begin;

    while (at < wildmat->count && wildmat->at[at] != ',') {
        if (wildmat->at[at] == '[')
            at = reference_close(wildmat, at);
        else if (wildmat->at[at] == '\\' && at + 1 < wildmat->count)
            at++;
        at++;
    }
    return at;
}

static enum wildmat_answer
reference_list(const struct characters *wildmat, const struct characters *text,
               bool with_poison)
{
    enum wildmat_answer answer = WILDMAT_NO;

    for (size_t begin = 0; begin <= wildmat->count;) {
        const size_t end = reference_clause_end(wildmat, begin);
        enum wildmat_answer says = WILDMAT_YES;
        struct characters clause = {{0}, 0};

        if (begin < end && wildmat->at[begin] == '!')
            says = WILDMAT_NO;
        else if (begin < end && with_poison && wildmat->at[begin] == '@')
            says = WILDMAT_POISON;
        for (size_t i = begin + (says != WILDMAT_YES); i < end; i++)
            clause.at[clause.count++] = wildmat->at[i];
        if (reference_pattern(&clause, text))
            answer = says;
        begin = end + 1;
    }
    return answer;
}

static void
must(bool holds)
{
    if (!holds)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *pattern;
    const char *text;
    size_t pattern_octets;
    size_t text_octets;
    struct characters pattern_read;
    struct characters text_read;
    bool matches;

    if (size < 1 || size > SMALL)
        return 0;
    pattern = (const char *)data + 1;
    pattern_octets = data[0] % size;
    text = pattern + pattern_octets;
    text_octets = size - 1 - pattern_octets;

    /* Anything may be given; only UTF-8 must match as the reference says. */
    matches =
        wildmat_match_pattern(pattern, pattern_octets, text, text_octets);
    (void)wildmat_match_poison(pattern, pattern_octets, text, text_octets);
    if (!utf8_is_valid(pattern, pattern_octets)) {
        must(wildmat_check(pattern, pattern_octets, NULL) < 0);
        return 0;
    }
    pattern_read = decode(pattern, pattern_octets);
    text_read = decode(text, text_octets);
    must(matches == reference_pattern(&pattern_read, &text_read));
    if (wildmat_check(pattern, pattern_octets, NULL) < 0)
        return 0;
    must(wildmat_match(pattern, pattern_octets, text, text_octets)
         == (reference_list(&pattern_read, &text_read, false) == WILDMAT_YES));
    must(wildmat_match_poison(pattern, pattern_octets, text, text_octets)
         == reference_list(&pattern_read, &text_read, true));
    return 0;
}
