#include "expire/newsimport_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expire/newsimport_content.h"
#include "lib/buffer.h"
#include "lib/memory.h"

enum {
    SNIFF_OCTETS = 512, /* a tar header is so long, and full of NULs */
    BLOCK_OCTETS = 64 * 1024,
};

struct archive_file {
    int fd;
    char sniffed[SNIFF_OCTETS]; /* read already, to see what it is */
    size_t sniffed_octets;
    size_t sniffed_at;           /* of these, passed on */
    struct archive *archive;     /* NULL: plain */
    struct archive_entry *entry; /* of the member; owned by archive */
    char *block;                 /* what libarchive is given to read */
    char *name;                  /* of the member */
    uint64_t member;
    uint64_t octets_read;
};

/* As read(2), all that comes or size octets. */
static ssize_t
read_full(int fd, char *octets, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = read(fd, octets + done, size - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* The file's own octets: first those that were looked at, then the rest. */
static ssize_t
file_read(struct archive_file *file, char *octets, size_t size)
{
    size_t left = file->sniffed_octets - file->sniffed_at;
    ssize_t got;

    if (left > 0) {
        if (left > size)
            left = size;
        memcpy(octets, file->sniffed + file->sniffed_at, left);
        file->sniffed_at += left;
        file->octets_read += left;
        return (ssize_t)left;
    }
    got = read_full(file->fd, octets, size);
    if (got > 0)
        file->octets_read += (uint64_t)got;
    return got;
}

static la_ssize_t
archive_reads(struct archive *archive, void *context, const void **octets_r)
{
    struct archive_file *file = context;
    ssize_t got = file_read(file, file->block, BLOCK_OCTETS);

    if (got < 0)
        archive_set_error(archive, errno, "%s", strerror(errno));
    *octets_r = file->block;
    return got;
}

/*
 * No archive_read_support_filter_all(): among all is uudecode, which would
 * make of an article the file somebody posted in it.
 */
static void
archive_support(struct archive *archive)
{
    archive_read_support_filter_gzip(archive);
    archive_read_support_filter_bzip2(archive);
    archive_read_support_filter_compress(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_lzma(archive);
    archive_read_support_filter_lzip(archive);
    archive_read_support_filter_lz4(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_format_tar(archive);
    archive_read_support_format_cpio(archive);
    archive_read_support_format_zip_streamable(archive);
    archive_read_support_format_raw(archive);
}

static int
archive_open(struct archive_file *file, struct buffer *why)
{
    file->archive = archive_read_new();
    if (file->archive == NULL)
        return why_set(why, "libarchive has no memory");
    archive_support(file->archive);
    file->block = xmalloc(BLOCK_OCTETS);
    if (archive_read_open(file->archive, file, NULL, archive_reads, NULL)
        != ARCHIVE_OK)
        return why_set(why, "%s", archive_error_string(file->archive));
    return 0;
}

/* "#! cunbatch", gunbatch, ...: what is behind the line says itself how it is
   compressed. */
static void
batch_line_pass(struct archive_file *file)
{
    static const char word[] = "unbatch";
    const char *lf = memchr(file->sniffed, '\n', file->sniffed_octets);

    if (lf == NULL || file->sniffed_octets < 2
        || memcmp(file->sniffed, "#!", 2) != 0
        || memmem(file->sniffed, (size_t)(lf - file->sniffed), word,
                  strlen(word))
               == NULL)
        return;
    file->sniffed_at = (size_t)(lf - file->sniffed) + 1;
    file->octets_read = file->sniffed_at;
}

struct archive_file *
archive_file_open(const char *path, struct buffer *why)
{
    struct archive_file *file = xcalloc(1, sizeof(*file));
    ssize_t got = -1;

    file->name = xstrdup("");
    file->fd = strcmp(path, "-") == 0
                   ? dup(STDIN_FILENO)
                   : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (file->fd >= 0)
        got = read_full(file->fd, file->sniffed, sizeof(file->sniffed));
    if (got < 0) {
        why_set(why, "%s", strerror(errno));
        archive_file_close(&file);
        return NULL;
    }
    file->sniffed_octets = (size_t)got;
    batch_line_pass(file);
    /* What is empty is no archive either. */
    if (file->sniffed_octets > 0
        && !content_is_plain(file->sniffed + file->sniffed_at,
                             file->sniffed_octets - file->sniffed_at)
        && archive_open(file, why) < 0)
        archive_file_close(&file);
    return file;
}

void
archive_file_close(struct archive_file **file)
{
    struct archive_file *old = *file;

    if (old == NULL)
        return;
    if (old->archive != NULL)
        archive_read_free(old->archive);
    if (old->fd >= 0)
        close(old->fd);
    free(old->block);
    free(old->name);
    free(old);
    *file = NULL;
}

static bool
is_raw(const struct archive_file *file)
{
    return archive_format(file->archive) == ARCHIVE_FORMAT_RAW;
}

int
archive_file_next(struct archive_file *file, struct buffer *why)
{
    int result;

    if (file->archive == NULL)
        return file->member++ == 0 ? 1 : 0;
    do {
        const char *name;

        result = archive_read_next_header(file->archive, &file->entry);
        if (result == ARCHIVE_EOF)
            return 0;
        if (result < ARCHIVE_WARN)
            return why_set(why, "%s", archive_error_string(file->archive));
        name = archive_entry_pathname(file->entry);
        free(file->name);
        file->name = xstrdup(name == NULL || is_raw(file) ? "" : name);
        file->member++;
    } while (archive_entry_filetype(file->entry) != AE_IFREG
             || archive_entry_hardlink(file->entry) != NULL);
    return 1;
}

const char *
archive_file_name(const struct archive_file *file)
{
    return file->name;
}

uint64_t
archive_file_member(const struct archive_file *file)
{
    return file->archive == NULL ? 0 : file->member;
}

ssize_t
archive_file_read(void *context, char *octets, size_t size, struct buffer *why)
{
    struct archive_file *file = context;
    ssize_t got;

    if (file->archive == NULL) {
        got = file_read(file, octets, size);
        return got < 0 ? why_set(why, "%s", strerror(errno)) : got;
    }
    got = archive_read_data(file->archive, octets, size);
    return got < 0 ? why_set(why, "%s", archive_error_string(file->archive))
                   : got;
}

uint64_t
archive_file_octets(const struct archive_file *file)
{
    return file->octets_read;
}
