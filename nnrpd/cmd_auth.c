/*
 * cmd_auth -- AUTHINFO USER and PASS (RFC 4643, 2.3).
 *
 * A session has logged in when the auth process has said so, and by nothing
 * else: login_accepted() is the one place.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/account.h"
#include "lib/address.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/stream.h"
#include "nnrpd/auth_link.h"
#include "nnrpd/cmd.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"

enum { LOGIN_TRIES = 5 }; /* wrong ones in a session */

static bool
address_is_local(const char *address)
{
    return address_matches(address, "127.0.0.0/8")
           || address_matches(address, "::1");
}

/* May a password cross this connection? */
static bool
session_carries_passwords(const struct session *session)
{
    if (session_is_secure(session))
        return true;
    switch ((enum plaintext_level)session->worker->config->plaintext_login) {
    case PLAINTEXT_ALWAYS:
        return true;
    case PLAINTEXT_LOCAL:
        return address_is_local(session->address);
    case PLAINTEXT_NEVER:
        break;
    }
    return false;
}

/* Could a login grant it more, if passwords may cross the connection? */
static bool
session_lacks_login(const struct session *session)
{
    return session->access.user == NULL
           && !stream_is_compressed(session->stream)
           && atomic_load(&session->worker->shared->accounts) > 0;
}

bool
session_login_helps(const struct session *session)
{
    return session_lacks_login(session) && session_carries_passwords(session);
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

/* False: the reply has gone. */
static bool
login_is_possible(struct session *session)
{
    if (session->access.user != NULL)
        session_reply(session, "502 Already logged in");
    else if (!session_carries_passwords(session))
        session_reply(session, "483 Encryption is required for a login");
    else if (atomic_load(&session->worker->shared->accounts) == 0)
        session_reply(session, "502 There are no accounts here");
    else
        return true;
    return false;
}

void
cmd_authinfo_user(struct session *session, const struct arguments *arguments)
{
    if (!login_is_possible(session))
        return;
    free(session->login_name);
    session->login_name = xstrdup(arguments->word[0]);
    session_reply(session, "381 Password required");
}

/* --- PASS: the session waits, its worker does not --- */

struct login_work {
    struct session *session;
    struct auth_request *request;
    char *name;
    bool done;
};

static void
login_accepted(struct session *session, const char *name, unsigned role)
{
    struct buffer why = BUFFER_EMPTY;

    session_set_access(session, name, role);
    /* What was selected before may not be his to read. */
    session->group = 0;
    session->number = 0;
    if (usage_login(session, &why) < 0) {
        notice("%s: login refused: %s", session_name(session),
               buffer_text(&why));
        session_reply(session, "502 %s", buffer_text(&why));
        session_end(session);
        buffer_free(&why);
        return;
    }
    session_reply(session, "281 Authentication accepted");
}

static void
login_refused(struct session *session)
{
    if (++session->login_failures < LOGIN_TRIES) {
        session_reply(session, "481 Authentication failed");
        return;
    }
    session_reply(session, "481 Authentication failed too often, closing");
    session_end(session);
}

static void
login_answered(void *context, enum ipc_login_answer answer, unsigned role)
{
    struct login_work *work = context;
    struct session *session = work->session;

    work->request = NULL;
    work->done = true;
    session_wake(session);
    switch (answer) {
    case LOGIN_ACCEPTED:
        login_accepted(session, work->name, role);
        return;
    case LOGIN_REFUSED:
        login_refused(session);
        return;
    case LOGIN_BUSY:
        session_reply(session, "400 Too many logins at once, try later");
        session_end(session);
        return;
    case LOGIN_FAILED:
        break;
    }
    session_reply(session, "403 Logins cannot be checked at present");
}

static enum step
login_step(void *context)
{
    struct login_work *work = context;

    return work->done ? STEP_DONE : STEP_WAIT;
}

static void
login_free(void *context)
{
    struct login_work *work = context;

    auth_forget(&work->request);
    free(work->name);
    free(work);
}

static const struct work_kind login_work_kind = {login_step, login_free};

static void
login_begin(struct session *session, char *name, const char *password)
{
    struct login_work *work = xcalloc(1, sizeof *work);
    struct ipc_login_request request = {
        .address = session->address,
        .name = name,
        .name_octets = strlen(name),
        .password = password,
        .password_octets = strlen(password),
    };

    work->session = session;
    work->name = name;
    session_begin(session, &login_work_kind, work);
    work->request =
        auth_ask(session->worker->auth, &request, login_answered, work);
}

void
cmd_authinfo_pass(struct session *session, const struct arguments *arguments)
{
    const char *password = arguments->word[0];
    char *name = session->login_name;

    if (!login_is_possible(session))
        return;
    if (name == NULL) {
        session_reply(session, "482 AUTHINFO USER comes first");
        return;
    }
    session->login_name = NULL;
    /* No account can have these; the try counts all the same. */
    if (!account_name_is_valid(name, strlen(name))
        || password_check(password, strlen(password), NULL) < 0) {
        login_refused(session);
        free(name);
        return;
    }
    login_begin(session, name, password);
}
