/*
 * The scanner against the rule as the RFC says it, with the octets cut into
 * pieces at places that the input chooses; and text through the wire and back.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static bool
octets_are(const char *octets, size_t length, size_t at, const char *text)
{
    const size_t wanted = strlen(text);

    return length - at >= wanted && memcmp(octets + at, text, wanted) == 0;
}

static bool
line_begins(const char *octets, size_t at)
{
    return at == 0
           || (at >= 2 && octets[at - 2] == '\r' && octets[at - 1] == '\n');
}

/* Where the article ends, or 0: ".CRLF" where a line begins. */
static size_t
reference_end(const char *octets, size_t length)
{
    for (size_t at = 0; at < length; at++)
        if (line_begins(octets, at) && octets_are(octets, length, at, ".\r\n"))
            return at + 3;
    return 0;
}

/* What is wrong within length octets; what only the next octet would tell is
   not wrong yet. */
static unsigned
reference_faults(const char *octets, size_t length)
{
    unsigned faults = 0;

    for (size_t at = 0; at < length; at++) {
        const size_t left = length - at;

        if (octets[at] == '\0')
            faults |= WIRE_FAULT_NUL;
        if (octets[at] == '\r' && left > 1 && octets[at + 1] != '\n')
            faults |= WIRE_FAULT_CR;
        if (octets[at] == '\n' && (at == 0 || octets[at - 1] != '\r'))
            faults |= WIRE_FAULT_LF;
        if (octets[at] == '.' && line_begins(octets, at) && left > 1
            && octets[at + 1] != '.'
            && !octets_are(octets, length, at, ".\r\n")
            && !(left == 2 && octets[at + 1] == '\r'))
            faults |= WIRE_FAULT_DOT;
    }
    return faults;
}

/* The step is the size of all pieces but the last; 0: one piece. */
static void
check_scan(const char *octets, size_t length, size_t step)
{
    const size_t end = reference_end(octets, length);
    const size_t wanted = end > 0 ? end : length;
    struct wire_scanner scanner = {0, 0, 0};
    bool ended = false;
    size_t at = 0;

    while (at < length && !ended) {
        const size_t left = length - at;
        const size_t piece = step > 0 && step < left ? step : left;
        /* A copy of its own, so that reading beyond it is seen. */
        char *copy = malloc(piece);
        size_t taken;

        must(copy != NULL);
        memcpy(copy, octets + at, piece);
        taken = wire_scan(&scanner, copy, piece, &ended);
        free(copy);
        must(ended || taken == piece);
        at += taken;
    }
    must(ended == (end > 0));
    must(at == wanted && scanner.octets == wanted);
    must(scanner.faults == reference_faults(octets, wanted));
}

static void
check_round_trip(const char *text, size_t length)
{
    struct buffer wire = BUFFER_EMPTY;
    struct buffer back = BUFFER_EMPTY;
    struct buffer again = BUFFER_EMPTY;
    struct wire_scanner scanner = {0, 0, 0};
    struct wire_measure measure;
    bool ended;
    uint64_t lines = 0;

    wire_from_text(&wire, text, length);
    must(wire_scan(&scanner, wire.data, wire.used, &ended) == wire.used);
    must(ended);
    must((scanner.faults & (WIRE_FAULT_LF | WIRE_FAULT_DOT)) == 0);
    wire_to_text(&back, wire.data, wire.used);
    wire_from_text(&again, buffer_text(&back), back.used);
    must(again.used == wire.used
         && memcmp(again.data, wire.data, wire.used) == 0);

    measure = wire_measure(wire.data, wire.used);
    for (size_t i = 0; i < back.used; i++)
        lines += back.data[i] == '\n';
    must(measure.lines == lines);
    must(measure.stuffed == wire.used - 3 - back.used);
    buffer_free(&wire);
    buffer_free(&back);
    buffer_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    check_scan((const char *)data + 1, size - 1, data[0]);
    check_scan((const char *)data + 1, size - 1, 0);
    check_round_trip((const char *)data + 1, size - 1);
    return 0;
}
