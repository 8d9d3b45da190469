/* Files whose contents are part of the configuration. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/config_private.h"
#include "lib/config_table.h"
#include "lib/file.h"
#include "lib/memory.h"

void
config_file_note(struct config *config, const char *path)
{
    config->files = xreallocarray(config->files, config->file_count + 1,
                                  sizeof(*config->files));
    config->files[config->file_count++] = xstrdup(path);
}

static struct config_file *
file_of(const struct config_row *row, const struct config *config)
{
    return (struct config_file *)(void *)((char *)(uintptr_t)config
                                          + row->offset);
}

static void
file_free(struct config_file *file)
{
    if (file->text != NULL)
        explicit_bzero(file->text, file->octets);
    free(file->text);
    file->text = NULL;
    file->octets = 0;
}

static int
file_load(const struct config_row *row, struct config_file *file,
          struct buffer *why)
{
    struct buffer text = BUFFER_EMPTY;
    struct stat status;
    int result = 0;

    file_free(file);
    if (file->path[0] == '\0')
        return 0;
    if (file_read(file->path, 0, CONFIG_FILE_OCTETS_MAX, &text) < 0)
        result = why_set_errno(why, "%s: %s: cannot be read", row->name,
                               file->path);
    else if (row->secret
             && (stat(file->path, &status) < 0
                 || (status.st_mode & (S_IROTH | S_IWOTH)) != 0))
        result = why_set(why,
                         "%s: %s: found a secret that everybody on this "
                         "machine may read or write, expected one of the "
                         "server's user and group",
                         row->name, file->path);
    else if (text.used > LISTING_OCTETS_MAX)
        result = why_set(why, "%s: %s: found %zu octets, expected %d at most",
                         row->name, file->path, text.used, LISTING_OCTETS_MAX);
    else
        result = listing_check(file->path, &text, row->check_line, why);
    if (result == 0) {
        file->octets = text.used;
        file->text = xmemdup(buffer_text(&text), text.used);
    }
    if (text.data != NULL)
        explicit_bzero(text.data, text.used);
    buffer_free(&text);
    return result;
}

int
config_read_files(struct config *config, struct buffer *why)
{
    for (size_t i = 0; i < config_row_count; i++) {
        struct config_file *file;

        if (config_rows[i].kind != KIND_FILE)
            continue;
        file = file_of(&config_rows[i], config);
        if (file_load(&config_rows[i], file, why) < 0)
            return -1;
        if (file->text != NULL)
            config_file_note(config, file->path);
    }
    return 0;
}

static void
contents_append(const struct config_file *file, struct buffer *to)
{
    int64_t octets = file->text == NULL ? -1 : (int64_t)file->octets;

    buffer_append(to, &octets, sizeof(octets));
    if (octets > 0)
        buffer_append(to, file->text, file->octets);
}

void
config_file_append(const struct config_row *row, const struct config *config,
                   struct buffer *to)
{
    contents_append(file_of(row, config), to);
}

void
config_files_append(const struct config *config, bool with_secrets,
                    struct buffer *to)
{
    static const struct config_file none;

    for (size_t i = 0; i < config_row_count; i++)
        if (config_rows[i].kind == KIND_FILE)
            contents_append(config_rows[i].secret && !with_secrets
                                ? &none
                                : file_of(&config_rows[i], config),
                            to);
}

int
config_files_take(struct config *config, const char **at_r, size_t *left_r,
                  struct buffer *why)
{
    const char *at = *at_r;
    size_t left = *left_r;

    for (size_t i = 0; i < config_row_count; i++) {
        struct config_file *file;
        int64_t octets;

        if (config_rows[i].kind != KIND_FILE)
            continue;
        if (left < sizeof(octets))
            return why_set(why, "configuration from the master: cut short");
        memcpy(&octets, at, sizeof(octets));
        at += sizeof(octets);
        left -= sizeof(octets);
        if (octets < 0)
            continue;
        if ((uint64_t)octets > left)
            return why_set(why, "configuration from the master: cut short");
        file = file_of(&config_rows[i], config);
        file->text = xmemdup(at, (size_t)octets);
        file->octets = (size_t)octets;
        at += octets;
        left -= (size_t)octets;
    }
    *at_r = at;
    *left_r = left;
    return 0;
}

void
config_files_free(struct config *config)
{
    for (size_t i = 0; i < config_row_count; i++)
        if (config_rows[i].kind == KIND_FILE)
            file_free(file_of(&config_rows[i], config));
}
