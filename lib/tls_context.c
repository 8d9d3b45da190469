#include "lib/tls_context.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/config_credentials.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/tls.h"
#include "lib/tls_internal.h"

enum {
    SECURE_OCTETS = 256 * 1024,       /* some dozens of private keys */
    EXPIRES_SOON_SECONDS = 7 * 86400, /* a week */
};

/* A certificate of ours, with what leads to its root. */
struct credential {
    X509 *certificate;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

struct tls_context {
    unsigned references;
    SSL_CTX *ssl;
    /* The first is for whoever asks for none of the others' names. */
    struct credential *credentials;
    size_t credential_count;
    struct tls_tickets tickets;
    /* of a peer's */
    char *name;
    char **pins;
    size_t pin_count;
};

void
tls_secure_memory(void)
{
    /* 2: it could not be locked into memory, but dumps leave it out. */
    if (CRYPTO_secure_malloc_initialized() == 0
        && CRYPTO_secure_malloc_init(SECURE_OCTETS, 32) == 0)
        warn("keys of TLS lie in ordinary memory");
}

struct tls_context *
tls_context_hold(struct tls_context *context)
{
    context->references++;
    return context;
}

SSL_CTX *
tls_context_ssl(const struct tls_context *context)
{
    return context->ssl;
}

static void
credential_free(struct credential *credential)
{
    X509_free(credential->certificate);
    sk_X509_pop_free(credential->chain, X509_free);
    EVP_PKEY_free(credential->key);
}

void
tls_context_free(struct tls_context **context)
{
    struct tls_context *old = *context;

    *context = NULL;
    if (old == NULL || --old->references > 0)
        return;
    for (size_t i = 0; i < old->credential_count; i++)
        credential_free(&old->credentials[i]);
    free(old->credentials);
    for (size_t i = 0; i < old->pin_count; i++)
        free(old->pins[i]);
    free(old->pins);
    free(old->name);
    SSL_CTX_free(old->ssl);
    explicit_bzero(&old->tickets, sizeof(old->tickets));
    free(old);
}

/* --- files --- */

/* The words of the library about the last error, for a message. */
static const char *
library_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason == NULL ? "unreadable" : reason;
}

/* No password: the server starts with nobody there to type one. */
static int
no_password(char *octets, int size, int writing, void *context)
{
    (void)octets;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static BIO *
file_open(const struct config *config, const char *path)
{
    BIO *file = BIO_new_mem_buf(config_credential(config, path), -1);

    if (file == NULL)
        die(EXIT_TEMPORARY, "out of memory: reading %s", path);
    ERR_clear_error();
    return file;
}

/* All certificates of a file, the first apart.  0 or -1 with why. */
static int
certificates_read(const struct config *config, const char *key,
                  const char *path, X509 **first_r, STACK_OF(X509) * *others_r,
                  struct buffer *why)
{
    BIO *file = file_open(config, path);
    X509 *one = PEM_read_bio_X509_AUX(file, NULL, no_password, NULL);
    const char *found = one == NULL ? library_reason() : NULL;

    *first_r = one;
    *others_r = sk_X509_new_null();
    while (found == NULL
           && (one = PEM_read_bio_X509(file, NULL, no_password, NULL)) != NULL)
        if (sk_X509_push(*others_r, one) == 0)
            die(EXIT_TEMPORARY, "out of memory: reading %s", path);
    /* "No start line" is how the end is told. */
    if (found == NULL
        && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        found = library_reason();
    ERR_clear_error();
    BIO_free(file);
    if (found == NULL)
        return 0;
    return config_value_error(config, key, path, found,
                              "a file of certificates (PEM)", why);
}

static int
key_read(const struct config *config, const char *key, const char *path,
         struct credential *credential, struct buffer *why)
{
    BIO *file = file_open(config, path);

    credential->key = PEM_read_bio_PrivateKey(file, NULL, no_password, NULL);
    BIO_free(file);
    if (credential->key == NULL)
        return config_value_error(
            config, key, path, library_reason(),
            "a file with a private key (PEM) without a password", why);
    if (X509_check_private_key(credential->certificate, credential->key) != 1)
        return config_value_error(config, key, path, "another key",
                                  "the key of the certificate in tlscertfile",
                                  why);
    return 0;
}

/* Where the files are good; -1 with why. */
static int
credential_read(struct credential *credential, const struct config *config,
                const char *certfile, const char *keyfile, struct buffer *why)
{
    if (certificates_read(config, "tlscertfile", certfile,
                          &credential->certificate, &credential->chain, why)
        < 0)
        return -1;
    return key_read(config, "tlskeyfile", keyfile, credential, why);
}

/* --- which certificate --- */

static int
credential_use(SSL *ssl, const struct credential *credential)
{
    return SSL_use_cert_and_key(ssl, credential->certificate, credential->key,
                                credential->chain, 1);
}

/*
 * Called once the client has said which name it came for.  What the SSL_CTX
 * has set is the first certificate; all others for that name take its place.
 */
static int
on_certificate(SSL *ssl, void *argument)
{
    const struct tls_context *context = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    bool cleared = false;

    for (size_t i = 0; name != NULL && i < context->credential_count; i++) {
        const struct credential *credential = &context->credentials[i];

        if (X509_check_host(credential->certificate, name, strlen(name), 0,
                            NULL)
            != 1)
            continue;
        if (!cleared)
            SSL_certs_clear(ssl);
        cleared = true;
        if (credential_use(ssl, credential) != 1)
            return 0;
    }
    return 1;
}

/* --- tickets --- */

static bool
ticket_key_is_set(const struct tls_ticket_key *key)
{
    static const struct tls_ticket_key none;

    return memcmp(key, &none, sizeof(none)) != 0;
}

static int
ticket_key_use(const struct tls_ticket_key *key, unsigned char *iv,
               EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(
            OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                         (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end(),
    };

    if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv,
                          sealing)
            != 1
        || EVP_MAC_CTX_set_params(mac, parameters) != 1)
        return -1;
    return 1;
}

/* The library asks: seal a new ticket, or open one?  As SSL_CTX_set_tlsext_
   ticket_key_evp_cb(3) has the answers; 2: it is good, and renewed. */
static int
on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv,
          EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
    const struct tls_context *context =
        SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct tls_ticket_key *keys = context->tickets.keys;

    if (sealing) {
        if (!ticket_key_is_set(&keys[0]))
            return 0;
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            return -1;
        memcpy(name, keys[0].name, sizeof(keys[0].name));
        return ticket_key_use(&keys[0], iv, cipher, mac, sealing);
    }
    for (size_t i = 0; i < TLS_TICKET_KEYS; i++) {
        if (!ticket_key_is_set(&keys[i])
            || memcmp(name, keys[i].name, sizeof(keys[i].name)) != 0)
            continue;
        if (ticket_key_use(&keys[i], iv, cipher, mac, sealing) != 1)
            return -1;
        return i == 0 ? 1 : 2;
    }
    return 0;
}

void
tls_context_set_tickets(struct tls_context *context,
                        const struct tls_tickets *tickets)
{
    context->tickets = *tickets;
}

/* --- what is alike for all --- */

/* RFC 7301: who asks for other protocols only meant somebody else. */
static int
on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_octets,
        const unsigned char *offered, unsigned offered_octets, void *argument)
{
    static const unsigned char ours[] = "\004nntp\004nnsp";
    unsigned char *choice;

    (void)ssl;
    (void)argument;
    if (SSL_select_next_proto(&choice, chosen_octets, ours, sizeof(ours) - 1,
                              offered, offered_octets)
        != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = choice;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *
ssl_context_new(const SSL_METHOD *method)
{
    SSL_CTX *ssl = SSL_CTX_new(method);

    if (ssl == NULL)
        die(EXIT_TEMPORARY, "out of memory: TLS");
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION
                                 | SSL_OP_CIPHER_SERVER_PREFERENCE
                                 | SSL_OP_PRIORITIZE_CHACHA
                                 /* CRLF.CRLF ends an article, and CRLF a
                                    command: nothing can be cut short. */
                                 | SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Idle connections hold no buffers; and one record is read at a time, so
       that nobody gets more than his share of a turn. */
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS
                              | SSL_MODE_ENABLE_PARTIAL_WRITE
                              | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
    /* A record with one read(), not its head and then its body. */
    SSL_CTX_set_read_ahead(ssl, 1);
    return ssl;
}

static bool
list_has(char *const *list, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], word) == 0)
            return true;
    return false;
}

static int
protocols_set(SSL_CTX *ssl, const struct config *config, struct buffer *why)
{
    static const struct {
        const char *word;
        uint64_t option;
    } protocols[] = {
        {"TLSv1.2", SSL_OP_NO_TLSv1_2},
        {"TLSv1.3", SSL_OP_NO_TLSv1_3},
    };

    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
        if (!list_has(config->tlsprotocols, config->tlsprotocol_count,
                      protocols[i].word))
            SSL_CTX_set_options(ssl, protocols[i].option);
    ERR_clear_error();
    if (config->tlsciphers[0] != '\0'
        && SSL_CTX_set_cipher_list(ssl, config->tlsciphers) != 1)
        return config_value_error(config, "tlsciphers", config->tlsciphers, "",
                                  "ciphers that openssl ciphers knows", why);
    if (config->tlsciphersuites[0] != '\0'
        && SSL_CTX_set_ciphersuites(ssl, config->tlsciphersuites) != 1)
        return config_value_error(config, "tlsciphersuites",
                                  config->tlsciphersuites, "",
                                  "ciphersuites of TLS 1.3", why);
    return 0;
}

/* Who is vouched for is asked when rights are decided on, not here. */
static int
on_verify(int good, X509_STORE_CTX *context)
{
    (void)good;
    (void)context;
    return 1;
}

static void
authority_add(SSL_CTX *ssl, X509 *certificate)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);

    /* The same twice is no fault. */
    if (X509_STORE_add_cert(store, certificate) != 1
        || SSL_CTX_add_client_CA(ssl, certificate) != 1)
        die(EXIT_TEMPORARY, "out of memory: certificates of authorities");
}

/* "": none. */
static int
authorities_read(SSL_CTX *ssl, const struct config *config, const char *key,
                 const char *path, struct buffer *why)
{
    X509 *first;
    STACK_OF(X509) * others;
    int status;

    if (path[0] == '\0')
        return 0;
    status = certificates_read(config, key, path, &first, &others, why);
    if (status == 0) {
        authority_add(ssl, first);
        for (int i = 0; i < sk_X509_num(others); i++)
            authority_add(ssl, sk_X509_value(others, i));
    }
    X509_free(first);
    sk_X509_pop_free(others, X509_free);
    return status;
}

static int
authorities_set(SSL_CTX *ssl, const struct config *config, const char *file,
                const char *directory, struct buffer *why)
{
    if (authorities_read(ssl, config, "tlscafile", file, why) < 0)
        return -1;
    return authorities_read(ssl, config, "tlscapath", directory, why);
}

/* A client whom nobody asks shows none; one who is asked may ask its user. */
static bool
certificates_matter(const struct config *config)
{
    bool matter = config->tlscafile[0] != '\0' || config->tlscapath[0] != '\0';

    for (size_t i = 0; i < config->peer_count; i++)
        matter = matter || config->peers[i].certificate_count > 0;
    for (size_t i = 0; i < config->access_count; i++)
        matter = matter || config->accesses[i].certificate_count > 0;
    return matter;
}

/* --- for clients of ours --- */

static int
credentials_read(struct tls_context *context, const struct config *config,
                 struct buffer *why)
{
    size_t count = config->certificate_count + 1;

    context->credentials = xcalloc(count, sizeof(*context->credentials));
    context->credential_count = count;
    for (size_t i = 0; i < count; i++) {
        bool first = i == 0;
        const struct config_certificate *section =
            first ? NULL : &config->certificates[i - 1];

        if (credential_read(&context->credentials[i], config,
                            first ? config->tlscertfile : section->tlscertfile,
                            first ? config->tlskeyfile : section->tlskeyfile,
                            why)
            < 0)
            return -1;
    }
    return 0;
}

/* The first certificate, which came from path. */
static int
context_use(struct tls_context *context, const struct config *config,
            const char *path, struct buffer *why)
{
    const struct credential *first = &context->credentials[0];

    if (SSL_CTX_use_cert_and_key(context->ssl, first->certificate, first->key,
                                 first->chain, 1)
        == 1)
        return 0;
    return config_value_error(config, "tlscertfile", path, library_reason(),
                              "a certificate that can be used", why);
}

static int
server_set(struct tls_context *context, const struct config *config,
           struct buffer *why)
{
    static const unsigned char name[] = "renews";

    if (credentials_read(context, config, why) < 0
        || protocols_set(context->ssl, config, why) < 0
        || authorities_set(context->ssl, config, config->tlscafile,
                           config->tlscapath, why)
               < 0)
        return -1;
    if (certificates_matter(config))
        SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER, on_verify);
    if (context_use(context, config, config->tlscertfile, why) < 0)
        return -1;
    SSL_CTX_set_cert_cb(context->ssl, on_certificate, context);
    SSL_CTX_set_alpn_select_cb(context->ssl, on_alpn, NULL);
    /* Sessions are in the clients' tickets, none here. */
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context->ssl, TLS_SESSION_SECONDS);
    SSL_CTX_set_num_tickets(context->ssl, 1);
    SSL_CTX_set_session_id_context(context->ssl, name, sizeof(name) - 1);
    SSL_CTX_set_app_data(context->ssl, context);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context->ssl, on_ticket);
    return 0;
}

struct tls_context *
tls_context_server(const struct config *config, struct buffer *why)
{
    struct tls_context *context;

    if (config->tlscertfile[0] == '\0')
        return NULL;
    context = xcalloc(1, sizeof(*context));
    context->references = 1;
    context->ssl = ssl_context_new(TLS_server_method());
    if (server_set(context, config, why) < 0)
        tls_context_free(&context);
    return context;
}

/* --- for peers --- */

const char *
tls_context_name(const struct tls_context *context)
{
    return context->name;
}

bool
tls_context_pins(const struct tls_context *context,
                 const struct tls_identity *identity)
{
    for (size_t i = 0; i < context->pin_count; i++)
        if (strcasecmp(context->pins[i], identity->fingerprint) == 0
            || strcasecmp(context->pins[i], identity->key_fingerprint) == 0)
            return true;
    return context->pin_count == 0;
}

static int
peer_set(struct tls_context *context, const struct config *config,
         const struct config_peer *peer, struct buffer *why)
{
    context->name =
        xstrdup(peer->tlsname[0] != '\0' ? peer->tlsname : peer->host);
    context->pins = xcalloc(peer->tlspin_count, sizeof(char *));
    context->pin_count = peer->tlspin_count;
    for (size_t i = 0; i < peer->tlspin_count; i++)
        context->pins[i] = xstrdup(peer->tlspins[i]);
    SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER,
                       context->pin_count > 0 ? on_verify : NULL);
    if (authorities_set(context->ssl, config, peer->tlscafile, peer->tlscapath,
                        why)
        < 0)
        return -1;
    if (peer->tlscertfile[0] == '\0')
        return 0;
    context->credentials = xcalloc(1, sizeof(*context->credentials));
    context->credential_count = 1;
    if (credential_read(&context->credentials[0], config, peer->tlscertfile,
                        peer->tlskeyfile, why)
        < 0)
        return -1;
    return context_use(context, config, peer->tlscertfile, why);
}

/* With all that its section names. */
static struct tls_context *
peer_context(const struct config *config, const struct config_peer *peer,
             struct buffer *why)
{
    struct tls_context *context = xcalloc(1, sizeof(*context));

    context->references = 1;
    context->ssl = ssl_context_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    if (peer_set(context, config, peer, why) < 0)
        tls_context_free(&context);
    return context;
}

struct tls_context *
tls_context_peer(const struct config *config, const struct config_peer *peer,
                 struct buffer *why)
{
    struct tls_context *context = peer_context(config, peer, why);

    if (context != NULL && peer->tlscafile[0] == '\0'
        && peer->tlscapath[0] == '\0' && context->pin_count == 0)
        /* Where the system has none, nobody is believed. */
        (void)SSL_CTX_set_default_verify_paths(context->ssl);
    return context;
}

/* --- checking --- */

static const char *
expiry_fault(const X509 *certificate)
{
    const ASN1_TIME *end = X509_get0_notAfter(certificate);
    time_t soon = time(NULL) + EXPIRES_SOON_SECONDS;

    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        return "which is not valid yet";
    if (X509_cmp_current_time(end) < 0)
        return "which has expired";
    return X509_cmp_time(end, &soon) < 0 ? "which expires within a week" : "";
}

/* No error: some clients take it all the same, and those who use no TLS need
   none. */
static void
expiry_tell(const struct credential *credential, const struct config *config,
            const char *path)
{
    const char *fault = expiry_fault(credential->certificate);
    struct buffer text = BUFFER_EMPTY;

    if (fault[0] == '\0')
        return;
    (void)config_value_error(config, "tlscertfile", path, fault,
                             "a certificate that is valid now", &text);
    warn("%s", buffer_text(&text));
    buffer_free(&text);
}

static int
server_check(const struct config *config, struct buffer *why)
{
    struct tls_context *context = tls_context_server(config, why);

    if (context == NULL)
        return why->used > 0 ? -1 : 0;
    for (size_t i = 0; i < context->credential_count; i++)
        expiry_tell(&context->credentials[i], config,
                    i == 0 ? config->tlscertfile
                           : config->certificates[i - 1].tlscertfile);
    tls_context_free(&context);
    return 0;
}

int
tls_check(const struct config *config, struct buffer *why)
{
    if (server_check(config, why) < 0)
        return -1;
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct config_peer *peer = &config->peers[i];
        /* Without the authorities of the system: 16 ms that check nothing. */
        struct tls_context *context = peer_context(config, peer, why);

        if (context == NULL)
            return -1;
        if (context->credential_count > 0)
            expiry_tell(&context->credentials[0], config, peer->tlscertfile);
        tls_context_free(&context);
    }
    return 0;
}
