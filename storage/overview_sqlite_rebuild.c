/*
 * A new overview made beside the old one, and put in its place.
 *
 * A SQLite file has a log beside it, which must never come to lie beside
 * another file.  So the logs of both are moved into their files first; then
 * one rename does it.  Where the old file cannot be opened, which may be why
 * it is made anew, it is marked as damaged meanwhile: a death in between then
 * costs a replay and nothing else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/memory.h"
#include "storage/directory.h"
#include "storage/overview_sqlite.h"

char *
sqlite_rebuild_begin(const char *url, const char *path, bool resume,
                     struct buffer *why)
{
    char *place = xasprintf("%s/rebuild", path);

    (void)url;
    if ((resume || directory_remove(place, why) == 0)
        && (mkdir(path, 0750) == 0 || errno == EEXIST)
        && (mkdir(place, 0750) == 0 || errno == EEXIST))
        return place;
    if (why->used == 0)
        why_set_errno(why, "%s", place);
    free(place);
    return NULL;
}

/* Move the log of a file that nobody has open into it.  0, or -1 with why. */
static int
log_empty(const char *file, struct buffer *why)
{
    sqlite3 *db = NULL;
    int frames = -1, moved = -1;
    int result = sqlite3_open_v2(
        file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (result == SQLITE_OK)
        result = sqlite3_wal_checkpoint_v2(
            db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &frames, &moved);
    if (result != SQLITE_OK)
        sqlite_why(db, why, file);
    (void)sqlite3_close(db); /* nothing is under way on it */
    return result == SQLITE_OK ? 0 : -1;
}

static int
suffixed_remove(const struct sqlite_overview *overview, const char *suffix,
                struct buffer *why)
{
    char *name = xasprintf("%s%s", buffer_text(&overview->file), suffix);
    int status = unlink(name) == 0 || errno == ENOENT
                     ? 0
                     : why_set_errno(why, "%s", name);

    free(name);
    return status;
}

static int
logs_remove(const struct sqlite_overview *overview, struct buffer *why)
{
    return suffixed_remove(overview, "-wal", why) < 0
                   || suffixed_remove(overview, "-shm", why) < 0
               ? -1
               : 0;
}

/* new is a whole file without a log. */
static int
replace(const struct sqlite_overview *old, const char *new, const char *path,
        struct buffer *why)
{
    struct buffer reason = BUFFER_EMPTY;
    bool usable = access(buffer_text(&old->file), F_OK) == 0
                  && log_empty(buffer_text(&old->file), &reason) == 0;

    buffer_free(&reason);
    if (!usable) {
        sqlite_note_damage(old);
        if (directory_sync(path, why) < 0 || logs_remove(old, why) < 0)
            return -1;
    }
    if (rename(new, buffer_text(&old->file)) < 0)
        return why_set_errno(why, "%s in the place of %s", new,
                             buffer_text(&old->file));
    return directory_sync(path, why) < 0 || logs_remove(old, why) < 0
                   || suffixed_remove(old, ".is-damaged", why) < 0
               ? -1
               : directory_sync(path, why);
}

int
sqlite_rebuild_end(const char *url, const char *path, struct buffer *why)
{
    struct sqlite_overview old = {.writer = {.base = {NULL}}};
    char *place = xasprintf("%s/rebuild", path);
    char *new = xasprintf("%s/overview.sqlite", place);
    int status = -1;

    (void)url;
    sqlite_file(&old.file, path);
    if (log_empty(new, why) == 0 && replace(&old, new, path, why) == 0)
        status = directory_remove(place, why);
    buffer_free(&old.file);
    free(new);
    free(place);
    return status;
}
