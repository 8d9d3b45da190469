/*
 * newsstore_copy -- octets from one file to another, summed on the way.
 */
#ifndef EXPIRE_NEWSSTORE_COPY_H
#define EXPIRE_NEWSSTORE_COPY_H

#include <stdint.h>
#include <sys/types.h>

struct buffer;
struct progress;

struct copy {
    struct progress *progress; /* NULL: none is shown */
    uint64_t done;             /* octets, of all copies */
};

/*
 * Read from `from` on to `to`, and write the same into out (-1: only sum it).
 * *sum goes on over what is read.  0; -1 with why, "interrupted" and a file
 * that ends before among the reasons.
 */
int copy_octets(struct copy *copy, int in, int out, uint64_t from, uint64_t to,
                uint32_t *sum, struct buffer *why);
/*
 * Copy a whole file to a new one of this mode, durable but for its name, for
 * this owner (-1: whoever we are).  0 with its length and sum; 1: there is no
 * such file; -1 with why.
 */
int copy_file(struct copy *copy, const char *from, const char *to, mode_t mode,
              uid_t uid, gid_t gid, uint64_t *octets_r, uint32_t *sum_r,
              struct buffer *why);
/* Length and sum of what is there. */
int copy_sum(struct copy *copy, const char *path, uint64_t octets,
             uint32_t *sum_r, struct buffer *why);

#endif
