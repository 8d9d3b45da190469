#include "storage/store_private.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/newsgroup.h"
#include "lib/utf8.h"
#include "storage/active.h"

/* --- the table --- */

struct group *
groups_at(struct store *store, uint32_t id)
{
    if (id > store->group_size) {
        uint32_t size = store->group_size > 0 ? store->group_size * 2 : 64;

        if (size < id)
            size = id;
        store->groups =
            xreallocarray(store->groups, size, sizeof(*store->groups));
        store->group_size = size;
    }
    while (store->group_count < id)
        store->groups[store->group_count++] = (struct group){.low = 1};
    return &store->groups[id - 1];
}

uint32_t
groups_find_any(const struct store *store, const char *name, size_t octets)
{
    uint32_t id = active_find_any(store->active, name, octets);

    if (id != 0)
        return id;
    /* One that is just being made; there are never many of these. */
    for (id = active_count(store->active) + 1; id <= store->group_count; id++)
        if (store->groups[id - 1].name_octets == octets
            && memcmp(store->groups[id - 1].name, name, octets) == 0)
            return id;
    return 0;
}

void
group_free(struct group *group)
{
    free(group->name);
    free(group->creator);
    free(group->description);
    *group = (struct group){.low = 1};
}

void
group_assign(struct group *group, const struct overview_group *row)
{
    char *name = xstrdup(row->name);
    char *creator = xstrdup(row->creator);
    char *description = xstrdup(row->description);

    free(group->name);
    free(group->creator);
    free(group->description);
    group->name = name;
    group->name_octets = strlen(name);
    group->creator = creator;
    group->description = description;
    group->flag = row->flag;
    group->alias = row->alias;
    group->created = row->created;
}

/* What readers see of its marks; before it is published, what is here. */
static struct group_marks
marks_of(const struct store *store, uint32_t id)
{
    const struct group *group = &store->groups[id - 1];

    if (id <= active_count(store->active))
        return active_marks(store->active, id);
    return (struct group_marks){group->low, group->high, group->count};
}

static struct overview_group
row_of(const struct store *store, uint32_t id, const struct group *group)
{
    struct group_marks marks = marks_of(store, id);

    return (struct overview_group){
        .group = id,
        .flag = group->flag,
        .alias = group->alias,
        .created = group->created,
        .low = marks.low,
        .high = group->high,
        .count = marks.count,
        .name = group->name,
        .creator = group->creator,
        .description = group->description,
    };
}

struct overview_group
groups_row(const struct store *store, uint32_t id)
{
    return row_of(store, id, &store->groups[id - 1]);
}

/* --- as the log has them --- */

void
group_encode(struct buffer *to, const struct overview_group *row)
{
    struct group_change change = {
        .group = row->group,
        .flag = (uint8_t)row->flag,
        .alias = row->alias,
        .name_octets = (uint16_t)strlen(row->name),
        .creator_octets = (uint16_t)strlen(row->creator),
        .description_octets = (uint32_t)strlen(row->description),
        .created = row->created,
        .low = row->low,
        .high = row->high,
    };
    size_t from = to->used;

    buffer_append(to, &change, sizeof(change));
    buffer_append(to, row->name, change.name_octets);
    buffer_append(to, row->creator, change.creator_octets);
    buffer_append(to, row->description, change.description_octets);
    while ((to->used - from) % 8 != 0)
        buffer_append_char(to, '\0');
}

int64_t
group_decode(struct overview_group *row, const char *octets, size_t length,
             struct buffer *text, struct buffer *why)
{
    struct group_change change;
    uint64_t total;
    const char *at;

    if (length < sizeof(change))
        return why_set(why, "a record of a newsgroup is cut short");
    memcpy(&change, octets, sizeof(change));
    total = sizeof(change) + change.name_octets + change.creator_octets
            + change.description_octets;
    total = (total + 7) & ~UINT64_C(7);
    at = octets + sizeof(change);
    if (total > length || change.group == 0 || change.group > GROUP_ID_MAX
        || !newsgroup_is_valid(at, change.name_octets))
        return why_set(why, "a record of newsgroup %u makes no sense",
                       (unsigned)change.group);

    /* Three strings, one behind the other, each with a NUL. */
    buffer_clear(text);
    buffer_reserve(text, (size_t)total);
    buffer_append(text, at, change.name_octets);
    buffer_append_char(text, '\0');
    at += change.name_octets;
    buffer_append(text, at, change.creator_octets);
    buffer_append_char(text, '\0');
    at += change.creator_octets;
    buffer_append(text, at, change.description_octets);
    *row = (struct overview_group){
        .group = change.group,
        .flag = (char)change.flag,
        .alias = change.alias,
        .created = change.created,
        .low = change.low,
        .high = change.high,
        .name = text->data,
        .creator = text->data + change.name_octets + 1,
        .description =
            text->data + change.name_octets + change.creator_octets + 2,
    };
    return (int64_t)total;
}

void
groups_snapshot(void *context, struct buffer *snapshot)
{
    const struct store *store = context;

    for (uint32_t id = 1; id <= store->group_count; id++)
        if (store->groups[id - 1].name != NULL) {
            struct overview_group row = groups_row(store, id);

            group_encode(snapshot, &row);
        }
}

/* --- commands --- */

/* What a command asks for, with where the answer goes. */
struct wish {
    uint32_t id;
    struct group after; /* texts owned */
    uint64_t cookie;
    store_changed_func *changed;
    void *context;
};

/* Put the change into the log and into the table. */
static void
change_group(struct store *store, struct wish *wish)
{
    struct group *group = groups_at(store, wish->id);
    struct overview_group row;
    struct buffer payload = BUFFER_EMPTY;
    struct change change = {
        .kind = CHANGE_GROUP,
        .group = wish->id,
        .before = *group, /* its texts go along */
        .cookie = wish->cookie,
        .changed = wish->changed,
        .context = wish->context,
    };

    wish->after.high = group->high;
    wish->after.low = group->low;
    *group = wish->after;
    row = row_of(store, wish->id, group);
    /* A removed group, and one made anew, begins behind its last number. */
    if (group->flag == 0 || change.before.flag == 0) {
        row.low = group->high + 1;
        row.count = 0;
    }
    group_encode(&payload, &row);
    group_assign(&change.after, &row);
    change.after.low = row.low;
    change.after.high = row.high;
    store_append(store, RECORD_GROUP, NULL, NULL, 0, payload.data,
                 payload.used);
    store_change(store, &change);
    buffer_free(&payload);
}

/* A copy of a group to be changed. */
static struct group
group_copy(const struct store *store, uint32_t id)
{
    struct overview_group row = groups_row(store, id);
    struct group copy = {0};

    group_assign(&copy, &row);
    return copy;
}

/* 'y', 'n', 'm', 'j', 'x' or '=group'.  0, or -1 with the answer. */
static int
parse_flag(struct store *store, const char *word, uint32_t id, char *flag_r,
           uint32_t *alias_r)
{
    const size_t octets = strlen(word);
    uint32_t alias;

    *alias_r = 0;
    *flag_r = word[0];
    if (octets == 1 && strchr("ynmjx", word[0]) != NULL)
        return 0;
    if (word[0] != '=' || octets < 2)
        return why_set(&store->why,
                       "found flag '%s', expected y, n, m, j, x or =group",
                       word);
    alias = groups_find_any(store, word + 1, octets - 1);
    if (alias == 0 || store->groups[alias - 1].flag == 0)
        return why_set(&store->why, "there is no newsgroup %s", word + 1);
    if (alias == id || store->groups[alias - 1].flag == '=')
        return why_set(&store->why, "%s cannot stand for another group",
                       word + 1);
    *alias_r = alias;
    return 0;
}

static int
check_text(struct store *store, const char *what, const char *text,
           size_t octets_max)
{
    const size_t octets = strlen(text);

    if (octets > octets_max)
        return why_set(&store->why, "%s is longer than %zu octets", what,
                       octets_max);
    if (strpbrk(text, "\r\n\t") != NULL || !utf8_is_valid(text, octets))
        return why_set(&store->why, "%s is not one line of UTF-8", what);
    return 0;
}

/* A place for a new group.  0 with the answer when there is none. */
static uint32_t
new_id(struct store *store, const char *name)
{
    const size_t octets = strlen(name);

    /* An admin may have what RFC 5536, 3.1.4 advises against: alt.2600. */
    if (!newsgroup_is_valid(name, octets)) {
        why_set(&store->why,
                "%s cannot be a newsgroup: parts with a dot between, without"
                " white space, commas and * ? [ ] ! (RFC 5536, 3.1.4)",
                name);
        return 0;
    }
    if (store->group_count >= store->groups_max) {
        why_set(&store->why,
                "there is room for %zu newsgroups only"
                " (groups_max)",
                store->groups_max);
        return 0;
    }
    return store->group_count + 1;
}

/* Flag, creator and description of a newgroup command. */
static int
newgroup_arguments(struct store *store, int words, const char *const *word,
                   struct wish *wish)
{
    struct buffer description = BUFFER_EMPTY;
    struct group *after = &wish->after;
    int result = 0;

    if (words > 2
        && parse_flag(store, word[2], wish->id, &after->flag, &after->alias)
               < 0)
        return -1;
    for (int i = 4; i < words; i++)
        buffer_append_format(&description, "%s%s", i > 4 ? " " : "", word[i]);
    if ((words > 3
         && check_text(store, "the creator", word[3], CREATOR_OCTETS_MAX) < 0)
        || check_text(store, "the description", buffer_text(&description),
                      DESCRIPTION_OCTETS_MAX)
               < 0)
        result = -1;
    if (result == 0 && words > 3) {
        free(after->creator);
        after->creator = xstrdup(word[3]);
    }
    if (result == 0 && words > 4) {
        free(after->description);
        after->description = buffer_take(&description);
    }
    buffer_free(&description);
    return result;
}

/* As it was, or as a new one is when nothing else is said. */
static void
newgroup_begin(struct store *store, const char *name, struct wish *wish)
{
    struct overview_group row = {
        .flag = 'y',
        .name = name,
        .description = "",
        .created = store_now(store),
    };
    struct buffer creator = BUFFER_EMPTY;

    if (wish->id <= store->group_count
        && store->groups[wish->id - 1].flag != 0) {
        wish->after = group_copy(store, wish->id);
        return;
    }
    buffer_append_format(&creator, "newsmaster@%s", store->pathhost);
    row.creator = creator.data;
    group_assign(&wish->after, &row);
    buffer_free(&creator);
}

void
store_newgroup(struct store *store, int words, const char *const *word,
               uint64_t cookie, store_changed_func *changed, void *context)
{
    struct wish wish = {
        .cookie = cookie, .changed = changed, .context = context};
    uint32_t id = groups_find_any(store, word[1], strlen(word[1]));

    /* Rows of its former life must not come up among those of the new. */
    if (id != 0 && commit_is_purging(store, id)) {
        store_command_wait(store, NULL, words, word, cookie, changed, context);
        return;
    }
    wish.id = id != 0 ? id : new_id(store, word[1]);
    if (wish.id == 0) {
        changed(context, cookie, -1, buffer_text(&store->why));
        return;
    }
    newgroup_begin(store, word[1], &wish);
    if (newgroup_arguments(store, words, word, &wish) < 0) {
        group_free(&wish.after);
        changed(context, cookie, -1, buffer_text(&store->why));
        return;
    }
    change_group(store, &wish);
}

/* The living group of this name; 0 with the answer given. */
static uint32_t
living(struct store *store, const char *name, uint64_t cookie,
       store_changed_func *changed, void *context)
{
    uint32_t id = groups_find_any(store, name, strlen(name));

    if (id != 0 && store->groups[id - 1].flag != 0)
        return id;
    why_set(&store->why, "there is no newsgroup %s", name);
    changed(context, cookie, -1, buffer_text(&store->why));
    return 0;
}

void
store_changegroup(struct store *store, int words, const char *const *word,
                  uint64_t cookie, store_changed_func *changed, void *context)
{
    struct wish wish = {
        .cookie = cookie, .changed = changed, .context = context};
    char flag;
    uint32_t alias;

    (void)words;
    wish.id = living(store, word[1], cookie, changed, context);
    if (wish.id == 0)
        return;
    if (parse_flag(store, word[2], wish.id, &flag, &alias) < 0) {
        changed(context, cookie, -1, buffer_text(&store->why));
        return;
    }
    wish.after = group_copy(store, wish.id);
    wish.after.flag = flag;
    wish.after.alias = alias;
    change_group(store, &wish);
}

void
store_rmgroup(struct store *store, int words, const char *const *word,
              uint64_t cookie, store_changed_func *changed, void *context)
{
    struct wish wish = {
        .cookie = cookie, .changed = changed, .context = context};

    (void)words;
    wish.id = living(store, word[1], cookie, changed, context);
    if (wish.id == 0)
        return;
    wish.after = group_copy(store, wish.id);
    wish.after.flag = 0;
    wish.after.alias = 0;
    change_group(store, &wish);
}
