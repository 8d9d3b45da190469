#include "lib/wire.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "lib/buffer.h"

/*
 * The automaton.  LINE_START is 0, so that a scanner of zeroes stands before
 * an article's first octet.  ENDED is no sixth state of the rule: it only
 * makes scanning beyond the end harmless.
 */
enum state { LINE_START, IN_LINE, AFTER_CR, AFTER_DOT, AFTER_DOT_CR, ENDED };

enum { BLOCK_OCTETS = 64 };

/* Bit n of each stands for octet n of a block of 64. */
struct block {
    uint64_t cr;
    uint64_t lf;
    uint64_t dot;
    bool has_nul;
};

#if defined(__SSE2__)

static inline uint64_t
block_mask(const __m128i quarters[4], char octet)
{
    const __m128i wanted = _mm_set1_epi8(octet);
    uint64_t mask = 0;

    for (int i = 3; i >= 0; i--)
        mask =
            mask << 16
            | (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(quarters[i], wanted));
    return mask;
}

static inline struct block
block_load(const char *octets)
{
    const __m128i *at = (const __m128i *)(const void *)octets;
    const __m128i quarters[4] = {
        _mm_loadu_si128(at),
        _mm_loadu_si128(at + 1),
        _mm_loadu_si128(at + 2),
        _mm_loadu_si128(at + 3),
    };
    /* The smallest of four octets is zero when any of them is. */
    const __m128i least = _mm_min_epu8(_mm_min_epu8(quarters[0], quarters[1]),
                                       _mm_min_epu8(quarters[2], quarters[3]));

    return (struct block){
        .cr = block_mask(quarters, '\r'),
        .lf = block_mask(quarters, '\n'),
        .dot = block_mask(quarters, '.'),
        .has_nul =
            _mm_movemask_epi8(_mm_cmpeq_epi8(least, _mm_setzero_si128())) != 0,
    };
}

#else

static inline struct block
block_load(const char *octets)
{
    struct block block = {0, 0, 0, false};

    for (int i = 0; i < BLOCK_OCTETS; i++) {
        block.cr |= (uint64_t)(octets[i] == '\r') << i;
        block.lf |= (uint64_t)(octets[i] == '\n') << i;
        block.dot |= (uint64_t)(octets[i] == '.') << i;
        block.has_nul |= octets[i] == '\0';
    }
    return block;
}

#endif

/*
 * One octet.  A bare LF does not begin a line: a dot behind it is an ordinary
 * octet, so LF.LF and its mixtures end nothing.
 */
static enum state
step(enum state state, char octet, unsigned *faults)
{
    /* First whether what stood before was in order... */
    switch (state) {
    case AFTER_CR:
        if (octet == '\n')
            return LINE_START;
        *faults |= WIRE_FAULT_CR;
        break;
    case AFTER_DOT:
        if (octet == '\r')
            return AFTER_DOT_CR;
        if (octet != '.')
            *faults |= WIRE_FAULT_DOT;
        break;
    case AFTER_DOT_CR:
        if (octet == '\n')
            return ENDED;
        *faults |= WIRE_FAULT_CR | WIRE_FAULT_DOT;
        break;
    case LINE_START:
        if (octet == '.')
            return AFTER_DOT;
        break;
    case IN_LINE:
    case ENDED:
        break;
    }

    /* ...then what this octet begins. */
    if (octet == '\r')
        return AFTER_CR;
    if (octet == '\n')
        *faults |= WIRE_FAULT_LF;
    if (octet == '\0')
        *faults |= WIRE_FAULT_NUL;
    return IN_LINE;
}

/* Octet by octet; returns how many were scanned, fewer only at the end. */
static size_t
scan_slowly(struct wire_scanner *scanner, const char *octets, size_t length)
{
    enum state state = scanner->state;
    size_t at = 0;

    while (at < length && state != ENDED)
        state = step(state, octets[at++], &scanner->faults);
    scanner->state = state;
    return at;
}

/*
 * Is a block such that nothing in it needs the automaton: every CR with its
 * LF, no NUL, and every dot at a line's beginning followed by another?  A dot
 * of that kind in the last place is for the automaton, too.
 */
static bool
scan_block(struct wire_scanner *scanner, const char *octets)
{
    const struct block block = block_load(octets);
    const uint64_t after_cr = block.cr << 1 | (scanner->state == AFTER_CR);
    const uint64_t starts = block.lf << 1 | (scanner->state == LINE_START);
    const uint64_t stuffed = block.dot & starts;
    const uint64_t last = (uint64_t)1 << (BLOCK_OCTETS - 1);

    if (after_cr != block.lf || block.has_nul)
        return false;
    if ((stuffed & ~(block.dot >> 1)) != 0)
        return false;
    scanner->state = block.cr & last   ? AFTER_CR
                     : block.lf & last ? LINE_START
                                       : IN_LINE;
    return true;
}

size_t
wire_scan(struct wire_scanner *scanner, const char *octets, size_t length,
          bool *ended_r)
{
    size_t at = 0;

    while (length - at >= BLOCK_OCTETS && scanner->state != ENDED) {
        if (scanner->state <= AFTER_CR && scan_block(scanner, octets + at))
            at += BLOCK_OCTETS;
        else
            at += scan_slowly(scanner, octets + at, BLOCK_OCTETS);
    }
    at += scan_slowly(scanner, octets + at, length - at);
    scanner->octets += at;
    *ended_r = scanner->state == ENDED;
    return at;
}

const char *
wire_fault_text(unsigned faults)
{
    if (faults & WIRE_FAULT_NUL)
        return "NUL octet";
    if (faults & WIRE_FAULT_LF)
        return "bare LF";
    if (faults & WIRE_FAULT_CR)
        return "bare CR";
    if (faults & WIRE_FAULT_DOT)
        return "line that begins with a single dot";
    return "no fault";
}

void
wire_from_text(struct buffer *wire, const char *text, size_t octets)
{
    const char *const end = text + octets;

    /* Room for the text with a CR for each line of 32 octets; more lines than
       that make the buffer grow. */
    buffer_reserve(wire, octets + octets / 32 + 64);
    while (text < end) {
        const char *lf = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = lf != NULL ? lf : end;

        if (*text == '.')
            buffer_append_char(wire, '.');
        if (line_end > text && line_end[-1] == '\r')
            line_end--;
        buffer_append(wire, text, (size_t)(line_end - text));
        buffer_append(wire, "\r\n", 2);
        text = lf != NULL ? lf + 1 : end;
    }
    buffer_append(wire, ".\r\n", 3);
}

/* The next line's beginning that has a dot, or end. */
static const char *
find_dotted_line(const char *at, const char *end)
{
    while (at < end && *at != '.') {
        const char *lf = memchr(at, '\n', (size_t)(end - at));

        at = lf != NULL ? lf + 1 : end;
    }
    return at;
}

void
wire_to_text(struct buffer *text, const char *wire, size_t octets)
{
    const char *const end = wire + octets;

    buffer_reserve(text, octets);
    while (wire < end) {
        const char *dotted = find_dotted_line(wire, end);

        buffer_append(text, wire, (size_t)(dotted - wire));
        if (end - dotted == 3 && memcmp(dotted, ".\r\n", 3) == 0)
            return;
        /* The octet behind the dot goes with the next run, so that a second
           dot is not taken for stuffing again. */
        wire = dotted;
        if (wire < end && ++wire < end) {
            const char *lf = memchr(wire, '\n', (size_t)(end - wire));
            const char *next = lf != NULL ? lf + 1 : end;

            buffer_append(text, wire, (size_t)(next - wire));
            wire = next;
        }
    }
}

/* The compiler's own would be a call where the instruction may be missing. */
static inline uint64_t
bits_set(uint64_t bits)
{
    uint64_t count = 0;

    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

struct wire_measure
wire_measure(const char *wire, size_t octets)
{
    struct wire_measure measure = {0, 0};
    uint64_t start = 1;
    size_t at = 0;

    for (; octets - at >= BLOCK_OCTETS; at += BLOCK_OCTETS) {
        const struct block block = block_load(wire + at);
        const uint64_t starts = block.lf << 1 | start;

        measure.lines += bits_set(block.lf);
        measure.stuffed += bits_set(block.dot & starts);
        start = block.lf >> (BLOCK_OCTETS - 1);
    }
    for (; at < octets; at++) {
        measure.stuffed += wire[at] == '.' && start;
        start = wire[at] == '\n';
        measure.lines += start;
    }

    /* The terminator is a line with a dot, and neither counts. */
    if (octets >= 3 && memcmp(wire + octets - 3, ".\r\n", 3) == 0
        && (octets == 3 || wire[octets - 4] == '\n')) {
        measure.lines--;
        measure.stuffed--;
    }
    return measure;
}
