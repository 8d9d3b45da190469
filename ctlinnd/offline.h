/*
 * offline -- a command of the store's, or about accounts, while no server
 * runs.
 */
#ifndef CTLINND_OFFLINE_H
#define CTLINND_OFFLINE_H

struct buffer;
struct config;

/*
 * Open the store, which waits a moment for another holder of its lock, carry
 * the command out, close it.  0 with the answer, or -1 with the reason in
 * answer.  Root becomes the server's user first (lib/user.h).
 */
int offline_command(const struct config *config, int words,
                    const char *const *word, struct buffer *answer);

/* The same for a word about accounts (lib/account.h). */
int offline_accounts(const struct config *config, int words,
                     const char *const *word, struct buffer *answer);

#endif
