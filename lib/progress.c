#include "lib/progress.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/memory.h"

enum {
    BAR_COLUMNS = 30,
    TERMINAL_INTERVAL_MS = 100,
    LOG_INTERVAL_MS = 5000,
};

struct progress {
    char *what;
    char *unit;
    uint64_t total;
    uint64_t done;
    int64_t started_ms;
    int64_t drawn_ms;
    bool terminal;
};

struct progress *
progress_new(const char *what, const char *unit, uint64_t total)
{
    struct progress *progress = xcalloc(1, sizeof(*progress));

    progress->what = xstrdup(what);
    progress->unit = xstrdup(unit);
    progress->total = total;
    progress->terminal = isatty(STDERR_FILENO) != 0;
    progress->started_ms = clock_ms();
    progress->drawn_ms = progress->started_ms;
    return progress;
}

void
progress_set_total(struct progress *progress, uint64_t total)
{
    progress->total = total;
}

static void
bar_draw(const struct progress *progress)
{
    uint64_t done =
        progress->done < progress->total ? progress->done : progress->total;
    int filled = (int)((double)done / (double)progress->total * BAR_COLUMNS);

    fputs(" [", stderr);
    for (int i = 0; i < BAR_COLUMNS; i++)
        fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr, "] %3.0f%%", (double)done / (double)progress->total * 100);
}

/* One line: what, how far, how many, how fast, how long yet. */
static void
line_draw(struct progress *progress, bool last)
{
    double seconds = (double)(clock_ms() - progress->started_ms) / 1000;
    double rate = seconds > 0 ? (double)progress->done / seconds : 0;

    if (progress->terminal)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "%s:", progress->what);
    if (progress->terminal && progress->total > 0)
        bar_draw(progress);
    fprintf(stderr, " %" PRIu64, progress->done);
    if (progress->total > 0)
        fprintf(stderr, " of %" PRIu64, progress->total);
    fprintf(stderr, " %s, %.0f/s", progress->unit, rate);
    if (last)
        fprintf(stderr, ", %.1f s", seconds);
    else if (rate > 0 && progress->total > progress->done)
        fprintf(stderr, ", %.0f s left",
                (double)(progress->total - progress->done) / rate);
    if (last || !progress->terminal)
        fputc('\n', stderr);
    fflush(stderr);
}

void
progress_update(struct progress *progress, uint64_t done)
{
    int64_t now = clock_ms();

    progress->done = done;
    if (now - progress->drawn_ms
        < (progress->terminal ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS))
        return;
    progress->drawn_ms = now;
    line_draw(progress, false);
}

void
progress_end(struct progress **progress)
{
    struct progress *old = *progress;

    if (old == NULL)
        return;
    line_draw(old, true);
    free(old->what);
    free(old->unit);
    free(old);
    *progress = NULL;
}
