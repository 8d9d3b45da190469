#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/canlock.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define OLD    "fedcba9876543210fedcba9876543210"
#define ID     "<a@b.example>"

static char *
lock_of(const char *secrets, const char *user, const char *id)
{
    struct buffer list = BUFFER_EMPTY;

    canlock_append_lock(&list, secrets, user, id, strlen(id));
    return buffer_take(&list);
}

static char *
keys_of(const char *secrets, const char *user, const char *id)
{
    struct buffer list = BUFFER_EMPTY;

    canlock_append_keys(&list, secrets, user, id, strlen(id));
    return buffer_take(&list);
}

static const struct {
    const char *lock_secrets;
    const char *lock_user;
    const char *key_secrets;
    const char *key_user;
    const char *key_id;
    bool fits;
    const char *promise;
} makers[] = {
    {SECRET, "ada", SECRET, "ada", ID, true, "who posted it may"},
    {SECRET, "ada", SECRET, "bob", ID, false, "another user may not"},
    {SECRET, "ada", SECRET, "ada", "<c@b.example>", false,
     "a key is for one article"},
    {SECRET, "ada", OLD, "ada", ID, false, "another secret"},
    {OLD, "ada", SECRET "\n" OLD "\n", "ada", ID, true,
     "what was locked with the old secret"},
    {"# new\n" SECRET "\n" OLD "\n", "", SECRET, "", ID, true,
     "the first secret makes locks; the admin is no user"},
    {SECRET, "ada", SECRET, "", ID, false, "the admin's key is another"},
};

static void
test_keys_fit_their_locks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
        char *lock = lock_of(makers[i].lock_secrets, makers[i].lock_user, ID);
        char *keys = keys_of(makers[i].key_secrets, makers[i].key_user,
                             makers[i].key_id);

        assert_int_equal(strncmp(lock, "sha256:", 7), 0);
        assert_null(strchr(lock, ' '));
        if (canlock_allows(CANCELS_REQUIRE_AUTH, keys, lock) != makers[i].fits)
            fail_msg("%s", makers[i].promise);
        free(lock);
        free(keys);
    }
}

/* The example of RFC 8315, 5 and its like with other hashes. */
static const struct {
    enum canlock_policy policy;
    const char *keys;
    const char *locks;
    bool allowed;
    const char *promise;
} rows[] = {
    {CANCELS_REQUIRE_AUTH,
     "sha256:qv1VXHYiCGjkX/N1nhfYKcAeUn8bCVhrWhoKuBSnpMA=",
     "sha256:s/pmK/3grrz++29ce2/mQydzJuc7iqHn1nqcJiQTPMc=", true,
     "RFC 8315, 5"},
    {CANCELS_REQUIRE_AUTH,
     "sha256:qv1VXHYiCGjkX/N1nhfYKcAeUn8bCVhrWhoKuBSnpMB=",
     "sha256:s/pmK/3grrz++29ce2/mQydzJuc7iqHn1nqcJiQTPMc=", false,
     "another key"},
    {CANCELS_REQUIRE_AUTH, "sha512:eA==",
     "sha512:lhCckGHHDYp0zab0tRZs+v3y7m87RkfLaT8RYCMhCjgMv+/Ufr"
     "SY11Y5ijVM4fiUdHOp3MRaRS2YVz8L7J/guw==",
     true, "SHA-512"},
    {CANCELS_REQUIRE_AUTH, "sha512:eB==",
     "sha512:lhCckGHHDYp0zab0tRZs+v3y7m87RkfLaT8RYCMhCjgMv+/Ufr"
     "SY11Y5ijVM4fiUdHOp3MRaRS2YVz8L7J/guw==",
     false, "SHA-512, another key"},
    {CANCELS_REQUIRE_AUTH, "sha1:eA==", "sha1:0p918KkyPxKJWU718n2BjPxosMo=",
     false, "SHA-1 is not believed"},
    {CANCELS_REQUIRE_AUTH, "", "", false, "no lock, no cancel"},
    {CANCELS_REQUIRE_AUTH, "sha256:eA==", "", false, "a key for no lock"},
    {CANCELS_AUTH, "", "", true, "auth: what has no lock may go"},
    {CANCELS_AUTH, "", "sha256:eA==", false, "auth: what has one needs a key"},
    {CANCELS_ALL, "", "sha256:eA==", true, "all: whoever asks"},
    {CANCELS_NONE, "sha256:qv1VXHYiCGjkX/N1nhfYKcAeUn8bCVhrWhoKuBSnpMA=",
     "sha256:s/pmK/3grrz++29ce2/mQydzJuc7iqHn1nqcJiQTPMc=", false,
     "none: not even then"},
    {CANCELS_REQUIRE_AUTH,
     "sha256:AAAA sha256:qv1VXHYiCGjkX/N1nhfYKcAeUn8bCVhrWhoKuBSnpMA=",
     "sha256:BBBB sha256:s/pmK/3grrz++29ce2/mQydzJuc7iqHn1nqcJiQTPMc=", true,
     "any one of the keys, any one of the locks"},
};

static void
test_policies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (canlock_allows(rows[i].policy, rows[i].keys, rows[i].locks)
            != rows[i].allowed)
            fail_msg("%s", rows[i].promise);
}

static const struct {
    const char *field;
    const char *list;
    const char *promise;
} fields[] = {
    {"sha256:a=", "sha256:a=", "one"},
    {" sha256:a=\r\n\tsha1:b= ", "sha256:a= sha1:b=", "folded"},
    {"(one (two) \\) x) sha256:a=(c)sha1:b=", "sha256:a= sha1:b=",
     "comments, nested and quoted"},
    {"(never closed sha256:a=", "", "all of it is comment"},
    {"", "", "nothing"},
};

static void
test_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const struct field_value field = {.octets = fields[i].field,
                                          .length = strlen(fields[i].field)};
        struct buffer list = BUFFER_EMPTY;

        canlock_append_field(&list, &field);
        if (strcmp(buffer_text(&list), fields[i].list) != 0)
            fail_msg("%s: %s", fields[i].promise, buffer_text(&list));
        buffer_free(&list);
    }
}

static void
test_a_field_of_thousands_is_cut(void **state)
{
    struct buffer text = BUFFER_EMPTY;
    struct buffer list = BUFFER_EMPTY;
    struct field_value field;
    size_t spaces = 0;

    (void)state;
    for (int i = 0; i < 2000; i++)
        buffer_append_text(&text, "sha256:a= ");
    field = (struct field_value){.octets = text.data, .length = text.used};
    canlock_append_field(&list, &field);
    for (size_t i = 0; i < list.used; i++)
        spaces += list.data[i] == ' ';
    assert_int_equal(spaces, CANLOCK_ELEMENTS_MAX - 1);
    buffer_free(&text);
    buffer_free(&list);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_fit_their_locks),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_a_field_of_thousands_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
