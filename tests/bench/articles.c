/*
 * articles -- what the load generator sends: of some size in the mean, in
 * groups whose traffic follows Zipf's law, 8 % of them crossposted.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/date.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "tests/bench/load.h"

static char **groups;
static double *weights; /* running sums, the last one is 1 */
static size_t group_count;
static char now_text[DATE_OCTETS];

uint64_t
random_below(uint64_t *state, uint64_t bound)
{
    uint64_t mixed;

    *state += 0x9e3779b97f4a7c15u;
    mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (mixed ^ (mixed >> 31)) % bound;
}

void
articles_open(const struct load_options *given)
{
    char line[1024];
    double sum = 0;
    FILE *file = fopen(given->groups_file, "r");

    date_format(time(NULL), now_text);
    if (file == NULL)
        sysdie(EXIT_USAGE, "%s", given->groups_file);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0')
            continue;
        groups = xreallocarray(groups, group_count + 1, sizeof(*groups));
        groups[group_count++] = xstrdup(line);
    }
    fclose(file);
    if (group_count == 0)
        die(EXIT_USAGE, "%s: no group in it", given->groups_file);
    weights = xcalloc(group_count, sizeof(*weights));
    for (size_t i = 0; i < group_count; i++)
        weights[i] = sum += 1.0 / (double)(i + 1);
    for (size_t i = 0; i < group_count; i++)
        weights[i] /= sum;
}

static size_t
group_draw(uint64_t *state)
{
    double drawn = (double)random_below(state, 1 << 30) / (1 << 30);
    size_t low = 0, high = group_count - 1;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (weights[middle] < drawn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void
article_id(uint64_t number, struct buffer *id)
{
    buffer_append_format(id, "<bench.%u.%llu@load.example>",
                         load_options()->seed, (unsigned long long)number);
}

/* A body of about that many octets, lines of 72, ".CRLF" behind it. */
static void
body_make(uint64_t *state, size_t octets, struct buffer *wire)
{
    static const char text[] = "The quick brown fox of the seventh network "
                               "jumps over the lazy newsreader";

    while (octets > 0) {
        size_t length = octets < 72 ? octets : 72;

        buffer_append(wire, text, length < 6 ? length : length - 6);
        buffer_append_format(wire, "%05x\r\n",
                             (unsigned)random_below(state, 0xfffff));
        octets -= length;
    }
    buffer_append_text(wire, ".\r\n");
}

void
article_make(uint64_t number, bool posted, struct buffer *wire)
{
    uint64_t state = number * 2654435761u + load_options()->seed;
    size_t group = group_draw(&state);
    /* Sizes spread about the mean: half of it to one and a half. */
    size_t octets = load_options()->octets / 2
                    + random_below(&state, load_options()->octets + 1);

    if (!posted)
        buffer_append_text(wire, "Path: feeder.load.example!not-for-mail\r\n");
    buffer_append_format(wire,
                         "From: Poster %u <poster%u@load.example>\r\n"
                         "Newsgroups: %s",
                         (unsigned)random_below(&state, 5000),
                         (unsigned)random_below(&state, 5000), groups[group]);
    if (random_below(&state, 100) < 8)
        buffer_append_format(wire, ",%s", groups[(group + 1) % group_count]);
    buffer_append_format(wire,
                         "\r\nSubject: Re: on the measuring of news servers, "
                         "part %u of a long thread\r\n"
                         "Date: %s\r\nMessage-ID: ",
                         (unsigned)random_below(&state, 1000), now_text);
    article_id(number, wire);
    if (number > 3)
        buffer_append_format(
            wire,
            "\r\nReferences: <bench.%u.%llu@load.example>"
            "\r\n <bench.%u.%llu@load.example>",
            load_options()->seed, (unsigned long long)number - 2,
            load_options()->seed, (unsigned long long)number - 1);
    buffer_append_text(wire, "\r\nMIME-Version: 1.0\r\nContent-Type: "
                             "text/plain; charset=utf-8\r\n\r\n");
    body_make(&state, octets, wire);
}
