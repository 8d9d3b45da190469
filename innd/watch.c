#include "innd/watch.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"

enum { EVENTS_OCTETS = 16 * 1024 };

struct watched_file {
    char *path;
    char *directory_path; /* ends with a slash */
    const char *name; /* its last part; "": it is a directory, and whatever is
                         in it counts */
    int directory;    /* the watch on it; -1: it cannot be watched */
    dev_t device;     /* of the file that the path led to */
    ino_t inode;
};

struct watch {
    int fd; /* -1: there is no inotify */
    struct event *readable;
    struct event *quiet; /* pending while a change waits to be told */
    struct watched_file *files;
    size_t count;
    watch_changed_func *changed;
    void *context;
};

/* False while there is no file at the path. */
static bool
file_look(const struct watched_file *file, dev_t *device_r, ino_t *inode_r)
{
    struct stat status;

    if (stat(file->path, &status) < 0)
        return false;
    *device_r = status.st_dev;
    *inode_r = status.st_ino;
    return true;
}

/* Does the path lead to another file than before?  A symbolic link on the way
   may have changed whose own name says nothing. */
static bool
file_is_another(const struct watched_file *file)
{
    dev_t device;
    ino_t inode;

    return file_look(file, &device, &inode)
           && (device != file->device || inode != file->inode);
}

/* Has a symbolic link been made?  A file that has been is still empty: its end
   is another event. */
static bool
event_is_link(const struct watch *watch, const struct inotify_event *event)
{
    bool is_link = false;

    for (size_t i = 0; i < watch->count && event->len > 0; i++) {
        struct stat status;
        char *path;

        if (watch->files[i].directory != event->wd)
            continue;
        path = xasprintf("%s%s", watch->files[i].directory_path, event->name);
        is_link = lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
        free(path);
        break;
    }
    return is_link;
}

/* Is it about this file?  That one has gone is news of a directory only: where
   another one takes its place, that is another event. */
static bool
event_names(const struct inotify_event *event, const struct watched_file *file)
{
    if (event->wd != file->directory || event->len == 0)
        return false;
    if (file->name[0] == '\0')
        return true;
    return (event->mask & IN_DELETE) == 0
           && strcmp(event->name, file->name) == 0;
}

static bool
event_concerns(const struct watch *watch, const struct inotify_event *event)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0)
        return true;
    if ((event->mask & IN_CREATE) != 0 && !event_is_link(watch, event))
        return false;
    for (size_t i = 0; i < watch->count; i++)
        if (event_names(event, &watch->files[i])
            || file_is_another(&watch->files[i]))
            return true;
    return false;
}

static void
on_events(evutil_socket_t fd, short what, void *context)
{
    static const struct timeval quiet = {WATCH_QUIET_SECONDS, 0};
    struct watch *watch = context;
    _Alignas(struct inotify_event) char octets[EVENTS_OCTETS];
    ssize_t got = read(fd, octets, sizeof(octets));
    const struct inotify_event *event;

    (void)what;
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        syswarn("watching the configuration");
    for (ssize_t at = 0; at < got;
         at += (ssize_t)(sizeof(*event) + event->len)) {
        event = (const void *)(octets + at);
        if (event_concerns(watch, event))
            event_add(watch->quiet, &quiet);
    }
}

static void
on_quiet(evutil_socket_t fd, short what, void *context)
{
    struct watch *watch = context;

    (void)fd;
    (void)what;
    watch->changed(watch->context);
}

struct watch *
watch_new(struct event_base *base, watch_changed_func *changed, void *context)
{
    struct watch *watch = xcalloc(1, sizeof(*watch));

    watch->changed = changed;
    watch->context = context;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0) {
        syswarn("the configuration is not watched: inotify");
        return watch;
    }
    watch->readable =
        event_new(base, watch->fd, EV_READ | EV_PERSIST, on_events, watch);
    watch->quiet = event_new(base, -1, 0, on_quiet, watch);
    if (watch->readable == NULL || watch->quiet == NULL)
        die(EXIT_TEMPORARY, "out of memory: watching the configuration");
    event_add(watch->readable, NULL);
    return watch;
}

static bool
directory_is_watched(const struct watch *watch, int directory)
{
    for (size_t i = 0; i < watch->count; i++)
        if (watch->files[i].directory == directory)
            return true;
    return false;
}

/* Files of before; a directory that the present ones are in stays watched. */
static void
files_forget(struct watch *watch, struct watched_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        /* Fails where two of them share a directory: it is done already. */
        if (files[i].directory >= 0
            && !directory_is_watched(watch, files[i].directory))
            (void)inotify_rm_watch(watch->fd, files[i].directory);
        free(files[i].path);
        free(files[i].directory_path);
    }
    free(files);
}

void
watch_free(struct watch **watch)
{
    struct watch *old = *watch;
    size_t count;

    if (old == NULL)
        return;
    count = old->count;
    old->count = 0;
    files_forget(old, old->files, count);
    if (old->fd >= 0) {
        event_free(old->readable);
        event_free(old->quiet);
        close(old->fd);
    }
    free(old);
    *watch = NULL;
}

static bool
path_is_directory(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static void
file_watch(const struct watch *watch, struct watched_file *file,
           const char *path)
{
    const char *slash = strrchr(path, '/');

    file->path = xstrdup(path);
    if (path_is_directory(path)) {
        file->directory_path = xasprintf("%s/", path);
        file->name = "";
    } else if (slash == NULL) {
        file->directory_path = xstrdup("./");
        file->name = file->path;
    } else {
        file->directory_path = xasprintf("%.*s/", (int)(slash - path), path);
        file->name = file->path + (slash - path) + 1;
    }
    file->directory = inotify_add_watch(
        watch->fd, file->directory_path,
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR);
    if (file->directory < 0)
        syswarn("changes of %s are not seen: %s", path, file->directory_path);
    (void)file_look(file, &file->device, &file->inode); /* else zeroes */
}

void
watch_set(struct watch *watch, const char *const *files, size_t count)
{
    struct watched_file *before = watch->files;
    size_t before_count = watch->count;

    if (watch->fd < 0)
        return;
    event_del(watch->quiet);
    watch->files = xcalloc(2 * count, sizeof(*watch->files));
    watch->count = 0;
    for (size_t i = 0; i < count; i++) {
        char *target = realpath(files[i], NULL);

        file_watch(watch, &watch->files[watch->count++], files[i]);
        if (target != NULL && strcmp(target, files[i]) != 0)
            file_watch(watch, &watch->files[watch->count++], target);
        free(target);
    }
    files_forget(watch, before, before_count);
}
