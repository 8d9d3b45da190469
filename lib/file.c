#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/memory.h"

enum { READ_OCTETS = 64 * 1024 };

static int
descriptor_read(int fd, size_t octets_max, struct buffer *text)
{
    size_t before = text->used;

    for (;;) {
        ssize_t got = read(fd, buffer_reserve(text, READ_OCTETS), READ_OCTETS);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        buffer_used(text, (size_t)got);
        if (text->used - before > octets_max) {
            errno = EFBIG;
            return -1;
        }
    }
}

int
file_read(const char *path, int flags, size_t octets_max, struct buffer *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    int status, error;

    if (fd < 0)
        return -1;
    status = descriptor_read(fd, octets_max, text);
    error = errno;
    (void)close(fd); /* nothing was written to it */
    errno = error;
    return status;
}

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
