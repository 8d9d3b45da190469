/*
 * engine -- many NNTP connections in one epoll loop, replies cut and timed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "tests/bench/carrier.h"
#include "tests/bench/load.h"

/* A connection asks its row for more only while less than this is queued. */
enum { OUTPUT_OCTETS = 256 * 1024, INPUT_OCTETS = 256 * 1024 };

struct expected {
    uint64_t sent_ns;
    unsigned tag;
    enum reply_kind kind;
};

/* A ring of what is outstanding; grows when full. */
struct ring {
    struct expected *slots;
    size_t size, first, count;
};

/* What comes before the row's own first command. */
enum setup { SETUP_GREETING, SETUP_READER, SETUP_COMPRESS, SETUP_DONE };

struct connection {
    int fd; /* -1: closed */
    unsigned index;
    struct carrier *carrier; /* owns fd */
    enum setup setup;
    bool exhausted; /* the row has no more for this connection */
    bool writing;   /* EPOLLOUT is asked for */
    struct buffer out;
    struct ring expected;
    /* Units' numbers in the order of the replies to their offers. */
    uint64_t *remembered;
    size_t remembered_size, remembered_first, remembered_count;
    /* The reply being read. */
    bool inside;        /* behind the first line of a multi-line reply */
    struct buffer line; /* the first line, or a piece of it */
    struct reply reply;
    unsigned tail; /* the last octets seen of CRLF . CRLF, as a state */
    struct load_marks marks;
    uint64_t unit_started_ns; /* rows that reconnect */
};

static const struct load_options *options;
static const struct row *row;
static int epoll_fd;
static uint64_t claimed, finished, wrong, received_octets, started_ns;
static uint32_t *latencies_us;
static size_t latency_count, latency_size;
static size_t open_connections;

const struct load_options *
load_options(void)
{
    return options;
}

struct load_marks *
load_marks(struct connection *connection)
{
    return &connection->marks;
}

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
latency_note(uint64_t since_ns)
{
    if (latency_count == latency_size) {
        latency_size = latency_size > 0 ? latency_size * 2 : 65536;
        latencies_us =
            xreallocarray(latencies_us, latency_size, sizeof(uint32_t));
    }
    latencies_us[latency_count++] = (uint32_t)((now_ns() - since_ns) / 1000);
}

/* With a rate: has the time for one more come? */
static bool
claim_is_early(void)
{
    return options->rate > 0
           && (double)claimed
                  > (double)(now_ns() - started_ns) * options->rate / 1e9;
}

bool
load_claim(uint64_t *number_r)
{
    if (claimed >= options->count || claim_is_early())
        return false;
    *number_r = claimed++;
    return true;
}

void
load_remember(struct connection *c, uint64_t number)
{
    if (c->remembered_size == 0) {
        c->remembered_size = options->window + 1;
        c->remembered = xcalloc(c->remembered_size, sizeof(uint64_t));
    }
    c->remembered[(c->remembered_first + c->remembered_count++)
                  % c->remembered_size] = number;
}

uint64_t
load_recall(struct connection *c)
{
    uint64_t number = c->remembered[c->remembered_first];

    c->remembered_first = (c->remembered_first + 1) % c->remembered_size;
    c->remembered_count--;
    return number;
}

void
load_expect(struct connection *c, unsigned tag, enum reply_kind kind)
{
    struct ring *ring = &c->expected;

    if (ring->count == ring->size) {
        size_t size = ring->size > 0 ? ring->size * 2 : 16;
        struct expected *slots = xcalloc(size, sizeof(*slots));

        for (size_t i = 0; i < ring->count; i++)
            slots[i] = ring->slots[(ring->first + i) % ring->size];
        free(ring->slots);
        *ring = (struct ring){slots, size, 0, ring->count};
    }
    ring->slots[(ring->first + ring->count++) % ring->size] =
        (struct expected){now_ns(), tag, kind};
}

void
load_command(struct connection *c, unsigned tag, enum reply_kind kind,
             const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buffer_append_vformat(&c->out, format, args);
    va_end(args);
    buffer_append_text(&c->out, "\r\n");
    load_expect(c, tag, kind);
}

void
load_octets(struct connection *c, const void *octets, size_t length)
{
    buffer_append(&c->out, octets, length);
}

void
load_wrong(const struct reply *reply)
{
    if (wrong++ == 0)
        warn("unexpected reply: %s", reply->line);
}

/* Connections take the addresses from --source on in turn. */
static void
source_bind(const struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int one = 1;
    int fd = c->fd;

    inet_pton(AF_INET, options->source, &address.sin_addr);
    address.sin_addr.s_addr =
        htonl(ntohl(address.sin_addr.s_addr) + c->index % options->sources);
    /* The port is chosen at connect(), so that thousands may follow. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        sysdie(EXIT_SYSTEM, "bind to %s", options->source);
}

static void
connection_open(struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(options->port)};
    /* A TLS client speaks first. */
    struct epoll_event event = {
        .events = EPOLLIN | (options->tls ? EPOLLOUT : 0), .data.ptr = c};
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        sysdie(EXIT_SYSTEM, "socket");
    if (options->source != NULL)
        source_bind(c);
    inet_pton(AF_INET, options->host, &address.sin_addr);
    c->unit_started_ns = now_ns();
    if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        sysdie(EXIT_NOT_RUNNING, "connect to %s:%u", options->host,
               options->port);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        sysdie(EXIT_SYSTEM, "epoll_ctl");
    c->carrier = carrier_new(c->fd, options->tls);
    c->setup = SETUP_GREETING;
    c->inside = c->exhausted = false;
    c->writing = options->tls;
    c->marks = (struct load_marks){false, 0, 0, 0};
    buffer_clear(&c->line);
    open_connections++;
}

static void
connection_close(struct connection *c)
{
    carrier_free(&c->carrier);
    c->fd = -1;
    open_connections--;
}

/* Let epoll say when there is room in the socket, or no longer. */
static void
connection_watch(struct connection *c)
{
    struct epoll_event event = {.data.ptr = c};
    bool wanted = c->out.used > 0 || carrier_wants_write(c->carrier);

    if (wanted == c->writing)
        return;
    c->writing = wanted;
    event.events = EPOLLIN | (wanted ? EPOLLOUT : 0);
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void
connection_write(struct connection *c)
{
    if (carrier_flush(c->carrier) < 0 && errno != EAGAIN)
        sysdie(EXIT_IO, "the server hung up");
    while (c->out.used > 0) {
        ssize_t written = carrier_write(c->carrier, c->out.data, c->out.used);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN)
            break;
        if (written < 0)
            sysdie(EXIT_IO, "the server hung up");
        buffer_drop(&c->out, (size_t)written);
    }
    connection_watch(c);
}

static bool
connection_has_room(const struct connection *c)
{
    return c->setup == SETUP_DONE && !c->exhausted && row->next != NULL
           && c->expected.count < options->window
           && c->out.used < OUTPUT_OCTETS;
}

/* Ask the row for as much as the window and the output buffer hold, again
   while the socket takes it. */
static void
connection_fill(struct connection *c)
{
    bool has_more = true;

    do {
        while (connection_has_room(c) && has_more)
            has_more = row->next(c);
        /* Perhaps it waits for an answer of its setting up. */
        if (!has_more)
            c->exhausted = row->reconnects || claimed >= options->count;
        connection_write(c);
    } while (connection_has_room(c) && has_more);
}

static void
reply_finished(struct connection *c)
{
    struct ring *ring = &c->expected;
    struct expected expected = ring->slots[ring->first];

    ring->first = (ring->first + 1) % ring->size;
    ring->count--;
    c->inside = false;
    c->reply.line = buffer_text(&c->line);
    {
        uint64_t units = row->replied(c, expected.tag, &c->reply);

        if (units > 0)
            latency_note(row->reconnects ? c->unit_started_ns
                                         : expected.sent_ns);
        finished += units;
    }
    buffer_clear(&c->line);
}

/* A greeting, or the answer to what the engine itself has asked. */
static void
setup_finished(struct connection *c)
{
    static const struct {
        unsigned least, most; /* codes */
        const char *next;     /* what is asked then */
    } steps[] = {
        [SETUP_GREETING] = {200, 201, "MODE READER\r\n"},
        [SETUP_READER] = {200, 201, "COMPRESS DEFLATE\r\n"},
        [SETUP_COMPRESS] = {206, 206, NULL},
    };
    enum setup step = c->setup;

    if (c->reply.code < steps[step].least || c->reply.code > steps[step].most)
        die(EXIT_DATA, "setting up: %s", buffer_text(&c->line));
    buffer_clear(&c->line);
    if (step == SETUP_COMPRESS)
        carrier_compress(c->carrier);
    if (options->compress && step < SETUP_COMPRESS) {
        buffer_append_text(&c->out, steps[step].next);
        c->setup++;
        return;
    }
    c->setup = SETUP_DONE;
    if (row->greeted != NULL)
        row->greeted(c);
}

static void
line_finished(struct connection *c)
{
    c->reply.code = (unsigned)strtoul(buffer_text(&c->line), NULL, 10);
    if (c->setup != SETUP_DONE) {
        setup_finished(c);
        return;
    }
    if (c->expected.count == 0)
        die(EXIT_DATA, "a reply to nothing: %s", buffer_text(&c->line));
    c->reply.lines = 0;
    if (c->expected.slots[c->expected.first].kind == REPLY_MULTILINE
        && c->reply.code < 400) {
        c->inside = true;
        c->tail = 2; /* the first line's CRLF is the beginning of the end */
        return;
    }
    reply_finished(c);
}

/*
 * Pass over a multi-line reply: count lines, find CRLF.CRLF.  tail counts how
 * much of it has been seen: 1 CR, 2 LF, 3 dot, 4 CR.  Returns octets used.
 */
static size_t
multiline_scan(struct connection *c, const char *octets, size_t length)
{
    size_t at = 0;

    while (at < length) {
        const char *end;

        if (c->tail == 2 && octets[at] == '.') {
            c->tail = 3;
            at++;
        } else if (c->tail == 3 && octets[at] == '\r') {
            c->tail = 4;
            at++;
        } else if (c->tail == 4 && octets[at] == '\n') {
            at++;
            reply_finished(c);
            return at;
        } else {
            end = memchr(octets + at, '\n', length - at);
            if (end == NULL) {
                c->tail = 0;
                return length;
            }
            at = (size_t)(end - octets) + 1;
            c->reply.lines++;
            c->tail = 2;
        }
    }
    return at;
}

static void
connection_input(struct connection *c, const char *octets, size_t length)
{
    received_octets += length;
    while (length > 0) {
        size_t used;

        if (c->inside) {
            used = multiline_scan(c, octets, length);
        } else {
            const char *end = memchr(octets, '\n', length);

            used = end != NULL ? (size_t)(end - octets) + 1 : length;
            buffer_append(&c->line, octets, used);
            if (end != NULL) {
                while (c->line.used > 0
                       && strchr("\r\n", c->line.data[c->line.used - 1]))
                    c->line.data[--c->line.used] = '\0';
                line_finished(c);
            }
        }
        octets += used;
        length -= used;
    }
}

/* A server without TCP_NODELAY would otherwise be measured by our kernel's
   delayed acknowledgements. */
static void
connection_acknowledge(struct connection *c)
{
    static const int one = 1;

    if (!options->delayed_acks)
        setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
}

static void
connection_read(struct connection *c)
{
    static char octets[INPUT_OCTETS];
    ssize_t got;

    do {
        got = carrier_read(c->carrier, octets, sizeof(octets));
        connection_acknowledge(c);
        if (got > 0)
            connection_input(c, octets, (size_t)got);
    } while (got > 0 && carrier_has_more(c->carrier));
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) {
        connection_fill(c);
        return;
    }
    {
        if (!row->reconnects || c->expected.count > 0)
            die(EXIT_IO, "the server closed a connection");
        connection_close(c);
        if (claimed < options->count) {
            claimed++;
            connection_open(c);
        }
    }
}

static int
latency_compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return a < b ? -1 : a > b;
}

static void
report(void)
{
    double seconds = (double)(now_ns() - started_ns) / 1e9;
    uint32_t p50 = 0, p99 = 0;

    if (latency_count > 0) {
        qsort(latencies_us, latency_count, sizeof(*latencies_us),
              latency_compare);
        p50 = latencies_us[latency_count / 2];
        p99 = latencies_us[latency_count * 99 / 100];
    }
    printf("{\"row\": \"%s\", \"unit\": \"%s\", \"units\": %llu, "
           "\"seconds\": %.3f, \"rate\": %.1f, \"received\": %llu, "
           "\"p50_us\": %u, \"p99_us\": %u, \"wrong\": %llu}\n",
           row->name, row->unit, (unsigned long long)finished, seconds,
           (double)finished / seconds, (unsigned long long)received_octets,
           p50, p99, (unsigned long long)wrong);
    fflush(stdout);
}

static bool
is_finished(void)
{
    if (row->reconnects)
        return open_connections == 0;
    return claimed >= options->count;
}

/* Is anything still outstanding on one of them? */
static bool
is_quiet(const struct connection *connections)
{
    for (unsigned i = 0; i < options->connections; i++)
        if (connections[i].expected.count > 0 || connections[i].out.used > 0
            || connections[i].setup != SETUP_DONE)
            return false;
    return true;
}

static void
serve(struct connection *connections)
{
    struct epoll_event events[256];
    uint64_t deadline = now_ns() + options->timeout_seconds * 1000000000ull;
    unsigned first = 0; /* to be asked whether the time for one has come */

    while (!is_finished() || (!row->reconnects && !is_quiet(connections))) {
        int count =
            epoll_wait(epoll_fd, events, 256, options->rate > 0 ? 1 : 1000);

        if (now_ns() > deadline)
            die(EXIT_TEMPORARY, "%s: not finished after %u seconds, %llu done",
                row->name, options->timeout_seconds,
                (unsigned long long)finished);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;

            /* What is large leaves the window open while it is written. */
            if (c->fd >= 0 && events[i].events & EPOLLOUT)
                connection_fill(c);
            if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP))
                connection_read(c);
        }
        /* From another one each time: nobody waits for ever. */
        first = (first + 1) % options->connections;
        for (unsigned i = 0; options->rate > 0 && i < options->connections;
             i++)
            connection_fill(&connections[(first + i) % options->connections]);
    }
}

/* The row `idle`: everybody is greeted; say so, and wait for our caller. */
static void
hold(struct connection *connections)
{
    struct epoll_event event;
    char octet;

    while (!is_quiet(connections)) {
        if (epoll_wait(epoll_fd, &event, 1, 10000) <= 0)
            die(EXIT_TEMPORARY, "idle: a greeting is missing");
        connection_write(event.data.ptr);
        connection_read(event.data.ptr);
    }
    printf("{\"row\": \"idle\", \"connections\": %u}\n", options->connections);
    fflush(stdout);
    (void)!read(STDIN_FILENO, &octet, 1); /* its end is the signal */
}

int
engine_run(const struct row *given, const struct load_options *given_options)
{
    struct connection *connections;
    struct rlimit files;

    options = given_options;
    row = given;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* as far as it goes */
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    connections = xcalloc(options->connections, sizeof(*connections));
    started_ns = now_ns();
    for (unsigned i = 0; i < options->connections; i++) {
        if (row->reconnects)
            claimed++;
        connections[i].index = i;
        connection_open(&connections[i]);
    }
    if (row->next == NULL && !row->reconnects) {
        hold(connections);
        return 0;
    }
    serve(connections);
    report();
    return wrong > 0 ? EXIT_DATA : 0;
}
