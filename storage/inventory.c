#include "storage/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/memory.h"
#include "storage/store_private.h"

/* A range of numbers that left its group, and by which record. */
struct removed_range {
    struct expired_range range;
    uint64_t record;
};

struct inventory {
    struct inventory_article *articles;
    size_t article_count, article_size;
    struct inventory_place *places; /* in the order of the log */
    size_t place_count, place_size;
    uint32_t *sorted; /* indices of places, by group and number */
    struct removed_range *ranges;
    size_t range_count, range_size;
    size_t range_done; /* so many have been applied to the places */
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
    free(old->ranges);
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

static struct inventory_id *
id_add(struct inventory *inventory, const struct message_hash *hash,
       enum history_fate fate, uint64_t decided)
{
    struct inventory_id *id;

    inventory->ids = grow(inventory->ids, inventory->id_count,
                          &inventory->id_size, sizeof(*inventory->ids));
    id = &inventory->ids[inventory->id_count++];
    *id = (struct inventory_id){
        .hash = *hash, .decided = decided, .sequence = decided, .fate = fate};
    return id;
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
        .hash = record->head.hash,
        .sequence = record->head.sequence,
        .arrival = record->head.arrival,
        .token = record->token,
        .line_crc = crc32c(0, inventory->line.data, inventory->line.used),
        .line_octets = (uint32_t)inventory->line.used,
        .places_at = places_at,
        .place_count = (uint32_t)count,
    };
    id_add(inventory, &record->head.hash, HISTORY_STORED,
           record->head.sequence)
        ->token = record->token;
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

static void
remove_article(struct inventory *inventory, uint64_t sequence, uint64_t record)
{
    struct inventory_article *article = find(inventory, sequence);

    if (article != NULL && article->removed == 0)
        article->removed = record;
}

static int
add_cancel(struct inventory *inventory, const struct record *record,
           struct buffer *why)
{
    struct removal removal;

    if (record->head.payload_octets < sizeof(removal))
        return why_set(why, "cancel record %llu is cut short",
                       (unsigned long long)record->head.sequence);
    memcpy(&removal, record->payload, sizeof(removal));
    id_add(inventory, &record->head.hash, HISTORY_CANCELLED,
           record->head.sequence)
        ->until = removal.until;
    remove_article(inventory, removal.sequence, record->head.sequence);
    return 0;
}

static int
add_expire(struct inventory *inventory, const struct record *record,
           struct buffer *why)
{
    struct expiry expiry;

    if (expiry_parse(&expiry, record->payload, record->head.payload_octets,
                     why)
        < 0)
        return -1;
    for (size_t i = 0; i < expiry.head.range_count; i++) {
        inventory->ranges =
            grow(inventory->ranges, inventory->range_count,
                 &inventory->range_size, sizeof(*inventory->ranges));
        inventory->ranges[inventory->range_count++] = (struct removed_range){
            .range = expiry_range(&expiry, i),
            .record = record->head.sequence,
        };
    }
    for (size_t i = 0; i < expiry.head.article_count; i++) {
        struct history_entry entry = expiry_entry(&expiry, i);
        struct inventory_id *id =
            id_add(inventory, &entry.hash, entry.fate, record->head.sequence);

        id->sequence = entry.sequence;
        id->until = entry.until;
        remove_article(inventory, entry.sequence, record->head.sequence);
    }
    return 0;
}

static int
add_remember(struct inventory *inventory, const struct record *record,
             struct buffer *why)
{
    int64_t count =
        remembered_count(record->payload, record->head.payload_octets, why);

    for (int64_t i = 0; i < count; i++) {
        struct remembered remembered =
            remembered_at(record->payload, (size_t)i);
        struct inventory_id *id =
            id_add(inventory, &remembered.hash,
                   (enum history_fate)remembered.fate, record->head.sequence);

        id->sequence = remembered.sequence;
        id->until = remembered.until;
        id->remembered = true;
        remove_article(inventory, remembered.sequence, record->head.sequence);
    }
    return count < 0 ? -1 : 0;
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

    /* It has been copied, and the segment that it lay in was not removed. */
    if (record->head.type == RECORD_ARTICLE
        && record->head.sequence <= inventory->last_sequence)
        return 0;
    if (record->head.sequence > inventory->last_sequence)
        inventory->last_sequence = record->head.sequence;
    switch (record->head.type) {
    case RECORD_ARTICLE:
        return add_article(inventory, record, why);
    case RECORD_SUBMISSION:
        id_add(inventory, &record->head.hash, HISTORY_SUBMITTED,
               record->head.sequence)
            ->token = record->token;
        return 0;
    case RECORD_CANCEL:
        return add_cancel(inventory, record, why);
    case RECORD_EXPIRE:
        return add_expire(inventory, record, why);
    case RECORD_REMEMBER:
        return add_remember(inventory, record, why);
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

    return order != 0 ? order : compare(a->decided, b->decided);
}

/* Take the places in a range out of their group. */
static void
apply_range(struct inventory *inventory, const struct removed_range *removed)
{
    const struct expired_range *range = &removed->range;
    size_t at = inventory_place_from(inventory, range->group, range->first);

    for (; at < inventory->place_count; at++) {
        struct inventory_place *place =
            &inventory->places[inventory->sorted[at]];
        uint64_t sequence = inventory->articles[place->article].sequence;

        if (place->group != range->group || place->number > range->last)
            return;
        if (place->removed == 0 && sequence >= range->first_sequence
            && sequence <= range->last_sequence)
            place->removed = removed->record;
    }
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
    for (; inventory->range_done < inventory->range_count;
         inventory->range_done++)
        apply_range(inventory, &inventory->ranges[inventory->range_done]);
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

/* What removed it, of a place or an article, has been done when an index is
   that far. */
static enum inventory_state
state_at(uint64_t sequence, uint64_t removed, uint64_t applied)
{
    if (removed != 0 && removed <= applied)
        return INVENTORY_NOT;
    return sequence <= applied && removed == 0 ? INVENTORY_MUST
                                               : INVENTORY_MAY;
}

enum inventory_state
inventory_place_state(const struct inventory *inventory,
                      const struct inventory_place *place, uint64_t applied)
{
    const struct inventory_group *group = &inventory->groups[place->group - 1];
    const struct inventory_article *article =
        &inventory->articles[place->article];
    enum inventory_state state =
        state_at(article->sequence, article->removed, applied);

    if (state != INVENTORY_NOT && place->removed != 0)
        state = state_at(article->sequence, place->removed, applied);
    if (state == INVENTORY_NOT)
        return INVENTORY_NOT;
    /* The rows of a removed group go little by little; what is below a low
       mark nobody can see. */
    if (place->number <= group->purged_to)
        return group->flag == 0 ? INVENTORY_MAY : INVENTORY_NOT;
    return place->number < group->low ? INVENTORY_MAY : state;
}

enum inventory_state
inventory_article_state(const struct inventory *inventory,
                        const struct inventory_article *article,
                        uint64_t applied)
{
    enum inventory_state state =
        state_at(article->sequence, article->removed, applied);
    bool filed = article->place_count == 0;

    for (uint32_t i = 0; i < article->place_count && !filed; i++)
        filed =
            inventory_place_state(
                inventory, &inventory->places[article->places_at + i], applied)
            == INVENTORY_MUST;
    return state == INVENTORY_MUST && !filed ? INVENTORY_MAY : state;
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

/* May what is remembered take the place of what was said before?  As a replay
   decides it. */
static bool
is_news(const struct inventory_id *remembered, const struct inventory_id *id)
{
    if (id->fate == HISTORY_STORED)
        return id->sequence <= remembered->sequence;
    return history_has_token((enum history_fate)id->fate)
           || id->until < remembered->until;
}

const struct inventory_id *
inventory_next_id(const struct inventory *inventory, size_t *index)
{
    const struct inventory_id *id = &inventory->ids[(*index)++];

    for (; *index < inventory->id_count; ++*index) {
        const struct inventory_id *next = &inventory->ids[*index];

        if (memcmp(&next->hash, &id->hash, sizeof(id->hash)) != 0)
            break;
        if (!next->remembered || is_news(next, id))
            id = next;
    }
    return id;
}

const struct inventory_id *
inventory_find_id(const struct inventory *inventory,
                  const struct message_hash *hash)
{
    size_t low = 0, high = inventory->id_count;

    /* The first one that is not below. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(&inventory->ids[middle].hash, hash, sizeof(*hash)) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < inventory->id_count
                   && memcmp(&inventory->ids[low].hash, hash, sizeof(*hash))
                          == 0
               ? inventory_next_id(inventory, &low)
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
