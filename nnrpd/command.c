/*
 * command -- see command.h.
 */
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "lib/buffer.h"
#include "lib/command_line.h"
#include "lib/message_id.h"
#include "lib/stream.h"
#include "nnrpd/cmd.h"
#include "nnrpd/command.h"
#include "nnrpd/login.h"
#include "nnrpd/sasl.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"

enum capability {
    CAP_NONE, /* always there, or not to be told */
    CAP_READER,
    CAP_POST,
    CAP_IHAVE,
    CAP_STREAMING,
    CAP_HDR,
    CAP_OVER,
    CAP_NEWNEWS,
    CAP_LIST, /* with the keywords of its rows */
    CAP_XPAT,
    CAP_STARTTLS, /* while it can begin */
    CAP_COMPRESS, /* the same */
    CAP_AUTHINFO, /* while a login helps; with the ways that do */
    CAP_SASL,     /* the same; with the mechanisms */
};

/* In this order they are told. */
static const struct {
    enum capability capability;
    const char *text;
} capabilities[] = {
    {CAP_READER, "READER"},
    {CAP_POST, "POST"},
    {CAP_IHAVE, "IHAVE"},
    {CAP_STREAMING, "STREAMING"},
    {CAP_HDR, "HDR"},
    {CAP_OVER, "OVER MSGID"},
    {CAP_NEWNEWS, "NEWNEWS"},
    {CAP_LIST, "LIST"},
    {CAP_XPAT, "XPAT"},
    {CAP_STARTTLS, "STARTTLS"},
    {CAP_COMPRESS, "COMPRESS DEFLATE"},
    {CAP_AUTHINFO, "AUTHINFO"},
    {CAP_SASL, "SASL"},
};

struct command {
    const char *name;
    const char *keyword; /* the first argument that the row is for, or NULL */
    int min;             /* arguments, behind the keyword */
    int max;
    unsigned needs; /* rights */
    enum capability capability;
    command_func *handler;
    const char *help;
};

/* Short words for the table's columns. */
enum {
    ANY = COMMAND_WORDS_MAX,
    NONE = 0,
    READ = RIGHT_READ,
    POST = RIGHT_POST,
    FEED = RIGHT_FEED,
    NEWS = RIGHT_READ | RIGHT_NEWNEWS,
};

/* clang-format off */
static const struct command commands[] = {
    /* name         keyword          min max  needs capability
     handler, help */
    {"ARTICLE",      NULL,            0,  1,   READ, CAP_READER,
     cmd_article, "[message-ID|number]"},
    {"AUTHINFO",     "PASS",          1,  1,   NONE, CAP_NONE,
     cmd_authinfo_pass, "password"},
    {"AUTHINFO",     "SASL",          1,  2,   NONE, CAP_SASL,
     cmd_authinfo_sasl, "mechanism [initial-response]"},
    {"AUTHINFO",     "USER",          1,  1,   NONE, CAP_AUTHINFO,
     cmd_authinfo_user, "name"},
    {"BODY",         NULL,            0,  1,   READ, CAP_READER,
     cmd_body, "[message-ID|number]"},
    {"CAPABILITIES", NULL,            0,  1,   NONE, CAP_NONE,
     cmd_capabilities, "[keyword]"},
    {"CHECK",        NULL,            1,  1,   FEED, CAP_STREAMING,
     cmd_check, "message-ID"},
    {"COMPRESS",     NULL,            1,  1,   NONE, CAP_COMPRESS,
     cmd_compress, "DEFLATE"},
    {"DATE",         NULL,            0,  0,   NONE, CAP_NONE,
     cmd_date, ""},
    {"GROUP",        NULL,            1,  1,   READ, CAP_READER,
     cmd_group, "newsgroup"},
    {"HDR",          NULL,            1,  2,   READ, CAP_HDR,
     cmd_hdr, "header [message-ID|range]"},
    {"HEAD",         NULL,            0,  1,   READ, CAP_READER,
     cmd_head, "[message-ID|number]"},
    {"HELP",         NULL,            0,  0,   NONE, CAP_NONE,
     cmd_help, ""},
    {"IHAVE",        NULL,            1,  1,   FEED, CAP_IHAVE,
     cmd_ihave, "message-ID"},
    {"LAST",         NULL,            0,  0,   READ, CAP_READER,
     cmd_last, ""},
    {"LIST",         NULL,            0,  0,   READ, CAP_LIST,
     cmd_list_active, ""},
    {"LIST",         "ACTIVE",        0,  1,   READ, CAP_LIST,
     cmd_list_active, "[wildmat]"},
    {"LIST",         "ACTIVE.TIMES",  0,  1,   READ, CAP_LIST,
     cmd_list_active_times, "[wildmat]"},
    {"LIST",         "COUNTS",        0,  1,   READ, CAP_LIST,
     cmd_list_counts, "[wildmat]"},
    {"LIST",         "DISTRIB.PATS",  0,  0,   READ, CAP_LIST,
     cmd_list_distrib_pats, ""},
    {"LIST",         "DISTRIBUTIONS", 0,  0,   READ, CAP_LIST,
     cmd_list_distributions, ""},
    {"LIST",         "HEADERS",       0,  1,   READ, CAP_HDR,
     cmd_list_headers, "[MSGID|RANGE]"},
    {"LIST",         "MODERATORS",    0,  0,   READ, CAP_LIST,
     cmd_list_moderators, ""},
    {"LIST",         "MOTD",          0,  0,   READ, CAP_LIST,
     cmd_list_motd, ""},
    {"LIST",         "NEWSGROUPS",    0,  1,   READ, CAP_LIST,
     cmd_list_newsgroups, "[wildmat]"},
    {"LIST",         "OVERVIEW.FMT",  0,  0,   READ, CAP_OVER,
     cmd_list_overview_fmt, ""},
    {"LIST",         "SUBSCRIPTIONS", 0,  1,   READ, CAP_LIST,
     cmd_list_subscriptions, "[wildmat]"},
    {"LISTGROUP",    NULL,            0,  2,   READ, CAP_READER,
     cmd_listgroup, "[newsgroup [range]]"},
    {"MODE",         "READER",        0,  0,   NONE, CAP_NONE,
     cmd_mode_reader, ""},
    {"MODE",         "STREAM",        0,  0,   FEED, CAP_STREAMING,
     cmd_mode_stream, ""},
    {"NEWGROUPS",    NULL,            2,  3,   READ, CAP_READER,
     cmd_newgroups, "[yy]yymmdd hhmmss [GMT]"},
    {"NEWNEWS",      NULL,            3,  4,   NEWS, CAP_NEWNEWS,
     cmd_newnews, "wildmat [yy]yymmdd hhmmss [GMT]"},
    {"NEXT",         NULL,            0,  0,   READ, CAP_READER,
     cmd_next, ""},
    {"OVER",         NULL,            0,  1,   READ, CAP_OVER,
     cmd_over, "[message-ID|range]"},
    {"POST",         NULL,            0,  0,   POST, CAP_POST,
     cmd_post, ""},
    {"QUIT",         NULL,            0,  0,   NONE, CAP_NONE,
     cmd_quit, ""},
    {"STARTTLS",     NULL,            0,  0,   NONE, CAP_STARTTLS,
     cmd_starttls, ""},
    {"STAT",         NULL,            0,  1,   READ, CAP_READER,
     cmd_stat, "[message-ID|number]"},
    {"TAKETHIS",     NULL,            1,  1,   FEED, CAP_STREAMING,
     cmd_takethis, "message-ID"},
    {"XHDR",         NULL,            1,  2,   READ, CAP_NONE,
     cmd_xhdr, "header [message-ID|range]"},
    {"XOVER",        NULL,            0,  1,   READ, CAP_NONE,
     cmd_xover, "[range]"},
    {"XPAT",         NULL,            3,  ANY, READ, CAP_XPAT,
     cmd_xpat, "header message-ID|range pattern [pattern...]"},
};
/* clang-format on */

enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* Commands that offer articles have replies of their own to bad lines, and the
   last two overlap. */
enum offer { OFFER_NONE, OFFER_IHAVE, OFFER_CHECK, OFFER_TAKETHIS };

static enum offer
command_offer(const struct command *command)
{
    if (command == NULL)
        return OFFER_NONE;
    if (command->handler == cmd_ihave)
        return OFFER_IHAVE;
    if (command->handler == cmd_check)
        return OFFER_CHECK;
    return command->handler == cmd_takethis ? OFFER_TAKETHIS : OFFER_NONE;
}

/* Rows of one name stand together. */
static bool
command_has_keywords(const struct command *command)
{
    return command + 1 < commands + COMMANDS
           && strcmp(command[1].name, command->name) == 0;
}

/*
 * The row for a line, NULL when there is none.  *known_r: the name at least is
 * that of a command.
 */
static const struct command *
command_find(const struct command_line *line, bool *known_r)
{
    const struct command *command;

    *known_r = false;
    if (line->count == 0)
        return NULL;
    for (command = commands; command < commands + COMMANDS; command++) {
        if (strcasecmp(line->word[0], command->name) != 0)
            continue;
        *known_r = true;
        if (command->keyword != NULL
                ? line->count > 1
                      && strcasecmp(line->word[1], command->keyword) == 0
                : line->count == 1 || !command_has_keywords(command))
            return command;
    }
    return NULL;
}

bool
command_may_begin(struct session *session, const struct command_line *line)
{
    const struct command *command;
    struct message_hash hash;
    struct message_key key;
    bool known;

    command = command_find(line, &known);
    if (command_offer(command) == OFFER_IHAVE
        && session->worker->submitted_octets >= WORKER_SUBMITTED_OCTETS_MAX) {
        session->starved = true;
        session->worker->feeders_wait = true;
        return false;
    }
    if (command_offer(command) < OFFER_CHECK
        || line->fault != COMMAND_LINE_GOOD || line->count != 2)
        return session->pending.count == 0;
    if (pending_is_full(session)) {
        session->starved = true;
        session->worker->feeders_wait = true;
        return false;
    }
    if (command_offer(command) != OFFER_CHECK || session->pending.count == 0)
        return true;
    /* Asked one at a time, a CHECK behind the TAKETHIS of the same article
       hears that we have it: so it does here. */
    key = active_key(session->worker->active);
    hash = message_id_hash(&key, line->word[1], strlen(line->word[1]));
    return !pending_has_takethis(session, &hash);
}

bool
command_is_secret(const struct command_line *line)
{
    return line->count > 0 && strcasecmp(line->word[0], "AUTHINFO") == 0;
}

/* The line cannot be what its sender meant. */
static void
command_refuse(struct session *session, const struct command *command,
               const struct command_line *line, const char *text)
{
    const char *id = line->count > 1 ? line->word[1] : NULL;
    enum offer offer = command_offer(command);

    if (offer == OFFER_TAKETHIS)
        cmd_takethis_refused(session, id == NULL ? 501 : 439, id, text);
    else if (offer == OFFER_CHECK && line->fault != COMMAND_LINE_GOOD
             && id != NULL)
        session_reply_bad(session, "438 %s %s", id, text);
    else if (offer == OFFER_IHAVE && line->fault != COMMAND_LINE_GOOD)
        session_reply_bad(session, "435 %s", text);
    else
        session_reply_bad(session, "501 %s", text);
}

static const char *
fault_text(enum command_line_fault fault)
{
    switch (fault) {
    case COMMAND_LINE_LONG:
        return "Line is over 512 octets";
    case COMMAND_LINE_OCTETS:
        return "NUL or bare CR in the line";
    case COMMAND_LINE_WORD:
        return "Argument is over 497 octets";
    case COMMAND_LINE_GOOD:
        break;
    }
    return NULL;
}

/* POST has a code of its own where nothing helps. */
static void
command_deny(struct session *session, const struct command *command,
             const struct command_line *line)
{
    unsigned code = session_denial(session);

    if (command_offer(command) == OFFER_TAKETHIS)
        cmd_takethis_refused(session, code, line->word[1],
                             "Permission denied");
    else if (command->handler == cmd_post && code == 502)
        session_reply(session, "440 Posting not permitted");
    else
        session_reply(session,
                      code == 483 ? "%u Encryption is required, then a login"
                                  : "%u Permission denied",
                      code);
}

static void
command_print_syntax(const struct command *command, struct buffer *text)
{
    buffer_append_text(text, command->name);
    if (command->keyword != NULL)
        buffer_append_format(text, " %s", command->keyword);
    if (command->help[0] != '\0')
        buffer_append_format(text, " %s", command->help);
}

/* RFC 8054, 2.2.2: no more once octets are compressed. */
static bool
command_precedes_compress(const struct command *command)
{
    return command->handler == cmd_compress || command->handler == cmd_starttls
           || command->handler == cmd_mode_reader
           || strcmp(command->name, "AUTHINFO") == 0;
}

void
command_dispatch(struct session *session, const struct command_line *line)
{
    const struct command *command;
    struct arguments arguments;
    struct buffer text = BUFFER_EMPTY;
    bool known;
    int first;

    worker_count(session->worker, COUNTER_COMMANDS, 1);
    command = command_find(line, &known);
    if (line->fault != COMMAND_LINE_GOOD) {
        command_refuse(session, command, line, fault_text(line->fault));
        return;
    }
    if (command == NULL) {
        /* Nobody expects an answer to an empty line, and one would be taken
           for the answer to the next command. */
        if (line->count == 0)
            session->bad_lines++;
        else if (known)
            session_reply_bad(session, "501 Unknown or missing argument");
        else
            session_reply_bad(session, "500 Unknown command");
        return;
    }
    first = command->keyword == NULL ? 1 : 2;
    arguments = (struct arguments){line->count - first, line->word + first};
    if (arguments.count < command->min || arguments.count > command->max) {
        buffer_append_text(&text, "Syntax is: ");
        command_print_syntax(command, &text);
        command_refuse(session, command, line, text.data);
        buffer_free(&text);
        return;
    }
    session->bad_lines = 0;
    if (stream_is_compressed(session->stream)
        && command_precedes_compress(command))
        session_reply(session, "502 Not behind COMPRESS");
    else if ((command->needs & ~session->access.rights) != 0)
        command_deny(session, command, line);
    else
        command->handler(session, &arguments);
}

/* --- printed from the table --- */

static bool
command_is_offered(const struct session *session,
                   const struct command *command)
{
    return (command->needs & ~session->access.rights) == 0;
}

static bool
capability_is_offered(const struct session *session,
                      enum capability capability)
{
    size_t i;

    if (capability == CAP_STARTTLS)
        return session_may_start_tls(session);
    if (capability == CAP_COMPRESS)
        return session_may_compress(session);
    if (capability == CAP_AUTHINFO)
        return session_login_helps(session);
    if (capability == CAP_SASL)
        return session_login_helps(session) && sasl_is_offered(session);
    /* A reader server to who has to log in first, too: without the word a
       client would look for another one (INN says it, RFC 4643, 2.4.3 shows
       it). */
    if (capability == CAP_READER && session_denial(session) != 502)
        return true;
    for (i = 0; i < COMMANDS; i++)
        if (commands[i].capability == capability
            && command_is_offered(session, &commands[i]))
            return true;
    return false;
}

void
command_print_capabilities(const struct session *session, struct buffer *text)
{
    const struct command *command;
    size_t i;

    for (i = 0; i < sizeof capabilities / sizeof capabilities[0]; i++) {
        if (!capability_is_offered(session, capabilities[i].capability))
            continue;
        buffer_append_text(text, capabilities[i].text);
        if (capabilities[i].capability == CAP_AUTHINFO)
            login_print(session, text);
        if (capabilities[i].capability == CAP_SASL)
            sasl_print(session, text);
        for (command = commands; command < commands + COMMANDS; command++)
            if (capabilities[i].capability == CAP_LIST
                && command->keyword != NULL && command->capability != CAP_NONE
                && strcmp(command->name, "LIST") == 0
                && cmd_list_has(session, command->keyword))
                buffer_append_format(text, " %s", command->keyword);
        buffer_append(text, "\r\n", 2);
    }
}

void
command_print_help(struct buffer *text)
{
    const struct command *command;

    for (command = commands; command < commands + COMMANDS; command++) {
        buffer_append_text(text, "  ");
        command_print_syntax(command, text);
        buffer_append(text, "\r\n", 2);
    }
}
