/*
 * newsstore_view -- the store as newsstore looks at it: beside the server that
 * runs, whose writer is asked about the history, or alone, with the writer's
 * lock.  Nothing is changed by looking.
 */
#ifndef EXPIRE_NEWSSTORE_VIEW_H
#define EXPIRE_NEWSSTORE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buffer.h"
#include "lib/message_id.h"
#include "storage/history.h"
#include "storage/overview.h"
#include "storage/spool.h"

struct active;
struct config;
struct event_base;

struct view {
    const struct config *config; /* borrowed */
    bool online;                 /* a server runs */
    struct spool *spool;         /* opened for reading */
    struct active *active;       /* the server's, or as the overview has it */
    struct message_key key;
    struct event_base *base;
    struct overview_reader *overview; /* NULL: there is none to be used */
    struct buffer overview_why;       /* why not */
    bool has_history;
    struct buffer history_why;
    /* How far they are, at least. */
    uint64_t history_applied, overview_applied;
    /* private */
    int fd; /* of the writer's socket; -1: none */
    struct history *history;
    struct buffer frame;
};

/*
 * What is wrong with the spool is told to fault, now and in walks through
 * view->spool.  Where no server runs, root becomes the server's user.  0, or
 * -1 with why.
 */
int view_open(struct view *view, const struct config *config,
              spool_fault_func *fault, void *context, struct buffer *why);
void view_close(struct view *view);
/* As history_list(); context is the view.  -1 with why, also when the writer
   has gone. */
int view_list(void *context, const struct message_hash *from,
              struct history_entry *entries, size_t count, struct buffer *why);
/* Ask the overview, and wait for the answer: done was called. */
void view_ask(struct view *view, const struct overview_query *query,
              overview_done_func *done, void *context);

#endif
