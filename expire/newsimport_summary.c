#include "expire/newsimport_summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/log.h"

/* A million refusals for one reason help nobody. */
enum { TOLD_MAX = 20 };

static void
complain(struct summary *summary, const char *what, const char *name,
         const char *why)
{
    if (summary->quiet || summary->told > TOLD_MAX)
        return;
    if (summary->told++ == TOLD_MAX)
        warn("more of these are only counted");
    else
        warn("%s: %s: %s", name, what, why);
}

/* "1000500 octets, and ..." of two articles are one reason. */
static void
reason_append(struct buffer *text, const char *why)
{
    for (; *why != '\0'; why++) {
        if (!ascii_is_digit(*why))
            buffer_append_char(text, *why);
        else if (!ascii_is_digit(why[1]))
            buffer_append_char(text, 'N');
    }
}

static void
reason_count(struct summary *summary, const char *why)
{
    struct buffer text = BUFFER_EMPTY;
    size_t i = 0;

    reason_append(&text, why);
    while (i < summary->reason_count
           && strcmp(summary->reasons[i].text, buffer_text(&text)) != 0)
        i++;
    if (i == SUMMARY_REASONS) {
        summary->others++;
    } else {
        if (i == summary->reason_count)
            summary->reasons[summary->reason_count++].text =
                buffer_take(&text);
        summary->reasons[i].count++;
    }
    buffer_free(&text);
}

void
summary_refused(struct summary *summary, const char *name, const char *why)
{
    if (*why == '\0')
        why = "no reason given";
    summary->refused++;
    reason_count(summary, why);
    complain(summary, "refused", name, why);
}

void
summary_unreadable(struct summary *summary, const char *name, const char *why)
{
    summary->unreadable++;
    complain(summary, "unreadable", name, why);
}

void
summary_print(const struct summary *summary, double seconds)
{
    uint64_t decided = summary->stored + summary->duplicate + summary->refused
                       + summary->unreadable;

    printf("%-12s %10" PRIu64 "   in %.1f s, %.0f/s\n", "read", summary->read,
           seconds, seconds > 0 ? (double)summary->read / seconds : 0);
    printf("%-12s %10" PRIu64 "\n", "stored", summary->stored);
    printf("%-12s %10" PRIu64 "\n", "duplicate", summary->duplicate);
    printf("%-12s %10" PRIu64 "\n", "refused", summary->refused);
    for (size_t i = 0; i < summary->reason_count; i++)
        printf("    %10" PRIu64 "  %s\n", summary->reasons[i].count,
               summary->reasons[i].text);
    if (summary->others > 0)
        printf("    %10" PRIu64 "  other reasons\n", summary->others);
    printf("%-12s %10" PRIu64 "\n", "unreadable", summary->unreadable);
    if (summary->read > decided)
        printf("%-12s %10" PRIu64 "\n", "undecided", summary->read - decided);
    if (summary->groups_created > 0)
        printf("%-12s %10" PRIu64 "\n", "newsgroups", summary->groups_created);
    fflush(stdout);
}

void
summary_free(struct summary *summary)
{
    for (size_t i = 0; i < summary->reason_count; i++)
        free(summary->reasons[i].text);
    summary->reason_count = 0;
}
