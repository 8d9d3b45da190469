#include "expire/newsstore_manifest.h"

#include <errno.h>
#include <inttypes.h>
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

/* One line, its LF cut off.  -1 when it is none of ours. */
static int
line_take(struct manifest *manifest, const char *line)
{
    struct manifest_segment segment = {.number = 0};
    uint64_t octets;
    uint32_t sum;
    int at = 0;

    if (sscanf(line, "made %" SCNd64, &manifest->made) == 1
        || sscanf(line, "sequence %" SCNu64, &manifest->sequence) == 1)
        return 0;
    if (strncmp(line, "directory ", 10) == 0 && manifest->directory == NULL) {
        manifest->directory = xstrdup(line + 10);
        return 0;
    }
    if (sscanf(line, "segment %" SCNx32 " %" SCNu64 " %" SCNx32,
               &segment.number, &segment.octets, &segment.sum)
            == 3
        && segment.number != 0) {
        manifest_add_segment(manifest, &segment);
        return 0;
    }
    if (sscanf(line, "file %" SCNu64 " %" SCNx32 " %n", &octets, &sum, &at)
            == 2
        && at > 0 && line[at] != '\0' && line[at] != '/'
        && strstr(line + at, "..") == NULL) {
        manifest_add_file(manifest, line + at, octets, sum);
        return 0;
    }
    return -1;
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
        if (line_take(manifest, line) < 0)
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
