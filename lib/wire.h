/*
 * wire -- the form articles have on the wire and in the spool: lines end with
 * CRLF, a line that begins with a dot has a second one, and ".CRLF" on a line
 * of its own ends it all (RFC 3977, 3.1.1).
 *
 * Only CRLF.CRLF ends an article, never LF.LF or any mixture: a sender and a
 * receiver that disagree about the end let an attacker hide an article inside
 * another.  The scanner is the one place that knows the rule.  It searches
 * with memchr or SSE2, not octet by octet.
 */
#ifndef LIB_WIRE_H
#define LIB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

/* What was wrong in an article whose true end was found all the same. */
enum wire_fault {
    WIRE_FAULT_CR = 1 << 0,  /* CR without LF behind it */
    WIRE_FAULT_LF = 1 << 1,  /* LF without CR before it */
    WIRE_FAULT_NUL = 1 << 2, /* a NUL octet */
    WIRE_FAULT_DOT = 1 << 3, /* a line that begins with one dot, not two */
};

/* Begin with zeroes.  Octets are scanned where they lie, nothing is copied. */
struct wire_scanner {
    unsigned state;  /* of the five-state automaton; private */
    unsigned faults; /* enum wire_fault bits met so far */
    uint64_t octets; /* scanned so far, the terminator included */
};

/*
 * Scan the next length octets of an article.  Returns how many of them belong
 * to it; *ended_r says whether they include its ".CRLF".  When it has not
 * ended, all length octets belong to it.
 */
size_t wire_scan(struct wire_scanner *scanner, const char *octets,
                 size_t length, bool *ended_r);
/* Words for a person: "bare CR", "NUL octet" ...; the worst of the faults. */
const char *wire_fault_text(unsigned faults);

/* Append text whose lines end with LF or CRLF in wire form, ".CRLF" included;
   the last line gets its CRLF when it has none. */
void wire_from_text(struct buffer *wire, const char *text, size_t octets);
/* Append what wire stands for, without dot-stuffing and ".CRLF", lines ending
   with CRLF. */
void wire_to_text(struct buffer *text, const char *wire, size_t octets);

/* What wire_measure finds in the body (from its first line to ".CRLF"). */
struct wire_measure {
    uint64_t lines;   /* lines of it */
    uint64_t stuffed; /* dots that are there only for the wire */
};
struct wire_measure wire_measure(const char *wire, size_t octets);

#endif
