#include "innd/helper.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "innd/process.h"
#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/password.h"

enum { PAUSE_MS_MAX = 4000 }; /* between two starts: somebody waits */

struct question {
    TAILQ_ENTRY(question) next;
    uint64_t id;
    struct buffer line;
    void *context;
    int64_t came_ms;
    int64_t asked_ms; /* 0: not of the program that runs now */
};

struct helper {
    struct event_base *base;
    char *path;
    helper_done_func *done;
    TAILQ_HEAD(, question) questions; /* in their order */
    uint64_t last_id;
    pid_t pid; /* 0: none runs */
    struct bufferevent *stream;
    bool ready;  /* it has said so */
    bool killed; /* it is about to end */
    unsigned failures;
    int64_t started_ms;
    struct event *ended; /* SIGCHLD */
    struct event *restart;
};

/* --- questions --- */

static void
question_end(struct helper *helper, struct question *question,
             const struct source_answer *answer)
{
    void *context = question->context;

    TAILQ_REMOVE(&helper->questions, question, next);
    password_wipe(question->line.data, question->line.used);
    buffer_free(&question->line);
    free(question);
    if (answer != NULL)
        helper->done(context, answer);
}

static void
question_send(struct helper *helper, struct question *question)
{
    if (bufferevent_write(helper->stream, question->line.data,
                          question->line.used)
        < 0)
        die(EXIT_TEMPORARY, "out of memory: a question to the helper");
    question->asked_ms = clock_ms();
}

void
helper_ask(struct helper *helper, const struct ipc_login_request *request,
           void *context)
{
    struct question *question = xcalloc(1, sizeof(*question));

    question->id = ++helper->last_id;
    question->context = context;
    question->came_ms = clock_ms();
    source_login_build(&question->line, question->id, request);
    TAILQ_INSERT_TAIL(&helper->questions, question, next);
    if (helper->ready)
        question_send(helper, question);
}

/* --- the program --- */

/* Its end is noticed by on_ended(). */
static void
program_kill(struct helper *helper, const char *why)
{
    helper->killed = true;
    bufferevent_disable(helper->stream, EV_READ | EV_WRITE);
    warn("helper %s: pid %d %s, and is killed", helper->path, (int)helper->pid,
         why);
    /* What it has started too: it leads a group. */
    kill(-helper->pid, SIGKILL);
}

static void
line_take(struct helper *helper, const char *line, size_t octets)
{
    struct source_answer answer;
    struct question *question;

    if (!helper->ready) {
        if (!source_line_is_ready(line, octets)) {
            program_kill(helper, "has not begun with \"ready\"");
            return;
        }
        helper->ready = true;
        TAILQ_FOREACH (question, &helper->questions, next)
            question_send(helper, question);
        return;
    }
    if (source_answer_parse(line, octets, &answer) < 0) {
        program_kill(helper, "has said what is no answer");
        return;
    }
    TAILQ_FOREACH (question, &helper->questions, next)
        if (question->id == answer.id)
            break;
    helper->failures = 0; /* this one is good for something */
    /* None: it was given up. */
    if (question != NULL && question->asked_ms > 0)
        question_end(helper, question, &answer);
}

static void
on_lines(struct bufferevent *stream, void *context)
{
    struct helper *helper = context;
    struct evbuffer *input = bufferevent_get_input(stream);
    size_t octets;
    char *line;

    while (!helper->killed
           && (line = evbuffer_readln(input, &octets, EVBUFFER_EOL_LF))
                  != NULL) {
        line_take(helper, line, octets);
        free(line);
    }
    if (!helper->killed
        && evbuffer_get_length(input) >= SOURCE_LINE_OCTETS_MAX)
        program_kill(helper, "has said a line without an end");
}

static void
on_closed(struct bufferevent *stream, short what, void *context)
{
    struct helper *helper = context;

    (void)what;
    bufferevent_disable(stream, EV_READ | EV_WRITE);
    if (helper->pid > 0)
        kill(-helper->pid, SIGKILL); /* on_ended() says what it was */
}

/* In the child: never returns. */
static void
program_execute(const char *path, int fd)
{
    static const int handled[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGCHLD};

    for (size_t i = 0; i < sizeof(handled) / sizeof(*handled); i++)
        signal(handled[i], SIG_DFL);
    (void)setpgid(0, 0); /* fails only where it has one */
    if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0
        || close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
        syswarn("helper %s: descriptors", path);
    else if (execl(path, path, (char *)NULL) < 0)
        syswarn("helper %s", path);
    _exit(EXIT_SYSTEM);
}

static void
start_later(struct helper *helper)
{
    int64_t ms = process_pause_ms(++helper->failures, false);
    struct timeval pause = {0, 0};

    if (ms > PAUSE_MS_MAX)
        ms = PAUSE_MS_MAX;
    ms -= clock_ms() - helper->started_ms;
    if (ms > 0)
        pause = (struct timeval){ms / 1000, (ms % 1000) * 1000};
    event_add(helper->restart, &pause);
}

static void
program_start(struct helper *helper)
{
    int pair[2];

    helper->started_ms = clock_ms();
    helper->killed = false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        syswarn("helper %s: socketpair", helper->path);
        start_later(helper);
        return;
    }
    helper->pid = fork();
    if (helper->pid == 0)
        program_execute(helper->path, pair[1]);
    close(pair[1]);
    if (helper->pid < 0) {
        syswarn("helper %s: fork", helper->path);
        close(pair[0]);
        helper->pid = 0;
        start_later(helper);
        return;
    }
    (void)setpgid(helper->pid, helper->pid); /* or it has done so itself */
    evutil_make_socket_nonblocking(pair[0]);
    helper->stream =
        bufferevent_socket_new(helper->base, pair[0], BEV_OPT_CLOSE_ON_FREE);
    if (helper->stream == NULL)
        die(EXIT_TEMPORARY, "out of memory: socket to the helper");
    bufferevent_setcb(helper->stream, on_lines, NULL, on_closed, helper);
    bufferevent_enable(helper->stream, EV_READ | EV_WRITE);
    debug("helper %s: started pid=%d", helper->path, (int)helper->pid);
}

static void
on_restart(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    program_start(context);
}

static void
on_ended(evutil_socket_t signal_number, short what, void *context)
{
    struct helper *helper = context;
    struct question *question;
    int status;

    (void)signal_number;
    (void)what;
    if (helper->pid == 0
        || waitpid(helper->pid, &status, WNOHANG) != helper->pid)
        return;
    warn("helper %s: pid %d has ended with status %#x", helper->path,
         (int)helper->pid, (unsigned)status);
    kill(-helper->pid, SIGKILL); /* what it has started */
    bufferevent_free(helper->stream);
    helper->stream = NULL;
    helper->pid = 0;
    helper->ready = false;
    TAILQ_FOREACH (question, &helper->questions, next)
        question->asked_ms = 0;
    start_later(helper);
}

void
helper_tick(struct helper *helper)
{
    static const struct source_answer failed = {.verdict = SOURCE_FAILED};
    int64_t now = clock_ms();
    struct question *question;
    struct question *next;
    bool hangs = helper->pid > 0 && !helper->ready
                 && now > helper->started_ms + HELPER_READY_MS;

    for (question = TAILQ_FIRST(&helper->questions); question != NULL;
         question = next) {
        next = TAILQ_NEXT(question, next);
        if (question->asked_ms > 0
            && now > question->asked_ms + HELPER_ANSWER_MS)
            hangs = true;
        if (now > question->came_ms + HELPER_GIVE_UP_MS)
            question_end(helper, question, &failed);
    }
    if (hangs && !helper->killed)
        program_kill(helper, "does not answer");
}

/* --- its life --- */

struct helper *
helper_new(struct event_base *base, const char *path, helper_done_func *done)
{
    struct helper *helper = xcalloc(1, sizeof(*helper));

    helper->base = base;
    helper->path = xstrdup(path);
    helper->done = done;
    TAILQ_INIT(&helper->questions);
    helper->ended = evsignal_new(base, SIGCHLD, on_ended, helper);
    helper->restart = evtimer_new(base, on_restart, helper);
    if (helper->ended == NULL || helper->restart == NULL)
        die(EXIT_TEMPORARY, "out of memory: events of the helper");
    event_add(helper->ended, NULL);
    program_start(helper);
    return helper;
}

void
helper_free(struct helper **helper)
{
    struct helper *old = *helper;

    if (old == NULL)
        return;
    while (!TAILQ_EMPTY(&old->questions))
        question_end(old, TAILQ_FIRST(&old->questions), NULL);
    if (old->stream != NULL)
        bufferevent_free(old->stream);
    if (old->pid > 0)
        kill(-old->pid, SIGTERM);
    event_free(old->ended);
    event_free(old->restart);
    free(old->path);
    free(old);
    *helper = NULL;
}
