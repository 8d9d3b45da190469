#include "lib/config_credentials.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/config_table.h"
#include "lib/memory.h"

struct config_credential {
    char *key;
    char *path;
    bool secret;
    bool of_server; /* some key at the top, or in a certificate, names it */
    bool of_peers;
    char *contents; /* NULL: forgotten */
    size_t octets;
    unsigned char digest[SHA256_DIGEST_LENGTH];
};

struct config_origin {
    char *key;
    char *value;
    char *place; /* "FILE:LINE" */
};

/* --- where it stands --- */

void
config_note_origin(struct config *config, const struct config_row *row,
                   const char *value, const char *file, int line)
{
    struct config_origin *origin;

    if (!config_row_is_credential(row) && row->kind != KIND_CIPHERS)
        return;
    config->origins = xreallocarray(config->origins, config->origin_count + 1,
                                    sizeof(*config->origins));
    origin = &config->origins[config->origin_count++];
    origin->key = xstrdup(row->name);
    origin->value = xstrdup(value);
    origin->place = xasprintf("%s:%d", file, line);
}

int
config_value_error(const struct config *config, const char *key,
                   const char *value, const char *found, const char *expected,
                   struct buffer *why)
{
    const char *place = "configuration";

    for (size_t i = 0; i < config->origin_count; i++)
        if (strcmp(config->origins[i].key, key) == 0
            && strcmp(config->origins[i].value, value) == 0)
            place = config->origins[i].place;
    return why_set(why, "%s: %s: found \"%s\"%s%s, expected %s", place, key,
                   value, found[0] == '\0' ? "" : ", ", found, expected);
}

/* --- reading --- */

static struct config_credential *
file_find(const struct config *config, const char *path)
{
    for (size_t i = 0; i < config->credential_count; i++)
        if (strcmp(config->credentials[i].path, path) == 0)
            return &config->credentials[i];
    return NULL;
}

static struct config_credential *
file_add(struct config *config, const char *key, const char *path,
         const char *contents, size_t octets)
{
    struct config_credential *file;

    config->credentials =
        xreallocarray(config->credentials, config->credential_count + 1,
                      sizeof(*config->credentials));
    file = &config->credentials[config->credential_count++];
    *file = (struct config_credential){0};
    file->key = xstrdup(key);
    file->path = xstrdup(path);
    file->contents = xmemdup(contents, octets);
    file->octets = octets;
    SHA256((const unsigned char *)contents, octets, file->digest);
    return file;
}

/* 0 or -1 with errno. */
static int
file_read(int fd, struct buffer *contents)
{
    ssize_t got;

    /* At once: a buffer that grows would leave copies behind. */
    (void)buffer_reserve(contents, CONFIG_CREDENTIAL_OCTETS_MAX + 2 * 4096);
    do {
        got = read(fd, buffer_reserve(contents, 4096), 4096);
        if (got > 0)
            buffer_used(contents, (size_t)got);
    } while ((got > 0 && contents->used <= CONFIG_CREDENTIAL_OCTETS_MAX)
             || (got < 0 && errno == EINTR));
    return got < 0 ? -1 : 0;
}

/* What is wrong with the open file; "" nothing. */
static const char *
file_fault(int fd, bool secret)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "which is no file";
    if (status.st_size > CONFIG_CREDENTIAL_OCTETS_MAX)
        return "a file of more than 1 MiB";
    if (secret && (status.st_mode & (S_IROTH | S_IWOTH)) != 0)
        return "which everybody on this machine may read or write";
    return "";
}

/* Append what is in the file, open or not (errno).  Returns what is wrong with
   it; "" nothing. */
static const char *
file_take(int fd, bool secret, struct buffer *contents)
{
    const char *fault = fd < 0 ? strerror(errno) : file_fault(fd, secret);

    if (fault[0] == '\0' && file_read(fd, contents) < 0)
        fault = strerror(errno);
    if (fd >= 0)
        close(fd);
    return fault;
}

/* Of a directory all that are files, but for hidden ones, one behind the
   other. */
static const char *
directory_take(const char *path, struct buffer *contents)
{
    DIR *directory = opendir(path);
    const char *fault = "";
    const struct dirent *entry;
    struct stat status;

    if (directory == NULL)
        return strerror(errno);
    while (fault[0] == '\0' && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.'
            || fstatat(dirfd(directory), entry->d_name, &status, 0) < 0
            || !S_ISREG(status.st_mode))
            continue;
        fault = file_take(openat(dirfd(directory), entry->d_name,
                                 O_RDONLY | O_CLOEXEC | O_NONBLOCK),
                          false, contents);
        buffer_append_char(contents, '\n');
        if (fault[0] == '\0' && contents->used > CONFIG_CREDENTIAL_OCTETS_MAX)
            fault = "files of more than 1 MiB together";
    }
    closedir(directory);
    return fault;
}

static int
path_read(struct config *config, const struct config_row *row,
          const char *path, struct buffer *why)
{
    bool secret = row->kind == KIND_KEY_FILE;
    bool many = row->kind == KIND_CERTIFICATE_DIRECTORY;
    struct buffer contents = BUFFER_EMPTY;
    const char *fault =
        many ? directory_take(path, &contents)
             : file_take(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), secret,
                         &contents);

    if (fault[0] == '\0')
        file_add(config, row->name, path, buffer_text(&contents),
                 contents.used)
            ->secret = secret;
    if (contents.used > 0)
        explicit_bzero(contents.data, contents.used);
    buffer_free(&contents);
    if (fault[0] == '\0')
        return 0;
    return config_value_error(
        config, row->name, path, fault,
        secret ? "a file that only the server's user and group can read"
        : many ? "a directory of files that the server can read"
               : "a file that the server can read",
        why);
}

/* One file may be a certificate and its key; then it is a secret. */
static bool
path_is_read(const struct config *config, const struct config_row *row,
             const char *path)
{
    const struct config_credential *file = file_find(config, path);

    return file != NULL && (file->secret || row->kind != KIND_KEY_FILE);
}

static int
rows_read(struct config *config, const struct config_row *rows, size_t count,
          const void *object, enum config_keys whose, struct buffer *why)
{
    for (size_t i = 0; i < count; i++) {
        const void *member = (const char *)object + rows[i].offset;
        const char *path;

        if (!config_row_is_credential(&rows[i]))
            continue;
        path = *(char *const *)member;
        if (path[0] == '\0')
            continue;
        if (!path_is_read(config, &rows[i], path)
            && path_read(config, &rows[i], path, why) < 0)
            return -1;
        if (whose == CONFIG_KEYS_SERVER)
            file_find(config, path)->of_server = true;
        else
            file_find(config, path)->of_peers = true;
    }
    return 0;
}

int
config_read_credentials(struct config *config, struct buffer *why)
{
    int status = rows_read(config, config_rows, config_row_count, config,
                           CONFIG_KEYS_SERVER, why);

    for (size_t i = 0; status == 0 && i < config->certificate_count; i++)
        status = rows_read(config, config_certificate_rows,
                           config_certificate_row_count,
                           &config->certificates[i], CONFIG_KEYS_SERVER, why);
    for (size_t i = 0; status == 0 && i < config->peer_count; i++)
        status = rows_read(config, config_peer_rows, config_peer_row_count,
                           &config->peers[i], CONFIG_KEYS_PEERS, why);
    return status;
}

const char *
config_credential(const struct config *config, const char *path)
{
    const struct config_credential *file = file_find(config, path);

    return file == NULL || file->contents == NULL ? "" : file->contents;
}

const char *
config_credential_path(const struct config *config, size_t i)
{
    return config->credentials[i].path;
}

/* --- from the master to its children --- */

static bool
file_is_for(const struct config_credential *file, enum config_keys keys)
{
    return (keys == CONFIG_KEYS_SERVER && file->of_server)
           || (keys == CONFIG_KEYS_PEERS && file->of_peers);
}

void
config_credentials_append(const struct config *config, enum config_keys keys,
                          struct buffer *octets)
{
    size_t room = 0;

    for (size_t i = 0; i < config->credential_count; i++)
        room += strlen(config->credentials[i].key)
                + strlen(config->credentials[i].path) + 2 + sizeof(size_t)
                + config->credentials[i].octets;
    /* At once: a buffer that grows would leave copies behind. */
    (void)buffer_reserve(octets, room);
    for (size_t i = 0; i < config->credential_count; i++) {
        const struct config_credential *file = &config->credentials[i];

        if (!file_is_for(file, keys))
            continue;
        buffer_append(octets, file->key, strlen(file->key) + 1);
        buffer_append(octets, file->path, strlen(file->path) + 1);
        buffer_append(octets, &file->octets, sizeof(file->octets));
        if (file->octets > 0)
            buffer_append(octets, file->contents, file->octets);
    }
}

/* The text at *octets, which moves behind it; NULL: it has no end. */
static const char *
text_take(const char **octets, size_t *length)
{
    const char *text = *octets;
    const char *end = memchr(text, '\0', *length);

    if (end == NULL)
        return NULL;
    *octets = end + 1;
    *length -= (size_t)(end + 1 - text);
    return text;
}

int
config_credentials_parse(struct config *config, const char *octets,
                         size_t length, struct buffer *why)
{
    while (length > 0) {
        const char *key = text_take(&octets, &length);
        const char *path = key == NULL ? NULL : text_take(&octets, &length);
        size_t size;

        if (path == NULL || length < sizeof(size))
            return why_set(why, "configuration from the master: cut short");
        memcpy(&size, octets, sizeof(size));
        octets += sizeof(size);
        length -= sizeof(size);
        if (size > length)
            return why_set(why, "configuration from the master: cut short");
        (void)file_add(config, key, path, octets, size);
        octets += size;
        length -= size;
    }
    return 0;
}

/* --- changing and forgetting --- */

size_t
config_credentials_compare(const struct config *old, const struct config *new,
                           struct buffer *changed)
{
    size_t differ = 0;

    /* A file that only one of them names is a changed key. */
    for (size_t i = 0; i < new->credential_count; i++) {
        const struct config_credential *file = &new->credentials[i];
        const struct config_credential *before = file_find(old, file->path);

        if (before == NULL
            || memcmp(before->digest, file->digest, sizeof(file->digest)) == 0)
            continue;
        buffer_append_format(changed, "%s\n", file->key);
        differ++;
    }
    return differ;
}

void
config_forget_credentials(struct config *config)
{
    for (size_t i = 0; i < config->credential_count; i++) {
        struct config_credential *file = &config->credentials[i];

        if (file->contents != NULL)
            explicit_bzero(file->contents, file->octets);
        free(file->contents);
        file->contents = NULL;
    }
}

void
config_credentials_free(struct config *config)
{
    config_forget_credentials(config);
    for (size_t i = 0; i < config->credential_count; i++) {
        free(config->credentials[i].key);
        free(config->credentials[i].path);
    }
    free(config->credentials);
    for (size_t i = 0; i < config->origin_count; i++) {
        free(config->origins[i].key);
        free(config->origins[i].value);
        free(config->origins[i].place);
    }
    free(config->origins);
}
