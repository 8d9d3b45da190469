/*
 * disk-shim -- a disk that is slow, or fails, as a test says.
 *
 * Preloaded into a server.  RENEWS_DISK_MS: each fdatasync and fsync takes at
 * least so many milliseconds.  While a file "fails" lies beside them, those of
 * the spool's segments fail with EIO; with a file "fails-once" the next one
 * does, and removes it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Is it a segment, with such a file beside it? */
static bool
fails(int fd)
{
    static const char mark[] = "fails", once[] = "fails-once";
    char link[64];
    char path[4096];
    ssize_t length;
    char *name;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - sizeof(once));
    if (length < 4
        || (memcmp(path + length - 4, ".seg", 4) != 0
            && memcmp(path + length - 4, ".new", 4) != 0))
        return false;
    path[length] = '\0';
    name = strrchr(path, '/') + 1;
    memcpy(name, once, sizeof(once));
    if (unlink(path) == 0)
        return true;
    memcpy(name, mark, sizeof(mark));
    return access(path, F_OK) == 0;
}

static void
take_time(void)
{
    const char *ms = getenv("RENEWS_DISK_MS");
    struct timespec disk = {0};

    if (ms == NULL)
        return;
    disk.tv_nsec = strtol(ms, NULL, 10) * 1000000;
    nanosleep(&disk, NULL);
}

static int
sync_after(int fd, const char *name)
{
    int (*call)(int) = dlsym(RTLD_NEXT, name);

    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    take_time();
    return call(fd);
}

int
fdatasync(int fd)
{
    return sync_after(fd, "fdatasync");
}

int
fsync(int fd)
{
    return sync_after(fd, "fsync");
}
