/*
 * gencancel -- a cancel message with the admin's key (RFC 8315), to be posted
 * or fed wherever the article that it is about may be.
 */
#ifndef CTLINND_GENCANCEL_H
#define CTLINND_GENCANCEL_H

struct buffer;
struct config;

/*
 * word[1]: the article's message-ID; word[2], where there is one: the
 * newsgroups, else control.cancel.  Reads the secret itself, whether a server
 * runs or not.  0 with the message in answer, lines ending with LF; -1 with
 * the reason.
 */
int gencancel(struct config *config, int words, const char *const *word,
              struct buffer *answer);

#endif
