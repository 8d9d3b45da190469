/* SCRAM-SHA-256: the example of RFC 7677, verifiers, and what is no message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "lib/buffer.h"
#include "lib/password.h"
#include "lib/scram.h"

/* RFC 7677, 3 */
#define CLIENT_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define SERVER_FIRST                                                          \
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"                   \
    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define CLIENT_FINAL_BARE                                                     \
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define CLIENT_FINAL                                                          \
    CLIENT_FINAL_BARE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static void
key_make(const unsigned char *salted, const char *name, unsigned char *key_r)
{
    HMAC(EVP_sha256(), salted, SCRAM_KEY_OCTETS, (const unsigned char *)name,
         strlen(name), key_r, NULL);
}

/* What a client of ours would know of the password, and what we keep. */
static void
keys_make(const char *password, const char *salt, int iterations,
          unsigned char *client_key_r, struct scram_verifier *verifier_r)
{
    unsigned char salted[SCRAM_KEY_OCTETS];
    size_t octets;

    assert_int_equal(sodium_base642bin(verifier_r->salt, SCRAM_SALT_OCTETS,
                                       salt, strlen(salt), NULL, &octets, NULL,
                                       sodium_base64_VARIANT_ORIGINAL),
                     0);
    PKCS5_PBKDF2_HMAC(password, (int)strlen(password), verifier_r->salt,
                      (int)octets, iterations, EVP_sha256(), sizeof(salted),
                      salted);
    key_make(salted, "Client Key", client_key_r);
    EVP_Digest(client_key_r, SCRAM_KEY_OCTETS, verifier_r->stored_key, NULL,
               EVP_sha256(), NULL);
    key_make(salted, "Server Key", verifier_r->server_key);
}

static void
test_the_example_of_rfc_7677(void **state)
{
    static const char auth[] =
        "n=user,r=rOprNGfwEbeRWgbNEkqO," SERVER_FIRST "," CLIENT_FINAL_BARE;
    struct scram_verifier verifier;
    struct scram_first first;
    struct scram_final final;
    struct buffer message = BUFFER_EMPTY;
    unsigned char client_key[SCRAM_KEY_OCTETS];
    unsigned char signature[SCRAM_KEY_OCTETS];

    (void)state;
    assert_int_equal(
        scram_first_parse(CLIENT_FIRST, sizeof(CLIENT_FIRST) - 1, &first), 0);
    assert_int_equal(first.binding, SCRAM_BINDING_NONE);
    assert_int_equal(first.header_octets, 3);
    assert_int_equal(first.name_octets, 4);
    assert_memory_equal(first.name, "user", 4);
    assert_int_equal(first.nonce_octets, 20);
    keys_make("pencil", "W22ZaJ0SNY7soEsUEjb6gQ==", 4096, client_key,
              &verifier);
    assert_int_equal(
        scram_final_parse(CLIENT_FINAL, sizeof(CLIENT_FINAL) - 1, &final), 0);
    assert_int_equal(final.bare_octets, sizeof(CLIENT_FINAL_BARE) - 1);
    assert_true(scram_binding_matches(&final, "n,,", 3, NULL, 0));
    assert_false(scram_binding_matches(&final, "y,,", 3, NULL, 0));
    assert_false(scram_binding_matches(&final, "n,,", 3, "x", 1));
    assert_true(scram_proof_matches(&verifier, auth, sizeof(auth) - 1,
                                    final.proof, signature));
    scram_server_final_build(&message, signature);
    assert_string_equal(buffer_text(&message), SERVER_FINAL);
    /* Another word anywhere, and it is no proof. */
    assert_false(scram_proof_matches(&verifier, auth, sizeof(auth) - 2,
                                     final.proof, signature));
    final.proof[7] ^= 1;
    assert_false(scram_proof_matches(&verifier, auth, sizeof(auth) - 1,
                                     final.proof, signature));
    buffer_free(&message);
}

static void
test_a_verifier_belongs_to_its_password(void **state)
{
    char text[SCRAM_VERIFIER_OCTETS];
    char other[SCRAM_VERIFIER_OCTETS];
    char salt[sodium_base64_ENCODED_LEN(SCRAM_SALT_OCTETS,
                                        sodium_base64_VARIANT_ORIGINAL)];
    struct scram_verifier kept;
    struct scram_verifier made;
    unsigned char client_key[SCRAM_KEY_OCTETS];

    (void)state;
    assert_int_equal(scram_verifier_make("geheim", 6, text, NULL), 0);
    assert_int_equal(scram_verifier_make("geheim", 6, other, NULL), 0);
    assert_string_not_equal(text, other); /* each has its salt */
    assert_int_equal(scram_verifier_parse(text, &kept), 0);
    sodium_bin2base64(salt, sizeof(salt), kept.salt, sizeof(kept.salt),
                      sodium_base64_VARIANT_ORIGINAL);
    keys_make("geheim", salt, SCRAM_ITERATIONS, client_key, &made);
    assert_memory_equal(&kept, &made, sizeof(kept));
    keys_make("geheiM", salt, SCRAM_ITERATIONS, client_key, &made);
    assert_memory_not_equal(&kept, &made, sizeof(kept));
}

static void
test_a_password_is_prepared(void **state)
{
    static const struct {
        const char *password;
        bool good;
        const char *promise;
    } rows[] = {
        {"p\xc3\xa4sse", true, "letters of any script"},
        {"\xc2\xaa", true, "what RFC 4013 maps to another"},
        {"a\x07"
         "b",
         false, "a control character"},
        {"\xff\xfe", false, "no UTF-8"},
        {"\xc2\xad", false, "what is mapped to nothing, and nothing else"},
    };
    char text[SCRAM_VERIFIER_OCTETS];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if ((scram_verifier_make(rows[i].password, strlen(rows[i].password),
                                 text, NULL)
             == 0)
            != rows[i].good)
            fail_msg("%s", rows[i].promise);
}

static void
test_what_is_no_verifier(void **state)
{
    static const char *const rows[] = {
        "",
        "SCRAM-SHA-256$",
        "SCRAM-SHA-1$100000:AAAAAAAAAAAAAAAAAAAAAA==$x:y",
        /* of another cost */
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        /* a salt that is too short, and a key that is */
        "SCRAM-SHA-256$100000:W22ZaJ0SNY7soEsU$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$100000:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPL",
        /* something behind it */
        "SCRAM-SHA-256$100000:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (scram_verifier_is_valid(rows[i]))
            fail_msg("row %zu: %s", i, rows[i]);
}

static void
test_first_messages(void **state)
{
    static const struct {
        const char *message;
        int result;
        const char *name;
        const char *promise;
    } rows[] = {
        {"n,,n=user,r=abc", 0, "user", "the least"},
        {"y,,n=user,r=abc", 0, "user", "binding is known and not used"},
        {"p=tls-exporter,,n=user,r=abc", 0, "user", "binding"},
        {"n,a=user,n=user,r=abc", 0, "user", "an authzid"},
        {"n,,n=a=2Cb=3Dc,r=abc", 0, "a,b=c", "a comma and an equals sign"},
        {"n,,n=user,r=abc,x=later", 0, "user", "an extension that may be"},
        {"n,,m=must,n=user,r=abc", -1, "", "an extension that must"},
        {"n,,n=a=2cb,r=abc", -1, "", "a small letter"},
        {"n,,n=a=,r=abc", -1, "", "half a code"},
        {"n,,n=,r=abc", -1, "", "no name"},
        {"n,,r=abc", -1, "", "none at all"},
        {"n,,n=user", -1, "", "no nonce"},
        {"n,,n=user,r=", -1, "", "an empty nonce"},
        {"n,,n=user,r=a b", -1, "", "a space in it"},
        {"n,,n=user,r=\xc3\xa4", -1, "", "no ASCII in it"},
        {"n,x,n=user,r=abc", -1, "", "no authzid where one could be"},
        {"n,n=user,r=abc", -1, "", "a comma too few"},
        {"x,,n=user,r=abc", -1, "", "another flag"},
        {"p=,,n=user,r=abc", -1, "", "binding of no type"},
        {"p=tls-exporter", -1, "", "binding and nothing more"},
        {"n", -1, "", "a letter"},
        {"", -1, "", "nothing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct scram_first first;
        int result = scram_first_parse(rows[i].message,
                                       strlen(rows[i].message), &first);

        if (result != rows[i].result
            || (result == 0
                && (first.name_octets != strlen(rows[i].name)
                    || memcmp(first.name, rows[i].name, first.name_octets)
                           != 0)))
            fail_msg("%s: %s", rows[i].promise, rows[i].message);
    }
}

static void
test_final_messages(void **state)
{
#define PROOF "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    static const struct {
        const char *message;
        int result;
        const char *promise;
    } rows[] = {
        {"c=biws,r=abc," PROOF, 0, "the least"},
        {"c=biws,r=abc,x=later," PROOF, 0, "an extension"},
        {"c=biws,r=abc,p=dHzb", -1, "a proof that is too short"},
        {"c=biws,r=abc," PROOF "AAAA", -1, "and one that is too long"},
        {"c=biws,r=abc", -1, "no proof"},
        {"c=biws," PROOF, -1, "no nonce"},
        {"r=abc," PROOF, -1, "no binding"},
        {"r=abc,c=biws," PROOF, -1, "another order"},
        {PROOF, -1, "the proof alone"},
        {"", -1, "nothing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct scram_final final;

        if (scram_final_parse(rows[i].message, strlen(rows[i].message), &final)
            != rows[i].result)
            fail_msg("%s: %s", rows[i].promise, rows[i].message);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_rfc_7677),
        cmocka_unit_test(test_a_verifier_belongs_to_its_password),
        cmocka_unit_test(test_a_password_is_prepared),
        cmocka_unit_test(test_what_is_no_verifier),
        cmocka_unit_test(test_first_messages),
        cmocka_unit_test(test_final_messages),
    };

    password_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
