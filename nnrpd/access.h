/*
 * access -- who may do what.
 *
 * The one place that turns configuration, address and account into rights.
 * Evaluated when a client connects, when it has logged in, and before its next
 * command when a reload has changed the configuration.
 *
 * The rights are, in this order:
 *  1. without an account, what `anonymous` says; with one, its role's;
 *  2. feeding, where the address is a peer section's, or the role peer;
 *  3. the last access section that is for this address and account: which
 *     groups it may read and post to, and whether it may feed.  It gives these
 *     rights to who has not logged in, whatever `anonymous` says; to who has,
 *     it gives reading and posting within his role, and feeding in any case.
 * A web page (a client of the bridge) never feeds, whatever address its
 * browser has and whoever logs in there: a page that feeds is no peer of
 * anybody's.
 */
#ifndef NNRPD_ACCESS_H
#define NNRPD_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/limit.h"

struct active;
struct config;
struct record;
struct tls_identity;

enum right {
    RIGHT_READ = 1 << 0,
    RIGHT_POST = 1 << 1,
    RIGHT_FEED = 1 << 2, /* IHAVE, CHECK, TAKETHIS */
    RIGHT_NEWNEWS = 1 << 3,
    RIGHT_APPROVE = 1 << 4, /* post with Approved */
};

/* All strings are owned, since a reload frees the configuration. */
struct access {
    unsigned rights;
    char *user;     /* the account; NULL: not logged in */
    char *readable; /* wildmats; NULL: every group */
    char *postable;
    /* RIGHT_FEED only */
    char *peer;            /* its name */
    char *peer_newsgroups; /* wildmat of what it may send */
    uint32_t peer_number;  /* for the record head: from 1; 0: no section */
    /* what its section says of limits; 0: what the top of the file says */
    int64_t maxconnections;
    int64_t limits[LIMIT_KINDS];
    int64_t localmaxartsize;
};

/* Who asks. */
struct access_client {
    const char *address;
    bool is_page;                           /* came by the bridge */
    bool secure;                            /* its octets are encrypted */
    const struct tls_identity *certificate; /* NULL: it has shown none */
    const char *user; /* NULL: not logged in; else role is lib/account.h's */
    unsigned role;
};

/* Replaces what access held, which must be zeroes at first. */
void access_evaluate(struct access *access, const struct config *config,
                     const struct access_client *client);
void access_free(struct access *access);

/* May it read, or post to, a group of this name? */
bool access_reads_group(const struct access *access, const char *name,
                        size_t octets);
bool access_posts_to_group(const struct access *access, const char *name,
                           size_t octets);
/* May it read an article that is in these groups: in one of them at least? */
bool access_reads_record(const struct access *access,
                         const struct active *active,
                         const struct record *record);

#endif
