#include "lib/admin.h"

#include <string.h>

#include "lib/buffer.h"

const struct admin_word admin_words[] = {
    /* name       min max joined place  arguments  help */
    {"begin", 1, 1, false, ADMIN_MASTER, "peer",
     "feed a peer again after drop, or try at once and not after the pause"},
    {"cancel", 1, 1, false, ADMIN_STORE, "message-id",
     "remove an article here; an unknown one is refused when it comes"},
    {"changegroup", 2, 2, false, ADMIN_STORE, "group flag",
     "change a group's flag: y n m j x or =group"},
    {"drop", 1, 1, false, ADMIN_MASTER, "peer",
     "feed a peer no more until begin, or until the server's next start"},
    {"feedinfo", 0, 1, false, ADMIN_MASTER, "[peer]",
     "what was offered to peers, and what became of it"},
    {"gencancel", 1, 2, false, ADMIN_HERE, "message-ID [newsgroups]",
     "print a cancel message with the admin's key"},
    {"go", 1, 1, true, ADMIN_MASTER, "reason",
     "take articles again after pause or throttle"},
    {"help", 0, 1, false, ADMIN_MASTER, "[command]", "this list"},
    {"mode", 0, 0, false, ADMIN_MASTER, "", "what the server is doing"},
    {"newgroup", 1, 4, true, ADMIN_STORE,
     "group [flag [creator [description]]]",
     "create a group, or change it where there is one"},
    {"pause", 1, 1, true, ADMIN_MASTER, "reason",
     "take no articles for a while; clients stay"},
    {"reload", 0, 2, true, ADMIN_MASTER, "[what [reason]]",
     "read renews.conf again: all of it or, where it is wrong, nothing"},
    {"rmgroup", 1, 1, false, ADMIN_STORE, "group", "remove a group"},
    {"shutdown", 1, 1, true, ADMIN_MASTER, "reason", "end the server"},
    {"status", 0, 1, false, ADMIN_MASTER, "[seconds|off]",
     "show counters, or log them every so many seconds"},
    {"throttle", 1, 1, true, ADMIN_MASTER, "reason",
     "take no articles and no feeds"},
    {"useradd", 1, 2, false, ADMIN_AUTH_PASSWORD, "name [role]",
     "make an account: reader, poster, moderator, admin or peer"},
    {"userdel", 1, 1, false, ADMIN_AUTH, "name", "remove an account"},
    {"userlist", 0, 0, false, ADMIN_AUTH, "", "all accounts"},
    {"usermod", 3, 3, false, ADMIN_AUTH, "name key value",
     "change an account: role ROLE, moderates WILDMAT, disabled yes|no, "
     "scram no"},
    {"userpasswd", 1, 1, false, ADMIN_AUTH_PASSWORD, "name",
     "give an account another password"},
};
const size_t admin_word_count = sizeof(admin_words) / sizeof(admin_words[0]);

const struct admin_word *
admin_find(const char *name)
{
    for (size_t i = 0; i < admin_word_count; i++)
        if (strcmp(admin_words[i].name, name) == 0)
            return &admin_words[i];
    return NULL;
}

int
admin_join(const struct admin_word *what, int words, const char **word,
           struct buffer *joined)
{
    int most = what->arguments_max + 1;

    if (!what->joined || words <= most)
        return words;
    for (int i = most - 1; i < words; i++) {
        if (i >= most)
            buffer_append_char(joined, ' ');
        buffer_append_text(joined, word[i]);
    }
    word[most - 1] = buffer_text(joined);
    return most;
}

bool
admin_takes(const struct admin_word *what, int words)
{
    return words - 1 >= what->arguments_min
           && words - 1 <= what->arguments_max;
}

bool
admin_takes_sent(const struct admin_word *what, int words)
{
    return admin_takes(what, words - (what->place == ADMIN_AUTH_PASSWORD));
}

void
admin_usage(const struct admin_word *word, struct buffer *text)
{
    buffer_append_format(text, "usage: ctlinnd %s%s%s", word->name,
                         word->arguments[0] != '\0' ? " " : "",
                         word->arguments);
}

void
admin_help(struct buffer *text)
{
    for (size_t i = 0; i < admin_word_count; i++) {
        const struct admin_word *word = &admin_words[i];
        size_t start = text->used;

        buffer_append_format(text, "%s %s", word->name, word->arguments);
        while (text->used - start < 24)
            buffer_append_char(text, ' ');
        buffer_append_format(text, " %s%s", word->help,
                             i + 1 < admin_word_count ? "\n" : "");
    }
}
