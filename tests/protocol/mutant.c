/*
 * mutant -- nnrpd with one wrong answer, to see that a test notices.
 *
 * Linked in front of nnrpd's own objects with --wrap for each handler of
 * nnrpd/cmd.h and for what replies are written with, so the sources are as
 * they are.  RENEWS_MUTANT says which answer is wrong:
 *
 *     cmd_NAME:code     the first reply of that handler has another code
 *     cmd_NAME:text     the code is right; digits and letters behind the
 *                       first line, or behind the code of a reply of one
 *                       line, are others
 *     capability:WORD   CAPABILITIES does not tell the line that begins so
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "nnrpd/cmd.h"
#include "nnrpd/session.h"

/* The session that is in the middle of the wrong handler: one, for a test has
   few clients and one of them asks. */
static struct session *wrong;
static bool first; /* nothing of its answer was written yet */

static bool
mutant_is(const char *handler, const char *kind)
{
    const char *wanted = getenv("RENEWS_MUTANT");
    size_t octets = strlen(handler);

    return wanted != NULL && strncmp(wanted, handler, octets) == 0
           && wanted[octets] == ':'
           && (kind == NULL || strcmp(wanted + octets + 1, kind) == 0);
}

static bool is_code; /* which kind of wrong */

static void
enter(struct session *session, const char *handler)
{
    if (mutant_is(handler, NULL)) {
        wrong = session;
        first = true;
        is_code = mutant_is(handler, "code");
    } else if (wrong == session) {
        wrong = NULL;
    }
}

static char
other(char octet)
{
    if (octet >= '0' && octet <= '9')
        return octet == '9' ? '0' : (char)(octet + 1);
    if ((octet >= 'a' && octet < 'z') || (octet >= 'A' && octet < 'Z'))
        return (char)(octet + 1);
    return octet;
}

/* A copy with the wrong in it, the caller's to free. */
static char *
spoil(const char *octets, size_t length)
{
    char *copy = xmemdup(octets, length);
    const char *line = memchr(copy, '\n', length);
    size_t from = 0;

    if (is_code) {
        if (first && length >= 3)
            copy[2] = other(copy[2]);
    } else {
        if (first)
            from = line != NULL && (size_t)(line - copy) + 1 < length
                       ? (size_t)(line - copy)
                       : 4;
        for (size_t i = from; i < length; i++)
            copy[i] = other(copy[i]);
    }
    first = false;
    return copy;
}

void __real_session_write(struct session *session, const void *octets,
                          size_t length);
void __wrap_session_write(struct session *session, const void *octets,
                          size_t length);

void
__wrap_session_write(struct session *session, const void *octets,
                     size_t length)
{
    char *copy;

    if (session != wrong || length == 0) {
        __real_session_write(session, octets, length);
        return;
    }
    copy = spoil(octets, length);
    __real_session_write(session, copy, length);
    free(copy);
}

void __real_session_reply(struct session *session, const char *format, ...);
void __wrap_session_reply(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void
__wrap_session_reply(struct session *session, const char *format, ...)
{
    struct buffer text = BUFFER_EMPTY;
    va_list args;
    char *copy;

    va_start(args, format);
    buffer_append_vformat(&text, format, args);
    va_end(args);
    copy = session == wrong ? spoil(text.data, text.used) : text.data;
    __real_session_reply(session, "%s", copy);
    if (copy != text.data)
        free(copy);
    buffer_free(&text);
}

void __real_command_print_capabilities(const struct session *session,
                                       struct buffer *text);
void __wrap_command_print_capabilities(const struct session *session,
                                       struct buffer *text);

void
__wrap_command_print_capabilities(const struct session *session,
                                  struct buffer *text)
{
    const char *wanted = getenv("RENEWS_MUTANT");
    struct buffer whole = BUFFER_EMPTY;
    const char *at;

    __real_command_print_capabilities(session, &whole);
    for (at = buffer_text(&whole); *at != '\0';) {
        size_t line = strcspn(at, "\n") + 1;

        if (wanted == NULL || !mutant_is("capability", NULL)
            || strncmp(at, strchr(wanted, ':') + 1,
                       strlen(strchr(wanted, ':') + 1))
                   != 0)
            buffer_append(text, at, line);
        at += line;
    }
    buffer_free(&whole);
}

/* One for each handler, by the list that the Makefile takes from cmd.h. */
#define HANDLER(name)                                                         \
    void __real_##name(struct session *session,                               \
                       const struct arguments *arguments);                    \
    void __wrap_##name(struct session *session,                               \
                       const struct arguments *arguments);                    \
    void __wrap_##name(struct session *session,                               \
                       const struct arguments *arguments)                     \
    {                                                                         \
        enter(session, #name);                                                \
        __real_##name(session, arguments);                                    \
    }
#include "tests/protocol/handlers.h"
