/*
 * log -- what a process tells its admin.
 *
 * One line per outcome: who first, then what, then key=value, the same keys
 * everywhere: "peer news.example.net: stored id=<a@b> octets=2310 ms=4".
 * Every octet outside 0x20-0x7e is escaped as \xHH, so that text from outside
 * cannot forge a line.  Lines go to standard error, with the process's name in
 * front, and to syslog (facility news) where log_open() was told so.
 * Passwords and article bodies are never logged.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdbool.h>

/* Exit statuses: those of sysexits.h, by what they mean here. */
enum exit_status {
    EXIT_USAGE = 64,       /* the command line is wrong */
    EXIT_DATA = 65,        /* what was to be read is not what it should be */
    EXIT_NOT_RUNNING = 69, /* the server that was to be asked is not there */
    EXIT_SOFTWARE = 70,    /* our own mistake */
    EXIT_SYSTEM = 71,      /* the system refused: a port in use, no fork */
    EXIT_IO = 74,          /* the store cannot be read or written */
    EXIT_TEMPORARY = 75,   /* try again */
    EXIT_PERMISSION = 77,  /* not allowed to */
    EXIT_CONFIG = 78,      /* the configuration is wrong */
};

enum log_level { LOG_LEVEL_WARN, LOG_LEVEL_NOTICE, LOG_LEVEL_DEBUG };

/* name: the process's one name ("innd", "nnrpd 2"); copied. */
void log_open(const char *name, bool to_syslog);
void log_set_level(enum log_level level);

void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Adds ": " and strerror(errno). */
void syswarn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void notice(const char *format, ...) __attribute__((format(printf, 1, 2)));
void debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For a handler of a signal, which may have come in the midst of anything:
   text and number as they are, to standard error alone. */
void warn_from_signal(const char *text, unsigned number);
void die(enum exit_status status, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
void sysdie(enum exit_status status, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

#endif
