#include "expire/newsimport_source.h"

#include <assert.h>
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "expire/newsimport_archive.h"
#include "expire/newsimport_content.h"
#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"

/*
 * Three loops within each other, each held as its state: files of a PATH,
 * members of a file, articles of a member.  The innermost that is open goes
 * on; where it ends, the next outer one does.
 */
struct source {
    char *const *paths; /* borrowed */
    int count;
    FTS *tree;                 /* walks paths[position.path]; NULL: not yet */
    struct archive_file *file; /* NULL: none open */
    bool content_is_open;
    struct content content;
    struct source_position position; /* of the next article */
    struct source_position last;     /* of the one given last */
    struct source_position resume;   /* file NULL: nothing to pass over */
    uint64_t octets_closed;          /* of files that are read */
    uint64_t octets_total;
};

void
source_position_copy(struct source_position *copy,
                     const struct source_position *position)
{
    char *file = position->file != NULL ? xstrdup(position->file) : NULL;

    free(copy->file);
    *copy = *position;
    copy->file = file;
}

void
source_position_free(struct source_position *position)
{
    free(position->file);
    position->file = NULL;
}

static bool
is_stdin(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* "9" before "10": a spool's articles come in the order of their numbers. */
static int
by_name(const FTSENT **one, const FTSENT **other)
{
    return strverscmp((*one)->fts_name, (*other)->fts_name);
}

static FTS *
tree_open(char *path)
{
    char *paths[] = {path, NULL};

    return fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR,
                    by_name);
}

/* The next file of a walk, its FTSENT; errors too (fts_info tells). */
static FTSENT *
tree_next(FTS *tree)
{
    FTSENT *entry;

    while ((entry = fts_read(tree)) != NULL) {
        if (entry->fts_level > 0 && entry->fts_name[0] == '.') {
            fts_set(tree, entry, FTS_SKIP);
            continue;
        }
        switch (entry->fts_info) {
        case FTS_F:
        case FTS_DEFAULT: /* a named pipe: given by hand, read it */
            if (entry->fts_info == FTS_F || entry->fts_level == 0)
                return entry;
            break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            return entry;
        default:
            break;
        }
    }
    return NULL;
}

/* How much there is to read; a look at each file, not into it. */
static int
path_measure(struct source *source, char *path, struct buffer *why)
{
    FTS *tree;
    FTSENT *entry;
    struct stat status;

    if (is_stdin(path))
        return 0;
    if (stat(path, &status) < 0)
        return why_set_errno(why, "%s", path);
    tree = tree_open(path);
    if (tree == NULL)
        return why_set_errno(why, "%s", path);
    while ((entry = tree_next(tree)) != NULL)
        if (entry->fts_info == FTS_F)
            source->octets_total += (uint64_t)entry->fts_statp->st_size;
    fts_close(tree);
    return 0;
}

struct source *
source_open(int count, char *const *paths, struct buffer *why)
{
    struct source *source = xcalloc(1, sizeof(*source));

    source->paths = paths;
    source->count = count;
    for (int i = 0; i < count; i++) {
        if (path_measure(source, paths[i], why) < 0) {
            source_close(&source);
            return NULL;
        }
    }
    return source;
}

static void
content_end(struct source *source)
{
    if (source->content_is_open)
        content_close(&source->content);
    source->content_is_open = false;
}

static void
file_end(struct source *source)
{
    content_end(source);
    if (source->file != NULL)
        source->octets_closed += archive_file_octets(source->file);
    archive_file_close(&source->file);
}

void
source_close(struct source **source)
{
    struct source *old = *source;

    if (old == NULL)
        return;
    file_end(old);
    if (old->tree != NULL)
        fts_close(old->tree);
    source_position_free(&old->position);
    source_position_free(&old->last);
    source_position_free(&old->resume);
    free(old);
    *source = NULL;
}

void
source_resume(struct source *source, const struct source_position *position)
{
    assert(source->tree == NULL && source->file == NULL);
    if (position->file == NULL || position->path >= source->count)
        return;
    source_position_copy(&source->resume, position);
    source->position.path = position->path;
}

static bool
is_resuming(const struct source *source)
{
    return source->resume.file != NULL;
}

/* Is file, at which the walk is, still before the place to go on from? */
static bool
file_was_done(struct source *source, const FTSENT *entry)
{
    if (!is_resuming(source)
        || strcmp(entry->fts_path, source->resume.file) == 0)
        return false;
    source->octets_closed += (uint64_t)entry->fts_statp->st_size;
    return true;
}

static int
file_begin(struct source *source, const char *path, struct buffer *why)
{
    free(source->position.file);
    source->position.file = xstrdup(path);
    source->position.member = 0;
    source->position.index = 0;
    source->file = archive_file_open(path, why);
    if (source->file == NULL) {
        source_position_free(&source->resume);
        return -1;
    }
    return 1;
}

/* This PATH is read to its end: on with the next. */
static void
path_end(struct source *source)
{
    if (source->tree != NULL)
        fts_close(source->tree);
    source->tree = NULL;
    if (is_resuming(source)) {
        /* What is there twice is refused as a duplicate anyway. */
        warn("%s is not there any more: beginning again with %s",
             source->resume.file, source->paths[source->position.path]);
        source_position_free(&source->resume);
        return;
    }
    source->position.path++;
}

/* Open the next file.  1, 0 when there is none, -1 with why. */
static int
file_next(struct source *source, struct buffer *why)
{
    while (source->position.path < source->count) {
        char *path = source->paths[source->position.path];
        FTSENT *entry = NULL;

        if (is_stdin(path)) {
            int result = file_begin(source, path, why);

            path_end(source);
            return result;
        }
        if (source->tree == NULL && (source->tree = tree_open(path)) == NULL)
            sysdie(EXIT_TEMPORARY, "%s", path);
        entry = tree_next(source->tree);
        if (entry == NULL) {
            path_end(source);
            continue;
        }
        if (file_was_done(source, entry))
            continue;
        if (entry->fts_info == FTS_F || entry->fts_info == FTS_DEFAULT)
            return file_begin(source, entry->fts_path, why);
        free(source->position.file);
        source->position.file = xstrdup(entry->fts_path);
        return why_set(why, "%s", strerror(entry->fts_errno));
    }
    return 0;
}

/* Open the next member of the file.  1, 0 at its end, -1 with why. */
static int
member_next(struct source *source, struct buffer *why)
{
    int result;

    do {
        result = archive_file_next(source->file, why);
        source->position.member = archive_file_member(source->file);
        source->position.index = 0;
    } while (result > 0 && is_resuming(source)
             && source->position.member < source->resume.member);
    if (result <= 0) {
        source_position_free(&source->resume);
        return result;
    }
    content_open(&source->content, archive_file_read, source->file);
    source->content_is_open = true;
    return 1;
}

/* Read, and drop, the articles of this member that were done. */
static void
articles_pass(struct source *source, struct buffer *text)
{
    while (is_resuming(source)) {
        if (source->position.index >= source->resume.index
            || content_next(&source->content, text, NULL) == 0)
            source_position_free(&source->resume);
        else
            source->position.index++;
    }
}

int
source_next(struct source *source, struct buffer *text, struct buffer *why)
{
    int result;

    for (;;) {
        if (source->content_is_open) {
            articles_pass(source, text);
            source_position_copy(&source->last, &source->position);
            result = content_next(&source->content, text, why);
            source->position.index++;
            if (result != 0)
                return result;
            content_end(source);
        } else if (source->file != NULL) {
            result = member_next(source, why);
            if (result <= 0)
                file_end(source);
            if (result < 0)
                break;
        } else {
            result = file_next(source, why);
            if (result <= 0)
                break;
        }
    }
    source_position_copy(&source->last, &source->position);
    return result;
}

const struct source_position *
source_position(const struct source *source)
{
    return &source->last;
}

void
source_name(const struct source *source, struct buffer *name)
{
    const struct source_position *last = &source->last;

    buffer_append_text(name, last->file == NULL ? "" : last->file);
    if (source->file != NULL && archive_file_name(source->file)[0] != '\0')
        buffer_append_format(name, ": %s", archive_file_name(source->file));
    if (last->index > 0
        || (source->content_is_open && source->content.kind > CONTENT_ARTICLE))
        buffer_append_format(name, ", article %" PRIu64, last->index + 1);
}

uint64_t
source_octets_read(const struct source *source)
{
    return source->octets_closed
           + (source->file != NULL ? archive_file_octets(source->file) : 0);
}

uint64_t
source_octets_total(const struct source *source)
{
    return source->octets_total;
}
