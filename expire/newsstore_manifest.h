/*
 * newsstore_manifest -- what a backup consists of: DIR/manifest, a text.
 *
 * Its first line names the format, then one line each:
 *   made SECONDS             when
 *   sequence N               the store's last record in it
 *   directory NAME           DIR/NAME has what belongs into pathdb
 *   segment N OCTETS SUM     DIR/spool/N.seg: so many octets of it count
 *   file OCTETS SUM PATH     in that directory
 * N of a segment and SUM (crc32c) are in hexadecimal.  It is replaced as a
 * whole, last of all: what it names is complete.
 */
#ifndef EXPIRE_NEWSSTORE_MANIFEST_H
#define EXPIRE_NEWSSTORE_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

struct buffer;

struct manifest_segment {
    uint32_t number;
    uint32_t sum;
    uint64_t octets;
};
struct manifest_file {
    char *path; /* owned */
    uint64_t octets;
    uint32_t sum;
};

struct manifest {
    int64_t made;
    uint64_t sequence;
    char *directory; /* owned; NULL: none yet */
    struct manifest_segment *segments;
    size_t segment_count;
    struct manifest_file *files;
    size_t file_count;
};

/* 1 read, 0 there is none, -1 with why.  Release with manifest_free(). */
int manifest_read(struct manifest *manifest, const char *dir,
                  struct buffer *why);
int manifest_write(const struct manifest *manifest, const char *dir,
                   struct buffer *why);
void manifest_free(struct manifest *manifest);

void manifest_add_segment(struct manifest *manifest,
                          const struct manifest_segment *segment);
void manifest_add_file(struct manifest *manifest, const char *path,
                       uint64_t octets, uint32_t sum);
/* NULL when it is not in it. */
const struct manifest_segment *
manifest_find_segment(const struct manifest *manifest, uint32_t number);

#endif
