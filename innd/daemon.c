#include "innd/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"

/* Where the parent waits; -1: there is none. */
static int ready_fd = -1;

/* The parent's rest of life. */
static void __attribute__((noreturn))
wait_for_child(pid_t child, int fd)
{
    char octet;
    ssize_t got;
    int status;

    do
        got = read(fd, &octet, 1);
    while (got < 0 && errno == EINTR);
    if (got == 1)
        _exit(0);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            _exit(EXIT_SOFTWARE);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SOFTWARE);
}

void
daemon_detach(void)
{
    int pair[2];
    pid_t child;

    if (pipe2(pair, O_CLOEXEC) < 0)
        sysdie(EXIT_SYSTEM, "pipe");
    child = fork();
    if (child < 0)
        sysdie(EXIT_SYSTEM, "fork");
    if (child > 0) {
        close(pair[1]);
        wait_for_child(child, pair[0]);
    }
    close(pair[0]);
    ready_fd = pair[1];
    if (setsid() < 0)
        sysdie(EXIT_SYSTEM, "setsid");
    if (chdir("/") < 0)
        sysdie(EXIT_SYSTEM, "chdir");
}

/*
 * Nobody reads a terminal or a pipe any more that the caller gave us, and one
 * that waits for the pipe's end would wait for ours.  A file stays: a log.
 */
static void
output_redirect(int null, int fd)
{
    struct stat status;

    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        return;
    if (dup2(null, fd) < 0)
        syswarn("standard output");
}

void
daemon_ready(void)
{
    int null;
    ssize_t sent;

    if (ready_fd < 0)
        return;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        if (dup2(null, STDIN_FILENO) < 0)
            syswarn("standard input");
        output_redirect(null, STDOUT_FILENO);
        output_redirect(null, STDERR_FILENO);
        close(null);
    }
    sent = write(ready_fd, "", 1);
    (void) sent; /* a parent that was killed waits no more */
    close(ready_fd);
    ready_fd = -1;
}
