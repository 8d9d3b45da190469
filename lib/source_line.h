/*
 * source_line -- the lines between the server and a helper program that knows
 * accounts (doc/accounts.md has the protocol for who writes one).
 *
 * A line is words parted by single spaces and ended by LF.  A word has
 * printable ASCII; any other octet, a space and "%" stand there as "%" and two
 * hexadecimal digits.
 */
#ifndef LIB_SOURCE_LINE_H
#define LIB_SOURCE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/account.h"
#include "lib/ipc.h"

struct buffer;

enum {
    SOURCE_LINE_OCTETS_MAX = 2048, /* of the helper's, with its LF */
};

/* "login ID ADDRESS NAME PASSWORD", about this request. */
void source_login_build(struct buffer *line, uint64_t id,
                        const struct ipc_login_request *request);

enum source_verdict {
    SOURCE_YES,
    SOURCE_NO,      /* another password */
    SOURCE_UNKNOWN, /* no such account */
    SOURCE_FAILED,  /* it could not find out */
};

/* "ID yes ROLE [WILDMAT]", "ID no", "ID unknown", "ID failed [WHY]". */
struct source_answer {
    uint64_t id;
    enum source_verdict verdict;
    enum account_role role; /* of SOURCE_YES */
    char
        moderates[ACCOUNT_WILDMAT_OCTETS_MAX + 1]; /* "*" where none is said */
};
/* A line without its LF.  0, or -1: it is none of these. */
int source_answer_parse(const char *line, size_t octets,
                        struct source_answer *answer_r);
/* "ready", the helper's first line. */
bool source_line_is_ready(const char *line, size_t octets);

#endif
