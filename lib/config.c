#include "lib/config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config_credentials.h"
#include "lib/config_private.h"
#include "lib/config_table.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/wildmat.h"

/* All included files as one. */
enum { MEMFD_OCTETS_MAX = 4 * CONFIG_FILE_OCTETS_MAX };

void
config_free(struct config **config)
{
    struct config *old = *config;

    if (old == NULL)
        return;
    for (size_t i = 0; i < old->file_count; i++)
        free(old->files[i]);
    free(old->files);
    config_files_free(old);
    for (size_t i = 0; i < config_row_count; i++)
        config_row_free(&config_rows[i], old);
    for (size_t i = 0; i < old->peer_count; i++) {
        free(old->peers[i].name);
        for (size_t j = 0; j < config_peer_row_count; j++)
            config_row_free(&config_peer_rows[j], &old->peers[i]);
    }
    free(old->peers);
    for (size_t i = 0; i < old->access_count; i++) {
        free(old->accesses[i].name);
        for (size_t j = 0; j < config_access_row_count; j++)
            config_row_free(&config_access_rows[j], &old->accesses[i]);
    }
    free(old->accesses);
    for (size_t i = 0; i < old->expire_count; i++) {
        free(old->expires[i].pattern);
        for (size_t j = 0; j < config_expire_row_count; j++)
            config_row_free(&config_expire_rows[j], &old->expires[i]);
    }
    free(old->expires);
    for (size_t i = 0; i < old->certificate_count; i++) {
        free(old->certificates[i].name);
        for (size_t j = 0; j < config_certificate_row_count; j++)
            config_row_free(&config_certificate_rows[j],
                            &old->certificates[i]);
    }
    free(old->certificates);
    config_credentials_free(old);
    free(old);
    *config = NULL;
}

static void
section_print(const char *kind, const char *title,
              const struct config_row *rows, size_t count, const void *object,
              struct buffer *text)
{
    buffer_append_format(text, "%s ", kind);
    config_quote(title, text);
    buffer_append_text(text, " {\n");
    for (size_t i = 0; i < count; i++) {
        buffer_append_format(text, "    %s = ", rows[i].name);
        config_row_print(&rows[i], object, text);
        buffer_append_char(text, '\n');
    }
    buffer_append_text(text, "}\n");
}

void
config_print_peer(const struct config_peer *peer, struct buffer *text)
{
    section_print("peer", peer->name, config_peer_rows, config_peer_row_count,
                  peer, text);
}

static void
accesses_print(const struct config *config, struct buffer *text)
{
    for (size_t i = 0; i < config->access_count; i++)
        section_print("access", config->accesses[i].name, config_access_rows,
                      config_access_row_count, &config->accesses[i], text);
}

static void
expires_print(const struct config *config, struct buffer *text)
{
    for (size_t i = 0; i < config->expire_count; i++)
        section_print("expire", config->expires[i].pattern, config_expire_rows,
                      config_expire_row_count, &config->expires[i], text);
}

static void
certificates_print(const struct config *config, struct buffer *text)
{
    for (size_t i = 0; i < config->certificate_count; i++)
        section_print("certificate", config->certificates[i].name,
                      config_certificate_rows, config_certificate_row_count,
                      &config->certificates[i], text);
}

void
config_print(const struct config *config, struct buffer *text)
{
    for (size_t i = 0; i < config_row_count; i++) {
        buffer_append_format(text, "%s = ", config_rows[i].name);
        config_row_print(&config_rows[i], config, text);
        buffer_append_char(text, '\n');
    }
    for (size_t i = 0; i < config->peer_count; i++)
        config_print_peer(&config->peers[i], text);
    accesses_print(config, text);
    expires_print(config, text);
    certificates_print(config, text);
}

/* --- the memfd --- */

/* This line with the generation and the length of the text, then the text as
   config_print() has it, then the files, then certificates and keys. */
static const char memfd_head[] = "# renews configuration, generation ";

int
config_to_memfd(const struct config *config, enum config_keys keys)
{
    struct buffer text = BUFFER_EMPTY;
    struct buffer printed = BUFFER_EMPTY;
    int fd = memfd_create("renews-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        sysdie(EXIT_SYSTEM, "memfd for the configuration");
    config_print(config, &printed);
    buffer_append_format(&text, "%s%" PRIu64 " %zu\n", memfd_head,
                         config->generation, printed.used);
    buffer_append(&text, printed.data, printed.used);
    buffer_free(&printed);
    config_files_append(config, keys == CONFIG_KEYS_SERVER, &text);
    config_credentials_append(config, keys, &text);
    if (pwrite(fd, text.data, text.used, 0) != (ssize_t)text.used)
        sysdie(EXIT_SYSTEM, "memfd for the configuration: write");
    if (fcntl(fd, F_ADD_SEALS,
              F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
        < 0)
        sysdie(EXIT_SYSTEM, "memfd for the configuration: seal");
    explicit_bzero(text.data, text.used);
    buffer_free(&text);
    return fd;
}

/* pread, since all who inherited the descriptor share its offset. */
static int
memfd_read(int fd, struct buffer *text, struct buffer *why)
{
    struct stat status;
    size_t octets;

    if (fstat(fd, &status) < 0)
        return why_set_errno(why, "configuration from the master");
    if (status.st_size <= 0 || status.st_size > MEMFD_OCTETS_MAX)
        return why_set(why,
                       "configuration from the master: %" PRId64 " octets",
                       (int64_t)status.st_size);
    octets = (size_t)status.st_size;
    if (pread(fd, buffer_reserve(text, octets), octets, 0) != (ssize_t)octets)
        return why_set_errno(why, "configuration from the master: read");
    text->used += octets;
    text->data[octets] = '\0';
    return 0;
}

static struct config *
memfd_parse(const struct buffer *text, struct buffer *why)
{
    const size_t head = sizeof(memfd_head) - 1;
    struct config *config;
    uint64_t generation;
    size_t printed, left;
    const char *rest;
    char *at;
    char *copy;

    if (text->used <= head || memcmp(text->data, memfd_head, head) != 0) {
        why_set(why, "configuration from the master: no head");
        return NULL;
    }
    generation = strtoull(text->data + head, &at, 10);
    printed = strtoull(at, &at, 10);
    left = text->used - (size_t)(at - text->data);
    if (printed >= left) {
        why_set(why, "configuration from the master: cut short");
        return NULL;
    }
    copy = xmemdup(at, printed + 1); /* with the head's line end */
    config = config_parse("configuration from the master", copy, why);
    free(copy);
    if (config == NULL)
        return NULL;
    config->generation = generation;
    rest = at + printed + 1;
    left -= printed + 1;
    if (config_files_take(config, &rest, &left, why) < 0
        || config_credentials_parse(config, rest, left, why) < 0)
        config_free(&config);
    return config;
}

struct config *
config_from_memfd(int fd, struct buffer *why)
{
    struct buffer text = BUFFER_EMPTY;
    struct config *config = NULL;

    if (memfd_read(fd, &text, why) == 0)
        config = memfd_parse(&text, why);
    if (text.data != NULL)
        explicit_bzero(text.data, text.used);
    buffer_free(&text);
    close(fd);
    return config;
}

/* Appends name to list where the texts differ; says whether they do. */
static bool
texts_compare(const char *name, const struct buffer *old,
              const struct buffer *new, struct buffer *list)
{
    if (old->used == new->used
        && memcmp(buffer_text(old), buffer_text(new), old->used) == 0)
        return false;
    buffer_append_format(list, "%s\n", name);
    return true;
}

const struct config_peer *
config_find_peer(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->peer_count; i++)
        if (strcmp(config->peers[i].name, name) == 0)
            return &config->peers[i];
    return NULL;
}

size_t
config_group_octets_max(const struct config *config, const char *name,
                        size_t octets)
{
    for (size_t i = config->group_size_count; i-- > 0;) {
        const char *text = config->group_sizes[i];
        size_t wildmat_octets;
        int64_t most;

        if (config_size_parse(text, &wildmat_octets, &most)
            && wildmat_match(text, wildmat_octets, name, octets))
            return (size_t)most;
    }
    return SIZE_MAX;
}

/* Peers of one that the other has otherwise, or, with absent, not at all. */
static size_t
peers_compare(const struct config *one, const struct config *other,
              bool only_absent, struct buffer *changed)
{
    size_t differ = 0;

    for (size_t i = 0; i < one->peer_count; i++) {
        const struct config_peer *twin =
            config_find_peer(other, one->peers[i].name);
        struct buffer a = BUFFER_EMPTY;
        struct buffer b = BUFFER_EMPTY;
        char *name = xasprintf("peer %s", one->peers[i].name);

        if (twin == NULL || !only_absent) {
            config_print_peer(&one->peers[i], &a);
            if (twin != NULL)
                config_print_peer(twin, &b);
            differ += texts_compare(name, &a, &b, changed);
        }
        free(name);
        buffer_free(&a);
        buffer_free(&b);
    }
    return differ;
}

/* Sections whose order counts, so they are one thing. */
static size_t
sections_compare(const char *kind,
                 void (*print)(const struct config *config,
                               struct buffer *text),
                 const struct config *old, const struct config *new,
                 struct buffer *changed)
{
    struct buffer a = BUFFER_EMPTY;
    struct buffer b = BUFFER_EMPTY;
    size_t differ;

    print(old, &a);
    print(new, &b);
    differ = texts_compare(kind, &a, &b, changed);
    buffer_free(&a);
    buffer_free(&b);
    return differ;
}

void
config_keep(struct config *config, const struct config *old)
{
    for (size_t i = 0; i < config_row_count; i++)
        if (config_rows[i].restart)
            config_row_copy(&config_rows[i], config, old);
}

size_t
config_compare(const struct config *old, const struct config *new,
               struct buffer *changed, struct buffer *restart)
{
    size_t differ = 0;

    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        struct buffer a = BUFFER_EMPTY;
        struct buffer b = BUFFER_EMPTY;

        config_row_print(row, old, &a);
        config_row_print(row, new, &b);
        if (row->kind == KIND_FILE) {
            config_file_append(row, old, &a);
            config_file_append(row, new, &b);
        }
        differ +=
            texts_compare(row->name, &a, &b, row->restart ? restart : changed);
        buffer_free(&a);
        buffer_free(&b);
    }
    differ += peers_compare(new, old, false, changed);
    differ += peers_compare(old, new, true, changed);
    differ += sections_compare("access", accesses_print, old, new, changed);
    differ += sections_compare("expire", expires_print, old, new, changed);
    differ +=
        sections_compare("certificate", certificates_print, old, new, changed);
    differ += config_credentials_compare(old, new, changed);
    return differ;
}
