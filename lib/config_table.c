#include "lib/config_table.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/canlock.h"
#include "lib/config.h"
#include "lib/memory.h"
#include "lib/wildmat.h"

#define MEMBER(type, member)                                                  \
    .offset = offsetof(struct type, member),                                  \
    .octets = sizeof(((struct type *)NULL)->member)
#define LIST(type, member, count)                                             \
    MEMBER(type, member), .count_offset = offsetof(struct type, count)

/* A limit of lib/limit.h. */
#define RATE(key, kind_of, scope, unit_of, what)                              \
    {                                                                         \
        key, KIND_NUMBER, MEMBER(config, limits[kind_of][scope]),             \
            .fallback = "0", .minimum = 0, .maximum = RATE_MAX,               \
            .unit = unit_of, .text = what ".  0: any number."                 \
    }
#define SECTION_RATE(key, kind_of, unit_of, what)                             \
    {                                                                         \
        key, KIND_NUMBER, MEMBER(config_access, limits[kind_of]),             \
            .fallback = "0", .minimum = 0, .maximum = RATE_MAX,               \
            .unit = unit_of,                                                  \
            .text = what "; 0: what " key "_per_user or _per_address says."   \
    }
#define RATE_MAX INT64_C(1000000000000000)

enum { MIB = 1024 * 1024, DAYS_MAX = 36500, SECONDS_PER_DAY = 86400 };
#define GIB (INT64_C(1024) * MIB)

static const char *const access_words[] = {"none", "read", "post", NULL};
static const char *const plaintext_words[] = {"never", "local", "always",
                                              NULL};
static const char *const peer_tls_words[] = {"none", "starttls", "implicit",
                                             NULL};
static const char *const protocol_words[] = {"TLSv1.2", "TLSv1.3", NULL};
/* As enum canlock_policy has them. */
static const char *const cancel_words[] = {"require-auth", "auth", "none",
                                           "all", NULL};
static const char *const canlock_words[] = {"username", "ip", "none", NULL};
static const char *const source_words[] = {"database", "pam", "helper", NULL};
/* In the order of enum account_role. */
static const char *const role_words[] = {"reader", "poster", "moderator",
                                         "admin",  "peer",   NULL};
static const char *const tls_words[] = {"any", "yes", "no", NULL};
static const char *const level_words[] = {"warn", "notice", "debug", NULL};

/* In the order of the manual page and of the sample. */
const struct config_row config_rows[] = {
    {"pathhost", KIND_PATHHOST, MEMBER(config, pathhost), .fallback = "",
     .text = "The name of this server in Path and Xref; where it is not "
             "given, the host name if that has a dot, else news.invalid."},
    {"organization", KIND_TEXT, MEMBER(config, organization), .fallback = "",
     .text = "Organization of posts that bring none; empty adds none."},
    {"complaints", KIND_WORD, MEMBER(config, complaints), .fallback = "",
     .text = "Mail address for complaints, shown in Injection-Info; empty "
             "shows none."},
    {"addinjectionpostinghost", KIND_FLAG,
     MEMBER(config, addinjectionpostinghost), .fallback = "true",
     .text = "Does Injection-Info show the address of the poster's host."},
    {"addinjectionpostingaccount", KIND_FLAG,
     MEMBER(config, addinjectionpostingaccount), .fallback = "false",
     .text = "Does Injection-Info show the account of who has logged in."},
    {"hashinjectioninfo", KIND_FLAG, MEMBER(config, hashinjectioninfo),
     .fallback = "false",
     .text = "Does Injection-Info show address and account as hashes under a "
             "secret of this server's: two posts of one person can be told "
             "from those of others, and not who he is."},
    {"strippath", KIND_FLAG, MEMBER(config, strippath), .fallback = "false",
     .text = "Is a Path that a post brings left out."},
    {"strippostcc", KIND_FLAG, MEMBER(config, strippostcc),
     .fallback = "false", .text = "Are To, Cc and Bcc of a post left out."},
    {"nnrpdauthsender", KIND_FLAG, MEMBER(config, nnrpdauthsender),
     .fallback = "false",
     .text = "Does Sender name the account of who has logged in, whatever a "
             "post brings; others' posts have none then."},
    {"fromhost", KIND_PATHHOST, MEMBER(config, fromhost), .fallback = "",
     .text = "The name behind the @ of that; empty: pathhost."},
    {"pathalias", KIND_PATHHOST, MEMBER(config, pathalias), .fallback = "",
     .text = "A further name in Path of articles from peers, behind pathhost, "
             "where it is not in there already; empty: none."},
    {"pathcluster", KIND_PATHHOST, MEMBER(config, pathcluster), .fallback = "",
     .text = "A name that stands before pathhost in Path, unless it is the "
             "first already: that of several servers together; empty: none."},
    {"pathdiagnostics", KIND_FLAG, MEMBER(config, pathdiagnostics),
     .fallback = "false",
     .text = "Does Path say, behind pathhost, whether the peer that sent an "
             "article is the one that stands there first (RFC 5537, 3.2.1): "
             "an empty entry where it is, by the name or an exclude of its "
             "section, .MISMATCH and its address where it is not, .SEEN and "
             "its address where it has no section."},
    {"listen", KIND_ADDRESSES, LIST(config, listen, listen_count),
     .fallback = "0.0.0.0 ::", .restart = true,
     .text = "Addresses that readers and peers connect to.  Sockets that "
             "systemd passes take their place."},
    {"port", KIND_NUMBER, MEMBER(config, port), .fallback = "119",
     .minimum = 0, .maximum = 65535, .unit = "", .restart = true,
     .text = "The TCP port there; 0 takes a free one and prints it."},
    {"tls_port", KIND_NUMBER, MEMBER(config, tls_port), .fallback = "0",
     .minimum = 0, .maximum = 65535, .unit = "", .restart = true,
     .text = "The TCP port of NNTP over TLS from the first octet on (563 is "
             "the usual one); 0: none.  STARTTLS needs no port of its own."},
    {"tlscertfile", KIND_CERTIFICATE_FILE, MEMBER(config, tlscertfile),
     .fallback = "",
     .text = "The certificate, and behind it those that lead to its root "
             "(PEM); empty: no TLS.  Read at the start and at each reload."},
    {"tlskeyfile", KIND_KEY_FILE, MEMBER(config, tlskeyfile), .fallback = "",
     .text = "Its private key (PEM, without a password); only the server's "
             "user and group may be able to read it."},
    {"tlscafile", KIND_CERTIFICATE_FILE, MEMBER(config, tlscafile),
     .fallback = "",
     .text = "Certificates (PEM) of those who may vouch for clients: with it "
             "a client is asked for a certificate, which it need not have."},
    {"tlscapath", KIND_CERTIFICATE_DIRECTORY, MEMBER(config, tlscapath),
     .fallback = "",
     .text = "The same: all that are in the files of a directory."},
    {"tlsprotocols", KIND_WORDS, LIST(config, tlsprotocols, tlsprotocol_count),
     .fallback = "TLSv1.2 TLSv1.3", .choices = protocol_words,
     .text = "The versions of TLS that are spoken."},
    {"tlsciphers", KIND_CIPHERS, MEMBER(config, tlsciphers),
     .fallback = "ECDHE+AESGCM:ECDHE+CHACHA20",
     .text = "The ciphers of TLS 1.2, as openssl ciphers has them."},
    {"tlsciphersuites", KIND_CIPHERS, MEMBER(config, tlsciphersuites),
     .fallback = "", .text = "The ciphers of TLS 1.3; empty: all of them."},
    {"http_port", KIND_NUMBER, MEMBER(config, http_port), .fallback = "0",
     .minimum = 0, .maximum = 65535, .unit = "", .restart = true,
     .text = "The TCP port of the bridge for browsers: its page, NNTP over "
             "WebSocket, /metrics and /healthz; 0: no bridge."},
    {"ws_port", KIND_NUMBER, MEMBER(config, ws_port), .fallback = "0",
     .minimum = 0, .maximum = 65535, .unit = "", .restart = true,
     .text = "A second port of the bridge, which answers the same; 0: none."},
    {"http_listen", KIND_ADDRESSES,
     LIST(config, http_listen, http_listen_count), .fallback = "127.0.0.1",
     .restart = true,
     .text = "Addresses that browsers connect to, at most four.  The bridge "
             "speaks no TLS: what faces a network belongs behind a proxy."},
    {"http_hosts", KIND_NAMES, LIST(config, http_hosts, http_host_count),
     .fallback = "",
     .text = "Names that browsers call this server, as news.example.org: who "
             "calls it by another is refused, for a stranger's name may lead "
             "here too.  Numeric addresses, localhost and pathhost are "
             "good without."},
    {"http_origins", KIND_ORIGINS,
     LIST(config, http_origins, http_origin_count), .fallback = "",
     .text = "Web pages of other places that may use the bridge, as "
             "https://news.example.org; its own page always may."},
    {"http_proxies", KIND_NETWORKS,
     LIST(config, http_proxies, http_proxy_count), .fallback = "",
     .text =
         "Addresses and networks of the proxies in front of the bridge: "
         "what they say in X-Forwarded-For of where a client comes from is "
         "believed, and limits and access sections go by it.  A proxy "
         "here has to set that header itself."},
    {"pathweb", KIND_WORD, MEMBER(config, pathweb), .fallback = "",
     .restart = true,
     .text = "Directory of the page's files; empty: those that were "
             "installed."},
    {"pathspool", KIND_PATH, MEMBER(config, pathspool),
     .fallback = "/var/spool/renews/articles", .restart = true,
     .text = "Directory of the spool: the articles themselves."},
    {"pathdb", KIND_PATH, MEMBER(config, pathdb),
     .fallback = "/var/lib/renews", .restart = true,
     .text = "Directory of the history and of the store's state."},
    {"pathoverview", KIND_PATH, MEMBER(config, pathoverview),
     .fallback = "/var/spool/renews/overview", .restart = true,
     .text = "Directory of the overview, and of nothing else."},
    {"pathrun", KIND_PATH, MEMBER(config, pathrun), .fallback = "/run/renews",
     .restart = true,
     .text = "Directory of the pid file and of the control socket."},
    {"motd", KIND_FILE, MEMBER(config, motd), .fallback = "",
     .text = "File with the message of the day (LIST MOTD), UTF-8; INN's "
             "motd.nnrpd.  Empty, here and below: there is none."},
    {"subscriptions", KIND_FILE, MEMBER(config, subscriptions), .fallback = "",
     .check_line = listing_check_subscription,
     .text = "File with the newsgroups that a new reader is offered first "
             "(LIST SUBSCRIPTIONS), one a line."},
    {"distributions", KIND_FILE, MEMBER(config, distributions), .fallback = "",
     .check_line = listing_check_distribution,
     .text = "File with lines of a distribution and what it means (LIST "
             "DISTRIBUTIONS)."},
    {"distrib_pats", KIND_FILE, MEMBER(config, distrib_pats), .fallback = "",
     .check_line = listing_check_distrib_pat,
     .text = "File with lines WEIGHT:PATTERN:DISTRIBUTION (INN's "
             "distrib.pats; LIST DISTRIB.PATS): which Distribution a post "
             "gets that brings none, by the newsgroups it is for."},
    {"moderators", KIND_FILE, MEMBER(config, moderators), .fallback = "",
     .check_line = listing_check_moderator,
     .text = "File with lines PATTERN:ADDRESS (LIST MODERATORS): where posts "
             "to moderated newsgroups are mailed.  \"%s\" in the address is "
             "the newsgroup with its dots as dashes; the first line that "
             "matches is taken."},
    {"moderatormailer", KIND_WORD, MEMBER(config, moderatormailer),
     .fallback = "",
     .text = "Address of the moderators of newsgroups that no line of "
             "moderators is for, as %s@moderators.isc.org; empty: a post to "
             "such a newsgroup is refused."},
    {"mta", KIND_TEXT, MEMBER(config, mta),
     .fallback = "/usr/sbin/sendmail -oi -oem %s",
     .text = "The command that mails a post to a moderator, executed without "
             "a shell: \"%s\" is his address, the mail comes on standard "
             "input."},
    {"moderationretry", KIND_NUMBER, MEMBER(config, moderationretry),
     .fallback = "300", .minimum = 1, .maximum = 3600, .unit = "seconds",
     .text = "Pause before a post that could not be mailed is tried again; it "
             "doubles with each failure, up to an hour."},
    {"canlockuserfile", KIND_FILE, MEMBER(config, canlockuserfile),
     .fallback = "", .check_line = canlock_check_secret, .secret = true,
     .text = "File with the secret (32 octets or more, on one line) of which "
             "posts get the Cancel-Lock that their posters can cancel and "
             "supersede them by; older secrets, for what was locked with "
             "them, stand on lines below.  Nobody but the server's user and "
             "group may be able to read it."},
    {"canlockadminfile", KIND_FILE, MEMBER(config, canlockadminfile),
     .fallback = "", .check_line = canlock_check_secret, .secret = true,
     .text = "The same for the lock that the server's admin can cancel posts "
             "by, here and elsewhere."},
    {"runasuser", KIND_WORD, MEMBER(config, runasuser), .fallback = "news",
     .restart = true,
     .text = "Who the server becomes when root starts it; empty: it stays "
             "root."},
    {"runasgroup", KIND_WORD, MEMBER(config, runasgroup), .fallback = "",
     .restart = true,
     .text = "The group it takes then; empty: the user's own."},
    {"overview", KIND_OVERVIEW, MEMBER(config, overview), .fallback = "sqlite",
     .restart = true,
     .text = "Where the overview is kept: sqlite, a file in pathoverview; or "
             "postgresql://USER@HOST/DATABASE, a database of its own (a "
             "password belongs into a file: "
             "?passfile=/etc/renews/pgpass)."},
    {"accounts", KIND_OVERVIEW, MEMBER(config, accounts), .fallback = "sqlite",
     .restart = true,
     .text = "Where the accounts are kept: sqlite, a file in pathdb; or "
             "postgresql://USER@HOST/DATABASE, where several servers may "
             "share them (a password belongs into a file: "
             "?passfile=/etc/renews/pgpass)."},
    {"accounts_sources", KIND_WORDS,
     LIST(config, accounts_sources, accounts_source_count),
     .fallback = "database", .choices = source_words, .restart = true,
     .text = "Who knows accounts: the database, which is asked first; PAM and "
             "a helper program are asked, in the order given, about names "
             "that those before do not know."},
    {"pam_service", KIND_WORD, MEMBER(config, pam_service),
     .fallback = "renews", .restart = true,
     .text = "The service that PAM is asked as; with a path, the file that "
             "says how."},
    {"pam_role", KIND_CHOICE, MEMBER(config, pam_role), .fallback = "poster",
     .choices = role_words, .text = "The role of those whom PAM knows."},
    {"accounts_helper", KIND_WORD, MEMBER(config, accounts_helper),
     .fallback = "", .restart = true,
     .text = "Path of the helper program (doc/accounts.md says how it is "
             "asked)."},
    {"workers", KIND_NUMBER, MEMBER(config, workers), .fallback = "0",
     .minimum = 0, .maximum = 128, .unit = "", .restart = true,
     .text = "Reader processes; 0: two for each core."},
    {"worker_memory_octets", KIND_NUMBER, MEMBER(config, worker_memory_octets),
     .fallback = "1073741824", .minimum = 64 * MIB, .maximum = 1024 * GIB,
     .unit = "octets",
     .text = "Memory of its own that a reader process may have; one that has "
             "more lets its clients go (400) and is replaced."},
    {"maxconnections", KIND_NUMBER, MEMBER(config, maxconnections),
     .fallback = "10000", .minimum = 1, .maximum = 1000000,
     .unit = "connections",
     .text = "Clients served at once; one more is answered 400."},
    {"maxconnections_per_address", KIND_NUMBER,
     MEMBER(config, maxconnections_per_address), .fallback = "2000",
     .minimum = 1, .maximum = 1000000, .unit = "connections",
     .text = "Clients served at once from one IPv4 address or one IPv6 /48; "
             "one more is answered 400."},
    {"maxconnections_per_network", KIND_NUMBER,
     MEMBER(config, maxconnections_per_network), .fallback = "0", .minimum = 0,
     .maximum = 1000000, .unit = "connections",
     .text = "Clients served at once from one IPv4 /24 or one IPv6 /32; one "
             "more is answered 400.  0: any number."},
    {"maxconnections_per_user", KIND_NUMBER,
     MEMBER(config, maxconnections_per_user), .fallback = "0", .minimum = 0,
     .maximum = 1000000, .unit = "connections",
     .text = "Connections at once that have logged in as one account; one "
             "more is answered 502 when it logs in.  0: any number."},
    RATE("connectionrate", LIMIT_CONNECTIONS, LIMIT_SERVER,
         "connections a minute",
         "New clients of the whole server; one more is answered 400"),
    RATE("connectionrate_per_network", LIMIT_CONNECTIONS, LIMIT_NETWORK,
         "connections a minute",
         "New clients from one network; one more is answered 400"),
    RATE("connectionrate_per_address", LIMIT_CONNECTIONS, LIMIT_ADDRESS,
         "connections a minute",
         "New clients from one address; one more is answered 400"),
    RATE("commandrate", LIMIT_COMMANDS, LIMIT_SERVER, "commands a minute",
         "Commands of all clients together; further ones wait"),
    RATE("commandrate_per_network", LIMIT_COMMANDS, LIMIT_NETWORK,
         "commands a minute", "Commands from one network; further ones wait"),
    RATE("commandrate_per_address", LIMIT_COMMANDS, LIMIT_ADDRESS,
         "commands a minute",
         "Commands from one address, of those who have not logged in; further "
         "ones wait"),
    RATE("commandrate_per_user", LIMIT_COMMANDS, LIMIT_USER,
         "commands a minute", "Commands of one account; further ones wait"),
    RATE("postrate", LIMIT_POSTS, LIMIT_SERVER, "posts an hour",
         "Posts of all clients together; one more is answered 440"),
    RATE("postrate_per_network", LIMIT_POSTS, LIMIT_NETWORK, "posts an hour",
         "Posts from one network; one more is answered 440"),
    RATE("postrate_per_address", LIMIT_POSTS, LIMIT_ADDRESS, "posts an hour",
         "Posts from one address, of those who have not logged in; one more "
         "is answered 440"),
    RATE("postrate_per_user", LIMIT_POSTS, LIMIT_USER, "posts an hour",
         "Posts of one account; one more is answered 440"),
    RATE("octetrate", LIMIT_OCTETS, LIMIT_SERVER, "octets a day",
         "Octets sent to and posted by all clients together; the next command "
         "after that is answered 400"),
    RATE("octetrate_per_network", LIMIT_OCTETS, LIMIT_NETWORK, "octets a day",
         "Octets sent to and posted from one network; the next command after "
         "that is answered 400"),
    RATE("octetrate_per_address", LIMIT_OCTETS, LIMIT_ADDRESS, "octets a day",
         "Octets sent to and posted from one address, of those who have not "
         "logged in; the next command after that is answered 400"),
    RATE("octetrate_per_user", LIMIT_OCTETS, LIMIT_USER, "octets a day",
         "Octets sent to and posted by one account; the next command after "
         "that is answered 400"),
    {"backoffpostfast", KIND_NUMBER, MEMBER(config, backoffpostfast),
     .fallback = "0", .minimum = 0, .maximum = 86400, .unit = "seconds",
     .text = "A post sooner than this after the one before it, of the same "
             "account or address, makes the next one wait; it is answered 440 "
             "until then.  0: none waits."},
    {"backoffpostslow", KIND_NUMBER, MEMBER(config, backoffpostslow),
     .fallback = "1", .minimum = 0, .maximum = 86400, .unit = "seconds",
     .text =
         "A post later than this after the one before it ends the row, and "
         "the wait."},
    {"backofftrigger", KIND_NUMBER, MEMBER(config, backofftrigger),
     .fallback = "10000", .minimum = 0, .maximum = 1000000, .unit = "posts",
     .text = "So many posts in a row before the first one waits."},
    {"backoffk", KIND_NUMBER, MEMBER(config, backoffk), .fallback = "1",
     .minimum = 0, .maximum = 10, .unit = "",
     .text = "Each fast post makes the wait 2 to the power of this as long, "
             "and a second longer, up to an hour."},
    {"groups_max", KIND_NUMBER, MEMBER(config, groups_max),
     .fallback = "100000", .minimum = 16, .maximum = 4000000, .unit = "groups",
     .restart = true,
     .text = "Room in the table of newsgroups that all processes share."},
    {"artcutoff", KIND_NUMBER, MEMBER(config, artcutoff), .fallback = "10",
     .minimum = 0, .maximum = DAYS_MAX, .unit = "days",
     .text = "Articles older than this are refused; 0: none is."},
    {"maxartsize", KIND_NUMBER, MEMBER(config, maxartsize),
     .fallback = "1000000", .minimum = 1000, .maximum = INT64_C(16) * MIB,
     .unit = "octets", .text = "The longest article taken from a peer."},
    {"localmaxartsize", KIND_NUMBER, MEMBER(config, localmaxartsize),
     .fallback = "1000000", .minimum = 1000, .maximum = INT64_C(16) * MIB,
     .unit = "octets", .text = "The longest article that may be posted."},
    {"remembertrash", KIND_FLAG, MEMBER(config, remembertrash),
     .fallback = "true",
     .text = "Is the ID of an article that a peer sent and that was refused "
             "for what it is (too old, too large, of newsgroups that are not "
             "here) remembered, so that no other peer needs to send it."},
    {"groupmaxartsize", KIND_SIZES,
     LIST(config, group_sizes, group_size_count), .fallback = "",
     .text = "The longest article of some newsgroups, where it is less than "
             "the two keys above say, as local.talk.*:20000 (a wildmat, and "
             "octets).  The last one that matches a name counts; of a "
             "crossposted article's groups, the one with the least."},
    {"acceptdistributions", KIND_WILDMAT, MEMBER(config, acceptdistributions),
     .fallback = "*",
     .text = "Wildmat of the distributions that are for here: an article with "
             "a Distribution, none of whose names matches, is refused."},
    {"exclude", KIND_NAMES, LIST(config, exclude, exclude_count),
     .fallback = "",
     .text = "Names that keep an article out of this server when they stand "
             "in its Path."},
    {"wanttrash", KIND_FLAG, MEMBER(config, wanttrash), .fallback = "false",
     .text = "Is an article from a peer none of whose newsgroups is here "
             "filed in the newsgroup junk, where there is one; else it is "
             "refused."},
    {"verifygroups", KIND_FLAG, MEMBER(config, verifygroups),
     .fallback = "false",
     .text = "Is an article refused of whose newsgroups one is not here."},
    {"docancels", KIND_CHOICE, MEMBER(config, docancels),
     .fallback = "require-auth", .choices = cancel_words,
     .text = "Which cancels, and Supersedes, remove an article: those with a "
             "Cancel-Key for its Cancel-Lock (require-auth); these, and any "
             "where the article has no Cancel-Lock (auth); none; all.  The "
             "article that asks is stored and relayed in any case."},
    {"addcanlockuser", KIND_CHOICE, MEMBER(config, addcanlockuser),
     .fallback = "username", .choices = canlock_words,
     .text = "Whom a post is locked for, with canlockuserfile: the account "
             "(username), the client's address (ip), or nobody (none); who "
             "has not logged in has no account."},
    {"initialtimeout", KIND_NUMBER, MEMBER(config, initialtimeout),
     .fallback = "30", .minimum = 1, .maximum = 86400, .unit = "seconds",
     .text = "How long a new client may wait with its first command."},
    {"clienttimeout", KIND_NUMBER, MEMBER(config, clienttimeout),
     .fallback = "600", .minimum = 1, .maximum = 86400, .unit = "seconds",
     .text = "How long a client may stay idle after that."},
    {"segment_octets", KIND_NUMBER, MEMBER(config, segment_octets),
     .fallback = "268435456", .minimum = MIB, .maximum = 2 * GIB,
     .unit = "octets", .text = "Length of one file of the spool."},
    {"history_cache_octets", KIND_NUMBER, MEMBER(config, history_cache_octets),
     .fallback = "67108864", .minimum = MIB, .maximum = 64 * GIB,
     .unit = "octets", .restart = true,
     .text = "Memory for the history; a quarter of its file or more."},
    {"overview_cache_octets", KIND_NUMBER,
     MEMBER(config, overview_cache_octets), .fallback = "67108864",
     .minimum = MIB, .maximum = 64 * GIB, .unit = "octets", .restart = true,
     .text = "Memory for the writer's overview."},
    {"anonymous", KIND_CHOICE, MEMBER(config, anonymous), .fallback = "read",
     .choices = access_words,
     .text = "What a client may do that has not logged in."},
    {"plaintext_login", KIND_CHOICE, MEMBER(config, plaintext_login),
     .fallback = "local", .choices = plaintext_words,
     .text = "Where AUTHINFO USER may send a password over a connection that "
             "is not encrypted: local is the loopback alone.  Elsewhere it is "
             "answered 483 and not offered."},
    {"allownewnews", KIND_FLAG, MEMBER(config, allownewnews),
     .fallback = "true", .text = "Is NEWNEWS answered."},
    {"remember", KIND_DAYS, MEMBER(config, remember_seconds), .fallback = "11",
     .unit = "days",
     .text = "How long the message-ID of an article that expired is still "
             "refused, from its removal.  It should be more than artcutoff "
             "less what articles are kept."},
    {"syslog", KIND_FLAG, MEMBER(config, syslog), .fallback = "false",
     .restart = true,
     .text = "Does the log go to syslog (facility news) too."},
    {"log_level", KIND_CHOICE, MEMBER(config, log_level), .fallback = "notice",
     .choices = level_words, .text = "How much is logged."},
};
const size_t config_row_count = sizeof(config_rows) / sizeof(config_rows[0]);

const struct config_row config_certificate_rows[] = {
    {"tlscertfile", KIND_CERTIFICATE_FILE,
     MEMBER(config_certificate, tlscertfile), .fallback = "",
     .text = "A further certificate, for clients that ask for a name that "
             "stands in it (SNI); several for one name may have keys of "
             "different kinds."},
    {"tlskeyfile", KIND_KEY_FILE, MEMBER(config_certificate, tlskeyfile),
     .fallback = "", .text = "Its private key."},
};
const size_t config_certificate_row_count =
    sizeof(config_certificate_rows) / sizeof(config_certificate_rows[0]);

const struct config_row config_peer_rows[] = {
    {"address", KIND_NETWORKS, LIST(config_peer, addresses, address_count),
     .fallback = "",
     .text = "Addresses and networks (192.0.2.0/24) it connects from."},
    {"certificates", KIND_PATTERNS,
     LIST(config_peer, certificates, certificate_count), .fallback = "",
     .text = "Certificates that make a client this peer wherever it connects "
             "from: names in them, for which tlscafile has vouched, or "
             "fingerprints (sha256: and 64 hexadecimal digits)."},
    {"newsgroups", KIND_WILDMAT, MEMBER(config_peer, newsgroups),
     .fallback = "*", .text = "Wildmat of the newsgroups it may send."},
    {"maxconnections", KIND_NUMBER, MEMBER(config_peer, maxconnections),
     .fallback = "20", .minimum = 1, .maximum = 1000, .unit = "connections",
     .text = "Connections kept free for it whatever readers do; further ones "
             "count among everybody's."},
    {"host", KIND_WORD, MEMBER(config_peer, host), .fallback = "",
     .text = "Name or address that we connect to, to push articles or to pull "
             "them; empty: we do neither."},
    {"port", KIND_NUMBER, MEMBER(config_peer, port), .fallback = "119",
     .minimum = 1, .maximum = 65535, .unit = "",
     .text = "The TCP port there."},
    {"push", KIND_WILDMAT, MEMBER(config_peer, push), .fallback = "*",
     .text = "Wildmat of the newsgroups that we send it: one of an article's "
             "must match, and none a pattern that begins with \"@\"; \"!*\" "
             "sends nothing."},
    {"pull", KIND_WILDMAT, MEMBER(config_peer, pull), .fallback = "!*",
     .text =
         "Wildmat of the newsgroups, of those that are here, that we fetch "
         "from it, since it does not send them."},
    {"pullinterval", KIND_NUMBER, MEMBER(config_peer, pullinterval),
     .fallback = "300", .minimum = 1, .maximum = 86400, .unit = "seconds",
     .text = "Time between two such visits."},
    {"exclude", KIND_NAMES, LIST(config_peer, exclude, exclude_count),
     .fallback = "",
     .text = "Names that keep an article from it when they stand in Path; the "
             "section's own name always does."},
    {"maxsize", KIND_NUMBER, MEMBER(config_peer, maxsize), .fallback = "0",
     .minimum = 0, .maximum = 16 * MIB, .unit = "octets",
     .text = "The longest article that we send it; 0: any."},
    {"connections", KIND_NUMBER, MEMBER(config_peer, connections),
     .fallback = "2", .minimum = 1, .maximum = 50, .unit = "connections",
     .text = "How many we open at most to send articles."},
    {"streaming", KIND_FLAG, MEMBER(config_peer, streaming),
     .fallback = "true",
     .text = "Do we ask for MODE STREAM; where it is refused, IHAVE serves."},
    {"backlog", KIND_FLAG, MEMBER(config_peer, backlog), .fallback = "false",
     .text = "Does a peer that is new here get what was stored before; else "
             "it gets what arrives from then on."},
    {"responsetimeout", KIND_NUMBER, MEMBER(config_peer, responsetimeout),
     .fallback = "300", .minimum = 1, .maximum = 86400, .unit = "seconds",
     .text = "How long we wait for an answer or for octets to be taken."},
    {"tls", KIND_CHOICE, MEMBER(config_peer, tls), .fallback = "none",
     .choices = peer_tls_words,
     .text = "How our connections to it are encrypted: by STARTTLS, or from "
             "the first octet on (its port is mostly 563 then).  One that "
             "cannot be encrypted then is closed."},
    {"tlsname", KIND_WORD, MEMBER(config_peer, tlsname), .fallback = "",
     .text = "The name that must stand in its certificate; empty: that of "
             "host."},
    {"tlscafile", KIND_CERTIFICATE_FILE, MEMBER(config_peer, tlscafile),
     .fallback = "",
     .text = "Certificates (PEM) of those who may vouch for it; where neither "
             "this nor tlscapath is given, those whom this system believes."},
    {"tlscapath", KIND_CERTIFICATE_DIRECTORY, MEMBER(config_peer, tlscapath),
     .fallback = "",
     .text = "The same: all that are in the files of a directory."},
    {"tlspins", KIND_PINS, LIST(config_peer, tlspins, tlspin_count),
     .fallback = "",
     .text = "Fingerprints: where some are given, its certificate (sha256:) "
             "or the key in it (spki-sha256:) must be one of them, and then "
             "nobody need have vouched for it."},
    {"tlscertfile", KIND_CERTIFICATE_FILE, MEMBER(config_peer, tlscertfile),
     .fallback = "",
     .text = "Our certificate, which we show it (PEM); empty: none."},
    {"tlskeyfile", KIND_KEY_FILE, MEMBER(config_peer, tlskeyfile),
     .fallback = "", .text = "The private key that goes with it."},
    {"username", KIND_WORD, MEMBER(config_peer, username), .fallback = "",
     .text = "Who we log in as (AUTHINFO USER); empty: we do not."},
    {"password", KIND_WORD, MEMBER(config_peer, password), .fallback = "",
     .text = "The password that goes with it."},
};
const size_t config_peer_row_count =
    sizeof(config_peer_rows) / sizeof(config_peer_rows[0]);

const struct config_row config_access_rows[] = {
    {"addresses", KIND_NETWORKS, LIST(config_access, addresses, address_count),
     .fallback = "",
     .text = "Addresses and networks of the clients it is for; empty: any."},
    {"users", KIND_PATTERNS, LIST(config_access, users, user_count),
     .fallback = "",
     .text = "Patterns of the accounts it is for; \"*\" is everybody who has "
             "logged in, and empty everybody, logged in or not."},
    {"tls", KIND_CHOICE, MEMBER(config_access, tls), .fallback = "any",
     .choices = tls_words,
     .text = "Is it for those whose connection is encrypted, for those whose "
             "is not, or for any."},
    {"certificates", KIND_PATTERNS,
     LIST(config_access, certificates, certificate_count), .fallback = "",
     .text = "Certificates of the clients it is for: patterns of names, for "
             "which tlscafile has vouched, or fingerprints (sha256: and 64 "
             "hexadecimal digits); empty: any, or none."},
    {"readable", KIND_WILDMAT, MEMBER(config_access, readable),
     .fallback = "*",
     .text = "Wildmat of the newsgroups they may read; \"!*\": none."},
    {"postable", KIND_WILDMAT, MEMBER(config_access, postable),
     .fallback = "*",
     .text = "Wildmat of the newsgroups they may post to; \"!*\": none."},
    {"approvable", KIND_WILDMAT, MEMBER(config_access, approvable),
     .fallback = "!*",
     .text = "Wildmat of the newsgroups they may post to with Approved, "
             "beside those that their account moderates."},
    {"peer", KIND_FLAG, MEMBER(config_access, peer), .fallback = "false",
     .text = "May they send articles as a peer does (IHAVE, TAKETHIS)."},
    {"feedable", KIND_WILDMAT, MEMBER(config_access, feedable),
     .fallback = "*", .text = "Wildmat of the newsgroups they may send then."},
    {"maxconnections", KIND_NUMBER, MEMBER(config_access, maxconnections),
     .fallback = "0", .minimum = 0, .maximum = 1000000, .unit = "connections",
     .text = "Connections at once that have logged in as one account; 0: what "
             "maxconnections_per_user says."},
    SECTION_RATE("commandrate", LIMIT_COMMANDS, "commands a minute",
                 "Commands of each account, or address of those who have not "
                 "logged in"),
    SECTION_RATE("postrate", LIMIT_POSTS, "posts an hour",
                 "Posts of each of them"),
    SECTION_RATE("octetrate", LIMIT_OCTETS, "octets a day",
                 "Octets sent to and posted by each of them"),
    {"localmaxartsize", KIND_NUMBER, MEMBER(config_access, localmaxartsize),
     .fallback = "0", .minimum = 0, .maximum = 16 * MIB, .unit = "octets",
     .text = "The longest article they may post; 0: what is said at the top."},
};
const size_t config_access_row_count =
    sizeof(config_access_rows) / sizeof(config_access_rows[0]);

const struct config_row config_expire_rows[] = {
    {"keep", KIND_DAYS, MEMBER(config_expire, keep_seconds),
     .fallback = "never", .unit = "days",
     .text = "How long an article without an Expires header field stays, from "
             "its arrival."},
    {"minimum", KIND_DAYS, MEMBER(config_expire, minimum_seconds),
     .fallback = "0", .unit = "days",
     .text = "One with that field stays until it says, but at least so long; "
             "not above keep."},
    {"maximum", KIND_DAYS, MEMBER(config_expire, maximum_seconds),
     .fallback = "never", .unit = "days",
     .text = "And at the most so long; not below keep."},
};
const size_t config_expire_row_count =
    sizeof(config_expire_rows) / sizeof(config_expire_rows[0]);

bool
config_row_is_list(const struct config_row *row)
{
    return row->kind == KIND_ADDRESSES || row->kind == KIND_NETWORKS
           || row->kind == KIND_NAMES || row->kind == KIND_PATTERNS
           || row->kind == KIND_ORIGINS || row->kind == KIND_WORDS
           || row->kind == KIND_PINS || row->kind == KIND_SIZES;
}

bool
config_row_is_credential(const struct config_row *row)
{
    return row->kind == KIND_CERTIFICATE_FILE
           || row->kind == KIND_CERTIFICATE_DIRECTORY
           || row->kind == KIND_KEY_FILE;
}

static bool
number_parse(const char *text, int64_t *number_r)
{
    char *end;
    long long number;

    if (!isdigit((unsigned char)text[0]) && text[0] != '-')
        return false;
    errno = 0;
    number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0')
        return false;
    *number_r = number;
    return true;
}

/* "never", or days: digits, perhaps a point and more digits. */
static bool
days_parse(const char *text, int64_t *seconds_r)
{
    size_t whole = strspn(text, "0123456789");
    size_t all = whole;
    double days;

    if (strcmp(text, "never") == 0) {
        *seconds_r = CONFIG_NEVER;
        return true;
    }
    if (whole > 0 && text[whole] == '.')
        all += 1 + strspn(text + whole + 1, "0123456789");
    if (whole == 0 || text[all] != '\0' || text[all - 1] == '.')
        return false;
    days = strtod(text, NULL);
    if (days > DAYS_MAX)
        return false;
    *seconds_r = (int64_t)(days * SECONDS_PER_DAY + 0.5);
    return true;
}

/* Seconds, as days_parse() reads them back: to the sixth decimal. */
static void
days_print(int64_t seconds, struct buffer *text)
{
    if (seconds == CONFIG_NEVER) {
        buffer_append_text(text, "never");
        return;
    }
    buffer_append_format(text, "%" PRId64, seconds / SECONDS_PER_DAY);
    if (seconds % SECONDS_PER_DAY == 0)
        return;
    buffer_append_format(text, ".%06" PRId64,
                         seconds % SECONDS_PER_DAY * 1000000
                             / SECONDS_PER_DAY);
    while (text->data[text->used - 1] == '0')
        text->data[--text->used] = '\0';
}

static bool
flag_parse(const char *text, bool *flag_r)
{
    static const char *const yes[] = {"true", "yes", "on"};
    static const char *const no[] = {"false", "no", "off"};

    for (size_t i = 0; i < 3; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *flag_r = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static int
choice_parse(const struct config_row *row, const char *text)
{
    for (int i = 0; row->choices[i] != NULL; i++)
        if (strcmp(row->choices[i], text) == 0)
            return i;
    return -1;
}

static bool
text_is_clean(const char *text, bool spaces)
{
    for (; *text != '\0'; text++) {
        unsigned char octet = (unsigned char)*text;

        if (octet < 0x20 || octet == 0x7f || (octet == ' ' && !spaces))
            return false;
    }
    return true;
}

/*
 * RFC 5536, 3.1.5: a path identity is letters, digits, "-", ".", "_" and, as
 * INN has it, no more than what fits a Path; "" means: find one.
 */
static bool
text_is_pathhost(const char *text)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:";
    size_t length = strlen(text);

    return length <= 253 && strspn(text, good) == length;
}

/* What a browser says in Origin (RFC 6454, 6.1): scheme, host, port. */
static bool
text_is_origin(const char *text)
{
    const char *host = strstr(text, "://");

    if (host == NULL || !text_is_clean(text, false))
        return false;
    host += strlen("://");
    return (strncmp(text, "http://", 7) == 0
            || strncmp(text, "https://", 8) == 0)
           && host[0] != '\0' && strpbrk(host, "/?#@*") == NULL;
}

/* libpq looks at the rest of the URL. */
static bool
text_is_overview(const char *text)
{
    static const char scheme[] = "postgresql://";

    return strcmp(text, "sqlite") == 0
           || (strncmp(text, scheme, sizeof(scheme) - 1) == 0
               && text_is_clean(text, false));
}

bool
config_size_parse(const char *text, size_t *wildmat_octets_r,
                  int64_t *octets_r)
{
    const char *colon = strrchr(text, ':');

    if (colon == NULL || colon == text)
        return false;
    *wildmat_octets_r = (size_t)(colon - text);
    return wildmat_check(text, *wildmat_octets_r, NULL) == 0
           && number_parse(colon + 1, octets_r) && *octets_r > 0;
}

/* A SHA-256 digest, and of what. */
static bool
text_is_pin(const char *text)
{
    size_t head = strncasecmp(text, "sha256:", 7) == 0         ? 7
                  : strncasecmp(text, "spki-sha256:", 12) == 0 ? 12
                                                               : 0;

    return head > 0 && strlen(text + head) == 64
           && strspn(text + head, "0123456789abcdefABCDEF") == 64;
}

bool
config_row_accepts(const struct config_row *row, const char *text)
{
    int64_t number;
    size_t length;
    bool flag;

    switch (row->kind) {
    case KIND_TEXT:
        return text_is_clean(text, true);
    case KIND_WORD:
        return text_is_clean(text, false);
    case KIND_FILE:
        return text[0] == '\0'
               || (text[0] == '/' && text_is_clean(text, true));
    case KIND_PATHHOST:
        return text_is_pathhost(text);
    case KIND_PATH:
        return text[0] == '/' && text_is_clean(text, true);
    case KIND_CERTIFICATE_DIRECTORY:
    case KIND_CERTIFICATE_FILE:
    case KIND_KEY_FILE:
        return (text[0] == '/' || text[0] == '\0')
               && text_is_clean(text, true);
    case KIND_CIPHERS:
        return text_is_clean(text, false);
    case KIND_PINS:
        return text_is_pin(text);
    case KIND_OVERVIEW:
        return text_is_overview(text);
    case KIND_WILDMAT:
        return text_is_clean(text, false)
               && wildmat_check(text, strlen(text), NULL) == 0;
    case KIND_NUMBER:
        return number_parse(text, &number) && number >= row->minimum
               && number <= row->maximum;
    case KIND_DAYS:
        return days_parse(text, &number);
    case KIND_FLAG:
        return flag_parse(text, &flag);
    case KIND_CHOICE:
    case KIND_WORDS:
        return choice_parse(row, text) >= 0;
    case KIND_ADDRESSES:
        return address_is_valid(text);
    case KIND_NETWORKS:
        return address_is_network(text);
    case KIND_ORIGINS:
        return text_is_origin(text);
    case KIND_NAMES:
        return text[0] != '\0' && text_is_pathhost(text);
    case KIND_PATTERNS:
        return text[0] != '\0' && text_is_clean(text, false);
    case KIND_SIZES:
        return text_is_clean(text, false)
               && config_size_parse(text, &length, &number);
    }
    return false;
}

void
config_row_expected(const struct config_row *row, struct buffer *text)
{
    switch (row->kind) {
    case KIND_TEXT:
        buffer_append_text(text, "text without control characters");
        break;
    case KIND_WORD:
        buffer_append_text(text, "a word without spaces");
        break;
    case KIND_FILE:
        buffer_append_text(text, "the absolute path of a file, or nothing");
        break;
    case KIND_PATHHOST:
        buffer_append_text(text,
                           "a host name (letters, digits, \"-\", \".\")");
        break;
    case KIND_PATH:
        buffer_append_text(text, "an absolute path");
        break;
    case KIND_CERTIFICATE_DIRECTORY:
        buffer_append_text(text, "the absolute path of a directory");
        break;
    case KIND_CERTIFICATE_FILE:
    case KIND_KEY_FILE:
        buffer_append_text(text, "the absolute path of a file");
        break;
    case KIND_PINS:
        buffer_append_text(text, "sha256: or spki-sha256: and 64 hexadecimal "
                                 "digits");
        break;
    case KIND_CIPHERS:
        buffer_append_text(text, "names of ciphers, parted by \":\"");
        break;
    case KIND_OVERVIEW:
        buffer_append_text(text,
                           "sqlite or a URL that begins with postgresql://");
        break;
    case KIND_WILDMAT:
        buffer_append_text(text, "a wildmat without spaces");
        break;
    case KIND_NUMBER:
        buffer_append_format(text, "a number from %" PRId64 " to %" PRId64,
                             row->minimum, row->maximum);
        if (row->unit[0] != '\0')
            buffer_append_format(text, " (%s)", row->unit);
        break;
    case KIND_DAYS:
        buffer_append_format(text, "days from 0 to %d, or never",
                             (int)DAYS_MAX);
        break;
    case KIND_FLAG:
        buffer_append_text(text, "true or false");
        break;
    case KIND_CHOICE:
    case KIND_WORDS:
        for (size_t i = 0; row->choices[i] != NULL; i++) {
            if (i > 0)
                buffer_append_text(text, row->choices[i + 1] == NULL ? " or "
                                                                     : ", ");
            buffer_append_text(text, row->choices[i]);
        }
        break;
    case KIND_ADDRESSES:
        buffer_append_text(text, "a numeric IPv4 or IPv6 address");
        break;
    case KIND_NETWORKS:
        buffer_append_text(text, "an address or a network (192.0.2.0/24)");
        break;
    case KIND_ORIGINS:
        buffer_append_text(text, "an origin (https://news.example.org)");
        break;
    case KIND_NAMES:
        buffer_append_text(text,
                           "names of hosts (letters, digits, \"-\", \".\")");
        break;
    case KIND_PATTERNS:
        buffer_append_text(text, "patterns without spaces");
        break;
    case KIND_SIZES:
        buffer_append_text(text, "a wildmat, a colon, and octets "
                                 "(local.*:20000)");
        break;
    }
}

static void *
row_member(const struct config_row *row, void *object)
{
    return (char *)object + row->offset;
}

static size_t *
row_count(const struct config_row *row, void *object)
{
    return (size_t *)(void *)((char *)object + row->count_offset);
}

static bool
row_is_text(const struct config_row *row)
{
    return row->kind <= KIND_WILDMAT;
}

void
config_row_free(const struct config_row *row, void *object)
{
    if (row_is_text(row)) {
        char **text = row_member(row, object);

        free(*text);
        *text = NULL;
    } else if (config_row_is_list(row)) {
        char ***list = row_member(row, object);

        for (size_t i = 0; i < *row_count(row, object); i++)
            free((*list)[i]);
        free(*list);
        *list = NULL;
        *row_count(row, object) = 0;
    }
}

static void
list_set(const struct config_row *row, void *object, const char *const *values,
         size_t count)
{
    char ***list = row_member(row, object);

    *list = xcalloc(count, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        (*list)[i] = xstrdup(values[i]);
    *row_count(row, object) = count;
}

void
config_row_set(const struct config_row *row, void *object,
               const char *const *values, size_t count)
{
    config_row_free(row, object);
    if (config_row_is_list(row)) {
        list_set(row, object, values, count);
        return;
    }
    assert(count == 1);
    if (row_is_text(row)) {
        *(char **)row_member(row, object) = xstrdup(values[0]);
    } else if (row->kind == KIND_NUMBER) {
        bool good = number_parse(values[0], row_member(row, object));

        assert(good);
        (void)good; /* the caller has asked config_row_accepts() */
    } else if (row->kind == KIND_DAYS) {
        bool good = days_parse(values[0], row_member(row, object));

        assert(good);
        (void)good; /* as above */
    } else if (row->kind == KIND_FLAG) {
        bool good = flag_parse(values[0], row_member(row, object));

        assert(good);
        (void)good; /* as above */
    } else {
        int choice = choice_parse(row, values[0]);

        assert(choice >= 0);
        if (row->octets == sizeof(int64_t))
            *(int64_t *)row_member(row, object) = choice;
        else
            *(enum access_level *)row_member(row, object) =
                (enum access_level)choice;
    }
}

void
config_row_set_fallback(const struct config_row *row, void *object)
{
    const char *values[8];
    size_t count = 0;
    char *copy;
    char *save = NULL;

    if (!config_row_is_list(row)) {
        config_row_set(row, object, &row->fallback, 1);
        return;
    }
    copy = xstrdup(row->fallback);
    for (char *word = strtok_r(copy, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save)) {
        assert(count < 8);
        values[count++] = word;
    }
    config_row_set(row, object, values, count);
    free(copy);
}

void
config_row_copy(const struct config_row *row, void *object, const void *from)
{
    const void *member = (const char *)from + row->offset;

    if (row_is_text(row)) {
        config_row_set(row, object, (const char *const *)member, 1);
    } else if (config_row_is_list(row)) {
        config_row_free(row, object);
        list_set(row, object, *(const char *const *const *)member,
                 *(const size_t *)(const void *)((const char *)from
                                                 + row->count_offset));
    } else {
        memcpy(row_member(row, object), member, row->octets);
    }
}

/*
 * Single quotes, for within them libconfuse expands no ${NAME}: what is
 * printed reads back as it was.
 */
void
config_quote(const char *value, struct buffer *text)
{
    buffer_append_char(text, '\'');
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            buffer_append_char(text, '\\');
        buffer_append_char(text, *value);
    }
    buffer_append_char(text, '\'');
}

static void
list_print(const struct config_row *row, const void *object,
           struct buffer *text)
{
    char **list =
        *(char **const *)(const void *)((const char *)object + row->offset);
    size_t count = *(const size_t *)(const void *)((const char *)object
                                                   + row->count_offset);

    buffer_append_char(text, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_text(text, ", ");
        config_quote(list[i], text);
    }
    buffer_append_char(text, '}');
}

void
config_row_print(const struct config_row *row, const void *object,
                 struct buffer *text)
{
    const void *member = (const char *)object + row->offset;
    int64_t number;

    if (row_is_text(row)) {
        config_quote(*(char *const *)member, text);
    } else if (config_row_is_list(row)) {
        list_print(row, object, text);
    } else if (row->kind == KIND_NUMBER) {
        buffer_append_format(text, "%" PRId64, *(const int64_t *)member);
    } else if (row->kind == KIND_DAYS) {
        days_print(*(const int64_t *)member, text);
    } else if (row->kind == KIND_FLAG) {
        buffer_append_text(text, *(const bool *)member ? "true" : "false");
    } else {
        number = row->octets == sizeof(int64_t)
                     ? *(const int64_t *)member
                     : (int64_t) * (const enum access_level *)member;
        buffer_append_text(text, row->choices[number]);
    }
}
