/*
 * password -- the password of a useradd or userpasswd: asked for at the
 * terminal, or read from a descriptor; never an argument, which anybody could
 * see.  It does not leave this process: what is sent is made of it.
 */
#ifndef CTLINND_PASSWORD_H
#define CTLINND_PASSWORD_H

#include <stdbool.h>

struct buffer;

/*
 * fd: where to read one line from; -1: ask twice at the terminal.  0 with the
 * hash and, where scram is asked for, a space and the SCRAM verifier, or -1
 * with why.
 */
int password_obtain(int fd, bool scram, struct buffer *secret,
                    struct buffer *why);

#endif
