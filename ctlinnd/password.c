#include "ctlinnd/password.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/password.h"
#include "lib/scram.h"

/* A line, and what shows that it is too long. */
enum { LINE_OCTETS = PASSWORD_OCTETS_MAX + 2 };

struct line {
    char octets[LINE_OCTETS];
    size_t length;
};

/* Octet by octet: what stands behind the line is not ours. */
static int
line_read(int fd, struct line *line, struct buffer *why)
{
    line->length = 0;
    while (line->length < LINE_OCTETS) {
        ssize_t got = read(fd, &line->octets[line->length], 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return why_set_errno(why, "reading the password");
        if (got == 0 || line->octets[line->length] == '\n')
            break;
        line->length++;
    }
    if (line->length > 0 && line->octets[line->length - 1] == '\r')
        line->length--;
    return 0;
}

static int
terminal_ask(int terminal, const char *question, struct line *line,
             struct buffer *why)
{
    struct termios before;
    struct termios silent;
    int result;

    if (tcgetattr(terminal, &before) < 0)
        return why_set_errno(why, "terminal");
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    /* Silent first: an answer may come as soon as the question is seen. */
    if (tcsetattr(terminal, TCSAFLUSH, &silent) < 0
        || write(terminal, question, strlen(question)) < 0)
        return why_set_errno(why, "terminal");
    result = line_read(terminal, line, why);
    if (tcsetattr(terminal, TCSADRAIN, &before) < 0
        || write(terminal, "\n", 1) < 0)
        return why_set_errno(why, "terminal");
    return result;
}

static int
terminal_obtain(struct line *line, struct buffer *why)
{
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct line again;
    int result;

    if (terminal < 0)
        return why_set(why, "there is no terminal to ask for the password at; "
                            "use --password-fd");
    result = terminal_ask(terminal, "Password: ", line, why);
    if (result == 0)
        result = terminal_ask(terminal, "Again: ", &again, why);
    close(terminal);
    if (result == 0
        && (line->length != again.length
            || memcmp(line->octets, again.octets, line->length) != 0))
        result = why_set(why, "the two passwords differ; nothing was done");
    password_wipe(&again, sizeof(again));
    return result;
}

/* What is kept of the password in this line. */
static int
secret_make(const struct line *line, bool scram, struct buffer *secret,
            struct buffer *why)
{
    char hash[PASSWORD_HASH_OCTETS];
    char verifier[SCRAM_VERIFIER_OCTETS];

    if (password_check(line->octets, line->length, why) < 0)
        return -1;
    if (password_hash(line->octets, line->length, hash) < 0)
        return why_set(why, "out of memory: hashing the password");
    buffer_append_text(secret, hash);
    if (!scram)
        return 0;
    if (scram_verifier_make(line->octets, line->length, verifier, why) < 0)
        return -1;
    buffer_append_format(secret, " %s", verifier);
    return 0;
}

int
password_obtain(int fd, bool scram, struct buffer *secret, struct buffer *why)
{
    struct line line;
    int result =
        fd < 0 ? terminal_obtain(&line, why) : line_read(fd, &line, why);

    password_open();
    if (result == 0)
        result = secret_make(&line, scram, secret, why);
    password_wipe(&line, sizeof(line));
    return result;
}
