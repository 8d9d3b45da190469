#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/ipc.h"
#include "lib/memory.h"

/* One end in a loop, and the other a bare socket that may send anything. */
struct fixture {
    struct event_base *base;
    struct ipc *ipc;
    int raw;
    int closed;        /* how often the closed function was called */
    struct buffer why; /* what it said */
    struct buffer got; /* payloads, one after the other */
    int frames;
    size_t last_octets;
    int descriptor; /* the last one that came */
    int free_after; /* ipc_free() in the handler of this frame */
    int pause_after;
    int closed_free; /* ipc_free() in the closed function */
};

static void
note_frame(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct fixture *fixture = context;

    assert_int_equal((uintptr_t)frame->payload % 8, 0);
    fixture->frames++;
    fixture->last_octets = frame->octets;
    buffer_append(&fixture->got, frame->payload, frame->octets);
    if (frame->descriptor >= 0) {
        if (fixture->descriptor >= 0)
            close(fixture->descriptor);
        fixture->descriptor = frame->descriptor;
    }
    if (fixture->frames == fixture->free_after)
        ipc_free(&fixture->ipc);
    else if (fixture->frames == fixture->pause_after)
        ipc_pause(ipc);
}

static void
note_closed(void *context, struct ipc *ipc, const char *why)
{
    struct fixture *fixture = context;

    (void)ipc;
    fixture->closed++;
    buffer_clear(&fixture->why);
    buffer_append_text(&fixture->why, why);
    if (fixture->closed_free)
        ipc_free(&fixture->ipc);
}

static const struct ipc_handler handlers[] = {
    {IPC_DRAIN, 0, true, false, note_frame},
    {IPC_COMMAND, sizeof(struct ipc_command), false, false, note_frame},
    {IPC_CLIENT, sizeof(struct ipc_client), true, true, note_frame},
    {IPC_REPLY, 0, false, false, note_frame},
};

static int
fixture_open(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    fixture->base = event_base_new();
    fixture->descriptor = -1;
    fixture->raw = pair[1];
    fixture->ipc =
        ipc_new(fixture->base, pair[0], handlers,
                sizeof(handlers) / sizeof(handlers[0]), note_closed, fixture);
    *state = fixture;
    return 0;
}

static int
fixture_close(void **state)
{
    struct fixture *fixture = *state;

    ipc_free(&fixture->ipc);
    if (fixture->raw >= 0)
        close(fixture->raw);
    if (fixture->descriptor >= 0)
        close(fixture->descriptor);
    event_base_free(fixture->base);
    buffer_free(&fixture->why);
    buffer_free(&fixture->got);
    free(fixture);
    return 0;
}

/* Another one in its place. */
static struct fixture *
fixture_renew(void **state)
{
    fixture_close(state);
    *state = NULL;
    if (fixture_open(state) != 0 || *state == NULL)
        fail_msg("no second fixture");
    return *state;
}

/* Let the loop do all it can. */
static void
turn(struct fixture *fixture)
{
    for (int i = 0; i < 20; i++)
        event_base_loop(fixture->base, EVLOOP_NONBLOCK);
}

/* Append a frame as it goes over the wire. */
static void
frame_append(struct buffer *wire, unsigned type, const void *payload,
             size_t octets, bool descriptor)
{
    struct ipc_head head = {(uint32_t)octets, (uint16_t)type, descriptor};

    buffer_append(wire, &head, sizeof(head));
    buffer_append(wire, payload, octets);
    while (wire->used % 8 != 0)
        buffer_append_char(wire, '\0');
}

static void
hello_append(struct buffer *wire, uint32_t version)
{
    struct ipc_hello hello = {version, 1};

    frame_append(wire, IPC_HELLO, &hello, sizeof(hello), false);
}

/* Send octets with so many descriptors (copies of fd) attached. */
static void
raw_send(int raw, const void *octets, size_t length, int fd, int count)
{
    char control[CMSG_SPACE(16 * sizeof(int))] __attribute__((aligned(8)));
    struct iovec piece = {(void *)(uintptr_t)octets, length};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct cmsghdr *head;
    int fds[16];

    for (int i = 0; i < count; i++)
        fds[i] = fd;
    if (count > 0) {
        memset(control, 0, sizeof(control));
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(head), fds, (size_t)count * sizeof(int));
    }
    assert_int_equal(sendmsg(raw, &message, MSG_NOSIGNAL), (ssize_t)length);
}

static void
wire_send(struct fixture *fixture, struct buffer *wire)
{
    raw_send(fixture->raw, wire->data, wire->used, -1, 0);
    buffer_free(wire);
    turn(fixture);
}

static int
descriptors_open(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void
test_frames_arrive_however_they_are_cut(void **state)
{
    struct buffer wire = BUFFER_EMPTY;
    struct ipc_command command = {7, 0, 0};
    size_t length;

    /* Every place of a cut: a new connection for each. */
    hello_append(&wire, IPC_VERSION);
    frame_append(&wire, IPC_DRAIN, NULL, 0, false);
    frame_append(&wire, IPC_COMMAND, &command, sizeof(command), false);
    frame_append(&wire, IPC_REPLY, "abc", 3, false);
    frame_append(&wire, IPC_REPLY, "defghijk", 8, false);
    length = wire.used;
    for (size_t cut = 0; cut <= length; cut++) {
        struct fixture *fixture;

        fixture = fixture_renew(state);
        if (cut > 0)
            raw_send(fixture->raw, wire.data, cut, -1, 0);
        turn(fixture);
        if (cut < length)
            raw_send(fixture->raw, wire.data + cut, length - cut, -1, 0);
        turn(fixture);
        assert_int_equal(fixture->closed, 0);
        assert_int_equal(fixture->frames, 4);
        assert_int_equal(fixture->got.used, sizeof(command) + 11);
        assert_memory_equal(fixture->got.data + sizeof(command), "abcdefghijk",
                            11);
    }
    buffer_free(&wire);
}

static const struct {
    unsigned type;
    size_t octets;
    bool says_descriptor;
    const char *why;
    const char *promise;
} malformed[] = {
    {IPC_ARTICLE, 8, false, "message of type 11 is not understood",
     "a type without handler"},
    {IPC_HELLO, 8, false, "message of type 1 is not understood",
     "a second hello"},
    {0, 0, false, "message of type 0 is not understood", "no type at all"},
    {65535, 0, false, "message of type 65535 is not understood",
     "a type beyond all"},
    {IPC_DRAIN, 1, false, "message of type 3 has 1 octets",
     "more than the exact size"},
    {IPC_CLIENT, 111, true, "message of type 5 has 111 octets",
     "less than the exact size"},
    {IPC_COMMAND, 15, false, "message of type 9 has 15 octets",
     "less than the fixed head"},
    {IPC_CLIENT, sizeof(struct ipc_client), false,
     "message of type 5 has not a descriptor",
     "a descriptor promised by the table, not by the head"},
    {IPC_DRAIN, 0, true, "message of type 3 has a descriptor",
     "a descriptor that the table does not know"},
    {IPC_CLIENT, sizeof(struct ipc_client), true,
     "message of type 5 came without its descriptor",
     "a descriptor promised and not sent"},
};

static void
test_a_malformed_frame_ends_its_senders_connection(void **state)
{
    static const char zeroes[sizeof(struct ipc_client)];

    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        struct buffer wire = BUFFER_EMPTY;
        struct fixture *fixture;

        fixture = fixture_renew(state);
        hello_append(&wire, IPC_VERSION);
        frame_append(&wire, malformed[i].type, zeroes, malformed[i].octets,
                     malformed[i].says_descriptor);
        frame_append(&wire, IPC_DRAIN, NULL, 0, false);
        wire_send(fixture, &wire);
        if (fixture->closed != 1 || fixture->frames != 0
            || strcmp(buffer_text(&fixture->why), malformed[i].why) != 0)
            fail_msg("%s: closed %d times, %d frames, %s",
                     malformed[i].promise, fixture->closed, fixture->frames,
                     buffer_text(&fixture->why));
        /* What comes later is not heard. */
        ipc_send(fixture->ipc, IPC_DRAIN, NULL, 0, -1);
        turn(fixture);
        assert_int_equal(fixture->closed, 1);
    }
}

static void
test_a_frame_longer_than_any_is_refused_by_its_head(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;
    struct ipc_head head = {IPC_PAYLOAD_MAX + 1, IPC_REPLY, 0};

    hello_append(&wire, IPC_VERSION);
    buffer_append(&wire, &head, sizeof(head));
    wire_send(fixture, &wire);
    assert_int_equal(fixture->closed, 1);
    assert_non_null(strstr(fixture->why.data, "octets"));
}

static void
test_nothing_is_heard_before_hello(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;

    frame_append(&wire, IPC_DRAIN, NULL, 0, false);
    wire_send(fixture, &wire);
    assert_int_equal(fixture->closed, 1);
    assert_int_equal(fixture->frames, 0);
    assert_string_equal(buffer_text(&fixture->why),
                        "message of type 3 is not understood before hello");
}

static void
test_another_version_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;

    hello_append(&wire, IPC_VERSION + 1);
    frame_append(&wire, IPC_DRAIN, NULL, 0, false);
    wire_send(fixture, &wire);
    assert_int_equal(fixture->closed, 1);
    assert_int_equal(fixture->frames, 0);
    assert_non_null(strstr(fixture->why.data, "speaks version"));
}

static void
test_the_end_of_the_other_is_told_once_after_what_it_said(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;

    hello_append(&wire, IPC_VERSION);
    for (int i = 0; i < 100; i++)
        frame_append(&wire, IPC_REPLY, "x", 1, false);
    raw_send(fixture->raw, wire.data, wire.used, -1, 0);
    close(fixture->raw);
    fixture->raw = -1;
    /* What we say then goes nowhere, and is no reason to hear less. */
    ipc_send(fixture->ipc, IPC_DRAIN, NULL, 0, -1);
    turn(fixture);
    assert_int_equal(fixture->frames, 100);
    assert_int_equal(fixture->closed, 1);
    assert_string_equal(buffer_text(&fixture->why), "ended");
    buffer_free(&wire);
}

static void
test_an_end_within_a_frame_is_called_so(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;

    hello_append(&wire, IPC_VERSION);
    frame_append(&wire, IPC_REPLY, "abcdefghijklmnop", 16, false);
    raw_send(fixture->raw, wire.data, wire.used - 8, -1, 0);
    close(fixture->raw);
    fixture->raw = -1;
    turn(fixture);
    assert_int_equal(fixture->frames, 0);
    assert_string_equal(buffer_text(&fixture->why), "ended within a message");
    buffer_free(&wire);
}

/* A frame with a descriptor (of a pipe) goes through, and the pipe works. */
static void
test_a_descriptor_arrives_with_its_frame(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;
    struct ipc_client client = {.client = 42};
    int pipes[2];
    char octet = '\0';

    assert_int_equal(pipe(pipes), 0);
    hello_append(&wire, IPC_VERSION);
    raw_send(fixture->raw, wire.data, wire.used, -1, 0);
    buffer_clear(&wire);
    frame_append(&wire, IPC_CLIENT, &client, sizeof(client), true);
    /* The descriptor comes with the first octet, the frame in two pieces. */
    raw_send(fixture->raw, wire.data, 1, pipes[1], 1);
    turn(fixture);
    assert_int_equal(fixture->frames, 0);
    raw_send(fixture->raw, wire.data + 1, wire.used - 1, -1, 0);
    turn(fixture);
    assert_int_equal(fixture->frames, 1);
    assert_int_equal(fixture->closed, 0);
    assert_int_equal(fcntl(fixture->descriptor, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(fixture->descriptor, "!", 1), 1);
    assert_int_equal(read(pipes[0], &octet, 1), 1);
    assert_int_equal(octet, '!');
    close(pipes[0]);
    close(pipes[1]);
    buffer_free(&wire);
}

static void
test_surplus_descriptors_are_closed(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;
    struct ipc_client client = {.client = 42};
    int before;

    hello_append(&wire, IPC_VERSION);
    wire_send(fixture, &wire);
    before = descriptors_open();

    /* One for a frame that has none. */
    frame_append(&wire, IPC_DRAIN, NULL, 0, false);
    raw_send(fixture->raw, wire.data, wire.used, STDERR_FILENO, 1);
    turn(fixture);
    assert_int_equal(fixture->frames, 1);
    assert_int_equal(descriptors_open(), before);

    /* Three for a frame that has one. */
    buffer_clear(&wire);
    frame_append(&wire, IPC_CLIENT, &client, sizeof(client), true);
    raw_send(fixture->raw, wire.data, wire.used, STDERR_FILENO, 3);
    turn(fixture);
    assert_int_equal(fixture->frames, 2);
    assert_int_equal(fixture->closed, 0);
    assert_int_equal(descriptors_open(), before + 1);
    buffer_free(&wire);
}

static void
test_too_many_descriptors_end_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;
    int before;

    hello_append(&wire, IPC_VERSION);
    wire_send(fixture, &wire);
    before = descriptors_open();
    frame_append(&wire, IPC_DRAIN, NULL, 0, false);
    raw_send(fixture->raw, wire.data, wire.used, STDERR_FILENO, 9);
    turn(fixture);
    assert_int_equal(fixture->closed, 1);
    assert_string_equal(buffer_text(&fixture->why), "too many descriptors");
    ipc_free(&fixture->ipc);
    assert_int_equal(descriptors_open(), before - 1);
    buffer_free(&wire);
}

static void
test_descriptors_dripped_in_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;

    hello_append(&wire, IPC_VERSION);
    wire_send(fixture, &wire);
    frame_append(&wire, IPC_REPLY, "0123456789012345678901234567890", 31,
                 false);
    for (size_t i = 0; i < 30 && fixture->closed == 0; i++) {
        raw_send(fixture->raw, wire.data + i, 1, STDERR_FILENO, 1);
        turn(fixture);
    }
    assert_int_equal(fixture->closed, 1);
    buffer_free(&wire);
}

static void
test_a_handler_may_free_its_connection(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;

    fixture->free_after = 2;
    hello_append(&wire, IPC_VERSION);
    for (int i = 0; i < 5; i++)
        frame_append(&wire, IPC_DRAIN, NULL, 0, false);
    wire_send(fixture, &wire);
    assert_int_equal(fixture->frames, 2);
    assert_int_equal(fixture->closed, 0);
    assert_null(fixture->ipc);
}

static void
test_the_closed_function_may_free_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;

    fixture->closed_free = 1;
    frame_append(&wire, IPC_DRAIN, NULL, 0, false);
    wire_send(fixture, &wire);
    assert_int_equal(fixture->closed, 1);
    assert_null(fixture->ipc);
}

static void
test_a_pause_loses_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;

    fixture->pause_after = 2;
    hello_append(&wire, IPC_VERSION);
    for (int i = 0; i < 5; i++)
        frame_append(&wire, IPC_REPLY, "x", 1, false);
    wire_send(fixture, &wire);
    assert_int_equal(fixture->frames, 2);
    frame_append(&wire, IPC_REPLY, "y", 1, false);
    wire_send(fixture, &wire);
    assert_int_equal(fixture->frames, 2);
    fixture->pause_after = 0;
    ipc_resume(fixture->ipc);
    turn(fixture);
    assert_int_equal(fixture->frames, 6);
    assert_memory_equal(fixture->got.data, "xxxxxy", 6);
}

/* --- two connections with each other --- */

static struct ipc *
sender_make(struct fixture *fixture, struct fixture *sender)
{
    struct ipc *ipc;

    memset(sender, 0, sizeof(*sender));
    sender->descriptor = -1;
    ipc = ipc_new(fixture->base, fixture->raw, handlers,
                  sizeof(handlers) / sizeof(handlers[0]), note_closed, sender);
    fixture->raw = -1;
    return ipc;
}

static void
test_much_more_than_a_socket_takes_arrives_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct fixture sender;
    struct ipc *ipc = sender_make(fixture, &sender);
    size_t length = 5 * 1000 * 1000 + 3;
    char *article = xmalloc(length);
    struct buffer expected = BUFFER_EMPTY;

    for (size_t i = 0; i < length; i++)
        article[i] = (char)(i * 2654435761u >> 13);
    for (int i = 0; i < 3; i++) {
        struct iovec pieces[] = {{article, 1000},
                                 {article + 1000, 0},
                                 {article + 1000, length - 1000}};

        ipc_sendv(ipc, IPC_REPLY, pieces, 3, -1);
        ipc_send(ipc, IPC_REPLY, "end", 3, -1);
        buffer_append(&expected, article, length);
        buffer_append(&expected, "end", 3);
    }
    assert_true(ipc_queued(ipc) > 3 * length);
    for (int i = 0; i < 1000 && fixture->frames < 6; i++)
        turn(fixture);
    assert_int_equal(fixture->frames, 6);
    assert_int_equal(ipc_queued(ipc), 0);
    assert_int_equal(fixture->got.used, expected.used);
    assert_memory_equal(fixture->got.data, expected.data, expected.used);
    ipc_free(&ipc);
    buffer_free(&expected);
    free(article);
}

static void
test_many_descriptors_keep_to_their_frames(void **state)
{
    struct fixture *fixture = *state;
    struct fixture sender;
    struct ipc *ipc = sender_make(fixture, &sender);
    int before;
    int count = 64;

    turn(fixture);
    before = descriptors_open();
    for (int i = 0; i < count; i++) {
        struct ipc_client client = {.client = (uint64_t)i};
        int pipes[2];

        /* Each has an end of its own pipe with its number in it. */
        assert_int_equal(pipe(pipes), 0);
        assert_int_equal(write(pipes[1], &client.client, 8), 8);
        close(pipes[1]);
        if (i % 3 == 0)
            ipc_send(ipc, IPC_DRAIN, NULL, 0, -1);
        ipc_send(ipc, IPC_CLIENT, &client, sizeof(client), pipes[0]);
        turn(fixture);
        assert_int_equal(fixture->closed, 0);
        assert_true(fixture->descriptor >= 0);
        {
            uint64_t number = 0;

            assert_int_equal(read(fixture->descriptor, &number, 8), 8);
            assert_int_equal(number, i);
        }
    }
    assert_int_equal(descriptors_open(), before + 1);

    /* Not sent yet when the connection goes: closed all the same. */
    ipc_pause(fixture->ipc);
    for (int i = 0; i < 10; i++) {
        struct ipc_client client = {.client = 1};

        ipc_send(ipc, IPC_CLIENT, &client, sizeof(client), dup(2));
    }
    ipc_free(&ipc);
    assert_int_equal(descriptors_open(), before); /* and the sender's socket */
}

/* --- without a loop --- */

static void
test_a_program_without_a_loop_asks_and_is_answered(void **state)
{
    struct fixture *fixture = *state;
    struct buffer wire = BUFFER_EMPTY;
    struct buffer payload = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;
    struct iovec piece = {(void *)(uintptr_t) "hello you", 9};
    enum ipc_type type;
    int fd = -1;

    hello_append(&wire, IPC_VERSION);
    wire_send(fixture, &wire);
    assert_int_equal(ipc_write(fixture->raw, IPC_REPLY, &piece, 1, &why), 0);
    turn(fixture);
    assert_memory_equal(fixture->got.data, "hello you", 9);

    /* Our hello first, then a frame with a descriptor, then none. */
    ipc_send(fixture->ipc, IPC_ACTIVE, "ab", 2, dup(STDERR_FILENO));
    turn(fixture);
    assert_int_equal(ipc_read(fixture->raw, &type, &payload, NULL, 1000, &why),
                     1);
    assert_int_equal(type, IPC_HELLO);
    assert_int_equal(ipc_read(fixture->raw, &type, &payload, &fd, 1000, &why),
                     1);
    assert_int_equal(type, IPC_ACTIVE);
    assert_int_equal(payload.used, 2);
    assert_memory_equal(payload.data, "ab", 2);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ipc_read(fixture->raw, &type, &payload, &fd, 0, &why), 0);
    ipc_free(&fixture->ipc);
    assert_int_equal(ipc_read(fixture->raw, &type, &payload, &fd, 1000, &why),
                     -1);
    assert_string_equal(buffer_text(&why),
                        "the server has closed the connection");
    buffer_free(&payload);
    buffer_free(&why);
}

/* A path longer than a socket's address: test directories are. */
static void
test_a_socket_may_have_a_long_path(void **state)
{
    char directory[] = "/tmp/renews-ipc-XXXXXX";
    char *deep;
    char *path;
    struct buffer why = BUFFER_EMPTY;
    struct stat status;
    struct fixture *fixture = *state;
    int listener;
    pid_t child;

    assert_non_null(mkdtemp(directory));
    deep = xasprintf("%s/%0120d", directory, 0);
    assert_int_equal(mkdir(deep, 0700), 0);
    path = xasprintf("%s/control", deep);
    assert_int_equal(ipc_connect(path, &why), -1);
    listener = ipc_listen(path, &why);
    assert_true(listener >= 0);
    close(listener);
    listener = ipc_listen(path, &why); /* in place of the one before */
    assert_true(listener >= 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);

    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = ipc_connect(path, NULL);

        _exit(fd >= 0 ? 0 : 1);
    }
    {
        struct pollfd waiting = {listener, POLLIN, 0};
        int fd;

        assert_int_equal(poll(&waiting, 1, 10000), 1);
        fd = accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        ipc_free(&fixture->ipc);
        fixture->ipc =
            ipc_new(fixture->base, fd, handlers, 1, note_closed, fixture);
    }
    while (fixture->closed == 0)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    assert_string_equal(buffer_text(&fixture->why), "ended");
    close(listener);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(deep), 0);
    assert_int_equal(rmdir(directory), 0);
    free(path);
    free(deep);
    buffer_free(&why);
}

/* --- words --- */

static void
test_words_come_out_as_they_went_in(void **state)
{
    static const char *const words[] = {"newgroup", "a.b", "", "with space"};
    const char *got[4];
    struct buffer payload = BUFFER_EMPTY;
    struct ipc_frame frame;

    (void)state;
    ipc_command_build(&payload, 9, 4, words);
    frame = (struct ipc_frame){IPC_COMMAND, payload.data, payload.used, -1};
    assert_int_equal(ipc_command_words(&frame, got, 4), 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(got[i], words[i]);
    assert_int_equal(ipc_command_words(&frame, got, 3), -1);
    frame.octets--; /* the last NUL is missing */
    assert_int_equal(ipc_command_words(&frame, got, 4), -1);
    buffer_append(&payload, "x", 2); /* one more than it says */
    frame.payload = payload.data;
    frame.octets = payload.used;
    assert_int_equal(ipc_command_words(&frame, got, 4), -1);
    frame.octets = 8; /* not even the head */
    assert_int_equal(ipc_command_words(&frame, got, 4), -1);
    buffer_free(&payload);
}

#define WITH_FIXTURE(test)                                                    \
    cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_frames_arrive_however_they_are_cut),
        WITH_FIXTURE(test_a_malformed_frame_ends_its_senders_connection),
        WITH_FIXTURE(test_a_frame_longer_than_any_is_refused_by_its_head),
        WITH_FIXTURE(test_nothing_is_heard_before_hello),
        WITH_FIXTURE(test_another_version_ends_the_connection),
        WITH_FIXTURE(
            test_the_end_of_the_other_is_told_once_after_what_it_said),
        WITH_FIXTURE(test_an_end_within_a_frame_is_called_so),
        WITH_FIXTURE(test_a_descriptor_arrives_with_its_frame),
        WITH_FIXTURE(test_surplus_descriptors_are_closed),
        WITH_FIXTURE(test_too_many_descriptors_end_the_connection),
        WITH_FIXTURE(test_descriptors_dripped_in_are_bounded),
        WITH_FIXTURE(test_a_handler_may_free_its_connection),
        WITH_FIXTURE(test_the_closed_function_may_free_the_connection),
        WITH_FIXTURE(test_a_pause_loses_nothing),
        WITH_FIXTURE(test_much_more_than_a_socket_takes_arrives_in_order),
        WITH_FIXTURE(test_many_descriptors_keep_to_their_frames),
        WITH_FIXTURE(test_a_program_without_a_loop_asks_and_is_answered),
        WITH_FIXTURE(test_a_socket_may_have_a_long_path),
        cmocka_unit_test(test_words_come_out_as_they_went_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
