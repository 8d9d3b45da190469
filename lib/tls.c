#include "lib/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/tls_context.h"
#include "lib/tls_internal.h"

struct tls {
    SSL *ssl;
    struct tls_context *context;
    bool established;
    bool wants_write;
    bool shut;
    char *failure; /* NULL: none */
    struct tls_identity identity;
    bool identified;
    char description[96];
};

static struct tls *
tls_new(struct tls_context *context, int fd)
{
    struct tls *tls = xcalloc(1, sizeof(*tls));

    tls->context = tls_context_hold(context);
    tls->ssl = SSL_new(tls_context_ssl(context));
    if (tls->ssl == NULL || SSL_set_fd(tls->ssl, fd) != 1)
        die(EXIT_TEMPORARY, "out of memory: TLS connection");
    return tls;
}

struct tls *
tls_accept(struct tls_context *context, int fd)
{
    struct tls *tls = tls_new(context, fd);

    SSL_set_accept_state(tls->ssl);
    return tls;
}

/* A name is asked for (SNI); a numeric address cannot be (RFC 6066, 3). */
struct tls *
tls_connect(struct tls_context *context, int fd)
{
    struct tls *tls = tls_new(context, fd);
    const char *name = tls_context_name(context);
    X509_VERIFY_PARAM *parameters = SSL_get0_param(tls->ssl);

    SSL_set_connect_state(tls->ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1)
        return tls;
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(parameters,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(parameters, name, 0) != 1
        || SSL_set_tlsext_host_name(tls->ssl, name) != 1)
        die(EXIT_TEMPORARY, "out of memory: TLS connection");
    return tls;
}

bool
tls_is_client(const struct tls *tls)
{
    return SSL_is_server(tls->ssl) == 0;
}

void
tls_free(struct tls **tls)
{
    struct tls *old = *tls;

    if (old == NULL)
        return;
    tls_shutdown(old);
    SSL_free(old->ssl);
    tls_context_free(&old->context);
    for (size_t i = 0; i < old->identity.name_count; i++)
        free(old->identity.names[i]);
    free(old->identity.names);
    free(old->failure);
    free(old);
    *tls = NULL;
}

/* --- octets --- */

static void __attribute__((format(printf, 2, 3)))
tls_fail(struct tls *tls, const char *format, ...)
{
    struct buffer why = BUFFER_EMPTY;
    va_list args;

    va_start(args, format);
    buffer_append_vformat(&why, format, args);
    va_end(args);
    free(tls->failure);
    tls->failure = buffer_take(&why);
}

/* What a call that returned no octets means: errno is set.  0: the end. */
static int
tls_result(struct tls *tls, int returned)
{
    unsigned long error;
    long verified;

    switch (SSL_get_error(tls->ssl, returned)) {
    case SSL_ERROR_WANT_WRITE:
        tls->wants_write = true;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_READ:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        /* Reset: as under any other connection, no words of its own. */
        tls_fail(tls, "%s", "");
        break;
    default:
        error = ERR_peek_error();
        verified = SSL_get_verify_result(tls->ssl);
        if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED
            && verified != X509_V_OK)
            tls_fail(tls, "certificate: %s",
                     X509_verify_cert_error_string(verified));
        else
            tls_fail(tls, "%s",
                     error != 0 && ERR_reason_error_string(error) != NULL
                         ? ERR_reason_error_string(error)
                         : "a fault of the TLS library");
        break;
    }
    errno = EPROTO;
    return -1;
}

/* False: it has failed before, and has said why. */
static bool
tls_prepare(struct tls *tls)
{
    /* What another connection has left there is not ours to tell. */
    ERR_clear_error();
    tls->wants_write = false;
    errno = tls->failure == NULL ? 0 : EPROTO;
    return tls->failure == NULL;
}

/* Is it whom we expect, where the fingerprint decides? */
static bool
tls_is_pinned(struct tls *tls)
{
    const struct tls_identity *identity;

    if (!tls_is_client(tls))
        return true;
    identity = tls_identity(tls);
    if (identity != NULL && tls_context_pins(tls->context, identity))
        return true;
    if (identity == NULL)
        tls_fail(tls, "certificate: none");
    else
        tls_fail(tls, "certificate: %s, %s: none of tlspins",
                 identity->fingerprint, identity->key_fingerprint);
    return false;
}

int
tls_handshake(struct tls *tls)
{
    int done;

    if (!tls_prepare(tls))
        return -1;
    done = SSL_do_handshake(tls->ssl);
    if (done == 1) {
        tls->established = true;
        return tls_is_pinned(tls) ? 1 : -1;
    }
    if (tls_result(tls, done) == 0) {
        tls_fail(tls, "the other end has closed it");
        return -1;
    }
    return errno == EAGAIN ? 0 : -1;
}

ssize_t
tls_read(struct tls *tls, void *octets, size_t size)
{
    size_t got;

    if (!tls_prepare(tls))
        return -1;
    if (SSL_read_ex(tls->ssl, octets, size, &got) == 1)
        return (ssize_t)got;
    return tls_result(tls, 0);
}

ssize_t
tls_write(struct tls *tls, const void *octets, size_t size)
{
    size_t put;

    if (!tls_prepare(tls))
        return -1;
    if (SSL_write_ex(tls->ssl, octets, size, &put) == 1)
        return (ssize_t)put;
    if (tls_result(tls, 0) == 0) {
        tls_fail(tls, "the other end has closed it");
        errno = EPROTO;
    }
    return -1;
}

void
tls_shutdown(struct tls *tls)
{
    if (!tls->established || tls->shut || !tls_prepare(tls))
        return;
    tls->shut = true;
    /* A courtesy: where the socket takes no octets, its end says the same. */
    (void)SSL_shutdown(tls->ssl);
}

bool
tls_wants_write(const struct tls *tls)
{
    return tls->wants_write;
}

bool
tls_has_pending(const struct tls *tls)
{
    return SSL_has_pending(tls->ssl) == 1;
}

const char *
tls_failure(const struct tls *tls)
{
    return tls->failure == NULL ? "" : tls->failure;
}

const char *
tls_description(const struct tls *tls)
{
    struct tls *own = (struct tls *)(uintptr_t)tls;

    snprintf(own->description, sizeof(own->description), "%s %s%s",
             SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl),
             SSL_session_reused(tls->ssl) ? " resumed" : "");
    return tls->description;
}

/* --- who is at the other end --- */

/* A name is a word without control octets: anything else is none. */
static void
identity_add(struct tls_identity *identity, const ASN1_STRING *name)
{
    const char *octets = (const char *)ASN1_STRING_get0_data(name);
    size_t length = (size_t)ASN1_STRING_length(name);

    if (length == 0 || length > 253)
        return;
    for (size_t i = 0; i < length; i++)
        if (octets[i] <= ' ' || octets[i] > '~')
            return;
    identity->names = xreallocarray(identity->names, identity->name_count + 1,
                                    sizeof(*identity->names));
    identity->names[identity->name_count++] = xmemdup(octets, length);
}

static void
identity_add_alternatives(struct tls_identity *identity,
                          const X509 *certificate)
{
    GENERAL_NAMES *names =
        X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            identity_add(identity, name->d.dNSName);
        else if (name->type == GEN_EMAIL)
            identity_add(identity, name->d.rfc822Name);
    }
    GENERAL_NAMES_free(names);
}

static void
identity_add_common_name(struct tls_identity *identity,
                         const X509 *certificate)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    size_t before = identity->name_count;

    if (at >= 0)
        identity_add(identity, X509_NAME_ENTRY_get_data(
                                   X509_NAME_get_entry(subject, at)));
    identity->subject = identity->name_count > before
                            ? identity->names[identity->name_count - 1]
                            : "";
}

/* Behind what stands in text already. */
static void
fingerprint_append(char *text, const unsigned char *digest, unsigned octets)
{
    text += strlen(text);
    for (unsigned i = 0; i < octets; i++, text += 2)
        snprintf(text, 3, "%02x", digest[i]);
}

static void
identity_fingerprint(struct tls_identity *identity, const X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char *key = NULL;
    unsigned octets = 0;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key);

    if (length <= 0
        || X509_digest(certificate, EVP_sha256(), digest, &octets) != 1)
        die(EXIT_TEMPORARY, "out of memory: digest of a certificate");
    memcpy(identity->fingerprint, "sha256:", 8);
    fingerprint_append(identity->fingerprint, digest, octets);
    if (EVP_Digest(key, (size_t)length, digest, &octets, EVP_sha256(), NULL)
        != 1)
        die(EXIT_TEMPORARY, "out of memory: digest of a key");
    memcpy(identity->key_fingerprint, "spki-sha256:", 13);
    fingerprint_append(identity->key_fingerprint, digest, octets);
    OPENSSL_free(key);
}

const struct tls_identity *
tls_identity(struct tls *tls)
{
    struct tls_identity *identity = &tls->identity;
    X509 *certificate;

    if (!tls->established)
        return NULL;
    if (!tls->identified) {
        tls->identified = true;
        certificate = SSL_get0_peer_certificate(tls->ssl);
        if (certificate != NULL) {
            identity->trusted = SSL_get_verify_result(tls->ssl) == X509_V_OK;
            identity_fingerprint(identity, certificate);
            identity_add_alternatives(identity, certificate);
            identity_add_common_name(identity, certificate);
        }
    }
    return identity->fingerprint[0] == '\0' ? NULL : identity;
}

/* --- channel bindings --- */

/* The digest of the server's certificate, by the one of its signature, but
   SHA-256 where that is MD5 or SHA-1 (RFC 5929, 4.1). */
static size_t
binding_end_point(struct tls *tls, unsigned char *octets)
{
    X509 *certificate = SSL_is_server(tls->ssl)
                            ? SSL_get_certificate(tls->ssl)
                            : SSL_get0_peer_certificate(tls->ssl);
    unsigned length = 0;
    const EVP_MD *digest;
    int kind;

    if (certificate == NULL
        || X509_get_signature_info(certificate, &kind, NULL, NULL, NULL) != 1)
        return 0;
    if (kind == NID_md5 || kind == NID_sha1)
        kind = NID_sha256;
    digest = EVP_get_digestbynid(kind);
    if (digest == NULL
        || X509_digest(certificate, digest, octets, &length) != 1)
        return 0;
    return length;
}

size_t
tls_binding(struct tls *tls, enum tls_binding kind,
            unsigned char octets_r[TLS_BINDING_OCTETS_MAX])
{
    static const char label[] = "EXPORTER-Channel-Binding";

    if (!tls->established)
        return 0;
    if (kind == TLS_SERVER_END_POINT)
        return binding_end_point(tls, octets_r);
    /* RFC 9266, 4.2: before TLS 1.3 only with an extended master secret. */
    if (SSL_version(tls->ssl) < TLS1_3_VERSION
        && SSL_get_extms_support(tls->ssl) != 1)
        return 0;
    return SSL_export_keying_material(tls->ssl, octets_r, 32, label,
                                      sizeof(label) - 1,
                                      (const unsigned char *)"", 0, 1)
                   == 1
               ? 32
               : 0;
}
