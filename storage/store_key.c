#include "storage/store_key.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/message_id.h"
#include "storage/directory.h"

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

/* Written beside and renamed: a key that is there is a whole one. */
static int
key_make(struct message_key *key, const char *pathdb, const char *path,
         struct buffer *why)
{
    struct buffer new = BUFFER_EMPTY;
    char text[KEY_TEXT_OCTETS + 1];
    int result = -1;

    randombytes_buf(key->octets, sizeof(key->octets));
    sodium_bin2hex(text, KEY_TEXT_OCTETS, key->octets, sizeof(key->octets));
    text[KEY_TEXT_OCTETS - 1] = '\n';
    buffer_append_format(&new, "%s.new", path);
    if (file_write(new.data, text, KEY_TEXT_OCTETS, why) == 0) {
        if (rename(new.data, path) < 0)
            why_set_errno(why, "cannot rename %s", new.data);
        else
            result = directory_sync(pathdb, why);
    }
    buffer_free(&new);
    sodium_memzero(text, sizeof(text));
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
        result = key_make(key, pathdb, path.data, why);
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
