#include "lib/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stringprep.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/utf8.h"

#define BASE64 sodium_base64_VARIANT_ORIGINAL
#define BASE64_OCTETS(octets)                                                 \
    sodium_base64_ENCODED_LEN(octets, sodium_base64_VARIANT_ORIGINAL)

static const char prefix[] = "SCRAM-SHA-256$";

_Static_assert(SCRAM_KEY_OCTETS == SHA256_DIGEST_LENGTH, "a key is a digest");

static void
hmac(const unsigned char *key, const void *octets, size_t length,
     unsigned char result_r[SCRAM_KEY_OCTETS])
{
    if (HMAC(EVP_sha256(), key, SCRAM_KEY_OCTETS, octets, length, result_r,
             NULL)
        == NULL)
        die(EXIT_SOFTWARE, "OpenSSL makes no HMAC");
}

static void
sha256(const void *octets, size_t length,
       unsigned char result_r[SCRAM_KEY_OCTETS])
{
    if (EVP_Digest(octets, length, result_r, NULL, EVP_sha256(), NULL) != 1)
        die(EXIT_SOFTWARE, "OpenSSL makes no SHA-256");
}

static void
base64_append(struct buffer *text, const void *octets, size_t length)
{
    char encoded[BASE64_OCTETS(SCRAM_KEY_OCTETS)];

    sodium_bin2base64(encoded, sizeof(encoded), octets, length, BASE64);
    buffer_append_text(text, encoded);
}

/* Exactly so many octets, and nothing behind them. */
static int
base64_take(const char *text, size_t length, unsigned char *octets_r,
            size_t octets)
{
    size_t got;

    if (sodium_base642bin(octets_r, octets, text, length, NULL, &got, NULL,
                          BASE64)
        != 0)
        return -1;
    return got == octets ? 0 : -1;
}

/* --- verifiers --- */

/* SASLprep (RFC 4013), as for what is stored; NULL with why. */
static char *
password_prepare(const char *password, size_t octets, struct buffer *why)
{
    char *text = xmemdup(password, octets);
    char *prepared = NULL;
    int status = STRINGPREP_CONTAINS_PROHIBITED;

    if (utf8_is_valid(password, octets))
        status = stringprep_profile(text, &prepared, "SASLprep",
                                    STRINGPREP_NO_UNASSIGNED);
    sodium_memzero(text, octets);
    free(text);
    if (status == STRINGPREP_OK && prepared[0] != '\0')
        return prepared;
    free(status == STRINGPREP_OK ? prepared : NULL);
    why_set(why, "the password has characters that SCRAM cannot carry "
                 "(RFC 4013)");
    return NULL;
}

int
scram_verifier_make(const char *password, size_t octets,
                    char text_r[SCRAM_VERIFIER_OCTETS], struct buffer *why)
{
    unsigned char salt[SCRAM_SALT_OCTETS];
    unsigned char salted[SCRAM_KEY_OCTETS];
    unsigned char key[SCRAM_KEY_OCTETS];
    struct buffer text = BUFFER_EMPTY;
    char *prepared = password_prepare(password, octets, why);

    if (prepared == NULL)
        return -1;
    randombytes_buf(salt, sizeof(salt));
    if (PKCS5_PBKDF2_HMAC(prepared, (int)strlen(prepared), salt, sizeof(salt),
                          SCRAM_ITERATIONS, EVP_sha256(), sizeof(salted),
                          salted)
        != 1)
        die(EXIT_SOFTWARE, "OpenSSL makes no PBKDF2");
    sodium_memzero(prepared, strlen(prepared));
    free(prepared);
    buffer_append_format(&text, "%s%d:", prefix, SCRAM_ITERATIONS);
    base64_append(&text, salt, sizeof(salt));
    hmac(salted, "Client Key", 10, key);
    sha256(key, sizeof(key), key);
    buffer_append_char(&text, '$');
    base64_append(&text, key, sizeof(key));
    hmac(salted, "Server Key", 10, key);
    buffer_append_char(&text, ':');
    base64_append(&text, key, sizeof(key));
    memcpy(text_r, text.data, text.used + 1);
    sodium_memzero(text.data, text.used);
    sodium_memzero(salted, sizeof(salted));
    sodium_memzero(key, sizeof(key));
    buffer_free(&text);
    return 0;
}

/* Take base64 up to this octet, and move behind it. */
static int
part_take(const char **at, char end, unsigned char *octets_r, size_t octets)
{
    const char *stop = strchr(*at, end);

    if (stop == NULL
        || base64_take(*at, (size_t)(stop - *at), octets_r, octets) < 0)
        return -1;
    *at = stop + (end != '\0');
    return 0;
}

int
scram_verifier_parse(const char *text, struct scram_verifier *verifier_r)
{
    char start[sizeof(prefix) + 16];
    int octets =
        snprintf(start, sizeof(start), "%s%d:", prefix, SCRAM_ITERATIONS);

    if (strlen(text) >= SCRAM_VERIFIER_OCTETS
        || strncmp(text, start, (size_t)octets) != 0)
        return -1;
    text += octets;
    if (part_take(&text, '$', verifier_r->salt, SCRAM_SALT_OCTETS) < 0
        || part_take(&text, ':', verifier_r->stored_key, SCRAM_KEY_OCTETS) < 0
        || part_take(&text, '\0', verifier_r->server_key, SCRAM_KEY_OCTETS)
               < 0)
        return -1;
    return 0;
}

bool
scram_verifier_is_valid(const char *text)
{
    struct scram_verifier verifier;
    bool valid = scram_verifier_parse(text, &verifier) == 0;

    sodium_memzero(&verifier, sizeof(verifier));
    return valid;
}

void
scram_verifier_fake(const unsigned char *key, const char *name, size_t octets,
                    struct scram_verifier *verifier_r)
{
    unsigned char digest[SCRAM_KEY_OCTETS];

    hmac(key, name, octets, digest);
    memcpy(verifier_r->salt, digest, SCRAM_SALT_OCTETS);
    /* No proof gives this stored key, as far as anybody can find one. */
    hmac(key, digest, sizeof(digest), verifier_r->stored_key);
    hmac(key, verifier_r->stored_key, SCRAM_KEY_OCTETS,
         verifier_r->server_key);
}

/* --- messages: attributes parted by commas (RFC 5802, 7) --- */

struct scan {
    const char *at;
    const char *end;
};

/* The next attribute's value, when it is this one: up to a comma or the end,
   and the scan stands behind the comma. */
static bool
attribute_take(struct scan *scan, char letter, const char **value_r,
               size_t *octets_r)
{
    const char *comma;

    if (scan->end - scan->at < 2 || scan->at[0] != letter
        || scan->at[1] != '=')
        return false;
    *value_r = scan->at + 2;
    comma = memchr(*value_r, ',', (size_t)(scan->end - *value_r));
    if (comma == NULL)
        comma = scan->end;
    *octets_r = (size_t)(comma - *value_r);
    scan->at = comma < scan->end ? comma + 1 : comma;
    return true;
}

/* gs2-cbind-flag and its comma. */
static bool
flag_take(struct scan *scan, struct scram_first *first)
{
    if (attribute_take(scan, 'p', &first->binding_type,
                       &first->binding_type_octets)) {
        first->binding = SCRAM_BINDING_DEMANDED;
        return first->binding_type_octets > 0 && scan->at < scan->end;
    }
    if (scan->end - scan->at < 2 || scan->at[1] != ','
        || (scan->at[0] != 'n' && scan->at[0] != 'y'))
        return false;
    first->binding =
        scan->at[0] == 'n' ? SCRAM_BINDING_NONE : SCRAM_BINDING_UNUSED;
    scan->at += 2;
    return true;
}

/* saslname: "=2C" is a comma, "=3D" an equals sign, and no other "=". */
static bool
name_decode(struct scram_first *first)
{
    const char *name = first->name_text;
    size_t octets = first->name_text_octets;

    for (size_t i = 0; i < octets; i++) {
        char octet = name[i];

        if (octet == '=') {
            if (octets - i < 3
                || (memcmp(name + i, "=2C", 3) != 0
                    && memcmp(name + i, "=3D", 3) != 0))
                return false;
            octet = name[i + 1] == '2' ? ',' : '=';
            i += 2;
        }
        if (octet == '\0' || first->name_octets == sizeof(first->name))
            return false;
        first->name[first->name_octets++] = octet;
    }
    return first->name_octets > 0;
}

/* Printable ASCII without a comma. */
static bool
nonce_is_valid(const char *nonce, size_t octets)
{
    for (size_t i = 0; i < octets; i++)
        if (nonce[i] <= ' ' || nonce[i] > '~')
            return false;
    return octets > 0 && octets <= SCRAM_NONCE_OCTETS_MAX;
}

int
scram_first_parse(const char *message, size_t octets,
                  struct scram_first *first_r)
{
    struct scan scan = {message, message + octets};

    *first_r = (struct scram_first){0};
    if (!flag_take(&scan, first_r))
        return -1;
    if (!attribute_take(&scan, 'a', &first_r->authzid,
                        &first_r->authzid_octets)) {
        if (scan.at == scan.end || scan.at[0] != ',')
            return -1;
        scan.at++;
    }
    first_r->header_octets = (size_t)(scan.at - message);
    /* "m=" first is an extension that must be understood: none is.  What
       stands behind the nonce may be ignored. */
    if (!attribute_take(&scan, 'n', &first_r->name_text,
                        &first_r->name_text_octets)
        || !name_decode(first_r)
        || !attribute_take(&scan, 'r', &first_r->nonce, &first_r->nonce_octets)
        || !nonce_is_valid(first_r->nonce, first_r->nonce_octets))
        return -1;
    return 0;
}

void
scram_nonce_make(char nonce_r[SCRAM_NONCE_OCTETS + 1])
{
    unsigned char random[SCRAM_NONCE_OCTETS / 4 * 3];

    randombytes_buf(random, sizeof(random));
    sodium_bin2base64(nonce_r, SCRAM_NONCE_OCTETS + 1, random, sizeof(random),
                      BASE64);
}

void
scram_server_first_build(struct buffer *message, const char *nonce,
                         const unsigned char salt[SCRAM_SALT_OCTETS])
{
    buffer_append_format(message, "r=%s,s=", nonce);
    base64_append(message, salt, SCRAM_SALT_OCTETS);
    buffer_append_format(message, ",i=%d", SCRAM_ITERATIONS);
}

int
scram_final_parse(const char *message, size_t octets,
                  struct scram_final *final_r)
{
    struct scan scan = {message, message + octets};
    const char *value;
    size_t value_octets;
    const char *proof;

    *final_r = (struct scram_final){0};
    if (!attribute_take(&scan, 'c', &final_r->binding,
                        &final_r->binding_octets)
        || !attribute_take(&scan, 'r', &final_r->nonce,
                           &final_r->nonce_octets))
        return -1;
    /* Extensions may stand between; the proof is the last. */
    proof = memrchr(message, ',', octets);
    if (proof == NULL || proof + 1 < scan.at)
        return -1;
    scan.at = proof + 1;
    final_r->bare_octets = (size_t)(proof - message);
    if (!attribute_take(&scan, 'p', &value, &value_octets)
        || base64_take(value, value_octets, final_r->proof, SCRAM_KEY_OCTETS)
               < 0)
        return -1;
    return 0;
}

bool
scram_binding_matches(const struct scram_final *final, const char *header,
                      size_t header_octets, const void *channel,
                      size_t channel_octets)
{
    size_t octets = header_octets + channel_octets;
    size_t room = BASE64_OCTETS(octets);
    unsigned char *wanted = xmalloc(octets + 1);
    char *text = xmalloc(room);
    bool matches;

    memcpy(wanted, header, header_octets);
    if (channel_octets > 0)
        memcpy(wanted + header_octets, channel, channel_octets);
    sodium_bin2base64(text, room, wanted, octets, BASE64);
    matches =
        strlen(text) == final->binding_octets
        && sodium_memcmp(text, final->binding, final->binding_octets) == 0;
    free(text);
    free(wanted);
    return matches;
}

bool
scram_proof_matches(const struct scram_verifier *verifier,
                    const void *auth_message, size_t octets,
                    const unsigned char proof[SCRAM_KEY_OCTETS],
                    unsigned char signature_r[SCRAM_KEY_OCTETS])
{
    unsigned char key[SCRAM_KEY_OCTETS];
    bool matches;

    /* ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage) */
    hmac(verifier->stored_key, auth_message, octets, key);
    for (size_t i = 0; i < SCRAM_KEY_OCTETS; i++)
        key[i] ^= proof[i];
    sha256(key, sizeof(key), key);
    matches = sodium_memcmp(key, verifier->stored_key, sizeof(key)) == 0;
    sodium_memzero(key, sizeof(key));
    hmac(verifier->server_key, auth_message, octets, signature_r);
    return matches;
}

void
scram_server_final_build(struct buffer *message,
                         const unsigned char signature[SCRAM_KEY_OCTETS])
{
    buffer_append_text(message, "v=");
    base64_append(message, signature, SCRAM_KEY_OCTETS);
}
