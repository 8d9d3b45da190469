/*
 * ahead -- the thread that does for a writer what can be done ahead of time.
 *
 * It makes the next segment ready, releases and closes the ones that were left
 * behind, and keeps the space directly behind the tail written with zeroes: an
 * fdatasync in space that was written before need not wait for the file
 * system's journal.  Batches never wait for any of it, but for a next segment
 * that is not there yet, and for a single piece of zeroes that is on its way
 * to the page cache just where they want to go.
 */
#ifndef STORAGE_SPOOL_AHEAD_H
#define STORAGE_SPOOL_AHEAD_H

#include <stddef.h>
#include <stdint.h>

struct ahead;
struct buffer;

/* dir_fd is borrowed.  Segments get segment_octets, less where there is no
   room for them, and this epoch. */
struct ahead *ahead_start(int dir_fd, uint64_t segment_octets, uint64_t epoch);
/* Ends the thread; a segment made and not taken is removed. */
void ahead_stop(struct ahead **ahead);

/* The next segment will have this number: make it. */
void ahead_prepare(struct ahead *ahead, uint32_t number);
/*
 * Take the one that was asked for, waiting while it is being made.  Returns
 * its descriptor, now the caller's, and its length; or -1 with why, and the
 * next call tries again.
 */
int ahead_take(struct ahead *ahead, uint64_t *octets_r, struct buffer *why);
/* Give it back, not used. */
void ahead_return(struct ahead *ahead, int fd);
/* A segment is left behind at end: release what is behind it, close it. */
void ahead_retire(struct ahead *ahead, int fd, uint64_t end);

/* The log goes on in this segment of so many octets, from offset tail on. */
void ahead_follow(struct ahead *ahead, uint32_t number, uint64_t octets,
                  uint64_t tail);
/* octets are about to be written from the tail on: keep out of their way. */
void ahead_writing(struct ahead *ahead, size_t octets);

#endif
