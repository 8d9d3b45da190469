/*
 * pull -- fetches articles from a peer that does not send them: visits it, and
 * asks in each group that is wanted for the numbers behind the last one.
 *
 * Only groups that are here are asked for.  How far each has come is kept in a
 * file, which moves past an article only when the writer has decided on it, or
 * the peer does not have it: so what a death interrupts is fetched again, and
 * refused as a duplicate.  Articles take the way of what peers send: checked
 * as relayed ones, then to the writer.
 */
#ifndef FEEDER_PULL_H
#define FEEDER_PULL_H

struct feeder;
struct pull;

enum {
    PULL_WINDOW = 20,                  /* articles asked for at once */
    PULL_OCTETS_MAX = 8 * 1024 * 1024, /* on their way to the writer */
};

/* Dies when the file cannot be read. */
struct pull *pull_new(struct feeder *feeder);
void pull_free(struct pull **pull);

/* Each turn, and each tick. */
void pull_run(struct pull *pull);
void pull_tick(struct pull *pull);
/* Visit now. */
void pull_begin(struct pull *pull);
/* The peer's section has changed. */
void pull_restart(struct pull *pull);

#endif
