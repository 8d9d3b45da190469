#include "innd/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/directories.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/user.h"

static const char pid_name[] = "innd.pid";
/* What the server leaves in pathrun beside it. */
static const char *const socket_names[] = {"control", "tools", "nntp"};

enum { DESCRIPTORS_BESIDE_CLIENTS = 512 };

void
place_make(const struct config *config)
{
    struct buffer why = BUFFER_EMPTY;
    enum exit_status status;

    if (directories_make(config, &status, &why) < 0)
        die(status, "%s", buffer_text(&why));
}

void
place_check(const struct config *config)
{
    struct buffer why = BUFFER_EMPTY;
    enum exit_status status;

    if (directories_check(config, &status, &why) < 0)
        die(status, "%s", buffer_text(&why));
}

void
place_raise_limits(const struct config *config)
{
    rlim_t wanted =
        (rlim_t)config->maxconnections + DESCRIPTORS_BESIDE_CLIENTS;
    struct rlimit limit;
    struct rlimit higher;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        sysdie(EXIT_SYSTEM, "limit of descriptors");
    /* Root may go beyond the hard limit; where it may not, take what there
       is, and say so if that is too little for one worker to serve all. */
    higher = limit;
    if (higher.rlim_max < wanted)
        higher.rlim_max = wanted;
    higher.rlim_cur = higher.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &higher) == 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        sysdie(EXIT_SYSTEM, "limit of descriptors");
    if (limit.rlim_cur < wanted)
        notice("each process may hold %" PRIu64
               " descriptors, maxconnections is %" PRId64,
               (uint64_t)limit.rlim_cur, config->maxconnections);
}

void
place_drop_privileges(const struct config *config)
{
    struct buffer why = BUFFER_EMPTY;

    if (user_become(config, &why) < 0)
        die(EXIT_SYSTEM, "%s", buffer_text(&why));
    /* no_new_privs is not set here but by each child (lib/sandbox.c): the
       moderators' mail program could never get it back. */
}

static char *
run_path(const struct config *config, const char *name)
{
    return xasprintf("%s/%s", config->pathrun, name);
}

/* What the pid file says, for a message; 0 where it says nothing. */
static long
pid_read(int fd)
{
    char text[16] = "";
    ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

    return got > 0 ? strtol(text, NULL, 10) : 0;
}

static void __attribute__((noreturn))
die_of_other(const struct config *config, int fd)
{
    die(EXIT_SYSTEM, "another innd is running at %s (pid %ld)",
        config->pathrun, pid_read(fd));
}

void
place_check_other(const struct config *config)
{
    char *path = run_path(config, pid_name);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0) {
        if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
            die_of_other(config, fd);
        close(fd);
    }
    free(path);
}

/* Is path still the file that fd has open? */
static bool
file_is_same(int fd, const char *path)
{
    struct stat open_status;
    struct stat status;

    return fstat(fd, &open_status) == 0 && lstat(path, &status) == 0
           && open_status.st_dev == status.st_dev
           && open_status.st_ino == status.st_ino;
}

int
place_claim(const struct config *config)
{
    char *path = run_path(config, pid_name);
    char text[16];
    int length;
    int fd;

    for (;;) {
        fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
            sysdie(EXIT_SYSTEM, "pid file %s", path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno == EWOULDBLOCK)
                die_of_other(config, fd);
            sysdie(EXIT_SYSTEM, "pid file %s: lock", path);
        }
        /* The one before us may have removed it between the two calls. */
        if (file_is_same(fd, path))
            break;
        close(fd);
    }
    length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)length, 0) != length)
        sysdie(EXIT_SYSTEM, "pid file %s", path);
    free(path);
    return fd;
}

void
place_leave(const struct config *config, int pid_fd)
{
    for (size_t i = 0; i < sizeof(socket_names) / sizeof(*socket_names); i++) {
        char *path = run_path(config, socket_names[i]);

        if (unlink(path) < 0 && errno != ENOENT)
            syswarn("%s", path);
        free(path);
    }
    if (pid_fd >= 0) {
        char *path = run_path(config, pid_name);

        if (unlink(path) < 0 && errno != ENOENT)
            syswarn("%s", path);
        free(path);
        close(pid_fd);
    }
}
