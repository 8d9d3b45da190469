/*
 * newsimport_source -- the articles under the PATHs of a command line, one
 * after the other, always in the same order.
 *
 * A PATH is a directory (walked in order of names, numbers by value; names
 * that begin with a dot and symbolic links are passed over), a file, or "-"
 * for standard input.  A file may be compressed, an archive (tar, cpio, zip),
 * an rnews batch (compressed too, as "#! cunbatch" and its like say), an mbox
 * or a single article; what it is, its content says.
 */
#ifndef EXPIRE_NEWSIMPORT_SOURCE_H
#define EXPIRE_NEWSIMPORT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct source;

/* Where an article stands; text is owned by the struct. */
struct source_position {
    int path;        /* which PATH, from 0 */
    char *file;      /* the file's name; NULL: the beginning */
    uint64_t member; /* of an archive, from 1; 0: a plain file */
    uint64_t index;  /* articles of this file or member before it */
};
void source_position_copy(struct source_position *copy,
                          const struct source_position *position);
void source_position_free(struct source_position *position);

/* paths is borrowed.  NULL with why when one of them is not there. */
struct source *source_open(int count, char *const *paths, struct buffer *why);
void source_close(struct source **source);
/* Go on from here; to be called before the first source_next(). */
void source_resume(struct source *source,
                   const struct source_position *position);

/*
 * The next article, as it stood in the file, in text (cleared first).  1; 0 at
 * the end; -1 with why for a file, or a part of one, that cannot be read or
 * is nothing that newsimport knows: the next call goes on behind it.
 */
int source_next(struct source *source, struct buffer *text,
                struct buffer *why);
/* Of what source_next() returned last; borrowed. */
const struct source_position *source_position(const struct source *source);
/* How that is called in a message: "FILE", "FILE: member", "FILE, article
   3". */
void source_name(const struct source *source, struct buffer *name);

/* Octets of files read so far, and in all; for a progress bar. */
uint64_t source_octets_read(const struct source *source);
uint64_t source_octets_total(const struct source *source);

#endif
