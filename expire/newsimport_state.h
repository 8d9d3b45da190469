/*
 * newsimport_state -- how far an import has come, in a file: for the one that
 * goes on after it was interrupted.
 */
#ifndef EXPIRE_NEWSIMPORT_STATE_H
#define EXPIRE_NEWSIMPORT_STATE_H

#include "expire/newsimport_source.h"

struct buffer;

struct state {
    char **paths; /* PATHs of the command line, absolute; owned */
    int count;
    struct source_position position;
};

/* Replaces the file as a whole.  0 or -1 with why. */
int state_write(const char *file, int count, char *const *paths,
                const struct source_position *position, struct buffer *why);
/* 0, or -1 with why: there is none, or it is something else.  Release with
   state_free(). */
int state_read(const char *file, struct state *state, struct buffer *why);
void state_free(struct state *state);

#endif
