/*
 * rows -- which articles OVER, HDR and their older forms are about, and the
 * walk over them.
 *
 * The argument is a message-ID, a range, or nothing (the current article); the
 * answers when there is none of them differ from command to command.
 */
#ifndef NNRPD_ROWS_H
#define NNRPD_ROWS_H

#include <stdbool.h>
#include <stdint.h>

struct session;

struct rows {
    const char *id; /* NULL: by number; points into the argument */
    uint32_t group;
    uint64_t low; /* low > high: nothing */
    uint64_t high;
    bool current; /* no argument: 420 when it is gone */
};

/*
 * Understand the argument (NULL: none was given).  False: an error was
 * replied: 412 no group, 420 no current article, 430 a bad ID, 501 neither.
 */
bool rows_parse(struct rows *rows, struct session *session,
                const char *argument);

#endif
