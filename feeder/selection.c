/*
 * selection -- see selection.h.
 */
#include "feeder/selection.h"

#include <string.h>

#include "lib/article.h"
#include "lib/config.h"
#include "lib/newsgroup.h"
#include "lib/wildmat.h"
#include "storage/active.h"
#include "storage/spool.h"

static enum wildmat_answer
push_match(const struct config_peer *peer, const char *name, size_t octets)
{
    return wildmat_match_poison(peer->push, strlen(peer->push), name, octets);
}

/* A control message is filed in control.*, and is for those who get the groups
   that it names. */
static bool
is_control(const char *name)
{
    return strncmp(name, "control", 7) == 0
           && (name[7] == '\0' || name[7] == '.');
}

bool
selection_may_want(const struct config_peer *peer, const struct active *active,
                   const struct record *record)
{
    size_t count = record_group_count(record);
    uint32_t ids = active_count(active);
    bool wanted = false;

    if (peer->maxsize > 0 && record->head.bytes > peer->maxsize)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = record_group(record, i).group;
        const char *name;
        size_t octets;

        if (id == 0 || id > ids)
            continue;
        name = active_name(active, id, &octets);
        switch (push_match(peer, name, octets)) {
        case WILDMAT_POISON:
            return false;
        case WILDMAT_YES:
            wanted = true;
            break;
        case WILDMAT_NO:
            wanted |= is_control(name);
            break;
        }
    }
    return wanted;
}

static bool
path_excludes(const struct config_peer *peer, const struct field_value *path)
{
    if (path_has(path, peer->name))
        return true;
    for (size_t i = 0; i < peer->exclude_count; i++)
        if (path_has(path, peer->exclude[i]))
            return true;
    return false;
}

bool
selection_wants(const struct config_peer *peer, const struct article *article)
{
    const struct field_value *field = &article->fields[FIELD_NEWSGROUPS];
    bool control = article->fields[FIELD_CONTROL].octets != NULL;
    bool wanted = !control || push_match(peer, "control", 7) == WILDMAT_YES;
    const char *name;
    size_t octets, at = 0;

    if (path_excludes(peer, &article->fields[FIELD_PATH]))
        return false;
    while (newsgroups_next(field->octets, field->length, &at, &name, &octets))
        switch (push_match(peer, name, octets)) {
        case WILDMAT_POISON:
            return false;
        case WILDMAT_YES:
            wanted = true;
            break;
        case WILDMAT_NO:
            break;
        }
    return wanted;
}
