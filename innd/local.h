/*
 * local -- the socket in the file system that programs of this machine speak
 * NNTP on: PATHRUN/nntp.
 *
 * The kernel says who has connected (SO_PEERCRED), so nobody needs a password.
 * Whoever may enter pathrun may connect; root and the server's own user are
 * trusted with everything, others have the rights of an account of the name
 * "local:NAME" (nnrpd/access.h).
 */
#ifndef INND_LOCAL_H
#define INND_LOCAL_H

#include <stdbool.h>

struct event_base;
struct local;

struct local_user {
    char name[40]; /* "local:NAME"; of a user without one, his number */
    bool trusted;
};

/* Its socket is the callee's. */
typedef void local_client_func(void *context, int fd,
                               const struct local_user *user);

/* Takes over a listening socket. */
struct local *local_new(struct event_base *base, int fd,
                        local_client_func *client, void *context);
void local_free(struct local **local);
/* Begin or stop to accept; connections wait in the kernel meanwhile. */
void local_accept(struct local *local, bool accept);

#endif
