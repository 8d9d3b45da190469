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
#include "lib/date.h"
#include "lib/message_id.h"

enum {
    NOW = 1795467845, /* 2026-11-23 21:04:05 UTC */
    DAY = 24 * 60 * 60,
    TEN_DAYS = 10 * DAY,
};

#define MANDATORY                                                             \
    "From: A <a@b.example>\r\nNewsgroups: local.test\r\n"                     \
    "Subject: x\r\n"
#define INFO "Injection-Info: news.example.net\r\n"
#define TEN  "1234567890"
#define DATES                                                                 \
    "Date: Mon, 23 Nov 2026 21:04:05 +0000\r\n"                               \
    "Injection-Date: Mon, 23 Nov 2026 21:04:05 +0000\r\n"

static const struct article_rules rules = {"news.example.net", NOW, TEN_DAYS,
                                           1000000};
static const struct injection plain = {.pathhost = "news.example.net",
                                       .message_id = "<offered@news>"};

/* Inject head and body; what comes out is in wire, or why in why. */
static int
inject(const char *head, const char *body, const struct injection *injection,
       struct buffer *wire, struct buffer *why)
{
    struct buffer proto = BUFFER_EMPTY;
    struct article article;
    int result;

    buffer_append_format(&proto, "%s\r\n%s.\r\n", head, body);
    result = article_parse(&article, proto.data, proto.used, why);
    if (result == 0)
        result = article_inject(&article, &rules, injection, wire, why);
    buffer_free(&proto);
    return result;
}

/* --- what is added */

static void
test_what_injection_adds(void **state)
{
    static const struct injection full = {.pathhost = "news.example.net",
                                          .client_host = "192.0.2.7",
                                          .path_host = "192.0.2.7",
                                          .account = "ada \"x\\y\"",
                                          .complaints = "abuse@b.example",
                                          .organization = "An example site",
                                          .message_id = "<offered@news>"};
    static const struct injection odd_host = {.pathhost = "news.example.net",
                                              .client_host = "a b!c\r\nX: y",
                                              .path_host = "a b!c\r\nX: y",
                                              .message_id = "<offered@news>"};
    static const struct injection locked = {.pathhost = "news.example.net",
                                            .message_id = "<offered@news>",
                                            .cancel_lock =
                                                "sha256:a= sha256:b=",
                                            .cancel_key = "sha256:k="};
    static const struct injection shaped = {.pathhost = "news.example.net",
                                            .pathcluster = "cluster.example",
                                            .message_id = "<offered@news>",
                                            .distribution = "local",
                                            .sender = "ada@news.example.net",
                                            .own_sender = true,
                                            .strip_path = true,
                                            .strip_recipients = true};
    static const struct injection ipv6 = {.pathhost = "news.example.net",
                                          .client_host = "2001:db8::1",
                                          .path_host = "2001:db8::1",
                                          .message_id = "<offered@news>"};
    static const struct {
        const struct injection *injection;
        const char *head;
        const char *wanted;
        const char *promise;
    } rows[] = {
        {&plain, MANDATORY,
         "Path: news.example.net!.POSTED!not-for-mail\r\n" INFO
         "Message-ID: <offered@news>\r\n" DATES MANDATORY,
         "all that is missing"},
        {&plain, MANDATORY "Message-ID: <own@b.example>\r\n",
         "Path: news.example.net!.POSTED!not-for-mail\r\n" INFO DATES MANDATORY
         "Message-ID: <own@b.example>\r\n",
         "the poster's Message-ID stays"},
        {&plain, "Date: 23 Nov 2026 20:00 GMT\r\n" MANDATORY,
         "Path: news.example.net!.POSTED!not-for-mail\r\n" INFO
         "Message-ID: <offered@news>\r\n"
         "Injection-Date: Mon, 23 Nov 2026 21:04:05 +0000\r\n"
         "Date: 23 Nov 2026 20:00 GMT\r\n" MANDATORY,
         "the poster's Date stays"},
        {&plain,
         "Date: 23 Nov 2026 20:00 GMT\r\nMessage-ID: "
         "<own@b.example>\r\n" MANDATORY,
         "Path: news.example.net!.POSTED!not-for-mail\r\n" INFO
         "Date: 23 Nov 2026 20:00 GMT\r\nMessage-ID: "
         "<own@b.example>\r\n" MANDATORY,
         "no Injection-Date where ID and Date are the poster's"},
        {&plain,
         MANDATORY "Injection-Date: Mon, 23 Nov 2026 20:00:00 +0000\r\n",
         "Path: news.example.net!.POSTED!not-for-mail\r\n" INFO
         "Message-ID: <offered@news>\r\n"
         "Date: Mon, 23 Nov 2026 21:04:05 +0000\r\n" MANDATORY
         "Injection-Date: Mon, 23 Nov 2026 20:00:00 +0000\r\n",
         "a poster's Injection-Date stays"},
        {&plain,
         MANDATORY "Path: mail.example.org!\r\n ada\r\nKeywords: z\r\n",
         "Path: news.example.net!.POSTED!mail.example.org!\r\n ada\r\n" INFO
         "Message-ID: <offered@news>\r\n" DATES MANDATORY "Keywords: z\r\n",
         "the poster's Path goes on behind ours"},
        {&plain, "Path:\r\n" MANDATORY,
         "Path: news.example.net!.POSTED!not-for-mail\r\n" INFO
         "Message-ID: <offered@news>\r\n" DATES MANDATORY,
         "an empty Path is none"},
        {&full, MANDATORY,
         "Path: news.example.net!.POSTED.192.0.2.7!not-for-mail\r\n"
         "Injection-Info: news.example.net; posting-host=\"192.0.2.7\"; "
         "posting-account=\"ada \\\"x\\\\y\\\"\"; "
         "mail-complaints-to=\"abuse@b.example\"\r\n"
         "Message-ID: <offered@news>\r\n" DATES
         "Organization: An example site\r\n" MANDATORY,
         "all that is known of the poster"},
        {&full, MANDATORY "Organization: mine\r\n",
         "Path: news.example.net!.POSTED.192.0.2.7!not-for-mail\r\n"
         "Injection-Info: news.example.net; posting-host=\"192.0.2.7\"; "
         "posting-account=\"ada \\\"x\\\\y\\\"\"; "
         "mail-complaints-to=\"abuse@b.example\"\r\n"
         "Message-ID: <offered@news>\r\n" DATES MANDATORY
         "Organization: mine\r\n",
         "the poster's Organization stays"},
        {&odd_host, MANDATORY,
         "Path: news.example.net!.POSTED!not-for-mail\r\n"
         "Injection-Info: news.example.net; posting-host=\"a b!c  X: y\"\r\n"
         "Message-ID: <offered@news>\r\n" DATES MANDATORY,
         "an odd host is not for Path, and ends no line"},
        {&locked, MANDATORY,
         "Path: news.example.net!.POSTED!not-for-mail\r\n" INFO
         "Message-ID: <offered@news>\r\n" DATES
         "Cancel-Lock: sha256:a=\r\n sha256:b=\r\n"
         "Cancel-Key: sha256:k=\r\n" MANDATORY,
         "locks and keys, folded"},
        {&locked,
         "Cancel-Key: sha256:own=\r\n" MANDATORY
         "Cancel-Lock: sha256:x=\r\n sha1:y=\r\nKeywords: z\r\n",
         "Path: news.example.net!.POSTED!not-for-mail\r\n" INFO
         "Message-ID: <offered@news>\r\n" DATES
         "Cancel-Lock: sha256:a=\r\n sha256:b=\r\n sha256:x=\r\n sha1:y=\r\n"
         "Cancel-Key: sha256:k=\r\n sha256:own=\r\n" MANDATORY
         "Keywords: z\r\n",
         "the poster's own stand behind ours"},
        {&shaped,
         "To: a@b.example\r\nSender: liar@x.example\r\n" MANDATORY
         "CC: x@y.example,\r\n z@y.example\r\nPath: me!x\r\n"
         "Bcc: q@y.example\r\nX-To: stays\r\n",
         "Path: cluster.example!news.example.net!.POSTED!not-for-mail\r\n" INFO
         "Message-ID: <offered@news>\r\n" DATES "Distribution: local\r\n"
         "Sender: ada@news.example.net\r\n" MANDATORY "X-To: stays\r\n",
         "what a site may want otherwise"},
        {&shaped, "Distribution: world\r\n" MANDATORY,
         "Path: cluster.example!news.example.net!.POSTED!not-for-mail\r\n" INFO
         "Message-ID: <offered@news>\r\n" DATES
         "Sender: ada@news.example.net\r\n"
         "Distribution: world\r\n" MANDATORY,
         "the poster's Distribution stays"},
        {&ipv6, MANDATORY,
         "Path: news.example.net!.POSTED.2001:db8::1!not-for-mail\r\n"
         "Injection-Info: news.example.net; posting-host=\"2001:db8::1\"\r\n"
         "Message-ID: <offered@news>\r\n" DATES MANDATORY,
         "an IPv6 address"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static const char body[] = "..dots\r\ngr\xfc\xdf\r\n";
        struct buffer wanted = BUFFER_EMPTY;
        struct buffer wire = BUFFER_EMPTY;
        struct buffer why = BUFFER_EMPTY;
        struct article article;

        if (inject(rows[i].head, body, rows[i].injection, &wire, &why) < 0)
            fail_msg("%s: refused: %s", rows[i].promise, buffer_text(&why));
        buffer_append_format(&wanted, "%s\r\n%s.\r\n", rows[i].wanted, body);
        if (strcmp(buffer_text(&wire), buffer_text(&wanted)) != 0)
            fail_msg("%s:\n%s", rows[i].promise, buffer_text(&wire));
        if (article_parse(&article, wire.data, wire.used, &why) < 0
            || article_check_relayed(
                   &article,
                   &(struct article_rules){"peer.example.org", NOW, DAY, 0},
                   &why)
                   < 0)
            fail_msg("%s: not for relaying: %s", rows[i].promise,
                     buffer_text(&why));
        buffer_free(&wanted);
        buffer_free(&wire);
        buffer_free(&why);
    }
}

static void
test_an_id_is_made_where_none_was_offered(void **state)
{
    const struct injection injection = {.pathhost = "news.example.net"};
    struct buffer wire = BUFFER_EMPTY;
    struct article article;
    const struct field_value *id = &article.fields[FIELD_MESSAGE_ID];

    (void)state;
    assert_int_equal(inject(MANDATORY, "x\r\n", &injection, &wire, NULL), 0);
    assert_int_equal(article_parse(&article, wire.data, wire.used, NULL), 0);
    assert_true(message_id_is_strict(id->octets, id->length));
    buffer_free(&wire);
}

static void
test_no_line_becomes_too_long(void **state)
{
    struct buffer head = BUFFER_EMPTY;
    struct buffer wire = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;
    char account[600];
    const struct injection injection = {.pathhost = "news.example.net",
                                        .client_host = "client.example.org",
                                        .path_host = "client.example.org",
                                        .account = account,
                                        .complaints = account,
                                        .message_id = "<offered@news>"};

    (void)state;
    memset(account, 'x', sizeof(account) - 1);
    account[sizeof(account) - 1] = '\0';
    buffer_append_text(&head, MANDATORY "Path: ");
    for (int i = 0; i < 190; i++)
        buffer_append_text(&head, "abcd!");
    buffer_append_text(&head, "not-for-mail\r\n");
    if (inject(buffer_text(&head), "x\r\n", &injection, &wire, &why) < 0)
        fail_msg("%s", buffer_text(&why));
    for (const char *at = buffer_text(&wire); *at != '\0';) {
        const char *end = strstr(at, "\r\n");

        assert_non_null(end);
        assert_true(end - at <= 998);
        at = end + 2;
    }
    assert_non_null(strstr(wire.data, "client.example.org!\r\n abcd!abcd!"));
    buffer_free(&head);
    buffer_free(&wire);
    buffer_free(&why);
}

/* --- what is refused */

static const struct {
    const char *head;
    const char *why; /* NULL: it is taken */
} posts[] = {
    {MANDATORY, NULL},
    {"Newsgroups: a\r\nSubject: x\r\n", "no From"},
    {"From: a@b\r\nSubject: x\r\n", "no Newsgroups"},
    {"From: a@b\r\nNewsgroups: a\r\n", "no Subject"},
    {MANDATORY "Subject: y\r\n", "Subject occurs 2 times"},
    {MANDATORY "Lines: 1\r\nLines: 1\r\n", "Lines occurs 2 times"},
    {MANDATORY "Lines: 1\r\n", NULL},

    {MANDATORY "Injection-Info: x\r\n", "Injection-Info is the server's"},
    {MANDATORY "Xref: x a:1\r\n", "Xref is the server's"},
    {MANDATORY "xref: x a:1\r\n", "xref is the server's"},
    {MANDATORY "NNTP-Posting-Host: x\r\n", "is the server's"},
    {MANDATORY "NNTP-Posting-User: x\r\n", "is the server's"},
    {MANDATORY "X-Trace: x\r\n", "is the server's"},
    {MANDATORY "X-Complaints-To: x\r\n", "is the server's"},
    {MANDATORY "X-Traces: x\r\n", NULL},
    {MANDATORY "Also-Control: x\r\n", "obsolete"},
    {MANDATORY "Relay-Version: x\r\n", "obsolete"},

    {MANDATORY "Keywords:\r\n", "Keywords is empty"},
    {MANDATORY "Keywords:  \r\n", "Keywords is empty"},
    {MANDATORY "Keywords: \r\n x\r\n", "Keywords has nothing on its first"},
    {MANDATORY "Keywords: x\r\n \r\n", "nothing but white space"},
    {MANDATORY "Keywords: x\r\n\ty\r\n", NULL},
    {MANDATORY "Keywords:x\r\n", "no space behind its colon"},
    {MANDATORY "Keywords:\tx\r\n", "no space behind its colon"},

    {"From: ada\r\nNewsgroups: a\r\nSubject: x\r\n", "From must be"},
    {"From: a@b, C <c@d>\r\nNewsgroups: a\r\nSubject: x\r\n", NULL},
    {MANDATORY "Sender: ada@b\r\n", NULL},
    {MANDATORY "Sender: news%host.example\r\n", NULL},

    {"From: a@b\r\nNewsgroups: a,\r\nSubject: x\r\n", "single commas"},
    {"From: a@b\r\nNewsgroups: a,,b\r\nSubject: x\r\n", "single commas"},
    {"From: a@b\r\nNewsgroups: ,a\r\nSubject: x\r\n", "single commas"},
    {"From: a@b\r\nNewsgroups: a b\r\nSubject: x\r\n", "single commas"},
    {"From: a@b\r\nNewsgroups: a, b\r\nSubject: x\r\n", NULL},
    {"From: a@b\r\nNewsgroups: a,\r\n b\r\nSubject: x\r\n", NULL},
    {"From: a@b\r\nNewsgroups: a,b*\r\nSubject: x\r\n", "no newsgroup can"},
    {"From: a@b\r\nNewsgroups: a,poster\r\nSubject: x\r\n",
     "\"poster\" is no newsgroup"},
    {MANDATORY "Followup-To: poster\r\n", NULL},
    {MANDATORY "Followup-To: Poster\r\n", NULL},
    {MANDATORY "Followup-To: a,b\r\n", NULL},
    {MANDATORY "Followup-To: a,poster\r\n", "stands alone"},
    {MANDATORY "Followup-To: a!\r\n", "Followup-To has a name"},

    {MANDATORY "Date: yesterday\r\n", "Date is no date"},
    {MANDATORY "Date: Tue, 24 Nov 2026 21:04:05 +0000\r\n", NULL},
    {MANDATORY "Date: Tue, 24 Nov 2026 21:04:06 +0000\r\n",
     "24 hours in the future"},
    {MANDATORY "Date: Fri, 13 Nov 2026 21:04:05 +0000\r\n", NULL},
    {MANDATORY "Date: Fri, 13 Nov 2026 21:04:04 +0000\r\n",
     "more than 10 days in the past"},
    {MANDATORY "Injection-Date: 1 Jan 2027\r\n", "24 hours in the future"},
    {MANDATORY "Injection-Date: x\r\n", "Injection-Date is no date"},
    {MANDATORY "Expires: 1 Jan 2036\r\n", NULL},
    {MANDATORY "Expires: in a week\r\n", "Expires is no date"},

    {MANDATORY "Message-ID: <1@a>\r\n", NULL},
    {MANDATORY "Message-ID: 1@a\r\n", "Message-ID must be"},
    {MANDATORY "Message-ID: <1>\r\n", "Message-ID must be"},
    {MANDATORY "Message-ID: <1@a> <2@a>\r\n", "Message-ID must be"},
    {MANDATORY "Supersedes: <1@a>\r\n", NULL},
    {MANDATORY "Supersedes: 1\r\n", "Supersedes must be"},
    {MANDATORY "Control: cancel <1@a>\r\n", NULL},
    {MANDATORY "Control: Cancel\t<1@a>\r\n", NULL},
    {MANDATORY "Control: cancel 1@a\r\n", "Control must be like"},
    {MANDATORY "Control: cancel\r\n", "Control must be like"},
    {MANDATORY "Control: newgroup local.new\r\n", "needs Approved"},
    {MANDATORY "Control: checkgroups\r\nApproved: a@b.example\r\n", NULL},
    {MANDATORY "Control: sendsys\r\n", "no control message \"sendsys\""},
    {MANDATORY "Control: ../x\r\n", "no control message \"\""},
    {MANDATORY "Control: cancel <1@a>\r\nSupersedes: <1@a>\r\n", "not both"},

    {MANDATORY "Path: not-for-mail\r\n", NULL},
    {MANDATORY "Path:\r\n", NULL},
    {MANDATORY "Path: \r\n", NULL},
    {MANDATORY "Path: a.example!b_c!x+y\r\n", NULL},
    {MANDATORY "Path: a!.POSTED!b\r\n", "posted before"},
    {MANDATORY "Path: a!.posted.host.example!b\r\n", "posted before"},
    {MANDATORY "Path: .POSTED.1.2.3.4!b\r\n", "posted before"},
    {MANDATORY "Path: a!.POSTEDLY!b\r\n", NULL},
    {MANDATORY "Path: a b\r\n", "names of hosts"},
    {MANDATORY "Path: a!b\r\n c\r\n", "names of hosts"},
    {MANDATORY "Path: a@b\r\n", "names of hosts"},
    {MANDATORY "Path: a!\r\n", "none at its end"},
};

static void
test_what_a_poster_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(posts) / sizeof(posts[0]); i++) {
        struct buffer wire = BUFFER_EMPTY;
        struct buffer why = BUFFER_EMPTY;
        const int result = inject(posts[i].head, "x\r\n", &plain, &wire, &why);

        if (posts[i].why == NULL
                ? result != 0
                : result != -1
                      || strstr(buffer_text(&why), posts[i].why) == NULL)
            fail_msg("%s: \"%s\"", posts[i].head, buffer_text(&why));
        /* A refusal leaves nothing behind, and fits into a reply. */
        assert_true(result == 0 || wire.used == 0);
        assert_true(why.used < 400);
        buffer_free(&wire);
        buffer_free(&why);
    }
}

static void
test_an_article_needs_a_body(void **state)
{
    struct buffer wire = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;

    (void)state;
    assert_int_equal(inject(MANDATORY, "", &plain, &wire, &why), -1);
    assert_string_equal(buffer_text(&why), "The article has no body");
    assert_int_equal(inject(MANDATORY, "\r\n", &plain, &wire, &why), 0);
    buffer_free(&wire);
    buffer_free(&why);
}

/* A field, and a body's line, with so many octets of text put in. */
static int
inject_long(const char *before, int count, const char *text, const char *after,
            const char *body)
{
    struct buffer head = BUFFER_EMPTY;
    struct buffer wire = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;
    int result;

    buffer_append_text(&head, before);
    for (int i = 0; i < count; i++)
        buffer_append_text(&head, text);
    buffer_append_text(&head, after);
    result = inject(buffer_text(&head), body, &plain, &wire, &why);
    assert_true(why.used < 400);
    if (result == 0) {
        struct article article;

        if (article_parse(&article, wire.data, wire.used, &why) < 0)
            fail_msg("cannot be parsed: %s", buffer_text(&why));
    }
    buffer_free(&head);
    buffer_free(&wire);
    buffer_free(&why);
    return result;
}

static void
test_the_limits_of_a_post(void **state)
{
    static const struct {
        const char *before;
        int most;
        const char *text;
        const char *after;
        const char *promise;
    } rows[] = {
        {MANDATORY "X: ", 995, "x", "\r\n", "998 octets in a header line"},
        {"From: a@b\r\nSubject: x\r\nNewsgroups: a", 49, ",a", "\r\n",
         "50 newsgroups"},
        {"From: a@b\r\nSubject: x\r\nNewsgroups: ", 80, "a", "\r\n",
         "80 octets in a name"},
        {MANDATORY "Followup-To: a", 19, ",a", "\r\n",
         "20 newsgroups in Followup-To"},
        {MANDATORY "Path: a", 197, "!a", "\r\n", "200 entries in Path"},
        {MANDATORY, 986, "X: y\r\n", "", "1,000 fields in all"},
        {MANDATORY, (ARTICLE_HEAD_OCTETS_MAX - 4096 - 59) / 100,
         "X: " TEN TEN TEN TEN TEN TEN TEN TEN TEN "12345\r\n", "",
         "60 KiB of header"},
        {MANDATORY "Message-ID: <", 246, "a", "@b>\r\n",
         "250 octets in a message-ID"},
    };
    struct buffer body = BUFFER_EMPTY;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (inject_long(rows[i].before, rows[i].most, rows[i].text,
                        rows[i].after, "x\r\n")
            != 0)
            fail_msg("%s: refused at the limit", rows[i].promise);
        if (inject_long(rows[i].before, rows[i].most + 1, rows[i].text,
                        rows[i].after, "x\r\n")
            != -1)
            fail_msg("%s: taken beyond the limit", rows[i].promise);
    }

    /* A line of the body: 998 octets, and a dot that is only the wire's. */
    buffer_append_text(&body, "..");
    for (int i = 0; i < 997; i++)
        buffer_append_char(&body, 'x');
    buffer_append_text(&body, "\r\n");
    assert_int_equal(inject_long(MANDATORY, 0, "", "", buffer_text(&body)), 0);
    buffer_clear(&body);
    for (int i = 0; i < 999; i++)
        buffer_append_char(&body, 'x');
    buffer_append_text(&body, "\r\n");
    assert_int_equal(inject_long(MANDATORY, 0, "", "", buffer_text(&body)),
                     -1);
    buffer_free(&body);
}

static void
test_a_post_may_be_no_larger_than_the_site_says(void **state)
{
    static const char proto[] = MANDATORY "\r\n..x\r\n.\r\n";
    struct article_rules own = rules;
    struct buffer wire = BUFFER_EMPTY;
    struct article article;

    (void)state;
    assert_int_equal(article_parse(&article, proto, sizeof(proto) - 1, NULL),
                     0);
    own.size_octets_max = article.bytes;
    assert_int_equal(article_inject(&article, &own, &plain, &wire, NULL), 0);
    own.size_octets_max--;
    assert_int_equal(article_inject(&article, &own, &plain, &wire, NULL), -1);
    buffer_free(&wire);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_injection_adds),
        cmocka_unit_test(test_an_id_is_made_where_none_was_offered),
        cmocka_unit_test(test_no_line_becomes_too_long),
        cmocka_unit_test(test_what_a_poster_is_told),
        cmocka_unit_test(test_an_article_needs_a_body),
        cmocka_unit_test(test_the_limits_of_a_post),
        cmocka_unit_test(test_a_post_may_be_no_larger_than_the_site_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
