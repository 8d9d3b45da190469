/*
 * relay -- what this site does with an article that comes from elsewhere: its
 * rules for it, and what it writes into it.
 *
 * A peer sends it (nnrpd), we fetch it (feeder), or it lies in a file
 * (newsimport): the same article is taken or refused, and is stored with the
 * same Path, whichever way it came.
 */
#ifndef STORAGE_RELAY_H
#define STORAGE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct active;
struct article;
struct article_rules;
struct buffer;
struct config;
struct config_peer;

/* Where it comes from. */
struct relay {
    const struct config *config;
    const struct active *active;
    const struct config_peer *peer; /* NULL: none that has a section */
    uint32_t peer_number; /* for the record's head: which section, from 1 */
    const char *address;  /* the other side's, for what Path says of it (RFC
                             5537, 3.2.1); NULL: by no connection */
    bool any_age;         /* artcutoff is for others */
};

/* maxartsize or localmaxartsize, and never over the hard limit. */
size_t relay_octets_max(int64_t configured);
/* What holds for an article of so many octets at most, now. */
struct article_rules relay_rules(const struct config *config,
                                 size_t octets_max);
/* Do its newsgroups take an article of so many octets (groupmaxartsize)?  -1
   with the text of the refusal. */
int relay_check_size(const struct config *config,
                     const struct article *article, size_t octets,
                     struct buffer *why);
/* Is it an article that may be relayed at all, and not too long?  What is
   refused here is so for what it is, whoever sends it.  0, or -1 with the text
   of the refusal. */
int relay_check(const struct relay *relay, const struct article *article,
                size_t octets, struct buffer *why);
/* The site's rules that hold for its posters' articles too: distributions,
   names in Path, newsgroups that are not here.  0, or -1 with the text of the
   refusal. */
int relay_check_site(const struct config *config, const struct active *active,
                     const struct article *article, struct buffer *why);
/* The payload for the writer (storage/submission.h).  0; -1 with the text of
   the refusal where none of its newsgroups is carried here. */
int relay_build(const struct relay *relay, const struct article *article,
                uint64_t cookie, struct buffer *payload, struct buffer *why);

#endif
