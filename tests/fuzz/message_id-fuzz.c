/*
 * Message-IDs against their grammar as a regular expression; newsgroups' names
 * and mailboxes along with them, which only must not crash.
 */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mailbox.h"
#include "lib/message_id.h"
#include "lib/newsgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 5322, 3.2.3. */
#define ATEXT    "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define DOT_ATOM ATEXT "(\\." ATEXT ")*"

static regex_t valid;
static regex_t strict;

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static void
compile(void)
{
    static bool compiled;

    if (compiled)
        return;
    compiled = true;
    must(regcomp(&valid, "^<[!-;=?-~]{1,248}>$", REG_EXTENDED | REG_NOSUB)
         == 0);
    must(regcomp(&strict,
                 "^<" DOT_ATOM "@(" DOT_ATOM "|\\[[!-;=?-Z^-~]*\\])>$",
                 REG_EXTENDED | REG_NOSUB)
         == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    const char *name;
    size_t octets;
    size_t at = 0;
    bool is_valid;

    compile();
    must(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    is_valid = message_id_is_valid(copy, size);
    must(is_valid
         == (strlen(copy) == size && regexec(&valid, copy, 0, NULL, 0) == 0));
    must(message_id_is_strict(copy, size)
         == (is_valid && regexec(&strict, copy, 0, NULL, 0) == 0));

    while (newsgroups_next(copy, size, &at, &name, &octets)) {
        must(octets > 0 && name >= copy && name + octets <= copy + size);
        if (newsgroup_is_creatable(name, octets))
            must(newsgroup_is_valid(name, octets));
    }
    (void)mailbox_list_is_valid(copy, size);
    free(copy);
    return 0;
}
