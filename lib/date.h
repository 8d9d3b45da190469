/*
 * date -- times as news writes them.
 *
 * Times are seconds since the epoch, UTC, in an int64_t.
 */
#ifndef LIB_DATE_H
#define LIB_DATE_H

#include <stddef.h>
#include <stdint.h>

/* "Mon, 23 Nov 2026 21:04:05 +0000" and its NUL. */
enum { DATE_OCTETS = 40 };

/*
 * Parse a Date, Injection-Date or Expires header field: RFC 5322, 3.3 with the
 * obsolete forms of 4.3 (two-digit years, zone names, comments) and with what
 * articles of 1993 have (no seconds, no zone, day of the week spelt out).
 * Returns 0, or -1 when text is no date.
 */
int date_parse(const char *text, size_t octets, int64_t *time_r);
/* The form of RFC 5322, 3.3, always with zone +0000. */
void date_format(int64_t time, char text[DATE_OCTETS]);
/* yyyymmddhhmmss (RFC 3977, 7.1). */
void date_format_compact(int64_t time, char text[DATE_OCTETS]);
/*
 * The date and time arguments of NEWGROUPS and NEWNEWS (RFC 3977, 7.3.2):
 * [yy]yymmdd and hhmmss.  A two-digit year is read in relation to now.
 * Returns 0 or -1.
 */
int date_parse_command(const char *date, const char *time, int64_t now,
                       int64_t *time_r);

#endif
