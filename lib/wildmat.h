/*
 * wildmat -- patterns for newsgroup names and other text (RFC 3977, 4).
 *
 * A wildmat is a list of patterns with commas between; the last one that
 * matches decides, and one that begins with "!" decides against.  "*" stands
 * for any characters, "?" for one UTF-8 character.  INN's forms, which RFC
 * 3977 leaves open, are here too: "[a-z]" and "[^a-z]" for one of a set (a
 * comma in a set separates nothing), and a backslash for the next octet as it
 * is.  An octet that is no UTF-8 is a character of its own; a "[" without its
 * "]" is an ordinary octet.  With poison, a pattern that begins with "@"
 * decides against and cannot be outvoted by another group of a crosspost.
 * Matching takes time linear in text length times stars; there is no
 * backtracking that an attacker could blow up.  Everything is text with a
 * length; NUL is an octet like any other.
 */
#ifndef LIB_WILDMAT_H
#define LIB_WILDMAT_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;

enum { WILDMAT_OCTETS_MAX = 8192, WILDMAT_CLAUSES_MAX = 512 };

enum wildmat_answer { WILDMAT_NO, WILDMAT_YES, WILDMAT_POISON };

/* One pattern: "!", "@" and "," are ordinary octets here. */
bool wildmat_match_pattern(const char *pattern, size_t pattern_octets,
                           const char *text, size_t text_octets);
/* A list of patterns, the last match decides. */
bool wildmat_match(const char *wildmat, size_t wildmat_octets,
                   const char *text, size_t text_octets);
enum wildmat_answer wildmat_match_poison(const char *wildmat,
                                         size_t wildmat_octets,
                                         const char *text, size_t text_octets);
/* 0, or -1 with the reason: empty clause, bad UTF-8, unclosed "[", too long.
 */
int wildmat_check(const char *wildmat, size_t wildmat_octets,
                  struct buffer *why);

#endif
