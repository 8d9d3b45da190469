/*
 * place -- where the server lives: its directories, its pid file, its user.
 *
 * What root must do comes first, and afterwards nothing is done as root.
 */
#ifndef INND_PLACE_H
#define INND_PLACE_H

#include <stddef.h>

struct buffer;
struct config;

/*
 * Make the directories that are missing, for the user the server becomes.
 * Dies (EXIT_IO, for pathrun EXIT_SYSTEM; EXIT_CONFIG where there is no such
 * user) in one line.
 */
void place_make(const struct config *config);
/* Dies with EXIT_SYSTEM when another innd lives at pathrun. */
void place_check_other(const struct config *config);
/* Allow as many descriptors as the system gives; says when they are few. */
void place_raise_limits(const struct config *config);
/* Become runasuser for good; does nothing where we are not root. */
void place_drop_privileges(const struct config *config);
/* Dies with EXIT_IO when we, as who we are now, cannot write there. */
void place_check(const struct config *config);
/* Take the pid file: a descriptor that holds its lock while we live. */
int place_claim(const struct config *config);
/* Remove it and the sockets; closes the descriptor. */
void place_leave(const struct config *config, int pid_fd);

#endif
