#include "lib/source_line.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"

enum { WORDS = 4 };

static void
word_append(struct buffer *line, const char *octets, size_t length)
{
    buffer_append_char(line, ' ');
    for (size_t i = 0; i < length; i++) {
        unsigned char octet = (unsigned char)octets[i];

        if (octet > ' ' && octet <= '~' && octet != '%')
            buffer_append_char(line, (char)octet);
        else
            buffer_append_format(line, "%%%02X", octet);
    }
}

void
source_login_build(struct buffer *line, uint64_t id,
                   const struct ipc_login_request *request)
{
    /* At once, for a buffer that grows leaves copies behind. */
    (void)buffer_reserve(
        line, 64 + strlen(request->address)
                  + 3 * (request->name_octets + request->secret_octets));
    buffer_append_format(line, "login %" PRIu64, id);
    word_append(line, request->address, strlen(request->address));
    word_append(line, request->name, request->name_octets);
    word_append(line, request->secret, request->secret_octets);
    buffer_append_char(line, '\n');
}

/* Up to four words; the last has the rest of the line. */
struct words {
    int count;
    char *word[WORDS];
};

static void
words_split(char *text, struct words *words)
{
    words->count = 0;
    while (words->count < WORDS) {
        char *space = strchr(text, ' ');

        words->word[words->count++] = text;
        if (space == NULL || words->count == WORDS)
            return;
        *space = '\0';
        text = space + 1;
    }
}

static bool
id_parse(const char *text, uint64_t *id_r)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 18 || text[digits] != '\0')
        return false;
    *id_r = strtoull(text, NULL, 10);
    return true;
}

static int
yes_parse(const struct words *words, struct source_answer *answer)
{
    const char *moderates = words->count > 3 ? words->word[3] : "*";

    if (words->count < 3
        || (answer->role = account_role_find(words->word[2])) == 0
        || !account_wildmat_is_valid(moderates))
        return -1;
    memcpy(answer->moderates, moderates, strlen(moderates) + 1);
    return 0;
}

int
source_answer_parse(const char *line, size_t octets,
                    struct source_answer *answer_r)
{
    char text[SOURCE_LINE_OCTETS_MAX];
    struct words words;

    *answer_r = (struct source_answer){.moderates = ""};
    if (octets >= sizeof(text) || memchr(line, '\0', octets) != NULL)
        return -1;
    memcpy(text, line, octets);
    text[octets] = '\0';
    words_split(text, &words);
    if (words.count < 2 || !id_parse(words.word[0], &answer_r->id))
        return -1;
    if (strcmp(words.word[1], "yes") == 0)
        return yes_parse(&words, answer_r);
    if (strcmp(words.word[1], "failed") == 0)
        answer_r->verdict = SOURCE_FAILED;
    else if (words.count > 2)
        return -1;
    else if (strcmp(words.word[1], "no") == 0)
        answer_r->verdict = SOURCE_NO;
    else if (strcmp(words.word[1], "unknown") == 0)
        answer_r->verdict = SOURCE_UNKNOWN;
    else
        return -1;
    return 0;
}

bool
source_line_is_ready(const char *line, size_t octets)
{
    return octets == 5 && memcmp(line, "ready", 5) == 0;
}
