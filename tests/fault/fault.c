#include "tests/fault/fault.h"

#include <db.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PIECES_MAX = 1024, RANGES_MAX = 1024 };

/* --- the plan and the counters --- */

struct counters {
    _Atomic uint64_t calls[FAULT_CALLS];
    _Atomic bool happened;
};

static struct counters *counters; /* NULL: nothing is counted yet */
static char directory[256];
static struct fault_plan plan;

static const struct {
    const char *name;
    bool writes; /* can be short */
    bool sqlite;
} calls[FAULT_CALLS] = {
    [FAULT_PWRITEV] = {"pwritev", true, false},
    [FAULT_PWRITE] = {"pwrite", true, false},
    [FAULT_WRITE] = {"write", true, false},
    [FAULT_FDATASYNC] = {"fdatasync", false, false},
    [FAULT_FSYNC] = {"fsync", false, false},
    [FAULT_FALLOCATE] = {"fallocate", false, false},
    [FAULT_FTRUNCATE] = {"ftruncate", false, false},
    [FAULT_SYNC_FILE_RANGE] = {"sync_file_range", false, false},
    [FAULT_RENAME] = {"rename", false, false},
    [FAULT_UNLINK] = {"unlink", false, false},
    [FAULT_OPEN] = {"open", false, false},
    [FAULT_MKDIR] = {"mkdir", false, false},
    [FAULT_SQLITE_OPEN] = {"sqlite open", false, true},
    [FAULT_SQLITE_PREPARE] = {"sqlite prepare", false, true},
    [FAULT_SQLITE_BIND] = {"sqlite bind", false, true},
    [FAULT_SQLITE_STEP] = {"sqlite step", false, true},
    [FAULT_SQLITE_EXEC] = {"sqlite exec", false, true},
    [FAULT_SQLITE_CHECKPOINT] = {"sqlite checkpoint", false, true},
    [FAULT_DB_OPEN] = {"db open", false, false},
    [FAULT_DB_GET] = {"db get", false, false},
    [FAULT_DB_PUT] = {"db put", false, false},
    [FAULT_DB_BEGIN] = {"db begin", false, false},
    [FAULT_DB_COMMIT] = {"db commit", false, false},
    [FAULT_DB_CHECKPOINT] = {"db checkpoint", false, false},
};

static const char *const names[FAULTS] = {
    [FAULT_NONE] = "none",
    [FAULT_EIO] = "EIO",
    [FAULT_ENOSPC] = "ENOSPC",
    [FAULT_SHORT] = "short",
    [FAULT_DEATH_BEFORE] = "death before",
    [FAULT_DEATH_AFTER] = "death after",
};

/* Berkeley DB waits for 2, 4 and 6 s before it tries an open again for which
   there was no room: here there is none however long it waits. */
static int
yield_at_once(u_long seconds, u_long microseconds)
{
    (void)seconds;
    (void)microseconds;
    sched_yield();
    return 0;
}

void
fault_open(const char *path)
{
    void *memory = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        abort();
    snprintf(directory, sizeof(directory), "%s/", path);
    plan = (struct fault_plan){0};
    counters = memory;
    db_env_set_func_yield(yield_at_once);
}

void
fault_close(void)
{
    munmap(counters, sizeof(*counters));
    counters = NULL;
}

void
fault_arm(const struct fault_plan *new)
{
    memset(counters, 0, sizeof(*counters));
    plan = new != NULL ? *new : (struct fault_plan){0};
}

uint64_t
fault_count(enum fault_call call)
{
    return counters->calls[call];
}

bool
fault_happened(void)
{
    return counters->happened;
}

const char *
fault_call_name(enum fault_call call)
{
    return calls[call].name;
}

const char *
fault_name(enum fault fault)
{
    return names[fault];
}

bool
fault_is_possible(enum fault_call call, enum fault fault)
{
    return fault != FAULT_NONE && (fault != FAULT_SHORT || calls[call].writes);
}

/* What happens to this call: FAULT_NONE, it goes well. */
static enum fault
fault_now(enum fault_call call)
{
    uint64_t number;

    if (counters == NULL)
        return FAULT_NONE;
    number = ++counters->calls[call];
    if (plan.fault == FAULT_NONE)
        return FAULT_NONE;
    if (plan.call == call && number == plan.number) {
        counters->happened = true;
        return plan.fault;
    }
    /* A disk that is gone, or full, is so for all; only those that cannot fall
       short still succeed on one that does. */
    if (plan.for_ever && counters->happened
        && fault_is_possible(call, plan.fault))
        return plan.fault;
    return FAULT_NONE;
}

/* Before the call: does it fail?  With death before it, nobody hears. */
static bool
fails(enum fault fault)
{
    if (fault == FAULT_DEATH_BEFORE)
        _exit(FAULT_STATUS);
    return fault == FAULT_EIO || fault == FAULT_ENOSPC;
}

static int
failure(enum fault fault)
{
    errno = fault == FAULT_EIO ? EIO : ENOSPC;
    return -1;
}

static void
after(enum fault fault)
{
    if (fault == FAULT_DEATH_AFTER)
        _exit(FAULT_STATUS);
}

static size_t
written_octets(enum fault fault, size_t octets)
{
    return fault == FAULT_SHORT && octets > 1 ? octets / 2 : octets;
}

/* --- what concerns the store --- */

/*
 * What the log has written and not yet synced.  When its fdatasync fails that
 * is gone, as it would be from a disk: whoever believes in it all the same
 * loses it.
 */
static struct {
    pthread_mutex_t mutex;
    struct unsynced {
        ino_t inode; /* 0: free */
        off_t offset;
        size_t octets;
    } ranges[RANGES_MAX];
} unsynced = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static ino_t
inode_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

static void
unsynced_add(int fd, off_t offset, size_t octets)
{
    size_t i = 0;

    pthread_mutex_lock(&unsynced.mutex);
    while (i < RANGES_MAX && unsynced.ranges[i].inode != 0)
        i++;
    if (i == RANGES_MAX)
        abort();
    unsynced.ranges[i] = (struct unsynced){inode_of(fd), offset, octets};
    pthread_mutex_unlock(&unsynced.mutex);
}

/* They are on the disk now, or lost. */
static void
unsynced_end(int fd, bool lost)
{
    static const char nothing[64 * 1024];
    ino_t inode = inode_of(fd);

    pthread_mutex_lock(&unsynced.mutex);
    for (size_t i = 0; i < RANGES_MAX; i++) {
        struct unsynced *range = &unsynced.ranges[i];

        if (range->inode != inode)
            continue;
        for (size_t done = 0; lost && done < range->octets;) {
            size_t left = range->octets - done;
            size_t part = left < sizeof(nothing) ? left : sizeof(nothing);

            if (syscall(SYS_pwrite64, fd, nothing, part, range->offset + done)
                < 0)
                abort();
            done += part;
        }
        range->inode = 0;
    }
    pthread_mutex_unlock(&unsynced.mutex);
}

static bool
is_file(int fd)
{
    struct stat status;

    return counters != NULL && fd > STDERR_FILENO && fstat(fd, &status) == 0
           && S_ISREG(status.st_mode);
}

/* Names relative to a descriptor are the spool's. */
static bool
is_path(int at, const char *path)
{
    return counters != NULL
           && (at != AT_FDCWD
               || strncmp(path, directory, strlen(directory)) == 0);
}

static void *
next(const char *name)
{
    void *call = dlsym(RTLD_NEXT, name);

    if (call == NULL)
        abort();
    return call;
}

/* --- the system's calls --- */

/*
 * The real call, with what has become of its fault.  RESULT is an expression
 * that calls it.
 */
#define FAULTY(CALL, CONCERNED, RESULT)                                       \
    enum fault fault = (CONCERNED) ? fault_now(CALL) : FAULT_NONE;            \
    if (fails(fault))                                                         \
        return failure(fault);                                                \
    __typeof__(RESULT) result = (RESULT);                                     \
    after(fault);                                                             \
    return result

/* The pieces of a write, the first half of their octets when it falls short.
   Returns how many pieces that are. */
static int
pieces_cut(struct iovec some[PIECES_MAX], const struct iovec *pieces,
           int count, enum fault fault)
{
    size_t octets = 0;
    int used = 0;

    if (count > PIECES_MAX)
        abort();
    for (int i = 0; i < count; i++)
        octets += pieces[i].iov_len;
    octets = written_octets(fault, octets);
    for (; used < count && octets > 0; used++) {
        some[used] = pieces[used];
        if (some[used].iov_len > octets)
            some[used].iov_len = octets;
        octets -= some[used].iov_len;
    }
    return used;
}

ssize_t
pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    static ssize_t (*call)(int, const struct iovec *, int, off_t);
    struct iovec some[PIECES_MAX];
    enum fault fault;
    ssize_t result;

    if (call == NULL)
        call = next("pwritev");
    fault = is_file(fd) ? fault_now(FAULT_PWRITEV) : FAULT_NONE;
    if (fails(fault))
        return failure(fault);
    result = call(fd, some, pieces_cut(some, pieces, count, fault), offset);
    if (is_file(fd) && result > 0)
        unsynced_add(fd, offset, (size_t)result);
    after(fault);
    return result;
}

ssize_t
pwrite(int fd, const void *octets, size_t size, off_t offset)
{
    static ssize_t (*call)(int, const void *, size_t, off_t);

    if (call == NULL)
        call = next("pwrite");
    FAULTY(FAULT_PWRITE, is_file(fd),
           call(fd, octets, written_octets(fault, size), offset));
}

ssize_t
pwrite64(int fd, const void *octets, size_t size, off64_t offset)
{
    return pwrite(fd, octets, size, offset);
}

ssize_t
write(int fd, const void *octets, size_t size)
{
    static ssize_t (*call)(int, const void *, size_t);

    if (call == NULL)
        call = next("write");
    FAULTY(FAULT_WRITE, is_file(fd),
           call(fd, octets, written_octets(fault, size)));
}

int
fdatasync(int fd)
{
    static int (*call)(int);
    enum fault fault;
    int result;

    if (call == NULL)
        call = next("fdatasync");
    fault = is_file(fd) ? fault_now(FAULT_FDATASYNC) : FAULT_NONE;
    if (fails(fault)) {
        unsynced_end(fd, true);
        return failure(fault);
    }
    result = call(fd);
    if (is_file(fd))
        unsynced_end(fd, false);
    after(fault);
    return result;
}

/* Of directories too. */
int
fsync(int fd)
{
    static int (*call)(int);

    if (call == NULL)
        call = next("fsync");
    FAULTY(FAULT_FSYNC, fd > STDERR_FILENO, call(fd));
}

int
fallocate(int fd, int mode, off_t offset, off_t octets)
{
    static int (*call)(int, int, off_t, off_t);

    if (call == NULL)
        call = next("fallocate");
    FAULTY(FAULT_FALLOCATE, is_file(fd), call(fd, mode, offset, octets));
}

int
ftruncate(int fd, off_t octets)
{
    static int (*call)(int, off_t);

    if (call == NULL)
        call = next("ftruncate");
    FAULTY(FAULT_FTRUNCATE, is_file(fd), call(fd, octets));
}

int
ftruncate64(int fd, off64_t octets)
{
    return ftruncate(fd, octets);
}

int
sync_file_range(int fd, off64_t offset, off64_t octets, unsigned flags)
{
    static int (*call)(int, off64_t, off64_t, unsigned);

    if (call == NULL)
        call = next("sync_file_range");
    FAULTY(FAULT_SYNC_FILE_RANGE, is_file(fd),
           call(fd, offset, octets, flags));
}

int
rename(const char *from, const char *to)
{
    static int (*call)(const char *, const char *);

    if (call == NULL)
        call = next("rename");
    FAULTY(FAULT_RENAME, is_path(AT_FDCWD, from), call(from, to));
}

int
renameat(int from_at, const char *from, int to_at, const char *to)
{
    static int (*call)(int, const char *, int, const char *);

    if (call == NULL)
        call = next("renameat");
    FAULTY(FAULT_RENAME, is_path(from_at, from),
           call(from_at, from, to_at, to));
}

int
unlink(const char *path)
{
    static int (*call)(const char *);

    if (call == NULL)
        call = next("unlink");
    FAULTY(FAULT_UNLINK, is_path(AT_FDCWD, path), call(path));
}

int
unlinkat(int at, const char *path, int flags)
{
    static int (*call)(int, const char *, int);

    if (call == NULL)
        call = next("unlinkat");
    FAULTY(FAULT_UNLINK, is_path(at, path), call(at, path, flags));
}

int
mkdir(const char *path, mode_t mode)
{
    static int (*call)(const char *, mode_t);

    if (call == NULL)
        call = next("mkdir");
    FAULTY(FAULT_MKDIR, is_path(AT_FDCWD, path), call(path, mode));
}

static int
open_anywhere(int at, const char *path, int flags, mode_t mode)
{
    static int (*call)(int, const char *, int, ...);
    bool writes = (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0;

    if (call == NULL)
        call = next("openat");
    FAULTY(FAULT_OPEN, writes && is_path(at, path),
           call(at, path, flags, mode));
}

static mode_t
open_mode(int flags, va_list rest)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

int
open(const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode;

    va_start(rest, flags);
    mode = open_mode(flags, rest);
    va_end(rest);
    return open_anywhere(AT_FDCWD, path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode;

    va_start(rest, flags);
    mode = open_mode(flags, rest);
    va_end(rest);
    return open_anywhere(AT_FDCWD, path, flags, mode);
}

int
openat(int at, const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode;

    va_start(rest, flags);
    mode = open_mode(flags, rest);
    va_end(rest);
    return open_anywhere(at, path, flags, mode);
}

/* --- SQLite's --- */

/* A result of SQLite's for a call that fails. */
static int
sqlite_failure(enum fault fault)
{
    return fault == FAULT_EIO ? SQLITE_IOERR : SQLITE_FULL;
}

/* The library's calls of itself come by here too.  They neither count nor
   fail: sqlite3_exec() does not look at what its steps return, but at what has
   become of the statement, and would go on. */
static _Thread_local bool inside_sqlite;

#define SQLITE_FAULTY(CALL, RESULT)                                           \
    bool outside = !inside_sqlite;                                            \
    enum fault fault = outside ? fault_now(CALL) : FAULT_NONE;                \
    if (fails(fault))                                                         \
        return sqlite_failure(fault);                                         \
    inside_sqlite = true;                                                     \
    int result = (RESULT);                                                    \
    inside_sqlite = !outside;                                                 \
    after(fault);                                                             \
    return result

int
sqlite3_open_v2(const char *path, sqlite3 **db, int flags, const char *vfs)
{
    static int (*call)(const char *, sqlite3 **, int, const char *);
    enum fault fault = fault_now(FAULT_SQLITE_OPEN);
    int result;

    if (call == NULL)
        call = next("sqlite3_open_v2");
    result = call(path, db, flags, vfs);
    /* Its handle is there even then. */
    if (fails(fault))
        return sqlite_failure(fault);
    after(fault);
    return result;
}

int
sqlite3_prepare_v2(sqlite3 *db, const char *sql, int octets,
                   sqlite3_stmt **statement, const char **rest)
{
    static int (*call)(sqlite3 *, const char *, int, sqlite3_stmt **,
                       const char **);

    if (call == NULL)
        call = next("sqlite3_prepare_v2");
    *statement = NULL;
    SQLITE_FAULTY(FAULT_SQLITE_PREPARE,
                  call(db, sql, octets, statement, rest));
}

int
sqlite3_prepare_v3(sqlite3 *db, const char *sql, int octets, unsigned flags,
                   sqlite3_stmt **statement, const char **rest)
{
    static int (*call)(sqlite3 *, const char *, int, unsigned, sqlite3_stmt **,
                       const char **);

    if (call == NULL)
        call = next("sqlite3_prepare_v3");
    *statement = NULL;
    SQLITE_FAULTY(FAULT_SQLITE_PREPARE,
                  call(db, sql, octets, flags, statement, rest));
}

int
sqlite3_step(sqlite3_stmt *statement)
{
    static int (*call)(sqlite3_stmt *);

    if (call == NULL)
        call = next("sqlite3_step");
    SQLITE_FAULTY(FAULT_SQLITE_STEP, call(statement));
}

int
sqlite3_exec(sqlite3 *db, const char *sql,
             int (*row)(void *, int, char **, char **), void *context,
             char **error)
{
    static int (*call)(sqlite3 *, const char *,
                       int (*)(void *, int, char **, char **), void *,
                       char **);

    if (call == NULL)
        call = next("sqlite3_exec");
    SQLITE_FAULTY(FAULT_SQLITE_EXEC, call(db, sql, row, context, error));
}

int
sqlite3_bind_blob(sqlite3_stmt *statement, int column, const void *octets,
                  int count, void (*release)(void *))
{
    static int (*call)(sqlite3_stmt *, int, const void *, int,
                       void (*)(void *));

    if (call == NULL)
        call = next("sqlite3_bind_blob");
    SQLITE_FAULTY(FAULT_SQLITE_BIND,
                  call(statement, column, octets, count, release));
}

int
sqlite3_bind_text(sqlite3_stmt *statement, int column, const char *octets,
                  int count, void (*release)(void *))
{
    static int (*call)(sqlite3_stmt *, int, const char *, int,
                       void (*)(void *));

    if (call == NULL)
        call = next("sqlite3_bind_text");
    SQLITE_FAULTY(FAULT_SQLITE_BIND,
                  call(statement, column, octets, count, release));
}

int
sqlite3_bind_int64(sqlite3_stmt *statement, int column, sqlite3_int64 number)
{
    static int (*call)(sqlite3_stmt *, int, sqlite3_int64);

    if (call == NULL)
        call = next("sqlite3_bind_int64");
    SQLITE_FAULTY(FAULT_SQLITE_BIND, call(statement, column, number));
}

int
sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *frames,
                          int *moved)
{
    static int (*call)(sqlite3 *, const char *, int, int *, int *);

    if (call == NULL)
        call = next("sqlite3_wal_checkpoint_v2");
    SQLITE_FAULTY(FAULT_SQLITE_CHECKPOINT,
                  call(db, name, mode, frames, moved));
}

/* --- Berkeley DB's: functions that its handles bring along --- */

static int
db_failure(enum fault fault)
{
    return fault == FAULT_EIO ? EIO : ENOSPC;
}

#define DB_FAULTY(CALL, RESULT)                                               \
    enum fault fault = fault_now(CALL);                                       \
    if (fails(fault))                                                         \
        return db_failure(fault);                                             \
    int result = (RESULT);                                                    \
    after(fault);                                                             \
    return result

/* What the library itself has put into its handles; the same in all. */
static struct {
    int (*env_open)(DB_ENV *, const char *, u_int32_t, int);
    int (*txn_begin)(DB_ENV *, DB_TXN *, DB_TXN **, u_int32_t);
    int (*txn_checkpoint)(DB_ENV *, u_int32_t, u_int32_t, u_int32_t);
    int (*txn_commit)(DB_TXN *, u_int32_t);
    int (*open)(DB *, DB_TXN *, const char *, const char *, DBTYPE, u_int32_t,
                int);
    int (*get)(DB *, DB_TXN *, DBT *, DBT *, u_int32_t);
    int (*put)(DB *, DB_TXN *, DBT *, DBT *, u_int32_t);
    int (*del)(DB *, DB_TXN *, DBT *, u_int32_t);
} real;

static int
faulty_env_open(DB_ENV *env, const char *home, u_int32_t flags, int mode)
{
    DB_FAULTY(FAULT_DB_OPEN, real.env_open(env, home, flags, mode));
}

/* A commit that fails has ended the transaction all the same. */
static int
faulty_txn_commit(DB_TXN *txn, u_int32_t flags)
{
    enum fault fault = fault_now(FAULT_DB_COMMIT);
    int result;

    if (fails(fault)) {
        (void)txn->abort(txn); /* the failure is what is to be told */
        return db_failure(fault);
    }
    result = real.txn_commit(txn, flags);
    after(fault);
    return result;
}

static int
faulty_txn_begin(DB_ENV *env, DB_TXN *parent, DB_TXN **txn, u_int32_t flags)
{
    enum fault fault = fault_now(FAULT_DB_BEGIN);
    int result;

    if (fails(fault))
        return db_failure(fault);
    result = real.txn_begin(env, parent, txn, flags);
    if (result == 0) {
        real.txn_commit = (*txn)->commit;
        (*txn)->commit = faulty_txn_commit;
    }
    after(fault);
    return result;
}

static int
faulty_txn_checkpoint(DB_ENV *env, u_int32_t kilobytes, u_int32_t minutes,
                      u_int32_t flags)
{
    DB_FAULTY(FAULT_DB_CHECKPOINT,
              real.txn_checkpoint(env, kilobytes, minutes, flags));
}

static int
faulty_open(DB *db, DB_TXN *txn, const char *file, const char *name,
            DBTYPE type, u_int32_t flags, int mode)
{
    DB_FAULTY(FAULT_DB_OPEN,
              real.open(db, txn, file, name, type, flags, mode));
}

static int
faulty_get(DB *db, DB_TXN *txn, DBT *key, DBT *value, u_int32_t flags)
{
    DB_FAULTY(FAULT_DB_GET, real.get(db, txn, key, value, flags));
}

static int
faulty_put(DB *db, DB_TXN *txn, DBT *key, DBT *value, u_int32_t flags)
{
    DB_FAULTY(FAULT_DB_PUT, real.put(db, txn, key, value, flags));
}

static int
faulty_del(DB *db, DB_TXN *txn, DBT *key, u_int32_t flags)
{
    DB_FAULTY(FAULT_DB_PUT, real.del(db, txn, key, flags));
}

int
db_env_create(DB_ENV **env, u_int32_t flags)
{
    static int (*call)(DB_ENV **, u_int32_t);
    enum fault fault = fault_now(FAULT_DB_OPEN);
    int result;

    if (call == NULL)
        call = next("db_env_create");
    if (fails(fault))
        return db_failure(fault);
    result = call(env, flags);
    if (result == 0) {
        real.env_open = (*env)->open;
        real.txn_begin = (*env)->txn_begin;
        real.txn_checkpoint = (*env)->txn_checkpoint;
        (*env)->open = faulty_env_open;
        (*env)->txn_begin = faulty_txn_begin;
        (*env)->txn_checkpoint = faulty_txn_checkpoint;
    }
    after(fault);
    return result;
}

int
db_create(DB **db, DB_ENV *env, u_int32_t flags)
{
    static int (*call)(DB **, DB_ENV *, u_int32_t);
    enum fault fault = fault_now(FAULT_DB_OPEN);
    int result;

    if (call == NULL)
        call = next("db_create");
    if (fails(fault))
        return db_failure(fault);
    result = call(db, env, flags);
    if (result == 0) {
        real.open = (*db)->open;
        real.get = (*db)->get;
        real.put = (*db)->put;
        real.del = (*db)->del;
        (*db)->open = faulty_open;
        (*db)->get = faulty_get;
        (*db)->put = faulty_put;
        (*db)->del = faulty_del;
    }
    after(fault);
    return result;
}
