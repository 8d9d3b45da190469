#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/wire.h"

#define HEAD                                                                  \
    "Path: a!b\r\n"                                                           \
    "From: a@b\r\n"                                                           \
    "SUBJECT:  two spaces \r\n"                                               \
    "message-id:\r\n <x@y> \r\n"                                              \
    "Newsgroups: a,\r\n\tb\r\n"                                               \
    "X-Odd:value\r\n"                                                         \
    "Keywords:\r\n"                                                           \
    "Organization:   \r\n"                                                    \
    "Lines: 1\r\n"                                                            \
    "Lines: 2\r\n"
#define BODY "one\r\n..two\r\n\r\n..\r\n"

static const char whole[] = HEAD "\r\n" BODY ".\r\n";

static void
assert_value(const struct field_value *value, const char *text)
{
    assert_non_null(value->octets);
    assert_int_equal(value->length, strlen(text));
    assert_memory_equal(value->octets, text, value->length);
}

static void
test_an_article_is_taken_apart(void **state)
{
    struct article article;
    const struct field_value *lines;

    (void)state;
    assert_int_equal(article_parse(&article, whole, sizeof(whole) - 1, NULL),
                     0);
    assert_int_equal(article.head_octets, strlen(HEAD));
    assert_int_equal(article.body_offset, strlen(HEAD) + 2);
    assert_int_equal(article.lines, 4);
    /* Two stuffed dots and the terminator are no part of it. */
    assert_int_equal(article.bytes, sizeof(whole) - 1 - 3 - 2);

    assert_value(&article.fields[FIELD_PATH], "a!b");
    assert_value(&article.fields[FIELD_SUBJECT], " two spaces ");
    assert_value(&article.fields[FIELD_MESSAGE_ID], "<x@y>");
    assert_value(&article.fields[FIELD_NEWSGROUPS], "a,\r\n\tb");
    assert_value(&article.fields[FIELD_ORGANIZATION], "");
    assert_null(article.fields[FIELD_DATE].octets);
    assert_int_equal(article.fields[FIELD_DATE].times, 0);

    /* Of two the first counts. */
    lines = &article.fields[FIELD_LINES];
    assert_value(lines, "1");
    assert_int_equal(lines->times, 2);
    assert_memory_equal(whole + lines->line_offset, "Lines: 1\r\nLines", 15);
    assert_int_equal(lines->line_octets, 10);
}

static void
test_every_field_is_known_by_its_name(void **state)
{
    (void)state;
    for (int field = 0; field < FIELD_COUNT; field++) {
        struct buffer wire = BUFFER_EMPTY;
        struct article article;

        buffer_append_format(&wire, "X-First: 1\r\n%s: value\r\n\r\n.\r\n",
                             field_name(field));
        assert_int_equal(article_parse(&article, wire.data, wire.used, NULL),
                         0);
        for (int other = 0; other < FIELD_COUNT; other++)
            assert_int_equal(article.fields[other].times, other == field);
        assert_value(&article.fields[field], "value");
        assert_int_equal(article.lines, 0);
        buffer_free(&wire);
    }
}

static void
test_what_is_no_article(void **state)
{
    static const struct {
        const char *octets;
        const char *why;
    } rows[] = {
        {"", "no end"},
        {".\r\n", "no end"},
        {"A: b\r\n\r\nbody\r\n", "no end"},
        {"A: b\r\n\r\nbody\n.\r\n", "no end"},
        {"\r\n.\r\n", "no header"},
        {"\r\nbody\r\n.\r\n", "no header"},
        {"A: b\r\n.\r\n", "no empty line"},
        {"A: b\r\nbody\r\n.\r\n", "no header field"},
        {" A: b\r\n\r\n.\r\n", "no header field"},
        {"A b: c\r\n\r\n.\r\n", "no header field"},
        {"A\xe9: c\r\n\r\n.\r\n", "no header field"},
        {": c\r\n\r\n.\r\n", "no header field"},
        {"A\r\n\r\n.\r\n", "no header field"},
        {"A: b\n\r\n.\r\n", "CRLF"},
        {"A:\n\r\n.\r\n", "CRLF"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer why = BUFFER_EMPTY;
        struct article article;

        if (article_parse(&article, rows[i].octets, strlen(rows[i].octets),
                          &why)
                != -1
            || strstr(buffer_text(&why), rows[i].why) == NULL)
            fail_msg("%s: %s", rows[i].octets, buffer_text(&why));
        buffer_free(&why);
    }
}

/* A head with so many fields, whose values have so many octets. */
static int
parse_head_of(int fields, int value_octets)
{
    struct buffer wire = BUFFER_EMPTY;
    struct article article;
    int result;

    for (int i = 0; i < fields; i++) {
        buffer_append_text(&wire, "A: ");
        for (int j = 0; j < value_octets; j++)
            buffer_append_char(&wire, 'x');
        buffer_append_text(&wire, "\r\n");
    }
    buffer_append_text(&wire, "\r\n.\r\n");
    result = article_parse(&article, wire.data, wire.used, NULL);
    buffer_free(&wire);
    return result;
}

static void
test_the_limits_of_a_header(void **state)
{
    (void)state;
    assert_int_equal(parse_head_of(1000, 1), 0);
    assert_int_equal(parse_head_of(1001, 1), -1);
    assert_int_equal(parse_head_of(1, 16384 - 5), 0);
    assert_int_equal(parse_head_of(1, 16384 - 4), -1);
    assert_int_equal(parse_head_of(4, 16384 - 5), 0);
    assert_int_equal(parse_head_of(5, 16384 - 5), -1);
}

static void
test_the_limit_of_an_article(void **state)
{
    static const char begin[] = "A: b\r\n\r\n";
    static const char end[] = "\r\n.\r\n";
    const size_t size = ARTICLE_OCTETS_HARD_MAX + 1;
    char *octets = malloc(size);
    struct article article;

    (void)state;
    memset(octets, 'x', size);
    memcpy(octets, begin, sizeof(begin) - 1);
    memcpy(octets + size - 1 - 5, end, sizeof(end) - 1);
    assert_int_equal(article_parse(&article, octets, size - 1, NULL), 0);
    octets[size - 6] = 'x';
    memcpy(octets + size - 5, end, sizeof(end) - 1);
    assert_int_equal(article_parse(&article, octets, size, NULL), -1);
    free(octets);
}

static void
test_any_field_is_found_by_name(void **state)
{
    struct field_value value;

    (void)state;
    assert_true(head_find(HEAD, strlen(HEAD), "x-odd", &value));
    assert_value(&value, "value");
    assert_true(head_find(HEAD, strlen(HEAD), "Keywords", &value));
    assert_value(&value, "");
    assert_true(head_find(HEAD, strlen(HEAD), "Message-ID", &value));
    assert_value(&value, "<x@y>");
    assert_true(head_find(HEAD, strlen(HEAD), "Lines", &value));
    assert_value(&value, "1");
    assert_int_equal(value.times, 2);
    assert_memory_equal(HEAD + value.line_offset, "Lines: 1\r\n",
                        value.line_octets);
    assert_true(head_find(HEAD, strlen(HEAD), "subject", &value));
    assert_value(&value, " two spaces ");
    assert_false(head_find(HEAD, strlen(HEAD), "Line", &value));
    assert_null(value.octets);
    assert_false(head_find(HEAD, strlen(HEAD), "b", &value));
    assert_false(head_find(HEAD, 0, "Path", &value));
}

static void
test_folding_is_taken_out(void **state)
{
    static const struct {
        const char *value;
        size_t octets;
        const char *text;
    } rows[] = {
        {"a b", 3, "a b"},
        {"a\r\n b", 5, "a b"},
        {"a\r\n\tb", 5, "a b"},
        {"a\tb", 3, "a b"},
        {"a\0b", 3, "a b"},
        {"a\rb\nc", 5, "a b c"},
        {"a\r", 2, "a "},
        {"\r\n", 2, ""},
        {"", 0, ""},
        {"gr\xfc\xdf", 4, "gr\xfc\xdf"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct field_value value = {rows[i].value, rows[i].octets, 0, 0,
                                          1};
        struct buffer text = BUFFER_EMPTY;

        field_unfold(&value, &text);
        assert_string_equal(buffer_text(&text), rows[i].text);
        assert_int_equal(text.used, strlen(rows[i].text));
        buffer_free(&text);
    }
}

static void
test_the_overview_has_five_fields(void **state)
{
    static const char full[] =
        "References: <1@a>\r\n <2@a>\r\nMessage-ID: <3@a>\r\n"
        "Date: 1 Apr 93\r\nFrom: a\t<a@b>\r\nSubject: Re: x\r\n\ty\r\n"
        "\r\n.\r\n";
    static const char scanty[] = "Subject: x\r\n\r\n.\r\n";
    struct buffer line = BUFFER_EMPTY;
    struct article article;

    (void)state;
    assert_int_equal(article_parse(&article, full, sizeof(full) - 1, NULL), 0);
    article_overview(&article, &line);
    assert_string_equal(buffer_text(&line),
                        "Re: x y\ta <a@b>\t1 Apr 93\t<3@a>\t<1@a> <2@a>");
    buffer_clear(&line);
    assert_int_equal(article_parse(&article, scanty, sizeof(scanty) - 1, NULL),
                     0);
    article_overview(&article, &line);
    assert_string_equal(buffer_text(&line), "x\t\t\t\t");
    buffer_free(&line);
}

static void
test_long_references_keep_the_first_and_the_newest(void **state)
{
    struct buffer wire = BUFFER_EMPTY;
    struct buffer line = BUFFER_EMPTY;
    struct article article;

    (void)state;
    buffer_append_text(&wire, "References: <first@a>");
    for (int i = 0; i < 700; i++)
        buffer_append_format(&wire, "\r\n <%d@example.com>", i);
    buffer_append_text(&wire, "\r\n\r\n.\r\n");
    assert_int_equal(article_parse(&article, wire.data, wire.used, NULL), 0);
    article_overview(&article, &line);
    assert_in_range(line.used, 8100, 8192 + 4);
    assert_memory_equal(line.data, "\t\t\t\t<first@a> <", 15);
    assert_non_null(strstr(line.data, " <698@example.com> <699@example.com>"));
    assert_null(strstr(line.data, "<0@example.com>"));
    assert_int_equal(line.used, strlen(line.data));

    /* What is one long word has no ID to keep. */
    buffer_clear(&wire);
    buffer_clear(&line);
    buffer_append_text(&wire, "References: ");
    for (int i = 0; i < 9000; i++)
        buffer_append_char(&wire, 'x');
    buffer_append_text(&wire, "\r\n\r\n.\r\n");
    assert_int_equal(article_parse(&article, wire.data, wire.used, NULL), 0);
    article_overview(&article, &line);
    assert_string_equal(buffer_text(&line), "\t\t\t\t");
    buffer_free(&wire);
    buffer_free(&line);
}

static void
test_a_host_is_found_in_path(void **state)
{
    static const struct {
        const char *path;
        bool has;
        const char *promise;
    } rows[] = {
        {"news.example.net!not-for-mail", true, "first"},
        {"a!news.example.net!not-for-mail", true, "in the middle"},
        {"a!NEWS.Example.NET!x", true, "case does not matter"},
        {"a!news.example.net", true, "last"},
        {"a!\r\n news.example.net!x", true, "behind folding"},
        {"a!news.example.net\r\n !x", true, "before folding"},
        {"a!!news.example.net!!b", true, "beside empty entries"},
        {"a!news.example.net.uk!x", false, "the beginning of another"},
        {"a!my.news.example.net!x", false, "the end of another"},
        {"a!.POSTED.news.example.net!x", false, "a diagnostic"},
        {"", false, "nothing"},
        {"!", false, "no entry"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct field_value value = {rows[i].path, strlen(rows[i].path),
                                          0, 0, 1};

        if (path_has(&value, "news.example.net") != rows[i].has)
            fail_msg("%s: %s", rows[i].promise, rows[i].path);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_article_is_taken_apart),
        cmocka_unit_test(test_every_field_is_known_by_its_name),
        cmocka_unit_test(test_what_is_no_article),
        cmocka_unit_test(test_the_limits_of_a_header),
        cmocka_unit_test(test_the_limit_of_an_article),
        cmocka_unit_test(test_any_field_is_found_by_name),
        cmocka_unit_test(test_folding_is_taken_out),
        cmocka_unit_test(test_the_overview_has_five_fields),
        cmocka_unit_test(test_long_references_keep_the_first_and_the_newest),
        cmocka_unit_test(test_a_host_is_found_in_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
