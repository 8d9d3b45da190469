/*
 * clock-shim -- sets the wall clock of whoever it is preloaded into by
 * CLOCK_SHIM_SECONDS (of either sign), so that articles can be of any age.
 * The monotonic clock goes on as it is.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static time_t
shift(void)
{
    const char *seconds = getenv("CLOCK_SHIM_SECONDS");

    return seconds != NULL ? (time_t)atoll(seconds) : 0;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*call)(clockid_t, struct timespec *);
    int result;

    if (call == NULL)
        call = dlsym(RTLD_NEXT, "clock_gettime");
    result = call(clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += shift();
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
