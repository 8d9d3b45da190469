/*
 * writer -- the one process that changes the store.
 *
 * It takes submissions from the workers (a feed and a post socket each) and
 * from tools (PATHRUN/tools), decides, numbers and stores them
 * (storage/store.h), answers questions about message-IDs, and carries out the
 * commands of ctlinnd that change the store.  Every outcome it gives is of an
 * article on the disk, or of one that is refused.
 *
 * It ends when the master says so or is gone, and at once, without an answer
 * for what it has in hand, when the store is broken: the next writer recovers,
 * and the workers ask it again.
 */
#ifndef INND_WRITER_H
#define INND_WRITER_H

struct child_arguments;

/* The role; returns the exit status. */
int writer_run(const struct child_arguments *arguments);

#endif
