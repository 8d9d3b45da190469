/*
 * pull_marks -- see pull_marks.h.
 */
#include "feeder/pull_marks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/buffer.h"
#include "lib/command_line.h"
#include "lib/log.h"
#include "lib/memory.h"

struct mark {
    char *group;
    uint64_t number;
};

struct pull_marks {
    char *path;
    struct mark *marks;
    size_t count;
    bool changed;
};

static struct mark *
mark_find(const struct pull_marks *marks, const char *group)
{
    for (size_t i = 0; i < marks->count; i++)
        if (strcmp(marks->marks[i].group, group) == 0)
            return &marks->marks[i];
    return NULL;
}

uint64_t
pull_marks_get(const struct pull_marks *marks, const char *group)
{
    const struct mark *mark = mark_find(marks, group);

    return mark == NULL ? 0 : mark->number;
}

void
pull_marks_set(struct pull_marks *marks, const char *group, uint64_t number)
{
    struct mark *mark = mark_find(marks, group);

    if (mark == NULL) {
        marks->marks = xreallocarray(marks->marks, marks->count + 1,
                                     sizeof(*marks->marks));
        mark = &marks->marks[marks->count++];
        *mark = (struct mark){.group = xstrdup(group)};
    }
    marks->changed |= mark->number != number;
    mark->number = number;
}

/* A line that is none is left out, with a word. */
static void
line_take(struct pull_marks *marks, char *line)
{
    char *space = strchr(line, ' ');
    uint64_t number;

    line[strcspn(line, "\n")] = '\0';
    if (space != NULL)
        *space++ = '\0';
    if (space != NULL && article_number_parse(space, &number))
        pull_marks_set(marks, line, number);
    else
        warn("%s: a line is not \"group number\": %s", marks->path, line);
}

struct pull_marks *
pull_marks_open(const char *path, struct buffer *why)
{
    struct pull_marks *marks;
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;

    if (file == NULL && errno != ENOENT) {
        why_set_errno(why, "%s", path);
        return NULL;
    }
    marks = xcalloc(1, sizeof(*marks));
    marks->path = xstrdup(path);
    while (file != NULL && getline(&line, &room, file) > 0)
        line_take(marks, line);
    free(line);
    if (file != NULL)
        fclose(file);
    marks->changed = false;
    return marks;
}

void
pull_marks_close(struct pull_marks **marks)
{
    if (*marks == NULL)
        return;
    for (size_t i = 0; i < (*marks)->count; i++)
        free((*marks)->marks[i].group);
    free((*marks)->marks);
    free((*marks)->path);
    free(*marks);
    *marks = NULL;
}

int
pull_marks_save(struct pull_marks *marks, struct buffer *why)
{
    struct buffer text = BUFFER_EMPTY;
    int status;

    if (!marks->changed)
        return 0;
    for (size_t i = 0; i < marks->count; i++)
        buffer_append_format(&text, "%s %" PRIu64 "\n", marks->marks[i].group,
                             marks->marks[i].number);
    status = file_replace(marks->path, &text, why);
    marks->changed = status < 0;
    buffer_free(&text);
    return status;
}
