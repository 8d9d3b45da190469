#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buffer.h"
#include "lib/message_id.h"

static void
test_which_ids_are_taken(void **state)
{
    static const struct {
        const char *id;
        bool valid;
        bool strict;
        const char *promise;
    } rows[] = {
        {"<a@b>", true, true, "the plainest"},
        {"<1993Apr5.1-x+y@news.example.net>", true, true, "dots and signs"},
        {"<a.b@[192.0.2.1]>", true, true, "a literal on the right"},
        {"<x@y@z>", true, false, "two @ are odd"},
        {"<abc>", true, false, "no @ is odd"},
        {"<a>", true, false, "three octets are enough"},
        {"<>", false, false, "two are not"},
        {"<a@mgweed!mgwhiz.att.com>", true, true, "1993: ! is atext"},
        {"<.a@b>", true, false, "a dot in front"},
        {"<a.@b>", true, false, "a dot at the end of the left"},
        {"<a..b@c>", true, false, "two dots together"},
        {"<a@b.>", true, false, "a dot at the end of the right"},
        {"<@b>", true, false, "nothing on the left"},
        {"<a@>", true, false, "nothing on the right"},
        {"<a@[b[c]>", true, false, "a bracket inside a literal"},
        {"<a@[b\\c]>", true, false, "a backslash inside a literal"},
        {"<a@[b]c>", true, false, "something behind a literal"},
        {"<\"a b\"@c>", false, false, "a quoted space"},
        {"<\"ab\"@c>", true, false, "a quoted string on the left"},
        {"<a b@c>", false, false, "a space"},
        {"<a\t@c>", false, false, "a TAB"},
        {"<a@b\xe9>", false, false, "an octet beyond ASCII"},
        {"<a@b\x7f>", false, false, "DEL"},
        {"<a<@b>", false, false, "< inside"},
        {"<a@b>>", false, false, "> inside"},
        {"a@b", false, false, "no brackets"},
        {"<a@b", false, false, "no > at the end"},
        {" <a@b>", false, false, "a space in front"},
        {"", false, false, "nothing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const size_t octets = strlen(rows[i].id);

        if (message_id_is_valid(rows[i].id, octets) != rows[i].valid)
            fail_msg("valid: %s: %s", rows[i].id, rows[i].promise);
        if (message_id_is_strict(rows[i].id, octets) != rows[i].strict)
            fail_msg("strict: %s: %s", rows[i].id, rows[i].promise);
    }
    assert_false(message_id_is_valid("<a\0@b>", 6));
}

static void
test_250_octets_are_the_most(void **state)
{
    char id[252];

    (void)state;
    memset(id, 'a', sizeof(id));
    id[0] = '<';
    id[100] = '@';
    id[249] = '>';
    assert_true(message_id_is_strict(id, 250));
    id[249] = 'a';
    id[250] = '>';
    assert_false(message_id_is_valid(id, 251));
}

/* The first vectors of SipHash's authors, 128 bits, key 00 01 .. 0f. */
static void
test_the_hash_is_siphash_of_128_bits(void **state)
{
    static const uint8_t expected[2][16] = {
        {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72,
         0x14, 0xc7, 0x55, 0x02, 0x93},
        {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59,
         0x11, 0x9b, 0x22, 0xfc, 0x45},
    };
    struct message_key key;

    (void)state;
    for (uint8_t i = 0; i < 16; i++)
        key.octets[i] = i;
    for (size_t length = 0; length < 2; length++) {
        const struct message_hash hash = message_id_hash(&key, "\0", length);

        assert_memory_equal(hash.octets, expected[length], 16);
    }
}

static void
test_generated_ids_are_strict_and_differ(void **state)
{
    enum { COUNT = 1000 };
    struct buffer ids[COUNT];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        ids[i] = BUFFER_EMPTY;
        message_id_generate(&ids[i], "news.example.net");
        assert_true(message_id_is_strict(ids[i].data, ids[i].used));
        assert_non_null(strstr(ids[i].data, "@news.example.net>"));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ids[i].data, ids[j].data);
    }
    for (int i = 0; i < COUNT; i++)
        buffer_free(&ids[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_ids_are_taken),
        cmocka_unit_test(test_250_octets_are_the_most),
        cmocka_unit_test(test_the_hash_is_siphash_of_128_bits),
        cmocka_unit_test(test_generated_ids_are_strict_and_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
