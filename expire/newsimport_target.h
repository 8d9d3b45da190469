/*
 * newsimport_target -- where articles go: to the writer of the server that
 * runs, or, when none does, into the store itself.
 *
 * Which of the two it is, target_open() finds out.  Outcomes come by callback
 * from within target_submit() and target_wait().  A writer that dies loses
 * the connection and nothing else: target_reopen() waits for the next one,
 * and the caller submits again what was not answered.
 */
#ifndef EXPIRE_NEWSIMPORT_TARGET_H
#define EXPIRE_NEWSIMPORT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/store.h"

struct active;
struct buffer;
struct config;
struct target; /* begins with a struct target_base */

typedef void target_outcome_func(void *context, uint64_t cookie,
                                 enum store_outcome outcome, const char *why);

struct target_base {
    const struct target_ops *ops;
    target_outcome_func *outcome;
    void *context;
    struct active *active; /* owned */
    bool lost;             /* the connection has gone: target_reopen() */
};

/* What a kind of target does; newsimport_server.c and newsimport_store.c. */
struct target_ops {
    int (*submit)(struct target *target, const void *payload, size_t octets,
                  struct buffer *why);
    int (*wait)(struct target *target, int timeout_ms, struct buffer *why);
    int (*newgroup)(struct target *target, const char *name,
                    struct buffer *why);
    int (*reopen)(struct target *target, struct buffer *why);
    void (*close)(struct target *target);
};

/* NULL with why. */
struct target *target_open(const struct config *config,
                           target_outcome_func *outcome, void *context,
                           struct buffer *why);
void target_close(struct target **target);

/* The groups as they are now. */
const struct active *target_active(const struct target *target);
/* After any of the next three has returned -1: can target_reopen() help? */
bool target_is_lost(const struct target *target);
/* 0, or -1 with why when target_is_lost() or all is over. */
int target_submit(struct target *target, const void *payload, size_t octets,
                  struct buffer *why);
/* Wait for outcomes, at most so long.  0 or -1 as above. */
int target_wait(struct target *target, int timeout_ms, struct buffer *why);
/* Make a group that anyone may post to.  0; -1 as above, or refused. */
int target_newgroup(struct target *target, const char *name,
                    struct buffer *why);
/* Find the next writer, for at most 30 s. */
int target_reopen(struct target *target, struct buffer *why);

/* --- the two kinds --- */

struct target *target_server_open(const struct config *config,
                                  struct buffer *why);
struct target *target_store_open(const struct config *config,
                                 struct buffer *why);

#endif
