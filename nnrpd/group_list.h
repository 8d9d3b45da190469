/*
 * group_list -- a long reply with a line for each newsgroup: LIST, NEWGROUPS.
 */
#ifndef NNRPD_GROUP_LIST_H
#define NNRPD_GROUP_LIST_H

#include <stdbool.h>
#include <stdint.h>

struct access;
struct active;
struct buffer;
struct session;

/* Append the group's line with its CRLF, or nothing. */
typedef void group_line_func(struct active *active, uint32_t group,
                             struct buffer *text);

/* "name high low flag" */
group_line_func list_line_active;

/* Is there such a line at all for one who may read this? */
bool group_list_names(const struct active *active, const struct access *access,
                      uint32_t group);

/*
 * Reply with first and the lines of all living groups that match wildmat
 * (NULL: all) and were created at or after since (0: whenever).  A wildmat
 * that is none is answered 501.
 */
void group_list_begin(struct session *session, const char *first,
                      const char *wildmat, int64_t since,
                      group_line_func *line);

#endif
