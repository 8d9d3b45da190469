/*
 * cmd_sasl -- AUTHINFO SASL (RFC 4643, 2.4): PLAIN (RFC 4616), EXTERNAL (RFC
 * 4422, A) and SCRAM-SHA-256 with and without channel binding (RFC 5802, RFC
 * 7677, RFC 9266).
 *
 * An exchange lives in session->sasl.  While there is one, each line of the
 * client's is a response and no command (session.c calls sasl_respond()).  A
 * step answers with a challenge, asks the auth process, or ends the exchange.
 * Nothing is granted before the auth process has accepted: what is kept here
 * are the messages that its answer is about.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/account.h"
#include "lib/buffer.h"
#include "lib/memory.h"
#include "lib/scram.h"
#include "lib/stream.h"
#include "lib/tls.h"
#include "nnrpd/cmd.h"
#include "nnrpd/login.h"
#include "nnrpd/sasl.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"

#define BASE64 sodium_base64_VARIANT_ORIGINAL

/* One response, decoded; it may have NULs in it. */
typedef void step_func(struct session *session, const char *octets,
                       size_t length);

struct mechanism {
    const char *name;
    /* Would it be of use to this client, here and now? */
    bool (*is_offered)(const struct session *session);
    step_func *begin;
};

struct sasl {
    step_func *step; /* what takes the next response */
    /* SCRAM's */
    struct buffer header;  /* gs2-header */
    struct buffer channel; /* what binds it to the connection; empty: nothing
                            */
    struct buffer nonce;   /* the client's, and ours behind it */
    struct buffer auth;    /* AuthMessage, as far as it is known */
};

void
sasl_free(struct sasl **sasl)
{
    struct sasl *old = *sasl;

    if (old == NULL)
        return;
    buffer_free(&old->header);
    buffer_free(&old->channel);
    buffer_free(&old->nonce);
    buffer_free(&old->auth);
    free(old);
    *sasl = NULL;
}

static void
sasl_reply(struct session *session, unsigned code, const struct buffer *octets)
{
    size_t room = sodium_base64_ENCODED_LEN(octets->used, BASE64);
    char *text = xmalloc(room);

    sodium_bin2base64(text, room, (const unsigned char *)octets->data,
                      octets->used, BASE64);
    session_reply(session, "%u %s", code, text);
    free(text);
}

/* It came to nothing, and so does what was said before it. */
static void
sasl_end(struct session *session)
{
    sasl_free(&session->sasl);
    free(session->login_name);
    session->login_name = NULL;
}

/* The client did not speak as the mechanism demands. */
static void
sasl_fault(struct session *session)
{
    session_reply(session, "482 SASL protocol error");
    sasl_end(session);
}

/* As a wrong password. */
static void
sasl_refuse(struct session *session)
{
    sasl_free(&session->sasl);
    login_refuse(session);
}

/* The name is that of an account that could be; else it is refused. */
static bool
sasl_take_name(struct session *session, const char *name, size_t octets)
{
    if (!account_name_is_valid(name, octets)) {
        sasl_refuse(session);
        return false;
    }
    free(session->login_name);
    session->login_name = xmemdup(name, octets);
    return true;
}

/* --- PLAIN: authzid NUL authcid NUL password --- */

static void
plain_begin(struct session *session, const char *octets, size_t length)
{
    const char *end = octets + length;
    const char *name = memchr(octets, '\0', length);
    const char *password =
        name == NULL ? NULL : memchr(name + 1, '\0', (size_t)(end - name - 1));
    size_t authzid_octets;
    size_t name_octets;

    if (password == NULL) {
        sasl_fault(session);
        return;
    }
    authzid_octets = (size_t)(name++ - octets);
    name_octets = (size_t)(password++ - name);
    /* Nobody may be somebody else. */
    if (authzid_octets > 0
        && (authzid_octets != name_octets
            || memcmp(octets, name, name_octets) != 0)) {
        sasl_refuse(session);
        return;
    }
    if (!sasl_take_name(session, name, name_octets))
        return;
    sasl_free(&session->sasl);
    login_by_password(session, password, (size_t)(end - password));
}

/* --- SCRAM-SHA-256 --- */

static bool
scram_is_offered(const struct session *session)
{
    return atomic_load(&session->worker->shared->accounts_scram) > 0;
}

static bool
scram_plus_is_offered(const struct session *session)
{
    return session_is_secure(session) && scram_is_offered(session);
}

/* What binds an exchange to a connection, by its name in the gs2-header. */
static const struct {
    const char *name;
    enum tls_binding kind;
} bindings[] = {
    {"tls-exporter", TLS_EXPORTER},
    {"tls-server-end-point", TLS_SERVER_END_POINT},
};

enum { BINDINGS = sizeof bindings / sizeof bindings[0] };

static bool
channel_take(const struct session *session, enum tls_binding kind)
{
    unsigned char octets[TLS_BINDING_OCTETS_MAX];
    size_t length = tls_binding(stream_tls(session->stream), kind, octets);

    buffer_append(&session->sasl->channel, octets, length);
    return length > 0;
}

static void
scram_proved(struct session *session, const struct ipc_login_result *result,
             const char *moderates)
{
    struct buffer message = BUFFER_EMPTY;

    sasl_free(&session->sasl);
    if (result->answer != LOGIN_ACCEPTED) {
        login_decline(session, result->answer);
        return;
    }
    if (!login_accept(session, result, moderates))
        return;
    scram_server_final_build(&message, result->scram);
    sasl_reply(session, 283, &message);
    buffer_free(&message);
}

static void
scram_final(struct session *session, const char *octets, size_t length)
{
    struct sasl *sasl = session->sasl;
    struct buffer secret = BUFFER_EMPTY;
    struct scram_final final;

    if (scram_final_parse(octets, length, &final) < 0) {
        sasl_fault(session);
        return;
    }
    if (final.nonce_octets != sasl->nonce.used
        || memcmp(final.nonce, sasl->nonce.data, sasl->nonce.used) != 0
        || !scram_binding_matches(&final, sasl->header.data, sasl->header.used,
                                  sasl->channel.data, sasl->channel.used)) {
        sasl_refuse(session);
        return;
    }
    buffer_append_char(&sasl->auth, ',');
    buffer_append(&sasl->auth, octets, final.bare_octets);
    buffer_append(&secret, final.proof, sizeof final.proof);
    buffer_append(&secret, sasl->auth.data, sasl->auth.used);
    login_ask(session, LOGIN_PROOF, secret.data, secret.used, scram_proved);
    buffer_free(&secret);
}

static void
scram_salted(struct session *session, const struct ipc_login_result *result,
             const char *moderates)
{
    struct sasl *sasl = session->sasl;
    struct buffer message = BUFFER_EMPTY;

    (void)moderates; /* of whom is not known yet */
    if (result->answer != LOGIN_ACCEPTED) {
        sasl_free(&session->sasl);
        login_decline(session, result->answer);
        return;
    }
    scram_server_first_build(&message, sasl->nonce.data, result->scram);
    buffer_append_char(&sasl->auth, ',');
    buffer_append(&sasl->auth, message.data, message.used);
    sasl->step = scram_final;
    sasl_reply(session, 383, &message);
    buffer_free(&message);
}

/* Who is to be acted as must be who logs in. */
static bool
scram_authzid_is_good(const struct scram_first *first)
{
    return first->authzid == NULL || first->authzid_octets == 0
           || (first->authzid_octets == first->name_text_octets
               && memcmp(first->authzid, first->name_text,
                         first->authzid_octets)
                      == 0);
}

/*
 * Is the exchange bound as its mechanism wants it?  "y" says that the client
 * could bind it and believes that we cannot: where we can, somebody between us
 * has taken the mechanism out of our list (RFC 5802, 6).
 */
static bool
scram_binding_is_good(const struct session *session,
                      const struct scram_first *first)
{
    if (first->binding != SCRAM_BINDING_DEMANDED)
        return first->binding != SCRAM_BINDING_UNUSED
               || !scram_plus_is_offered(session);
    for (size_t i = 0; i < BINDINGS; i++)
        if (first->binding_type_octets == strlen(bindings[i].name)
            && memcmp(first->binding_type, bindings[i].name,
                      first->binding_type_octets)
                   == 0)
            return channel_take(session, bindings[i].kind);
    return false;
}

static void
scram_first(struct session *session, const char *octets, size_t length,
            bool plus)
{
    struct sasl *sasl = session->sasl;
    char nonce[SCRAM_NONCE_OCTETS + 1];
    struct scram_first first;

    if (scram_first_parse(octets, length, &first) < 0
        || (first.binding == SCRAM_BINDING_DEMANDED) != plus) {
        sasl_fault(session);
        return;
    }
    if (!scram_binding_is_good(session, &first)
        || !scram_authzid_is_good(&first)) {
        sasl_refuse(session);
        return;
    }
    if (!sasl_take_name(session, first.name, first.name_octets))
        return;
    scram_nonce_make(nonce);
    buffer_append(&sasl->header, octets, first.header_octets);
    buffer_append(&sasl->nonce, first.nonce, first.nonce_octets);
    buffer_append_text(&sasl->nonce, nonce);
    buffer_append(&sasl->auth, octets + first.header_octets,
                  length - first.header_octets);
    login_ask(session, LOGIN_SALT, "", 0, scram_salted);
}

static void
scram_begin(struct session *session, const char *octets, size_t length)
{
    scram_first(session, octets, length, false);
}

static void
scram_plus_begin(struct session *session, const char *octets, size_t length)
{
    scram_first(session, octets, length, true);
}

/* --- EXTERNAL: an authzid, or nothing --- */

/* The certificate that somebody we believe has vouched for; NULL: none. */
static const struct tls_identity *
certificate_get(const struct session *session)
{
    const struct tls_identity *certificate = session_certificate(session);

    return certificate != NULL && certificate->trusted
                   && certificate->name_count > 0
               ? certificate
               : NULL;
}

static bool
external_is_offered(const struct session *session)
{
    return certificate_get(session) != NULL
           && atomic_load(&session->worker->shared->accounts) > 0;
}

/* Who does not say which of his names he means is he whose certificate it is.
   NULL: he is not who he says. */
static const char *
external_name(const struct tls_identity *certificate, const char *authzid,
              size_t octets)
{
    if (octets == 0)
        return certificate->subject[0] != '\0' ? certificate->subject
                                               : certificate->names[0];
    for (size_t i = 0; i < certificate->name_count; i++)
        if (strlen(certificate->names[i]) == octets
            && memcmp(certificate->names[i], authzid, octets) == 0)
            return certificate->names[i];
    return NULL;
}

static void
external_answered(struct session *session,
                  const struct ipc_login_result *result, const char *moderates)
{
    sasl_free(&session->sasl);
    if (result->answer != LOGIN_ACCEPTED)
        login_decline(session, result->answer);
    else if (login_accept(session, result, moderates))
        session_reply(session, "281 Authentication accepted");
}

static void
external_begin(struct session *session, const char *octets, size_t length)
{
    const struct tls_identity *certificate = certificate_get(session);
    const char *name = certificate == NULL
                           ? NULL
                           : external_name(certificate, octets, length);

    if (name == NULL)
        sasl_refuse(session);
    else if (sasl_take_name(session, name, strlen(name)))
        login_ask(session, LOGIN_CERTIFICATE, "", 0, external_answered);
}

/* --- all mechanisms --- */

static const struct mechanism mechanisms[] = {
    {"EXTERNAL", external_is_offered, external_begin},
    {"SCRAM-SHA-256-PLUS", scram_plus_is_offered, scram_plus_begin},
    {"SCRAM-SHA-256", scram_is_offered, scram_begin},
    {"PLAIN", login_carries_passwords, plain_begin},
};

enum { MECHANISMS = sizeof mechanisms / sizeof mechanisms[0] };

static const struct mechanism *
mechanism_find(const char *name)
{
    for (size_t i = 0; i < MECHANISMS; i++)
        if (strcasecmp(mechanisms[i].name, name) == 0)
            return &mechanisms[i];
    return NULL;
}

bool
sasl_is_offered(const struct session *session)
{
    if (!login_is_offered(session))
        return false;
    for (size_t i = 0; i < MECHANISMS; i++)
        if (mechanisms[i].is_offered(session))
            return true;
    return false;
}

void
sasl_print(const struct session *session, struct buffer *text)
{
    for (size_t i = 0; i < MECHANISMS; i++)
        if (mechanisms[i].is_offered(session))
            buffer_append_format(text, " %s", mechanisms[i].name);
}

static void
response_take(struct session *session, const char *text, size_t octets)
{
    size_t room = octets / 4 * 3 + 3;
    unsigned char *decoded = xmalloc(room);
    size_t length = 0;
    bool empty = octets == 1 && text[0] == '=';

    if (!empty
        && sodium_base642bin(decoded, room, text, octets, NULL, &length, NULL,
                             BASE64)
               != 0) {
        session_reply(session, "504 Base64 encoding error");
        sasl_end(session);
    } else {
        session->sasl->step(session, (const char *)decoded, length);
    }
    sodium_memzero(decoded, room);
    free(decoded);
}

void
sasl_respond(struct session *session, const char *line, size_t octets)
{
    if (octets > 0 && line[octets - 1] == '\n')
        octets--;
    if (octets > 0 && line[octets - 1] == '\r')
        octets--;
    if (octets == 1 && line[0] == '*') {
        session_reply(session, "481 Authentication aborted as requested");
        sasl_end(session);
        return;
    }
    response_take(session, line, octets);
}

void
cmd_authinfo_sasl(struct session *session, const struct arguments *arguments)
{
    const struct mechanism *mechanism = mechanism_find(arguments->word[0]);

    if (!login_is_possible(session))
        return;
    if (mechanism == NULL) {
        session_reply(session, "503 Mechanism not recognized");
        return;
    }
    if (!mechanism->is_offered(session)) {
        if (mechanism->begin == plain_begin)
            session_reply(session, "483 Encryption is required for a login");
        else
            session_reply(session, "503 Mechanism not available");
        return;
    }
    session->sasl = xcalloc(1, sizeof *session->sasl);
    session->sasl->step = mechanism->begin;
    if (arguments->count > 1)
        response_take(session, arguments->word[1], strlen(arguments->word[1]));
    else
        session_reply(session, "383 =");
}
