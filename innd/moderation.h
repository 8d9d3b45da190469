/*
 * moderation -- the process that mails posts to moderators (innd
 * --role=moderation).
 *
 * An unapproved post to a moderated newsgroup is a SUBMISSION record in the
 * log before its poster hears 240 (storage/spool.h).  This process reads the
 * log by a cursor of its own, copies each one into its queue, and only then
 * moves on; from the queue it is mailed by the configured command.  So a post
 * is mailed at least once, whoever dies when: twice, where the process dies
 * between the command's end and its note of it.
 *
 * It runs where the configuration says who moderates (moderators or
 * moderatormailer), as the server's user and with nothing else of the server's
 * but the spool, which it reads.  Since it runs a mail program, which may need
 * its set-group-ID to do its work, it has no no_new_privs.
 */
#ifndef INND_MODERATION_H
#define INND_MODERATION_H

#include <stdbool.h>

struct child_arguments;
struct config;

/* Does the configuration say who moderates? */
bool moderation_is_wanted(const struct config *config);
/* Returns what the process exits with. */
int moderation_run(const struct child_arguments *arguments);

#endif
