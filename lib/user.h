/*
 * user -- who the server's processes run as: runasuser and runasgroup, which
 * root becomes; anybody else stays who he is.
 */
#ifndef LIB_USER_H
#define LIB_USER_H

#include <sys/types.h>

struct buffer;
struct config;

/* 1 with the user and group that we are to become, 0 when we stay who we are,
   -1 with why when there is no such user or group. */
int user_find(const struct config *config, uid_t *uid_r, gid_t *gid_r,
              struct buffer *why);
/* Become that user for good, where there is one to become.  0, or -1 with
   why; then we may be half way and should exit. */
int user_become(const struct config *config, struct buffer *why);

#endif
