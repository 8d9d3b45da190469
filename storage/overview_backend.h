/*
 * overview_backend -- what a kind of overview has to bring with it.
 *
 * One struct overview_ops a kind, each in files of its own
 * (storage/overview_sqlite*.c); storage/overview.c knows which kinds there
 * are and passes every call on.  What each function promises stands in
 * storage/overview.h, under the name with overview_ in front.
 */
#ifndef STORAGE_OVERVIEW_BACKEND_H
#define STORAGE_OVERVIEW_BACKEND_H

#include "storage/overview.h"

struct overview_ops;

/* A backend's own structs begin with these. */
struct overview {
    const struct overview_ops *ops;
};
struct overview_reader {
    const struct overview_ops *ops;
};
struct overview_request {
    struct overview_reader *reader;
};

struct overview_ops {
    const char *name; /* the word in the configuration, up to a ':' */

    /* the writer */
    struct overview *(*open)(const char *url, const char *path,
                             size_t cache_octets, struct buffer *why);
    int (*examine)(const char *url, const char *path, struct buffer *why);
    char *(*rebuild_begin)(const char *url, const char *path, bool resume,
                           struct buffer *why);
    int (*rebuild_end)(const char *url, const char *path, struct buffer *why);
    void (*close)(struct overview *overview);
    uint64_t (*applied)(const struct overview *overview);
    int (*groups)(struct overview *overview, overview_group_func *func,
                  void *context, struct buffer *why);
    int (*begin)(struct overview *overview, struct buffer *why);
    int (*put)(struct overview *overview, const struct overview_entry *entries,
               size_t count, struct buffer *why);
    int (*put_group)(struct overview *overview,
                     const struct overview_group *group, struct buffer *why);
    int (*remove)(struct overview *overview, uint64_t sequence,
                  const struct record_group *groups, size_t group_count,
                  bool last, struct buffer *why);
    int (*remove_ranges)(struct overview *overview,
                         const struct expired_range *ranges, size_t count,
                         uint64_t *removed_r, struct buffer *why);
    int (*drop)(struct overview *overview, const uint64_t *sequences,
                size_t count, struct buffer *why);
    int (*move)(struct overview *overview, uint64_t sequence,
                const struct token *token, struct buffer *why);
    int (*commit)(struct overview *overview, uint64_t applied,
                  struct buffer *why);
    void (*settle)(struct overview *overview, uint64_t sequence);
    uint64_t (*settled)(const struct overview *overview);
    int (*resume)(struct overview *overview, struct buffer *why);
    int (*fold)(struct overview *overview, size_t keep, struct buffer *why);
    int (*recent_begin)(struct overview *overview, uint64_t *sequence_r,
                        struct buffer *why);
    size_t (*recent)(const struct overview *overview);
    uint64_t (*log_octets)(const struct overview *overview);
    int (*checkpoint)(struct overview *overview, uint64_t *left_r,
                      struct buffer *why);
    int (*flush)(struct overview *overview, struct buffer *why);
    int (*upkeep)(struct overview *overview, struct buffer *why);
    int (*restart_log)(struct overview *overview, struct buffer *why);
    int (*locate)(struct overview *overview, uint64_t sequence,
                  struct token *token_r, int64_t *arrival_r,
                  struct buffer *why);

    /* readers */
    struct overview_reader *(*reader_open)(const char *url, const char *path,
                                           const struct active *active,
                                           struct event_base *base,
                                           struct buffer *why);
    void (*reader_close)(struct overview_reader *reader);
    struct overview_request *(*ask)(struct overview_reader *reader,
                                    const struct overview_query *query,
                                    overview_done_func *done, void *context);
    void (*forget)(struct overview_request *request);
    void (*turn_ended)(struct overview_reader *reader);
};

extern const struct overview_ops overview_sqlite;
extern const struct overview_ops overview_postgresql;

#endif
