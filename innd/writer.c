#include "innd/writer.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/child.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sandbox.h"
#include "lib/shared.h"
#include "storage/active.h"
#include "storage/history.h"
#include "storage/spool.h"
#include "storage/store.h"

enum {
    LOCK_WAIT_SECONDS = 20, /* for the writer before us to be gone */
    CHECK_HASHES_MAX = 1024,

    /*
     * What feeds and tools may have in hand, all together.  Enough to keep
     * the three stages of the store busy (each takes 1,000 articles or 8 MiB
     * at once), and no more: a post stands behind it.  Above the first pair
     * their sockets are not read, below the second they are again.  Posts are
     * always read, so that these marks are all that a feed's backlog delays a
     * poster by.
     */
    PAUSE_ARTICLES = 3000,
    PAUSE_OCTETS = 32 * 1024 * 1024,
    RESUME_ARTICLES = 2000,
    RESUME_OCTETS = 24 * 1024 * 1024,

    /* The master is gone: finish, but do not hold up the next one. */
    ORPHAN_SECONDS = 5,
    ACCEPTS_PER_TURN = 16,
    DRAIN_LOOK_US = 10000,
};

/* One socket on which somebody asks us something: the master's, a worker's
   feed or post, a tool's. */
struct link {
    TAILQ_ENTRY(link) next;
    struct writer *writer;
    struct ipc *ipc; /* NULL: gone; the struct stays until all is answered */
    uint32_t kind;   /* enum ipc_link_kind; 0: the master */
    bool paused;
    size_t waiting; /* answers it has not had */
};
TAILQ_HEAD(link_list, link);

struct writer {
    struct event_base *base;
    struct config *config;
    struct shared *shared;
    struct shared_slot *slot;
    struct active *active;
    int active_fd; /* read-only, for tools */
    struct store *store;
    struct link *control;
    struct link_list links;
    struct event *tools;      /* a tool connects */
    struct event *store_done; /* the store has decided something */
    struct event *turn;       /* the end of this turn of the loop */
    struct event *second;
    struct event *orphaned; /* the time to finish without a master is over */
    bool paused;            /* feeds and tools */
    bool draining;
    uint64_t commits;
};

static struct event *
event_make(struct event_base *base, int fd, short what,
           event_callback_fn callback, void *context)
{
    struct event *event = event_new(base, fd, what, callback, context);

    if (event == NULL)
        die(EXIT_TEMPORARY, "out of memory: event");
    return event;
}

/* --- turns --- */

/*
 * Something was submitted: when the events that are ready now have had their
 * turn, commit it.  The event goes behind them in libevent's queue.
 */
static void
turn_end_soon(struct writer *writer)
{
    event_active(writer->turn, EV_TIMEOUT, 1);
}

/* Nothing more is to be done here: leave when all answers are out. */
static void
drain_look(struct writer *writer)
{
    const struct link *link;

    if (!writer->draining)
        return;
    /* What waits for the overview has no outcome; the next start replays. */
    if (store_is_waiting(writer->store)) {
        warn("the overview is away: articles without an outcome=%zu",
             store_pending(writer->store));
        _exit(EXIT_TEMPORARY);
    }
    if (store_pending(writer->store) > 0)
        return;
    for (link = TAILQ_FIRST(&writer->links); link != NULL;
         link = TAILQ_NEXT(link, next))
        if (link->ipc != NULL && ipc_queued(link->ipc) > 0)
            return;
    event_base_loopbreak(writer->base);
}

static void
link_pause(struct link *link, bool pause)
{
    if (link->ipc == NULL || link->kind == LINK_POST || link->kind == 0
        || link->paused == pause)
        return;
    link->paused = pause;
    if (pause)
        ipc_pause(link->ipc);
    else
        ipc_resume(link->ipc);
}

static void
pause_all(struct writer *writer, bool pause)
{
    struct link *link;

    writer->paused = pause;
    for (link = TAILQ_FIRST(&writer->links); link != NULL;
         link = TAILQ_NEXT(link, next))
        link_pause(link, pause);
}

static void
pause_look(struct writer *writer)
{
    size_t articles = store_pending(writer->store);
    size_t octets = store_pending_octets(writer->store);

    if (!writer->paused
        && (articles > PAUSE_ARTICLES || octets > PAUSE_OCTETS))
        pause_all(writer, true);
    else if (writer->paused && articles < RESUME_ARTICLES
             && octets < RESUME_OCTETS)
        pause_all(writer, false);
}

static void
bump(struct writer *writer)
{
    atomic_fetch_add_explicit(&writer->slot->loops, 1, memory_order_relaxed);
}

static void
on_turn(evutil_socket_t fd, short what, void *context)
{
    /* While draining: until the sockets have taken the last answers. */
    const struct timeval again = {0, DRAIN_LOOK_US};
    struct writer *writer = context;

    (void)fd;
    (void)what;
    store_turn_ended(writer->store);
    bump(writer);
    drain_look(writer);
    if (writer->draining)
        event_add(writer->turn, &again);
}

/*
 * The store gave up.  On a full disk that is nobody's fault and goes over by
 * itself, and an index that failed is made good by the next writer.  A log
 * that cannot be written the master counts, and after three times in ten
 * minutes it lets no more be written.
 */
static void
store_broken(const struct writer *writer, const struct buffer *why)
{
    bool full = !store_paths_have_space(writer->config);

    die(full || !store_write_failed(writer->store) ? EXIT_TEMPORARY : EXIT_IO,
        "the store is broken%s: %s; the next writer recovers",
        full ? ", for the disk is full" : "", buffer_text(why));
}

/* Outcomes.  Their frames leave together, one system call a link. */
static void
on_store_done(evutil_socket_t fd, short what, void *context)
{
    struct writer *writer = context;
    struct buffer why = BUFFER_EMPTY;

    (void)fd;
    (void)what;
    if (store_reap(writer->store, &why) < 0)
        store_broken(writer, &why);
    buffer_free(&why);
    pause_look(writer);
    bump(writer);
}

static void
on_second(evutil_socket_t fd, short what, void *context)
{
    struct writer *writer = context;
    uint64_t commits = store_commits(writer->store);

    (void)fd;
    (void)what;
    bump(writer);
    shared_count(writer->slot, COUNTER_GROUPS_COMMITTED,
                 commits - writer->commits);
    writer->commits = commits;
    atomic_store(&writer->shared->store_full, store_is_full(writer->store));
    atomic_store(&writer->shared->store_away, store_is_away(writer->store));
}

/* --- links --- */

static struct link *
link_new(struct writer *writer, uint32_t kind)
{
    struct link *link = xcalloc(1, sizeof(*link));

    link->writer = writer;
    link->kind = kind;
    TAILQ_INSERT_TAIL(&writer->links, link, next);
    return link;
}

static void
link_release(struct link *link)
{
    if (link->ipc != NULL || link->waiting > 0)
        return;
    TAILQ_REMOVE(&link->writer->links, link, next);
    free(link);
}

static void
link_closed(void *context, struct ipc *ipc, const char *why)
{
    struct link *link = context;

    debug("link of kind %u closed: %s", (unsigned)link->kind, why);
    ipc_free(&ipc);
    link->ipc = NULL;
    link_release(link);
}

/* --- articles --- */

static void
outcome_send(struct link *link, const struct store_result *result)
{
    struct ipc_outcome outcome = {
        .cookie = result->cookie,
        .sequence = result->sequence,
        .token = result->token,
        .outcome = result->outcome,
    };
    struct iovec pieces[] = {
        {&outcome, sizeof(outcome)},
        {(void *)(uintptr_t)result->why, strlen(result->why)},
    };

    if (link->ipc != NULL)
        ipc_sendv(link->ipc, IPC_OUTCOME, pieces, 2, -1);
}

static void
article_done(const struct store_result *result)
{
    struct link *link = result->context;

    if (result->outcome == STORE_STORED) {
        shared_count(link->writer->slot, COUNTER_STORED, 1);
        shared_count(link->writer->slot, COUNTER_STORED_OCTETS,
                     result->token.octets);
    }
    outcome_send(link, result);
    link->waiting--;
    link_release(link);
}

/*
 * Why no article is taken now; NULL when it is.  What was in flight when a
 * writer died was promised an answer before; but where nothing may be written,
 * only what is stored already has one.
 */
static const char *
refusal(struct writer *writer, const struct ipc_frame *frame,
        char reason[SHARED_REASON_OCTETS])
{
    enum server_mode mode = atomic_load(&writer->shared->mode);
    struct submission head;

    memcpy(&head, frame->payload, sizeof(head));
    if ((head.flags & SUBMISSION_RESUBMIT) != 0
        && (mode != MODE_THROTTLED
            || store_check(writer->store, &head.hash) == CHECK_KNOWN))
        return NULL;
    if (writer->draining)
        return "the server is shutting down";
    if (mode == MODE_RUNNING
        || shared_mode(writer->shared, reason) == MODE_RUNNING)
        return NULL;
    return reason[0] != '\0' ? reason : "the server takes no articles now";
}

static void
on_article(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    struct writer *writer = link->writer;
    char reason[SHARED_REASON_OCTETS];
    const char *why = refusal(writer, frame, reason);

    (void)ipc;
    if (why != NULL) {
        struct store_result result = {.outcome = STORE_LATER, .why = why};

        memcpy(&result.cookie, frame->payload, sizeof(result.cookie));
        outcome_send(link, &result);
        return;
    }
    link->waiting++;
    store_submit(writer->store, frame->payload, frame->octets, article_done,
                 link);
    turn_end_soon(writer);
    pause_look(writer);
}

/* --- questions --- */

/* A frame whose counted array does not fit it: its sender is not ours. */
static void
link_refuse(struct link *link, const char *what)
{
    warn("a link of kind %u sent %s and is closed", (unsigned)link->kind,
         what);
    link_closed(link, link->ipc, what);
}

static void
on_check(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    struct writer *writer = link->writer;
    const struct ipc_check *check = frame->payload;
    const struct message_hash *hashes =
        (const struct message_hash *)(check + 1);
    struct ipc_checked checked = {.cookie = check->cookie,
                                  .count = check->count};
    uint8_t answers[CHECK_HASHES_MAX];
    struct iovec pieces[] = {{&checked, sizeof(checked)},
                             {answers, check->count}};
    bool closed =
        writer->draining || atomic_load(&writer->shared->mode) != MODE_RUNNING;

    if (check->count > CHECK_HASHES_MAX
        || frame->octets != sizeof(*check) + check->count * sizeof(*hashes)) {
        link_refuse(link, "a CHECK of the wrong size");
        return;
    }
    for (uint32_t i = 0; i < check->count; i++) {
        answers[i] = (uint8_t)store_check(writer->store, &hashes[i]);
        if (closed && answers[i] == CHECK_WANTED)
            answers[i] = CHECK_LATER;
    }
    ipc_sendv(ipc, IPC_CHECKED, pieces, 2, -1);
}

static void
on_find(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    const struct ipc_find *find = frame->payload;
    struct ipc_found found = {.cookie = find->cookie};
    struct buffer why = BUFFER_EMPTY;

    if (store_find(link->writer->store, &find->hash, &found.sequence,
                   &found.token, &why)
        < 0)
        die(EXIT_TEMPORARY,
            "the history is broken: %s; the next writer recovers",
            buffer_text(&why));
    buffer_free(&why);
    ipc_send(ipc, IPC_FOUND, &found, sizeof(found), -1);
}

/*
 * What a tool asks of the history.  It comes one message at a time: the tool
 * waits for the answer, so that articles have their turn in between.
 */
static void
on_history(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    const struct ipc_history *asked = frame->payload;
    struct ipc_history_entries head = {.cookie = asked->cookie};
    struct history_entry found[IPC_HISTORY_MAX];
    struct ipc_history_entry entries[IPC_HISTORY_MAX];
    struct iovec pieces[] = {{&head, sizeof(head)}, {entries, 0}};
    struct buffer why = BUFFER_EMPTY;
    int count;

    if (asked->count < 1 || asked->count > IPC_HISTORY_MAX) {
        link_refuse(link, "a question about the history of the wrong size");
        return;
    }
    count = store_history(link->writer->store, &asked->from, found,
                          asked->count, &why);
    if (count < 0)
        die(EXIT_TEMPORARY,
            "the history is broken: %s; the next writer recovers",
            buffer_text(&why));
    buffer_free(&why);
    for (int i = 0; i < count; i++)
        entries[i] = (struct ipc_history_entry){
            .hash = found[i].hash,
            .sequence = found[i].sequence,
            .until = found[i].until,
            .token = found[i].token,
            .fate = found[i].fate,
        };
    head.count = (uint32_t)count;
    pieces[1].iov_len = (size_t)count * sizeof(*entries);
    ipc_sendv(ipc, IPC_HISTORY_ENTRIES, pieces, 2, -1);
}

/* --- commands --- */

static void
command_done(void *context, uint64_t cookie, int status, const char *text)
{
    struct link *link = context;
    struct ipc_reply reply = {.cookie = cookie, .status = status == 0 ? 0 : 1};
    struct iovec pieces[] = {
        {&reply, sizeof(reply)},
        {(void *)(uintptr_t)text, strlen(text)},
    };

    if (link->ipc != NULL)
        ipc_sendv(link->ipc, IPC_REPLY, pieces, 2, -1);
    link->waiting--;
    link_release(link);
}

static void
on_command(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    const struct ipc_command *command = frame->payload;
    const char *word[STORE_COMMAND_WORDS_MAX];
    int words = ipc_command_words(frame, word, STORE_COMMAND_WORDS_MAX);

    (void)ipc;
    link->waiting++;
    if (words < 0) {
        command_done(link, command->cookie, -1, "too many words");
        return;
    }
    notice("command: %s%s%s", word[0], words > 1 ? " " : "",
           words > 1 ? word[1] : "");
    store_command(link->writer->store, words, word, command->cookie,
                  command_done, link);
    turn_end_soon(link->writer);
}

static void
on_expire(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    const struct ipc_expire *expire = frame->payload;

    (void)ipc;
    link->waiting++;
    store_expire(link->writer->store, expire + 1,
                 frame->octets - sizeof(*expire), expire->cookie, command_done,
                 link);
    turn_end_soon(link->writer);
}

static void
on_mend(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    const struct ipc_mend *mend = frame->payload;

    (void)ipc;
    link->waiting++;
    store_mend(link->writer->store, mend + 1, frame->octets - sizeof(*mend),
               mend->cookie, command_done, link);
}

/* --- who understands what --- */

static void
on_refused(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    struct writer *writer = link->writer;
    const struct ipc_refused *refused = frame->payload;

    (void)ipc; /* no answer is waited for */
    if (writer->draining || atomic_load(&writer->shared->mode) != MODE_RUNNING)
        return;
    store_remember(writer->store, &refused->hash);
    turn_end_soon(writer);
}

static const struct ipc_handler worker_handlers[] = {
    /* type        payload                      exact  fd     handler */
    {IPC_ARTICLE, sizeof(struct submission), false, false, on_article},
    {IPC_CHECK, sizeof(struct ipc_check), false, false, on_check},
    {IPC_REFUSED, sizeof(struct ipc_refused), true, false, on_refused},
    {IPC_FIND, sizeof(struct ipc_find), true, false, on_find},
};

static const struct ipc_handler tool_handlers[] = {
    {IPC_ARTICLE, sizeof(struct submission), false, false, on_article},
    {IPC_CHECK, sizeof(struct ipc_check), false, false, on_check},
    {IPC_FIND, sizeof(struct ipc_find), true, false, on_find},
    {IPC_HISTORY, sizeof(struct ipc_history), true, false, on_history},
    {IPC_COMMAND, sizeof(struct ipc_command), false, false, on_command},
    {IPC_EXPIRE, sizeof(struct ipc_expire), false, false, on_expire},
    {IPC_MEND, sizeof(struct ipc_mend), false, false, on_mend},
};

/* --- tools --- */

/* Root and our own user may change the store. */
static bool
tool_is_allowed(int fd)
{
    struct ucred peer;
    socklen_t octets = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &octets) < 0)
        return false;
    if (peer.uid == 0 || peer.uid == geteuid())
        return true;
    warn("tools: uid %u may not write to the store", (unsigned)peer.uid);
    return false;
}

static void
tool_begin(struct writer *writer, int fd)
{
    struct link *link = link_new(writer, LINK_TOOL);
    int active_fd = fcntl(writer->active_fd, F_DUPFD_CLOEXEC, 0);

    link->ipc = ipc_new(writer->base, fd, tool_handlers,
                        sizeof(tool_handlers) / sizeof(*tool_handlers),
                        link_closed, link);
    if (active_fd < 0) {
        syswarn("tools: no descriptor for the groups");
        link_closed(link, link->ipc, "no descriptor");
        return;
    }
    ipc_send(link->ipc, IPC_ACTIVE, NULL, 0, active_fd);
    link_pause(link, writer->paused);
}

static void
on_tools(evutil_socket_t listener, short what, void *context)
{
    struct writer *writer = context;

    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR
                && errno != ECONNABORTED)
                syswarn("tools: accept");
            return;
        }
        if (tool_is_allowed(fd))
            tool_begin(writer, fd);
        else
            close(fd);
    }
}

/* --- the master --- */

static void
on_config(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;
    struct writer *writer = link->writer;

    (void)ipc;
    if (!child_config_renew(&writer->config, frame->descriptor))
        return;
    store_reconfigure(writer->store, writer->config);
}

static void
drain(struct writer *writer)
{
    writer->draining = true;
    /* What is in the sockets is answered too: that it is too late. */
    if (writer->paused)
        pause_all(writer, false);
    if (event_del(writer->tools) < 0)
        warn("the tools socket stays");
    turn_end_soon(writer);
}

static void
on_drain(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *link = context;

    (void)ipc;
    (void)frame;
    drain(link->writer);
}

/* A worker's end of a new pair. */
static void
on_worker(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct link *control = context;
    struct writer *writer = control->writer;
    const struct ipc_link *asked = frame->payload;
    struct link *link;

    (void)ipc;
    if (asked->kind != LINK_FEED && asked->kind != LINK_POST) {
        warn("the master sent a link of kind %u", (unsigned)asked->kind);
        close(frame->descriptor);
        return;
    }
    link = link_new(writer, asked->kind);
    link->ipc = ipc_new(writer->base, frame->descriptor, worker_handlers,
                        sizeof(worker_handlers) / sizeof(*worker_handlers),
                        link_closed, link);
    link_pause(link, writer->paused);
}

static void
on_orphaned(evutil_socket_t fd, short what, void *context)
{
    struct writer *writer = context;

    (void)fd;
    (void)what;
    warn("the master is gone, and not all was finished in time: articles=%zu",
         store_pending(writer->store));
    /* No closing in order: the next start recovers, as after any death. */
    _exit(EXIT_TEMPORARY);
}

static void
control_closed(void *context, struct ipc *ipc, const char *why)
{
    struct link *link = context;
    struct writer *writer = link->writer;
    const struct timeval patience = {ORPHAN_SECONDS - 1, 0};

    notice("the master is gone (%s): finishing", why);
    ipc_free(&ipc);
    link->ipc = NULL;
    writer->orphaned = event_make(writer->base, -1, 0, on_orphaned, writer);
    event_add(writer->orphaned, &patience);
    drain(writer);
}

static const struct ipc_handler control_handlers[] = {
    /* type        payload                      exact  fd     handler */
    {IPC_CONFIG, 0, true, true, on_config},
    {IPC_DRAIN, 0, true, false, on_drain},
    {IPC_WORKER, sizeof(struct ipc_link), true, true, on_worker},
    {IPC_COMMAND, sizeof(struct ipc_command), false, false, on_command},
};

/* --- its life --- */

static void
writer_inherit(struct writer *writer, const struct child_arguments *arguments)
{
    struct buffer why = BUFFER_EMPTY;
    char path[64];

    writer->config = child_config_inherit();
    log_open("writer", writer->config->syslog);
    if (arguments->slot >= SHARED_SLOTS)
        die(EXIT_USAGE, "slot %u is out of range", arguments->slot);
    writer->shared = shared_map(CHILD_SHARED_FD);
    writer->slot = &writer->shared->slots[arguments->slot];
    writer->active = active_map(CHILD_ACTIVE_FD, true, &why);
    if (writer->active == NULL)
        die(EXIT_SOFTWARE, "%s", buffer_text(&why));
    /* Opened anew, read-only: what a tool gets it cannot write to. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", (int)CHILD_ACTIVE_FD);
    writer->active_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (writer->active_fd < 0)
        sysdie(EXIT_SYSTEM, "%s", path);
    close(CHILD_ACTIVE_FD);
    buffer_free(&why);
}

/*
 * Signals that a terminal or a supervisor sends to all of us are the master's
 * to answer: until it says so, workers may still have articles for us.
 */
static void
ignore_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM};

    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        signal(ignored[i], SIG_IGN);
}

/* A damaged history was moved aside; the one that was made in its place is
   beyond what this process is confined to, and the next one opens it. */
static bool
history_is_out_of_reach(const struct config *config)
{
    char *path = xasprintf("%s/history", config->pathdb);
    DIR *directory = opendir(path);
    bool out = directory == NULL && errno == EACCES;

    if (directory != NULL)
        closedir(directory);
    free(path);
    return out;
}

static void
writer_open_store(struct writer *writer)
{
    struct buffer why = BUFFER_EMPTY;

    writer->store =
        store_open(writer->config, writer->active, LOCK_WAIT_SECONDS, &why);
    /* What another process holds, or a full disk has no room for, may be had
       later. */
    if (writer->store == NULL)
        die(spool_is_locked(writer->config->pathspool)
                    || !store_paths_have_space(writer->config)
                    || history_is_out_of_reach(writer->config)
                ? EXIT_TEMPORARY
                : EXIT_IO,
            "store: %s", buffer_text(&why));
    buffer_free(&why);
}

static void
writer_begin(struct writer *writer)
{
    const struct timeval second = {1, 0};

    writer->base = event_base_new();
    if (writer->base == NULL)
        die(EXIT_TEMPORARY, "out of memory: event base");
    TAILQ_INIT(&writer->links);
    writer->turn = event_make(writer->base, -1, 0, on_turn, writer);
    writer->second =
        event_make(writer->base, -1, EV_PERSIST, on_second, writer);
    writer->store_done =
        event_make(writer->base, store_fd(writer->store), EV_READ | EV_PERSIST,
                   on_store_done, writer);
    writer->tools = event_make(writer->base, CHILD_FIRST_FREE_FD,
                               EV_READ | EV_PERSIST, on_tools, writer);
    event_add(writer->second, &second);
    event_add(writer->store_done, NULL);
    event_add(writer->tools, NULL);
    writer->control = link_new(writer, 0);
    writer->control->ipc =
        ipc_new(writer->base, CHILD_CONTROL_FD, control_handlers,
                sizeof(control_handlers) / sizeof(*control_handlers),
                control_closed, writer->control);
    ipc_send(writer->control->ipc, IPC_READY, NULL, 0, -1);
}

static void
writer_end(struct writer *writer)
{
    struct link *link;

    store_close(&writer->store);
    while ((link = TAILQ_FIRST(&writer->links)) != NULL) {
        ipc_free(&link->ipc);
        TAILQ_REMOVE(&writer->links, link, next);
        free(link);
    }
    if (writer->orphaned != NULL)
        event_free(writer->orphaned);
    event_free(writer->tools);
    event_free(writer->store_done);
    event_free(writer->second);
    event_free(writer->turn);
    event_base_free(writer->base);
    active_close(&writer->active);
    config_free(&writer->config);
    close(writer->active_fd);
}

int
writer_run(const struct child_arguments *arguments)
{
    struct writer writer = {0};
    struct buffer why = BUFFER_EMPTY;

    ignore_signals();
    memory_keep();
    writer_inherit(&writer, arguments);
    if (store_prepare(writer.config, &why) < 0)
        die(EXIT_IO, "store: %s", buffer_text(&why));
    /* Before the store: its threads are confined by what is in force when
       they begin.  The directories are there, the master has made them. */
    sandbox_enter(SANDBOX_WRITER, writer.config);
    writer_open_store(&writer);
    writer_begin(&writer);
    if (event_base_dispatch(writer.base) < 0)
        die(EXIT_SOFTWARE, "the event loop failed");
    writer_end(&writer);
    return 0;
}
