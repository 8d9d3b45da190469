/*
 * expire_rules -- how long articles stay in a group: the expire sections of
 * the configuration, applied to the groups there are.
 *
 * The last section whose wildmat matches a group decides for it.  An article
 * without an Expires header field stays for `keep` from its arrival; one with
 * it stays until then, but not shorter than `minimum` and not longer than
 * `maximum` from its arrival.  A group that no section matches keeps its
 * articles for ever; one that was removed has let go of all it had.
 */
#ifndef EXPIRE_EXPIRE_RULES_H
#define EXPIRE_EXPIRE_RULES_H

#include <stdint.h>

struct active;
struct config;
struct config_expire;
struct rules;

/* Both are borrowed, and groups are asked for as they are at the time. */
struct rules *rules_new(const struct config *config,
                        const struct active *active);
void rules_free(struct rules **rules);

/* When an article that arrived then leaves a group; INT64_MAX: never.
   expires: what its header field says, 0 where it has none. */
int64_t rules_end(struct rules *rules, uint32_t group, int64_t arrival,
                  int64_t expires);
/* The same by one section alone. */
int64_t rule_end(const struct config_expire *rule, int64_t arrival,
                 int64_t expires);
/* No article leaves any group sooner after its arrival than so many seconds;
   INT64_MAX: none ever does. */
int64_t rules_shortest(const struct rules *rules);

#endif
