/* The target of newsimport while no server runs: the store itself. */

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expire/newsimport_target.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"

/* A writer that is just ending gets so long. */
enum { LOCK_WAIT_SECONDS = 5 };

struct target {
    struct target_base base; /* first */
    struct store *store;
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
    return 0;
}

static int
store_target_wait(struct target *target, int timeout_ms, struct buffer *why)
{
    struct pollfd waiting = {.fd = store_fd(target->store), .events = POLLIN};

    if (poll(&waiting, 1, timeout_ms) < 0 && errno != EINTR)
        return why_set_errno(why, "poll");
    return store_reap(target->store, why);
}

static int
store_target_newgroup(struct target *target, const char *name,
                      struct buffer *why)
{
    const char *const words[] = {"newgroup", name, "y", "newsimport"};
    struct buffer text = BUFFER_EMPTY;
    int result = store_command_now(target->store, 4, words, &text);

    if (result < 0)
        why_set(why, "%s", buffer_text(&text));
    buffer_free(&text);
    return result;
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
    store_target_submit, store_target_wait,  store_target_newgroup,
    store_target_reopen, store_target_close,
};

/* What root writes into the store, the server could not even read. */
static int
become_user(const struct config *config, struct buffer *why)
{
    const struct passwd *user;
    const struct group *group = NULL;
    gid_t gid;

    if (geteuid() != 0 || config->runasuser[0] == '\0')
        return 0;
    user = getpwnam(config->runasuser);
    if (user == NULL)
        return why_set(why, "runasuser: no user \"%s\"", config->runasuser);
    if (config->runasgroup[0] != '\0'
        && (group = getgrnam(config->runasgroup)) == NULL)
        return why_set(why, "runasgroup: no group \"%s\"", config->runasgroup);
    gid = group != NULL ? group->gr_gid : user->pw_gid;
    if (initgroups(user->pw_name, gid) < 0 || setresgid(gid, gid, gid) < 0
        || setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        return why_set_errno(why, "becoming user %s", config->runasuser);
    return 0;
}

struct target *
target_store_open(const struct config *config, struct buffer *why)
{
    struct target *target;

    if (become_user(config, why) < 0)
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
