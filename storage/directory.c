#include "storage/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/buffer.h"

int
directory_sync(const char *path, struct buffer *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = 0;

    if (fd < 0 || fsync(fd) < 0)
        result = why_set_errno(why, "cannot sync %s", path);
    if (fd >= 0)
        close(fd);
    return result;
}

int
directory_remove(const char *path, struct buffer *why)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int status = 0;

    if (dir == NULL)
        return errno == ENOENT ? 0 : why_set_errno(why, "%s", path);
    while (status == 0 && (errno = 0, entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0
            && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
            status = why_set_errno(why, "%s/%s", path, entry->d_name);
    if (status == 0 && errno != 0)
        status = why_set_errno(why, "%s", path);
    closedir(dir);
    if (status == 0 && rmdir(path) < 0)
        status = why_set_errno(why, "%s", path);
    return status;
}
