#include "storage/store_key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/memory.h"
#include "lib/message_id.h"
#include "storage/directory.h"
#include "storage/store.h"

/* The file: the secret in hexadecimal and a newline, so that it can be kept
   and put back by hand. */
enum { KEY_TEXT_OCTETS = 2 * sizeof(struct message_key) + 1 };

static int
key_parse(struct message_key *key, const char *text, size_t octets,
          const char *path, struct buffer *why)
{
    size_t length;

    if (octets == KEY_TEXT_OCTETS && text[octets - 1] == '\n'
        && sodium_hex2bin(key->octets, sizeof(key->octets), text, octets - 1,
                          NULL, &length, NULL)
               == 0
        && length == sizeof(key->octets))
        return 0;
    return why_set(why,
                   "%s is not what it should be: found %zu octets, expected"
                   " 32 hexadecimal digits and a newline",
                   path, octets);
}

/* 1: read, 0: there is none. */
static int
key_load(struct message_key *key, const char *path, struct buffer *why)
{
    char text[KEY_TEXT_OCTETS + 1];
    ssize_t octets;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return why_set_errno(why, "cannot open %s", path);
    octets = read(fd, text, sizeof(text));
    if (octets < 0)
        why_set_errno(why, "cannot read %s", path);
    close(fd);
    if (octets < 0 || key_parse(key, text, (size_t)octets, path, why) < 0)
        return -1;
    return 1;
}

static int
file_write(const char *path, const char *text, size_t octets,
           struct buffer *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                  0600);

    if (fd < 0)
        return why_set_errno(why, "cannot make %s", path);
    if (write(fd, text, octets) != (ssize_t)octets || fsync(fd) < 0) {
        why_set_errno(why, "cannot write %s", path);
        close(fd);
        return -1;
    }
    return close(fd) < 0 ? why_set_errno(why, "cannot write %s", path) : 0;
}

/* Written beside and linked: a key that is there is a whole one, and of two
   that make one at the same time the first one's stays. */
static int
key_make(const char *pathdb, const char *path, struct buffer *why)
{
    struct message_key key;
    struct buffer new = BUFFER_EMPTY;
    char text[KEY_TEXT_OCTETS + 1];
    int result = -1;

    randombytes_buf(key.octets, sizeof(key.octets));
    sodium_bin2hex(text, KEY_TEXT_OCTETS, key.octets, sizeof(key.octets));
    text[KEY_TEXT_OCTETS - 1] = '\n';
    buffer_append_format(&new, "%s.new-%ld", path, (long)getpid());
    if (file_write(new.data, text, KEY_TEXT_OCTETS, why) == 0) {
        if (link(new.data, path) < 0 && errno != EEXIST)
            why_set_errno(why, "cannot make %s", path);
        else
            result = directory_sync(pathdb, why);
        (void)unlink(new.data); /* what is left of it does no harm */
    }
    buffer_free(&new);
    sodium_memzero(text, sizeof(text));
    sodium_memzero(&key, sizeof(key));
    return result;
}

int
store_key_read(struct message_key *key, const char *pathdb,
               bool spool_is_empty, struct buffer *why)
{
    struct buffer path = BUFFER_EMPTY;
    int result;

    buffer_append_format(&path, "%s/key", pathdb);
    result = key_load(key, path.data, why);
    if (result == 0 && spool_is_empty)
        result = key_make(pathdb, path.data, why) == 0
                     ? key_load(key, path.data, why)
                     : -1;
    else if (result == 0)
        /* Under another key every article would look new. */
        result = why_set(why,
                         "%s is missing, but the spool has articles: put the"
                         " key of this spool there (it is part of every"
                         " backup)",
                         path.data);
    buffer_free(&path);
    return result < 0 ? -1 : 0;
}

/* Is there a segment in the spool?  1, 0, -1 with why. */
static int
spool_has_segments(const char *pathspool, struct buffer *why)
{
    DIR *directory = opendir(pathspool);
    const struct dirent *entry;
    int found = 0;

    if (directory == NULL)
        return why_set_errno(why, "cannot read %s", pathspool);
    while (found == 0 && (entry = readdir(directory)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');

        found = dot != NULL && strcmp(dot, ".seg") == 0;
    }
    closedir(directory);
    return found;
}

int
store_prepare(const struct config *config, struct buffer *why)
{
    char *history = xasprintf("%s/history", config->pathdb);
    char *key = xasprintf("%s/key", config->pathdb);
    int stored = spool_has_segments(config->pathspool, why);
    int result = stored < 0 ? -1 : 0;

    if (result == 0 && mkdir(history, 0700) < 0 && errno != EEXIST)
        result = why_set_errno(why, "cannot make %s", history);
    /* A key that is missing beside articles is store_open()'s to tell of. */
    if (result == 0 && stored == 0 && access(key, F_OK) < 0)
        result = key_make(config->pathdb, key, why);
    free(history);
    free(key);
    return result;
}
