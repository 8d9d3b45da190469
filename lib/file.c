#include "lib/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/memory.h"

int
file_replace(const char *path, const struct buffer *octets, struct buffer *why)
{
    char *made = xasprintf("%s.new", path);
    int fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                  0640);
    int status = -1;

    if (fd < 0)
        why_set_errno(why, "%s", made);
    else if (write(fd, octets->data, octets->used) != (ssize_t)octets->used)
        why_set_errno(why, "%s: write", made);
    else if (fdatasync(fd) < 0)
        why_set_errno(why, "%s: fdatasync", made);
    else if (rename(made, path) < 0)
        why_set_errno(why, "%s: rename", made);
    else
        status = 0;
    if (fd >= 0)
        close(fd);
    free(made);
    return status;
}
