/*
 * directory -- what is done to directories of plain files.
 */
#ifndef STORAGE_DIRECTORY_H
#define STORAGE_DIRECTORY_H

struct buffer;

/* All return 0, or -1 with why. */
/* Make what was renamed or removed in it durable. */
int directory_sync(const char *path, struct buffer *why);
/* Remove its files, then itself; one that is not there is as good. */
int directory_remove(const char *path, struct buffer *why);

#endif
