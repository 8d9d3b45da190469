#include "expire/interrupt.h"
#include "expire/newsstore_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "expire/newsstore.h"
#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/memory.h"
#include "lib/progress.h"

enum { PIECE_OCTETS = 1024 * 1024 };

static int
write_all(int fd, const char *octets, size_t length, uint64_t at)
{
    while (length > 0) {
        ssize_t written = pwrite(fd, octets, length, (off_t)at);

        if (written < 0)
            return -1;
        octets += written;
        length -= (size_t)written;
        at += (uint64_t)written;
    }
    return 0;
}

int
copy_octets(struct copy *copy, int in, int out, uint64_t from, uint64_t to,
            uint32_t *sum, struct buffer *why)
{
    char *piece = xmalloc(PIECE_OCTETS);
    int status = 0;

    while (status == 0 && from < to) {
        size_t wanted = to - from < PIECE_OCTETS ? (size_t)(to - from)
                                                 : (size_t)PIECE_OCTETS;
        ssize_t got = pread(in, piece, wanted, (off_t)from);

        if (interrupted)
            status = why_set(why, "interrupted");
        else if (got < 0)
            status = why_set_errno(why, "read");
        else if (got == 0)
            status = why_set(why, "the file ends at %llu, expected %llu",
                             (unsigned long long)from, (unsigned long long)to);
        else if (out >= 0 && write_all(out, piece, (size_t)got, from) < 0)
            status = why_set_errno(why, "write");
        if (status < 0)
            break;
        *sum = crc32c(*sum, piece, (size_t)got);
        from += (uint64_t)got;
        copy->done += (uint64_t)got;
        if (copy->progress != NULL)
            progress_update(copy->progress, copy->done);
    }
    free(piece);
    return status;
}

/* To a descriptor that is there. */
static int
copy_into(struct copy *copy, int in, const char *to, mode_t mode, uid_t uid,
          gid_t gid, uint64_t *octets_r, uint32_t *sum_r, struct buffer *why)
{
    int out =
        open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    struct stat st;
    int status = -1;

    *sum_r = 0;
    if (out < 0 || fstat(in, &st) < 0 || fchmod(out, mode) < 0
        || (uid != (uid_t)-1 && fchown(out, uid, gid) < 0))
        why_set_errno(why, "%s", to);
    else {
        *octets_r = (uint64_t)st.st_size;
        status = copy_octets(copy, in, out, 0, *octets_r, sum_r, why);
    }
    if (status == 0 && fsync(out) < 0)
        status = why_set_errno(why, "%s: fsync", to);
    if (out >= 0)
        close(out);
    return status;
}

int
copy_file(struct copy *copy, const char *from, const char *to, mode_t mode,
          uid_t uid, gid_t gid, uint64_t *octets_r, uint32_t *sum_r,
          struct buffer *why)
{
    struct buffer reason = BUFFER_EMPTY;
    int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int status;

    if (in < 0)
        return errno == ENOENT ? 1 : why_set_errno(why, "%s", from);
    status = copy_into(copy, in, to, mode, uid, gid, octets_r, sum_r, &reason);
    if (status < 0)
        why_set(why, "%s: %s", from, buffer_text(&reason));
    close(in);
    buffer_free(&reason);
    return status;
}

int
copy_sum(struct copy *copy, const char *path, uint64_t octets, uint32_t *sum_r,
         struct buffer *why)
{
    struct buffer reason = BUFFER_EMPTY;
    int in = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int status;

    *sum_r = 0;
    if (in < 0)
        return why_set_errno(why, "%s", path);
    status = copy_octets(copy, in, -1, 0, octets, sum_r, &reason);
    if (status < 0)
        why_set(why, "%s: %s", path, buffer_text(&reason));
    close(in);
    buffer_free(&reason);
    return status;
}
