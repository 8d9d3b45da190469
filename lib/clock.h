/*
 * clock -- time that only goes forward (CLOCK_MONOTONIC): for deadlines and
 * for how long something took, never for dates.
 */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);
uint64_t clock_ns(void);

#endif
