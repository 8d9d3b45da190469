/*
 * injection -- see injection.h.
 */
#include "nnrpd/injection.h"

#include <inttypes.h>
#include <string.h>

#include "lib/ascii.h"
#include "lib/canlock.h"
#include "lib/config.h"
#include "lib/listing.h"
#include "lib/message_id.h"
#include "lib/newsgroup.h"
#include "nnrpd/session.h"
#include "nnrpd/worker.h"
#include "storage/active.h"

/* --- who posts it --- */

/*
 * A word for somebody that tells two posts of his from those of others, and
 * not who he is: a hash under the store's secret.
 */
static const char *
hash_of(const struct session *session, const char *kind, const char *who,
        struct buffer *text)
{
    struct message_key key = active_key(session->worker->active);
    struct message_hash hash;
    unsigned char octets[sizeof(hash)];

    buffer_append_format(text, "%s %s", kind, who);
    hash = message_id_hash(&key, text->data, text->used);
    memcpy(octets, &hash, sizeof(octets));
    buffer_clear(text);
    for (size_t i = 0; i < sizeof(octets); i++)
        buffer_append_format(text, "%02x", octets[i]);
    return text->data;
}

static void
add_person(struct own_fields *own, const struct session *session)
{
    const struct config *config = session->worker->config;
    struct injection *injection = &own->injection;
    const char *user = session->access.user;

    if (config->addinjectionpostinghost) {
        injection->client_host = session->address;
        injection->path_host = session->address;
    }
    if (config->addinjectionpostingaccount)
        injection->account = user;
    if (!config->hashinjectioninfo)
        return;
    injection->path_host = NULL;
    if (injection->client_host != NULL)
        injection->client_host =
            hash_of(session, "host", session->address, &own->host);
    if (injection->account != NULL)
        injection->account = hash_of(session, "account", user, &own->account);
}

/* RFC 5322, 3.4.1: what is no atom is quoted. */
static void
append_local_part(struct buffer *text, const char *user)
{
    bool atom = *user != '.';

    for (const char *at = user; *at != '\0'; at++)
        atom = atom
               && (ascii_is_atext(*at)
                   || (*at == '.' && at[1] != '.' && at[1] != '\0'));
    if (!atom)
        buffer_append_char(text, '"');
    for (const char *at = user; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            buffer_append_char(text, '\\');
        buffer_append_char(text, *at);
    }
    if (!atom)
        buffer_append_char(text, '"');
}

static void
add_sender(struct own_fields *own, const struct session *session)
{
    const struct config *config = session->worker->config;

    own->injection.own_sender = config->nnrpdauthsender;
    if (!config->nnrpdauthsender || session->access.user == NULL)
        return;
    append_local_part(&own->sender, session->access.user);
    buffer_append_format(&own->sender, "@%s",
                         config->fromhost[0] != '\0' ? config->fromhost
                                                     : config->pathhost);
    own->injection.sender = own->sender.data;
}

/* --- who may remove it --- */

/* NULL: nobody but the admin. */
static const char *
canlock_user(const struct session *session)
{
    switch ((enum canlock_user)session->worker->config->addcanlockuser) {
    case CANLOCK_USERNAME:
        return session->access.user;
    case CANLOCK_IP:
        return session->address;
    case CANLOCK_NOBODY:
        break;
    }
    return NULL;
}

/* The locks for it, ours: the admin's and its poster's (RFC 8315, 3.1). */
static void
add_locks(struct own_fields *own, const struct session *session,
          const struct article *proto, const char *offered)
{
    const struct config *config = session->worker->config;
    const struct field_value *id = &proto->fields[FIELD_MESSAGE_ID];
    const char *octets = id->octets != NULL ? id->octets : offered;
    size_t length = id->octets != NULL ? id->length : strlen(offered);
    const char *user = canlock_user(session);

    if (config->canlockadminfile.text != NULL)
        canlock_append_lock(&own->locks, config->canlockadminfile.text, "",
                            octets, length);
    if (config->canlockuserfile.text != NULL && user != NULL)
        canlock_append_lock(&own->locks, config->canlockuserfile.text, user,
                            octets, length);
    own->injection.cancel_lock = own->locks.data;
}

/* Where it removes another article, the keys that fit if that was the same
   poster's. */
static void
add_keys(struct own_fields *own, const struct session *session,
         const struct article *proto)
{
    const struct config *config = session->worker->config;
    const char *user = canlock_user(session);
    struct field_value target;

    if (config->canlockuserfile.text != NULL && user != NULL
        && article_removes(proto, &target))
        canlock_append_keys(&own->keys, config->canlockuserfile.text, user,
                            target.octets, target.length);
    own->injection.cancel_key = own->keys.data;
}

/* --- where it is for --- */

/* Of all its newsgroups the line with the greatest weight decides. */
static void
add_distribution(struct own_fields *own, const struct session *session,
                 const struct article *proto)
{
    const char *text = session->worker->config->distrib_pats.text;
    const struct field_value *field = &proto->fields[FIELD_NEWSGROUPS];
    const char *name, *value, *best = NULL;
    size_t octets, value_octets, best_octets = 0, at = 0;
    int64_t weight, most = -1;

    if (text == NULL || field->octets == NULL
        || proto->fields[FIELD_DISTRIBUTION].octets != NULL)
        return;
    while (newsgroups_next(field->octets, field->length, &at, &name, &octets))
        if (listing_distribution(text, name, octets, &weight, &value,
                                 &value_octets)
            && weight > most) {
            most = weight;
            best = value;
            best_octets = value_octets;
        }
    if (best_octets == 0)
        return;
    buffer_append(&own->distribution, best, best_octets);
    own->injection.distribution = own->distribution.data;
}

static const char *
text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

void
own_fields_make(struct own_fields *own, const struct session *session,
                const struct article *proto, const char *offered)
{
    const struct config *config = session->worker->config;

    *own = (struct own_fields){
        .injection =
            {
                .pathhost = config->pathhost,
                .pathcluster = text_or_null(config->pathcluster),
                .complaints = text_or_null(config->complaints),
                .organization = text_or_null(config->organization),
                .message_id = offered,
                .strip_path = config->strippath,
                .strip_recipients = config->strippostcc,
            },
    };
    add_person(own, session);
    add_sender(own, session);
    add_locks(own, session, proto, offered);
    add_keys(own, session, proto);
    add_distribution(own, session, proto);
}

void
own_fields_free(struct own_fields *own)
{
    buffer_free(&own->locks);
    buffer_free(&own->keys);
    buffer_free(&own->sender);
    buffer_free(&own->account);
    buffer_free(&own->host);
    buffer_free(&own->distribution);
}
