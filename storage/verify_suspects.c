/*
 * The second look at what may be wrong, and the report of it.
 *
 * Beside a writer an article that was cancelled, moved or expired since the
 * log was read looks wrong and is not: so the log is read on first, and what
 * still does not fit is looked at once more after that.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/memory.h"
#include "storage/active.h"
#include "storage/spool_reader.h"
#include "storage/verify_private.h"

enum {
    ROUNDS_ONLINE = 3,
    GROUP_ROUNDS_ONLINE = 10,
    ROUND_PAUSE_US = 100000,
};

/* --- texts of findings --- */

static void
token_text(struct buffer *text, uint64_t sequence, const struct token *token)
{
    buffer_append_format(text,
                         "sequence %" PRIu64 " at %08" PRIx32 ":%" PRIu32,
                         sequence, token->segment, token->offset);
}

static void
fate_text(struct buffer *text, uint32_t fate, uint64_t sequence)
{
    static const char *const names[] = {
        [HISTORY_EXPIRED] = "expired",
        [HISTORY_REFUSED] = "refused",
        [HISTORY_CANCELLED] = "cancelled",
    };

    buffer_append_format(text, "%s by sequence %" PRIu64, names[fate],
                         sequence);
}

static void
line_place(struct verification *verification, uint32_t group, uint64_t number)
{
    buffer_append_format(
        &verification->place, "%s:%" PRIu64,
        active_name(verification->verify->active, group, NULL), number);
}

/* segment: where it should lie, 0 when that is not known. */
static void
note_lost(struct verification *verification, uint64_t sequence,
          uint32_t segment)
{
    if (verification->lost_count == verification->lost_size) {
        verification->lost_size =
            verification->lost_size == 0 ? 64 : verification->lost_size * 2;
        verification->lost =
            xreallocarray(verification->lost, verification->lost_size,
                          sizeof(*verification->lost));
    }
    verification->lost[verification->lost_count++] =
        (struct lost){.sequence = sequence, .segment = segment};
}

/* Does the record of this article lie there, wherever the log has it? */
static bool
lies_at(const struct verification *verification, const struct token *token,
        uint64_t sequence)
{
    struct spooled *spooled = NULL;
    bool found = spool_read_now(verification->verify->pathspool, token,
                                sequence, &spooled)
                 == SPOOL_FOUND;

    if (found)
        spooled_release(spooled);
    return found;
}

/*
 * Each of the functions below looks at one suspect and returns whether it is
 * all right; else, when it is to be reported, it reports.
 */

/* --- entries of the history --- */

/* NULL: there is none. */
static void
entry_text(struct buffer *text, const struct history_entry *entry)
{
    if (entry == NULL)
        buffer_append_text(text, "nothing");
    else if (history_has_token(entry->fate))
        token_text(text, entry->sequence, &entry->token);
    else
        fate_text(text, entry->fate, entry->sequence);
}

static void
entry_report(struct verification *verification, enum verify_kind kind,
             const struct history_entry *entry, const struct inventory_id *id)
{
    struct history_entry expected = {.sequence = 0};
    struct mend_step step = {.kind = MEND_ENTRY_DROP};

    if (id != NULL) {
        expected = (struct history_entry){.hash = id->hash,
                                          .fate = (enum history_fate)id->fate,
                                          .sequence = id->sequence,
                                          .token = id->token,
                                          .until = id->until};
        step = (struct mend_step){.kind = MEND_ENTRY,
                                  .sequence = id->sequence,
                                  .token = id->token,
                                  .hash = id->hash,
                                  .until = id->until,
                                  .fate = id->fate};
    } else if (entry != NULL) {
        step.sequence = entry->sequence;
        step.hash = entry->hash;
    }
    buffer_append_format(&verification->place, "history: sequence %" PRIu64,
                         step.sequence);
    entry_text(&verification->found, entry);
    entry_text(&verification->expected, id != NULL ? &expected : NULL);
    verify_report(verification, kind, &step);
}

/* An entry, and the log knows nothing of the ID. */
static bool
surplus_is_fine(struct verification *verification,
                const struct history_entry *entry, bool report)
{
    uint64_t applied = verification->verify->history_applied;

    if (entry->sequence > applied)
        return true;
    if (!history_has_token(entry->fate) && entry->until <= time(NULL))
        return true;
    if (report && history_has_token(entry->fate)
        && verify_is_lost(verification, entry->sequence, applied))
        note_lost(verification, entry->sequence, entry->token.segment);
    else if (report)
        entry_report(verification, VERIFY_ENTRY_SURPLUS, entry, NULL);
    return false;
}

/* No entry, and the log has one for it. */
static bool
missing_is_fine(struct verification *verification,
                const struct inventory_id *id, bool report)
{
    if (id->decided > verification->verify->history_applied
        || (!history_has_token((enum history_fate)id->fate)
            && id->until <= time(NULL)))
        return true;
    if (report)
        entry_report(verification, VERIFY_ENTRY_MISSING, NULL, id);
    return false;
}

static bool
entry_is_fine(struct verification *verification,
              const struct history_entry *entry, const struct inventory_id *id,
              bool report)
{
    if (id->decided > verification->verify->history_applied
        || verify_entry_is(entry, id))
        return true;
    /* Moved meanwhile, perhaps. */
    if ((uint32_t)entry->fate == id->fate && history_has_token(entry->fate)
        && entry->sequence == id->sequence
        && lies_at(verification, &entry->token, id->sequence))
        return true;
    if (report)
        entry_report(verification, VERIFY_ENTRY_WRONG, entry, id);
    return false;
}

static int
look_at_entry(struct verification *verification,
              const struct message_hash *hash, bool report, struct buffer *why)
{
    const struct inventory_id *id =
        inventory_find_id(verification->inventory, hash);
    struct history_entry entry;
    int count = verification->verify->list(verification->verify->list_context,
                                           hash, &entry, 1, why);

    if (count < 0)
        return -1;
    if (count > 0 && memcmp(&entry.hash, hash, sizeof(*hash)) != 0)
        count = 0;
    if (count > 0 && id != NULL)
        return entry_is_fine(verification, &entry, id, report);
    if (count > 0)
        return surplus_is_fine(verification, &entry, report);
    return id == NULL || missing_is_fine(verification, id, report);
}

/* --- lines --- */

struct line_look {
    struct verification *verification;
    const struct suspect *suspect;
    bool report;
    int status;
};

static void
line_report(struct verification *verification, enum verify_kind kind,
            const struct suspect *suspect, const struct overview_line *line,
            const struct inventory_article *article)
{
    line_place(verification, suspect->key.line.group,
               suspect->key.line.number);
    if (line == NULL)
        buffer_append_text(&verification->found, "nothing");
    else if (kind == VERIFY_LINE_WRONG && line->sequence == article->sequence)
        buffer_append_text(&verification->found, "other text");
    else
        buffer_append_format(&verification->found, "sequence %" PRIu64,
                             line->sequence);
    if (article == NULL)
        buffer_append_text(&verification->expected, "nothing");
    else
        buffer_append_format(&verification->expected,
                             "the line of sequence %" PRIu64,
                             article->sequence);
    assert(line != NULL || article != NULL);
    if (article != NULL)
        verify_report(verification, kind,
                      &(struct mend_step){.kind = MEND_ARTICLE,
                                          .group = suspect->key.line.group,
                                          .number = suspect->key.line.number,
                                          .sequence = article->sequence,
                                          .token = article->token,
                                          .hash = article->hash});
    else
        verify_report(verification, kind,
                      &(struct mend_step){.kind = MEND_LINE_DROP,
                                          .group = suspect->key.line.group,
                                          .number = suspect->key.line.number,
                                          .sequence = line->sequence});
}

static bool
line_is_fine(struct line_look *look, const struct overview_line *line,
             const struct inventory_place *place, enum inventory_state state)
{
    struct verification *verification = look->verification;
    uint64_t applied = verification->verify->overview_applied;
    const struct inventory_article *article =
        place != NULL
            ? inventory_article(verification->inventory, place->article)
            : NULL;
    enum verify_kind kind = VERIFY_LINE_WRONG;

    if (line == NULL && state != INVENTORY_MUST)
        return true;
    if (line == NULL)
        kind = VERIFY_LINE_MISSING;
    else if (line->sequence > applied)
        return true;
    else if (state == INVENTORY_NOT)
        kind = VERIFY_LINE_SURPLUS;
    else if (verify_line_is(line, article))
        return true;
    if (look->report && kind == VERIFY_LINE_SURPLUS
        && verify_is_lost(verification, line->sequence, applied))
        /* Its token is a hint, and may be an old one. */
        note_lost(verification, line->sequence, 0);
    else if (look->report)
        line_report(verification, kind, look->suspect, line,
                    kind == VERIFY_LINE_SURPLUS ? NULL : article);
    return false;
}

static void
line_answered(void *context, const struct overview_answer *answer)
{
    struct line_look *look = context;
    const struct inventory *inventory = look->verification->inventory;
    uint64_t applied = look->verification->verify->overview_applied;
    uint32_t group = look->suspect->key.line.group;
    uint64_t number = look->suspect->key.line.number;
    size_t index = inventory_place_from(inventory, group, number);
    const struct inventory_place *place =
        index < inventory_place_count(inventory)
            ? inventory_place(inventory, index)
            : NULL;
    enum inventory_state state = INVENTORY_NOT;

    if (place != NULL && (place->group != group || place->number != number))
        place = NULL;
    if (place != NULL)
        state = inventory_place_state(inventory, place, applied);
    look->status = answer->status < 0
                       ? -1
                       : line_is_fine(look,
                                      answer->status > 0 && answer->count > 0
                                          ? answer->lines
                                          : NULL,
                                      place, state);
}

static int
look_at_line(struct verification *verification, const struct suspect *suspect,
             bool report, struct buffer *why)
{
    struct line_look look = {
        .verification = verification, .suspect = suspect, .report = report};
    const struct overview_query query = {.question = OVERVIEW_RANGE,
                                         .group = suspect->key.line.group,
                                         .low = suspect->key.line.number,
                                         .high = suspect->key.line.number};

    overview_ask_now(verification->verify->overview,
                     verification->verify->base, &query, line_answered, &look);
    return look.status < 0 ? why_set(why, "the overview cannot be read")
                           : look.status;
}

/* --- where articles lie --- */

struct article_look {
    int status;
    struct token token;
};

static void
article_answered(void *context, const struct overview_answer *answer)
{
    struct article_look *look = context;

    look->status = answer->status;
    look->token = answer->token;
}

static void
article_report(struct verification *verification, enum verify_kind kind,
               uint64_t sequence, const struct token *found,
               const struct inventory_article *expected)
{
    buffer_append_format(&verification->place, "overview: sequence %" PRIu64,
                         sequence);
    if (found != NULL)
        token_text(&verification->found, sequence, found);
    else
        buffer_append_text(&verification->found, "nothing");
    if (expected != NULL)
        token_text(&verification->expected, sequence, &expected->token);
    else
        buffer_append_text(&verification->expected, "nothing");
    if (expected != NULL)
        verify_report(verification, kind,
                      &(struct mend_step){.kind = MEND_ARTICLE,
                                          .sequence = sequence,
                                          .token = expected->token,
                                          .hash = expected->hash});
    else
        verify_report(verification, kind,
                      &(struct mend_step){.kind = MEND_ARTICLE_DROP,
                                          .sequence = sequence});
}

static bool
article_is_fine(struct verification *verification, uint64_t sequence,
                const struct token *token, bool report)
{
    const struct inventory_article *article =
        inventory_find(verification->inventory, sequence);
    uint64_t applied = verification->verify->overview_applied;
    enum inventory_state state = article != NULL ? inventory_article_state(
                                     verification->inventory, article, applied)
                                                 : INVENTORY_NOT;
    enum verify_kind kind = VERIFY_ARTICLE_WRONG;

    if (sequence > applied || (token == NULL && state != INVENTORY_MUST))
        return true;
    if (token == NULL)
        kind = VERIFY_ARTICLE_MISSING;
    else if (state == INVENTORY_NOT)
        kind = VERIFY_ARTICLE_SURPLUS;
    else if (memcmp(token, &article->token, sizeof(*token)) == 0
             || lies_at(verification, token, sequence))
        return true;
    if (report && article == NULL)
        note_lost(verification, sequence, token->segment);
    else if (report)
        article_report(verification, kind, sequence, token,
                       kind == VERIFY_ARTICLE_SURPLUS ? NULL : article);
    return false;
}

static int
look_at_article(struct verification *verification, uint64_t sequence,
                bool report, struct buffer *why)
{
    struct article_look look = {.status = -1};
    const struct overview_query query = {.question = OVERVIEW_LOCATE,
                                         .low = sequence};

    overview_ask_now(verification->verify->overview,
                     verification->verify->base, &query, article_answered,
                     &look);
    if (look.status < 0)
        return why_set(why, "the overview cannot be read");
    return article_is_fine(verification, sequence,
                           look.status > 0 ? &look.token : NULL, report);
}

/* --- all of them --- */

/* 1 it is all right, 0 it is not, -1 with why. */
static int
look_at(struct verification *verification, const struct suspect *suspect,
        bool report, struct buffer *why)
{
    switch (suspect->kind) {
    case SUSPECT_ENTRY:
        return look_at_entry(verification, &suspect->key.hash, report, why);
    case SUSPECT_LINE:
        return look_at_line(verification, suspect, report, why);
    case SUSPECT_ARTICLE:
        return look_at_article(verification, suspect->key.sequence, report,
                               why);
    }
    return -1;
}

static int
look_at_all(struct verification *verification, bool report, struct buffer *why)
{
    size_t left = 0;

    for (size_t i = 0; i < verification->count; i++) {
        int status;

        if (verify_stops(verification, why))
            return -1;
        if (verification->suspects[i].kind != SUSPECT_ENTRY
            && verification->verify->overview == NULL)
            continue;
        status =
            look_at(verification, &verification->suspects[i], report, why);
        if (status < 0)
            return -1;
        if (status == 0)
            verification->suspects[left++] = verification->suspects[i];
    }
    verification->count = left;
    return 0;
}

static int
compare_lost(const void *left, const void *right)
{
    const struct lost *a = left;
    const struct lost *b = right;

    if (a->segment != b->segment)
        return a->segment < b->segment ? -1 : 1;
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

static int
compare_sequences(const void *left, const void *right)
{
    const struct lost *a = left;
    const struct lost *b = right;

    if (a->sequence != b->sequence)
        return a->sequence < b->sequence ? -1 : 1;
    return a->segment > b->segment ? -1 : a->segment < b->segment;
}

/* Both indices, and each group of an article, may have told of the same one:
   once is enough, by who knows its segment. */
static void
lost_unite(struct verification *verification)
{
    struct lost *lost = verification->lost;
    size_t kept = 0;

    if (verification->lost_count == 0)
        return;
    qsort(lost, verification->lost_count, sizeof(*lost), compare_sequences);
    for (size_t i = 0; i < verification->lost_count; i++)
        if (kept == 0 || lost[kept - 1].sequence != lost[i].sequence)
            lost[kept++] = lost[i];
    verification->lost_count = kept;
    qsort(lost, kept, sizeof(*lost), compare_lost);
}

/* Of a segment that is not there all articles are one finding. */
static void
report_lost(struct verification *verification)
{
    const struct lost *lost = verification->lost;

    lost_unite(verification);
    for (size_t i = 0, count; i < verification->lost_count; i += count) {
        uint32_t segment = lost[i].segment;
        bool is_missing =
            segment != 0
            && !spool_has_segment(verification->verify->spool, segment);

        count = 1;
        while (is_missing && i + count < verification->lost_count
               && lost[i + count].segment == segment)
            count++;
        if (segment != 0)
            buffer_append_format(&verification->place, "segment %08" PRIx32,
                                 segment);
        else
            buffer_append_text(&verification->place, "overview");
        if (is_missing)
            buffer_append_text(&verification->found, "no such file");
        else
            buffer_append_format(&verification->found,
                                 "no record of sequence %" PRIu64,
                                 lost[i].sequence);
        buffer_append_format(&verification->expected,
                             "%zu article%s that the indices know", count,
                             count == 1 ? "" : "s");
        verify_report(verification,
                      is_missing ? VERIFY_MISSING_SEGMENT : VERIFY_RECORD_LOST,
                      NULL);
    }
}

int
verify_suspects(struct verification *verification, struct buffer *why)
{
    bool online = verification->verify->online;
    int rounds = online ? ROUNDS_ONLINE : 1;

    for (int i = 1; i <= rounds && verification->count > 0; i++)
        if ((online && verify_extend(verification, why) < 0)
            || look_at_all(verification, i == rounds, why) < 0)
            return -1;
    report_lost(verification);
    return 0;
}

/* --- groups --- */

static void
group_report(struct verification *verification, enum verify_kind kind,
             uint32_t id)
{
    const struct inventory_group *group =
        inventory_group(verification->inventory, id);
    const struct mend_step mend = {
        .kind = MEND_GROUP,
        .group = id,
        .number = group != NULL ? group->low : 0,
    };

    buffer_append_text(&verification->place,
                       active_name(verification->verify->active, id, NULL));
    verify_report(verification, kind,
                  kind == VERIFY_GROUP_WRONG ? NULL : &mend);
}

/* Was it there when the indices were that far? */
static bool
is_counted(const struct inventory *inventory,
           const struct inventory_place *place, uint64_t applied)
{
    const struct inventory_group *group =
        inventory_group(inventory, place->group);
    uint64_t article = inventory_article(inventory, place->article)->removed;

    return place->number > group->purged_to && place->number >= group->low
           && (article == 0 || article > applied)
           && (place->removed == 0 || place->removed > applied);
}

/* What the log says of a group's articles at `applied`. */
static struct group_marks
marks_expected(const struct verification *verification, uint32_t id)
{
    const struct inventory *inventory = verification->inventory;
    uint64_t applied = verification->verify->overview_applied;
    struct group_marks marks = {.low = UINT64_MAX};

    for (size_t i = inventory_place_from(inventory, id, 0);
         i < inventory_place_count(inventory); i++) {
        const struct inventory_place *place = inventory_place(inventory, i);

        if (place->group != id)
            break;
        if (inventory_article(inventory, place->article)->sequence > applied)
            continue;
        marks.high = place->number;
        if (!is_counted(inventory, place, applied))
            continue;
        if (marks.count++ == 0)
            marks.low = place->number;
    }
    if (id <= verification->lost_groups)
        marks.count += verification->lost_lines[id - 1];
    return marks;
}

static bool
marks_are_fine(struct verification *verification, uint32_t id,
               const struct group_marks *marks, bool report)
{
    struct group_marks expected = marks_expected(verification, id);
    bool fine = true;

    if (marks->count != expected.count) {
        fine = false;
        if (report) {
            buffer_append_format(&verification->found, "%" PRIu64 " articles",
                                 marks->count);
            buffer_append_format(&verification->expected, "%" PRIu64,
                                 expected.count);
            group_report(verification, VERIFY_COUNT_WRONG, id);
        }
    }
    if (marks->high < expected.high || marks->low > expected.low) {
        fine = false;
        if (report) {
            buffer_append_format(&verification->found,
                                 "low %" PRIu64 " high %" PRIu64, marks->low,
                                 marks->high);
            buffer_append_format(
                &verification->expected,
                "low at most %" PRIu64 " high at least %" PRIu64,
                expected.low == UINT64_MAX ? expected.high + 1 : expected.low,
                expected.high);
            group_report(verification, VERIFY_MARKS_WRONG, id);
        }
    }
    return fine;
}

static bool
group_is_fine(struct verification *verification, uint32_t id, bool report)
{
    const struct active *active = verification->verify->active;
    const struct inventory_group *group =
        inventory_group(verification->inventory, id);
    bool fine = group != NULL && group->name != NULL
                && strcmp(group->name, active_name(active, id, NULL)) == 0
                && group->flag == active_flag(active, id);

    if (!fine && report) {
        buffer_append_format(&verification->found, "%s flag %c",
                             active_name(active, id, NULL),
                             active_flag(active, id));
        if (group == NULL || group->name == NULL)
            buffer_append_text(&verification->expected, "no such group");
        else
            buffer_append_format(&verification->expected, "%s flag %c",
                                 group->name,
                                 group->flag != 0 ? group->flag : '-');
        group_report(verification, VERIFY_GROUP_WRONG, id);
    }
    return fine;
}

/* All marks and, where a writer goes on, the sequence of which they are. */
static struct group_marks *
marks_copy(struct verification *verification, uint32_t count,
           struct buffer *why)
{
    const struct active *active = verification->verify->active;
    struct group_marks *marks = xcalloc(count + 1, sizeof(*marks));
    uint64_t published, committed;

    do {
        published = active_published(active);
        committed = active_committed(active);
        for (uint32_t id = 1; id <= count; id++)
            marks[id - 1] = active_marks(active, id);
    } while (verification->verify->online
             && published != active_published(active)
             && !*verification->verify->stopping);
    if (!verification->verify->online)
        return marks;
    if (verify_extend(verification, why) < 0) {
        free(marks);
        return NULL;
    }
    verification->verify->overview_applied = committed;
    return marks;
}

/* How many groups are wrong, -1 with why. */
static int
look_at_groups(struct verification *verification, bool report,
               struct buffer *why)
{
    const struct active *active = verification->verify->active;
    uint32_t count = active_count(active);
    struct group_marks *marks = marks_copy(verification, count, why);
    int wrong = 0;

    if (marks == NULL)
        return -1;
    for (uint32_t id = 1; id <= count; id++) {
        if (active_flag(active, id) == 0)
            continue;
        if (!group_is_fine(verification, id, report)
            || !marks_are_fine(verification, id, &marks[id - 1], report))
            wrong++;
    }
    free(marks);
    return wrong;
}

int
verify_groups(struct verification *verification, struct buffer *why)
{
    int rounds = verification->verify->online ? GROUP_ROUNDS_ONLINE : 1;
    int wrong = 1;

    for (int i = 1; i <= rounds && wrong > 0; i++) {
        if (i > 1)
            (void)usleep(
                ROUND_PAUSE_US); /* short or not, it is only a pause */
        wrong = look_at_groups(verification, i == rounds, why);
        if (verify_stops(verification, why))
            return -1;
    }
    return wrong < 0 ? -1 : 0;
}
