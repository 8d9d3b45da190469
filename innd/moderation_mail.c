#include "innd/moderation_mail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/memory.h"

enum { ERROR_OCTETS = 300 }; /* of what a command says */

/* --- the mail --- */

static bool
field_is_left_out(const char *line, size_t octets)
{
    static const char *const names[] = {
        "Path:", "Xref:", "Injection-Info:", "Injection-Date:", "To:",
        "Cc:",   "Bcc:"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (octets >= strlen(names[i])
            && ascii_same(line, names[i], strlen(names[i])))
            return true;
    return false;
}

void
moderation_mail_build(const char *post, size_t octets, const char *address,
                      struct buffer *mail)
{
    const char *at = post;
    const char *const end = post + octets;
    bool head = true;
    bool left_out = false;

    buffer_append_format(mail, "To: %s\n", address);
    while (at < end) {
        const char *cr = memmem(at, (size_t)(end - at), "\r\n", 2);
        size_t length = (size_t)((cr != NULL ? cr : end) - at);

        if (!head && length == 1 && *at == '.')
            break;
        if (head && length > 0 && *at != ' ' && *at != '\t')
            left_out = field_is_left_out(at, length);
        if (length == 0)
            head = left_out = false;
        if (!left_out) {
            bool stuffed = !head && length > 1 && *at == '.';

            buffer_append(mail, at + stuffed, length - stuffed);
            buffer_append_char(mail, '\n');
        }
        at += length + 2;
    }
}

/* --- the command --- */

enum { WORDS_MAX = 32 };

/* The words of a command; text is cut up.  "%s" becomes the address. */
static void
words_split(char *text, const char *address, char *words[WORDS_MAX + 1])
{
    char *save = NULL;
    size_t count = 0;

    for (char *word = strtok_r(text, " \t", &save);
         word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, " \t", &save)) {
        char *place = strstr(word, "%s");

        words[count++] = place == NULL
                             ? xstrdup(word)
                             : xasprintf("%.*s%s%s", (int)(place - word), word,
                                         address, place + 2);
    }
    words[count] = NULL;
}

/* In the child: nothing of ours but the mail and the file for its words. */
static void __attribute__((noreturn))
child_execute(char *const *words, int mail_fd, int error_fd)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    static char *const environment[] = {path, NULL};
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGCHLD};
    sigset_t none;

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0); /* so that it and its children can be ended */
    if (dup2(mail_fd, 0) < 0 || dup2(error_fd, 1) < 0 || dup2(error_fd, 2) < 0
        || close_range(3, ~0U, 0) < 0 || chdir("/") < 0)
        _exit(EX_OSERR);
    execve(words[0], words, environment);
    dprintf(2, "%s: %s", words[0], strerror(errno));
    _exit(EX_OSERR);
}

static int
memory_file(const char *name, const struct buffer *octets)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    if (fd >= 0 && octets != NULL
        && (write(fd, octets->data, octets->used) != (ssize_t)octets->used
            || lseek(fd, 0, SEEK_SET) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

pid_t
moderation_mail_start(const char *command, const char *address,
                      const struct buffer *mail, int *error_fd_r,
                      struct buffer *why)
{
    char *words[WORDS_MAX + 1];
    char *text = xstrdup(command);
    int mail_fd = memory_file("renews-mail", mail);
    int error_fd = memory_file("renews-mail-error", NULL);
    pid_t pid = -1;

    words_split(text, address, words);
    if (mail_fd < 0 || error_fd < 0)
        why_set_errno(why, "memory for a mail");
    else if ((pid = fork()) == 0)
        child_execute(words, mail_fd, error_fd);
    else if (pid < 0)
        why_set_errno(why, "fork");
    for (size_t i = 0; words[i] != NULL; i++)
        free(words[i]);
    free(text);
    if (mail_fd >= 0)
        close(mail_fd);
    if (pid < 0 && error_fd >= 0)
        close(error_fd);
    *error_fd_r = pid < 0 ? -1 : error_fd;
    return pid;
}

/* The first line that it said, if any. */
static bool
first_line(int error_fd, struct buffer *why)
{
    char text[ERROR_OCTETS];
    ssize_t got = pread(error_fd, text, sizeof(text), 0);
    size_t octets = got > 0 ? (size_t)got : 0;
    const char *lf = memchr(text, '\n', octets);

    if (lf != NULL)
        octets = (size_t)(lf - text);
    if (octets == 0)
        return false;
    why_set(why, "%.*s", (int)octets, text);
    return true;
}

int
moderation_mail_result(int status, int error_fd, struct buffer *why)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

    if (WIFEXITED(status) && code == 0)
        return 0;
    if (!first_line(error_fd, why)) {
        if (WIFSIGNALED(status))
            why_set(why, "the mail command was ended by signal %d",
                    WTERMSIG(status));
        else
            why_set(why, "the mail command ended with status %d", code);
    }
    return code == EX_DATAERR || code == EX_NOUSER || code == EX_NOHOST ? -1
                                                                        : 1;
}
