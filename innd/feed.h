/*
 * feed -- the master's side of feeders: which peers have one, and what ctlinnd
 * asks about them.
 *
 * The last PROCESS_FEEDERS_MAX rows of the table of processes are feeders',
 * one for each peer of the configuration that has a host; a row without a peer
 * is free.
 */
#ifndef INND_FEED_H
#define INND_FEED_H

struct buffer;
struct master;
struct process;

/* Give each peer with a host its feeder, and end those of peers that have
   gone: once the writer serves, and after each reload. */
void feeds_update(struct master *master);
/* A feeder has ended: is it to be started again?  Frees its row when not. */
int feed_ended(struct master *master, struct process *process);

/* ctlinnd feedinfo, begin, drop; 0 or an exit status. */
unsigned feeds_print(struct master *master, const char *peer,
                     struct buffer *answer);
unsigned feed_begin(struct master *master, const char *peer,
                    struct buffer *answer);
unsigned feed_drop(struct master *master, const char *peer,
                   struct buffer *answer);

#endif
