/*
 * pull_marks -- how far each group has been pulled: a file with a line for
 * each, "group number".
 */
#ifndef FEEDER_PULL_MARKS_H
#define FEEDER_PULL_MARKS_H

#include <stdint.h>

struct buffer;
struct pull_marks;

/* Reads the file where there is one.  NULL with why. */
struct pull_marks *pull_marks_open(const char *path, struct buffer *why);
void pull_marks_close(struct pull_marks **marks);
/* The last number that is done, 0 when there is none. */
uint64_t pull_marks_get(const struct pull_marks *marks, const char *group);
void pull_marks_set(struct pull_marks *marks, const char *group,
                    uint64_t number);
/* Write the file when something has changed.  0 or -1 with why. */
int pull_marks_save(struct pull_marks *marks, struct buffer *why);

#endif
