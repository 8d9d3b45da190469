/*
 * control -- PATHRUN/control, where ctlinnd asks.
 *
 * Who may: root, the user the server runs as, members of its group (the
 * socket's mode and SO_PEERCRED both say so).  Words of the store are sent on
 * to the writer, those about accounts to the auth process; while that is away
 * they wait for the next one, at most CONTROL_WAIT_SECONDS.  All others are
 * the master's.
 */
#ifndef INND_CONTROL_H
#define INND_CONTROL_H

#include <stddef.h>

struct admin_word;
struct buffer;
struct control;
struct event_base;
struct ipc;
struct ipc_frame;

enum {
    CONTROL_WAIT_SECONDS = 10,
    CONTROL_ASKERS_MAX = 64,
};

/*
 * Carry out a word of the master's.  word[0] is its name; the number of
 * arguments has been checked, and free text joined.  Returns ctlinnd's exit
 * status, with the text in answer.
 */
typedef unsigned control_func(void *context, const struct admin_word *what,
                              int words, const char *const *word,
                              struct buffer *answer);

/* fd: ipc_listen()'s. */
struct control *control_open(struct event_base *base, int fd,
                             control_func *func, void *context);
void control_close(struct control **control);

/* Who can be asked, beside the master. */
enum control_child { CONTROL_WRITER, CONTROL_AUTH, CONTROL_CHILDREN };

/* It serves: NULL when it has ended. */
void control_set_child(struct control *control, enum control_child child,
                       struct ipc *ipc);
/* Its IPC_REPLY. */
void control_child_reply(struct control *control,
                         const struct ipc_frame *frame);

#endif
