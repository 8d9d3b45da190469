#include "lib/clock.h"

#include <time.h>

static struct timespec
monotonic_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return now;
}

int64_t
clock_ms(void)
{
    struct timespec now = monotonic_now();

    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t
clock_ns(void)
{
    struct timespec now = monotonic_now();

    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
