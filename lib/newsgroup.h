/*
 * newsgroup -- names of newsgroups, and lists of them (RFC 5536, 3.1.4).
 */
#ifndef LIB_NEWSGROUP_H
#define LIB_NEWSGROUP_H

#include <stdbool.h>
#include <stddef.h>

enum {
    NEWSGROUP_OCTETS_MAX = 460, /* hard, whoever sends it */
    NEWSGROUP_OCTETS_POSTED = 80,
    NEWSGROUPS_RELAYED_MAX = 200, /* names in one Newsgroups field */
    NEWSGROUPS_POSTED_MAX = 50,
};

/* May this name be created?  RFC 5536's grammar, components not all digits,
   none of the reserved ("poster", "example.*", "to.*", "control", "all"). */
bool newsgroup_is_creatable(const char *name, size_t octets);
/* Could this be a name at all: no white space, comma, wildmat character,
   control octet; not empty, no empty component, not over the hard limit. */
bool newsgroup_is_valid(const char *name, size_t octets);

/*
 * Walk a Newsgroups or Followup-To field: returns true with the next name in
 * *name_r and *octets_r (it points into the field), false at the end.  *at_r
 * begins as 0.  White space, folding and empty places (a trailing comma) are
 * passed over.
 */
bool newsgroups_next(const char *field, size_t field_octets, size_t *at_r,
                     const char **name_r, size_t *octets_r);

#endif
