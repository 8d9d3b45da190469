/* One history in the place of another: files only, nothing is open. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "storage/directory.h"
#include "storage/history.h"

/* In one step, or, where the file system cannot exchange, in two: a death in
   between leaves no history, which the next start makes anew. */
static int
exchange(const char *new, const char *old)
{
    char *aside;
    int status;

    if (renameat2(AT_FDCWD, new, AT_FDCWD, old, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno == ENOENT)
        return rename(new, old);
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    aside = xasprintf("%s.old", new);
    status = rename(old, aside) < 0 || rename(new, old) < 0
                     || rename(aside, new) < 0
                 ? -1
                 : 0;
    free(aside);
    return status;
}

int
history_adopt(const char *path, const char *from, struct buffer *why)
{
    char *new = xasprintf("%s/history", from);
    char *old = xasprintf("%s/history", path);
    int status = 0;

    if (exchange(new, old) < 0)
        status = why_set_errno(why, "%s in the place of %s", new, old);
    else if (directory_sync(path, why) < 0 || directory_remove(new, why) < 0)
        status = -1;
    free(new);
    free(old);
    return status;
}
