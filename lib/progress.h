/*
 * progress -- how far long work has come: a bar on a terminal, a plain line
 * every few seconds otherwise; on standard error.
 */
#ifndef LIB_PROGRESS_H
#define LIB_PROGRESS_H

#include <stdint.h>

struct progress;

/* what: "import"; unit: "articles"; total 0: not known.  A copy is kept. */
struct progress *progress_new(const char *what, const char *unit,
                              uint64_t total);
void progress_set_total(struct progress *progress, uint64_t total);
/* Draws at most ten times a second; call it as often as you like. */
void progress_update(struct progress *progress, uint64_t done);
/* The last line, with the rate; frees it. */
void progress_end(struct progress **progress);

#endif
