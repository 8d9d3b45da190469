/*
 * newsstore backup: a consistent copy of the store, beside a running server or
 * alone.
 *
 * The spool is copied up to one moment; what is in pathdb beside the history
 * was copied before it, since the cursors of peers may lag behind the log and
 * never lead.  A segment only ever grows at its end, so that what an earlier
 * backup has of it is kept.  The indices are not copied: they are made anew.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "expire/interrupt.h"
#include "expire/newsstore.h"
#include "expire/newsstore_copy.h"
#include "expire/newsstore_manifest.h"
#include "expire/tools.h"
#include "lib/account.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/progress.h"
#include "storage/active.h"
#include "storage/directory.h"
#include "storage/segment.h"
#include "storage/spool.h"

enum { TRIES = 10, MODE_DIRECTORY = 0700, MODE_FILE = 0600 };

struct backup {
    struct newsstore *newsstore;
    const struct config *config;
    const char *dir;
    char *spool_dir;
    struct manifest old, new;
    struct active *active; /* NULL: no server runs */
    int fd;                /* of its writer's socket */
    struct spool *spool;   /* as of the moment of the backup */
    struct copy copy;
    unsigned copied, appended, kept;
};

static int
directory_make(const char *path, struct buffer *why)
{
    if (mkdir(path, MODE_DIRECTORY) < 0 && errno != EEXIST)
        return why_set_errno(why, "%s", path);
    return 0;
}

/* --- what is in pathdb --- */

/* The history is an index; the accounts are copied by their own means; the
   rest is how far a tool has come. */
static bool
is_copied(const char *path)
{
    static const char *const not [] = {
        "history",         "history.bad-",     "rebuild",
        "accounts.sqlite", "newsimport.state",
    };

    for (size_t i = 0; i < sizeof(not ) / sizeof(not [0]); i++)
        if (strncmp(path, not [i], strlen(not [i])) == 0)
            return false;
    return strchr(path, '\n') == NULL;
}

/* Copy what is at path, below pathdb. */
static int copy_below(struct backup *backup, const char *path,
                      struct buffer *why);

static int
copy_members(struct backup *backup, const char *path, const char *from,
             struct buffer *why)
{
    DIR *dir = opendir(from);
    const struct dirent *entry;
    int status = 0;

    if (dir == NULL)
        return errno == ENOENT ? 0 : why_set_errno(why, "%s", from);
    while (status == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        char *member;

        if (strcmp(entry->d_name, ".") == 0
            || strcmp(entry->d_name, "..") == 0)
            continue;
        member = path[0] != '\0' ? xasprintf("%s/%s", path, entry->d_name)
                                 : xstrdup(entry->d_name);
        if (is_copied(member))
            status = copy_below(backup, member, why);
        free(member);
    }
    if (status == 0 && errno != 0)
        status = why_set_errno(why, "%s", from);
    closedir(dir);
    return status;
}

static int
copy_below(struct backup *backup, const char *path, struct buffer *why)
{
    char *from = xasprintf("%s/%s", backup->config->pathdb, path);
    char *to = xasprintf("%s/%s/%s", backup->dir, backup->new.directory, path);
    struct stat st;
    uint64_t octets;
    uint32_t sum;
    int status = 0;

    if (lstat(from, &st) < 0)
        status = errno == ENOENT ? 0 : why_set_errno(why, "%s", from);
    else if (S_ISDIR(st.st_mode)) {
        status = directory_make(to, why) < 0
                         || copy_members(backup, path, from, why) < 0
                     ? -1
                     : 0;
    } else if (S_ISREG(st.st_mode)) {
        status = copy_file(&backup->copy, from, to, MODE_FILE, (uid_t)-1,
                           (gid_t)-1, &octets, &sum, why);
        if (status == 0)
            manifest_add_file(&backup->new, path, octets, sum);
        /* Gone meanwhile: so it is not part of the store. */
        status = status < 0 ? -1 : 0;
    }
    free(from);
    free(to);
    return status;
}

static int
copy_accounts(struct backup *backup, struct buffer *why)
{
    static const char name[] = "accounts.sqlite";
    char *to = xasprintf("%s/%s/%s", backup->dir, backup->new.directory, name);
    struct stat st;
    uint32_t sum = 0;
    int status = accounts_copy(backup->config->pathdb, to, why);

    if (status > 0) {
        status = stat(to, &st) < 0 ? why_set_errno(why, "%s", to)
                                   : copy_sum(&backup->copy, to,
                                              (uint64_t)st.st_size, &sum, why);
        if (status == 0)
            manifest_add_file(&backup->new, name, (uint64_t)st.st_size, sum);
    }
    free(to);
    return status;
}

static int
tree_remove(const char *path, struct buffer *why)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int status = 0;

    if (dir == NULL)
        return errno == ENOENT ? 0 : why_set_errno(why, "%s", path);
    while (status == 0 && (entry = readdir(dir)) != NULL) {
        char *member = xasprintf("%s/%s", path, entry->d_name);

        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0
            && strcmp(entry->d_name, "..") != 0)
            status = tree_remove(member, why);
        free(member);
    }
    closedir(dir);
    return status < 0 ? -1 : directory_remove(path, why);
}

/* Into another directory than that of the backup before, whose manifest holds
   until ours is written. */
static int
copy_database(struct backup *backup, struct buffer *why)
{
    bool second = backup->old.directory != NULL
                  && strcmp(backup->old.directory, "db.1") == 0;
    char *to;
    int status;

    backup->new.directory = xstrdup(second ? "db.2" : "db.1");
    to = xasprintf("%s/%s", backup->dir, backup->new.directory);
    status =
        tree_remove(to, why) < 0 || directory_make(to, why) < 0
                || copy_accounts(backup, why) < 0
                || copy_members(backup, "", backup->config->pathdb, why) < 0
            ? -1
            : 0;
    free(to);
    return status;
}

/* --- the moment --- */

static void
ignore_fault(void *context, const struct spool_fault *fault)
{
    (void)context;
    (void)fault; /* it is copied as it is; check names what is wrong */
}

static int
pass_record(void *context, const struct record *record, struct buffer *why)
{
    (void)context;
    (void)record;
    (void)why;
    return 0;
}

static bool
same_segments(const struct spool *one, const struct spool *other)
{
    uint32_t number = 0;

    for (;;) {
        uint32_t next = spool_next_segment(one, number);

        if (next != spool_next_segment(other, number))
            return false;
        if (next == 0)
            return true;
        number = next;
    }
}

/*
 * The segments that are there, and how far the log is.  A segment may be
 * removed once the log has on the disk what must be kept of it; so none may go
 * between the look at the one and at the other.  1, 0 when one did, or when
 * another writer has just begun; -1 with why.
 */
static int
moment_beside(struct backup *backup, struct buffer *why)
{
    const char *path = backup->config->pathspool;
    struct spool *before =
        spool_open_reading(path, false, ignore_fault, NULL, why);
    uint32_t segment, end;
    int status = 1;

    if (before == NULL)
        return -1;
    active_durable(backup->active, &segment, &end, &backup->new.sequence);
    backup->spool = spool_open_reading(path, false, ignore_fault, NULL, why);
    if (backup->spool == NULL)
        status = -1;
    else
        spool_set_durable(backup->spool, segment, end);
    if (status > 0 && spool_find_ends(backup->spool, why) < 0)
        status = -1;
    if (status > 0
        && (!same_segments(before, backup->spool)
            || spool_segment_end(backup->spool, segment) != end)) {
        status = 0;
        spool_close(&backup->spool);
    }
    spool_close(&before);
    return status;
}

static int
moment_alone(struct backup *backup, struct buffer *why)
{
    backup->spool = spool_open_reading(backup->config->pathspool, true,
                                       ignore_fault, NULL, why);
    if (backup->spool == NULL
        || spool_walk(backup->spool, spool_sequence_estimate(backup->spool),
                      pass_record, NULL, why)
               < 0
        || spool_find_ends(backup->spool, why) < 0)
        return -1;
    backup->new.sequence = spool_last_sequence(backup->spool);
    return 0;
}

static int
moment_take(struct backup *backup, struct buffer *why)
{
    int status = 0;

    if (backup->active == NULL)
        return moment_alone(backup, why);
    for (int i = 0; i < TRIES && status == 0; i++)
        status = moment_beside(backup, why);
    if (status == 0)
        return why_set(why, "the store's segments change all the time");
    return status < 0 ? -1 : 0;
}

/* --- segments --- */

/* Is what the backup has the beginning of what is there?  The heads say, with
   the epoch of the writer. */
static bool
is_begun(int in, int out, const struct manifest_segment *old, uint64_t octets)
{
    struct segment_head mine, theirs;
    struct stat st;

    return old != NULL && old->octets <= octets && fstat(out, &st) == 0
           && (uint64_t)st.st_size >= old->octets
           && pread(in, &mine, sizeof(mine), 0) == (ssize_t)sizeof(mine)
           && pread(out, &theirs, sizeof(theirs), 0) == (ssize_t)sizeof(theirs)
           && memcmp(&mine, &theirs, sizeof(mine)) == 0;
}

/* in: the segment, out: the copy. */
static int
segment_copy(struct backup *backup, int in, int out,
             struct manifest_segment *segment, struct buffer *why)
{
    const struct manifest_segment *old =
        manifest_find_segment(&backup->old, segment->number);
    uint64_t from = 0;

    if (is_begun(in, out, old, segment->octets)) {
        from = old->octets;
        segment->sum = old->sum;
    }
    if (from == segment->octets) {
        backup->kept++;
        return 0;
    }
    if (ftruncate(out, (off_t)from) < 0)
        return why_set_errno(why, "truncate");
    if (copy_octets(&backup->copy, in, out, from, segment->octets,
                    &segment->sum, why)
        < 0)
        return -1;
    if (fsync(out) < 0)
        return why_set_errno(why, "fsync");
    if (from > 0)
        backup->appended++;
    else
        backup->copied++;
    return 0;
}

/* A file that ends before the log does is copied as far as it goes, one whose
   end is not known as far as it has anything in it. */
static void
segment_measure(const struct backup *backup, int in,
                struct manifest_segment *segment)
{
    struct stat st;

    segment->octets = spool_segment_end(backup->spool, segment->number);
    if (segment->octets == 0)
        segment->octets = segment_used_end(in, 0);
    if (fstat(in, &st) == 0 && (uint64_t)st.st_size < segment->octets) {
        warn("segment %08" PRIx32 " is cut short: %" PRIu64 " of %" PRIu64
             " octets",
             segment->number, (uint64_t)st.st_size, segment->octets);
        segment->octets = (uint64_t)st.st_size;
    }
}

/* 1 copied, 0 the segment is gone, -1 with why. */
static int
segment_backup(struct backup *backup, uint32_t number, struct buffer *why)
{
    struct buffer reason = BUFFER_EMPTY;
    struct manifest_segment segment = {.number = number};
    char name[SEGMENT_NAME_OCTETS];
    char *from, *to;
    int in, out = -1;
    int status = -1;

    segment_name(name, number, "seg");
    from = xasprintf("%s/%s", backup->config->pathspool, name);
    to = xasprintf("%s/%s", backup->spool_dir, name);
    in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0 && errno == ENOENT) {
        status = 0;
    } else if (in < 0) {
        why_set_errno(why, "%s", from);
    } else if ((out = open(to, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
                           MODE_FILE))
               < 0) {
        why_set_errno(why, "%s", to);
    } else {
        segment_measure(backup, in, &segment);
        status = segment_copy(backup, in, out, &segment, &reason);
        if (status < 0)
            why_set(why, "%s: %s", to, buffer_text(&reason));
        else {
            manifest_add_segment(&backup->new, &segment);
            status = 1;
        }
    }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    free(from);
    free(to);
    buffer_free(&reason);
    return status;
}

/* 1, or 0 when one has gone meanwhile, -1 with why. */
static int
segments_backup(struct backup *backup, struct buffer *why)
{
    uint32_t number = 0;
    int status = 1;

    while (status > 0
           && (number = spool_next_segment(backup->spool, number)) != 0)
        status = segment_backup(backup, number, why);
    return status;
}

/* Copies of segments that are no part of the backup any more. */
static int
segments_trim(const struct backup *backup, struct buffer *why)
{
    DIR *dir = opendir(backup->spool_dir);
    const struct dirent *entry;
    int status = 0;

    if (dir == NULL)
        return why_set_errno(why, "%s", backup->spool_dir);
    while (status == 0 && (entry = readdir(dir)) != NULL) {
        uint32_t number = segment_number(entry->d_name, "seg");

        if (number != 0 && manifest_find_segment(&backup->new, number) == NULL
            && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
            status =
                why_set_errno(why, "%s/%s", backup->spool_dir, entry->d_name);
    }
    closedir(dir);
    return status;
}

/* --- the command --- */

static int
spool_backup(struct backup *backup, struct buffer *why)
{
    int status = 0;

    for (int i = 0; i < TRIES && status == 0; i++) {
        free(backup->new.segments);
        backup->new.segments = NULL;
        backup->new.segment_count = 0;
        spool_close(&backup->spool);
        if (moment_take(backup, why) < 0)
            return -1;
        if (backup->copy.progress != NULL)
            progress_set_total(backup->copy.progress,
                               spool_log_octets(backup->spool));
        status = segments_backup(backup, why);
    }
    if (status == 0)
        return why_set(why, "the store's segments change all the time");
    return status < 0 ? -1 : directory_sync(backup->spool_dir, why);
}

static int
backup_do(struct backup *backup, struct buffer *why)
{
    char *old = NULL;
    int status;

    if (directory_make(backup->dir, why) < 0
        || directory_make(backup->spool_dir, why) < 0
        || manifest_read(&backup->old, backup->dir, why) < 0)
        return -1;
    if (tools_server_runs(backup->config)) {
        backup->fd =
            tools_connect_patiently(backup->config, &backup->active, why);
        if (backup->fd < 0)
            return -1;
    }
    backup->new.made = time(NULL);
    if (copy_database(backup, why) < 0 || spool_backup(backup, why) < 0
        || manifest_write(&backup->new, backup->dir, why) < 0
        || segments_trim(backup, why) < 0)
        return -1;
    if (backup->old.directory == NULL)
        return 0;
    old = xasprintf("%s/%s", backup->dir, backup->old.directory);
    status = tree_remove(old, why);
    free(old);
    return status;
}

int
newsstore_backup(struct newsstore *newsstore)
{
    struct backup backup = {.newsstore = newsstore,
                            .config = newsstore->config,
                            .dir = newsstore->word[0],
                            .fd = -1};
    struct buffer why = BUFFER_EMPTY;
    int status;

    backup.spool_dir = xasprintf("%s/spool", backup.dir);
    if (!newsstore->quiet)
        backup.copy.progress = progress_new("backup", "octets", 0);
    status = backup_do(&backup, &why);
    progress_end(&backup.copy.progress);
    if (status < 0)
        warn("backup: %s", buffer_text(&why));
    else
        printf("sequence %" PRIu64
               ", segments copied %u, added to %u, kept %u,"
               " octets %" PRIu64 "\n",
               backup.new.sequence, backup.copied, backup.appended,
               backup.kept, backup.copy.done);
    spool_close(&backup.spool);
    if (backup.active != NULL)
        active_close(&backup.active);
    if (backup.fd >= 0)
        close(backup.fd);
    manifest_free(&backup.old);
    manifest_free(&backup.new);
    free(backup.spool_dir);
    buffer_free(&why);
    return status == 0 ? 0 : interrupted ? EXIT_TEMPORARY : EXIT_IO;
}
