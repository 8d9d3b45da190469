/*
 * admin_master -- the words of ctlinnd that the master carries out itself.
 */
#ifndef INND_ADMIN_MASTER_H
#define INND_ADMIN_MASTER_H

struct admin_word;
struct buffer;
struct master;

/* A control_func (innd/control.h); context is the struct master. */
unsigned admin_master(void *context, const struct admin_word *what, int words,
                      const char *const *word, struct buffer *answer);

/* Uptime, mode, each process, groups, articles, sums. */
void admin_print_status(const struct master *master, struct buffer *text);
/* The same in one line, for the log. */
void admin_print_report(const struct master *master, struct buffer *text);

#endif
