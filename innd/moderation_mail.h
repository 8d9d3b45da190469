/*
 * moderation_mail -- a post as a mail to its moderator, and the command that
 * takes it.
 *
 * No shell is involved, and nothing of the post stands in the command's
 * arguments: the configured words are executed as they are, "%s" in one being
 * the moderator's address, and the mail comes on standard input.
 */
#ifndef INND_MODERATION_MAIL_H
#define INND_MODERATION_MAIL_H

#include <stddef.h>
#include <stdbool.h>
#include <sys/types.h>

struct buffer;

/*
 * Make the mail (lines end with LF): To with the address, then the post's
 * header but for what only news servers speak of (Path, Xref, Injection-Info,
 * Injection-Date: RFC 5537, 3.5.1) and for To, Cc and Bcc of the poster's,
 * then the body with its dot-stuffing undone.
 */
void moderation_mail_build(const char *post, size_t octets,
                           const char *address, struct buffer *mail);

/*
 * Start the command for a mail.  Returns its process id, and in *error_fd_r a
 * file that what it says is written to, which the caller closes; -1 with why.
 */
pid_t moderation_mail_start(const char *command, const char *address,
                            const struct buffer *mail, int *error_fd_r,
                            struct buffer *why);

/*
 * What its end means: 0 it was mailed, else why says what is wrong, as the
 * command said it or as its status does; 1 it may go later, -1 never (the
 * address or the text is refused: sendmail's EX_DATAERR, EX_NOUSER,
 * EX_NOHOST).
 */
int moderation_mail_result(int status, int error_fd, struct buffer *why);

#endif
