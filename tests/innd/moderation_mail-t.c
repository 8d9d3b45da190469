#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "innd/moderation_mail.h"
#include "lib/buffer.h"

static const struct {
    const char *post;
    const char *mail;
    const char *promise;
} mails[] = {
    {"From: a@b\r\n\r\nx\r\n.\r\n", "To: m@x\nFrom: a@b\n\nx\n",
     "CRLF becomes LF, the terminator goes"},
    {"Path: h!\r\n a\r\nFrom: a@b\r\n\r\n.\r\n", "To: m@x\nFrom: a@b\n\n",
     "a field that is left out goes with its folded lines"},
    {"to: x@y\r\nX-To: z\r\nBCC: q\r\n\r\n.\r\n", "To: m@x\nX-To: z\n\n",
     "the poster's own To is not ours; case does not matter"},
    {"From: a@b\r\n\r\n..\r\n...x\r\n..y\r\n.\r\n",
     "To: m@x\nFrom: a@b\n\n.\n..x\n.y\n", "dot-stuffing is undone"},
    {"From: a@b\r\n\r\nPath: x\r\nTo: y\r\n.\r\n",
     "To: m@x\nFrom: a@b\n\nPath: x\nTo: y\n",
     "what looks like a header in the body is body"},
    {"From: a@b\r\n\r\n\r\n\r\nx\r\n.\r\n", "To: m@x\nFrom: a@b\n\n\n\nx\n",
     "empty lines of the body stay"},
};

static void
test_the_mail(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
        struct buffer mail = BUFFER_EMPTY;

        moderation_mail_build(mails[i].post, strlen(mails[i].post), "m@x",
                              &mail);
        if (strcmp(buffer_text(&mail), mails[i].mail) != 0)
            fail_msg("%s: \"%s\"", mails[i].promise, buffer_text(&mail));
        buffer_free(&mail);
    }
}

static const struct {
    const char *command;
    int result;
    const char *why; /* NULL: mailed */
    const char *promise;
} commands[] = {
    {"/bin/true %s", 0, NULL, "it ended well"},
    {"/bin/grep -q body %s -", 0, NULL,
     "the mail is its standard input, and \"-\" one of its words"},
    {"/bin/false %s", 1, "the mail command ended with status 1",
     "it failed without a word"},
    {"/nowhere/mailer %s", 1, "/nowhere/mailer: No such file or directory",
     "there is no such program"},
    {"/bin/ls <%s>;id", 1, NULL, "no shell looks at it"},
};

static void
test_the_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct buffer mail = BUFFER_EMPTY;
        struct buffer why = BUFFER_EMPTY;
        int error_fd, status, result;
        pid_t pid;

        buffer_append_text(&mail, "To: x\n\nbody\n");
        pid = moderation_mail_start(commands[i].command, "/dev/null", &mail,
                                    &error_fd, &why);
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        result = moderation_mail_result(status, error_fd, &why);
        if (result != commands[i].result)
            fail_msg("%s: %d %s", commands[i].promise, result,
                     buffer_text(&why));
        if (commands[i].why != NULL)
            assert_string_equal(buffer_text(&why), commands[i].why);
        close(error_fd);
        buffer_free(&mail);
        buffer_free(&why);
    }
}

static const struct {
    int code;
    int result;
} codes[] = {{0, 0}, {65, -1}, {67, -1}, {68, -1}, {69, 1}, {75, 1}, {1, 1}};

static void
test_what_an_exit_status_means(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct buffer why = BUFFER_EMPTY;
        int pair[2];

        assert_int_equal(pipe(pair), 0);
        close(pair[1]);
        assert_int_equal(
            moderation_mail_result(codes[i].code << 8, pair[0], &why),
            codes[i].result);
        close(pair[0]);
        buffer_free(&why);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_mail),
        cmocka_unit_test(test_the_command),
        cmocka_unit_test(test_what_an_exit_status_means),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
