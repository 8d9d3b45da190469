/*
 * newsimport_archive -- one file as a run of members: an archive's, or just
 * the one that is in it, decompressed.
 *
 * A plain text file is read as it is.  Anything else goes through libarchive:
 * gzip, bzip2, xz, zstd, lzip, lz4 and compress, around tar, cpio, zip or
 * nothing; and behind the first line of a compressed rnews batch ("#!
 * cunbatch").
 */
#ifndef EXPIRE_NEWSIMPORT_ARCHIVE_H
#define EXPIRE_NEWSIMPORT_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct archive_file;
struct buffer;

/* NULL with why.  "-" is standard input. */
struct archive_file *archive_file_open(const char *path, struct buffer *why);
void archive_file_close(struct archive_file **file);

/* Go to the next member.  1; 0 at the end; -1 with why, and that is the end
   too. */
int archive_file_next(struct archive_file *file, struct buffer *why);
/* The member's name, "" where the file is no archive; its number from 1, 0
   for a plain file's only one. */
const char *archive_file_name(const struct archive_file *file);
uint64_t archive_file_member(const struct archive_file *file);
/* A content_read_func of the member; context is the struct archive_file. */
ssize_t archive_file_read(void *context, char *octets, size_t size,
                          struct buffer *why);
/* Octets of the file itself that were read so far. */
uint64_t archive_file_octets(const struct archive_file *file);

#endif
