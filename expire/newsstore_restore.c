/*
 * newsstore restore: a backup becomes a store, where there is none.
 *
 * All sums of the backup are looked at before anything is written.  The key
 * comes last: until then no server starts over what is half there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "expire/interrupt.h"
#include "expire/newsstore.h"
#include "expire/newsstore_copy.h"
#include "expire/newsstore_manifest.h"
#include "expire/tools.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/directories.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/progress.h"
#include "lib/user.h"
#include "storage/active.h"
#include "storage/directory.h"
#include "storage/overview.h"
#include "storage/segment.h"
#include "storage/spool.h"
#include "storage/store.h"

enum { MODE_SEGMENT = 0640, MODE_FILE = 0600, MODE_DIRECTORY = 0700 };

struct restore {
    const struct config *config;
    const char *dir;
    struct manifest manifest;
    struct copy copy;
    uid_t uid; /* whose the files are to be; -1: ours */
    gid_t gid;
};

static const char key_name[] = "key";

static char *
segment_path(const char *directory, uint32_t number)
{
    char name[SEGMENT_NAME_OCTETS];

    segment_name(name, number, "seg");
    return xasprintf("%s/%s", directory, name);
}

static char *
backup_segment(const struct restore *restore, uint32_t number)
{
    char *directory = xasprintf("%s/spool", restore->dir);
    char *path = segment_path(directory, number);

    free(directory);
    return path;
}

static char *
backup_file(const struct restore *restore, const struct manifest_file *file)
{
    return xasprintf("%s/%s/%s", restore->dir, restore->manifest.directory,
                     file->path);
}

/* --- before: is the backup good, and is the place empty? --- */

static int
sum_check(struct restore *restore, const char *path, uint64_t octets,
          uint32_t expected, struct buffer *why)
{
    uint32_t sum;

    if (copy_sum(&restore->copy, path, octets, &sum, why) < 0)
        return -1;
    if (sum != expected)
        return why_set(why, "%s: found sum %08" PRIx32 ", expected %08" PRIx32,
                       path, sum, expected);
    return 0;
}

static int
sums_check(struct restore *restore, struct buffer *why)
{
    const struct manifest *manifest = &restore->manifest;
    bool has_key = false;
    int status = 0;

    for (size_t i = 0; i < manifest->file_count && status == 0; i++) {
        char *path = backup_file(restore, &manifest->files[i]);

        has_key |= strcmp(manifest->files[i].path, key_name) == 0;
        status = sum_check(restore, path, manifest->files[i].octets,
                           manifest->files[i].sum, why);
        free(path);
    }
    for (size_t i = 0; i < manifest->segment_count && status == 0; i++) {
        char *path = backup_segment(restore, manifest->segments[i].number);

        status = sum_check(restore, path, manifest->segments[i].octets,
                           manifest->segments[i].sum, why);
        free(path);
    }
    if (status == 0 && !has_key)
        status = why_set(why, "%s has no key", restore->dir);
    return status;
}

static void
ignore_fault(void *context, const struct spool_fault *fault)
{
    (void)context;
    (void)fault; /* any segment is one too many */
}

static int
spool_is_empty(const struct restore *restore, struct buffer *why)
{
    struct spool *spool = spool_open_reading(restore->config->pathspool, true,
                                             ignore_fault, NULL, why);
    bool empty;

    if (spool == NULL)
        return -1;
    empty = spool_next_segment(spool, 0) == 0;
    spool_close(&spool);
    return empty ? 0
                 : why_set(why,
                           "%s has segments already: restore into an"
                           " empty place",
                           restore->config->pathspool);
}

static int
place_is_empty(const struct restore *restore, struct buffer *why)
{
    const struct config *config = restore->config;
    static const char *const names[] = {"key", "history", "accounts.sqlite"};
    struct buffer reason = BUFFER_EMPTY;
    int status = spool_is_empty(restore, why);

    for (size_t i = 0; i < 3 && status == 0; i++) {
        char *path = xasprintf("%s/%s", config->pathdb, names[i]);

        if (access(path, F_OK) == 0)
            status = why_set(why,
                             "%s is there already: restore into an empty"
                             " place",
                             path);
        free(path);
    }
    if (status == 0
        && overview_examine(config->overview, config->pathoverview, &reason)
               == 0)
        status = why_set(why, "there is an overview already: restore into an"
                              " empty place");
    buffer_free(&reason);
    return status;
}

/* --- the copy --- */

/* The directories that lead to a file below pathdb. */
static int
way_make(const struct restore *restore, const char *path, struct buffer *why)
{
    char *way = xasprintf("%s/%s", restore->config->pathdb, path);
    int status = 0;

    for (char *slash = way + strlen(restore->config->pathdb) + 1;
         status == 0 && (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        if (mkdir(way, MODE_DIRECTORY) == 0) {
            if (restore->uid != (uid_t)-1
                && lchown(way, restore->uid, restore->gid) < 0)
                status = why_set_errno(why, "%s", way);
        } else if (errno != EEXIST) {
            status = why_set_errno(why, "%s", way);
        }
        *slash = '/';
    }
    free(way);
    return status;
}

static int
file_restore(struct restore *restore, const struct manifest_file *file,
             struct buffer *why)
{
    char *from = backup_file(restore, file);
    char *to = xasprintf("%s/%s", restore->config->pathdb, file->path);
    uint64_t octets;
    uint32_t sum;
    int status = way_make(restore, file->path, why);

    if (status == 0)
        status = copy_file(&restore->copy, from, to, MODE_FILE, restore->uid,
                           restore->gid, &octets, &sum, why);
    if (status > 0 || (status == 0 && sum != file->sum))
        status = why_set(why, "%s has changed meanwhile", from);
    free(from);
    free(to);
    return status;
}

static int
segment_restore(struct restore *restore,
                const struct manifest_segment *segment, struct buffer *why)
{
    char *from = backup_segment(restore, segment->number);
    char *to = segment_path(restore->config->pathspool, segment->number);
    uint64_t octets;
    uint32_t sum;
    int status = copy_file(&restore->copy, from, to, MODE_SEGMENT,
                           restore->uid, restore->gid, &octets, &sum, why);

    /* An interrupted backup may have added to it. */
    if (status == 0 && octets != segment->octets
        && truncate(to, (off_t)segment->octets) < 0)
        status = why_set_errno(why, "%s", to);
    if (status > 0)
        status = why_set(why, "%s has gone meanwhile", from);
    free(from);
    free(to);
    return status;
}

static int
copy_all(struct restore *restore, struct buffer *why)
{
    const struct manifest *manifest = &restore->manifest;
    int status = 0;

    for (size_t i = 0; i < manifest->segment_count && status == 0; i++)
        status = segment_restore(restore, &manifest->segments[i], why);
    for (int key = 0; key < 2; key++)
        for (size_t i = 0; i < manifest->file_count && status == 0; i++)
            if ((strcmp(manifest->files[i].path, key_name) == 0) == key)
                status = file_restore(restore, &manifest->files[i], why);
    if (status == 0
        && (directory_sync(restore->config->pathspool, why) < 0
            || directory_sync(restore->config->pathdb, why) < 0))
        status = -1;
    return status;
}

/* A start makes the indices; here the admin sees how it goes. */
static int
indices_make(const struct restore *restore, struct buffer *why)
{
    const struct config *config = restore->config;
    struct active *active;
    struct store *store;

    if (user_become(config, why) < 0)
        return -1;
    active = active_new((size_t)config->groups_max);
    store = store_open(config, active, 0, why);
    if (store == NULL) {
        active_close(&active);
        return -1;
    }
    store_close(&store);
    active_close(&active);
    return 0;
}

static int
restore_do(struct restore *restore, struct buffer *why)
{
    enum exit_status status;
    int found = manifest_read(&restore->manifest, restore->dir, why);
    uint64_t octets = 0;

    if (found == 0)
        why_set(why, "%s has no manifest: no backup was completed there",
                restore->dir);
    if (found <= 0 || directories_make(restore->config, &status, why) < 0
        || user_find(restore->config, &restore->uid, &restore->gid, why) < 0
        || place_is_empty(restore, why) < 0)
        return -1;
    if (restore->copy.progress != NULL) {
        for (size_t i = 0; i < restore->manifest.segment_count; i++)
            octets += 2 * restore->manifest.segments[i].octets;
        progress_set_total(restore->copy.progress, octets);
    }
    if (sums_check(restore, why) < 0 || copy_all(restore, why) < 0)
        return -1;
    progress_end(&restore->copy.progress);
    return indices_make(restore, why);
}

int
newsstore_restore(struct newsstore *newsstore)
{
    struct restore restore = {.config = newsstore->config,
                              .dir = newsstore->word[0],
                              .uid = (uid_t)-1,
                              .gid = (gid_t)-1};
    struct buffer why = BUFFER_EMPTY;
    int status;

    if (tools_server_runs(newsstore->config))
        die(EXIT_TEMPORARY, "restore: a server runs: stop it first");
    if (!newsstore->quiet)
        restore.copy.progress = progress_new("restore", "octets", 0);
    status = restore_do(&restore, &why);
    progress_end(&restore.copy.progress);
    if (status < 0)
        warn("restore: %s", buffer_text(&why));
    else
        printf("restored up to sequence %" PRIu64 ": segments %zu\n",
               restore.manifest.sequence, restore.manifest.segment_count);
    manifest_free(&restore.manifest);
    buffer_free(&why);
    return status == 0 ? 0 : interrupted ? EXIT_TEMPORARY : EXIT_DATA;
}
