#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/submission.h"

static const struct message_key key = {{1, 2, 3, 4, 5, 6, 7, 8, 9}};

static const struct {
    const char *name;
    char flag;
    uint32_t alias;
} groups[] = {
    {"local.a", 'y', 0},        {"local.b", 'm', 0},    {"local.gone", 0, 0},
    {"local.alias", '=', 1},    {"local.dead", '=', 3}, {"control", 'n', 0},
    {"control.cancel", 'n', 0},
};

static int
setup(void **state)
{
    struct active *active = active_new(16);

    for (uint32_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
        assert_int_equal(active_set(active, i + 1, groups[i].name,
                                    strlen(groups[i].name), groups[i].flag,
                                    groups[i].alias, 0, "", "", NULL),
                         0);
    active_set_key(active, &key);
    *state = active;
    return 0;
}

static int
teardown(void **state)
{
    active_close((struct active **)state);
    return 0;
}

/* Build from a head and the usual body; -1 is a refusal. */
static int
build(struct buffer *payload, const struct active *active, const char *head,
      bool prepend, struct buffer *why)
{
    struct buffer wire = BUFFER_EMPTY;
    struct article article;
    int result;

    buffer_append_format(&wire, "%s\r\nbody\r\n..dot\r\n.\r\n", head);
    if (article_parse(&article, wire.data, wire.used, why) < 0)
        fail_msg("%s", buffer_text(why));
    result = submission_build(payload, &article, active, "news.example",
                              prepend, SUBMISSION_POSTED, 77, why);
    buffer_free(&wire);
    return result;
}

#define REST  "From: a@b\r\nSubject: s\r\nDate: d\r\nMessage-ID: <1@x>\r\n"
#define GROUP "Newsgroups: local.a\r\n"

static void
test_path_gets_our_name_and_xref_goes(void **state)
{
    static const struct {
        const char *head;
        bool prepend;
        const char *expected;
        const char *promise;
    } rows[] = {
        {"Path: x!y\r\n" GROUP REST, true,
         "Path: news.example!x!y\r\n" GROUP REST, "our name goes in front"},
        {"Path: x!y\r\n" GROUP REST, false, "Path: x!y\r\n" GROUP REST,
         "an injected article has it already"},
        {"Path: NEWS.example!x\r\n" GROUP REST, true,
         "Path: NEWS.example!x\r\n" GROUP REST, "once is enough"},
        {"Path: news.example.org!x\r\n" GROUP REST, true,
         "Path: news.example!news.example.org!x\r\n" GROUP REST,
         "another name that begins alike is not ours"},
        {GROUP REST "Path:\r\n x\r\n", true,
         GROUP REST "Path:\r\n news.example!x\r\n", "a folded Path"},
        {"Xref: other a:1\r\nPath: x\r\n" GROUP REST, true,
         "Path: news.example!x\r\n" GROUP REST, "Xref before Path"},
        {"Path: x\r\n" GROUP "Xref: other a:1\r\n b:2\r\n" REST
         "XREF: again\r\n",
         true, "Path: news.example!x\r\n" GROUP REST,
         "folded, and more than one"},
        {"Path: x\r\n" GROUP "X-Xref: kept\r\n" REST, true,
         "Path: news.example!x\r\n" GROUP "X-Xref: kept\r\n" REST,
         "only Xref itself"},
        {"Path: x\r\n" GROUP REST "Comments: a\r\n Xref: folded\r\n"
         "Xref: o a:1\r\n",
         true,
         "Path: news.example!x\r\n" GROUP REST
         "Comments: a\r\n Xref: folded\r\n",
         "a folded line is no field"},
    };
    struct buffer payload = BUFFER_EMPTY, why = BUFFER_EMPTY;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct submission_view view = {0};
        struct buffer expected = BUFFER_EMPTY;
        struct article stored;

        if (build(&payload, *state, rows[i].head, rows[i].prepend, &why) < 0
            || submission_parse(&view, payload.data, payload.used, &why) < 0)
            fail_msg("%s: %s", rows[i].promise, why.data);
        buffer_append_format(&expected, "%s\r\nbody\r\n..dot\r\n.\r\n",
                             rows[i].expected);
        if (view.head.article_octets != expected.used
            || memcmp(view.article, expected.data, expected.used) != 0)
            fail_msg("%s: %.*s", rows[i].promise,
                     (int)view.head.article_octets, view.article);
        /* All that is said of the article is true of what is sent. */
        assert_int_equal(
            article_parse(&stored, expected.data, expected.used, &why), 0);
        assert_int_equal(view.head.bytes, stored.bytes);
        assert_int_equal(view.head.lines, 2);
        assert_int_equal(view.head.xref_offset, stored.head_octets);
        assert_int_equal(view.head.body_offset, stored.body_offset);
        assert_int_equal(view.head.body_crc,
                         crc32c(0, expected.data + stored.body_offset,
                                expected.used - stored.body_offset));
        assert_int_equal(view.head.message_id_octets, 5);
        assert_memory_equal(view.article + view.head.message_id_offset,
                            "<1@x>", 5);
        buffer_free(&expected);
    }
    buffer_free(&payload);
    buffer_free(&why);
}

static void
test_the_head_says_who_sent_what(void **state)
{
    struct buffer payload = BUFFER_EMPTY, why = BUFFER_EMPTY;
    struct submission_view view;
    struct message_hash hash = message_id_hash(&key, "<1@x>", 5);

    assert_int_equal(build(&payload, *state,
                           "Path: x\r\nApproved: me\r\nReferences: <0@x>\r\n"
                           " <00@x>\r\n" GROUP REST,
                           true, &why),
                     0);
    submission_mark_resubmit(&payload);
    assert_int_equal(submission_parse(&view, payload.data, payload.used, &why),
                     0);
    assert_int_equal(view.head.cookie, 77);
    assert_int_equal(view.head.flags, SUBMISSION_POSTED | SUBMISSION_APPROVED
                                          | SUBMISSION_RESUBMIT);
    assert_memory_equal(&view.head.hash, &hash, sizeof(hash));
    assert_int_equal(view.head.overview_octets,
                     strlen("s\ta@b\td\t<1@x>\t<0@x> <00@x>"));
    assert_memory_equal(view.overview, "s\ta@b\td\t<1@x>\t<0@x> <00@x>",
                        view.head.overview_octets);
    buffer_free(&payload);
    buffer_free(&why);
}

static void
test_groups_are_the_living_ones_each_once(void **state)
{
    static const struct {
        const char *newsgroups;
        const char *more;
        uint32_t expected[3]; /* ended by 0; none: refused */
    } rows[] = {
        {"local.a", "", {1}},
        {"local.b,local.a", "", {2, 1}},
        {"local.a, local.a,local.a,", "", {1}},
        {"unknown,local.a,local.gone", "", {1}},
        {"local.alias,local.a", "", {1}},
        {"local.alias", "", {1}},
        {"local.dead", "", {0}},
        {"local.gone", "", {0}},
        {"unknown", "", {0}},
        {"local.a", "Control: cancel <2@x>\r\n", {7}},
        {"local.a", "Control: sendsys\r\n", {6}},
        {"unknown", "Control: cancel <2@x>\r\n", {0}},
        {"unknown", "Control: newgroup unknown\r\n", {6}},
        {"unknown", "Control:\r\n", {0}},
    };
    struct buffer payload = BUFFER_EMPTY, why = BUFFER_EMPTY;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buffer head = BUFFER_EMPTY;
        struct submission_view view;
        uint32_t count = 0;
        int result;

        while (rows[i].expected[count] != 0)
            count++;
        buffer_append_format(&head, "Path: x\r\nNewsgroups: %s\r\n%s" REST,
                             rows[i].newsgroups, rows[i].more);
        result = build(&payload, *state, head.data, true, &why);
        buffer_free(&head);
        if (count == 0) {
            assert_int_equal(result, -1);
            assert_string_equal(why.data,
                                "none of its newsgroups is carried here");
            continue;
        }
        assert_int_equal(result, 0);
        assert_int_equal(
            submission_parse(&view, payload.data, payload.used, &why), 0);
        assert_int_equal(view.head.group_count, count);
        assert_memory_equal(view.groups, rows[i].expected,
                            count * sizeof(uint32_t));
    }
    buffer_free(&payload);
    buffer_free(&why);
}

/* Each row breaks one promise of a good payload. */
static void
test_a_payload_is_checked(void **state)
{
    static const struct {
        size_t offset; /* of a member of the head */
        uint32_t value;
        const char *promise;
    } rows[] = {
#define MEMBER(name) offsetof(struct submission, name)
        {MEMBER(group_count), 0, "no group"},
        {MEMBER(group_count), 201, "too many groups"},
        {MEMBER(group_count), UINT32_MAX, "absurdly many groups"},
        {MEMBER(overview_octets), 0, "lengths do not add up"},
        {MEMBER(overview_octets), UINT32_MAX, "a length past the end"},
        {MEMBER(article_octets), UINT32_MAX, "a length past the end"},
        {MEMBER(xref_offset), 0, "no head"},
        {MEMBER(xref_offset), 7, "not the end of the head"},
        {MEMBER(xref_offset), UINT32_MAX, "outside"},
        {MEMBER(xref_offset), UINT32_MAX - 1, "outside, wrapping round"},
        {MEMBER(body_offset), 0, "not behind the empty line"},
        {MEMBER(body_offset), 1, "not behind the empty line"},
        {MEMBER(bytes), 100000, "larger than itself"},
        {MEMBER(lines), 100000, "more lines than octets"},
        {MEMBER(message_id_offset), 0, "no message-ID there"},
        {MEMBER(message_id_offset), UINT32_MAX, "outside"},
        {MEMBER(message_id_octets), 0, "no message-ID"},
        {MEMBER(message_id_octets), UINT32_MAX, "outside"},
#undef MEMBER
    };
    struct buffer payload = BUFFER_EMPTY, why = BUFFER_EMPTY;
    struct submission_view view;

    assert_int_equal(
        build(&payload, *state, "Path: x\r\n" GROUP REST, true, &why), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char *copy = xmemdup(payload.data, payload.used);

        memcpy(copy + rows[i].offset, &rows[i].value, sizeof(uint32_t));
        if (submission_parse(&view, copy, payload.used, &why) == 0)
            fail_msg("taken: %s", rows[i].promise);
        free(copy);
    }
    /* Cut anywhere, it is not taken either. */
    for (size_t octets = 0; octets < payload.used; octets++) {
        char *copy = xmemdup(payload.data, octets);

        assert_int_equal(submission_parse(&view, copy, octets, &why), -1);
        free(copy);
    }
    /* Nor with a line end in the overview, or without the end of the
       article. */
    payload.data[sizeof(struct submission) + sizeof(uint32_t)] = '\n';
    assert_int_equal(submission_parse(&view, payload.data, payload.used, &why),
                     -1);
    payload.data[sizeof(struct submission) + sizeof(uint32_t)] = '\t';
    assert_int_equal(submission_parse(&view, payload.data, payload.used, &why),
                     -1);
    payload.data[sizeof(struct submission) + sizeof(uint32_t)] = 's';
    assert_int_equal(submission_parse(&view, payload.data, payload.used, &why),
                     0);
    payload.data[payload.used - 3] = 'x';
    assert_int_equal(submission_parse(&view, payload.data, payload.used, &why),
                     -1);
    buffer_free(&payload);
    buffer_free(&why);
}

static void
test_what_cannot_be_stored_is_refused_with_a_reason(void **state)
{
    struct buffer payload = BUFFER_EMPTY, why = BUFFER_EMPTY;

    assert_int_equal(build(&payload, *state, GROUP REST, true, &why), -1);
    assert_string_equal(why.data, "the article has no Path");
    assert_int_equal(build(&payload, *state,
                           "Path: x\r\n" GROUP "Message-ID: none\r\n", true,
                           &why),
                     -1);
    assert_string_equal(why.data, "the message-ID is malformed");
    buffer_free(&payload);
    buffer_free(&why);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_gets_our_name_and_xref_goes),
        cmocka_unit_test(test_the_head_says_who_sent_what),
        cmocka_unit_test(test_groups_are_the_living_ones_each_once),
        cmocka_unit_test(test_a_payload_is_checked),
        cmocka_unit_test(test_what_cannot_be_stored_is_refused_with_a_reason),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
