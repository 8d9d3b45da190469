#include "wsbridge/metrics.h"

#include <inttypes.h>
#include <time.h>

#include "lib/buffer.h"
#include "lib/shared.h"
#include "wsbridge/bridge.h"

static void
metric_print(struct buffer *text, const char *name, const char *suffix,
             const char *kind, uint64_t value)
{
    buffer_append_format(text,
                         "# TYPE renews_%s%s %s\nrenews_%s%s %" PRIu64 "\n",
                         name, suffix, kind, name, suffix, value);
}

static unsigned
processes_count(const struct shared *shared)
{
    unsigned count = 0;

    for (unsigned i = 0; i < SHARED_SLOTS; i++)
        count += atomic_load(&shared->slots[i].pid) != 0;
    return count;
}

void
metrics_print(const struct bridge *bridge, struct buffer *text)
{
    const struct shared *shared = bridge->shared;
    char reason[SHARED_REASON_OCTETS];
    int64_t started = atomic_load(&shared->started);

    for (enum counter i = 0; i < COUNTER_COUNT; i++) {
        bool gauge = i == COUNTER_CLIENTS_NOW;

        metric_print(text, counter_name(i), gauge ? "" : "_total",
                     gauge ? "gauge" : "counter", shared_sum(shared, i));
    }
    metric_print(text, "bridge_clients_now", "", "gauge", bridge->tunnels);
    metric_print(text, "bridge_clients_served", "_total", "counter",
                 bridge->tunnels_served);
    metric_print(text, "bridge_upgrades_refused", "_total", "counter",
                 bridge->upgrades_refused);
    metric_print(text, "bridge_http_answers", "_total", "counter",
                 bridge->http_answers);
    metric_print(text, "processes", "", "gauge", processes_count(shared));
    metric_print(text, "writer_ready", "", "gauge",
                 atomic_load(&shared->writer_ready));
    metric_print(text, "store_full", "", "gauge",
                 atomic_load(&shared->store_full));
    metric_print(text, "running", "", "gauge",
                 shared_mode(shared, reason) == MODE_RUNNING);
    metric_print(text, "start_time_seconds", "", "gauge", (uint64_t)started);
}

bool
metrics_health(const struct bridge *bridge, struct buffer *text)
{
    char reason[SHARED_REASON_OCTETS];
    const char *fault = NULL;

    if (bridge->control == NULL || bridge->draining)
        fault = "the server is stopping";
    else if (atomic_load(&bridge->shared->writer_ready) == 0)
        fault = "the writer is away";
    else if (atomic_load(&bridge->shared->store_full) != 0)
        fault = "the store is full";
    else if (shared_mode(bridge->shared, reason) != MODE_RUNNING)
        fault = "the server is paused or throttled";
    buffer_append_format(text, "%s\n", fault == NULL ? "ok" : fault);
    return fault == NULL;
}
