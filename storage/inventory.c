#include "storage/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/memory.h"
#include "storage/store_private.h"

struct inventory {
    struct inventory_article *articles;
    size_t article_count, article_size;
    struct inventory_place *places; /* in the order of the log */
    size_t place_count, place_size;
    uint32_t *sorted; /* indices of places, by group and number */
    struct inventory_id *ids;
    size_t id_count, id_size;
    struct inventory_group *groups;
    uint32_t group_count;
    uint64_t last_sequence;
    uint64_t unknown;
    struct buffer line;
    struct buffer text;
};

struct inventory *
inventory_new(void)
{
    return xcalloc(1, sizeof(struct inventory));
}

void
inventory_free(struct inventory **inventory)
{
    struct inventory *old = *inventory;

    if (old == NULL)
        return;
    for (uint32_t i = 0; i < old->group_count; i++)
        free(old->groups[i].name);
    free(old->groups);
    free(old->articles);
    free(old->places);
    free(old->sorted);
    free(old->ids);
    buffer_free(&old->line);
    buffer_free(&old->text);
    free(old);
    *inventory = NULL;
}

/* Room for one member more. */
static void *
grow(void *members, size_t count, size_t *size, size_t octets)
{
    if (count < *size)
        return members;
    *size = *size == 0 ? 1024 : *size * 2;
    return xreallocarray(members, *size, octets);
}

/* --- filling --- */

static void
id_add(struct inventory *inventory, const struct record *record,
       enum history_fate fate, int64_t until)
{
    inventory->ids = grow(inventory->ids, inventory->id_count,
                          &inventory->id_size, sizeof(*inventory->ids));
    inventory->ids[inventory->id_count++] = (struct inventory_id){
        .hash = record->head.hash,
        .sequence = record->head.sequence,
        .until = until,
        .fate = fate,
    };
    if (history_has_token(fate))
        inventory->ids[inventory->id_count - 1].token = record->token;
}

static struct inventory_group *
group_at(struct inventory *inventory, uint32_t id)
{
    if (id > inventory->group_count) {
        inventory->groups =
            xreallocarray(inventory->groups, id, sizeof(*inventory->groups));
        memset(inventory->groups + inventory->group_count, 0,
               (id - inventory->group_count) * sizeof(*inventory->groups));
        inventory->group_count = id;
    }
    return &inventory->groups[id - 1];
}

static int
place_add(struct inventory *inventory, const struct record *record,
          size_t index, struct buffer *why)
{
    struct record_group place = record_group(record, index);
    struct inventory_group *group;

    if (place.group == 0 || place.group > GROUP_ID_MAX
        || place.number > UINT32_MAX)
        return why_set(why, "record %llu is filed in newsgroup %u as %llu",
                       (unsigned long long)record->head.sequence,
                       (unsigned)place.group,
                       (unsigned long long)place.number);
    group = group_at(inventory, place.group);
    if (place.number > group->high)
        group->high = place.number;
    inventory->places =
        grow(inventory->places, inventory->place_count, &inventory->place_size,
             sizeof(*inventory->places));
    inventory->places[inventory->place_count++] = (struct inventory_place){
        .group = place.group,
        .number = (uint32_t)place.number,
        .article = (uint32_t)inventory->article_count,
    };
    return 0;
}

static int
add_article(struct inventory *inventory, const struct record *record,
            struct buffer *why)
{
    struct inventory_article *article;
    size_t places_at = inventory->place_count;
    size_t count = record_group_count(record);

    for (size_t i = 0; i < count; i++)
        if (place_add(inventory, record, i, why) < 0)
            return -1;
    buffer_clear(&inventory->line);
    recover_line(record, &inventory->line);
    inventory->articles =
        grow(inventory->articles, inventory->article_count,
             &inventory->article_size, sizeof(*inventory->articles));
    article = &inventory->articles[inventory->article_count++];
    *article = (struct inventory_article){
        .sequence = record->head.sequence,
        .arrival = record->head.arrival,
        .token = record->token,
        .line_crc = crc32c(0, inventory->line.data, inventory->line.used),
        .line_octets = (uint32_t)inventory->line.used,
        .places_at = places_at,
        .place_count = (uint32_t)count,
    };
    id_add(inventory, record, HISTORY_STORED, 0);
    return 0;
}

static struct inventory_article *
find(const struct inventory *inventory, uint64_t sequence)
{
    size_t low = 0, high = inventory->article_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (inventory->articles[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low < inventory->article_count
                   && inventory->articles[low].sequence == sequence
               ? &inventory->articles[low]
               : NULL;
}

static int
add_cancel(struct inventory *inventory, const struct record *record,
           struct buffer *why)
{
    struct removal removal;
    struct inventory_article *article;

    if (record->head.payload_octets < sizeof(removal))
        return why_set(why, "cancel record %llu is cut short",
                       (unsigned long long)record->head.sequence);
    memcpy(&removal, record->payload, sizeof(removal));
    id_add(inventory, record, HISTORY_CANCELLED, removal.until);
    article = find(inventory, removal.sequence);
    if (article != NULL && article->removed == 0)
        article->removed = record->head.sequence;
    return 0;
}

/* One group, or all of a snapshot. */
static int
add_groups(struct inventory *inventory, const struct record *record,
           struct buffer *why)
{
    const char *at = record->payload;
    size_t left = record->head.payload_octets;

    while (left > 0) {
        struct overview_group row;
        struct inventory_group *group;
        int64_t octets = group_decode(&row, at, left, &inventory->text, why);

        if (octets < 0)
            return -1;
        group = group_at(inventory, row.group);
        free(group->name);
        group->name = xstrdup(row.name);
        group->flag = row.flag;
        if (row.low > group->low)
            group->low = row.low;
        if (row.high > group->high)
            group->high = row.high;
        if (row.flag == 0)
            group->purged_to = group->high;
        at += octets;
        left -= (size_t)octets;
    }
    return 0;
}

int
inventory_add(void *context, const struct record *record, struct buffer *why)
{
    struct inventory *inventory = context;

    inventory->last_sequence = record->head.sequence;
    switch (record->head.type) {
    case RECORD_ARTICLE:
        return add_article(inventory, record, why);
    case RECORD_SUBMISSION:
        id_add(inventory, record, HISTORY_SUBMITTED, 0);
        return 0;
    case RECORD_CANCEL:
        return add_cancel(inventory, record, why);
    case RECORD_GROUP:
    case RECORD_SNAPSHOT:
        return add_groups(inventory, record, why);
    case RECORD_TRUNC:
        return 0;
    default:
        inventory->unknown++;
        return 0;
    }
}

/* --- sorting --- */

static int
compare(uint64_t left, uint64_t right)
{
    return left < right ? -1 : left > right;
}

static int
compare_places(const void *left, const void *right, void *context)
{
    const struct inventory_place *places = context;
    const struct inventory_place *a = &places[*(const uint32_t *)left];
    const struct inventory_place *b = &places[*(const uint32_t *)right];

    return compare((uint64_t)a->group << 32 | a->number,
                   (uint64_t)b->group << 32 | b->number);
}

static int
compare_ids(const void *left, const void *right)
{
    const struct inventory_id *a = left;
    const struct inventory_id *b = right;
    int order = memcmp(&a->hash, &b->hash, sizeof(a->hash));

    return order != 0 ? order : compare(a->sequence, b->sequence);
}

void
inventory_settle(struct inventory *inventory)
{
    free(inventory->sorted);
    inventory->sorted =
        xcalloc(inventory->place_count + 1, sizeof(*inventory->sorted));
    for (size_t i = 0; i < inventory->place_count; i++)
        inventory->sorted[i] = (uint32_t)i;
    qsort_r(inventory->sorted, inventory->place_count,
            sizeof(*inventory->sorted), compare_places, inventory->places);
    if (inventory->id_count > 0)
        qsort(inventory->ids, inventory->id_count, sizeof(*inventory->ids),
              compare_ids);
}

/* --- asking --- */

uint64_t
inventory_last_sequence(const struct inventory *inventory)
{
    return inventory->last_sequence;
}

uint64_t
inventory_unknown(const struct inventory *inventory)
{
    return inventory->unknown;
}

size_t
inventory_article_count(const struct inventory *inventory)
{
    return inventory->article_count;
}

const struct inventory_article *
inventory_article(const struct inventory *inventory, size_t index)
{
    return &inventory->articles[index];
}

const struct inventory_article *
inventory_find(const struct inventory *inventory, uint64_t sequence)
{
    return find(inventory, sequence);
}

static bool
place_is_purged(const struct inventory *inventory,
                const struct inventory_place *place)
{
    return place->number <= inventory->groups[place->group - 1].purged_to;
}

static enum inventory_state
state_of(const struct inventory_article *article, uint64_t applied)
{
    if (article->removed != 0 && article->removed <= applied)
        return INVENTORY_NOT;
    return article->sequence <= applied && article->removed == 0
               ? INVENTORY_MUST
               : INVENTORY_MAY;
}

enum inventory_state
inventory_article_state(const struct inventory *inventory,
                        const struct inventory_article *article,
                        uint64_t applied)
{
    enum inventory_state state = state_of(article, applied);
    bool purged = true;

    for (uint32_t i = 0; i < article->place_count && purged; i++)
        purged = place_is_purged(inventory,
                                 &inventory->places[article->places_at + i]);
    /* The rows of a removed group go little by little. */
    return state == INVENTORY_MUST && purged ? INVENTORY_MAY : state;
}

size_t
inventory_place_count(const struct inventory *inventory)
{
    return inventory->place_count;
}

const struct inventory_place *
inventory_place(const struct inventory *inventory, size_t index)
{
    return &inventory->places[inventory->sorted[index]];
}

size_t
inventory_place_from(const struct inventory *inventory, uint32_t group,
                     uint64_t number)
{
    size_t low = 0, high = inventory->place_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct inventory_place *place =
            inventory_place(inventory, middle);

        if (place->group < group
            || (place->group == group && place->number < number))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum inventory_state
inventory_place_state(const struct inventory *inventory,
                      const struct inventory_place *place, uint64_t applied)
{
    if (place_is_purged(inventory, place))
        return inventory->groups[place->group - 1].flag == 0 ? INVENTORY_MAY
                                                             : INVENTORY_NOT;
    return state_of(&inventory->articles[place->article], applied);
}

size_t
inventory_id_count(const struct inventory *inventory)
{
    return inventory->id_count;
}

const struct inventory_id *
inventory_id(const struct inventory *inventory, size_t index)
{
    return &inventory->ids[index];
}

const struct inventory_id *
inventory_find_id(const struct inventory *inventory,
                  const struct message_hash *hash)
{
    size_t low = 0, high = inventory->id_count;

    /* The first one of a higher hash. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(&inventory->ids[middle].hash, hash, sizeof(*hash)) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0
                   && memcmp(&inventory->ids[low - 1].hash, hash,
                             sizeof(*hash))
                          == 0
               ? &inventory->ids[low - 1]
               : NULL;
}

uint32_t
inventory_group_count(const struct inventory *inventory)
{
    return inventory->group_count;
}

const struct inventory_group *
inventory_group(const struct inventory *inventory, uint32_t id)
{
    return id >= 1 && id <= inventory->group_count ? &inventory->groups[id - 1]
                                                   : NULL;
}
