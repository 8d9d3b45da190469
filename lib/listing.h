/*
 * listing -- the text files that INN's admins know and LIST shows (RFC 6048):
 * motd, moderators, distrib.pats, distributions, subscriptions.
 *
 * The master reads them with the configuration, and hands their text on in it.
 * But for motd, which is text as it stands, each line of a file says one
 * thing; an empty line and one that begins with "#" or ";" say nothing.
 */
#ifndef LIB_LISTING_H
#define LIB_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

enum {
    LISTING_OCTETS_MAX = 1024 * 1024, /* of a file */
    LISTING_LINE_OCTETS_MAX = 998,    /* what goes into one line of a reply */
};

/* Walk the lines that say something: true with the next one in *line_r and
   *octets_r (within text, without its line end), false at the end.  *at_r
   begins as 0. */
bool listing_next(const char *text, size_t *at_r, const char **line_r,
                  size_t *octets_r);
/* The same for every line, comments and empty ones too. */
bool listing_next_line(const char *text, size_t *at_r, const char **line_r,
                       size_t *octets_r);

/* Is the line one of its file's?  0, or -1 with "found ..., expected ...". */
typedef int listing_check_func(const char *line, size_t octets,
                               struct buffer *why);
listing_check_func listing_check_distribution; /* NAME<white space>MEANING */
listing_check_func listing_check_distrib_pat;  /* WEIGHT:PATTERN:VALUE */
listing_check_func listing_check_moderator;    /* PATTERN:ADDRESS */
listing_check_func listing_check_subscription; /* NEWSGROUP */

/*
 * Check a whole text: UTF-8, no control octets but TAB, no line over the
 * limit; each line that says something by check_line (NULL: any).  A CR before
 * a line's end is taken out.  0, or -1 with "NAME:LINE: found ..., expected
 * ...".
 */
int listing_check(const char *name, struct buffer *text,
                  listing_check_func *check_line, struct buffer *why);

/*
 * Where a post to a moderated newsgroup is mailed: the address of the first
 * line of moderators whose pattern matches, with "%s" as the newsgroup, its
 * dots as dashes; appended to address.  Returns false when none matches.
 */
bool listing_moderator(const char *text, const char *group, size_t octets,
                       struct buffer *address);
/* The same for one address, as moderatormailer has it. */
void listing_expand_moderator(const char *address, size_t octets,
                              const char *group, size_t group_octets,
                              struct buffer *expanded);
/*
 * The Distribution that distrib.pats gives a newsgroup: that of the line with
 * the greatest weight whose pattern matches, the later one among equals.
 * *weight_r: 0 where none matched, then false is returned.  value points into
 * text, and may be empty: no Distribution is wanted then.
 */
bool listing_distribution(const char *text, const char *group, size_t octets,
                          int64_t *weight_r, const char **value_r,
                          size_t *value_octets_r);

#endif
