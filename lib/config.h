/*
 * config -- renews.conf, read, checked, and handed on.
 *
 * Only the master, and a tool that runs without a server, reads the file; each
 * child gets the checked configuration as a sealed memfd.  Every key is a row
 * of one table (name, type, default, minimum, maximum, unit, what it is); the
 * check, the printed configuration and the manual page come from that table.
 * A key that INN has too keeps INN's name and unit.
 *
 * Strings and lists are owned by the struct config.  Every string is set:
 * "" where nothing was given.  Times end in _seconds, sizes in _octets; a key
 * without unit in its name has it in the table.
 */
#ifndef LIB_CONFIG_H
#define LIB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"
#include "lib/limit.h"

struct buffer;

/* For which clients an access section is, by what carries their octets. */
enum access_tls { ACCESS_TLS_ANY, ACCESS_TLS_YES, ACCESS_TLS_NO };
enum access_level { ACCESS_NONE, ACCESS_READ, ACCESS_POST };
/* How a connection to a peer becomes TLS. */
enum peer_tls { PEER_TLS_NONE, PEER_TLS_STARTTLS, PEER_TLS_IMPLICIT };
/* Whose certificates and keys a child is given. */
enum config_keys { CONFIG_KEYS_NONE, CONFIG_KEYS_SERVER, CONFIG_KEYS_PEERS };
/* Where a password may cross a connection as it is. */
enum plaintext_level { PLAINTEXT_NEVER, PLAINTEXT_LOCAL, PLAINTEXT_ALWAYS };

/* One certificate "NAME" { ... } section: a further certificate of ours, for
   the names in it (SNI). */
struct config_certificate {
    char *name;
    char *tlscertfile;
    char *tlskeyfile;
};

/* A file with certificates, or a key, as it was read: see
   lib/config_credentials.h. */
struct config_credential;
/* Where in the file a value stands that is looked into later. */
struct config_origin;

/* One peer "NAME" { ... } section. */
struct config_peer {
    char *name;
    char **addresses; /* addresses and CIDR networks that may feed us */
    size_t address_count;
    char **certificates; /* names or fingerprints of certificates that may */
    size_t certificate_count;
    char *newsgroups;       /* wildmat of what it may send; "*" */
    int64_t maxconnections; /* kept free for it, all addresses together */
    /* what the feeder does, where there is a host (feeder/) */
    char *host; /* "": we neither push to it nor pull from it */
    int64_t port;
    char *push;           /* wildmat of what we send it; "!*": nothing */
    char *pull;           /* wildmat of the groups that we fetch; "!*": none */
    int64_t pullinterval; /* seconds */
    char **exclude;       /* names in Path that keep an article from it */
    size_t exclude_count;
    int64_t maxsize; /* octets of an article that is sent; 0: any */
    int64_t connections;
    bool streaming;
    bool backlog;            /* a new peer gets what is here already */
    int64_t responsetimeout; /* seconds */
    int64_t tls;             /* enum peer_tls */
    char *tlsname;           /* in its certificate; "": host */
    char *tlscafile;         /* who may vouch for it; "": the system's */
    char *tlscapath;
    char **tlspins; /* fingerprints, one of which must be its own */
    size_t tlspin_count;
    char *tlscertfile; /* ours, shown to it; "": none */
    char *tlskeyfile;
    char *username; /* "": no AUTHINFO */
    char *password;
};

/* One access "NAME" { ... } section: what the clients it is for may do.  The
   last section that is for a client decides (nnrpd/access.h). */
struct config_access {
    char *name;
    char **addresses; /* none: from anywhere */
    size_t address_count;
    char **users; /* patterns of account names; none: logged in or not */
    size_t user_count;
    int64_t tls;         /* enum access_tls */
    char **certificates; /* names or fingerprints; none: any, and none */
    size_t certificate_count;
    char *readable; /* wildmats; "!*": none */
    char *postable;
    char *approvable;
    char *feedable;
    bool peer; /* may send articles as a peer does */
    /* for each account, or address where nobody has logged in; 0: what the
       top of the file says */
    int64_t maxconnections;
    int64_t limits[LIMIT_KINDS];
    int64_t localmaxartsize;
};

/* A file that is named in the configuration, and travels with it. */
struct config_file {
    char *path;    /* "": none */
    char *text;    /* its octets, a NUL behind them; NULL: none, or it was not
                      read (config_read_files()) */
    size_t octets; /* of text */
};

/* One expire "WILDMAT" { ... } section.  The last one that matches a group
   decides how long articles stay in it (expire/expire_rules.h); never is
   CONFIG_NEVER. */
struct config_expire {
    char *pattern;
    int64_t keep_seconds;    /* without an Expires header field */
    int64_t minimum_seconds; /* with one: at least, */
    int64_t maximum_seconds; /* at the most */
};
#define CONFIG_NEVER INT64_MAX

struct config {
    uint64_t generation; /* raised by the master at each reload that changed
                            something; 1 at first */
    char **files;        /* that it was read from: the file, what it includes,
                            and what config_read_files() read */
    size_t file_count;
    /* who we are */
    char *pathhost;     /* the name in Path; found from the host name, or
                           "news.invalid" where there is none better */
    char *organization; /* for posts without one; "" none */
    char *complaints;   /* mail-complaints-to in Injection-Info; "" none */
    bool addinjectionpostinghost;
    bool addinjectionpostingaccount;
    bool hashinjectioninfo; /* both as a hash that says nothing */
    char *pathalias;        /* "": none */
    char *pathcluster;
    bool pathdiagnostics;
    bool strippath;
    bool strippostcc;
    bool nnrpdauthsender;
    char *fromhost; /* "": pathhost */
    /* where we are heard */
    char **listen; /* addresses; default "0.0.0.0" and "::" */
    size_t listen_count;
    int64_t port;     /* 119 */
    int64_t tls_port; /* NNTP over TLS from the first octet; 0: none */
    /* TLS (lib/tls_context.h) */
    char *tlscertfile; /* "": no TLS */
    char *tlskeyfile;
    char *tlscafile; /* neither it nor tlscapath: no certificates of clients
                        are asked for */
    char *tlscapath;
    char **tlsprotocols;
    size_t tlsprotocol_count;
    char *tlsciphers;                        /* of TLS 1.2 */
    char *tlsciphersuites;                   /* of TLS 1.3 */
    struct config_certificate *certificates; /* beside the one above */
    size_t certificate_count;
    struct config_credential *credentials; /* lib/config_credentials.h */
    size_t credential_count;
    struct config_origin *origins;
    size_t origin_count;
    /* the bridge for browsers */
    int64_t http_port;  /* 0: no bridge */
    int64_t ws_port;    /* a second port of it, 0: none */
    char **http_listen; /* addresses; default "127.0.0.1" */
    size_t http_listen_count;
    char **http_hosts; /* names that browsers call us */
    size_t http_host_count;
    char **http_origins; /* further pages that may use it */
    size_t http_origin_count;
    char **http_proxies; /* whose word about a client's address counts */
    size_t http_proxy_count;
    char *pathweb; /* the page's files; "" those of the installation */
    /* where things are */
    char *pathspool;    /* segments */
    char *pathdb;       /* history, and what else is the store's state */
    char *pathoverview; /* the overview's own directory */
    char *pathrun;      /* sockets, pid */
    char *runasuser;    /* "" : stay who we are */
    char *runasgroup;
    char *overview;          /* "sqlite" or "postgresql://..." */
    char *accounts;          /* the same */
    char **accounts_sources; /* "database", "pam", "helper" */
    size_t accounts_source_count;
    char *pam_service;     /* a name, or the path of a service's file */
    int64_t pam_role;      /* enum account_role, less one */
    char *accounts_helper; /* the program; "" none */
    /* files that come along (lib/listing.h) */
    struct config_file motd;
    struct config_file subscriptions;
    struct config_file distributions;
    struct config_file distrib_pats;
    struct config_file moderators;
    struct config_file canlockuserfile; /* secrets (lib/canlock.h) */
    struct config_file canlockadminfile;
    char *moderatormailer;   /* "": none but those of moderators */
    char *mta;               /* the command that mails */
    int64_t moderationretry; /* seconds */
    /* how many */
    int64_t workers;        /* 0: two for each core */
    int64_t maxconnections; /* whole server */
    int64_t maxconnections_per_address;
    int64_t maxconnections_per_network;        /* 0: any number */
    int64_t maxconnections_per_user;           /* 0: any number */
    int64_t limits[LIMIT_KINDS][LIMIT_SCOPES]; /* lib/limit.h; 0: none */
    int64_t worker_memory_octets; /* of its own; above it is replaced */
    int64_t groups_max;           /* room in the table of groups; restart */
    /* articles */
    int64_t artcutoff;       /* days, 0: no limit */
    int64_t maxartsize;      /* octets, relayed */
    int64_t localmaxartsize; /* octets, posted */
    bool remembertrash;      /* the IDs of refused articles too */
    char **group_sizes;      /* "WILDMAT:OCTETS", config_group_octets_max() */
    size_t group_size_count;
    /* INN's back-off (lib/limit.h) */
    int64_t backoffpostfast;
    int64_t backoffpostslow;
    int64_t backofftrigger;
    int64_t backoffk;
    char *acceptdistributions; /* wildmat */
    char **exclude;            /* names in Path that keep an article out */
    size_t exclude_count;
    bool wanttrash;
    bool verifygroups;
    int64_t docancels;      /* enum canlock_policy */
    int64_t addcanlockuser; /* enum canlock_user */
    /* time-outs, seconds */
    int64_t initialtimeout;
    int64_t clienttimeout;
    /* the store */
    int64_t segment_octets;
    int64_t history_cache_octets;
    int64_t overview_cache_octets;
    /* who may do what */
    enum access_level anonymous; /* clients that match no peer too */
    bool allownewnews;
    int64_t plaintext_login; /* enum plaintext_level */
    struct config_peer *peers;
    size_t peer_count;
    struct config_access *accesses; /* in the order of the file */
    size_t access_count;
    /* how long articles stay */
    struct config_expire *expires; /* in the order of the file */
    size_t expire_count;
    int64_t remember_seconds; /* the IDs of articles that expired */
    /* logging */
    bool syslog;
    int64_t log_level; /* enum log_level */
};

/* Read and check a file (and what it includes).  NULL with "FILE:LINE: KEY:
   found ..., expected ..." in why.  Release with config_free(). */
struct config *config_load(const char *path, struct buffer *why);
/* The same from text in memory; name stands for the file in messages. */
struct config *config_parse(const char *name, const char *text,
                            struct buffer *why);
/*
 * Read the files that it names, and check them; for the master alone, which
 * hands their text on.  0, or -1 with "FILE:LINE: found ..., expected ..." or
 * why one cannot be read.
 */
int config_read_files(struct config *config, struct buffer *why);
void config_free(struct config **config);

/* All keys with their values, in the syntax of the file. */
void config_print(const struct config *config, struct buffer *text);
void config_print_peer(const struct config_peer *peer, struct buffer *text);
/* NULL when there is none of this name. */
const struct config_peer *config_find_peer(const struct config *config,
                                           const char *name);
/* The longest article that a group takes: the last of group_sizes that matches
   its name, else SIZE_MAX. */
size_t config_group_octets_max(const struct config *config, const char *name,
                               size_t octets);
/* A sealed memfd with the configuration for a child, close-on-exec; the
   caller closes it.  Dies when the system gives none. */
int config_to_memfd(const struct config *config, enum config_keys keys);
/* What config_to_memfd() wrote; closes fd.  NULL with the reason in why. */
struct config *config_from_memfd(int fd, struct buffer *why);

/*
 * Name every key whose value differs, one a line, in changed; those that only
 * a restart can change (listen, port, user, paths, workers, groups_max) in
 * restart instead.  A file whose contents differ is named by the key that
 * names it.  Returns how many differ.
 */
size_t config_compare(const struct config *old, const struct config *new,
                      struct buffer *changed, struct buffer *restart);
/* Put old's values back where only a restart can change them: a reload must
   not give a child that starts later other paths than its siblings have. */
void config_keep(struct config *config, const struct config *old);

/* The table as text: "roff" rows for the manual page, or a commented sample.
 */
void config_print_manual(struct buffer *roff);
void config_print_sample(struct buffer *text);

#endif
