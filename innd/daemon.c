#include "innd/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"

/* Where the parent waits; -1: there is none. */
static int ready_fd = -1;

/* What the child says, on our own standard error.  false at its end. */
static bool
output_pass(int fd)
{
    char octets[4096];
    ssize_t got = read(fd, octets, sizeof(octets));
    ssize_t sent;

    if (got < 0 && errno == EINTR)
        return true;
    if (got <= 0)
        return false;
    sent = write(STDERR_FILENO, octets, (size_t)got);
    (void)sent; /* nobody listens: then nobody misses it */
    return true;
}

/* The parent's rest of life: until the child is ready or dead. */
static void __attribute__((noreturn))
wait_for_child(pid_t child, int ready, int output)
{
    struct pollfd waiting[] = {{.fd = output, .events = POLLIN},
                               {.fd = ready, .events = POLLIN}};
    char octet;
    int status;

    for (;;) {
        if (poll(waiting, 2, -1) < 0) {
            if (errno != EINTR)
                _exit(EXIT_SYSTEM);
            continue;
        }
        if (waiting[0].revents != 0) {
            if (!output_pass(output))
                waiting[0].fd = -1;
        } else if (waiting[1].revents != 0) {
            break;
        }
    }
    if (read(ready, &octet, 1) == 1)
        _exit(0);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            _exit(EXIT_SOFTWARE);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SOFTWARE);
}

static bool
is_file(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/*
 * Until we are ready the parent passes on what we and our children say.  They
 * hold its pipe and not the caller's: one who waits for the end of ours would
 * wait for theirs.  A file stays: a log.
 */
static void
output_to_parent(int fd)
{
    if (!is_file(STDERR_FILENO) && dup2(fd, STDERR_FILENO) < 0)
        sysdie(EXIT_SYSTEM, "standard error");
    if (!is_file(STDOUT_FILENO) && dup2(fd, STDOUT_FILENO) < 0)
        sysdie(EXIT_SYSTEM, "standard output");
}

void
daemon_detach(void)
{
    int ready[2];
    int output[2];
    pid_t child;

    if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0)
        sysdie(EXIT_SYSTEM, "pipe");
    child = fork();
    if (child < 0)
        sysdie(EXIT_SYSTEM, "fork");
    if (child > 0) {
        close(ready[1]);
        close(output[1]);
        wait_for_child(child, ready[0], output[0]);
    }
    close(ready[0]);
    close(output[0]);
    output_to_parent(output[1]);
    close(output[1]);
    ready_fd = ready[1];
    if (setsid() < 0)
        sysdie(EXIT_SYSTEM, "setsid");
    if (chdir("/") < 0)
        sysdie(EXIT_SYSTEM, "chdir");
}

/* The parent that passed it on is about to go. */
static void
output_redirect(int null, int fd)
{
    if (!is_file(fd) && dup2(null, fd) < 0)
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
    (void)sent; /* a parent that was killed waits no more */
    close(ready_fd);
    ready_fd = -1;
}
