#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/wire.h"

enum {
    NOW = 1795467845, /* 2026-11-23 21:04:05 UTC */
    DAY = 24 * 60 * 60,
    TEN_DAYS = 10 * DAY,
};

static const struct article_rules rules = {"news.example.net", NOW, TEN_DAYS,
                                           1000000};

/* An article that is good but for what a test puts in a field's place. */
static const struct {
    const char *name;
    const char *value;
} good[] = {
    {"Path", "a.example!not-for-mail"},
    {"From", "a@b"},
    {"Newsgroups", "local.test"},
    {"Subject", "x"},
    {"Message-ID", "<1@a>"},
    {"Date", "Mon, 23 Nov 2026 20:00:00 +0000"},
};

/* value NULL: without the field; name NULL: the good one; extra: more fields,
   with CRLF. */
static int
check_with(const char *name, const char *value, const char *extra,
           const struct article_rules *with, struct buffer *why)
{
    struct buffer wire = BUFFER_EMPTY;
    struct article article;
    int result;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const bool replaced = name != NULL && strcmp(name, good[i].name) == 0;

        if (replaced && value == NULL)
            continue;
        buffer_append_format(&wire, "%s: %s\r\n", good[i].name,
                             replaced ? value : good[i].value);
    }
    buffer_append_format(&wire, "%s\r\nbody\r\n.\r\n", extra);
    assert_int_equal(article_parse(&article, wire.data, wire.used, why), 0);
    result = article_check_relayed(&article, with, why);
    buffer_free(&wire);
    return result;
}

static void
test_what_a_relaying_server_takes(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        const char *extra;
        const char *why; /* NULL: it is taken */
    } rows[] = {
        {NULL, NULL, "", NULL},
        {"Path", NULL, "", "no Path"},
        {"From", NULL, "", "no From"},
        {"Newsgroups", NULL, "", "no Newsgroups"},
        {"Subject", NULL, "", "no Subject"},
        {"Message-ID", NULL, "", "no Message-ID"},
        {"Date", NULL, "", "no Date"},
        {"Path", "", "", "Path header field is empty"},
        {"From", " ", "", "From header field is empty"},
        {"Subject", "  ", "", "Subject header field is empty"},
        {"Date", "", "", "Date header field is empty"},
        {NULL, NULL, "Subject: y\r\n", "Subject occurs 2 times"},
        {NULL, NULL, "Message-ID: <2@a>\r\n", "Message-ID occurs 2 times"},
        {NULL, NULL, "Path: b\r\n", "Path occurs 2 times"},
        {NULL, NULL, "Control: a\r\nControl: b\r\n", "Control occurs"},
        {NULL, NULL, "Lines: 1\r\nLines: 2\r\n", NULL},
        {NULL, NULL, "Keywords:\r\nOrganization: \r\n", NULL},

        {"Message-ID", "<a@b@c>", "", NULL},
        {"Message-ID", "<no-at-sign>", "", NULL},
        {"Message-ID", "\r\n <folded@a>", "", NULL},
        {"Message-ID", "1@a", "", "no message-ID"},
        {"Message-ID", "<1@a> <2@a>", "", "no message-ID"},
        {"Message-ID", "<1 2@a>", "", "no message-ID"},

        {"Date", "yesterday", "", "Date cannot be understood"},
        {"Date", "Tue, 24 Nov 2026 21:04:05 +0000", "", NULL},
        {"Date", "Tue, 24 Nov 2026 21:04:06 +0000", "", "in the future"},
        {"Date", "Fri, 13 Nov 2026 21:04:05 +0000", "", NULL},
        {"Date", "Fri, 13 Nov 2026 21:04:04 +0000", "", "too old"},
        {"Date", "23 Apr 93 09:15 GMT",
         "Injection-Date: Mon, 23 Nov 2026 20:00:00 +0000\r\n", NULL},
        {NULL, NULL, "Injection-Date: 23 Apr 93 09:15 GMT\r\n", "too old"},
        {NULL, NULL, "Injection-Date: 23 Apr 36 09:15 GMT\r\n",
         "in the future"},
        {NULL, NULL, "Injection-Date: never\r\n", "cannot be understood"},

        {"Newsgroups", "a,b,", "", NULL},
        {"Newsgroups", "a, b", "", NULL},
        {"Newsgroups", "a,\r\n\tb", "", NULL},
        {"Newsgroups", "a,b*c", "", NULL},
        {"Newsgroups", ",", "", "no newsgroup"},
        {"Newsgroups", "a*", "", "no newsgroup"},

        {"Path", "a!news.example.net!b", "", "in Path already"},
        {"Path", "News.Example.Net!b", "", "in Path already"},
        {"Path", "a!.POSTED.news.example.net!b", "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer why = BUFFER_EMPTY;
        const int result = check_with(rows[i].name, rows[i].value,
                                      rows[i].extra, &rules, &why);

        if (rows[i].why == NULL
                ? result != 0
                : result != -1
                      || strstr(buffer_text(&why), rows[i].why) == NULL)
            fail_msg("row %zu, wanted \"%s\": \"%s\"", i,
                     rows[i].why != NULL ? rows[i].why : "",
                     buffer_text(&why));
        buffer_free(&why);
    }
}

/* A list of count names, each of the given length, with between in between. */
static char *
names(int count, int octets, char between)
{
    struct buffer list = BUFFER_EMPTY;

    for (int i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_char(&list, between);
        for (int j = 0; j < octets; j++)
            buffer_append_char(&list, 'a');
    }
    return buffer_take(&list);
}

static void
test_the_limits_of_a_relayed_article(void **state)
{
    static const struct {
        const char *name;
        int count;
        int octets;
        char between;
        int result;
        const char *promise;
    } rows[] = {
        {"Newsgroups", 200, 9, ',', 0, "200 newsgroups"},
        {"Newsgroups", 201, 9, ',', -1, "201 newsgroups"},
        {"Newsgroups", 1, 460, ',', 0, "a name of 460 octets"},
        {"Newsgroups", 1, 461, ',', -1, "a name of 461 octets"},
        {"Path", 200, 3, '!', 0, "200 entries in Path"},
        {"Path", 201, 3, '!', -1, "201 entries in Path"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *list = names(rows[i].count, rows[i].octets, rows[i].between);

        if (check_with(rows[i].name, list, "", &rules, NULL) != rows[i].result)
            fail_msg("%s", rows[i].promise);
        free(list);
    }
}

static void
test_one_name_too_long_refuses_the_article(void **state)
{
    struct buffer list = BUFFER_EMPTY;
    char *name = names(1, 461, ',');

    (void)state;
    buffer_append_format(&list, "local.test,%s", name);
    assert_int_equal(
        check_with("Newsgroups", buffer_text(&list), "", &rules, NULL), -1);
    buffer_free(&list);
    free(name);
}

static void
test_the_site_sets_size_and_age(void **state)
{
    struct article_rules own = rules;

    (void)state;
    /* The good article's fields, the empty line, and "body". */
    own.size_octets_max = 135 + 2 + 6;
    assert_int_equal(check_with(NULL, NULL, "", &own, NULL), 0);
    own.size_octets_max--;
    assert_int_equal(check_with(NULL, NULL, "", &own, NULL), -1);
    own.size_octets_max = 0;
    assert_int_equal(check_with(NULL, NULL, "", &own, NULL), 0);

    assert_int_equal(
        check_with("Date", "1 Jan 1990 00:00:00 GMT", "", &own, NULL), -1);
    own.cutoff_seconds = 0;
    assert_int_equal(
        check_with("Date", "1 Jan 1990 00:00:00 GMT", "", &own, NULL), 0);
}

/* --- articles in files */

static void
read_file(int directory, const char *name, struct buffer *text)
{
    const int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    ssize_t count;

    if (fd < 0)
        fail_msg("cannot open %s", name);
    do {
        count = read(fd, buffer_reserve(text, 65536), 65536);
        assert_true(count >= 0);
        text->used += (size_t)count;
    } while (count > 0);
    close(fd);
}

/* Text with LF at its lines' ends goes to wire form, is scanned, parsed and
   checked, and comes back. */
static void
article_goes_through(int directory, const char *name)
{
    const struct article_rules any_age = {"news.example.net", NOW, 0, 1000000};
    struct wire_scanner scanner = {0, 0, 0};
    struct buffer text = BUFFER_EMPTY;
    struct buffer wire = BUFFER_EMPTY;
    struct buffer back = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;
    struct article article;
    size_t lfs = 0;
    size_t at = 0;
    bool ended;

    read_file(directory, name, &text);
    for (size_t i = 0; i < text.used; i++)
        lfs += text.data[i] == '\n';
    wire_from_text(&wire, text.data, text.used);
    assert_int_equal(wire_scan(&scanner, wire.data, wire.used, &ended),
                     wire.used);
    assert_true(ended);
    assert_int_equal(scanner.faults, 0);
    if (article_parse(&article, wire.data, wire.used, &why) < 0
        || article_check_relayed(&article, &any_age, &why) < 0)
        fail_msg("%s: %s", name, buffer_text(&why));
    assert_int_equal(article.bytes,
                     text.used + lfs
                         + (text.data[text.used - 1] != '\n' ? 2u : 0u));

    wire_to_text(&back, wire.data, wire.used);
    for (size_t i = 0; i < back.used; i++)
        if (back.data[i] != '\r')
            assert_true(at >= text.used || back.data[i] == text.data[at++]);
    assert_int_equal(at, text.used);
    buffer_free(&text);
    buffer_free(&wire);
    buffer_free(&back);
    buffer_free(&why);
}

/* Every file in a directory and those below it; returns how many. */
static int
directory_goes_through(int fd)
{
    DIR *directory = fdopendir(fd);
    struct dirent *entry;
    int files = 0;

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        struct stat status;

        if (entry->d_name[0] == '.')
            continue;
        assert_int_equal(fstatat(fd, entry->d_name, &status, 0), 0);
        if (S_ISDIR(status.st_mode)) {
            files += directory_goes_through(
                openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        } else {
            article_goes_through(fd, entry->d_name);
            files++;
        }
    }
    closedir(directory);
    return files;
}

static void
test_the_articles_of_the_tree_are_taken(void **state)
{
    const int fd =
        open("tests/data/articles", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    if (fd < 0)
        fail_msg("no tests/data/articles here: run this from the tree's top");
    assert_int_equal(directory_goes_through(fd), 8);
}

/* RENEWS_CORPUS names a directory of real articles, one a file. */
static void
test_real_articles_are_taken(void **state)
{
    const char *corpus = getenv("RENEWS_CORPUS");
    int fd;

    (void)state;
    if (corpus == NULL) {
        print_message("skipped: RENEWS_CORPUS names no directory\n");
        skip();
        return;
    }
    fd = open(corpus, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(directory_goes_through(fd) > 0);
}

static const struct {
    const char *distribution; /* NULL: none */
    const char *wildmat;
    bool good;
    const char *promise;
} distributions[] = {
    {NULL, "local", true, "without one it is for everybody"},
    {"local", "*", true, "a site that takes all"},
    {"local", "world,local", true, "one of the site's"},
    {"usa, local", "local", true, "one of several"},
    {"usa", "local", false, "none of the site's"},
    {"local", "*,!local", false, "one that the site refuses"},
    {"", "local", true, "an empty field names none"},
};

static void
test_distributions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(distributions) / sizeof(*distributions);
         i++) {
        struct article article = {.octets = ""};
        struct field_value *field = &article.fields[FIELD_DISTRIBUTION];
        struct buffer why = BUFFER_EMPTY;

        field->octets = distributions[i].distribution;
        field->length =
            field->octets == NULL ? 0 : strlen(distributions[i].distribution);
        if ((article_check_distribution(&article, distributions[i].wildmat,
                                        &why)
             == 0)
            != distributions[i].good)
            fail_msg("%s: %s", distributions[i].promise, buffer_text(&why));
        buffer_free(&why);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_what_a_relaying_server_takes),
        cmocka_unit_test(test_the_limits_of_a_relayed_article),
        cmocka_unit_test(test_one_name_too_long_refuses_the_article),
        cmocka_unit_test(test_the_site_sets_size_and_age),
        cmocka_unit_test(test_the_articles_of_the_tree_are_taken),
        cmocka_unit_test(test_real_articles_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
