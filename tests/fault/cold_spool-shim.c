/*
 * cold_spool-shim -- makes the spool as slow as a disk that was never read.
 *
 * Preloaded into a server; only nnrpd is touched (INN's has the same name, and
 * tests/bench/inn calls its buffer "one").  preadv2() with RWF_NOWAIT on a
 * segment says EAGAIN, as if nothing were in the page cache, and a plain
 * read of one takes 20 ms.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static bool
path_ends(const char *link, const char *end)
{
    char path[4096];
    ssize_t length = readlink(link, path, sizeof(path));

    return length >= (ssize_t)strlen(end)
           && memcmp(path + length - strlen(end), end, strlen(end)) == 0;
}

static bool
is_cold(int fd)
{
    static int in_nnrpd = -1;
    char link[64];

    if (in_nnrpd < 0)
        in_nnrpd = path_ends("/proc/self/exe", "/nnrpd");
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    return in_nnrpd == 1
           && (path_ends(link, ".seg") || path_ends(link, "/articles/one"));
}

static void
take_time(int fd)
{
    static const struct timespec disk = {.tv_nsec = 20 * 1000 * 1000};

    if (is_cold(fd))
        nanosleep(&disk, NULL);
}

static void *
next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* The C library has each call under two names, and with -D_FORTIFY_SOURCE
   reads have a third. */
ssize_t
pread64(int fd, void *octets, size_t size, off64_t offset)
{
    ssize_t (*call)(int, void *, size_t, off64_t) = next("pread64");

    take_time(fd);
    return call(fd, octets, size, offset);
}

ssize_t
pread(int fd, void *octets, size_t size, off_t offset)
{
    return pread64(fd, octets, size, offset);
}

ssize_t __pread64_chk(int fd, void *octets, size_t size, off64_t offset,
                      size_t room);
ssize_t
__pread64_chk(int fd, void *octets, size_t size, off64_t offset, size_t room)
{
    (void)room; /* checked in the build without the shim */
    return pread64(fd, octets, size, offset);
}

ssize_t __pread_chk(int fd, void *octets, size_t size, off_t offset,
                    size_t room);
ssize_t
__pread_chk(int fd, void *octets, size_t size, off_t offset, size_t room)
{
    (void)room; /* as above */
    return pread64(fd, octets, size, offset);
}

ssize_t
preadv64v2(int fd, const struct iovec *pieces, int count, off64_t offset,
           int flags)
{
    ssize_t (*call)(int, const struct iovec *, int, off64_t, int) =
        next("preadv64v2");

    if ((flags & RWF_NOWAIT) != 0 && is_cold(fd)) {
        errno = EAGAIN;
        return -1;
    }
    take_time(fd);
    return call(fd, pieces, count, offset, flags);
}

ssize_t
preadv2(int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
    return preadv64v2(fd, pieces, count, offset, flags);
}

ssize_t
preadv64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
    return preadv64v2(fd, pieces, count, offset, 0);
}

ssize_t
preadv(int fd, const struct iovec *pieces, int count, off_t offset)
{
    return preadv64v2(fd, pieces, count, offset, 0);
}
