/*
 * directories -- the four places of a server: pathrun, pathdb, pathspool,
 * pathoverview.
 */
#ifndef LIB_DIRECTORIES_H
#define LIB_DIRECTORIES_H

#include "lib/log.h" /* enum exit_status */

struct buffer;
struct config;

/*
 * Make those that are missing, with what leads to them; root makes them for
 * the user the server becomes (lib/user.h).  0, or -1 with why, which names
 * key and path, and what a program should exit with in *status_r.
 */
int directories_make(const struct config *config, enum exit_status *status_r,
                     struct buffer *why);
/* Can we, as who we are now, read and write there?  As above. */
int directories_check(const struct config *config, enum exit_status *status_r,
                      struct buffer *why);

#endif
