/*
 * cmd_list -- LIST and its keywords (RFC 3977, 7.6; RFC 6048).
 *
 * The lists of newsgroups are walks over the table in shared memory, in order
 * of creation.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "lib/wildmat.h"
#include "nnrpd/cmd.h"
#include "nnrpd/group_list.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"

/* An empty group begins behind its end. */
static struct group_marks
group_marks_shown(const struct active *active, uint32_t group)
{
    struct group_marks marks = active_marks(active, group);

    if (marks.low == 0)
        marks.low = marks.high + 1;
    return marks;
}

static void
append_name(const struct active *active, uint32_t group, struct buffer *text)
{
    size_t octets;
    const char *name = active_name(active, group, &octets);

    buffer_append(text, name, octets);
}

static void
append_flag(const struct active *active, uint32_t group, struct buffer *text)
{
    uint32_t alias = active_alias(active, group);

    buffer_append_char(text, active_flag(active, group));
    if (alias != 0)
        append_name(active, alias, text);
    buffer_append(text, "\r\n", 2);
}

static void
append_mark(struct buffer *text, uint64_t mark, unsigned digits)
{
    buffer_append_number(text, mark, digits);
    buffer_append_char(text, ' ');
}

/* The marks as INN's active file has them. */
void
list_line_active(struct active *active, uint32_t group, struct buffer *text)
{
    struct group_marks marks = group_marks_shown(active, group);

    append_name(active, group, text);
    buffer_append_char(text, ' ');
    append_mark(text, marks.high, 10);
    append_mark(text, marks.low, 10);
    append_flag(active, group, text);
}

static void
list_line_counts(struct active *active, uint32_t group, struct buffer *text)
{
    struct group_marks marks = group_marks_shown(active, group);

    append_name(active, group, text);
    buffer_append_char(text, ' ');
    append_mark(text, marks.high, 1);
    append_mark(text, marks.low, 1);
    append_mark(text, marks.count, 1);
    append_flag(active, group, text);
}

/* Text from an admin or a control message: it must not end the line early. */
static void
append_one_line(struct buffer *text, const struct buffer *words)
{
    size_t i;

    for (i = 0; i < words->used; i++)
        buffer_append_char(text, strchr("\r\n", words->data[i]) == NULL
                                     ? words->data[i]
                                     : ' ');
}

static void
list_line_times(struct active *active, uint32_t group, struct buffer *text)
{
    struct buffer creator = BUFFER_EMPTY;
    int64_t created = active_origin(active, group, &creator, NULL);

    buffer_append_format(text, "%s %" PRId64 " ",
                         active_name(active, group, NULL), created);
    append_one_line(text, &creator);
    buffer_append(text, "\r\n", 2);
    buffer_free(&creator);
}

static void
list_line_newsgroups(struct active *active, uint32_t group,
                     struct buffer *text)
{
    struct buffer description = BUFFER_EMPTY;

    (void)active_origin(active, group, NULL, &description);
    /* A group without a description has no line (RFC 3977, 7.6.6). */
    if (description.used > 0) {
        buffer_append_format(text, "%s\t", active_name(active, group, NULL));
        append_one_line(text, &description);
        buffer_append(text, "\r\n", 2);
    }
    buffer_free(&description);
}

static void
list_command(struct session *session, const struct arguments *arguments,
             group_line_func *line)
{
    group_list_begin(session, "215 List follows",
                     arguments->count == 0 ? NULL : arguments->word[0], 0,
                     line);
}

void
cmd_list_active(struct session *session, const struct arguments *arguments)
{
    list_command(session, arguments, list_line_active);
}

void
cmd_list_active_times(struct session *session,
                      const struct arguments *arguments)
{
    list_command(session, arguments, list_line_times);
}

void
cmd_list_counts(struct session *session, const struct arguments *arguments)
{
    list_command(session, arguments, list_line_counts);
}

void
cmd_list_newsgroups(struct session *session, const struct arguments *arguments)
{
    list_command(session, arguments, list_line_newsgroups);
}

/* Readers from before RFC 3977 know the two items by their older names; who
   has sent CAPABILITIES is none of them. */
void
cmd_list_overview_fmt(struct session *session,
                      const struct arguments *arguments)
{
    (void)arguments; /* there are none */
    session_reply(session,
                  "215 Order of fields in overview\r\nSubject:\r\nFrom:\r\n"
                  "Date:\r\nMessage-ID:\r\nReferences:\r\n%s\r\nXref:full\r\n"
                  ".",
                  session->capable ? ":bytes\r\n:lines" : "Bytes:\r\nLines:");
}

/* Any header field, and two items of metadata (RFC 3977, 8.6). */
void
cmd_list_headers(struct session *session, const struct arguments *arguments)
{
    if (arguments->count > 0 && strcasecmp(arguments->word[0], "MSGID") != 0
        && strcasecmp(arguments->word[0], "RANGE") != 0)
        session_reply_bad(session, "501 Syntax is: LIST HEADERS MSGID|RANGE");
    else
        session_reply(session, "215 Field list follows\r\n:\r\n:bytes\r\n"
                               ":lines\r\n.");
}
