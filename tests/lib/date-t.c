#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/date.h"

enum { NOV_23 = 1795467845 }; /* 2026-11-23 21:04:05 UTC, a Monday */

static const struct {
    const char *text;
    int64_t time;
    const char *promise;
} good[] = {
    {"Mon, 23 Nov 2026 21:04:05 +0000", NOV_23, "RFC 5322"},
    {"23 Nov 2026 21:04:05 +0000", NOV_23, "no day of the week"},
    {"Mon, 23 Nov 2026 22:04:05 +0100", NOV_23, "east of Greenwich"},
    {"Mon, 23 Nov 2026 15:34:05 -0530", NOV_23, "west of it"},
    {"Mon, 23 Nov 2026 21:04:05 -0000", NOV_23, "a zone not known"},
    {"Mon, 23 Nov 2026 21:04:05 GMT", NOV_23, "GMT"},
    {"Mon, 23 Nov 2026 21:04:05 UT", NOV_23, "UT"},
    {"Mon, 23 Nov 2026 21:04:05 Z", NOV_23, "Z"},
    {"Mon, 23 Nov 2026 16:04:05 EST", NOV_23, "EST"},
    {"Mon, 23 Nov 2026 14:04:05 PDT", NOV_23, "PDT"},
    {"Mon, 23 Nov 2026 22:04:05 MET", NOV_23, "MET"},
    {"Mon, 23 Nov 2026 23:04:05 MET DST", NOV_23, "MET DST"},
    {"Mon, 23 Nov 2026 22:04:05 GMT+0100", NOV_23, "GMT+0100"},
    {"Mon, 23 Nov 2026 22:04:05 +01:00", NOV_23, "a colon in the zone"},
    {"Mon, 23 Nov 2026 22:04:05 +01", NOV_23, "a zone of hours"},
    {"Mon, 23 Nov 2026 21:04:05 A", NOV_23, "a military zone says nothing"},
    {"Mon, 23 Nov 2026 21:04:05 QQQ", NOV_23, "nor does one nobody knows"},
    {"Mon, 23 Nov 2026 21:04:05", NOV_23, "no zone"},
    {"Mon, 23 Nov 2026 21:04:05 +0000 (UTC)", NOV_23, "a comment"},
    {"(a (nested) \\) one) Mon, 23 (x) Nov 2026 21 : 04 : 05 +0000", NOV_23,
     "comments and spaces anywhere"},
    {"Mon,\r\n 23 Nov 2026\r\n\t21:04:05 +0000", NOV_23, "folded"},
    {"  Mon, 23 Nov 2026 21:04:05 +0000  ", NOV_23, "spaces at both ends"},
    {"Monday, 23 November 2026 21:04:05 GMT", NOV_23, "names spelt out"},
    {"Mon 23 Nov 2026 21:04:05 GMT", NOV_23, "no comma"},
    {"mon, 23 nov 2026 21:04:05 gmt", NOV_23, "lower case"},
    {"MON, 23 NOV 2026 21:04:05 GMT", NOV_23, "upper case"},
    {"Monday, 23-Nov-26 21:04:05 GMT", NOV_23, "RFC 850"},
    {"Mon Nov 23 21:04:05 2026", NOV_23, "ctime"},
    {"Mon Nov 23 16:04:05 EST 2026", NOV_23, "date(1)"},
    {"Mon Nov 23 16:04:05 2026 EST", NOV_23, "ctime with a zone behind"},
    {"Tue, 24 Nov 2026 21:04:05 +2400", NOV_23, "a zone a day away"},
    {"23 Nov 26 21:04:05 GMT", NOV_23, "a year of two digits"},
    {"23 Nov 126 21:04:05 GMT", NOV_23, "a year of three, from 1900 on"},
    {"23 Apr 93 09:15:27 GMT", 735556527, "1993"},
    {"1 Apr 93 09:15 GMT", 733655700, "no seconds"},
    {"Thur, 1 Apr 1993 09:15 GMT", 733655700, "a day's name of four letters"},
    {"1 Apr 1993", 733622400, "no time of day"},
    {"1 Jan 1970 00:00:00 +0000", 0, "the epoch"},
    {"31 Dec 1969 23:59:59 +0000", -1, "a second before it"},
    {"29 Feb 2000 00:00:00 GMT", 951782400, "2000 was a leap year"},
    {"31 Dec 2016 23:59:60 GMT", 1483228800, "a leap second"},
    {"Mon, 23 Nov 2026 21:04:05.123 +0000", NOV_23, "a fraction"},
    {"Sun, 23 Nov 2026 21:04:05 +0000", NOV_23, "the wrong day's name"},
};

static const char *const bad[] = {
    "",
    "yesterday",
    "Mon",
    "Mon,",
    "23",
    "Nov",
    "2026-11-23 21:04:05",
    "Mon, 23 Nov",
    "Mon, 23 Foo 2026 21:04:05 GMT",
    "Mon, 23 No 2026 21:04:05 GMT",
    "Mon, 32 Jan 2026 21:04:05 GMT",
    "Mon, 0 Jan 2026 21:04:05 GMT",
    "Mon, 29 Feb 2026 21:04:05 GMT",
    "Mon, 29 Feb 1900 21:04:05 GMT",
    "Mon, 23 Nov 2026 24:04:05 GMT",
    "Mon, 23 Nov 2026 21:60:05 GMT",
    "Mon, 23 Nov 2026 21:04:61 GMT",
    "Mon, 23 Nov 2026 21",
    "Mon, 23 Nov 2026 21:",
    "Mon, 23 Nov 2026 21:04:",
    "Mon, 23 Nov 2026 21:04:05.",
    "Mon, 23 Nov 2026 21:04:05 +",
    "Mon, 23 Nov 2026 21:04:05 +12345",
    "Mon, 23 Nov 2026 21:04:05 +0060",
    "Mon, 23 Nov 2026 21:04:05 +0000 x",
    "Mon, 23 Nov 2026 21:04:05 GMT now",
    "Mon, 23 Nov 2026 21:04:05 GMT 7",
    "Mon, 23 Nov 20260 21:04:05 GMT",
    "Mon, 23 Nov 6 21:04:05 GMT",
    "Mon, 99999999999999999999 Nov 2026 21:04:05 GMT",
    "Mon Nov 23 21:04:05",
    "Mon Nov 2026",
};

static void
test_dates_are_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t time = -99;

        if (date_parse(good[i].text, strlen(good[i].text), &time) < 0)
            fail_msg("%s: refused", good[i].promise);
        if (time != good[i].time)
            fail_msg("%s: off by %lld", good[i].promise,
                     (long long)(time - good[i].time));
    }
}

static void
test_what_is_no_date_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t time;

        if (date_parse(bad[i], strlen(bad[i]), &time) != -1)
            fail_msg("taken: \"%s\"", bad[i]);
    }
    /* A NUL is no end of the text. */
    assert_int_equal(date_parse("1 Apr 1993\0 09:15 GMT", 21, &(int64_t){0}),
                     -1);
}

static void
test_dates_are_written(void **state)
{
    static const struct {
        int64_t time;
        const char *text;
        const char *compact;
    } rows[] = {
        {NOV_23, "Mon, 23 Nov 2026 21:04:05 +0000", "20261123210405"},
        {0, "Thu, 01 Jan 1970 00:00:00 +0000", "19700101000000"},
        {-1, "Wed, 31 Dec 1969 23:59:59 +0000", "19691231235959"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 +0000", "20000229000000"},
        {2147483648, "Tue, 19 Jan 2038 03:14:08 +0000", "20380119031408"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 +0000", "99991231235959"},
        {INT64_MIN, "Sat, 01 Jan 0000 00:00:00 +0000", "00000101000000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[DATE_OCTETS];

        date_format(rows[i].time, text);
        assert_string_equal(text, rows[i].text);
        date_format_compact(rows[i].time, text);
        assert_string_equal(text, rows[i].compact);
    }
}

/* Every 9,999,991 seconds of some 300 years. */
static void
test_a_written_date_is_read_as_the_same(void **state)
{
    (void)state;
    for (int64_t time = -2000000000; time < 8000000000; time += 9999991) {
        char text[DATE_OCTETS];
        int64_t again;

        date_format(time, text);
        assert_int_equal(date_parse(text, strlen(text), &again), 0);
        assert_int_equal(again, time);
    }
}

static void
test_the_arguments_of_newnews(void **state)
{
    static const struct {
        const char *date;
        const char *time;
        int64_t wanted; /* -1: refused */
        const char *promise;
    } rows[] = {
        {"20261123", "210405", NOV_23, "eight digits"},
        {"261123", "210405", NOV_23, "this year's two digits"},
        {"261124", "210405", NOV_23 + 86400, "later in this year"},
        {"930401", "091500", 733655700, "two digits of the last century"},
        {"270101", "000000", -1356998400, "next year's are a century ago"},
        {"000229", "000000", 951782400, "2000"},
        {"19990229", "000000", -1, "no such day"},
        {"20261323", "000000", -1, "no such month"},
        {"20261123", "240000", -1, "no such hour"},
        {"20261123", "21040", -1, "five digits"},
        {"20261123", "2104055", -1, "seven digits"},
        {"0261123", "210405", -1, "seven digits of a date"},
        {"2026112x", "210405", -1, "a letter"},
        {"20261123", "21:405", -1, "a colon"},
        {"-1261123", "210405", -1, "a sign"},
        {"", "", -1, "nothing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t time = -1;
        const int result =
            date_parse_command(rows[i].date, rows[i].time, NOV_23, &time);

        if (rows[i].wanted == -1 ? result != -1
                                 : result != 0 || time != rows[i].wanted)
            fail_msg("%s: %lld", rows[i].promise, (long long)time);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates_are_understood),
        cmocka_unit_test(test_what_is_no_date_is_refused),
        cmocka_unit_test(test_dates_are_written),
        cmocka_unit_test(test_a_written_date_is_read_as_the_same),
        cmocka_unit_test(test_the_arguments_of_newnews),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
