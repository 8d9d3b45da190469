/*
 * overview_answer -- an answer put together from blocks and from `recent`,
 * the same for every backend.
 *
 * The rule that makes it right: blocks are of the moment of recent or of a
 * later one.  A group's first number in recent parts them: what is below it
 * was folded before, so the blocks have all of it.
 */
#ifndef STORAGE_OVERVIEW_ANSWER_H
#define STORAGE_OVERVIEW_ANSWER_H

#include "lib/buffer.h"
#include "storage/overview.h"
#include "storage/overview_block.h"
#include "storage/overview_recent.h"

/* OVERVIEW_SINCE: articles at most. */
enum { OVERVIEW_ANSWER_ARTICLES = 1000 };

/* The answer being made: every text touches the next. */
struct overview_answering {
    struct overview_recent *recent;
    struct overview_line *lines;
    size_t line_count;
    size_t line_size;
    struct buffer text;
};

/* Where the blocks of one question come from; a backend's struct begins with
   this. */
struct overview_blocks {
    /* Those of these keys, ascending or descending.  0 or -1. */
    int (*open)(struct overview_blocks *blocks, int64_t first, int64_t last,
                bool down);
    /* The next one, taken apart: its lines, 0 when there is none, -1. */
    int (*next)(struct overview_blocks *blocks,
                struct overview_line lines[OVERVIEW_BLOCK_NUMBERS]);
    void (*close)(struct overview_blocks *blocks);
    /* When next has said 0 only because no more were read: the first number
       (descending: the last) that may be in a further one.  0: there is no
       further one. */
    uint64_t rest;
};

void overview_answering_free(struct overview_answering *answering);
void overview_answer_begin(struct overview_answering *answering);
/* One line, from wherever it is at hand; copies its text. */
void overview_answer_add(struct overview_answering *answering,
                         const struct overview_line *line);
/* Give the lines their texts.  They are borrowed until the next begin. */
void overview_answer_finish(struct overview_answering *answering,
                            struct overview_answer *answer);

/*
 * OVERVIEW_RANGE, _NEXT and _PREVIOUS.  0 or -1.  Where blocks had a rest and
 * nothing was found up to it, answer->next is the rest, from (or, for
 * _PREVIOUS, down to) which to ask again.
 */
int overview_answer_lines(struct overview_answering *answering,
                          const struct overview_query *query,
                          struct overview_blocks *blocks,
                          struct overview_answer *answer);
/* Would that open the blocks, or is recent enough? */
bool overview_answer_needs_blocks(const struct overview_answering *answering,
                                  const struct overview_query *query);
/* The keys of the blocks that a question may need; false: none. */
bool overview_answer_keys(const struct overview_query *query, int64_t *first_r,
                          int64_t *last_r);

/* OVERVIEW_LOCATE: true when recent knows. */
bool overview_answer_located(const struct overview_answering *answering,
                             const struct overview_query *query,
                             struct overview_answer *answer);

/* OVERVIEW_SINCE: first the folded articles below the sequence that recent
   begins with, each by add_article (false: no room, answer->next is set),
   then those of recent. */
uint64_t
overview_answer_recent_first(const struct overview_answering *answering);
bool overview_answer_add_article(struct overview_answering *answering,
                                 const struct overview_query *query,
                                 uint64_t sequence, const struct token *token,
                                 struct overview_answer *answer);
void overview_answer_since_recent(struct overview_answering *answering,
                                  const struct overview_query *query,
                                  struct overview_answer *answer);
size_t overview_answer_articles(const struct overview_query *query);

#endif
