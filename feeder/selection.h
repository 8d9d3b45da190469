/*
 * selection -- which articles of the log are for a peer.
 *
 * The head of a record decides nearly all: its newsgroups and its size.  What
 * is left is looked at in the article itself: Path, and the newsgroups of
 * Newsgroups that are not carried here and may be poison.
 */
#ifndef FEEDER_SELECTION_H
#define FEEDER_SELECTION_H

#include <stdbool.h>

struct active;
struct article;
struct config_peer;
struct record;

/* May the article be for the peer, by its record's head and meta? */
bool selection_may_want(const struct config_peer *peer,
                        const struct active *active,
                        const struct record *record);
/* Is it, now that it was read? */
bool selection_wants(const struct config_peer *peer,
                     const struct article *article);

#endif
