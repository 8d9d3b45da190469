#include "expire/newsstore_manifest.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "storage/directory.h"

static const char first_line[] = "newsstore backup 1\n";

void
manifest_free(struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->file_count; i++)
        free(manifest->files[i].path);
    free(manifest->files);
    free(manifest->segments);
    free(manifest->directory);
    *manifest = (struct manifest){.made = 0};
}

void
manifest_add_segment(struct manifest *manifest,
                     const struct manifest_segment *segment)
{
    manifest->segments =
        xreallocarray(manifest->segments, manifest->segment_count + 1,
                      sizeof(*manifest->segments));
    manifest->segments[manifest->segment_count++] = *segment;
}

void
manifest_add_file(struct manifest *manifest, const char *path, uint64_t octets,
                  uint32_t sum)
{
    manifest->files = xreallocarray(manifest->files, manifest->file_count + 1,
                                    sizeof(*manifest->files));
    manifest->files[manifest->file_count++] = (struct manifest_file){
        .path = xstrdup(path), .octets = octets, .sum = sum};
}

const struct manifest_segment *
manifest_find_segment(const struct manifest *manifest, uint32_t number)
{
    for (size_t i = 0; i < manifest->segment_count; i++)
        if (manifest->segments[i].number == number)
            return &manifest->segments[i];
    return NULL;
}

/* Does the line go on with this word?  Then *at moves behind it. */
static bool
word_take(const char **at, const char *word)
{
    size_t octets = strlen(word);

    if (strncmp(*at, word, octets) != 0)
        return false;
    *at += octets;
    return true;
}

/* A number, up to a space or the end of the line. */
static bool
number_take(const char **at, int base, uint64_t max, uint64_t *number_r)
{
    char *end;

    if (!isxdigit((unsigned char)**at))
        return false;
    errno = 0;
    *number_r = strtoull(*at, &end, base);
    if (errno != 0 || *number_r > max || (*end != ' ' && *end != '\0'))
        return false;
    *at = *end == ' ' ? end + 1 : end;
    return true;
}

static bool
segment_take(struct manifest *manifest, const char *at)
{
    uint64_t number, octets, sum;
    struct manifest_segment segment;

    if (!number_take(&at, 16, UINT32_MAX, &number) || number == 0
        || !number_take(&at, 10, UINT32_MAX, &octets)
        || !number_take(&at, 16, UINT32_MAX, &sum) || *at != '\0')
        return false;
    segment = (struct manifest_segment){
        .number = (uint32_t)number, .octets = octets, .sum = (uint32_t)sum};
    manifest_add_segment(manifest, &segment);
    return true;
}

/* A path that stays below the directory. */
static bool
file_take(struct manifest *manifest, const char *at)
{
    uint64_t octets, sum;

    if (!number_take(&at, 10, INT64_MAX, &octets)
        || !number_take(&at, 16, UINT32_MAX, &sum) || *at == '\0' || *at == '/'
        || strstr(at, "..") != NULL)
        return false;
    manifest_add_file(manifest, at, octets, (uint32_t)sum);
    return true;
}

/* One line, its LF cut off.  False when it is none of ours. */
static bool
line_take(struct manifest *manifest, const char *at)
{
    uint64_t made;

    if (word_take(&at, "made ")) {
        if (!number_take(&at, 10, INT64_MAX, &made))
            return false;
        manifest->made = (int64_t)made;
        return true;
    }
    if (word_take(&at, "sequence "))
        return number_take(&at, 10, UINT64_MAX, &manifest->sequence);
    if (word_take(&at, "directory ") && manifest->directory == NULL) {
        manifest->directory = xstrdup(at);
        return true;
    }
    if (word_take(&at, "segment "))
        return segment_take(manifest, at);
    return word_take(&at, "file ") && file_take(manifest, at);
}

int
manifest_read(struct manifest *manifest, const char *dir, struct buffer *why)
{
    char *path = xasprintf("%s/manifest", dir);
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    int status = file != NULL ? 1 : errno == ENOENT ? 0 : -1;
    unsigned number = 1;

    *manifest = (struct manifest){.made = 0};
    if (status < 0)
        why_set_errno(why, "%s", path);
    if (file != NULL
        && (getline(&line, &size, file) < 0 || strcmp(line, first_line) != 0))
        status = why_set(why, "%s: found \"%.40s\", expected \"%.*s\"", path,
                         line != NULL ? line : "", (int)sizeof(first_line) - 2,
                         first_line);
    while (status > 0 && (length = getline(&line, &size, file)) > 0) {
        number++;
        if (line[length - 1] == '\n')
            line[length - 1] = '\0';
        if (!line_take(manifest, line))
            status = why_set(why,
                             "%s:%u: found \"%s\", expected a line of a"
                             " manifest",
                             path, number, line);
    }
    if (status > 0 && manifest->directory == NULL)
        status = why_set(why, "%s: names no directory", path);
    if (status < 0)
        manifest_free(manifest);
    if (file != NULL)
        fclose(file);
    free(line);
    free(path);
    return status;
}

int
manifest_write(const struct manifest *manifest, const char *dir,
               struct buffer *why)
{
    char *path = xasprintf("%s/manifest", dir);
    struct buffer text = BUFFER_EMPTY;
    int status;

    buffer_append_text(&text, first_line);
    buffer_append_format(
        &text, "made %" PRId64 "\nsequence %" PRIu64 "\ndirectory %s\n",
        manifest->made, manifest->sequence, manifest->directory);
    for (size_t i = 0; i < manifest->segment_count; i++)
        buffer_append_format(
            &text, "segment %08" PRIx32 " %" PRIu64 " %08" PRIx32 "\n",
            manifest->segments[i].number, manifest->segments[i].octets,
            manifest->segments[i].sum);
    for (size_t i = 0; i < manifest->file_count; i++)
        buffer_append_format(&text, "file %" PRIu64 " %08" PRIx32 " %s\n",
                             manifest->files[i].octets, manifest->files[i].sum,
                             manifest->files[i].path);
    status = file_replace(path, &text, why);
    if (status == 0)
        status = directory_sync(dir, why);
    buffer_free(&text);
    free(path);
    return status;
}
