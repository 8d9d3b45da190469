/*
 * clock-shim -- a wall clock that is wrong, or jumps, as a test says.
 *
 * CLOCK_SHIM_SECONDS (of either sign) is by how much it is wrong in whoever
 * this is preloaded into, so that articles can be of any age.
 * CLOCK_SHIM_FILE names a file of eight octets in its place: the seconds, a
 * signed number of the machine's own, which may change at any time.  It is
 * mapped before a process confines itself.  CLOCK_MONOTONIC is left alone, as
 * it is when a real clock is set.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t seconds;
static const volatile int64_t *offset = &seconds;

__attribute__((constructor)) static void
offset_map(void)
{
    const char *given = getenv("CLOCK_SHIM_SECONDS");
    const char *path = getenv("CLOCK_SHIM_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *memory;

    if (given != NULL)
        seconds = atoll(given);
    if (fd < 0)
        return;
    memory = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (memory != MAP_FAILED)
        offset = memory;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*call)(clockid_t, struct timespec *);
    int result;

    if (call == NULL)
        call = dlsym(RTLD_NEXT, "clock_gettime");
    result = call(clock, now);
    if (result == 0
        && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *offset;
    return result;
}

time_t
time(time_t *now_r)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now_r != NULL)
        *now_r = now.tv_sec;
    return now.tv_sec;
}

int
gettimeofday(struct timeval *now_r, void *zone)
{
    struct timespec now;

    (void)zone; /* nobody asks for it */
    clock_gettime(CLOCK_REALTIME, &now);
    *now_r = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}
