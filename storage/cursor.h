/*
 * cursor -- how far somebody has read the log, in a file: a feeder for its
 * peer, the queue of the moderators.
 *
 * Two slots with sums are written in turn, without sync: what a death or a
 * power cut leaves is one of the last two.  It may lag behind what the peer
 * has answered, and then articles are offered to it twice; it never leads, for
 * it is only written once all before it is answered, or is in the file of the
 * deferred ones.
 */
#ifndef STORAGE_CURSOR_H
#define STORAGE_CURSOR_H

#include "storage/log_reader.h"

struct buffer;
struct cursor;

/* Opens or makes the file.  NULL with why. */
struct cursor *cursor_open(const char *path, struct buffer *why);
void cursor_close(struct cursor **cursor);

/* 1 and what was written last, 0 when nothing ever was (or nothing that
   sums). */
int cursor_read(const struct cursor *cursor, struct log_position *position_r);
/* Does nothing when it is what was written last.  0 or -1 with why. */
int cursor_write(struct cursor *cursor, const struct log_position *position,
                 struct buffer *why);

#endif
