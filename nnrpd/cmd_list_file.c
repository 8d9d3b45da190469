/*
 * cmd_list_file -- the keywords of LIST whose answer is a file of the admin's
 * (RFC 3977, 7.6.1.1; RFC 6048, 2).
 *
 * The files came with the configuration (lib/listing.h), so a reload changes
 * what is answered.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/listing.h"
#include "lib/memory.h"
#include "lib/wildmat.h"
#include "nnrpd/cmd.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"

bool
cmd_list_has(const struct session *session, const char *keyword)
{
    const struct config *config = session->worker->config;
    const struct {
        const char *keyword;
        const struct config_file *file;
    } files[] = {
        {"DISTRIB.PATS", &config->distrib_pats},
        {"DISTRIBUTIONS", &config->distributions},
        {"MODERATORS", &config->moderators},
        {"MOTD", &config->motd},
        {"SUBSCRIPTIONS", &config->subscriptions},
    };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (strcmp(files[i].keyword, keyword) == 0)
            return files[i].file->text != NULL;
    return true;
}

/* --- a reply that is ready, on its way out --- */

struct text_work {
    struct session *session;
    struct buffer text;
    size_t sent;
};

static enum step
text_step(void *context)
{
    struct text_work *work = context;
    size_t octets = work->text.used - work->sent;

    if (octets > SESSION_OCTETS)
        octets = SESSION_OCTETS;
    session_write(work->session, work->text.data + work->sent, octets);
    work->sent += octets;
    (void)session_spend(work->session, SESSION_ROWS);
    return work->sent == work->text.used ? STEP_DONE : STEP_MORE;
}

static void
text_free(void *context)
{
    struct text_work *work = context;

    buffer_free(&work->text);
    free(work);
}

static const struct work_kind text_work_kind = {text_step, text_free};

/* --- what stands in it --- */

typedef bool line_wanted_func(const struct session *session, const char *line,
                              size_t octets, const char *wildmat);

/* A line that begins with a dot is left out: stuffing does not change what it
   means, but readers are known that do not undo it in lists. */
static void
append_lines(const struct session *session, const char *text,
             line_wanted_func *wanted, const char *wildmat,
             struct buffer *reply)
{
    const char *line;
    size_t octets, at = 0;

    while (listing_next(text, &at, &line, &octets)) {
        if (*line == '.'
            || (wanted != NULL && !wanted(session, line, octets, wildmat)))
            continue;
        buffer_append(reply, line, octets);
        buffer_append(reply, "\r\n", 2);
    }
}

/* The message is text, each line as it stands. */
static void
append_message(const char *text, struct buffer *reply)
{
    const char *line;
    size_t octets, at = 0;

    while (listing_next_line(text, &at, &line, &octets)) {
        if (octets > 0 && *line == '.')
            buffer_append_char(reply, '.');
        buffer_append(reply, line, octets);
        buffer_append(reply, "\r\n", 2);
    }
}

static void
list_file(struct session *session, const struct config_file *file,
          line_wanted_func *wanted, const char *wildmat)
{
    const struct config *config = session->worker->config;
    const char *text = file->text;
    struct text_work *work;

    /* No subscriptions are an empty list: slrn takes 503 for a connection that
       was lost, connects again, and gives up. */
    if (text == NULL && file == &config->subscriptions)
        text = "";
    if (text == NULL) {
        session_reply(session, "503 No such list is kept here");
        return;
    }
    work = xcalloc(1, sizeof *work);
    work->session = session;
    buffer_append_text(&work->text, "215 List follows\r\n");
    if (file == &config->motd)
        append_message(text, &work->text);
    else
        append_lines(session, text, wanted, wildmat, &work->text);
    buffer_append_text(&work->text, ".\r\n");
    session_begin(session, &text_work_kind, work);
}

/* --- the keywords --- */

void
cmd_list_distrib_pats(struct session *session,
                      const struct arguments *arguments)
{
    (void)arguments; /* there are none, nor in the next three */
    list_file(session, &session->worker->config->distrib_pats, NULL, NULL);
}

void
cmd_list_distributions(struct session *session,
                       const struct arguments *arguments)
{
    (void)arguments;
    list_file(session, &session->worker->config->distributions, NULL, NULL);
}

void
cmd_list_moderators(struct session *session, const struct arguments *arguments)
{
    (void)arguments;
    list_file(session, &session->worker->config->moderators, NULL, NULL);
}

void
cmd_list_motd(struct session *session, const struct arguments *arguments)
{
    (void)arguments;
    list_file(session, &session->worker->config->motd, NULL, NULL);
}

/* Groups that the client may read, and asks for. */
static bool
subscription_is_wanted(const struct session *session, const char *line,
                       size_t octets, const char *wildmat)
{
    return access_reads_group(&session->access, line, octets)
           && (wildmat == NULL
               || wildmat_match(wildmat, strlen(wildmat), line, octets));
}

void
cmd_list_subscriptions(struct session *session,
                       const struct arguments *arguments)
{
    const char *wildmat = arguments->count == 0 ? NULL : arguments->word[0];
    struct buffer why = BUFFER_EMPTY;

    if (wildmat != NULL && wildmat_check(wildmat, strlen(wildmat), &why) < 0)
        session_reply_bad(session, "501 Bad wildmat: %s", buffer_text(&why));
    else
        list_file(session, &session->worker->config->subscriptions,
                  subscription_is_wanted, wildmat);
    buffer_free(&why);
}
