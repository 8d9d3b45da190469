/*
 * A session between a client and a writer that are both this program: what
 * the client sends and what comes back, octet by octet.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/event.h>

#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/memory.h"
#include "lib/stream.h"
#include "nnrpd/finder.h"
#include "nnrpd/packed.h"
#include "nnrpd/ready_list.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "nnrpd/writer_link.h"
#include "storage/active.h"
#include "storage/store.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* --- a clock that can be moved --- */

static time_t clock_offset;
/* How much later it is each time that somebody looks. */
static long clock_step_us;
static long clock_steps_us;
/* When it stands, for a session whose share of a turn is to be enough. */
static bool clock_stands;
static struct timespec clock_stood;

int clock_gettime(clockid_t id, struct timespec *now);

int
clock_gettime(clockid_t id, struct timespec *now)
{
    long status = syscall(SYS_clock_gettime, id, now);

    if (id == CLOCK_MONOTONIC) {
        clock_steps_us += clock_step_us;
        now->tv_sec += clock_offset + clock_steps_us / 1000000;
        now->tv_nsec += clock_steps_us % 1000000 * 1000;
        if (clock_stands)
            *now = clock_stood;
        clock_stood = *now;
    }
    return (int)status;
}

/* --- the server --- */

static struct worker worker;

static const char configuration[] = "pathhost = \"news.test.invalid\"\n"
                                    "artcutoff = 0\n"
                                    "maxartsize = 4000\n"
                                    "localmaxartsize = 4000\n"
                                    "anonymous = %s\n"
                                    "peer \"feeder\" {\n"
                                    "    address = {\"192.0.2.7\"}\n"
                                    "    newsgroups = \"*,!secret.*\"\n"
                                    "}\n";

static void
server_add_group(uint32_t id, const char *name)
{
    struct group_marks marks = {1, 0, 0};

    assert_int_equal(active_set(worker.active, id, name, strlen(name), 'y', 0,
                                1000, "test", "", NULL),
                     0);
    active_set_marks(worker.active, id, &marks);
}

static void
server_start(const char *anonymous)
{
    struct buffer text = BUFFER_EMPTY, why = BUFFER_EMPTY;
    int fd;

    buffer_append_format(&text, configuration, anonymous);
    worker_init(&worker);
    worker.config = config_parse("test", text.data, &why);
    if (worker.config == NULL)
        fail_msg("%s", why.data);
    buffer_free(&text);
    worker.shared = shared_create(&fd);
    close(fd);
    worker.slot = &worker.shared->slots[0];
    atomic_store(&worker.shared->writer_ready, 1);
    worker.active = active_new(100);
    server_add_group(1, "local.test");
    server_add_group(2, "secret.test");
    worker.base = event_base_new();
    worker.now_ms = clock_ms();
    worker.writer = writer_link_new(&worker);
    worker.finder = finder_new(&worker);
    worker.packed = packed_new(worker.active);
    worker.ready_lists = ready_lists_new(worker.active);
}

static void
server_turn(int turns)
{
    while (turns-- > 0)
        worker_turn(&worker, false);
}

static void
server_stop(void)
{
    struct session *session;

    while ((session = TAILQ_FIRST(&worker.sessions)) != NULL)
        session_free(&session);
    ready_lists_free(&worker.ready_lists);
    packed_free(&worker.packed);
    finder_free(&worker.finder);
    writer_link_free(&worker.writer);
    event_base_free(worker.base);
    active_close(&worker.active);
    config_free(&worker.config);
}

/* --- the writer: keeps what it was asked, and answers when told to --- */

struct asked {
    uint64_t cookie;
    enum ipc_type type;
    uint32_t count; /* of an IPC_CHECK */
    uint32_t flags; /* of an IPC_ARTICLE */
};

static struct ipc *writer[2]; /* LINK_FEED, LINK_POST */
static struct asked asked[64];
static size_t asked_count;

static void
writer_article(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct submission_view view;

    (void)context;
    (void)ipc;
    assert_int_equal(
        submission_parse(&view, frame->payload, frame->octets, NULL), 0);
    asked[asked_count++] =
        (struct asked){view.head.cookie, IPC_ARTICLE, 0, view.head.flags};
}

static void
writer_check_frame(void *context, struct ipc *ipc,
                   const struct ipc_frame *frame)
{
    const struct ipc_check *check = frame->payload;

    (void)context;
    (void)ipc;
    asked[asked_count++] =
        (struct asked){check->cookie, IPC_CHECK, check->count, 0};
}

static void
writer_find_frame(void *context, struct ipc *ipc,
                  const struct ipc_frame *frame)
{
    const struct ipc_find *find = frame->payload;
    struct ipc_found found = {.cookie = find->cookie};

    (void)context;
    ipc_send(ipc, IPC_FOUND, &found, sizeof found, -1);
}

static void
writer_gone(void *context, struct ipc *ipc, const char *why)
{
    (void)context;
    (void)ipc;
    fail_msg("the worker hung up: %s", why);
}

static const struct ipc_handler writer_handlers[] = {
    {IPC_ARTICLE, sizeof(struct submission), false, false, writer_article},
    {IPC_CHECK, sizeof(struct ipc_check), false, false, writer_check_frame},
    {IPC_FIND, sizeof(struct ipc_find), true, false, writer_find_frame},
};

static void
writer_start(void)
{
    int i, fd[2];

    asked_count = 0;
    for (i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
        writer[i] = ipc_new(worker.base, fd[0], writer_handlers,
                            COUNT(writer_handlers), writer_gone, NULL);
        writer_link_connect(worker.writer, i == 0 ? LINK_FEED : LINK_POST,
                            fd[1]);
    }
    server_turn(10);
}

static void
writer_die(void)
{
    ipc_free(&writer[0]);
    ipc_free(&writer[1]);
    server_turn(10);
}

static void
writer_stored(size_t which)
{
    struct ipc_outcome outcome = {
        .cookie = asked[which].cookie, .outcome = STORE_STORED, .sequence = 1};

    ipc_send(writer[0], IPC_OUTCOME, &outcome, sizeof outcome, -1);
    server_turn(10);
}

static void
writer_checked(size_t which, enum ipc_check_answer answer)
{
    struct ipc_checked checked = {.cookie = asked[which].cookie,
                                  .count = asked[which].count};
    struct buffer payload = BUFFER_EMPTY;
    uint32_t i;

    buffer_append(&payload, &checked, sizeof checked);
    for (i = 0; i < checked.count; i++)
        buffer_append_char(&payload, (char)answer);
    ipc_send(writer[0], IPC_CHECKED, payload.data, payload.used, -1);
    buffer_free(&payload);
    server_turn(10);
}

/* --- the client --- */

static int client;
static char heard[1024 * 1024];

static const char *
client_hear(void)
{
    ssize_t got;
    size_t length = 0;

    server_turn(20);
    while ((got = recv(client, heard + length, sizeof heard - length - 1,
                       MSG_DONTWAIT))
           > 0) {
        length += (size_t)got;
        server_turn(20);
    }
    heard[length] = '\0';
    return heard;
}

/* Has the server ended the connection? */
static bool
client_is_cut(void)
{
    char octet;

    server_turn(20);
    return recv(client, &octet, 1, MSG_DONTWAIT) == 0;
}

static void
client_send(const char *octets, size_t length)
{
    assert_int_equal(send(client, octets, length, MSG_NOSIGNAL), length);
}

static const char *
client_say(const char *text)
{
    client_send(text, strlen(text));
    return client_hear();
}

static const char *
client_connect(const char *address)
{
    struct ipc_client from = {.client = 1, .listener = LISTENER_PLAIN};
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    client = fd[0];
    snprintf(from.address, sizeof from.address, "%s", address);
    session_new(&worker, &from, fd[1]);
    return client_hear();
}

static void
client_leave(void)
{
    close(client);
    server_turn(20);
}

/* --- what most tests begin and end with: a peer, a writer --- */

static int
setup(void **state)
{
    (void)state;
    clock_offset = 0;
    clock_step_us = clock_steps_us = 0;
    server_start("post");
    writer_start();
    assert_string_equal(
        client_connect("192.0.2.7"),
        "200 news.test.invalid Renews news server ready (posting"
        " allowed)\r\n");
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    client_leave();
    ipc_free(&writer[0]);
    ipc_free(&writer[1]);
    server_stop();
    return 0;
}

#define ARTICLE_TO(id, group)                                                 \
    "Path: there\r\nMessage-ID: " id "\r\nDate: Mon, 23 Nov 2026 21:04:05 "   \
    "+0000\r\nFrom: a@b.invalid\r\nNewsgroups: " group                        \
    "\r\nSubject: s\r\n\r\nbody\r\n.\r\n"
#define ARTICLE(id) ARTICLE_TO(id, "local.test")

static void
expect(const char *is, const char *wanted)
{
    if (strcmp(is, wanted) != 0)
        fail_msg("heard \"%s\" and not \"%s\"", is, wanted);
}

/* --- bad lines --- */

static const struct {
    const char *says;
    const char *hears;
    const char *promise;
} lines[] = {
    {"FOO\r\n", "500 Unknown command\r\n", "no such command"},
    {"date extra\r\n", "501 Syntax is: DATE\r\n", "too many arguments"},
    {"group\r\n", "501 Syntax is: GROUP newsgroup\r\n", "too few"},
    {"XHDR\r\n", "501 Syntax is: XHDR header [message-ID|range]\r\n",
     "slrnpull's probe"},
    {"LIST FOO\r\n", "501 Unknown or missing argument\r\n", "no such list"},
    {"MODE\r\n", "501 Unknown or missing argument\r\n", "no mode"},
    {"\r\nMODE STREAM\r\n", "203 Streaming permitted\r\n",
     "an empty line is passed over"},
    {"mode stream\n", "203 Streaming permitted\r\n",
     "any case, and a bare LF"},
    {"GROUP x\ry\r\n", "501 NUL or bare CR in the line\r\n", "a bare CR"},
    {"XOVER\r\n", "412 No newsgroup selected\r\n", "slrn's probe"},
    {"XHDR Path\r\n", "412 No newsgroup selected\r\n", "and the other"},
    {"STAT\r\n", "412 No newsgroup selected\r\n", "neomutt's probe"},
    {"ARTICLE 99999999999999999\r\n",
     "501 Bad article number or message-ID\r\n", "17 digits"},
    {"ARTICLE -1\r\n", "501 Bad article number or message-ID\r\n", "a sign"},
    {"STAT <a b>\r\n", "501 Syntax is: STAT [message-ID|number]\r\n",
     "a space in an ID"},
    {"STAT <a\r\n", "430 No such article\r\n", "an ID that is none"},
    {"STAT <a@b>\r\n", "430 No such article\r\n", "one that is not there"},
    {"GROUP no.such\r\n", "411 No such group no.such\r\n", "no such group"},
    {"GROUP local.test\r\n", "211 0 1 0 local.test\r\n", "an empty group"},
    {"LISTGROUP local.test\r\n", "211 0 1 0 local.test list follows\r\n.\r\n",
     "an empty list"},
    {"GROUP local.test\r\nOVER 1-5\r\n",
     "211 0 1 0 local.test\r\n423 No articles in that range\r\n",
     "an empty range is an error of OVER"},
    {"GROUP local.test\r\nXOVER 1-5\r\n",
     "211 0 1 0 local.test\r\n224 Overview information follows\r\n.\r\n",
     "and none of XOVER"},
    {"GROUP local.test\r\nXHDR Subject 1-5\r\n",
     "211 0 1 0 local.test\r\n221 Header follows\r\n.\r\n", "nor of XHDR"},
    {"GROUP local.test\r\nARTICLE\r\nARTICLE 1234567890123456\r\nNEXT\r\n",
     "211 0 1 0 local.test\r\n420 No current article\r\n"
     "423 No article with that number\r\n420 No current article\r\n",
     "nothing is current in an empty group"},
    {"LIST COUNTS local.test\r\n",
     "215 List follows\r\nlocal.test 0 1 0 y\r\n.\r\n", "one group"},
    {"LIST ACTIVE *.test,!secret.*\r\n",
     "215 List follows\r\nlocal.test 0000000000 0000000001 y\r\n.\r\n",
     "a wildmat"},
    {"LIST ACTIVE no.such\r\n", "215 List follows\r\n.\r\n", "none of them"},
    {"LIST MOTD\r\n", "503 No such list is kept here\r\n", "a list not kept"},
    {"LIST OVERVIEW.FMT\r\n",
     "215 Order of fields in overview\r\nSubject:\r\nFrom:\r\nDate:\r\n"
     "Message-ID:\r\nReferences:\r\nBytes:\r\nLines:\r\nXref:full\r\n.\r\n",
     "the older names, for who has not sent CAPABILITIES"},
    {"IHAVE foo\r\n", "435 Bad message-ID\r\n", "IHAVE of no ID"},
    {"CHECK foo\r\n", "438 foo Bad message-ID\r\n", "CHECK of no ID"},
    {"CHECK\r\n", "501 Syntax is: CHECK message-ID\r\n", "or of nothing"},
    {"TAKETHIS foo\r\nQUIT\r\n\r\n.\r\nMODE STREAM\r\n",
     "439 foo Bad message-ID\r\n203 Streaming permitted\r\n",
     "TAKETHIS of no ID, after its article"},
    {"TAKETHIS\r\nQUIT\r\n.\r\nMODE STREAM\r\n",
     "501 Syntax is: TAKETHIS message-ID\r\n203 Streaming permitted\r\n",
     "TAKETHIS of nothing, after its article"},
    {"TAKETHIS <a@b> x\r\nQUIT\r\n.\r\n",
     "439 <a@b> Syntax is: TAKETHIS message-ID\r\n", "of too much"},
    {"TAKETHIS <a@b>\ry\r\nQUIT\r\n.\r\n",
     "439 <a@b> NUL or bare CR in the line\r\n",
     "a faulty line's article is no command"},
    {"TAKETHIS <a@b>\r\n" ARTICLE("<c@d>"),
     "439 <a@b> Message-ID is not the one that was offered\r\n",
     "an article under another's name"},
    {"TAKETHIS <a@b>\r\n" ARTICLE_TO("<a@b>", "secret.test"),
     "439 <a@b> None of these newsgroups from you\r\n",
     "a group that the peer may not send"},
    {"TAKETHIS <a@b>\r\n.\r\nMODE STREAM\r\n", NULL,
     "an article of nothing is refused"},
    {"TAKETHIS <a@b>\r\na\nb\r\n.\r\n", "439 <a@b> bare LF\r\n", "a bare LF"},
};

static void
test_each_line_has_its_answer(void **state)
{
    const char *is;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lines); i++) {
        is = client_say(lines[i].says);
        if (lines[i].hears != NULL ? strcmp(is, lines[i].hears) != 0
                                   : strncmp(is, "439 <a@b> ", 10) != 0)
            fail_msg("%s: heard \"%s\"", lines[i].promise, is);
        client_leave();
        client_connect("192.0.2.7");
    }
}

static void
test_a_nul_in_a_line_is_501(void **state)
{
    (void)state;
    client_send("GROUP local.test\0x\r\n", 20);
    expect(client_hear(), "501 NUL or bare CR in the line\r\n");
}

/* verb, a long argument, CRLF; then text. */
static const char *
say_long(const char *verb, size_t octets, const char *text)
{
    struct buffer line = BUFFER_EMPTY;

    buffer_append_text(&line, verb);
    while (line.used < octets)
        buffer_append_char(&line, 'x');
    buffer_append_text(&line, "\r\n");
    buffer_append_text(&line, text);
    client_send(line.data, line.used);
    buffer_free(&line);
    return client_hear();
}

static void
test_a_line_over_512_octets_has_the_verbs_code(void **state)
{
    (void)state;
    expect(say_long("GROUP ", 600, ""), "501 Line is over 512 octets\r\n");
    expect(say_long("CHECK <a@b> ", 600, ""),
           "438 <a@b> Line is over 512 octets\r\n");
    expect(say_long("IHAVE <a@b> ", 600, ""),
           "435 Line is over 512 octets\r\n");
    expect(say_long("TAKETHIS <a@b> ", 600, "QUIT\r\n.\r\nMODE STREAM\r\n"),
           "439 <a@b> Line is over 512 octets\r\n203 Streaming"
           " permitted\r\n");
}

static void
test_ten_bad_lines_in_a_row_are_the_end(void **state)
{
    const char *is = "";
    int i;

    (void)state;
    for (i = 0; i < 9; i++)
        client_say("FOO\r\n");
    expect(client_say("MODE STREAM\r\n"), "203 Streaming permitted\r\n");
    for (i = 0; i < 10; i++)
        is = client_say("FOO\r\n");
    expect(is, "400 Too many unrecognized commands\r\n");
    assert_true(client_is_cut());
}

static void
test_a_line_without_an_end_is_the_end(void **state)
{
    static char octets[8 * 1024];

    (void)state;
    memset(octets, 'x', sizeof octets);
    client_send(octets, sizeof octets - 1);
    expect(client_hear(), "");
    client_send(octets, 1);
    expect(client_hear(), "400 Line without an end\r\n");
    assert_true(client_is_cut());
}

/* --- rights --- */

static const struct {
    const char *anonymous;
    const char *address;
    const char *says;
    const char *hears; /* the first three digits */
    const char *promise;
} rights[] = {
    {"none", "192.0.2.9", "", "502", "no right to talk"},
    {"read", "192.0.2.9", "", "201", "may read"},
    {"read", "192.0.2.9", "POST\r\n", "440", "may not post"},
    {"read", "192.0.2.9", "MODE READER\r\n", "201", "hears so"},
    {"read", "192.0.2.9", "GROUP local.test\r\n", "211", "may read"},
    {"read", "192.0.2.9", "IHAVE <a@b>\r\n", "502", "is no peer"},
    {"read", "192.0.2.9", "CHECK <a@b>\r\n", "502", "is no peer"},
    {"read", "192.0.2.9", "MODE STREAM\r\n", "502", "is no peer"},
    {"read", "192.0.2.9", "TAKETHIS <a@b>\r\nQUIT\r\n.\r\n", "502",
     "its article is read all the same"},
    {"post", "192.0.2.9", "", "200", "may post"},
    {"post", "192.0.2.9", "POST\r\n", "340", "may post"},
    {"none", "192.0.2.7", "", "200", "a peer is welcome"},
    {"none", "192.0.2.7", "GROUP local.test\r\n", "502", "but not to read"},
    {"none", "192.0.2.7", "POST\r\n", "440", "nor to post"},
    {"none", "192.0.2.7", "MODE READER\r\n", "502", "nor to try"},
    {"none", "192.0.2.7", "MODE STREAM\r\n", "203", "but to feed"},
    {"post", "192.0.2.9", "NEWNEWS * 20260101 000000\r\n", "502",
     "NEWNEWS only where it is allowed"},
};

static void
test_a_right_comes_from_the_address(void **state)
{
    const char *is;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rights); i++) {
        clock_offset = 0;
        server_start(rights[i].anonymous);
        worker.config->allownewnews = false;
        writer_start();
        is = client_connect(rights[i].address);
        if (rights[i].says[0] != '\0')
            is = client_say(rights[i].says);
        if (strncmp(is, rights[i].hears, 3) != 0)
            fail_msg("%s %s %s: %s: heard \"%s\"", rights[i].anonymous,
                     rights[i].address, rights[i].says, rights[i].promise, is);
        teardown(NULL);
    }
}

/* --- order --- */

static void
test_replies_keep_the_order_of_commands(void **state)
{
    (void)state;
    expect(client_say("TAKETHIS <1@x>\r\n" ARTICLE(
               "<1@x>") "TAKETHIS <2@x>\r\n" ARTICLE("<2@x>") "CHECK <3@x>\r\n"
                                                              "CHECK foo\r\n"),
           "");
    assert_int_equal(asked_count, 3);
    writer_stored(1);
    writer_checked(2, CHECK_WANTED);
    expect(client_hear(), "");
    writer_stored(0);
    expect(client_hear(), "239 <1@x>\r\n239 <2@x>\r\n238 <3@x>\r\n"
                          "438 foo Bad message-ID\r\n");
}

static void
test_any_other_command_waits_for_what_is_pending(void **state)
{
    (void)state;
    expect(client_say("CHECK <1@x>\r\nMODE STREAM\r\nCHECK <2@x>\r\n"), "");
    assert_int_equal(asked_count, 1);
    writer_checked(0, CHECK_KNOWN);
    expect(client_hear(), "438 <1@x>\r\n203 Streaming permitted\r\n");
    assert_int_equal(asked_count, 2);
    writer_checked(1, CHECK_LATER);
    expect(client_hear(), "431 <2@x>\r\n");
}

static void
test_a_check_waits_for_the_takethis_of_its_id(void **state)
{
    (void)state;
    expect(client_say("TAKETHIS <1@x>\r\n" ARTICLE("<1@x>") "CHECK <1@x>\r\n"),
           "");
    assert_int_equal(asked_count, 1);
    writer_stored(0);
    expect(client_hear(), "239 <1@x>\r\n");
    assert_int_equal(asked_count, 2);
    writer_checked(1, CHECK_KNOWN);
    expect(client_hear(), "438 <1@x>\r\n");
}

static void
test_a_check_is_asked_before_the_takethis_behind_it(void **state)
{
    (void)state;
    client_say("CHECK <1@x>\r\nTAKETHIS <1@x>\r\n" ARTICLE("<1@x>"));
    assert_int_equal(asked_count, 2);
    assert_int_equal(asked[0].type, IPC_CHECK);
    assert_int_equal(asked[1].type, IPC_ARTICLE);
}

static void
test_a_burst_of_checks_is_one_question(void **state)
{
    struct buffer text = BUFFER_EMPTY;
    int i;

    (void)state;
    for (i = 0; i < 60; i++)
        buffer_append_format(&text, "CHECK <%d@x>\r\n", i);
    clock_stands = true;
    client_say(text.data);
    clock_stands = false;
    buffer_free(&text);
    assert_int_equal(asked_count, 1);
    assert_int_equal(asked[0].count, 60);
}

/* --- articles --- */

static void
test_an_article_over_the_limit_is_read_to_its_end(void **state)
{
    struct buffer text = BUFFER_EMPTY;

    (void)state;
    buffer_append_text(&text, "TAKETHIS <1@x>\r\n");
    while (text.used < 100000)
        buffer_append_text(&text, "QUIT\r\n");
    buffer_append_text(&text, ".\r\nMODE STREAM\r\n");
    client_send(text.data, text.used);
    buffer_free(&text);
    expect(client_hear(),
           "439 <1@x> Article of 99987 octets is over the limit of 4000\r\n"
           "203 Streaming permitted\r\n");
}

static void
test_ihave_is_asked_before_it_is_sent(void **state)
{
    (void)state;
    expect(client_say("IHAVE <1@x>\r\n"), "");
    writer_checked(0, CHECK_WANTED);
    expect(client_hear(), "335 Send it\r\n");
    expect(client_say(ARTICLE("<1@x>")), "");
    writer_stored(1);
    expect(client_hear(), "235 Article transferred\r\n");
    client_say("IHAVE <2@x>\r\n");
    writer_checked(2, CHECK_KNOWN);
    expect(client_hear(), "435 Duplicate\r\n");
    client_say("IHAVE <3@x>\r\n");
    writer_checked(3, CHECK_IN_PROGRESS);
    expect(client_hear(), "436 Article cannot be stored at present\r\n");
}

static void
test_a_post_without_an_id_gets_the_one_recommended(void **state)
{
    char id[300] = "", wanted[400];

    (void)state;
    assert_int_equal(sscanf(client_say("POST\r\n"),
                            "340 Ok, recommended message-ID %299s", id),
                     1);
    expect(client_say("From: a@b.example\r\nNewsgroups: local.test\r\n"
                      "Subject: s\r\n\r\nbody\r\n.\r\n"),
           "");
    assert_int_equal(asked_count, 1);
    assert_true((asked[0].flags & SUBMISSION_POSTED) != 0);
    writer_stored(0);
    snprintf(wanted, sizeof wanted, "240 Article received %s\r\n", id);
    expect(client_hear(), wanted);
}

static void
test_a_full_session_stops_reading(void **state)
{
    struct buffer text = BUFFER_EMPTY;
    struct session *session = TAILQ_FIRST(&worker.sessions);
    int i;

    (void)state;
    for (i = 0; i < 1030; i++)
        buffer_append_format(&text, "CHECK <%d@x>\r\n", i);
    client_send(text.data, text.used);
    buffer_free(&text);
    server_turn(50);
    assert_int_equal(session->pending.count, PENDING_MAX);
    assert_true(session->starved);
}

/* --- the writer's death --- */

static void
test_the_next_writer_gets_what_is_unanswered(void **state)
{
    (void)state;
    client_say("TAKETHIS <1@x>\r\n" ARTICLE("<1@x>") "CHECK <2@x>\r\n");
    assert_int_equal(asked[0].flags & SUBMISSION_RESUBMIT, 0);
    writer_die();
    expect(client_hear(), "");
    writer_start();
    assert_int_equal(asked_count, 2);
    assert_true((asked[0].flags & SUBMISSION_RESUBMIT) != 0);
    writer_stored(0);
    writer_checked(1, CHECK_WANTED);
    expect(client_hear(), "239 <1@x>\r\n238 <2@x>\r\n");
}

/* No writer, and time goes by. */
static void
writer_stay_away(void)
{
    atomic_store(&worker.shared->writer_ready, 0);
    writer_die();
    clock_offset += 12;
    worker.now_ms = clock_ms();
    writer_link_tick(worker.writer);
}

static void
test_ten_seconds_without_a_writer_have_temporary_codes(void **state)
{
    (void)state;
    client_say("CHECK <1@x>\r\n");
    writer_stay_away();
    expect(client_hear(), "431 <1@x>\r\n");
    expect(client_say("CHECK <2@x>\r\nIHAVE <3@x>\r\nPOST\r\nSTAT <4@x>\r\n"),
           "431 <2@x>\r\n436 No articles can be stored at present\r\n"
           "440 No articles can be stored at present\r\n"
           "403 Article cannot be read at present\r\n");
    expect(client_say("TAKETHIS <5@x>\r\n" ARTICLE("<5@x>") "CHECK <6@x>\r\n"),
           "400 No articles can be stored at present\r\n");
    assert_true(client_is_cut());
}

static void
test_a_takethis_on_its_way_without_a_writer_ends_in_400(void **state)
{
    (void)state;
    expect(client_say("CHECK <0@x>\r\nTAKETHIS <1@x>\r\n" ARTICLE(
               "<1@x>") "CHECK <2@x>\r\n"),
           "");
    writer_stay_away();
    expect(client_hear(),
           "431 <0@x>\r\n400 Article cannot be stored at present\r\n");
    assert_true(client_is_cut());
}

static void
test_a_paused_server_has_temporary_codes(void **state)
{
    (void)state;
    shared_set_mode(worker.shared, MODE_PAUSED, "Backup at night");
    expect(client_say("CHECK <1@x>\r\nIHAVE <1@x>\r\nPOST\r\n"),
           "431 <1@x>\r\n436 Backup at night\r\n440 Backup at night\r\n");
    expect(client_say("TAKETHIS <1@x>\r\nQUIT\r\n.\r\n"),
           "400 Backup at night\r\n");
}

static void
test_the_end_waits_for_replies_that_are_pending(void **state)
{
    (void)state;
    client_say("CHECK <1@x>\r\n");
    shared_set_mode(worker.shared, MODE_THROTTLED, "Full");
    expect(client_say("TAKETHIS <2@x>\r\nMODE STREAM\r\n.\r\nQUIT\r\n"), "");
    assert_false(client_is_cut());
    writer_checked(0, CHECK_WANTED);
    expect(client_hear(), "238 <1@x>\r\n400 Full\r\n");
    assert_true(client_is_cut());
}

/* --- time, space --- */

static void
pass_seconds(time_t seconds)
{
    struct session *session, *next;

    clock_offset += seconds;
    worker.now_ms = clock_ms();
    for (session = TAILQ_FIRST(&worker.sessions); session != NULL;
         session = next) {
        next = TAILQ_NEXT(session, all);
        session_tick(session);
    }
}

static void
test_a_client_that_never_speaks_is_sent_away(void **state)
{
    (void)state;
    pass_seconds(worker.config->initialtimeout - 1);
    expect(client_hear(), "");
    pass_seconds(2);
    expect(client_hear(), "400 Timeout, closing connection\r\n");
    assert_true(client_is_cut());
}

static void
test_one_that_has_spoken_may_be_silent_for_longer(void **state)
{
    (void)state;
    client_say("MODE STREAM\r\n");
    pass_seconds(worker.config->clienttimeout - 1);
    expect(client_hear(), "");
    pass_seconds(2);
    expect(client_hear(), "400 Timeout, closing connection\r\n");
}

static void
test_an_article_that_trickles_is_given_up(void **state)
{
    (void)state;
    client_say("TAKETHIS <1@x>\r\nPath: x\r\n");
    pass_seconds(29);
    expect(client_say("x\r\n"), "");
    pass_seconds(2);
    expect(client_hear(), "400 Article comes too slowly\r\n");
    assert_true(client_is_cut());
}

static void
test_who_takes_no_output_is_not_read_and_then_cut(void **state)
{
    struct session *session = TAILQ_FIRST(&worker.sessions);
    struct buffer text = BUFFER_EMPTY;
    ssize_t sent;
    size_t all = 0;
    int i;

    (void)state;
    for (i = 0; i < 1000; i++)
        buffer_append_text(&text, "HELP\r\n");
    do {
        sent = send(client, text.data, text.used, MSG_DONTWAIT);
        all += sent > 0 ? (size_t)sent : 0;
        server_turn(5);
    } while (sent > 0);
    buffer_free(&text);
    assert_true(session->blocked);
    assert_true(all < 1000000);
    assert_true(worker.clients == 1);
    pass_seconds(1);
    pass_seconds(119);
    assert_true(worker.clients == 1);
    pass_seconds(2);
    server_turn(5);
    assert_true(worker.clients == 0);
}

enum { GREEDY = 20, GREEDY_COMMANDS = 500 };

static size_t
octets_of_input(void)
{
    struct session *session;
    size_t octets = 0;

    TAILQ_FOREACH (session, &worker.sessions, all)
        octets += evbuffer_get_length(stream_input(session->stream));
    return octets;
}

static void
test_who_asks_for_little_comes_before_who_asks_for_much(void **state)
{
    struct buffer text = BUFFER_EMPTY;
    int light = client, greedy[GREEDY], i;

    (void)state;
    for (i = 0; i < GREEDY_COMMANDS; i++)
        buffer_append_text(&text, "DATE\r\n");
    for (i = 0; i < GREEDY; i++) {
        client_connect("192.0.2.7");
        greedy[i] = client;
    }
    for (i = 0; i < GREEDY; i++) {
        client = greedy[i];
        client_send(text.data, text.used);
    }
    client = light;
    clock_step_us = 400;
    server_turn(1);
    /* The turn has ended although not all of them have had their share. */
    assert_true(octets_of_input() > GREEDY * text.used * 9 / 10);
    server_turn(GREEDY);
    client_send("MODE STREAM\r\n", 13);
    server_turn(2);
    assert_true(octets_of_input() > 0);
    assert_true(recv(light, heard, sizeof heard, MSG_DONTWAIT) > 0);
    assert_memory_equal(heard, "203 ", 4);
    server_turn(2000);
    assert_int_equal(octets_of_input(), 0);
    for (i = 0; i < GREEDY; i++)
        close(greedy[i]);
    server_turn(20);
    buffer_free(&text);
}

static void
test_a_draining_worker_answers_what_was_begun(void **state)
{
    struct session *session = TAILQ_FIRST(&worker.sessions);

    (void)state;
    client_say("TAKETHIS <1@x>\r\n" ARTICLE("<1@x>"));
    worker.draining = true;
    session_drain(session);
    expect(client_hear(), "");
    writer_stored(0);
    expect(client_hear(), "239 <1@x>\r\n400 Server is shutting down\r\n");
    assert_true(client_is_cut());
}

static void
test_quit_behind_other_commands_answers_them_all(void **state)
{
    (void)state;
    client_send("MODE STREAM\r\nQUIT\r\nMODE STREAM\r\n", 32);
    shutdown(client, SHUT_WR);
    expect(client_hear(), "203 Streaming permitted\r\n205 Bye\r\n");
    assert_true(client_is_cut());
    assert_int_equal(worker.clients, 0);
}

#define WITH_PEER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PEER(test_each_line_has_its_answer),
        WITH_PEER(test_a_nul_in_a_line_is_501),
        WITH_PEER(test_a_line_over_512_octets_has_the_verbs_code),
        WITH_PEER(test_ten_bad_lines_in_a_row_are_the_end),
        WITH_PEER(test_a_line_without_an_end_is_the_end),
        cmocka_unit_test(test_a_right_comes_from_the_address),
        WITH_PEER(test_replies_keep_the_order_of_commands),
        WITH_PEER(test_any_other_command_waits_for_what_is_pending),
        WITH_PEER(test_a_check_waits_for_the_takethis_of_its_id),
        WITH_PEER(test_a_check_is_asked_before_the_takethis_behind_it),
        WITH_PEER(test_a_burst_of_checks_is_one_question),
        WITH_PEER(test_an_article_over_the_limit_is_read_to_its_end),
        WITH_PEER(test_ihave_is_asked_before_it_is_sent),
        WITH_PEER(test_a_post_without_an_id_gets_the_one_recommended),
        WITH_PEER(test_a_full_session_stops_reading),
        WITH_PEER(test_the_next_writer_gets_what_is_unanswered),
        WITH_PEER(test_ten_seconds_without_a_writer_have_temporary_codes),
        WITH_PEER(test_a_takethis_on_its_way_without_a_writer_ends_in_400),
        WITH_PEER(test_a_paused_server_has_temporary_codes),
        WITH_PEER(test_the_end_waits_for_replies_that_are_pending),
        WITH_PEER(test_a_client_that_never_speaks_is_sent_away),
        WITH_PEER(test_one_that_has_spoken_may_be_silent_for_longer),
        WITH_PEER(test_an_article_that_trickles_is_given_up),
        WITH_PEER(test_who_takes_no_output_is_not_read_and_then_cut),
        WITH_PEER(test_who_asks_for_little_comes_before_who_asks_for_much),
        WITH_PEER(test_a_draining_worker_answers_what_was_begun),
        WITH_PEER(test_quit_behind_other_commands_answers_them_all),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
