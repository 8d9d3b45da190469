/*
 * segment -- one file of the log: its names, its head, and the walk through
 * its batches.  Only spool*.c uses it (and the fuzzer of the walk); formats
 * and promises are in storage/spool.h.
 */
#ifndef STORAGE_SEGMENT_H
#define STORAGE_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/spool.h"

struct buffer;

enum {
    SEGMENT_NAME_OCTETS = 16, /* "0123abcd.seg" and its NUL */
    /* What must do on a full disk: room for the records of removals. */
    SEGMENT_SMALL_OCTETS = 4 * 1024 * 1024,
};

/* suffix: "seg", "new" or "bad". */
void segment_name(char name[SEGMENT_NAME_OCTETS], uint32_t number,
                  const char *suffix);
/* The number when name is that of a file with this suffix, else 0. */
uint32_t segment_number(const char *name, const char *suffix);

/*
 * Make %08x.new, octets long, its space given by the file system, durable but
 * for its name.  Returns a descriptor for writing, or -1 with why and nothing
 * left behind.
 */
int segment_create(int dir_fd, uint32_t number, uint64_t octets,
                   uint64_t epoch, struct buffer *why);
/* The same, but where there is no room for all of *octets a small segment will
   do: *octets says how long it is. */
int segment_create_fitting(int dir_fd, uint32_t number, uint64_t *octets,
                           uint64_t epoch, struct buffer *why);
/* Make it part of the spool: %08x.seg, durable with its name.  head says which
   it is, as it will stand in it but for magic, version and sum.  0 or -1 with
   why. */
int segment_adopt(int dir_fd, int fd, const struct segment_head *head,
                  struct buffer *why);
/* 1 and *head_r; 0 when the head is damaged; -1 with why when it cannot be
   read or is of another version. */
int segment_head_read(int fd, uint32_t number, struct segment_head *head_r,
                      struct buffer *why);
/* The offset behind the last octet, from `from` on, that is not zero; `from`
   when there is none. */
uint64_t segment_used_end(int fd, uint64_t from);
/* Where octets begin, from `from` on, that may be other than zero; limit when
   there are none.  A multiple of 8. */
uint64_t segment_data_begin(int fd, uint64_t from, uint64_t limit);

/* --- the walk through one segment --- */

struct segment_walk {
    /* set by the caller */
    int fd;
    uint32_t segment;
    uint64_t epoch; /* 0: not known, the first good batch tells */
    uint32_t end;   /* where a TRUNC record says that it ends; 0: not known */
    uint64_t after; /* give records with a higher sequence only */
    uint64_t ceiling; /* records have a lower sequence; 0: not known */
    spool_walk_func *func;
    void *context;
    spool_fault_func *fault; /* told of damage; NULL: it is logged */
    void *fault_context;
    /* set by the caller to what is known before this segment, and moved */
    uint64_t last_sequence;
    int64_t last_arrival;
    /* results */
    uint32_t good_end; /* behind the last octet that is part of the log */
    bool damaged;      /* corruption was met, and logged */
    /* private */
    uint64_t limit;    /* nothing of the log lies behind this */
    uint64_t certain;  /* what lies before this was synced */
    uint32_t previous; /* offset of the last batch, 0: none yet */
    bool chained;      /* previous is the one directly before */
    bool unreadable;   /* the system failed to read something */
    char *window;
    size_t window_size;
    uint64_t window_at;
    size_t window_used;
};

/* 0, or -1 with why when func said so or the size could not be asked. */
int segment_walk(struct segment_walk *walk, struct buffer *why);

#endif
