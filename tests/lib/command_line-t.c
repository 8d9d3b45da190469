#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buffer.h"
#include "lib/command_line.h"

#define COUNT(rows)  (sizeof(rows) / sizeof((rows)[0]))
#define OCTETS(text) (text), sizeof(text) - 1

static const struct {
    const char *octets;
    size_t length;
    size_t line;
    const char *promise;
} cuts[] = {
    {OCTETS(""), 0, "nothing has no end"},
    {OCTETS("QUIT"), 0, "a line without its end is not one yet"},
    {OCTETS("QUIT\r"), 0, "nor with half of it"},
    {OCTETS("QUIT\r\n"), 6, "CRLF ends a line"},
    {OCTETS("QUIT\nDATE\n"), 5, "a bare LF is tolerated"},
    {OCTETS("\r\nDATE\r\n"), 2, "an empty line is a line"},
    {OCTETS("A\0B\r\nX"), 5, "NUL does not end it"},
};

static void
test_a_line_ends_where_rfc_3977_says(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cuts); i++)
        if (command_line_octets(cuts[i].octets, cuts[i].length)
            != cuts[i].line)
            fail_msg("%s", cuts[i].promise);
}

static const struct {
    const char *octets;
    size_t length;
    enum command_line_fault fault;
    const char *words; /* with | between */
    const char *promise;
} lines[] = {
    {OCTETS("QUIT\r\n"), COMMAND_LINE_GOOD, "QUIT", "one word"},
    {OCTETS("quit\n"), COMMAND_LINE_GOOD, "quit", "with a bare LF"},
    {OCTETS("\r\n"), COMMAND_LINE_GOOD, "", "an empty line has no words"},
    {OCTETS(" \t \r\n"), COMMAND_LINE_GOOD, "", "nor one of spaces"},
    {OCTETS("GROUP a.b\r\n"), COMMAND_LINE_GOOD, "GROUP|a.b", "two words"},
    {OCTETS("  XPAT\tSubject 1-  *a* b \r\n"), COMMAND_LINE_GOOD,
     "XPAT|Subject|1-|*a*|b", "any white space between, in front, behind"},
    {OCTETS("GROUP x\0y\r\n"), COMMAND_LINE_OCTETS, "GROUP|x",
     "NUL is a fault, and nothing behind it is read"},
    {OCTETS("GROUP x\ry\r\n"), COMMAND_LINE_OCTETS, "GROUP|x",
     "a bare CR too"},
    {OCTETS("QUIT\r\r\n"), COMMAND_LINE_OCTETS, "QUIT", "at the end too"},
    {OCTETS("GROUP \xc3\xa9t\xc3\xa9\r\n"), COMMAND_LINE_GOOD,
     "GROUP|\xc3\xa9t\xc3\xa9", "UTF-8 is ordinary"},
};

static void
join_words(const struct command_line *line, struct buffer *text)
{
    int i;

    buffer_clear(text);
    for (i = 0; i < line->count; i++)
        buffer_append_format(text, "%s%s", i == 0 ? "" : "|", line->word[i]);
}

static void
test_a_line_is_taken_apart(void **state)
{
    struct buffer words = BUFFER_EMPTY;
    struct command_line line;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lines); i++) {
        command_line_parse(&line, lines[i].octets, lines[i].length);
        join_words(&line, &words);
        if (line.fault != lines[i].fault
            || strcmp(buffer_text(&words), lines[i].words) != 0)
            fail_msg("%s: fault %d, words %s", lines[i].promise, line.fault,
                     words);
    }
    buffer_free(&words);
}

/* A line of so many octets with CRLF: a verb of five, and words. */
static void
parse_length(struct command_line *line, size_t length, size_t words)
{
    char octets[2000];
    size_t i;

    memset(octets, 'x', sizeof octets);
    octets[5] = ' ';
    for (i = 1; i < words; i++)
        octets[6 + i * 200] = ' ';
    octets[length - 2] = '\r';
    octets[length - 1] = '\n';
    command_line_parse(line, octets, length);
}

static void
test_512_octets_are_a_line_and_513_are_not(void **state)
{
    struct command_line line;

    (void)state;
    parse_length(&line, 512, 2);
    assert_int_equal(line.fault, COMMAND_LINE_GOOD);
    parse_length(&line, 513, 2);
    assert_int_equal(line.fault, COMMAND_LINE_LONG);
    parse_length(&line, 1500, 3);
    assert_int_equal(line.fault, COMMAND_LINE_LONG);
    assert_string_equal(line.word[0], "xxxxx");
    assert_int_equal(strlen(line.word[1]), 200);
}

static void
test_an_argument_has_at_most_497_octets(void **state)
{
    struct command_line line;

    (void)state;
    parse_length(&line, 6 + 497 + 2, 1);
    assert_int_equal(line.fault, COMMAND_LINE_GOOD);
    parse_length(&line, 6 + 498 + 2, 1);
    assert_int_equal(line.fault, COMMAND_LINE_WORD);
}

static const struct {
    const char *text;
    bool good;
    uint64_t low;
    uint64_t high;
    const char *promise;
} ranges[] = {
    {"5", true, 5, 5, "one number"},
    {"5-", true, 5, UINT64_MAX, "an open end"},
    {"5-9", true, 5, 9, "both ends"},
    {"9-5", true, 9, 5, "backwards is good, and empty"},
    {"0", true, 0, 0, "0 parses, no article has it"},
    {"0000000000000007", true, 7, 7, "16 digits"},
    {"9999999999999999", true, 9999999999999999, 9999999999999999,
     "the largest"},
    {"00000000000000007", false, 0, 0, "17 digits do not"},
    {"1-00000000000000007", false, 0, 0, "not at the end either"},
    {"", false, 0, 0, "nothing is no range"},
    {"-", false, 0, 0, "nor is a minus"},
    {"-5", false, 0, 0, "a beginning is needed"},
    {"+5", false, 0, 0, "no sign"},
    {"0x5", false, 0, 0, "no other base"},
    {"5-9-", false, 0, 0, "nothing behind"},
    {"5-x", false, 0, 0, "no letters"},
    {"5 ", false, 0, 0, "no space"},
};

static void
test_ranges_are_those_of_rfc_3977(void **state)
{
    uint64_t low, high, number;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(ranges); i++) {
        low = high = 0;
        if (article_range_parse(ranges[i].text, &low, &high) != ranges[i].good
            || (ranges[i].good
                && (low != ranges[i].low || high != ranges[i].high)))
            fail_msg("%s: %s", ranges[i].text, ranges[i].promise);
        if (article_number_parse(ranges[i].text, &number)
            != (ranges[i].good && strchr(ranges[i].text, '-') == NULL))
            fail_msg("%s as a number: %s", ranges[i].text, ranges[i].promise);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_ends_where_rfc_3977_says),
        cmocka_unit_test(test_a_line_is_taken_apart),
        cmocka_unit_test(test_512_octets_are_a_line_and_513_are_not),
        cmocka_unit_test(test_an_argument_has_at_most_497_octets),
        cmocka_unit_test(test_ranges_are_those_of_rfc_3977),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
