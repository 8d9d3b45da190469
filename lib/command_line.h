/*
 * command_line -- one line of NNTP as a client sends it (RFC 3977, 3.1): where
 * it ends, its words, and what a number and a range are.
 *
 * This knows no command and no session; it is fuzzed alone.  A line ends with
 * CRLF, and a bare LF is tolerated.  It has at most 512 octets with its end.
 */
#ifndef LIB_COMMAND_LINE_H
#define LIB_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COMMAND_LINE_OCTETS_MAX = 512, /* RFC 3977, 3.1; CRLF included */
    COMMAND_ARGUMENT_OCTETS_MAX = 497,
    /* Who sends so much without an end speaks no NNTP. */
    COMMAND_LINE_ENDLESS_OCTETS = 8 * 1024,
    COMMAND_WORDS_MAX = COMMAND_LINE_OCTETS_MAX / 2,
};

enum command_line_fault {
    COMMAND_LINE_GOOD,
    COMMAND_LINE_LONG,   /* over 512 octets: the first ones are in text */
    COMMAND_LINE_OCTETS, /* a NUL or a bare CR: text is before it */
    COMMAND_LINE_WORD,   /* an argument over 497 octets */
};

struct command_line {
    char text[COMMAND_LINE_OCTETS_MAX + 1]; /* each word ended by NUL */
    int count;                              /* words; 0: an empty line */
    char *word[COMMAND_WORDS_MAX];          /* into text */
    enum command_line_fault fault;
};

/*
 * How long the first line in octets is, its end included.  0 when its end has
 * not come yet; COMMAND_LINE_ENDLESS_OCTETS without an end is a line that
 * never will.
 */
size_t command_line_octets(const char *octets, size_t length);
/*
 * Take a line apart, as command_line_octets() measured it.  Words are what
 * spaces and tabs keep apart.  A faulty line has those words that could be
 * read, so that the answer can name the message-ID it is about.
 */
void command_line_parse(struct command_line *line, const char *octets,
                        size_t length);

/*
 * 1 to 16 digits (RFC 3977, 9.8) and nothing else.  A number that no article
 * can have parses: no article has it.
 */
bool article_number_parse(const char *text, uint64_t *number_r);
/*
 * "5", "5-" or "5-9" (RFC 3977, 9.8); an open end is UINT64_MAX, and 9-5 is
 * good and empty.
 */
bool article_range_parse(const char *text, uint64_t *low_r, uint64_t *high_r);

#endif
