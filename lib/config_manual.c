/* The table of keys as text: the manual page, the commented sample. */
#include "lib/config.h"

#include <string.h>

#include "lib/buffer.h"
#include "lib/config_table.h"

/* "-" would become a hyphen, and "." or "'" at a line's start a request. */
static void
roff_text(const char *text, struct buffer *roff)
{
    for (; *text != '\0'; text++) {
        if (*text == '-' || *text == '\\')
            buffer_append_char(roff, '\\');
        buffer_append_char(roff, *text == '\\' ? 'e' : *text);
    }
}

static void
row_default(const struct config_row *row, struct buffer *text)
{
    char object[sizeof(struct config) > sizeof(struct config_peer)
                    ? sizeof(struct config)
                    : sizeof(struct config_peer)] __attribute__((aligned(16)));

    memset(object, 0, sizeof(object));
    config_row_set_fallback(row, object);
    config_row_print(row, object, text);
    config_row_free(row, object);
}

static void
rows_manual(const struct config_row *rows, size_t count, struct buffer *roff)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer text = BUFFER_EMPTY;

        buffer_append_format(roff, ".TP\n.B %s\n", rows[i].name);
        roff_text(rows[i].text, roff);
        buffer_append_text(roff, "\nExpected: ");
        config_row_expected(&rows[i], &text);
        roff_text(buffer_text(&text), roff);
        buffer_append_text(roff, ".\nDefault: ");
        buffer_clear(&text);
        row_default(&rows[i], &text);
        roff_text(buffer_text(&text), roff);
        buffer_append_text(roff, ".\n");
        if (rows[i].restart)
            buffer_append_text(roff, "A change needs a restart.\n");
        buffer_free(&text);
    }
}

void
config_print_manual(struct buffer *roff)
{
    buffer_append_text(roff, ".SS \"At the top\"\n");
    rows_manual(config_rows, config_row_count, roff);
    buffer_append_text(roff, ".SS \"In a section peer \"\"NAME\"\" {...}\"\n");
    rows_manual(config_peer_rows, config_peer_row_count, roff);
    buffer_append_text(roff,
                       ".SS \"In a section access \"\"NAME\"\" {...}\"\n");
    rows_manual(config_access_rows, config_access_row_count, roff);
    buffer_append_text(roff,
                       ".SS \"In a section expire \"\"WILDMAT\"\" {...}\"\n");
    rows_manual(config_expire_rows, config_expire_row_count, roff);
    buffer_append_text(
        roff, ".SS \"In a section certificate \"\"NAME\"\" {...}\"\n");
    rows_manual(config_certificate_rows, config_certificate_row_count, roff);
}

/* A comment of at most 76 columns, broken at spaces. */
static void
sample_comment(const char *indent, const char *text, struct buffer *sample)
{
    size_t room = 74 - strlen(indent);

    while (*text != '\0') {
        size_t length = strlen(text);

        if (length > room) {
            length = room;
            while (length > 0 && text[length] != ' ')
                length--;
        }
        buffer_append_format(sample, "%s# %.*s", indent, (int)length, text);
        /* Two spaces between sentences may be where the line breaks. */
        while (sample->data[sample->used - 1] == ' ')
            sample->data[--sample->used] = '\0';
        buffer_append_char(sample, '\n');
        text += length;
        text += strspn(text, " ");
    }
}

static void
rows_sample(const char *indent, const struct config_row *rows, size_t count,
            struct buffer *sample)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer text = BUFFER_EMPTY;

        buffer_append_text(&text, rows[i].text);
        buffer_append_text(&text, "  Expected: ");
        config_row_expected(&rows[i], &text);
        buffer_append_text(
            &text, rows[i].restart ? ".  A change needs a restart." : ".");
        sample_comment(indent, buffer_text(&text), sample);
        buffer_append_format(sample, "%s#%s = ", indent, rows[i].name);
        row_default(&rows[i], sample);
        buffer_append_text(sample, "\n\n");
        buffer_free(&text);
    }
}

void
config_print_sample(struct buffer *text)
{
    buffer_append_text(
        text,
        "# renews.conf -- all keys with their defaults; see renews.conf(5).\n"
        "#\n"
        "# A value may come from the environment: ${NAME}.  Another file is\n"
        "# read in place by include(\"FILE\").  Check with \"innd -n\".\n\n");
    rows_sample("", config_rows, config_row_count, text);
    buffer_append_text(
        text, "# Who feeds us, whom we feed: one section for each peer.\n"
              "#peer 'news.example.net' {\n");
    rows_sample("    ", config_peer_rows, config_peer_row_count, text);
    buffer_append_text(
        text, "#}\n\n"
              "# Who may do what, by address and account; of several sections "
              "for one\n# client the last decides.\n"
              "#access 'staff' {\n");
    rows_sample("    ", config_access_rows, config_access_row_count, text);
    buffer_append_text(
        text,
        "#}\n\n"
        "# How long articles stay, by newsgroup: the last section whose\n"
        "# wildmat matches decides; where none does they stay for ever.\n"
        "# See expire(8).\n"
        "#expire '*' {\n");
    rows_sample("    ", config_expire_rows, config_expire_row_count, text);
    buffer_append_text(text, "#}\n\n"
                             "# A further certificate of ours, beside "
                             "tlscertfile.\n"
                             "#certificate 'news.example.org' {\n");
    rows_sample("    ", config_certificate_rows, config_certificate_row_count,
                text);
    buffer_append_text(text, "#}\n");
}
