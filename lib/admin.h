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

/* The name and its arguments. */
enum { ADMIN_WORDS_MAX = 8 };

enum admin_place {
    ADMIN_MASTER, /* needs a running server */
    ADMIN_STORE,  /* the writer's; works on a stopped server too */
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
/* "usage: ctlinnd newgroup group [...]", without a newline. */
void admin_usage(const struct admin_word *word, struct buffer *text);
/* All words, a line each. */
void admin_help(struct buffer *text);

#endif
