/*
 * fault -- a disk, and databases, that fail when a test says so.
 *
 * Linked into the test programs tests/fault (*-t.c) alone: fault.c defines the
 * calls of the table below itself, so that those of our code, of SQLite and of
 * Berkeley DB all come by here, and passes them on to the C library or the
 * library whose they are.  Only what concerns regular files under
 * fault_directory() counts.
 *
 * Counters lie in memory that children share with whoever has called
 * fault_open(); the plan belongs to the process that sets it.
 */
#ifndef TESTS_FAULT_FAULT_H
#define TESTS_FAULT_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_call {
    FAULT_PWRITEV,
    FAULT_PWRITE,
    FAULT_WRITE,
    FAULT_FDATASYNC,
    FAULT_FSYNC,
    FAULT_FALLOCATE,
    FAULT_FTRUNCATE,
    FAULT_SYNC_FILE_RANGE,
    FAULT_RENAME,
    FAULT_UNLINK,
    FAULT_OPEN, /* for writing */
    FAULT_MKDIR,
    FAULT_SQLITE_OPEN,
    FAULT_SQLITE_PREPARE,
    FAULT_SQLITE_BIND,
    FAULT_SQLITE_STEP,
    FAULT_SQLITE_EXEC,
    FAULT_SQLITE_CHECKPOINT,
    FAULT_DB_OPEN, /* making, setting up and opening both handles */
    FAULT_DB_GET,
    FAULT_DB_PUT,
    FAULT_DB_BEGIN,
    FAULT_DB_COMMIT,
    FAULT_DB_CHECKPOINT,
    FAULT_CALLS
};

enum fault {
    FAULT_NONE,
    FAULT_EIO,          /* SQLITE_IOERR where it is SQLite's */
    FAULT_ENOSPC,       /* SQLITE_FULL */
    FAULT_SHORT,        /* the first half is written */
    FAULT_DEATH_BEFORE, /* the process ends with FAULT_STATUS */
    FAULT_DEATH_AFTER,
    FAULTS
};

enum { FAULT_STATUS = 99 };

struct fault_plan {
    enum fault_call call;
    enum fault fault;
    uint64_t number; /* which call, from 1; those before it go well */
    bool for_ever;   /* and all calls after it, of any kind that can */
};

/* Begin counting what happens to files under this directory. */
void fault_open(const char *directory);
void fault_close(void);
/* From now on, in this process; NULL: no fault.  The counters begin at 0. */
void fault_arm(const struct fault_plan *plan);
/* How many calls there were since. */
uint64_t fault_count(enum fault_call call);
/* Did the plan come true? */
bool fault_happened(void);

const char *fault_call_name(enum fault_call call);
const char *fault_name(enum fault fault);
/* Can this call fail in this way? */
bool fault_is_possible(enum fault_call call, enum fault fault);

#endif
