/*
 * scram -- SCRAM-SHA-256 as a server speaks it (RFC 5802, RFC 7677).
 *
 * What is kept of a password is its verifier, as text:
 *   SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY
 * with base64 (RFC 5803 has the form).  Who reads it cannot log in with it,
 * but can try passwords against it far faster than against an Argon2id hash:
 * the weaker of the two decides.  All verifiers have the same cost, so that
 * what is told about an account that is none looks like any other's.
 *
 * The messages are taken apart and put together here; who sends them, and
 * what carries them, is others' business.
 */
#ifndef LIB_SCRAM_H
#define LIB_SCRAM_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;

enum {
    SCRAM_ITERATIONS = 100000, /* PBKDF2's, which the client carries out */
    SCRAM_SALT_OCTETS = 16,
    SCRAM_KEY_OCTETS = 32,
    SCRAM_VERIFIER_OCTETS = 160,  /* of the text, with its NUL */
    SCRAM_NONCE_OCTETS = 24,      /* of ours, as text */
    SCRAM_NONCE_OCTETS_MAX = 256, /* a client's that is longer is refused */
    SCRAM_NAME_OCTETS_MAX = 256,  /* and so is such a name */
};

struct scram_verifier {
    unsigned char salt[SCRAM_SALT_OCTETS];
    unsigned char stored_key[SCRAM_KEY_OCTETS];
    unsigned char server_key[SCRAM_KEY_OCTETS];
};

/* The verifier of a password, prepared as RFC 4013 says.  0, or -1 with why:
   the password has characters that SCRAM cannot carry. */
int scram_verifier_make(const char *password, size_t octets,
                        char text_r[SCRAM_VERIFIER_OCTETS],
                        struct buffer *why);
/* 0, or -1: the text is none, or of another cost. */
int scram_verifier_parse(const char *text, struct scram_verifier *verifier_r);
bool scram_verifier_is_valid(const char *text);
/* One that belongs to no password: always the same for a key (of
   SCRAM_KEY_OCTETS) and a name. */
void scram_verifier_fake(const unsigned char *key, const char *name,
                         size_t octets, struct scram_verifier *verifier_r);

/* --- the exchange --- */

enum scram_binding {
    SCRAM_BINDING_NONE,    /* "n": the client knows no channel binding */
    SCRAM_BINDING_UNUSED,  /* "y": it does, and thinks that we do not */
    SCRAM_BINDING_DEMANDED /* "p=TYPE" */
};

/* client-first-message.  Pointers lead into the message. */
struct scram_first {
    enum scram_binding binding;
    const char *binding_type; /* "tls-exporter"; of "p" */
    size_t binding_type_octets;
    size_t header_octets; /* of the gs2-header, with its last comma */
    const char *authzid;  /* as it stands there, encoded; NULL: none */
    size_t authzid_octets;
    const char *name_text; /* encoded too */
    size_t name_text_octets;
    char name[SCRAM_NAME_OCTETS_MAX]; /* "=2C" and "=3D" decoded */
    size_t name_octets;
    const char *nonce;
    size_t nonce_octets;
};
/* 0, or -1: it is none. */
int scram_first_parse(const char *message, size_t octets,
                      struct scram_first *first_r);

/* A nonce of ours: printable, without a comma. */
void scram_nonce_make(char nonce_r[SCRAM_NONCE_OCTETS + 1]);
/* server-first-message, for this nonce: the client's and ours behind it. */
void scram_server_first_build(struct buffer *message, const char *nonce,
                              const unsigned char salt[SCRAM_SALT_OCTETS]);

/* client-final-message.  Pointers lead into the message. */
struct scram_final {
    const char *binding; /* base64 */
    size_t binding_octets;
    const char *nonce;
    size_t nonce_octets;
    unsigned char proof[SCRAM_KEY_OCTETS];
    size_t bare_octets; /* of the message up to ",p=" */
};
int scram_final_parse(const char *message, size_t octets,
                      struct scram_final *final_r);
/* Is this what the client had to bind the exchange to: its gs2-header, and
   the channel's data? */
bool scram_binding_matches(const struct scram_final *final, const char *header,
                           size_t header_octets, const void *channel,
                           size_t channel_octets);

/* Does the proof belong to the verifier and this exchange?  signature_r is
   what shows the client that we know the verifier. */
bool scram_proof_matches(const struct scram_verifier *verifier,
                         const void *auth_message, size_t octets,
                         const unsigned char proof[SCRAM_KEY_OCTETS],
                         unsigned char signature_r[SCRAM_KEY_OCTETS]);
/* server-final-message. */
void scram_server_final_build(struct buffer *message,
                              const unsigned char signature[SCRAM_KEY_OCTETS]);

#endif
