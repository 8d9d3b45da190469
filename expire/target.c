#include "expire/target.h"

#include "expire/tools.h"
#include "lib/buffer.h"
#include "storage/active.h"

static struct target_base *
base(struct target *target)
{
    return (struct target_base *)(void *)target;
}

struct target *
target_open(const struct config *config, target_outcome_func *outcome,
            void *context, struct buffer *why)
{
    struct target *target = tools_server_runs(config)
                                ? target_server_open(config, why)
                                : target_store_open(config, why);

    if (target != NULL) {
        base(target)->outcome = outcome;
        base(target)->context = context;
    }
    return target;
}

void
target_close(struct target **target)
{
    if (*target != NULL)
        base(*target)->ops->close(*target);
    *target = NULL;
}

const struct active *
target_active(const struct target *target)
{
    return ((const struct target_base *)(const void *)target)->active;
}

bool
target_is_lost(const struct target *target)
{
    return ((const struct target_base *)(const void *)target)->lost;
}

int
target_submit(struct target *target, const void *payload, size_t octets,
              struct buffer *why)
{
    return base(target)->ops->submit(target, payload, octets, why);
}

int
target_wait(struct target *target, int timeout_ms, struct buffer *why)
{
    return base(target)->ops->wait(target, timeout_ms, why);
}

int
target_command(struct target *target, int words, const char *const *word,
               struct buffer *text, struct buffer *why)
{
    return base(target)->ops->command(target, words, word, text, why);
}

int
target_expire(struct target *target, const void *octets, size_t length,
              struct buffer *why)
{
    return base(target)->ops->expire(target, octets, length, why);
}

int
target_mend(struct target *target, const void *octets, size_t length,
            struct buffer *why)
{
    return base(target)->ops->mend(target, octets, length, why);
}

int
target_reopen(struct target *target, struct buffer *why)
{
    return base(target)->ops->reopen(target, why);
}
