/*
 * usage -- see usage.h.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "nnrpd/session.h"
#include "nnrpd/usage.h"
#include "nnrpd/worker.h"

static const char *const scope_words[LIMIT_SCOPES] = {
    [LIMIT_SERVER] = "at this server",
    [LIMIT_NETWORK] = "from your network",
    [LIMIT_ADDRESS] = "from your address",
    [LIMIT_USER] = "with your account",
};

/* Where its own share is counted. */
static enum limit_scope
usage_own_scope(const struct session *session)
{
    return session->access.user == NULL ? LIMIT_ADDRESS : LIMIT_USER;
}

static struct limit_table *
usage_table(const struct session *session)
{
    return &session->worker->shared->limits;
}

static uint64_t
site_key(const struct session *session, enum limit_scope scope)
{
    uint8_t site[LIMIT_SITE_OCTETS];

    limit_site(session->address, scope, site);
    return limit_key(usage_table(session), scope, site, sizeof site);
}

void
usage_set(struct session *session)
{
    const char *user = session->access.user;
    uint64_t *keys = session->usage.keys;

    memset(keys, 0, sizeof session->usage.keys);
    if (user != NULL)
        keys[LIMIT_USER] =
            limit_key(usage_table(session), LIMIT_USER, user, strlen(user));
    if ((session->access.rights & RIGHT_FEED) != 0)
        return;
    keys[LIMIT_SERVER] =
        limit_key(usage_table(session), LIMIT_SERVER, NULL, 0);
    keys[LIMIT_NETWORK] = site_key(session, LIMIT_NETWORK);
    if (user == NULL)
        keys[LIMIT_ADDRESS] = site_key(session, LIMIT_ADDRESS);
}

void
usage_clear(struct session *session)
{
    if (session->usage.counted)
        limit_count_session(usage_table(session),
                            session->usage.keys[LIMIT_USER],
                            session->worker->number, -1);
    session->usage.counted = false;
}

int
usage_login(struct session *session, struct buffer *why)
{
    const struct config *config = session->worker->config;
    uint64_t key = session->usage.keys[LIMIT_USER];
    int64_t most = session->access.maxconnections > 0
                       ? session->access.maxconnections
                       : config->maxconnections_per_user;

    /* Counted first: of two that come at once, not both shall fit. */
    limit_count_session(usage_table(session), key, session->worker->number, 1);
    session->usage.counted = true;
    if (most == 0 || limit_sessions(usage_table(session), key) <= most)
        return 0;
    usage_clear(session);
    return why_set(why,
                   "Too many connections with your account: at most %" PRId64
                   "; close one and try again",
                   most);
}

/* False: there is no limit for it. */
static bool
usage_limit(const struct session *session, enum limit_kind kind,
            enum limit_scope scope, struct limit *limit_r)
{
    const struct config *config = session->worker->config;
    int64_t own = session->access.limits[kind];

    limit_r->kind = kind;
    limit_r->most = scope == usage_own_scope(session) && own > 0
                        ? own
                        : config->limits[kind][scope];
    return session->usage.keys[scope] != 0 && limit_r->most > 0
           && (session->access.rights & RIGHT_FEED) == 0;
}

uint64_t
usage_wait(struct session *session, enum limit_kind kind, struct buffer *why)
{
    struct limit limit;

    for (enum limit_scope scope = 0; scope < LIMIT_SCOPES; scope++) {
        uint64_t wait_ns;

        if (!usage_limit(session, kind, scope, &limit))
            continue;
        wait_ns = limit_wait(usage_table(session), session->usage.keys[scope],
                             &limit, clock_ns());
        if (wait_ns == 0)
            continue;
        buffer_append_format(why, "Too much %s: ", scope_words[scope]);
        limit_explain(&limit, wait_ns, why);
        return wait_ns;
    }
    return 0;
}

void
usage_charge(struct session *session, enum limit_kind kind, uint64_t amount)
{
    struct limit limit;

    for (enum limit_scope scope = 0; scope < LIMIT_SCOPES; scope++)
        if (usage_limit(session, kind, scope, &limit))
            limit_charge(usage_table(session), session->usage.keys[scope],
                         &limit, amount, clock_ns());
}

uint64_t
usage_take(struct session *session, enum limit_kind kind, uint64_t amount,
           struct buffer *why)
{
    uint64_t wait_ns = usage_wait(session, kind, why);

    if (wait_ns == 0)
        usage_charge(session, kind, amount);
    return wait_ns;
}

static uint64_t
usage_back_off(struct session *session, struct buffer *why)
{
    uint64_t key = session->usage.keys[usage_own_scope(session)];
    uint64_t wait_ns =
        limit_back_off_wait(usage_table(session), key, clock_ns());

    if (wait_ns == 0)
        return 0;
    buffer_append_format(why,
                         "Too many posts one after the other %s: try "
                         "again in ",
                         scope_words[usage_own_scope(session)]);
    limit_print_wait(wait_ns, why);
    return wait_ns;
}

uint64_t
usage_post(struct session *session, struct buffer *why)
{
    const struct config *config = session->worker->config;
    struct limit_back_off back_off = {
        .fast_seconds = config->backoffpostfast,
        .slow_seconds = config->backoffpostslow,
        .trigger = config->backofftrigger,
        .k = config->backoffk,
    };
    uint64_t key = session->usage.keys[usage_own_scope(session)];
    uint64_t wait_ns;

    if (key == 0 || (session->access.rights & RIGHT_FEED) != 0)
        return 0;
    if (back_off.fast_seconds > 0
        && (wait_ns = usage_back_off(session, why)) > 0)
        return wait_ns;
    wait_ns = usage_take(session, LIMIT_POSTS, 1, why);
    if (wait_ns == 0)
        limit_back_off_count(usage_table(session), key, &back_off, clock_ns());
    return wait_ns;
}
