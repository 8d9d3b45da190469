/*
 * newssink -- a peer that takes all it is offered, and says how fast it came.
 *
 * Listens on the loopback at a port of the system's choice, which its first
 * line of output names; wants every CHECK and IHAVE, takes every TAKETHIS, and
 * after --count articles prints the rate from the first to the last and ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/wire.h"

enum { INPUT_OCTETS = 256 * 1024 };

struct client {
    int fd;
    struct buffer line; /* a command, or the beginning of one */
    struct buffer out;
    struct wire_scanner scanner;
    bool receives;        /* an article follows */
    struct buffer answer; /* to the article */
};

static uint64_t wanted, taken, octets_taken;
static struct timespec first, last;

static double
seconds_between(const struct timespec *from, const struct timespec *to)
{
    return (double)(to->tv_sec - from->tv_sec)
           + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

static void
client_reply(struct client *client, const char *code, const char *id)
{
    buffer_append_format(&client->out, "%s %s\r\n", code, id);
}

static void
client_receive(struct client *client, const char *code, const char *id)
{
    client->receives = true;
    client->scanner = (struct wire_scanner){0};
    buffer_clear(&client->answer);
    buffer_append_format(&client->answer, "%s %s\r\n", code, id);
}

static void
client_command(struct client *client, char *line)
{
    char *argument = strchr(line, ' ');
    const char *id = argument != NULL ? argument + 1 : "";

    if (argument != NULL)
        *argument = '\0';
    if (strcasecmp(line, "CHECK") == 0) {
        client_reply(client, "238", id);
    } else if (strcasecmp(line, "TAKETHIS") == 0) {
        client_receive(client, "239", id);
    } else if (strcasecmp(line, "IHAVE") == 0) {
        client_reply(client, "335", "send it");
        client_receive(client, "235", "thanks");
    } else if (strcasecmp(line, "MODE") == 0) {
        client_reply(client, "203", "streaming");
    } else if (strcasecmp(line, "QUIT") == 0) {
        client_reply(client, "205", "bye");
    } else if (strcasecmp(line, "CAPABILITIES") == 0) {
        client_reply(client, "101",
                     "list\r\nVERSION 2\r\nIHAVE\r\nSTREAMING\r\n.");
    } else {
        client_reply(client, "500", "what?");
    }
}

static void
article_taken(struct client *client)
{
    client->receives = false;
    buffer_append(&client->out, client->answer.data, client->answer.used);
    clock_gettime(CLOCK_MONOTONIC, &last);
    if (taken++ == 0)
        first = last;
}

static void
client_input(struct client *client, const char *octets, size_t length)
{
    while (length > 0) {
        size_t used;

        if (client->receives) {
            bool ended;

            used = wire_scan(&client->scanner, octets, length, &ended);
            octets_taken += used;
            if (ended)
                article_taken(client);
        } else {
            const char *end = memchr(octets, '\n', length);

            used = end != NULL ? (size_t)(end - octets) + 1 : length;
            buffer_append(&client->line, octets, used);
            if (end != NULL) {
                client->line
                    .data[strcspn(buffer_text(&client->line), "\r\n")] = '\0';
                client_command(client, client->line.data);
                buffer_clear(&client->line);
            }
        }
        octets += used;
        length -= used;
    }
}

/* Returns false when the client has gone. */
static bool
client_serve(struct client *client)
{
    static char octets[INPUT_OCTETS];
    ssize_t got = recv(client->fd, octets, sizeof octets, 0);

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (got <= 0)
        return false;
    client_input(client, octets, (size_t)got);
    /* Blocks when the peer reads no answers: it is the only one we have. */
    while (client->out.used > 0) {
        ssize_t sent =
            send(client->fd, client->out.data, client->out.used, MSG_NOSIGNAL);

        if (sent < 0)
            return false;
        buffer_drop(&client->out, (size_t)sent);
    }
    return true;
}

static void
client_free(struct client *client)
{
    close(client->fd);
    buffer_free(&client->line);
    buffer_free(&client->out);
    buffer_free(&client->answer);
    free(client);
}

static int
sink_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0
        || listen(fd, 16) < 0
        || getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        sysdie(EXIT_SYSTEM, "listening on the loopback");
    printf("{\"port\": %u}\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void
sink_accept(int epoll, int listener)
{
    struct client *client = xcalloc(1, sizeof *client);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    int one = 1;

    client->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client->fd < 0)
        sysdie(EXIT_SYSTEM, "accept");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (send(client->fd, "200 a sink\r\n", 12, MSG_NOSIGNAL) != 12
        || epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
        client_free(client);
}

static void
sink_serve(int listener, double timeout_seconds)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    struct timespec begun, now;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    clock_gettime(CLOCK_MONOTONIC, &begun);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        sysdie(EXIT_SYSTEM, "epoll");
    while (taken < wanted) {
        int count = epoll_wait(epoll, &event, 1, 1000);

        clock_gettime(CLOCK_MONOTONIC, &now);
        if (seconds_between(&begun, &now) > timeout_seconds)
            die(EXIT_TEMPORARY, "%" PRIu64 " articles of %" PRIu64, taken,
                wanted);
        if (count == 1 && event.data.ptr == NULL)
            sink_accept(epoll, listener);
        else if (count == 1 && !client_serve(event.data.ptr))
            client_free(event.data.ptr);
    }
}

static double
number(const char *name, const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || value < 1)
        die(EXIT_USAGE, "--%s: found \"%s\", expected a number from 1 on",
            name, text);
    return value;
}

int
main(int argc, char **argv)
{
    static const struct option names[] = {
        {"count", required_argument, NULL, 'n'},
        {"timeout", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    double timeout = 120;
    int letter;

    log_open("newssink", false);
    while ((letter = getopt_long(argc, argv, "", names, NULL)) != -1)
        switch (letter) {
        case 'n':
            wanted = (uint64_t)number("count", optarg);
            break;
        case 't':
            timeout = number("timeout", optarg);
            break;
        default:
            return EXIT_USAGE;
        }
    if (wanted == 0)
        die(EXIT_USAGE,
            "usage: newssink --count ARTICLES [--timeout SECONDS]");
    sink_serve(sink_listen(), timeout);
    printf("{\"units\": %" PRIu64 ", \"seconds\": %.3f, \"rate\": %.1f, "
           "\"mb\": %.1f}\n",
           taken, seconds_between(&first, &last),
           (double)taken / seconds_between(&first, &last),
           (double)octets_taken / 1e6);
    return 0;
}
