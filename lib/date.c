#include "lib/date.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/ascii.h"

enum { SECONDS_PER_DAY = 86400, YEAR_MAX = 9999 };

struct civil { /* a calendar date and a time of day */
    int64_t year;
    int month; /* 1-12 */
    int day;
    int hour;
    int minute;
    int second;
};

static const char *const months[] = {
    "january", "february", "march",     "april",   "may",      "june",
    "july",    "august",   "september", "october", "november", "december",
};
static const char *const day_names[] = {
    "sunday",   "monday", "tuesday",  "wednesday",
    "thursday", "friday", "saturday",
};

/* Zones by name (RFC 5322, 4.3), and those that articles have besides; what
   is not here, the military letters among it, is read as UTC. */
static const struct {
    const char *name;
    int minutes;
} zones[] = {
    {"est", -300}, {"edt", -240}, {"cst", -360},  {"cdt", -300},
    {"mst", -420}, {"mdt", -360}, {"pst", -480},  {"pdt", -420},
    {"ast", -240}, {"adt", -180}, {"akst", -540}, {"akdt", -480},
    {"hst", -600}, {"nst", -210}, {"ndt", -150},  {"bst", 60},
    {"met", 60},   {"mez", 60},   {"cet", 60},    {"mest", 120},
    {"cest", 120}, {"mesz", 120}, {"eet", 120},   {"eest", 180},
    {"msk", 180},  {"jst", 540},  {"kst", 540},   {"aest", 600},
    {"aedt", 660}, {"nzst", 720}, {"nzdt", 780},  {"idt", 180},
};

/* --- the calendar */

static bool
year_is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && year_is_leap(year) ? 29 : days[month - 1];
}

/*
 * Days from 1970-01-01 in the Gregorian calendar, year >= 0.  A year is taken
 * to begin in March, so that the day a leap year adds is its last one.
 */
static int64_t
days_from_civil(int64_t year, int month, int day)
{
    const int64_t y = year + 400 - (month <= 2);
    const int64_t march_month = (month + 9) % 12;
    const int64_t day_of_year = (153 * march_month + 2) / 5 + day - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468 - 146097;
}

static int64_t
civil_to_time(const struct civil *civil)
{
    const int64_t days =
        days_from_civil(civil->year, civil->month, civil->day);
    const int64_t minutes = (days * 24 + civil->hour) * 60 + civil->minute;

    return minutes * 60 + civil->second;
}

static bool
civil_is_valid(const struct civil *civil)
{
    /* A second 60 is a leap second (RFC 5322, 3.3). */
    return civil->year >= 0 && civil->year <= YEAR_MAX && civil->month >= 1
           && civil->month <= 12 && civil->day >= 1
           && civil->day <= month_days(civil->year, civil->month)
           && civil->hour >= 0 && civil->hour <= 23 && civil->minute >= 0
           && civil->minute <= 59 && civil->second >= 0 && civil->second <= 60;
}

/* Times before year 0 or after 9999 are shown as the first or last moment. */
static struct civil
civil_from_time(int64_t time, int *weekday_r)
{
    const struct civil first = {0, 1, 1, 0, 0, 0};
    const struct civil last = {YEAR_MAX, 12, 31, 23, 59, 59};
    struct civil civil;
    int64_t days;
    int seconds;

    if (time < civil_to_time(&first))
        time = civil_to_time(&first);
    if (time > civil_to_time(&last))
        time = civil_to_time(&last);
    days = time / SECONDS_PER_DAY - (time % SECONDS_PER_DAY < 0);
    seconds = (int)(time - days * SECONDS_PER_DAY);

    /* The mean year cannot be wrong by more than one. */
    civil.year = 1970 + days * 400 / 146097;
    while (days_from_civil(civil.year, 1, 1) > days)
        civil.year--;
    while (days_from_civil(civil.year + 1, 1, 1) <= days)
        civil.year++;
    civil.day = (int)(days - days_from_civil(civil.year, 1, 1)) + 1;
    civil.month = 1;
    while (civil.day > month_days(civil.year, civil.month))
        civil.day -= month_days(civil.year, civil.month++);
    civil.hour = seconds / 3600;
    civil.minute = seconds / 60 % 60;
    civil.second = seconds % 60;
    /* The epoch was a Thursday; 719530 days, whole weeks, make the sum
       positive. */
    *weekday_r = (int)((days + 719530 + 4) % 7);
    return civil;
}

/* --- reading what people and programs write */

struct reader {
    const char *at;
    const char *end;
};

/* Past a comment, whose "(" is next; comments nest (RFC 5322, 3.2.2).  One
   without an end reaches to the end. */
static void
skip_comment(struct reader *reader)
{
    int depth = 0;

    while (reader->at < reader->end) {
        const char octet = *reader->at++;

        if (octet == '(')
            depth++;
        else if (octet == ')' && --depth == 0)
            return;
        else if (octet == '\\' && reader->at < reader->end)
            reader->at++;
    }
}

static void
skip_space(struct reader *reader)
{
    while (reader->at < reader->end) {
        if (ascii_is_space(*reader->at))
            reader->at++;
        else if (*reader->at == '(')
            skip_comment(reader);
        else
            return;
    }
}

static bool
read_octet(struct reader *reader, char octet)
{
    if (reader->at == reader->end || *reader->at != octet)
        return false;
    reader->at++;
    return true;
}

/* Read a word of letters; returns how many, 0 when none stands there. */
static size_t
read_word(struct reader *reader, const char **word_r)
{
    *word_r = reader->at;
    while (reader->at < reader->end && ascii_is_alpha(*reader->at))
        reader->at++;
    return (size_t)(reader->at - *word_r);
}

/* Read a number of digits_max digits at most; returns how many, 0 when none
   or too many stand there. */
static size_t
read_number(struct reader *reader, size_t digits_max, int *number_r)
{
    size_t digits = 0;

    *number_r = 0;
    while (reader->at < reader->end && ascii_is_digit(*reader->at)) {
        if (++digits > digits_max)
            return 0;
        *number_r = *number_r * 10 + (*reader->at++ - '0');
    }
    return digits;
}

/* Which of the names begins with word, of three letters or more?  Or -1. */
static int
find_name(const char *const *names, int count, const char *word, size_t octets)
{
    for (int i = 0; i < count; i++)
        if (octets >= 3 && octets <= strlen(names[i])
            && ascii_same(word, names[i], octets))
            return i;
    return -1;
}

static bool
word_is_day_name(const char *word, size_t octets)
{
    return find_name(day_names, 7, word, octets) >= 0;
}

static bool
read_month(struct reader *reader, int *month_r)
{
    const char *word;
    size_t octets = read_word(reader, &word);

    *month_r = find_name(months, 12, word, octets) + 1;
    read_octet(reader, '.');
    return *month_r > 0;
}

static bool
read_day(struct reader *reader, int *day_r)
{
    return read_number(reader, 2, day_r) > 0;
}

/* Two digits: 1950 to 2049; three: from 1900 on (RFC 5322, 4.3). */
static bool
read_year(struct reader *reader, int64_t *year_r)
{
    int year;
    size_t digits = read_number(reader, 4, &year);

    if (digits < 2)
        return false;
    if (digits == 2)
        year += year < 50 ? 2000 : 1900;
    else if (digits == 3)
        year += 1900;
    *year_r = year;
    return true;
}

/* hh:mm[:ss]; a fraction of a second is read and dropped. */
static bool
read_time(struct reader *reader, struct civil *civil)
{
    int fraction;

    if (read_number(reader, 2, &civil->hour) == 0)
        return false;
    skip_space(reader);
    if (!read_octet(reader, ':'))
        return false;
    skip_space(reader);
    if (read_number(reader, 2, &civil->minute) == 0)
        return false;
    skip_space(reader);
    if (!read_octet(reader, ':'))
        return true;
    skip_space(reader);
    if (read_number(reader, 2, &civil->second) == 0)
        return false;
    return !read_octet(reader, '.') || read_number(reader, 9, &fraction) > 0;
}

/* What stands behind the sign: "hhmm", "hh:mm", "hh". */
static bool
read_offset(struct reader *reader, int *minutes_r)
{
    int number;
    int minutes = 0;
    size_t digits = read_number(reader, 4, &number);

    if (digits == 4) {
        minutes = number % 100;
        number /= 100;
    } else if ((digits != 2 && digits != 1)
               || (read_octet(reader, ':')
                   && read_number(reader, 2, &minutes) != 2)) {
        return false;
    }
    if (minutes > 59)
        return false;
    *minutes_r = number * 60 + minutes;
    return true;
}

static int
zone_minutes(const char *name, size_t octets)
{
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
        if (octets == strlen(zones[i].name)
            && ascii_same(name, zones[i].name, octets))
            return zones[i].minutes;
    return 0;
}

/* No zone is UTC; "EST", "+0100", "GMT+0100", "MET DST". */
static bool
read_zone(struct reader *reader, int *minutes_r)
{
    const char *word;
    size_t octets;

    *minutes_r = 0;
    skip_space(reader);
    octets = read_word(reader, &word);
    if (octets > 0) {
        *minutes_r = zone_minutes(word, octets);
        skip_space(reader);
        octets = read_word(reader, &word);
        if (octets == 3 && ascii_same(word, "dst", 3))
            *minutes_r += 60;
        else if (octets > 0)
            return false;
        skip_space(reader);
    }
    if (read_octet(reader, '+'))
        return read_offset(reader, minutes_r);
    if (read_octet(reader, '-')) {
        bool good = read_offset(reader, minutes_r);

        *minutes_r = -*minutes_r;
        return good;
    }
    return true;
}

/* "23 Nov 2026", "23-Nov-26", after the name of the day; then time, zone. */
static bool
read_rfc5322(struct reader *reader, struct civil *civil, int *minutes_r)
{
    if (!read_day(reader, &civil->day))
        return false;
    skip_space(reader);
    if (read_octet(reader, '-'))
        skip_space(reader);
    if (!read_month(reader, &civil->month))
        return false;
    skip_space(reader);
    if (read_octet(reader, '-'))
        skip_space(reader);
    if (!read_year(reader, &civil->year))
        return false;
    skip_space(reader);
    read_octet(reader, ',');
    skip_space(reader);
    /* Expires often has no time of day. */
    if (reader->at == reader->end)
        return true;
    return read_time(reader, civil) && read_zone(reader, minutes_r);
}

/* "Nov 23 21:04:05 2026", with a zone before the year or behind: what
   ctime(3) writes, after the name of the day. */
static bool
read_ctime(struct reader *reader, struct civil *civil, int *minutes_r)
{
    if (!read_month(reader, &civil->month))
        return false;
    skip_space(reader);
    if (!read_day(reader, &civil->day))
        return false;
    skip_space(reader);
    read_octet(reader, ',');
    skip_space(reader);
    if (!read_time(reader, civil) || !read_zone(reader, minutes_r))
        return false;
    skip_space(reader);
    if (!read_year(reader, &civil->year))
        return false;
    skip_space(reader);
    return reader->at == reader->end || read_zone(reader, minutes_r);
}

int
date_parse(const char *text, size_t octets, int64_t *time_r)
{
    struct reader reader = {text, text + octets};
    struct civil civil = {0, 0, 0, 0, 0, 0};
    const char *word;
    int minutes = 0;
    bool good;

    skip_space(&reader);
    octets = read_word(&reader, &word);
    if (octets > 0 && word_is_day_name(word, octets)) {
        read_octet(&reader, '.');
        skip_space(&reader);
        read_octet(&reader, ',');
        skip_space(&reader);
    } else {
        reader.at = word;
    }
    if (reader.at < reader.end && ascii_is_alpha(*reader.at))
        good = read_ctime(&reader, &civil, &minutes);
    else
        good = read_rfc5322(&reader, &civil, &minutes);
    skip_space(&reader);
    if (!good || reader.at != reader.end || !civil_is_valid(&civil))
        return -1;
    *time_r = civil_to_time(&civil) - (int64_t)minutes * 60;
    return 0;
}

void
date_format(int64_t time, char text[DATE_OCTETS])
{
    static const char day_short[7][4] = {"Sun", "Mon", "Tue", "Wed",
                                         "Thu", "Fri", "Sat"};
    static const char month_short[12][4] = {"Jan", "Feb", "Mar", "Apr",
                                            "May", "Jun", "Jul", "Aug",
                                            "Sep", "Oct", "Nov", "Dec"};
    int weekday;
    const struct civil civil = civil_from_time(time, &weekday);

    snprintf(text, DATE_OCTETS, "%s, %02d %s %04d %02d:%02d:%02d +0000",
             day_short[weekday], civil.day, month_short[civil.month - 1],
             (int)civil.year, civil.hour, civil.minute, civil.second);
}

void
date_format_compact(int64_t time, char text[DATE_OCTETS])
{
    int weekday;
    const struct civil civil = civil_from_time(time, &weekday);

    snprintf(text, DATE_OCTETS, "%04d%02d%02d%02d%02d%02d", (int)civil.year,
             civil.month, civil.day, civil.hour, civil.minute, civil.second);
}

/* --- arguments of commands */

/* Exactly digits digits from text; false when another octet stands there. */
static bool
take_number(const char **text, int digits, int *number_r)
{
    *number_r = 0;
    while (digits-- > 0) {
        if (!ascii_is_digit(**text))
            return false;
        *number_r = *number_r * 10 + (*(*text)++ - '0');
    }
    return true;
}

int
date_parse_command(const char *date, const char *time, int64_t now,
                   int64_t *time_r)
{
    const size_t date_octets = strlen(date);
    struct civil civil;
    int year;
    int weekday;

    if (strlen(time) != 6 || (date_octets != 6 && date_octets != 8))
        return -1;
    if (!take_number(&date, (int)date_octets - 4, &year)
        || !take_number(&date, 2, &civil.month)
        || !take_number(&date, 2, &civil.day)
        || !take_number(&time, 2, &civil.hour)
        || !take_number(&time, 2, &civil.minute)
        || !take_number(&time, 2, &civil.second))
        return -1;

    /* This century up to this year, the one before otherwise. */
    civil.year = year;
    if (date_octets == 6) {
        const struct civil today = civil_from_time(now, &weekday);

        civil.year += today.year / 100 * 100;
        if (civil.year > today.year)
            civil.year -= 100;
    }
    if (!civil_is_valid(&civil))
        return -1;
    *time_r = civil_to_time(&civil);
    return 0;
}
