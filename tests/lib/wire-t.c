#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buffer.h"
#include "lib/wire.h"

/* What the scanner says of octets that it is given in two pieces. */
struct found {
    size_t octets;
    bool ended;
    unsigned faults;
};

static struct found
scan_cut_at(const char *octets, size_t length, size_t cut)
{
    struct wire_scanner scanner = {0, 0, 0};
    struct found found = {0, false, 0};

    found.octets = wire_scan(&scanner, octets, cut, &found.ended);
    if (!found.ended)
        found.octets +=
            wire_scan(&scanner, octets + cut, length - cut, &found.ended);
    found.faults = scanner.faults;
    assert_int_equal(scanner.octets, found.octets);
    return found;
}

static const struct {
    const char *octets;
    size_t ends; /* 0: it does not */
    unsigned faults;
    const char *promise;
} scans[] = {
    {".\r\n", 3, 0, "an empty article"},
    {"a\r\n.\r\n", 6, 0, "a line"},
    {"a\r\n.\r\nQUIT\r\n", 6, 0, "what follows is not the article's"},
    {"a\r\n..\r\n.\r\n", 10, 0, "a line of one dot"},
    {"a\r\n..b\r\n...\r\n.\r\n", 16, 0, "stuffed dots"},
    {"..\r\n.\r\n", 7, 0, "a stuffed dot as the first octet"},
    {"a.\r\n.\r\n", 7, 0, "a dot at the end of a line"},
    {"a\r\n.\n\r\n.\r\n", 10, WIRE_FAULT_LF | WIRE_FAULT_DOT,
     "CRLF.LF ends nothing"},
    {"a\n.\r\nb\r\n.\r\n", 11, WIRE_FAULT_LF, "LF.CRLF ends nothing"},
    {"a\n.\nb\r\n.\r\n", 10, WIRE_FAULT_LF, "LF.LF ends nothing"},
    {"a\r.\r\nb\r\n.\r\n", 11, WIRE_FAULT_CR, "CR.CRLF ends nothing"},
    {"a\r\n.\rb\r\n.\r\n", 11, WIRE_FAULT_CR | WIRE_FAULT_DOT,
     "CRLF.CR ends nothing"},
    {"a\r\n.\r\r\n.\r\n", 10, WIRE_FAULT_CR | WIRE_FAULT_DOT,
     "CRLF.CRCRLF ends nothing"},
    {"a\r\r\n.\r\n", 7, WIRE_FAULT_CR, "CRCRLF is a bare CR and a line's end"},
    {"\n.\r\nb\r\n.\r\n", 10, WIRE_FAULT_LF, "a bare LF as the first octet"},
    {"\r\n.\r\n", 5, 0, "an empty line"},
    {"a\r\n.b\r\n.\r\n", 10, WIRE_FAULT_DOT, "a dot that is not stuffed"},
    {"a\rb\r\n.\r\n", 8, WIRE_FAULT_CR, "a bare CR in a line"},
    {"a\r\n.", 0, 0, "a dot is not yet the end"},
    {"a\r\n.\r", 0, 0, "nor a dot and CR"},
    {"a\r\n..", 0, 0, "nor two dots"},
    {"", 0, 0, "nothing"},
};

/* Behind and before each there are zero to many ordinary octets, so that all
   of it comes to lie anywhere in the blocks that are searched at once. */
static void
test_where_an_article_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(scans) / sizeof(scans[0]); i++)
        for (size_t before = 0; before < 140; before++) {
            struct buffer text = BUFFER_EMPTY;
            size_t wanted;

            for (size_t j = 0; j < before / 7; j++)
                buffer_append_text(&text, "line.\r\n");
            wanted = text.used + scans[i].ends;
            buffer_append_text(&text, scans[i].octets);
            if (scans[i].ends == 0)
                wanted = text.used;
            else
                for (size_t j = 0; j < before; j++)
                    buffer_append_char(&text, 'x');
            for (size_t cut = 0; cut <= text.used; cut += before % 5 + 1) {
                const struct found found =
                    scan_cut_at(buffer_text(&text), text.used, cut);

                if (found.octets != wanted
                    || found.ended != (scans[i].ends > 0)
                    || found.faults != scans[i].faults)
                    fail_msg("%s (%zu octets before, cut at %zu: %zu octets "
                             "of %zu, faults %x)",
                             scans[i].promise, before, cut, found.octets,
                             wanted, found.faults);
            }
            buffer_free(&text);
        }
}

static void
test_a_nul_is_found_wherever_it_stands(void **state)
{
    char octets[200];

    (void)state;
    for (size_t at = 0; at < sizeof(octets) - 5; at++) {
        struct found found;

        memset(octets, 'a', sizeof(octets));
        memcpy(octets + sizeof(octets) - 5, "\r\n.\r\n", 5);
        octets[at] = '\0';
        found = scan_cut_at(octets, sizeof(octets), sizeof(octets) / 2);
        assert_true(found.ended);
        assert_int_equal(found.faults, WIRE_FAULT_NUL);
    }
}

static void
test_scanning_behind_the_end_takes_nothing(void **state)
{
    struct wire_scanner scanner = {0, 0, 0};
    bool ended;

    (void)state;
    assert_int_equal(wire_scan(&scanner, ".\r\nQUIT\r\n", 9, &ended), 3);
    assert_int_equal(wire_scan(&scanner, "QUIT\r\n", 6, &ended), 0);
    assert_true(ended);
    assert_int_equal(scanner.octets, 3);
}

static void
test_a_fault_is_told_in_words(void **state)
{
    (void)state;
    assert_string_equal(wire_fault_text(WIRE_FAULT_CR), "bare CR");
    assert_string_equal(wire_fault_text(WIRE_FAULT_LF | WIRE_FAULT_CR),
                        "bare LF");
    assert_string_equal(wire_fault_text(WIRE_FAULT_DOT),
                        "line that begins with a single dot");
    assert_string_equal(wire_fault_text(~0u), "NUL octet");
    assert_string_equal(wire_fault_text(0), "no fault");
}

static const struct {
    const char *text;
    const char *wire;
    const char *back; /* NULL: text itself */
    uint64_t lines;
    uint64_t stuffed;
    const char *promise;
} forms[] = {
    {"", ".\r\n", NULL, 0, 0, "nothing"},
    {"a\r\n", "a\r\n.\r\n", NULL, 1, 0, "a line with CRLF"},
    {"a\n", "a\r\n.\r\n", "a\r\n", 1, 0, "a line with LF"},
    {"a", "a\r\n.\r\n", "a\r\n", 1, 0, "a line without an end"},
    {"a\n\nb", "a\r\n\r\nb\r\n.\r\n", "a\r\n\r\nb\r\n", 3, 0, "an empty line"},
    {".\r\n", "..\r\n.\r\n", NULL, 1, 1, "a line of one dot"},
    {"..\r\n", "...\r\n.\r\n", NULL, 1, 1, "a line of two dots"},
    {"a\r\n.b\r\n.\r\nc.\r\n", "a\r\n..b\r\n..\r\nc.\r\n.\r\n", NULL, 4, 2,
     "dots in the middle"},
    {".", "..\r\n.\r\n", ".\r\n", 1, 1, "a dot without a line's end"},
    {"\xe4\xf6\n", "\xe4\xf6\r\n.\r\n", "\xe4\xf6\r\n", 1, 0,
     "octets beyond ASCII"},
};

static void
test_text_and_wire_form_say_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const char *wanted =
            forms[i].back != NULL ? forms[i].back : forms[i].text;
        struct buffer wire = BUFFER_EMPTY;
        struct buffer text = BUFFER_EMPTY;
        struct wire_measure measure;

        wire_from_text(&wire, forms[i].text, strlen(forms[i].text));
        if (strcmp(buffer_text(&wire), forms[i].wire) != 0)
            fail_msg("to wire: %s", forms[i].promise);
        wire_to_text(&text, wire.data, wire.used);
        if (strcmp(buffer_text(&text), wanted) != 0)
            fail_msg("from wire: %s", forms[i].promise);
        measure = wire_measure(wire.data, wire.used);
        if (measure.lines != forms[i].lines
            || measure.stuffed != forms[i].stuffed)
            fail_msg("measure: %s", forms[i].promise);
        buffer_free(&wire);
        buffer_free(&text);
    }
}

/* A part of an article has no ".CRLF", and may end anywhere. */
static void
test_a_part_of_an_article_comes_back_as_text(void **state)
{
    static const struct {
        const char *wire;
        const char *text;
        uint64_t lines;
        uint64_t stuffed;
        const char *promise;
    } rows[] = {
        {"", "", 0, 0, "nothing"},
        {"a\r\n", "a\r\n", 1, 0, "a line"},
        {"a\r\nb", "a\r\nb", 1, 0, "a line without its end"},
        {"..a", ".a", 0, 1, "a stuffed one"},
        {".ab", "ab", 0, 1, "that is as long as the terminator"},
        {"a\r\n.", "a\r\n", 1, 1, "cut behind its dot"},
        {"a\r\n..\r\nb\r\n", "a\r\n.\r\nb\r\n", 3, 1, "in the middle"},
        {"a.\r\n", "a.\r\n", 1, 0, "a line that ends like the terminator"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t octets = strlen(rows[i].wire);
        struct wire_measure measure = wire_measure(rows[i].wire, octets);
        struct buffer text = BUFFER_EMPTY;

        wire_to_text(&text, rows[i].wire, octets);
        if (strcmp(buffer_text(&text), rows[i].text) != 0)
            fail_msg("from wire: %s", rows[i].promise);
        if (measure.lines != rows[i].lines
            || measure.stuffed != rows[i].stuffed)
            fail_msg("measure: %s", rows[i].promise);
        buffer_free(&text);
    }
}

/* A thousand lines of all lengths, each third with a dot in front. */
static void
test_long_text_survives_the_wire(void **state)
{
    struct buffer text = BUFFER_EMPTY;
    struct buffer wire = BUFFER_EMPTY;
    struct buffer back = BUFFER_EMPTY;
    struct wire_measure measure;
    struct found found;

    (void)state;
    for (int line = 0; line < 1000; line++) {
        for (int i = 0; i < line % 150; i++)
            buffer_append_char(&text, line % 3 == 0 || i % 7 == 0 ? '.' : 'x');
        buffer_append_text(&text, "\r\n");
    }
    wire_from_text(&wire, text.data, text.used);
    found = scan_cut_at(wire.data, wire.used, wire.used / 3);
    assert_true(found.ended);
    assert_int_equal(found.octets, wire.used);
    assert_int_equal(found.faults, 0);
    measure = wire_measure(wire.data, wire.used);
    assert_int_equal(measure.lines, 1000);
    assert_int_equal(measure.stuffed, wire.used - 3 - text.used);
    wire_to_text(&back, wire.data, wire.used);
    assert_int_equal(back.used, text.used);
    assert_memory_equal(back.data, text.data, text.used);
    buffer_free(&text);
    buffer_free(&wire);
    buffer_free(&back);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_an_article_ends),
        cmocka_unit_test(test_a_nul_is_found_wherever_it_stands),
        cmocka_unit_test(test_scanning_behind_the_end_takes_nothing),
        cmocka_unit_test(test_a_fault_is_told_in_words),
        cmocka_unit_test(test_text_and_wire_form_say_the_same),
        cmocka_unit_test(test_a_part_of_an_article_comes_back_as_text),
        cmocka_unit_test(test_long_text_survives_the_wire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
