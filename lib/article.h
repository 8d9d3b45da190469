/*
 * article -- an article as it came over the wire, and what its header fields
 * say (RFC 5536).
 *
 * An article is octets in wire form: header fields, an empty line, the body
 * with its dots stuffed, ".CRLF".  Parsing copies nothing: fields point into
 * the octets, which must outlive the struct article.  Any octets may be given
 * to it, but only an article that wire_scan() found without fault has no bare
 * CR, bare LF or NUL in it: parsing does not look for them again.
 *
 * A field's value is without its name, the space behind the colon and the last
 * CRLF; folding is still in it.  Of all but Subject, Organization and X-Trace
 * (and fields that are not in the list below) all white space at both ends is
 * left out too, so that a message-ID that stands on a folded line is found
 * where it begins.  A field that is not there has octets == NULL; one with
 * nothing but white space is empty and has length 0.
 */
#ifndef LIB_ARTICLE_H
#define LIB_ARTICLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

enum {
    ARTICLE_HEAD_OCTETS_MAX = 64 * 1024,
    ARTICLE_FIELDS_MAX = 1000,
    ARTICLE_FIELD_OCTETS_MAX = 16 * 1024,
    ARTICLE_OCTETS_HARD_MAX = 16 * 1024 * 1024,
    ARTICLE_PATH_ENTRIES_MAX = 200,
    ARTICLE_LINE_OCTETS_MAX = 998,
};

/* The header fields that Renews looks at.  The order is private. */
enum field {
    FIELD_APPROVED,
    FIELD_ARCHIVE,
    FIELD_CANCEL_KEY,
    FIELD_CANCEL_LOCK,
    FIELD_CONTROL,
    FIELD_DATE,
    FIELD_DISTRIBUTION,
    FIELD_EXPIRES,
    FIELD_FOLLOWUP_TO,
    FIELD_FROM,
    FIELD_INJECTION_DATE,
    FIELD_INJECTION_INFO,
    FIELD_LINES,
    FIELD_MESSAGE_ID,
    FIELD_NEWSGROUPS,
    FIELD_NNTP_POSTING_DATE,
    FIELD_NNTP_POSTING_HOST,
    FIELD_ORGANIZATION,
    FIELD_PATH,
    FIELD_REFERENCES,
    FIELD_REPLY_TO,
    FIELD_SENDER,
    FIELD_SUBJECT,
    FIELD_SUPERSEDES,
    FIELD_X_TRACE,
    FIELD_XREF,
    FIELD_COUNT
};

struct field_value {
    const char *octets; /* NULL: the article has no such field */
    size_t length;
    size_t line_offset; /* where the field's name begins in the article */
    size_t line_octets; /* name, colon, value and CRLF, folded lines too */
    unsigned times;     /* how often the field stands in the head */
};

struct article {
    const char *octets; /* borrowed */
    size_t length;      /* ".CRLF" included */
    size_t head_octets; /* the header fields, the last CRLF included, the
                           empty line not */
    size_t body_offset; /* first octet behind the empty line */
    uint64_t lines;     /* of the body */
    uint64_t bytes;     /* as RFC 3977, 8.1 counts: CRLF two, no stuffing, no
                           terminator */
    struct field_value fields[FIELD_COUNT];
};

/* The field's canonical name: "Message-ID". */
const char *field_name(enum field field);

/*
 * Take an article apart.  Returns 0, or -1 with the reason: no header, a line
 * that is no field, no empty line, a limit of this file passed.  A proto-
 * article and a relayed article are the same here: which fields must be there
 * is article_check_*'s concern.
 */
int article_parse(struct article *article, const char *octets, size_t length,
                  struct buffer *why);

/* The bounds of this site that acceptance asks for. */
struct article_rules {
    const char *pathhost;
    int64_t now;
    int64_t cutoff_seconds; /* older is refused; 0: no limit */
    size_t size_octets_max; /* of struct article's bytes; 0: no limit */
};

/*
 * May a relayed article be taken (RFC 5537, 3.6, as lenient as a relaying
 * agent should be)?  The mandatory fields once each and not empty, a message-
 * ID with brackets, a date that parses and is neither too old nor over 24
 * hours ahead, at least one newsgroup and no more than allowed, pathhost not
 * in Path, the size.  An empty optional field, an odd but bracketed ID, a
 * trailing comma in Newsgroups do not refuse.  Returns 0 or -1 with the text
 * for a 437 or 439.
 */
int article_check_relayed(const struct article *article,
                          const struct article_rules *rules,
                          struct buffer *why);

/*
 * Is it for here?  With a Distribution, one of its names must match the
 * wildmat (RFC 5536, 3.2.4).  0, or -1 with the text of the refusal.
 */
int article_check_distribution(const struct article *article,
                               const char *wildmat, struct buffer *why);

/* Who injects, for the fields that injection adds. */
struct injection {
    const char *pathhost;
    const char *pathcluster;  /* stands before it in Path; NULL: none */
    const char *client_host;  /* posting-host; NULL: not told */
    const char *path_host;    /* the same behind .POSTED in Path */
    const char *account;      /* posting-account; NULL: not told */
    const char *complaints;   /* mail-complaints-to; NULL: not told */
    const char *organization; /* where the poster gave none; may be NULL */
    const char *message_id;   /* the one offered with 340; used where the
                                 article has none */
    const char *distribution; /* where the poster gave none; NULL: none */
    const char *sender;       /* with own_sender; NULL: none */
    bool own_sender;          /* the poster's Sender is left out */
    bool strip_path;          /* the poster's Path is left out */
    bool strip_recipients;    /* his To, Cc and Bcc are */
    const char *cancel_lock;  /* locks for Cancel-Lock, those of the poster's
                                 behind them; NULL: none */
    const char *cancel_key;   /* the same with keys */
};

/*
 * Inject a proto-article (RFC 5537, 3.5): check it with the strictness due to
 * a poster, and append to wire the article as it will be stored and relayed,
 * ready for article_parse(): Path with .POSTED, Injection-Info, Message-ID and
 * Date where missing, Injection-Date only where one of these two was missing.
 * The rest is untouched, octet for octet.  Returns 0, or -1 with a text for
 * 441 that a poster understands.
 */
int article_inject(const struct article *proto,
                   const struct article_rules *rules,
                   const struct injection *injection, struct buffer *wire,
                   struct buffer *why);

/*
 * Append what every stored article has in the overview up to References:
 * "Subject<TAB>From<TAB>Date<TAB>Message-ID<TAB>References", folding taken out
 * and TAB, CR, LF, NUL made spaces (RFC 3977, 8.3.2).  Bytes, lines and Xref
 * are the writer's to add.  Of References over 8 KiB the first ID and the
 * newest stay.
 */
void article_overview(const struct article *article, struct buffer *line);

/* Append the field's value unfolded, TAB, CR, LF, NUL made spaces. */
void field_unfold(const struct field_value *value, struct buffer *text);
/*
 * Find any header field by name in a head (for HDR); the name's case does not
 * matter.  Returns true with the first one's value, as article_parse() would
 * give it, folding still in it; offsets count from the head's beginning.
 */
bool head_find(const char *head, size_t head_octets, const char *name,
               struct field_value *value_r);
/*
 * Which article does this one remove: is it a cancel control message, or has
 * it Supersedes?  Returns true with the message-ID where there is one.
 */
bool article_removes(const struct article *article,
                     struct field_value *target_r);
/* The same for the head of a stored one. */
bool head_removes(const char *head, size_t head_octets,
                  struct field_value *target_r);
/* Does Path name this host, in any entry (compared without case, RFC 5537,
   3.2)? */
bool path_has(const struct field_value *path, const char *host);

#endif
