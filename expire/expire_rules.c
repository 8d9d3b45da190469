#include "expire/expire_rules.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config.h"
#include "lib/memory.h"
#include "lib/wildmat.h"
#include "storage/active.h"

/* What was found out of a group. */
struct group_rule {
    bool known;
    const struct config_expire *rule; /* NULL: for ever */
};

struct rules {
    const struct config *config;
    const struct active *active;
    struct group_rule *groups; /* by id */
    size_t size;
};

struct rules *
rules_new(const struct config *config, const struct active *active)
{
    struct rules *rules = xcalloc(1, sizeof(*rules));

    rules->config = config;
    rules->active = active;
    return rules;
}

void
rules_free(struct rules **rules)
{
    if (*rules == NULL)
        return;
    free((*rules)->groups);
    free(*rules);
    *rules = NULL;
}

static const struct config_expire *
rule_find(const struct rules *rules, uint32_t group)
{
    const struct config *config = rules->config;
    size_t octets;
    const char *name = active_name(rules->active, group, &octets);

    for (size_t i = config->expire_count; i > 0; i--) {
        const struct config_expire *rule = &config->expires[i - 1];

        if (wildmat_match(rule->pattern, strlen(rule->pattern), name, octets))
            return rule;
    }
    return NULL;
}

static const struct config_expire *
rule_of(struct rules *rules, uint32_t group)
{
    if (group >= rules->size) {
        size_t size = (size_t)group + 64 + group / 2;

        rules->groups =
            xreallocarray(rules->groups, size, sizeof(*rules->groups));
        memset(rules->groups + rules->size, 0,
               (size - rules->size) * sizeof(*rules->groups));
        rules->size = size;
    }
    if (!rules->groups[group].known)
        rules->groups[group] = (struct group_rule){
            .known = true,
            .rule = rule_find(rules, group),
        };
    return rules->groups[group].rule;
}

/* arrival and what follows it; a sum past the end of time is never. */
static int64_t
after(int64_t arrival, int64_t seconds)
{
    int64_t end;

    return seconds == CONFIG_NEVER
                   || __builtin_add_overflow(arrival, seconds, &end)
               ? INT64_MAX
               : end;
}

int64_t
rule_end(const struct config_expire *rule, int64_t arrival, int64_t expires)
{
    int64_t first, last;

    if (expires == 0)
        return after(arrival, rule->keep_seconds);
    first = after(arrival, rule->minimum_seconds);
    last = after(arrival, rule->maximum_seconds);
    if (expires < first)
        return first;
    return expires > last ? last : expires;
}

int64_t
rules_end(struct rules *rules, uint32_t group, int64_t arrival,
          int64_t expires)
{
    const struct config_expire *rule;

    if (active_flag(rules->active, group) == 0)
        return 0;
    rule = rule_of(rules, group);
    return rule == NULL ? INT64_MAX : rule_end(rule, arrival, expires);
}

int64_t
rules_shortest(const struct rules *rules)
{
    int64_t shortest = CONFIG_NEVER;

    for (size_t i = 0; i < rules->config->expire_count; i++)
        if (rules->config->expires[i].minimum_seconds < shortest)
            shortest = rules->config->expires[i].minimum_seconds;
    return shortest;
}
