/*
 * ballast -- space on the spool's disk that is given back in need.
 *
 * PATHSPOOL/ballast is a file of nothing.  New articles are refused long
 * before a disk is full; what still fills it then are other people's files,
 * and what suffers are the indices' logs, a writer that must begin a segment,
 * and expire, which alone could make room.  With the ballast gone they have
 * some.  Made again when there is room.
 */
#ifndef STORAGE_BALLAST_H
#define STORAGE_BALLAST_H

#include <stdbool.h>
#include <stdint.h>

#define BALLAST_NAME "ballast"

/* Is it there? */
bool ballast_is_there(int dir_fd);
/* Without one things go on as well: a failure is nobody's. */
void ballast_make(int dir_fd, uint64_t octets);
/* Give the space back.  False when there was none to give. */
bool ballast_release(int dir_fd);

#endif
