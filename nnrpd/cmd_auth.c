/*
 * cmd_auth -- AUTHINFO USER and PASS (RFC 4643, 2.3).
 */
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "nnrpd/cmd.h"
#include "nnrpd/login.h"
#include "nnrpd/session.h"

/* False: the reply has gone. */
static bool
password_is_possible(struct session *session)
{
    if (session->account.user == NULL && !login_carries_passwords(session)) {
        session_reply(session, "483 Encryption is required for a login");
        return false;
    }
    return login_is_possible(session);
}

void
cmd_authinfo_user(struct session *session, const struct arguments *arguments)
{
    if (!password_is_possible(session))
        return;
    free(session->login_name);
    session->login_name = xstrdup(arguments->word[0]);
    session_reply(session, "381 Password required");
}

void
cmd_authinfo_pass(struct session *session, const struct arguments *arguments)
{
    const char *password = arguments->word[0];

    if (!password_is_possible(session))
        return;
    if (session->login_name == NULL) {
        session_reply(session, "482 AUTHINFO USER comes first");
        return;
    }
    login_by_password(session, password, strlen(password));
}
