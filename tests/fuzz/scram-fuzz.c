/*
 * SCRAM's messages as a client sends them, and a verifier as a database holds
 * it: whatever the octets are, what is found lies within them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

static void
within(const char *message, size_t length, const char *part, size_t octets)
{
    if (part != NULL
        && (part < message || octets > length
            || part + octets > message + length))
        abort();
}

static void
first_try(const char *message, size_t length)
{
    struct scram_first first;

    if (scram_first_parse(message, length, &first) < 0)
        return;
    within(message, length, first.binding_type, first.binding_type_octets);
    within(message, length, first.authzid, first.authzid_octets);
    within(message, length, first.name_text, first.name_text_octets);
    within(message, length, first.nonce, first.nonce_octets);
    if (first.header_octets > length || first.name_octets == 0
        || first.name_octets > sizeof(first.name)
        || first.nonce_octets > SCRAM_NONCE_OCTETS_MAX)
        abort();
}

static void
final_try(const char *message, size_t length)
{
    struct scram_final final;

    if (scram_final_parse(message, length, &final) < 0)
        return;
    within(message, length, final.binding, final.binding_octets);
    within(message, length, final.nonce, final.nonce_octets);
    if (final.bare_octets >= length || message[final.bare_octets] != ',')
        abort();
    (void)scram_binding_matches(&final, "n,,", 3, NULL, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    /* With nothing behind it; and as text, for the verifier. */
    char *message = malloc(length > 0 ? length : 1);
    char *text = malloc(length + 1);

    memcpy(message, octets, length);
    memcpy(text, octets, length);
    text[length] = '\0';
    first_try(message, length);
    final_try(message, length);
    (void)scram_verifier_is_valid(text);
    free(message);
    free(text);
    return 0;
}
