#include "innd/moderation.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "innd/moderation_mail.h"
#include "innd/moderation_queue.h"
#include "lib/buffer.h"
#include "lib/child.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/ipc.h"
#include "lib/listing.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sandbox.h"
#include "lib/shared.h"
#include "storage/active.h"
#include "storage/cursor.h"
#include "storage/log_reader.h"
#include "storage/spool_reader.h"

enum {
    TICK_MS = 200,
    COMMANDS_MAX = 4,               /* that mail at once */
    COMMAND_MS_MAX = 5 * 60 * 1000, /* then it is ended, and tried again */
    RETRY_SECONDS_MAX = 3600,
    KEEP_SECONDS = 7 * 24 * 3600, /* tried so long, then set aside */
    DRAIN_MS = 3 * 1000,          /* for a command that runs */
};

struct moderation {
    struct event_base *base;
    struct config *config;
    struct shared *shared;
    struct shared_slot *slot;
    struct active *active;
    struct ipc *control;
    struct event *tick;
    struct event *child;
    struct moderation_queue queue;
    struct cursor *cursor;
    struct log_reader *reader; /* NULL until the store is there */
    unsigned commands;         /* that run */
    bool draining;
    int64_t drain_until_ms;
};

bool
moderation_is_wanted(const struct config *config)
{
    return config->moderators.path[0] != '\0'
           || config->moderatormailer[0] != '\0';
}

/* --- what ctlinnd status shows --- */

static void
status_publish(struct moderation *moderation)
{
    struct shared_moderation *shared = &moderation->shared->moderation;
    const struct waiting *oldest = TAILQ_FIRST(&moderation->queue.waiting);

    atomic_store(&shared->waiting, moderation->queue.count);
    atomic_store(&shared->failed, moderation->queue.failed);
    atomic_store(&shared->oldest, oldest == NULL ? 0 : oldest->arrival);
}

static void
error_note(struct moderation *moderation, const char *why)
{
    shared_text_set(&moderation->shared->moderation.error, why);
}

/* --- from the log to the queue --- */

static void
reader_open(struct moderation *moderation, const struct log_position *position)
{
    log_reader_free(&moderation->reader);
    moderation->reader = log_reader_new(moderation->config->pathspool,
                                        moderation->active, position);
    log_reader_want(moderation->reader, RECORD_SUBMISSION);
}

/*
 * One submission, which the log reader stands behind.  0; -1 with why when it
 * must be tried again: the system failed.  What is damaged or gone is named,
 * and passed.
 */
static int
submission_take(struct moderation *moderation, const struct record *record,
                struct buffer *why)
{
    struct spooled *spooled;
    uint32_t group = record_group(record, 0).group;
    int result;

    switch (spool_read_now(moderation->config->pathspool, &record->token,
                           record->head.sequence, &spooled)) {
    case SPOOL_FOUND:
        break;
    case SPOOL_FAILED:
        return why_set(why, "the spool cannot be read");
    case SPOOL_GONE:
    case SPOOL_CORRUPT:
        warn("a post for the moderator of %s is lost: sequence=%" PRIu64,
             active_name(moderation->active, group, NULL),
             record->head.sequence);
        return 0;
    }
    result = moderation_queue_add(&moderation->queue, &spooled->record,
                                  active_name(moderation->active, group, NULL),
                                  why);
    spooled_release(spooled);
    return result;
}

/* All that is visible, or as much as fits in a tick: where somebody begins to
   moderate, the log may be long.  0, or -1 with why: the cursor stays before
   it. */
static int
log_take(struct moderation *moderation, struct buffer *why)
{
    struct log_position position;
    struct log_step step;
    const int64_t until_ms = clock_ms() + TICK_MS;

    while (log_reader_has_more(moderation->reader) && clock_ms() < until_ms) {
        uint64_t before = log_reader_position(moderation->reader).sequence;
        enum log_answer answer =
            log_reader_next(moderation->reader, &step, why);

        if (answer == LOG_FAILED)
            return -1;
        if (answer == LOG_END
            && log_reader_position(moderation->reader).sequence == before)
            break; /* what is visible cannot be reached yet */
        if (answer == LOG_GAP) {
            log_reader_skip(moderation->reader, step.gap_last);
        } else if (answer == LOG_ARTICLE
                   && submission_take(moderation, &step.record, why) < 0) {
            reader_open(moderation, &step.before);
            return -1;
        }
    }
    position = log_reader_position(moderation->reader);
    return cursor_write(moderation->cursor, &position, why);
}

static void
log_look(struct moderation *moderation)
{
    struct log_position position = {0};
    struct buffer why = BUFFER_EMPTY;

    if (moderation->reader == NULL) {
        if (atomic_load(&moderation->shared->writer_ready) == 0)
            return;
        /* Nothing is known: from the begin of the log, for what was promised
           to its poster is mailed. */
        (void)cursor_read(moderation->cursor, &position);
        reader_open(moderation, &position);
    }
    if (log_take(moderation, &why) < 0) {
        warn("%s", buffer_text(&why));
        error_note(moderation, buffer_text(&why));
    }
    buffer_free(&why);
}

/* --- from the queue to the moderators --- */

/* Who moderates the group, by the configuration as it is now. */
static bool
address_find(const struct config *config, const char *group,
             struct buffer *address)
{
    const size_t octets = strlen(group);

    if (config->moderators.text != NULL
        && listing_moderator(config->moderators.text, group, octets, address))
        return true;
    if (config->moderatormailer[0] == '\0')
        return false;
    listing_expand_moderator(config->moderatormailer,
                             strlen(config->moderatormailer), group, octets,
                             address);
    return true;
}

/* The pause doubles, up to an hour. */
static void
mail_later(struct moderation *moderation, struct waiting *waiting,
           const char *why)
{
    int64_t seconds = moderation->config->moderationretry;

    waiting->attempts++;
    for (unsigned i = 1; i < waiting->attempts && seconds < RETRY_SECONDS_MAX;
         i++)
        seconds *= 2;
    if (seconds > RETRY_SECONDS_MAX)
        seconds = RETRY_SECONDS_MAX;
    waiting->due_ms = clock_ms() + seconds * 1000;
    warn("moderated post to %s is not mailed yet: sequence=%" PRIu64
         " attempts=%u next_seconds=%" PRId64 " reason=%s",
         waiting->group, waiting->sequence, waiting->attempts, seconds, why);
    error_note(moderation, why);
}

static void
mail_never(struct moderation *moderation, struct waiting *waiting,
           const char *why)
{
    warn(
        "moderated post to %s cannot be mailed and is set aside in %s/failed: "
        "sequence=%" PRIu64 " reason=%s",
        waiting->group, moderation->queue.path, waiting->sequence, why);
    error_note(moderation, why);
    moderation_queue_fail(&moderation->queue, waiting);
}

static void
mail_start(struct moderation *moderation, struct waiting *waiting)
{
    struct buffer address = BUFFER_EMPTY;
    struct buffer post = BUFFER_EMPTY;
    struct buffer mail = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;

    if (!address_find(moderation->config, waiting->group, &address)) {
        why_set(&why, "no address of a moderator of %s is known",
                waiting->group);
    } else if (moderation_queue_read(&moderation->queue, waiting, &post, &why)
               == 0) {
        moderation_mail_build(post.data, post.used, address.data, &mail);
        waiting->pid =
            moderation_mail_start(moderation->config->mta, address.data, &mail,
                                  &waiting->error_fd, &why);
    }
    if (why.used > 0) {
        waiting->pid = 0;
        mail_later(moderation, waiting, buffer_text(&why));
    } else {
        waiting->begun_ms = clock_ms();
        moderation->commands++;
    }
    buffer_free(&address);
    buffer_free(&post);
    buffer_free(&mail);
    buffer_free(&why);
}

static void
mail_ended(struct moderation *moderation, struct waiting *waiting, int status)
{
    struct buffer why = BUFFER_EMPTY;
    int result = moderation_mail_result(status, waiting->error_fd, &why);

    close(waiting->error_fd);
    waiting->pid = 0;
    moderation->commands--;
    if (result == 0) {
        notice("moderated post mailed: group=%s sequence=%" PRIu64,
               waiting->group, waiting->sequence);
        atomic_fetch_add(&moderation->shared->moderation.mailed, 1);
        moderation_queue_remove(&moderation->queue, waiting);
    } else if (result < 0 || time(NULL) - waiting->arrival > KEEP_SECONDS) {
        mail_never(moderation, waiting, buffer_text(&why));
    } else {
        mail_later(moderation, waiting, buffer_text(&why));
    }
    buffer_free(&why);
}

static void
mails_reap(struct moderation *moderation)
{
    struct waiting *waiting, *next;
    int status;

    for (waiting = TAILQ_FIRST(&moderation->queue.waiting); waiting != NULL;
         waiting = next) {
        next = TAILQ_NEXT(waiting, entry);
        if (waiting->pid > 0
            && waitpid(waiting->pid, &status, WNOHANG) == waiting->pid)
            mail_ended(moderation, waiting, status);
    }
}

static void
mails_start(struct moderation *moderation)
{
    const int64_t now_ms = clock_ms();
    struct waiting *waiting;

    TAILQ_FOREACH (waiting, &moderation->queue.waiting, entry) {
        if (waiting->pid > 0) {
            if (now_ms - waiting->begun_ms > COMMAND_MS_MAX)
                (void)kill(-waiting->pid, SIGKILL); /* it may have ended */
        } else if (now_ms >= waiting->due_ms
                   && moderation->commands < COMMANDS_MAX
                   && !moderation->draining) {
            mail_start(moderation, waiting);
        }
    }
}

/* --- turns --- */

/* Each tick, and whenever a command has ended. */
static void
on_tick(evutil_socket_t fd, short what, void *context)
{
    struct moderation *moderation = context;

    (void)fd;
    (void)what;
    if (!moderation->draining)
        log_look(moderation);
    mails_reap(moderation);
    mails_start(moderation);
    status_publish(moderation);
    atomic_fetch_add(&moderation->slot->loops, 1);
    if (moderation->draining
        && (moderation->commands == 0
            || clock_ms() > moderation->drain_until_ms))
        event_base_loopbreak(moderation->base);
}

static void
moderation_drain(struct moderation *moderation)
{
    if (moderation->draining)
        return;
    moderation->draining = true;
    moderation->drain_until_ms = clock_ms() + DRAIN_MS;
}

static void
on_config(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    struct moderation *moderation = context;
    struct buffer why = BUFFER_EMPTY;
    struct waiting *waiting;

    (void)ipc;
    if (!child_config_renew(&moderation->config, frame->descriptor))
        return;
    /* It may know the address that was missing. */
    TAILQ_FOREACH (waiting, &moderation->queue.waiting, entry)
        waiting->due_ms = 0;
    if (moderation_queue_scan(&moderation->queue, &why) < 0)
        warn("%s", buffer_text(&why));
    buffer_free(&why);
}

static void
on_drain(void *context, struct ipc *ipc, const struct ipc_frame *frame)
{
    (void)ipc;
    (void)frame;
    moderation_drain(context);
}

static void
control_closed(void *context, struct ipc *ipc, const char *why)
{
    struct moderation *moderation = context;

    notice("the master is gone: %s", why);
    ipc_free(&ipc);
    moderation->control = NULL;
    moderation_drain(moderation);
}

static const struct ipc_handler control_handlers[] = {
    /* type      payload exact  fd     handler */
    {IPC_CONFIG, 0, true, true, on_config},
    {IPC_DRAIN, 0, true, false, on_drain},
};

/* --- its life --- */

static void
moderation_inherit(struct moderation *moderation,
                   const struct child_arguments *arguments)
{
    struct buffer why = BUFFER_EMPTY;
    char *path;

    moderation->config = child_config_inherit();
    log_open("moderation", moderation->config->syslog);
    moderation->shared = shared_map(CHILD_SHARED_FD);
    moderation->slot = &moderation->shared->slots[arguments->slot];
    moderation->active = active_map(CHILD_ACTIVE_FD, false, &why);
    if (moderation->active == NULL)
        die(EXIT_SOFTWARE, "table of groups: %s", buffer_text(&why));
    (void)close(CHILD_ACTIVE_FD); /* it is mapped */
    if (moderation_queue_open(&moderation->queue, moderation->config->pathdb,
                              &why)
        < 0)
        die(EXIT_TEMPORARY, "%s", buffer_text(&why));
    path = xasprintf("%s/cursor", moderation->queue.path);
    moderation->cursor = cursor_open(path, &why);
    if (moderation->cursor == NULL)
        die(EXIT_TEMPORARY, "%s", buffer_text(&why));
    free(path);
    buffer_free(&why);
}

static void
moderation_begin(struct moderation *moderation)
{
    static const struct timeval tick = {0, TICK_MS * 1000};
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM};

    /* The master decides when we end. */
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    moderation->base = event_base_new();
    if (moderation->base == NULL)
        die(EXIT_TEMPORARY, "out of memory: event base");
    moderation->tick =
        event_new(moderation->base, -1, EV_PERSIST, on_tick, moderation);
    moderation->child =
        evsignal_new(moderation->base, SIGCHLD, on_tick, moderation);
    if (moderation->tick == NULL || moderation->child == NULL)
        die(EXIT_TEMPORARY, "out of memory: events of moderation");
    event_add(moderation->tick, &tick);
    event_add(moderation->child, NULL);
    moderation->control =
        ipc_new(moderation->base, CHILD_CONTROL_FD, control_handlers,
                sizeof(control_handlers) / sizeof(*control_handlers),
                control_closed, moderation);
    ipc_send(moderation->control, IPC_READY, NULL, 0, -1);
}

static void
moderation_end(struct moderation *moderation)
{
    ipc_free(&moderation->control);
    event_free(moderation->child);
    event_free(moderation->tick);
    event_base_free(moderation->base);
    log_reader_free(&moderation->reader);
    cursor_close(&moderation->cursor);
    moderation_queue_close(&moderation->queue);
    active_close(&moderation->active);
    config_free(&moderation->config);
}

int
moderation_run(const struct child_arguments *arguments)
{
    struct moderation moderation = {0};

    moderation_inherit(&moderation, arguments);
    sandbox_enter(SANDBOX_MODERATION, moderation.config);
    moderation_begin(&moderation);
    if (event_base_dispatch(moderation.base) < 0)
        die(EXIT_SOFTWARE, "the event loop failed");
    moderation_end(&moderation);
    return 0;
}
