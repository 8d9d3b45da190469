/*
 * command -- the table of commands, and who calls their handlers.
 *
 * The dispatcher answers 500, 501, 480 and 502 from the table's columns, so a
 * handler begins where its own work begins; CAPABILITIES and HELP are printed
 * from the same table.
 */
#ifndef NNRPD_COMMAND_H
#define NNRPD_COMMAND_H

#include <stdbool.h>

struct buffer;
struct command_line;
struct session;

/* What stands behind the command's name (and keyword), each a C string. */
struct arguments {
    int count;
    char *const *word;
};
typedef void command_func(struct session *session,
                          const struct arguments *arguments);

/* May this line be taken now, or must it wait for replies that are pending
   (only CHECK and TAKETHIS overlap)?  Whoever resolves them wakes the
   session. */
bool command_may_begin(struct session *session,
                       const struct command_line *line);
/* Is there a password in it, that nobody may find in memory later? */
bool command_is_secret(const struct command_line *line);
/* Answer the line, or begin to. */
void command_dispatch(struct session *session,
                      const struct command_line *line);

/* Multi-line text for 101 and 100, for what this session may do, without the
   dot at the end. */
void command_print_capabilities(const struct session *session,
                                struct buffer *text);
void command_print_help(struct buffer *text);

#endif
