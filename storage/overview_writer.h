/*
 * overview_writer -- what every backend's writer does alike: removals, what
 * the groups' rows count, and the fold.  For the files overview_*.c alone.
 *
 * The tables are those of overview_sqlite.h, whatever they lie in.  A backend
 * brings struct overview_rows, what it does with rows within the open
 * transaction, and begins its own struct with struct overview_writer.
 */
#ifndef STORAGE_OVERVIEW_WRITER_H
#define STORAGE_OVERVIEW_WRITER_H

#include "lib/buffer.h"
#include "storage/overview_backend.h"
#include "storage/overview_block.h"
#include "storage/overview_recent.h"

/* A group's number above this is damage: nobody has so many. */
enum { OVERVIEW_GROUP_MAX = 1 << 24 };

struct overview_writer;

/* A row of recent that is being folded. */
struct fold_row {
    uint64_t sequence;
    int64_t arrival;
    struct token token;
    size_t line; /* offset in the fold's lines */
    uint32_t line_octets;
    bool gone; /* removed meanwhile: it gets no article row */
};

/* One number of such a row. */
struct fold_place {
    uint64_t number;
    uint32_t group;
    uint32_t row; /* index of its fold_row */
    bool gone;    /* removed meanwhile */
};

/* What a fold adds to the row of a group. */
struct fold_count {
    uint32_t group;
    uint64_t high;
    uint64_t count;
    uint64_t folded; /* it counts articles up to this sequence then */
};

/* Numbers of rows of recent. */
struct overview_places {
    struct overview_place {
        uint64_t sequence;
        uint64_t number;
        uint32_t group;
    } * places;
    size_t count;
    size_t size;
};

enum fold_stage {
    FOLD_NONE,
    FOLD_LOAD,   /* rows are read; nothing has been written */
    FOLD_BLOCKS, /* next: the first place not yet in its block */
    FOLD_GROUPS, /* next: the first place whose group is not yet counted */
    FOLD_ROWS,   /* next: the first row not yet moved to article */
};

/*
 * The fold under way.  It is memory only: a writer that dies loses it, and
 * the next one folds the same rows again, which are still in recent, over
 * what is already in the blocks.
 */
struct fold {
    enum fold_stage stage;
    size_t wanted; /* rows */
    size_t next;
    struct fold_row *rows; /* ascending by sequence */
    size_t row_count;
    size_t row_size;
    struct fold_place *places; /* sorted by group and number, once loaded */
    size_t place_count;
    size_t place_size;
    struct buffer lines;
    struct buffer text; /* lines on their way into a block */
};

/* All return 0, or -1 with why, where nothing else is said. */
struct overview_rows {
    /* Pass the rows of recent behind `after`, ascending, at most limit, to
       overview_fold_add().  Returns how many there were. */
    int64_t (*load)(struct overview_writer *writer, uint64_t after,
                    size_t limit, struct buffer *why);
    /* The lines of a block, 0 when there is none.  They are borrowed until
       put_block() or done_block() of it. */
    int (*get_block)(struct overview_writer *writer, int64_t key,
                     struct overview_line lines[], struct buffer *why);
    void (*done_block)(struct overview_writer *writer);
    /* The same for the first block there is with a key of from to `to`, which
     *key_r says. */
    int (*next_block)(struct overview_writer *writer, int64_t from, int64_t to,
                      int64_t *key_r, struct overview_line lines[],
                      struct buffer *why);
    /* Write a block, or drop it when it has no lines. */
    int (*put_block)(struct overview_writer *writer, int64_t key,
                     const struct overview_line *lines, size_t count,
                     struct buffer *why);
    int (*count_group)(struct overview_writer *writer,
                       const struct fold_count *count, struct buffer *why);
    /* Rows go from recent to article, the first ones there are. */
    int (*move_rows)(struct overview_writer *writer,
                     const struct fold_row *rows, size_t count,
                     struct buffer *why);
    /* The groups of a row of recent, borrowed until the next call: 1, or 0
       when there is no such row. */
    int (*recent_groups)(struct overview_writer *writer, uint64_t sequence,
                         const struct record_group **groups_r, size_t *count_r,
                         struct buffer *why);
    int (*set_recent)(struct overview_writer *writer, uint64_t sequence,
                      const struct record_group *groups, size_t count,
                      struct buffer *why);
    int (*drop_recent)(struct overview_writer *writer, uint64_t sequence,
                       struct buffer *why);
    int (*note_removed)(struct overview_writer *writer, uint64_t sequence,
                        const struct record_group *groups, size_t count,
                        bool last, struct buffer *why);
    /* Append the numbers of all rows of recent with a sequence of from to
       `to`. */
    int (*recent_places)(struct overview_writer *writer, uint64_t from,
                         uint64_t to, struct overview_places *places,
                         struct buffer *why);
    /* No row of recent has a lower sequence than this. */
    int (*recent_begin)(struct overview_writer *writer, uint64_t *sequence_r,
                        struct buffer *why);
    /* A group's row counts so many less; its high mark is at least this. */
    int (*less_group)(struct overview_writer *writer, uint32_t group,
                      uint64_t count, struct buffer *why);
    /* The row of an article, alone. */
    int (*put_article)(struct overview_writer *writer,
                       const struct fold_row *row, struct buffer *why);
    /* What a group's row says, whatever it said; high only ever rises. */
    int (*set_group)(struct overview_writer *writer, uint32_t group,
                     uint64_t low, uint64_t high, uint64_t count,
                     uint64_t folded, struct buffer *why);
    int (*raise_group)(struct overview_writer *writer,
                       const struct record_group *place, struct buffer *why);
    /* The rows of article with a sequence of first to last go. */
    int (*drop_articles)(struct overview_writer *writer, uint64_t first,
                         uint64_t last, struct buffer *why);
    int (*move_article)(struct overview_writer *writer, uint64_t sequence,
                        const struct token *token, struct buffer *why);
};

struct overview_writer {
    struct overview base;
    const struct overview_rows *rows;
    uint64_t applied;
    uint64_t settled;  /* as overview_settle() has it */
    uint64_t last_put; /* the highest sequence ever put */
    size_t recent;     /* rows */
    uint64_t *folded;  /* by group: its row counts articles up to this */
    size_t folded_size;
    bool in_transaction;
    bool removed_noted; /* in this transaction */
    struct fold fold;
};

static inline struct overview_writer *
overview_writer(struct overview *overview)
{
    return (struct overview_writer *)overview;
}

/* Forget what the tables said, to read them anew. */
void overview_writer_clear(struct overview_writer *writer);
uint64_t overview_writer_folded(const struct overview_writer *writer,
                                uint32_t group);
void overview_writer_set_folded(struct overview_writer *writer, uint32_t group,
                                uint64_t sequence);

/* As in storage/overview.h, for the table of functions. */
uint64_t overview_writer_applied(const struct overview *overview);
void overview_writer_settle(struct overview *overview, uint64_t sequence);
uint64_t overview_writer_settled(const struct overview *overview);
size_t overview_writer_recent(const struct overview *overview);
int overview_writer_remove(struct overview *overview, uint64_t sequence,
                           const struct record_group *groups,
                           size_t group_count, bool last, struct buffer *why);
int overview_writer_remove_ranges(struct overview *overview,
                                  const struct expired_range *ranges,
                                  size_t count, uint64_t *removed_r,
                                  struct buffer *why);
int overview_writer_drop(struct overview *overview, const uint64_t *sequences,
                         size_t count, struct buffer *why);
int overview_writer_move(struct overview *overview, uint64_t sequence,
                         const struct token *token, struct buffer *why);
int overview_writer_recent_begin(struct overview *overview,
                                 uint64_t *sequence_r, struct buffer *why);
/* The groups of a row of recent. */
void overview_places_add(struct overview_places *places, uint64_t sequence,
                         const struct record_group *groups, size_t count);

int overview_writer_mend(struct overview *overview,
                         const struct overview_entry *entry,
                         struct buffer *why);
int overview_writer_recount(struct overview *overview, uint32_t group,
                            uint64_t low, struct buffer *why);

/* --- lists of groups, as a column of octets --- */

/* Little-endian, as in the spool. */
void overview_groups_write(struct buffer *octets,
                           const struct record_group *groups, size_t count);
/* Returns their count, or -1 when it is no such list.  *groups_r borrows from
   list, which is cleared first. */
int overview_groups_read(struct buffer *list, const void *octets,
                         size_t length, const struct record_group **groups_r);

/* --- what recent adds to the rows of the groups --- */

struct overview_tally {
    struct overview_tally_group {
        uint64_t high;
        uint64_t count;
    } * groups; /* by group */
    size_t size;
};

void overview_tally_add(struct overview_tally *tally,
                        const struct overview_writer *writer,
                        uint64_t sequence, const struct record_group *groups,
                        size_t count);
void overview_tally_apply(const struct overview_tally *tally,
                          struct overview_group *group);
void overview_tally_free(struct overview_tally *tally);

/* --- the fold, storage/overview_fold.c --- */

/* As overview_fold() in storage/overview.h. */
int overview_writer_fold(struct overview *overview, size_t keep,
                         struct buffer *why);
/* A row that is to be folded: its line and groups are copied. */
void overview_fold_add(struct fold *fold, const struct recent_row *row);
/* A row that may be in the fold under way has left these groups. */
void overview_fold_remove(struct fold *fold, uint64_t sequence,
                          const struct record_group *groups,
                          size_t group_count, bool last);
void overview_fold_free(struct fold *fold);

#endif
