#include "storage/ballast.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"

enum { BALLAST_MODE = 0640 };

bool
ballast_is_there(int dir_fd)
{
    struct stat status;

    return fstatat(dir_fd, BALLAST_NAME, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

void
ballast_make(int dir_fd, uint64_t octets)
{
    int fd = openat(dir_fd, BALLAST_NAME,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    BALLAST_MODE);
    bool made = fd >= 0 && fallocate(fd, 0, 0, (off_t)octets) == 0;

    if (fd >= 0)
        close(fd);
    /* An empty one would say that there is something to give. */
    if (fd >= 0 && !made && unlinkat(dir_fd, BALLAST_NAME, 0) < 0)
        syswarn("spool: " BALLAST_NAME " cannot be removed");
}

bool
ballast_release(int dir_fd)
{
    if (unlinkat(dir_fd, BALLAST_NAME, 0) == 0) {
        warn("spool: the disk is full: the ballast is given back, so that"
             " room can be made");
        return true;
    }
    if (errno != ENOENT)
        syswarn("spool: " BALLAST_NAME " cannot be removed");
    return false;
}
