/*
 * metrics -- what /metrics and /healthz say.
 *
 * From the counters of lib/shared.h, which outlive the processes that count,
 * and from the bridge's own.
 */
#ifndef WSBRIDGE_METRICS_H
#define WSBRIDGE_METRICS_H

#include <stdbool.h>

struct bridge;
struct buffer;

/* The text format of Prometheus, version 0.0.4. */
void metrics_print(const struct bridge *bridge, struct buffer *text);
/* One line, "ok" or what is wrong.  True when readers and posters are
   served. */
bool metrics_health(const struct bridge *bridge, struct buffer *text);

#endif
