#include "innd/check.h"

#include <string.h>

#include "lib/shared.h"

_Static_assert(sizeof(((struct ipc_login_result *)NULL)->scram)
                   == SCRAM_KEY_OCTETS,
               "room for a signature");

/* The generation first: what changes later is noticed by who compares. */
static int
account_look(struct accounts *accounts, struct check *check)
{
    check->generation = atomic_load(&check->shared->accounts_generation);
    return account_find(accounts, check->name, check->name_octets,
                        &check->account, &check->why);
}

static enum verdict
found_verdict(const struct check *check, int found)
{
    if (found < 0)
        return VERDICT_FAILED;
    if (found == 0)
        return VERDICT_UNKNOWN;
    return check->account.disabled ? VERDICT_WRONG : VERDICT_RIGHT;
}

static enum verdict
check_password(struct accounts *accounts, struct check *check)
{
    int found = account_look(accounts, check);
    char hash[PASSWORD_HASH_OCTETS];
    bool matches;

    if (found < 0)
        return VERDICT_FAILED;
    matches = password_verify(check->secret.data, check->secret.used,
                              found > 0 ? check->account.hash : NULL);
    if (found == 0)
        return VERDICT_UNKNOWN;
    if (!matches)
        return VERDICT_WRONG;
    /* Meanwhile it may have been given another, or have been removed. */
    memcpy(hash, check->account.hash, sizeof(hash));
    found = account_look(accounts, check);
    if (found > 0 && strcmp(hash, check->account.hash) != 0)
        return VERDICT_WRONG;
    return found == 0 ? VERDICT_WRONG : found_verdict(check, found);
}

/* An account's own verifier, or one that looks like it. */
static bool
verifier_get(const struct accounts *accounts, const struct check *check,
             int found, struct scram_verifier *verifier_r)
{
    if (found > 0
        && scram_verifier_parse(check->account.scram, verifier_r) == 0)
        return true;
    scram_verifier_fake(accounts_key(accounts), check->name,
                        check->name_octets, verifier_r);
    return false;
}

static enum verdict
check_salt(struct accounts *accounts, struct check *check)
{
    struct scram_verifier verifier;
    int found = account_look(accounts, check);

    if (found < 0)
        return VERDICT_FAILED;
    (void)verifier_get(accounts, check, found, &verifier); /* either serves */
    memcpy(check->scram, verifier.salt, sizeof(verifier.salt));
    /* He has not shown that it is his. */
    memset(&check->account, 0, sizeof(check->account));
    password_wipe(&verifier, sizeof(verifier));
    return VERDICT_RIGHT;
}

static enum verdict
check_proof(struct accounts *accounts, struct check *check)
{
    const unsigned char *proof =
        (const unsigned char *)(void *)check->secret.data;
    struct scram_verifier verifier;
    int found = account_look(accounts, check);
    bool known;
    bool matches;

    if (found < 0 || check->secret.used < SCRAM_KEY_OCTETS)
        return found < 0 ? VERDICT_FAILED : VERDICT_WRONG;
    known = verifier_get(accounts, check, found, &verifier);
    matches = scram_proof_matches(
        &verifier, check->secret.data + SCRAM_KEY_OCTETS,
        check->secret.used - SCRAM_KEY_OCTETS, proof, check->scram);
    password_wipe(&verifier, sizeof(verifier));
    return known && matches ? found_verdict(check, found) : VERDICT_WRONG;
}

void
check_run(struct accounts *accounts, void *work)
{
    struct check *check = work;

    switch (check->kind) {
    case LOGIN_PASSWORD:
        check->verdict = check_password(accounts, check);
        break;
    case LOGIN_SALT:
        check->verdict = check_salt(accounts, check);
        break;
    case LOGIN_PROOF:
        check->verdict = check_proof(accounts, check);
        break;
    case LOGIN_CERTIFICATE:
    case LOGIN_AGAIN:
        check->verdict = found_verdict(check, account_look(accounts, check));
        break;
    }
    password_wipe(check->account.hash, sizeof(check->account.hash));
    password_wipe(check->account.scram, sizeof(check->account.scram));
}

void
check_clear(struct check *check)
{
    if (check->secret.data != NULL)
        password_wipe(check->secret.data, check->secret.size);
    buffer_free(&check->secret);
    buffer_free(&check->why);
    password_wipe(check, sizeof(*check));
}
