/*
 * admin -- the words of ctlinnd: what each takes and who carries it out.
 *
 * ctlinnd checks the number of arguments before it asks; the master, which
 * believes nobody, checks again.  Words and arguments are those of INN.
 */
#ifndef LIB_ADMIN_H
#define LIB_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;

enum admin_place {
    ADMIN_MASTER, /* needs a running server */
    ADMIN_STORE,  /* the writer's; works on a stopped server too */
    ADMIN_AUTH,   /* the auth process's; works on a stopped server too */
    ADMIN_AUTH_PASSWORD, /* the same; ctlinnd asks for a password, and sends
                            its hash as a last word beyond the arguments */
    ADMIN_HERE,          /* ctlinnd itself, with the configuration alone */
};

struct admin_word {
    const char *name;
    int arguments_min;
    int arguments_max;
    bool joined; /* the last argument is free text: words behind it join it */
    enum admin_place place;
    const char *arguments; /* for usage */
    const char *help;
};

extern const struct admin_word admin_words[];
extern const size_t admin_word_count;

/* NULL when there is none of this name. */
const struct admin_word *admin_find(const char *name);
/* Free text may come as many words: join those behind the last argument to it.
   joined holds the text then, as long as word is used.  Returns the number of
   words, the name among them. */
int admin_join(const struct admin_word *what, int words, const char **word,
               struct buffer *joined);
/* Is this number of words, the name among them, what the command takes? */
bool admin_takes(const struct admin_word *what, int words);
/* The same as ctlinnd sends it, a password's hash among them. */
bool admin_takes_sent(const struct admin_word *what, int words);
/* "usage: ctlinnd newgroup group [...]", without a newline. */
void admin_usage(const struct admin_word *word, struct buffer *text);
/* All words, a line each. */
void admin_help(struct buffer *text);

#endif
