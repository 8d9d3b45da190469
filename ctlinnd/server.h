/*
 * server -- one question to the running server, by PATHRUN/control.
 */
#ifndef CTLINND_SERVER_H
#define CTLINND_SERVER_H

struct buffer;
struct config;

enum { SERVER_NOT_RUNNING = -1 };

/*
 * Ask, and wait at most timeout_ms (-1: for ever).  Returns the exit status
 * that the server names, or EXIT_TEMPORARY or EXIT_PERMISSION, with the text
 * in answer; SERVER_NOT_RUNNING when nobody is there to ask.
 */
int server_ask(const struct config *config, int words, const char *const *word,
               int timeout_ms, struct buffer *answer);

#endif
