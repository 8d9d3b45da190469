/*
 * access -- who may do what.
 *
 * The one place that turns configuration and address into rights.  Evaluated
 * once, when a client connects; a reload changes nothing for those who are
 * already there.
 */
#ifndef NNRPD_ACCESS_H
#define NNRPD_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

struct config;

enum right {
    RIGHT_READ = 1 << 0,
    RIGHT_POST = 1 << 1,
    RIGHT_FEED = 1 << 2, /* IHAVE, CHECK, TAKETHIS */
    RIGHT_NEWNEWS = 1 << 3,
};

struct access {
    unsigned rights;
    bool login_helps; /* could AUTHINFO grant more?  480 then, not 502 */
    /* RIGHT_FEED only; owned, since a reload frees the configuration */
    char *peer;            /* its name */
    char *peer_newsgroups; /* wildmat of what it may send */
    uint32_t peer_number;  /* for the record head: from 1 */
};

void access_evaluate(struct access *access, const struct config *config,
                     const char *address);
void access_free(struct access *access);

#endif
