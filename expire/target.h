/*
 * target -- whom a program asks to change the store: the writer of the server
 * that runs, or, when none does, the store itself, opened here.
 *
 * Which of the two it is, target_open() finds out.  Outcomes of articles come
 * by callback from within target_submit() and target_wait(); what else is
 * asked is waited for.  A writer that dies loses the connection and nothing
 * else: target_reopen() waits for the next one, and the caller asks again for
 * what was not answered.
 */
#ifndef EXPIRE_TARGET_H
#define EXPIRE_TARGET_H

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

/* What a kind of target does; target_server.c and target_store.c. */
struct target_ops {
    int (*submit)(struct target *target, const void *payload, size_t octets,
                  struct buffer *why);
    int (*wait)(struct target *target, int timeout_ms, struct buffer *why);
    int (*command)(struct target *target, int words, const char *const *word,
                   struct buffer *text, struct buffer *why);
    int (*expire)(struct target *target, const void *octets, size_t length,
                  struct buffer *why);
    int (*mend)(struct target *target, const void *octets, size_t length,
                struct buffer *why);
    int (*reopen)(struct target *target, struct buffer *why);
    void (*close)(struct target *target);
};

/* outcome: NULL where no article is submitted.  NULL with why. */
struct target *target_open(const struct config *config,
                           target_outcome_func *outcome, void *context,
                           struct buffer *why);
void target_close(struct target **target);

/* The groups as they are now.  What was given stays until target_close(), and
   a later writer of the same server goes on with it. */
const struct active *target_active(const struct target *target);
/* After any of the next ones has returned -1: can target_reopen() help? */
bool target_is_lost(const struct target *target);
/* 0, or -1 with why when target_is_lost() or all is over. */
int target_submit(struct target *target, const void *payload, size_t octets,
                  struct buffer *why);
/* Wait for outcomes, at most so long.  0 or -1 as above. */
int target_wait(struct target *target, int timeout_ms, struct buffer *why);
/* A command of store_command().  0 with the answer in text; -1 as above, or
   refused. */
int target_command(struct target *target, int words, const char *const *word,
                   struct buffer *text, struct buffer *why);
/* Remove a batch of storage/expiry.h.  0; -1 as above, or refused. */
int target_expire(struct target *target, const void *octets, size_t length,
                  struct buffer *why);
/* Do steps of storage/mend.h.  The same. */
int target_mend(struct target *target, const void *octets, size_t length,
                struct buffer *why);
/* Find the next writer, for at most 30 s. */
int target_reopen(struct target *target, struct buffer *why);

/* --- the two kinds --- */

struct target *target_server_open(const struct config *config,
                                  struct buffer *why);
struct target *target_store_open(const struct config *config,
                                 struct buffer *why);

#endif
