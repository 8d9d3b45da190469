/*
 * newsimport_content -- octets of one file or archive member, read in pieces,
 * and the articles in them.
 *
 * What it holds is recognised by how it begins: "#! rnews LENGTH" is a
 * batch, "From " an mbox, a header field one article.  A file's compression,
 * and an archive around it, are the archive's concern (newsimport_archive.h):
 * a content is what is inside.
 */
#ifndef EXPIRE_NEWSIMPORT_CONTENT_H
#define EXPIRE_NEWSIMPORT_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/buffer.h"

/* As read(2): octets put, 0 at the end, -1 with why. */
typedef ssize_t content_read_func(void *context, char *octets, size_t size,
                                  struct buffer *why);

enum content_kind { CONTENT_ARTICLE = 1, CONTENT_RNEWS, CONTENT_MBOX };

struct content {
    content_read_func *read;
    void *context;
    struct buffer octets; /* read and not yet used up, from at on */
    size_t at;
    bool ended;             /* read() has said so */
    bool done;              /* nothing more will come out of it */
    enum content_kind kind; /* 0: not looked at yet */
};

void content_open(struct content *content, content_read_func *read,
                  void *context);
void content_close(struct content *content);

/*
 * Put the next article into text, which is cleared, as it stood in the file
 * (an mbox's ">From " has lost its ">").  Returns 1; 0 at the end; -1 with why
 * for something that is no article or cannot be read: the next call goes on
 * behind it, where that can be found.
 */
int content_next(struct content *content, struct buffer *text,
                 struct buffer *why);

/* Does a file that begins like this hold articles as they are, so that no
   archive needs to be asked? */
bool content_is_plain(const char *octets, size_t length);

#endif
