/* The target while no server runs: the store itself. */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "expire/target.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/memory.h"
#include "lib/user.h"
#include "storage/active.h"

enum {
    LOCK_WAIT_SECONDS = 5, /* a writer that is just ending gets so long */
    /* So many are a turn: while the disk writes the last ones, the next are
       read and checked. */
    TURN_ARTICLES = 64,
};

struct target {
    struct target_base base; /* first */
    struct store *store;
    unsigned turn; /* articles submitted in it */
};

static void
store_done(const struct store_result *result)
{
    struct target *target = result->context;

    target->base.outcome(target->base.context, result->cookie, result->outcome,
                         result->why);
}

static int
store_target_submit(struct target *target, const void *payload, size_t octets,
                    struct buffer *why)
{
    (void)why; /* taking it cannot fail; the outcome tells */
    store_submit(target->store, payload, octets, store_done, target);
    if (++target->turn == TURN_ARTICLES) {
        store_turn_ended(target->store);
        target->turn = 0;
    }
    return 0;
}

static int
store_target_wait(struct target *target, int timeout_ms, struct buffer *why)
{
    struct pollfd waiting = {.fd = store_fd(target->store), .events = POLLIN};

    store_turn_ended(target->store);
    target->turn = 0;
    if (poll(&waiting, 1, timeout_ms) < 0 && errno != EINTR)
        return why_set_errno(why, "poll");
    return store_reap(target->store, why);
}

static int
store_target_command(struct target *target, int words, const char *const *word,
                     struct buffer *text, struct buffer *why)
{
    int result = store_command_now(target->store, words, word, text);

    if (result < 0)
        why_set(why, "%s", buffer_text(text));
    return result;
}

/* How a batch of removals ended. */
struct ended {
    bool done;
    int status;
    struct buffer *why;
};

static void
change_ended(void *context, uint64_t cookie, int status, const char *text)
{
    struct ended *ended = context;

    (void)cookie; /* there is one at a time */
    ended->done = true;
    ended->status = status;
    if (status < 0)
        why_set(ended->why, "%s", text);
}

typedef void change_func(struct store *store, const void *octets,
                         size_t length, uint64_t cookie,
                         store_changed_func *changed, void *context);

/* Have the store do something, and wait for it. */
static int
change(struct target *target, change_func *func, const void *octets,
       size_t length, struct buffer *why)
{
    struct ended ended = {.why = why};

    func(target->store, octets, length, 0, change_ended, &ended);
    while (!ended.done)
        if (store_target_wait(target, -1, why) < 0 && !ended.done)
            return -1;
    return ended.status;
}

static int
store_target_expire(struct target *target, const void *octets, size_t length,
                    struct buffer *why)
{
    return change(target, store_expire, octets, length, why);
}

static int
store_target_mend(struct target *target, const void *octets, size_t length,
                  struct buffer *why)
{
    return change(target, store_mend, octets, length, why);
}

static int
store_target_reopen(struct target *target, struct buffer *why)
{
    (void)target; /* it is never lost */
    return why_set(why, "the store cannot be opened again");
}

static void
store_target_close(struct target *target)
{
    if (target->store != NULL)
        store_close(&target->store);
    active_close(&target->base.active);
    free(target);
}

static const struct target_ops store_ops = {
    store_target_submit, store_target_wait, store_target_command,
    store_target_expire, store_target_mend, store_target_reopen,
    store_target_close,
};

struct target *
target_store_open(const struct config *config, struct buffer *why)
{
    struct target *target;

    /* Root's files in the store would keep the server from starting. */
    if (user_become(config, why) < 0)
        return NULL;
    target = xcalloc(1, sizeof(*target));
    target->base.ops = &store_ops;
    target->base.active = active_new((size_t)config->groups_max);
    target->store =
        store_open(config, target->base.active, LOCK_WAIT_SECONDS, why);
    if (target->store == NULL) {
        store_target_close(target);
        return NULL;
    }
    return target;
}
