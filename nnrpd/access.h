/*
 * access -- who may do what.
 *
 * The one place that turns configuration, address, certificate and account
 * into rights.  Evaluated when a client connects, when its connection is
 * encrypted, when it has logged in, and before its next command when any of
 * what it is made of has changed (nnrpd/session.h: session_evaluate()).
 *
 * The rights are, in this order:
 *  1. without an account, what `anonymous` says; with one, its role's.  Who
 *     comes over the local socket has the name "local:NAME" without having
 *     logged in: a trusted one (root, the server's user) may do anything,
 *     whatever follows; others what `anonymous` says;
 *  2. feeding, where the address is a peer section's, or the role peer;
 *  3. the last access section that is for this client: which groups it may
 *     read, post to and approve, and whether it may feed.  It gives these
 *     rights to who has not logged in, whatever `anonymous` says; to who has,
 *     it gives reading and posting within his role, and feeding in any case.
 * A web page (a client of the bridge) never feeds, whatever address its
 * browser has and whoever logs in there: a page that feeds is no peer of
 * anybody's.
 *
 * Approved (RFC 5536, 3.2.1) is believed from a moderator for the groups that
 * his account moderates, from an admin for all, and from whom a section lets
 * approve; and only where he may post.
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
    RIGHT_APPROVE = 1 << 4, /* post with Approved, to some group at least */
};

/* Whom to decide about.  All is borrowed. */
struct access_client {
    const char *address;                    /* numeric */
    bool is_page;                           /* came by the bridge */
    bool secure;                            /* its octets are encrypted */
    const struct tls_identity *certificate; /* NULL: it has shown none */
    const char *user;      /* the account; NULL: not logged in */
    unsigned role;         /* the account's (lib/account.h), or of enum
                              access_local */
    const char *moderates; /* the account's wildmat, of role moderator */
};

/* What "local:NAME" has in place of an account's role. */
enum access_local {
    ACCESS_LOCAL = 100,
    ACCESS_LOCAL_TRUSTED,
};

/* All strings are owned, since a reload frees the configuration. */
struct access {
    unsigned rights;
    char *user;     /* the account; NULL: not logged in */
    char *readable; /* wildmats; NULL: every group */
    char *postable;
    char *moderates;  /* wildmats; NULL: no group */
    char *approvable; /* by the section */
    /* RIGHT_FEED only */
    char *peer;            /* its name */
    char *peer_newsgroups; /* wildmat of what it may send */
    uint32_t peer_number;  /* for the record head: from 1; 0: no section */
    /* what its section says of limits; 0: what the top of the file says */
    int64_t maxconnections;
    int64_t limits[LIMIT_KINDS];
    int64_t localmaxartsize;
};

/* Replaces what access held, which must be zeroes at first. */
void access_evaluate(struct access *access, const struct config *config,
                     const struct access_client *client);
void access_free(struct access *access);

/* May it read, post to, or approve in, a group of this name? */
bool access_reads_group(const struct access *access, const char *name,
                        size_t octets);
bool access_posts_to_group(const struct access *access, const char *name,
                           size_t octets);
bool access_approves_group(const struct access *access, const char *name,
                           size_t octets);
/* May it read an article that is in these groups: in one of them at least? */
bool access_reads_record(const struct access *access,
                         const struct active *active,
                         const struct record *record);

#endif
