/*
 * watch -- the files of the configuration, those with certificates and keys
 * among them, watched for a finished change.
 *
 * An editor that saves, a tool that renames a new file over the old one, or
 * makes a symbolic link anew that leads elsewhere (certbot): in
 * WATCH_QUIET_SECONDS after the last of these the function is called, once.  A
 * file that is still open for writing is nobody's news.  The directories are
 * watched, not the files, since a file that was renamed away takes its watch
 * with it; and where a path is a symbolic link, the directory of what it leads
 * to as well.  Of a path that is a directory, each file in it counts, and that
 * it has gone.
 */
#ifndef INND_WATCH_H
#define INND_WATCH_H

#include <stddef.h>

struct event_base;
struct watch;

/* Several files that are saved together are one change; and who saves and then
   says "ctlinnd reload" gets the answer himself. */
enum { WATCH_QUIET_SECONDS = 1 };

typedef void watch_changed_func(void *context);

/* Where the system gives no inotify, a warning, and nothing is watched. */
struct watch *watch_new(struct event_base *base, watch_changed_func *changed,
                        void *context);
void watch_free(struct watch **watch);
/* These files, as they are now, and no others; forgets a change that was seen
   and not told yet.  The names are copied. */
void watch_set(struct watch *watch, const char *const *files, size_t count);

#endif
