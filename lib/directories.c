#include "lib/directories.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/memory.h"
#include "lib/user.h"

enum {
    PLACES = 4,
    OURS = 0750, /* a directory of the server's */
    WAY = 0755,  /* what leads there: others' names lie beside ours */
};

struct place {
    const char *key;
    const char *path;
    enum exit_status status; /* when it cannot be used */
};

static void
places_fill(struct place places[PLACES], const struct config *config)
{
    places[0] = (struct place){"pathrun", config->pathrun, EXIT_SYSTEM};
    places[1] = (struct place){"pathdb", config->pathdb, EXIT_IO};
    places[2] = (struct place){"pathspool", config->pathspool, EXIT_IO};
    places[3] = (struct place){"pathoverview", config->pathoverview, EXIT_IO};
}

/* chmod, since a umask may have taken bits away; the directory is ours since
   this moment, and nobody can have put another in its place. */
static int
directory_make(const char *path, mode_t mode, bool owned, uid_t uid, gid_t gid)
{
    if (mkdir(path, mode) < 0)
        return errno == EEXIST ? 0 : -1;
    if (chmod(path, mode) < 0 || (owned && lchown(path, uid, gid) < 0))
        return -1;
    return 0;
}

/* With all that leads there. */
static int
place_make(const struct place *place, bool owned, uid_t uid, gid_t gid)
{
    char *path = xstrdup(place->path);
    int result = 0;

    for (char *slash = strchr(path + 1, '/'); slash != NULL && result == 0;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        result = directory_make(path, WAY, false, uid, gid);
        *slash = '/';
    }
    if (result == 0)
        result = directory_make(path, OURS, owned, uid, gid);
    free(path);
    return result;
}

int
directories_make(const struct config *config, enum exit_status *status_r,
                 struct buffer *why)
{
    struct place places[PLACES];
    uid_t uid = 0;
    gid_t gid = 0;
    int owned = user_find(config, &uid, &gid, why);

    *status_r = EXIT_CONFIG;
    if (owned < 0)
        return -1;
    places_fill(places, config);
    for (size_t i = 0; i < PLACES; i++) {
        *status_r = places[i].status;
        if (place_make(&places[i], owned > 0, uid, gid) < 0)
            return why_set_errno(why, "%s: cannot make %s", places[i].key,
                                 places[i].path);
    }
    return 0;
}

int
directories_check(const struct config *config, enum exit_status *status_r,
                  struct buffer *why)
{
    struct place places[PLACES];
    struct stat status;

    places_fill(places, config);
    for (size_t i = 0; i < PLACES; i++) {
        *status_r = places[i].status;
        if (stat(places[i].path, &status) == 0 && !S_ISDIR(status.st_mode)) {
            errno = ENOTDIR;
            return why_set_errno(why, "%s: %s", places[i].key, places[i].path);
        }
        if (access(places[i].path, R_OK | W_OK | X_OK) < 0)
            return why_set_errno(why, "%s: cannot write to %s as uid %u",
                                 places[i].key, places[i].path,
                                 (unsigned)geteuid());
    }
    return 0;
}
