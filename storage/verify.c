#include "storage/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "lib/memory.h"
#include "lib/progress.h"
#include "storage/active.h"
#include "storage/verify_private.h"

enum { LIST_ENTRIES = 1024, SINCE_ARTICLES = 1000 };

/* --- telling --- */

static const char *const kind_names[VERIFY_KINDS] = {
    [VERIFY_ALIEN_FILE] = "alien file",
    [VERIFY_OTHER_VERSION] = "other version",
    [VERIFY_DAMAGED_HEAD] = "damaged head",
    [VERIFY_DAMAGED] = "damaged",
    [VERIFY_CUT_SHORT] = "cut short",
    [VERIFY_GAP] = "gap",
    [VERIFY_UNREADABLE] = "unreadable",
    [VERIFY_MISSING_SEGMENT] = "missing segment",
    [VERIFY_NUMBER_TWICE] = "number twice",
    [VERIFY_HISTORY_UNUSABLE] = "history unusable",
    [VERIFY_ENTRY_MISSING] = "entry missing",
    [VERIFY_ENTRY_WRONG] = "entry wrong",
    [VERIFY_ENTRY_SURPLUS] = "entry surplus",
    [VERIFY_OVERVIEW_UNUSABLE] = "overview unusable",
    [VERIFY_LINE_MISSING] = "line missing",
    [VERIFY_LINE_WRONG] = "line wrong",
    [VERIFY_LINE_SURPLUS] = "line surplus",
    [VERIFY_ARTICLE_MISSING] = "article missing",
    [VERIFY_ARTICLE_WRONG] = "article wrong",
    [VERIFY_ARTICLE_SURPLUS] = "article surplus",
    [VERIFY_GROUP_WRONG] = "group wrong",
    [VERIFY_COUNT_WRONG] = "count wrong",
    [VERIFY_MARKS_WRONG] = "marks wrong",
    [VERIFY_RECORD_LOST] = "record lost",
};

const char *
verify_kind_name(enum verify_kind kind)
{
    return kind_names[kind];
}

void
verify_report(struct verification *verification, enum verify_kind kind,
              const struct mend_step *mend)
{
    struct verify_finding finding = {
        .kind = kind,
        .place = buffer_text(&verification->place),
        .found = buffer_text(&verification->found),
        .expected = buffer_text(&verification->expected),
    };

    if (mend != NULL)
        finding.mend = *mend;
    verification->verify->report(verification->verify->context, &finding);
    buffer_clear(&verification->place);
    buffer_clear(&verification->found);
    buffer_clear(&verification->expected);
}

void
verify_spool_fault(const struct spool_fault *fault, verify_report_func *report,
                   void *context)
{
    static const struct {
        enum verify_kind kind;
        const char *found, *expected;
    } faults[] = {
        [SPOOL_FAULT_ALIEN] = {VERIFY_ALIEN_FILE, "a file that is not ours",
                               "segments only"},
        [SPOOL_FAULT_VERSION] = {VERIFY_OTHER_VERSION, NULL,
                                 "a version that is known here"},
        [SPOOL_FAULT_HEAD] = {VERIFY_DAMAGED_HEAD, "its sum is wrong",
                              "the head of this segment"},
        [SPOOL_FAULT_DAMAGE] = {VERIFY_DAMAGED, NULL, "a batch that sums"},
        [SPOOL_FAULT_CUT] = {VERIFY_CUT_SHORT, "the end of the file",
                             "more of the log"},
        [SPOOL_FAULT_GAP] = {VERIFY_GAP, NULL,
                             "the sequence before the next segment's"},
        [SPOOL_FAULT_UNREADABLE] = {VERIFY_UNREADABLE, NULL, "octets"},
    };
    struct buffer place = BUFFER_EMPTY;
    struct verify_finding finding = {
        .kind = faults[fault->kind].kind,
        .found = faults[fault->kind].found,
        .expected = faults[fault->kind].expected,
    };

    if (finding.found == NULL)
        finding.found = fault->text;
    if (fault->kind == SPOOL_FAULT_ALIEN)
        buffer_append_text(&place, fault->text);
    else
        buffer_append_format(&place, "segment %08" PRIx32, fault->segment);
    if (fault->to != 0)
        buffer_append_format(&place, " at %" PRIu64 "-%" PRIu64, fault->from,
                             fault->to);
    finding.place = buffer_text(&place);
    report(context, &finding);
    buffer_free(&place);
}

bool
verify_stops(const struct verification *verification, struct buffer *why)
{
    if (*verification->verify->stopping)
        why_set(why, "interrupted");
    return *verification->verify->stopping != 0;
}

static void
progress_begin(struct verification *verification, const char *what,
               const char *unit, uint64_t total)
{
    if (!verification->verify->quiet)
        verification->progress = progress_new(what, unit, total);
}

static void
progress_show(struct verification *verification, uint64_t done)
{
    if (verification->progress != NULL)
        progress_update(verification->progress, done);
}

/* --- the log --- */

static int
take_record(void *context, const struct record *record, struct buffer *why)
{
    struct verification *verification = context;
    struct inventory *inventory = verification->inventory;

    if (verify_stops(verification, why))
        return -1;
    progress_show(verification, inventory_article_count(inventory));
    return inventory_add(inventory, record, why);
}

static void
ignore_fault(void *context, const struct spool_fault *fault)
{
    (void)context;
    (void)fault; /* the first walk has told of it, or the next one will */
}

int
verify_extend(struct verification *verification, struct buffer *why)
{
    struct verify *verify = verification->verify;
    uint64_t applied = active_committed(verify->active);
    uint64_t sequence;
    uint32_t segment, end;
    struct spool *spool;
    int status;

    active_durable(verify->active, &segment, &end, &sequence);
    spool =
        spool_open_reading(verify->pathspool, false, ignore_fault, NULL, why);
    if (spool == NULL)
        return -1;
    spool_set_durable(spool, segment, end);
    status =
        spool_walk(spool, inventory_last_sequence(verification->inventory),
                   take_record, verification, why);
    spool_close(&spool);
    inventory_settle(verification->inventory);
    verify->history_applied = applied;
    verify->overview_applied = applied;
    return status;
}

static int
read_log(struct verification *verification, struct buffer *why)
{
    int status;

    progress_begin(verification, "check: spool", "articles", 0);
    status = spool_walk(verification->verify->spool, 0, take_record,
                        verification, why);
    inventory_settle(verification->inventory);
    progress_show(verification,
                  inventory_article_count(verification->inventory));
    progress_end(&verification->progress);
    verification->verify->articles =
        inventory_article_count(verification->inventory);
    return status;
}

/* Numbers are given once. */
static void
find_twice(struct verification *verification)
{
    const struct inventory *inventory = verification->inventory;

    for (size_t i = 1; i < inventory_place_count(inventory); i++) {
        const struct inventory_place *one = inventory_place(inventory, i - 1);
        const struct inventory_place *other = inventory_place(inventory, i);

        if (one->group != other->group || one->number != other->number)
            continue;
        buffer_append_format(&verification->place, "group %u:%u",
                             (unsigned)one->group, (unsigned)one->number);
        buffer_append_format(
            &verification->found, "sequences %" PRIu64 " and %" PRIu64,
            inventory_article(inventory, one->article)->sequence,
            inventory_article(inventory, other->article)->sequence);
        buffer_append_text(&verification->expected, "one article");
        verify_report(verification, VERIFY_NUMBER_TWICE, NULL);
    }
}

/* --- what may be wrong --- */

static struct suspect *
suspect_add(struct verification *verification, enum suspect_kind kind)
{
    if (verification->count == verification->size) {
        verification->size =
            verification->size == 0 ? 64 : verification->size * 2;
        verification->suspects =
            xreallocarray(verification->suspects, verification->size,
                          sizeof(*verification->suspects));
    }
    verification->suspects[verification->count] =
        (struct suspect){.kind = kind};
    return &verification->suspects[verification->count++];
}

bool
verify_is_lost(const struct verification *verification, uint64_t sequence,
               uint64_t applied)
{
    return sequence <= applied
           && inventory_find(verification->inventory, sequence) == NULL;
}

/* --- the history --- */

/* Of an ID that is refused it is the same whichever record has said so: when
   its segment goes, another one says it again. */
bool
verify_entry_is(const struct history_entry *entry,
                const struct inventory_id *id)
{
    if ((uint32_t)entry->fate != id->fate || entry->until != id->until)
        return false;
    return !history_has_token(entry->fate)
           || (entry->sequence == id->sequence
               && memcmp(&entry->token, &id->token, sizeof(id->token)) == 0);
}

static void
suspect_entry(struct verification *verification,
              const struct message_hash *hash)
{
    suspect_add(verification, SUSPECT_ENTRY)->key.hash = *hash;
}

/* Entries and IDs, both ascending: *index is the first ID not yet compared. */
static void
compare_entries(struct verification *verification,
                const struct history_entry *entries, size_t count,
                size_t *index)
{
    const struct inventory *inventory = verification->inventory;

    for (size_t i = 0; i < count; i++) {
        const struct message_hash *hash = &entries[i].hash;
        int order = -1;

        while (*index < inventory_id_count(inventory)
               && (order = memcmp(&inventory_id(inventory, *index)->hash, hash,
                                  sizeof(*hash)))
                      < 0)
            suspect_entry(verification,
                          &inventory_next_id(inventory, index)->hash);
        if (*index >= inventory_id_count(inventory) || order != 0)
            suspect_entry(verification, hash);
        else if (!verify_entry_is(&entries[i],
                                  inventory_next_id(inventory, index)))
            suspect_entry(verification, hash);
    }
}

static int
compare_history(struct verification *verification, struct buffer *why)
{
    struct verify *verify = verification->verify;
    struct history_entry *entries = xcalloc(LIST_ENTRIES, sizeof(*entries));
    struct message_hash from = {{0}};
    size_t index = 0;
    bool more = true;
    int count = 0;

    progress_begin(verification, "check: history", "entries",
                   inventory_id_count(verification->inventory));
    while (more
           && (count = verify->list(verify->list_context, &from, entries,
                                    LIST_ENTRIES, why))
                  > 0) {
        if (verify_stops(verification, why)) {
            count = -1;
            break;
        }
        compare_entries(verification, entries, (size_t)count, &index);
        from = entries[count - 1].hash;
        more = message_hash_next(&from);
        verify->entries += (uint64_t)count;
        progress_show(verification, verify->entries);
    }
    while (count >= 0 && index < inventory_id_count(verification->inventory))
        suspect_entry(
            verification,
            &inventory_next_id(verification->inventory, &index)->hash);
    progress_end(&verification->progress);
    free(entries);
    return count < 0 ? -1 : 0;
}

/* --- the overview's lines --- */

bool
verify_line_is(const struct overview_line *line,
               const struct inventory_article *article)
{
    const char *tab = memchr(line->text, '\t', line->octets);
    size_t octets;

    if (tab == NULL || line->sequence != article->sequence)
        return false;
    octets = line->octets - (size_t)(tab + 1 - line->text);
    return octets == article->line_octets + 2
           && crc32c(0, tab + 1, octets - 2) == article->line_crc
           && memcmp(tab + octets - 1, "\r\n", 2) == 0
           && strtoull(line->text, NULL, 10) == line->number;
}

/* One group's lines and places, side by side. */
struct compared {
    struct verification *verification;
    uint32_t group;
    size_t index;  /* of the first place not yet compared */
    uint64_t next; /* 0: all is compared */
    int status;
};

static void
suspect_line(struct verification *verification, uint32_t group,
             uint64_t number)
{
    struct suspect *suspect = suspect_add(verification, SUSPECT_LINE);

    suspect->key.line.group = group;
    suspect->key.line.number = number;
}

static void
note_lost_line(struct verification *verification, uint32_t group)
{
    if (group > verification->lost_groups) {
        verification->lost_lines =
            xreallocarray(verification->lost_lines, group, sizeof(uint32_t));
        memset(verification->lost_lines + verification->lost_groups, 0,
               (group - verification->lost_groups) * sizeof(uint32_t));
        verification->lost_groups = group;
    }
    verification->lost_lines[group - 1]++;
}

/* The place at the index, when it is one of this group below `to`. */
static const struct inventory_place *
place_below(const struct compared *compared, uint64_t to)
{
    const struct inventory *inventory = compared->verification->inventory;
    const struct inventory_place *place;

    if (compared->index >= inventory_place_count(inventory))
        return NULL;
    place = inventory_place(inventory, compared->index);
    return place->group == compared->group && place->number < to ? place
                                                                 : NULL;
}

/* Places without a line, up to a number. */
static void
pass_places(struct compared *compared, uint64_t to)
{
    struct verification *verification = compared->verification;
    uint64_t applied = verification->verify->overview_applied;
    const struct inventory_place *place;

    while ((place = place_below(compared, to)) != NULL) {
        if (inventory_place_state(verification->inventory, place, applied)
            == INVENTORY_MUST)
            suspect_line(verification, place->group, place->number);
        compared->index++;
    }
}

static void
compare_line(struct compared *compared, const struct overview_line *line)
{
    struct verification *verification = compared->verification;
    const struct inventory *inventory = verification->inventory;
    uint64_t applied = verification->verify->overview_applied;
    const struct inventory_place *place;

    pass_places(compared, line->number);
    place = place_below(compared, line->number + 1);
    if (place == NULL) {
        if (verify_is_lost(verification, line->sequence, applied))
            note_lost_line(verification, compared->group);
        if (line->sequence <= applied)
            suspect_line(verification, compared->group, line->number);
        return;
    }
    if (inventory_place_state(inventory, place, applied) == INVENTORY_NOT
        || !verify_line_is(line, inventory_article(inventory, place->article)))
        suspect_line(verification, compared->group, line->number);
    compared->index++;
}

static void
lines_answered(void *context, const struct overview_answer *answer)
{
    struct compared *compared = context;
    struct verify *verify = compared->verification->verify;

    compared->status = answer->status;
    compared->next = answer->status > 0 ? answer->next : 0;
    if (answer->status <= 0)
        return;
    for (size_t i = 0; i < answer->count; i++)
        compare_line(compared, &answer->lines[i]);
    verify->lines += answer->count;
}

static int
compare_group(struct verification *verification, uint32_t group,
              struct buffer *why)
{
    struct verify *verify = verification->verify;
    struct compared compared = {
        .verification = verification,
        .group = group,
        .index = inventory_place_from(verification->inventory, group, 0),
        .next = 1,
    };

    while (compared.next != 0) {
        const struct overview_query query = {.question = OVERVIEW_RANGE,
                                             .group = group,
                                             .low = compared.next,
                                             .high = ARTICLE_NUMBER_MAX};

        if (verify_stops(verification, why))
            return -1;
        overview_ask_now(verify->overview, verify->base, &query,
                         lines_answered, &compared);
        if (compared.status < 0)
            return why_set(
                why, "the overview of %s cannot be read",
                active_name(verification->verify->active, group, NULL));
        progress_show(verification, verification->verify->lines);
    }
    pass_places(&compared, UINT64_MAX);
    return 0;
}

static int
compare_lines(struct verification *verification, struct buffer *why)
{
    const struct active *active = verification->verify->active;
    uint32_t count = active_count(active);
    int status = 0;

    progress_begin(verification, "check: overview", "lines",
                   inventory_place_count(verification->inventory));
    for (uint32_t id = 1; id <= count && status == 0; id++)
        if (active_flag(active, id) != 0)
            status = compare_group(verification, id, why);
    progress_end(&verification->progress);
    return status;
}

/* --- the overview's articles --- */

struct located {
    struct verification *verification;
    size_t index; /* of the first article not yet compared */
    uint64_t next;
    int status;
};

static void
suspect_article(struct verification *verification, uint64_t sequence)
{
    suspect_add(verification, SUSPECT_ARTICLE)->key.sequence = sequence;
}

/* Articles without a row, up to a sequence. */
static void
pass_articles(struct located *located, uint64_t to)
{
    struct verification *verification = located->verification;
    const struct inventory *inventory = verification->inventory;
    uint64_t applied = verification->verify->overview_applied;
    const struct inventory_article *article;

    while (
        located->index < inventory_article_count(inventory)
        && (article = inventory_article(inventory, located->index))->sequence
               < to) {
        if (inventory_article_state(inventory, article, applied)
            == INVENTORY_MUST)
            suspect_article(verification, article->sequence);
        located->index++;
    }
}

static void
compare_article(struct located *located, const struct overview_line *line)
{
    struct verification *verification = located->verification;
    const struct inventory *inventory = verification->inventory;
    uint64_t applied = verification->verify->overview_applied;
    const struct inventory_article *article;

    pass_articles(located, line->sequence);
    article = located->index < inventory_article_count(inventory)
                  ? inventory_article(inventory, located->index)
                  : NULL;
    if (article == NULL || article->sequence != line->sequence) {
        if (line->sequence <= applied)
            suspect_article(verification, line->sequence);
        return;
    }
    if (inventory_article_state(inventory, article, applied) == INVENTORY_NOT
        || memcmp(&article->token, &line->token, sizeof(line->token)) != 0)
        suspect_article(verification, line->sequence);
    located->index++;
}

static void
articles_answered(void *context, const struct overview_answer *answer)
{
    struct located *located = context;

    located->status = answer->status;
    located->next = answer->status > 0 ? answer->next : 0;
    if (answer->status <= 0)
        return;
    for (size_t i = 0; i < answer->count; i++)
        compare_article(located, &answer->lines[i]);
}

static int
compare_articles(struct verification *verification, struct buffer *why)
{
    struct verify *verify = verification->verify;
    struct located located = {.verification = verification, .next = 1};

    progress_begin(verification, "check: articles", "articles",
                   inventory_article_count(verification->inventory));
    while (located.next != 0) {
        const struct overview_query query = {.question = OVERVIEW_SINCE,
                                             .low = located.next,
                                             .since = INT64_MIN,
                                             .limit = SINCE_ARTICLES};

        if (verify_stops(verification, why)) {
            located.status = -1;
            break;
        }
        overview_ask_now(verify->overview, verify->base, &query,
                         articles_answered, &located);
        if (located.status < 0) {
            why_set(why, "the overview's articles cannot be read");
            break;
        }
        progress_show(verification, located.index);
    }
    progress_end(&verification->progress);
    if (located.status >= 0)
        pass_articles(&located, UINT64_MAX);
    return located.status < 0 ? -1 : 0;
}

/* --- all of it --- */

/* What cannot be read to its end is a finding, and the rest is compared. */
static int
compare_overview(struct verification *verification, struct buffer *why)
{
    if (compare_lines(verification, why) == 0
        && compare_articles(verification, why) == 0)
        return 0;
    if (*verification->verify->stopping)
        return -1;
    buffer_append_text(&verification->place, "overview");
    buffer_append_text(&verification->found, buffer_text(why));
    buffer_append_text(&verification->expected, "rows");
    verify_report(verification, VERIFY_OVERVIEW_UNUSABLE, NULL);
    verification->verify->overview = NULL;
    return 0;
}

static int
compare_all(struct verification *verification, struct buffer *why)
{
    struct verify *verify = verification->verify;

    if (read_log(verification, why) < 0)
        return -1;
    find_twice(verification);
    verify->unknown = inventory_unknown(verification->inventory);
    if (verify->list != NULL && compare_history(verification, why) < 0)
        return -1;
    if (verify->overview != NULL && compare_overview(verification, why) < 0)
        return -1;
    if (verify_suspects(verification, why) < 0)
        return -1;
    return verify->overview != NULL ? verify_groups(verification, why) : 0;
}

int
verify_run(struct verify *verify, struct buffer *why)
{
    struct verification verification = {.verify = verify,
                                        .inventory = inventory_new()};
    int status = compare_all(&verification, why);

    progress_end(&verification.progress);
    inventory_free(&verification.inventory);
    free(verification.suspects);
    free(verification.lost_lines);
    free(verification.lost);
    buffer_free(&verification.place);
    buffer_free(&verification.found);
    buffer_free(&verification.expected);
    return status;
}
