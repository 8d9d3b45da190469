#include "storage/relay.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "lib/article.h"
#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/newsgroup.h"
#include "storage/active.h"
#include "storage/submission.h"

enum {
    SHOWN_OCTETS = 80, /* of a name that a refusal repeats */
    SECONDS_PER_DAY = 24 * 60 * 60,
};

/* --- what it is --- */

size_t
relay_octets_max(int64_t configured)
{
    if (configured <= 0 || configured > ARTICLE_OCTETS_HARD_MAX)
        return ARTICLE_OCTETS_HARD_MAX;
    return (size_t)configured;
}

struct article_rules
relay_rules(const struct config *config, size_t octets_max)
{
    return (struct article_rules){
        .pathhost = config->pathhost,
        .now = time(NULL),
        .cutoff_seconds = config->artcutoff * SECONDS_PER_DAY,
        .size_octets_max = octets_max,
    };
}

int
relay_check_size(const struct config *config, const struct article *article,
                 size_t octets, struct buffer *why)
{
    const struct field_value *field = &article->fields[FIELD_NEWSGROUPS];
    const char *name;
    size_t length, at = 0;

    if (config->group_size_count == 0 || field->octets == NULL)
        return 0;
    while (
        newsgroups_next(field->octets, field->length, &at, &name, &length)) {
        size_t most = config_group_octets_max(config, name, length);

        if (octets > most)
            return why_set(why,
                           "Article of %zu octets is over the limit of %zu "
                           "of newsgroup %.*s",
                           octets, most, (int)length, name);
    }
    return 0;
}

int
relay_check(const struct relay *relay, const struct article *article,
            size_t octets, struct buffer *why)
{
    const struct config *config = relay->config;
    struct article_rules rules =
        relay_rules(config, relay_octets_max(config->maxartsize));

    if (relay->any_age)
        rules.cutoff_seconds = 0;
    if (article_check_relayed(article, &rules, why) < 0)
        return -1;
    return relay_check_size(config, article, octets, why);
}

/* --- whether it is wanted here --- */

static int
check_groups_are_here(const struct active *active,
                      const struct article *article, struct buffer *why)
{
    const struct field_value *field = &article->fields[FIELD_NEWSGROUPS];
    const char *name;
    size_t octets, at = 0;

    while (
        newsgroups_next(field->octets, field->length, &at, &name, &octets)) {
        uint32_t group = active_find(active, name, octets);

        if (group == 0 || active_flag(active, group) == 0)
            return why_set(why, "There is no newsgroup %.*s here",
                           octets < SHOWN_OCTETS ? (int)octets : SHOWN_OCTETS,
                           name);
    }
    return 0;
}

int
relay_check_site(const struct config *config, const struct active *active,
                 const struct article *article, struct buffer *why)
{
    const struct field_value *path = &article->fields[FIELD_PATH];

    if (article_check_distribution(article, config->acceptdistributions, why)
        < 0)
        return -1;
    for (size_t i = 0; path->octets != NULL && i < config->exclude_count; i++)
        if (path_has(path, config->exclude[i]))
            return why_set(why, "Nothing that came by %s is taken here",
                           config->exclude[i]);
    if (config->verifygroups
        && article->fields[FIELD_NEWSGROUPS].octets != NULL)
        return check_groups_are_here(active, article, why);
    return 0;
}

/* --- what is written into it --- */

/* Is this name the first entry of Path? */
static bool
path_begins(const struct field_value *path, const char *name)
{
    const char *bang = memchr(path->octets, '!', path->length);
    size_t octets =
        bang != NULL ? (size_t)(bang - path->octets) : path->length;

    return octets == strlen(name) && ascii_same(path->octets, name, octets);
}

/* Is the peer the one that Path names first?  (RFC 5537, 3.2.1.) */
static void
append_diagnostic(const struct relay *relay, const struct field_value *path,
                  struct buffer *prefix)
{
    const struct config_peer *peer = relay->peer;
    bool same = peer != NULL && path_begins(path, peer->name);

    for (size_t i = 0; peer != NULL && i < peer->exclude_count; i++)
        same = same || path_begins(path, peer->exclude[i]);
    if (same)
        buffer_append_char(prefix, '!');
    else
        buffer_append_format(prefix, "!.%s.%s",
                             peer == NULL ? "SEEN" : "MISMATCH",
                             relay->address);
}

/* What goes before its Path. */
static void
path_prefix(const struct relay *relay, const struct field_value *path,
            struct buffer *prefix)
{
    const struct config *config = relay->config;

    if (config->pathcluster[0] != '\0'
        && !path_begins(path, config->pathcluster))
        buffer_append_format(prefix, "%s!", config->pathcluster);
    buffer_append_text(prefix, config->pathhost);
    if (config->pathalias[0] != '\0' && !path_has(path, config->pathalias))
        buffer_append_format(prefix, "!%s", config->pathalias);
    if (config->pathdiagnostics && relay->address != NULL)
        append_diagnostic(relay, path, prefix);
}

int
relay_build(const struct relay *relay, const struct article *article,
            uint64_t cookie, struct buffer *payload, struct buffer *why)
{
    const struct config *config = relay->config;
    struct buffer prefix = BUFFER_EMPTY;
    int result;

    path_prefix(relay, &article->fields[FIELD_PATH], &prefix);
    result = submission_build(payload, article, relay->active, prefix.data,
                              true, config->wanttrash ? SUBMISSION_TRASH : 0,
                              cookie, why);
    buffer_free(&prefix);
    if (result == 0)
        memcpy(payload->data + offsetof(struct submission, peer),
               &relay->peer_number, sizeof(relay->peer_number));
    return result;
}
