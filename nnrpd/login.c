/*
 * login -- see login.h.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/account.h"
#include "lib/address.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/login_link.h"
#include "lib/memory.h"
#include "lib/stream.h"
#include "nnrpd/login.h"
#include "nnrpd/sasl.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"

static bool
address_is_local(const char *address)
{
    return address_matches(address, "127.0.0.0/8")
           || address_matches(address, "::1");
}

bool
login_carries_passwords(const struct session *session)
{
    if (session_is_secure(session))
        return true;
    switch ((enum plaintext_level)session->worker->config->plaintext_login) {
    case PLAINTEXT_ALWAYS:
        return true;
    case PLAINTEXT_LOCAL:
        return session->near || address_is_local(session->address);
    case PLAINTEXT_NEVER:
        break;
    }
    return false;
}

/* Could a login grant it more, if one were possible? */
static bool
session_lacks_login(const struct session *session)
{
    return session->account.user == NULL && login_is_offered(session)
           && !stream_is_compressed(session->stream);
}

bool
session_login_helps(const struct session *session)
{
    return session_lacks_login(session)
           && (login_carries_passwords(session) || sasl_is_offered(session));
}

unsigned
session_denial(const struct session *session)
{
    if (session_login_helps(session))
        return 480;
    return session_lacks_login(session) && session_may_start_tls(session)
               ? 483
               : 502;
}

bool
login_is_offered(const struct session *session)
{
    const struct config *config = session->worker->config;

    if (atomic_load(&session->worker->shared->accounts) > 0)
        return true;
    /* Nobody knows how many there are elsewhere. */
    for (size_t i = 0; i < config->accounts_source_count; i++)
        if (strcmp(config->accounts_sources[i], "database") != 0)
            return true;
    return false;
}

void
login_print(const struct session *session, struct buffer *text)
{
    if (login_carries_passwords(session))
        buffer_append_text(text, " USER");
    if (sasl_is_offered(session))
        buffer_append_text(text, " SASL");
}

bool
login_is_possible(struct session *session)
{
    if (session->account.user != NULL)
        session_reply(session, "502 Already logged in");
    else if (!login_is_offered(session))
        session_reply(session, "502 There are no accounts here");
    else
        return true;
    return false;
}

/* --- the question: the session waits, its worker does not --- */

struct question {
    struct session *session;
    struct login_question *request; /* NULL: it has been answered */
    login_done_func *done;
};

static void
question_answered(void *context, const struct ipc_login_result *result,
                  const char *moderates)
{
    struct question *question = context;

    question->request = NULL;
    session_wake(question->session);
    question->done(question->session, result, moderates);
}

static enum step
question_step(void *context)
{
    const struct question *question = context;

    return question->request == NULL ? STEP_DONE : STEP_WAIT;
}

static void
question_free(void *context)
{
    struct question *question = context;

    login_link_forget(&question->request);
    free(question);
}

static const struct work_kind question_kind = {question_step, question_free};

static void
ask_about(struct session *session, enum ipc_login_kind kind, const char *name,
          const void *secret, size_t secret_octets, login_done_func *done)
{
    struct question *question = xcalloc(1, sizeof *question);
    struct ipc_login_request request = {
        .address = session->address,
        .kind = kind,
        .name = name,
        .name_octets = strlen(name),
        .secret = secret,
        .secret_octets = secret_octets,
    };

    question->session = session;
    question->done = done;
    session_begin(session, &question_kind, question);
    question->request = login_link_ask(session->worker->auth, &request,
                                       question_answered, question);
}

void
login_ask(struct session *session, enum ipc_login_kind kind,
          const void *secret, size_t secret_octets, login_done_func *done)
{
    ask_about(session, kind, session->login_name, secret, secret_octets, done);
}

/* --- what came of it --- */

void
login_account_free(struct login_account *account)
{
    free(account->user);
    free(account->moderates);
    *account = (struct login_account){0};
}

/* The one place. */
static void
session_become(struct session *session, char *user,
               const struct ipc_login_result *result, const char *moderates)
{
    free(session->account.moderates);
    session->account = (struct login_account){
        .user = user,
        .moderates = xstrdup(moderates),
        .role = result->role,
        .source = result->source,
        .generation = result->generation,
    };
    session_evaluate(session);
}

bool
login_accept(struct session *session, const struct ipc_login_result *result,
             const char *moderates)
{
    struct buffer why = BUFFER_EMPTY;

    session_become(session, session->login_name, result, moderates);
    session->login_name = NULL;
    if (usage_login(session, &why) == 0)
        return true;
    notice("%s: login refused: %s", session_name(session), buffer_text(&why));
    session_reply(session, "502 %s", buffer_text(&why));
    session_end(session);
    buffer_free(&why);
    return false;
}

void
login_refuse(struct session *session)
{
    free(session->login_name);
    session->login_name = NULL;
    if (++session->login_failures < LOGIN_TRIES) {
        session_reply(session, "481 Authentication failed");
        return;
    }
    session_reply(session, "481 Authentication failed too often, closing");
    session_end(session);
}

void
login_decline(struct session *session, enum ipc_login_answer answer)
{
    if (answer == LOGIN_REFUSED) {
        login_refuse(session);
        return;
    }
    free(session->login_name);
    session->login_name = NULL;
    if (answer == LOGIN_BUSY) {
        session_reply(session, "400 Too many logins at once, try later");
        session_end(session);
    } else {
        session_reply(session, "403 Logins cannot be checked at present");
    }
}

/* --- by password --- */

static void
password_answered(struct session *session,
                  const struct ipc_login_result *result, const char *moderates)
{
    if (result->answer != LOGIN_ACCEPTED) {
        login_decline(session, result->answer);
        return;
    }
    if (login_accept(session, result, moderates))
        session_reply(session, "281 Authentication accepted");
}

void
login_by_password(struct session *session, const char *password, size_t octets)
{
    const char *name = session->login_name;

    /* No account can have these; the try counts all the same. */
    if (!account_name_is_valid(name, strlen(name))
        || !password_may_be(password, octets))
        login_refuse(session);
    else
        login_ask(session, LOGIN_PASSWORD, password, octets,
                  password_answered);
}

/* --- the account has changed --- */

bool
login_is_stale(const struct session *session)
{
    return session->account.user != NULL
           && session->account.source == SOURCE_DATABASE
           && session->account.generation
                  != atomic_load(
                      &session->worker->shared->accounts_generation);
}

static void
again_answered(struct session *session, const struct ipc_login_result *result,
               const char *moderates)
{
    if (result->answer == LOGIN_ACCEPTED) {
        session_become(session, session->account.user, result, moderates);
    } else if (result->answer == LOGIN_REFUSED) {
        notice("%s: the account is no more, or disabled",
               session_name(session));
        login_account_free(&session->account);
        session_evaluate(session);
    } else {
        session_reply(session, "400 Accounts cannot be read at present");
        session_end(session);
    }
}

void
login_again(struct session *session)
{
    ask_about(session, LOGIN_AGAIN, session->account.user, "", 0,
              again_answered);
}
