/*
 * The inside of struct spool, for spool*.c alone: spool.c opens and closes,
 * spool_walk.c reads the log, spool_write.c adds to it.
 */
#ifndef STORAGE_SPOOL_PRIVATE_H
#define STORAGE_SPOOL_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/spool.h"

struct ahead;
struct opening;

/* A segment as it was found when the spool was opened. */
struct found_segment {
    uint32_t number;
    uint32_t storage_class;  /* not 0: outside the log */
    uint64_t epoch;          /* 0: its head is damaged */
    uint64_t first_sequence; /* 0: not known */
    uint64_t last_sequence;  /* compaction segments only */
    uint32_t end;            /* of the log in it; 0: not known yet */
    uint64_t octets;         /* that the file takes on the disk */
};

struct spool {
    char *path;
    int dir_fd;
    int lock_fd;
    uint64_t segment_octets;
    spool_fault_func *fault; /* opened for reading: told of what is wrong */
    void *fault_context;
    bool vanished; /* a segment that was found is not there any more */

    /* what was there, ascending by number */
    struct found_segment *segments;
    size_t count;
    uint64_t epoch;     /* the highest found */
    uint64_t own_epoch; /* one more, from spool_begin() on */
    uint32_t durable_segment, durable_end; /* 0: not known */

    /* what the walk found */
    bool walked;
    uint64_t last_sequence;
    int64_t last_arrival;

    /* The thread that seals: where the next batch goes. */
    uint32_t segment; /* 0 before spool_begin() */
    uint64_t size;    /* of it, octets */
    uint64_t tail;
    uint32_t previous; /* offset of the last batch in it */
    uint64_t sealed_sequence;
    int64_t sealed_arrival;
    spool_snapshot_func *snapshot;
    void *snapshot_context;
    bool has_room;
    int64_t room_asked; /* monotonic seconds; 0: never */

    /* The thread that writes. */
    uint32_t open_segment;
    int fd;          /* of open_segment; -1: none */
    uint64_t synced; /* its end on the disk */

    /* Shared by the two. */
    _Atomic bool broken;      /* a write failed: nothing more is written */
    pthread_mutex_t mutex;    /* over openings */
    struct opening *openings; /* oldest first */
    struct ahead *ahead;
};

/* spool_walk.c: is this segment one of those whose end spool_set_durable()
   decides? */
bool durable_decides(const struct spool *spool,
                     const struct found_segment *found);
/* spool_write.c: end what spool_begin() began. */
void spool_end(struct spool *spool);

#endif
