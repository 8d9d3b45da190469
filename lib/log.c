#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/*
 * A log line is built on the stack: it must be possible to say that memory
 * has run out.  What is longer is cut, with three dots at the end.
 */
enum { LINE_OCTETS = 2048 };

static char process_name[64] = "renews";
static bool syslog_wanted;
static enum log_level level_wanted = LOG_LEVEL_NOTICE;

void
log_open(const char *name, bool to_syslog)
{
    snprintf(process_name, sizeof(process_name), "%s", name);
    syslog_wanted = to_syslog;
    if (to_syslog)
        openlog(process_name, LOG_PID, LOG_NEWS);
}

void
log_set_level(enum log_level level)
{
    level_wanted = level;
}

/* Escape text into line, which holds size octets; returns the octets used. */
static size_t
escape(char *line, size_t size, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;

    for (; *text != '\0'; text++) {
        unsigned char octet = (unsigned char)*text;

        if (used + 8 > size) {
            memcpy(line + used, "...", 3);
            return used + 3;
        }
        if (octet >= 0x20 && octet <= 0x7e) {
            line[used++] = (char)octet;
        } else {
            line[used++] = '\\';
            line[used++] = 'x';
            line[used++] = digits[octet >> 4];
            line[used++] = digits[octet & 15];
        }
    }
    return used;
}

static void
emit(int priority, const char *format, va_list args, int error)
{
    char text[LINE_OCTETS];
    char line[LINE_OCTETS + sizeof(process_name) + 4];
    size_t used;
    ssize_t written;

    vsnprintf(text, sizeof(text), format, args);
    if (error != 0) {
        size_t length = strlen(text);

        snprintf(text + length, sizeof(text) - length, ": %s",
                 strerror(error));
    }
    used = (size_t)snprintf(line, sizeof(line), "%s: ", process_name);
    used += escape(line + used, sizeof(line) - used - 1, text);
    if (syslog_wanted)
        syslog(priority, "%.*s", (int)used, line);
    line[used++] = '\n';
    /* One write, so that lines of several processes do not mix.  There is
       nobody left to tell when standard error itself fails. */
    written = write(STDERR_FILENO, line, used);
    (void)written;
}

void
warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    emit(LOG_WARNING, format, args, 0);
    va_end(args);
}

void
syswarn(const char *format, ...)
{
    int error = errno;
    va_list args;

    va_start(args, format);
    emit(LOG_WARNING, format, args, error);
    va_end(args);
}

/* Appends text to a line that has room for it. */
static size_t
line_add(char *line, size_t used, size_t size, const char *text)
{
    while (*text != '\0' && used < size)
        line[used++] = *text++;
    return used;
}

void
warn_from_signal(const char *text, unsigned number)
{
    char line[256];
    char digits[12];
    size_t at = sizeof(digits) - 1;
    size_t used;
    ssize_t written;

    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    used = line_add(line, 0, sizeof(line) - 1, process_name);
    used = line_add(line, used, sizeof(line) - 1, ": ");
    used = line_add(line, used, sizeof(line) - 1, text);
    used = line_add(line, used, sizeof(line) - 1, " ");
    used = line_add(line, used, sizeof(line) - 1, digits + at);
    line[used++] = '\n';
    written = write(STDERR_FILENO, line, used);
    (void)written; /* as above */
}

void
notice(const char *format, ...)
{
    va_list args;

    if (level_wanted < LOG_LEVEL_NOTICE)
        return;
    va_start(args, format);
    emit(LOG_NOTICE, format, args, 0);
    va_end(args);
}

void
debug(const char *format, ...)
{
    va_list args;

    if (level_wanted < LOG_LEVEL_DEBUG)
        return;
    va_start(args, format);
    emit(LOG_DEBUG, format, args, 0);
    va_end(args);
}

void
die(enum exit_status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    emit(LOG_ERR, format, args, 0);
    va_end(args);
    exit(status);
}

void
sysdie(enum exit_status status, const char *format, ...)
{
    int error = errno;
    va_list args;

    va_start(args, format);
    emit(LOG_ERR, format, args, error);
    va_end(args);
    exit(status);
}
