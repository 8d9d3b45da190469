/*
 * config_table -- every key of renews.conf, one row each.
 *
 * Within lib/ only: lib/config_text.c reads files by it, and everybody else
 * uses lib/config.h.  A value is known to this table as the text that stands
 * in the file; a row says which texts are good and where in the struct they
 * go.
 */
#ifndef LIB_CONFIG_TABLE_H
#define LIB_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/listing.h"

struct buffer;

enum config_kind {
    KIND_TEXT,     /* anything without control octets */
    KIND_WORD,     /* a name: no white space; may be empty */
    KIND_FILE,     /* "" or the absolute path of a struct config_file */
    KIND_PATHHOST, /* a path identity (RFC 5536, 3.1.5) */
    KIND_PATH,     /* an absolute path */
    KIND_CERTIFICATE_FILE,      /* "" or the absolute path of one */
    KIND_CERTIFICATE_DIRECTORY, /* "" or that of one with many */
    KIND_KEY_FILE,              /* the same, and a secret */
    KIND_CIPHERS,  /* names as OpenSSL has them; looked at by it later */
    KIND_OVERVIEW, /* "sqlite" or a URL of PostgreSQL's */
    KIND_WILDMAT,  /* not empty, no white space */
    KIND_NUMBER,   /* minimum to maximum */
    KIND_DAYS,     /* days, perhaps with a fraction, or "never"; the struct
                      holds seconds */
    KIND_FLAG,     /* true or false */
    KIND_CHOICE,   /* one of choices; the struct holds its place in the list */
    KIND_ADDRESSES, /* a list of addresses */
    KIND_NETWORKS,  /* a list of addresses and networks */
    KIND_NAMES,     /* a list of path identities */
    KIND_PATTERNS,  /* a list of patterns without white space */
    KIND_WORDS,     /* a list of choices */
    KIND_ORIGINS,   /* a list of origins of web pages (RFC 6454) */
    KIND_SIZES,     /* a list of WILDMAT:OCTETS */
    KIND_PINS,      /* a list of digests of certificates or keys */
};

struct config_row {
    const char *name;
    enum config_kind kind;
    size_t offset;        /* of the member in its struct */
    size_t octets;        /* the member's */
    size_t count_offset;  /* lists: of the member that counts */
    const char *fallback; /* the default; a list's are parted by spaces */
    int64_t minimum;      /* KIND_NUMBER */
    int64_t maximum;
    const char *unit;               /* "seconds", "" where there is none */
    const char *const *choices;     /* KIND_CHOICE, _WORDS; ended by NULL */
    listing_check_func *check_line; /* KIND_FILE: NULL: any text */
    bool secret;  /* KIND_FILE: goes only to processes that may hold keys */
    bool restart; /* only a restart can change it */
    const char *text; /* what it is, for the manual page */
};

extern const struct config_row config_rows[]; /* of struct config */
extern const size_t config_row_count;
extern const struct config_row config_certificate_rows[];
extern const size_t config_certificate_row_count;
extern const struct config_row config_peer_rows[]; /* of struct config_peer */
extern const size_t config_peer_row_count;
extern const struct config_row config_access_rows[]; /* of config_access */
extern const size_t config_access_row_count;
extern const struct config_row config_expire_rows[]; /* of config_expire */
extern const size_t config_expire_row_count;

bool config_row_is_list(const struct config_row *row);
/* Does it name a file whose contents go along? */
bool config_row_is_credential(const struct config_row *row);
/* Is text a value that this key may have? */
bool config_row_accepts(const struct config_row *row, const char *text);
/* What it may have, in words: "a number from 1 to 9, seconds". */
void config_row_expected(const struct config_row *row, struct buffer *text);
/* Put values, which the row accepts, into object; frees what was there. */
void config_row_set(const struct config_row *row, void *object,
                    const char *const *values, size_t count);
/* Take a text of KIND_SIZES apart; false when it is none. */
bool config_size_parse(const char *text, size_t *wildmat_octets_r,
                       int64_t *octets_r);
/* Put the default there. */
void config_row_set_fallback(const struct config_row *row, void *object);
/* Put there what from has. */
void config_row_copy(const struct config_row *row, void *object,
                     const void *from);
/* Append the value as it would stand in the file, quoted. */
void config_row_print(const struct config_row *row, const void *object,
                      struct buffer *text);
/* Append text in the quotes of the file. */
void config_quote(const char *value, struct buffer *text);
/* Release what the row owns in object. */
void config_row_free(const struct config_row *row, void *object);

#endif
