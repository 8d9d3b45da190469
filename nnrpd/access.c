/*
 * access -- see access.h.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/account.h"
#include "lib/config.h"
#include "lib/memory.h"
#include "lib/tls.h"
#include "lib/wildmat.h"
#include "nnrpd/access.h"
#include "storage/active.h"
#include "storage/spool.h"

/* What each role may do at the most. */
static const unsigned role_rights[ACCOUNT_ROLES] = {
    [ACCOUNT_READER] = RIGHT_READ | RIGHT_NEWNEWS,
    [ACCOUNT_POSTER] = RIGHT_READ | RIGHT_NEWNEWS | RIGHT_POST,
    [ACCOUNT_MODERATOR] =
        RIGHT_READ | RIGHT_NEWNEWS | RIGHT_POST | RIGHT_APPROVE,
    [ACCOUNT_ADMIN] = RIGHT_READ | RIGHT_NEWNEWS | RIGHT_POST | RIGHT_APPROVE,
    [ACCOUNT_PEER] = RIGHT_READ | RIGHT_NEWNEWS | RIGHT_FEED,
};

static const unsigned anonymous_rights[] = {
    [ACCESS_NONE] = 0,
    [ACCESS_READ] = RIGHT_READ | RIGHT_NEWNEWS,
    [ACCESS_POST] = RIGHT_READ | RIGHT_NEWNEWS | RIGHT_POST,
};

static bool
address_is_listed(const char *address, char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (address_matches(address, list[i]))
            return true;
    return false;
}

/* Who has no name is in no list. */
static bool
name_is_listed(const char *name, char *const *list, size_t count)
{
    for (size_t i = 0; name != NULL && i < count; i++)
        if (wildmat_match_pattern(list[i], strlen(list[i]), name,
                                  strlen(name)))
            return true;
    return false;
}

/* By its fingerprint, or by a name that somebody we believe has vouched for.
 */
static bool
certificate_is_listed(const struct tls_identity *certificate,
                      char *const *list, size_t count)
{
    if (certificate == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(list[i], certificate->fingerprint) == 0)
            return true;
        for (size_t j = 0; certificate->trusted && j < certificate->name_count;
             j++)
            if (wildmat_match_pattern(list[i], strlen(list[i]),
                                      certificate->names[j],
                                      strlen(certificate->names[j])))
                return true;
    }
    return false;
}

static bool
section_is_for(const struct config_access *section,
               const struct access_client *client)
{
    if (section->tls != ACCESS_TLS_ANY
        && client->secure != (section->tls == ACCESS_TLS_YES))
        return false;
    return (section->address_count == 0
            || address_is_listed(client->address, section->addresses,
                                 section->address_count))
           && (section->user_count == 0
               || name_is_listed(client->user, section->users,
                                 section->user_count))
           && (section->certificate_count == 0
               || certificate_is_listed(client->certificate,
                                        section->certificates,
                                        section->certificate_count));
}

/* NULL: no section is for it. */
static const struct config_access *
section_find(const struct config *config, const struct access_client *client)
{
    for (size_t i = config->access_count; i-- > 0;)
        if (section_is_for(&config->accesses[i], client))
            return &config->accesses[i];
    return NULL;
}

/* "!*" matches no name: who may read no group may not read. */
static bool
wildmat_is_empty(const char *wildmat)
{
    return strcmp(wildmat, "!*") == 0;
}

static void
access_set_peer(struct access *access, const char *name,
                const char *newsgroups, uint32_t number)
{
    free(access->peer);
    free(access->peer_newsgroups);
    access->rights |= RIGHT_FEED;
    access->peer = xstrdup(name);
    access->peer_newsgroups = xstrdup(newsgroups);
    access->peer_number = number;
}

static void
access_apply_peers(struct access *access, const struct config *config,
                   const struct access_client *client)
{
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct config_peer *peer = &config->peers[i];

        if (!address_is_listed(client->address, peer->addresses,
                               peer->address_count)
            && !certificate_is_listed(client->certificate, peer->certificates,
                                      peer->certificate_count))
            continue;
        access_set_peer(access, peer->name, peer->newsgroups, (uint32_t)i + 1);
        return;
    }
}

static void
access_apply_section(struct access *access,
                     const struct config_access *section, bool has_role)
{
    unsigned most = has_role ? access->rights : anonymous_rights[ACCESS_POST];
    unsigned reading = RIGHT_READ | RIGHT_NEWNEWS;
    unsigned posting = RIGHT_POST | RIGHT_APPROVE;

    access->rights &= ~(reading | posting);
    if (!wildmat_is_empty(section->readable))
        access->rights |= most & reading;
    if (!wildmat_is_empty(section->postable))
        access->rights |= most & posting;
    if ((access->rights & RIGHT_POST) != 0
        && !wildmat_is_empty(section->approvable)) {
        access->rights |= RIGHT_APPROVE;
        access->approvable = xstrdup(section->approvable);
    }
    access->readable = xstrdup(section->readable);
    access->postable = xstrdup(section->postable);
    access->maxconnections = section->maxconnections;
    memcpy(access->limits, section->limits, sizeof access->limits);
    access->localmaxartsize = section->localmaxartsize;
    if (section->peer)
        access_set_peer(access,
                        access->user != NULL ? access->user : section->name,
                        section->feedable, access->peer_number);
}

static void
access_unset_peer(struct access *access)
{
    access->rights &= ~(unsigned)RIGHT_FEED;
    free(access->peer);
    free(access->peer_newsgroups);
    access->peer = access->peer_newsgroups = NULL;
    access->peer_number = 0;
}

static void
access_apply_account(struct access *access, const struct access_client *client)
{
    unsigned role =
        client->role == ACCESS_LOCAL_TRUSTED ? ACCOUNT_ADMIN : client->role;

    access->user = xstrdup(client->user);
    if (role >= ACCOUNT_ROLES)
        return;
    access->rights = role_rights[role];
    if (role == ACCOUNT_ADMIN)
        access->moderates = xstrdup("*");
    else if (role == ACCOUNT_MODERATOR)
        access->moderates = xstrdup(client->moderates);
}

void
access_evaluate(struct access *access, const struct config *config,
                const struct access_client *client)
{
    const struct config_access *section = section_find(config, client);
    bool has_role = client->user != NULL && client->role != ACCESS_LOCAL;

    access_free(access);
    if (client->user != NULL)
        access_apply_account(access, client);
    if (client->user != NULL && client->role == ACCESS_LOCAL_TRUSTED) {
        access_set_peer(access, client->user, "*", 0);
        return;
    }
    if (!has_role)
        access->rights = anonymous_rights[config->anonymous];
    if ((access->rights & RIGHT_FEED) != 0)
        access_set_peer(access, client->user, "*", 0);
    access_apply_peers(access, config, client);
    if (section != NULL)
        access_apply_section(access, section, has_role);
    if (client->is_page)
        access_unset_peer(access);
    if (!config->allownewnews)
        access->rights &= ~(unsigned)RIGHT_NEWNEWS;
}

void
access_free(struct access *access)
{
    free(access->user);
    free(access->readable);
    free(access->postable);
    free(access->moderates);
    free(access->approvable);
    free(access->peer);
    free(access->peer_newsgroups);
    *access = (struct access){0};
}

static bool
wildmat_allows(const char *wildmat, const char *name, size_t octets)
{
    return wildmat == NULL
           || wildmat_match(wildmat, strlen(wildmat), name, octets);
}

bool
access_reads_group(const struct access *access, const char *name,
                   size_t octets)
{
    return wildmat_allows(access->readable, name, octets);
}

bool
access_posts_to_group(const struct access *access, const char *name,
                      size_t octets)
{
    return wildmat_allows(access->postable, name, octets);
}

bool
access_approves_group(const struct access *access, const char *name,
                      size_t octets)
{
    if ((access->rights & RIGHT_APPROVE) == 0
        || !access_posts_to_group(access, name, octets))
        return false;
    return (access->moderates != NULL
            && wildmat_allows(access->moderates, name, octets))
           || (access->approvable != NULL
               && wildmat_allows(access->approvable, name, octets));
}

bool
access_reads_record(const struct access *access, const struct active *active,
                    const struct record *record)
{
    if (access->readable == NULL)
        return true;
    for (size_t i = 0; i < record_group_count(record); i++) {
        uint32_t group = record_group(record, i).group;
        size_t octets;
        const char *name;

        if (active_flag(active, group) == 0)
            continue;
        name = active_name(active, group, &octets);
        if (access_reads_group(access, name, octets))
            return true;
    }
    return false;
}
