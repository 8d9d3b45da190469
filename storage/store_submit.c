#include "storage/store_private.h"

#include <stdlib.h>
#include <string.h>

#include "lib/article.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/spool_reader.h"

enum {
    /* Numbers left in a group below which its admin is told. */
    NUMBERS_WARNED = ARTICLE_NUMBER_MAX / 10,
    /* What stands round a group's name in Xref: space, colon, number. */
    XREF_SPARE_OCTETS = 12,
    /* A CANCEL record behind the article that asks for it, at most: 200
       groups. */
    REMOVAL_OCTETS = 4096,
};

/* A submission on its way in. */
struct intake {
    struct submission_view view;
    const void *payload;
    size_t octets;
    store_done_func *done;
    void *context;
};

/* --- answers at once --- */

static void
intake_answer(const struct intake *intake, enum store_outcome outcome,
              const char *why)
{
    struct store_result result = {
        .cookie = intake->view.head.cookie,
        .context = intake->context,
        .outcome = outcome,
        .why = why,
    };

    intake->done(&result);
}

const char store_submitted_text[] = "it has gone to the moderator";

static void
intake_answer_stored(const struct intake *intake,
                     const struct history_entry *entry)
{
    struct store_result result = {
        .cookie = intake->view.head.cookie,
        .context = intake->context,
        .outcome = STORE_STORED,
        .sequence = entry->sequence,
        .token = entry->token,
        .why = entry->fate == HISTORY_SUBMITTED ? store_submitted_text : "",
    };

    intake->done(&result);
}

/* Is what lies there the article that is submitted again?  Its sender never
   heard what became of it. */
static bool
is_resubmitted(struct store *store, const struct intake *intake,
               const struct history_entry *entry)
{
    struct spooled *spooled;
    bool same;

    if ((intake->view.head.flags & SUBMISSION_RESUBMIT) == 0
        || spool_read_now(store->pathspool, &entry->token, entry->sequence,
                          &spooled)
               != SPOOL_FOUND)
        return false;
    same = spooled->record.head.body_crc == intake->view.head.body_crc;
    spooled_release(spooled);
    return same;
}

/*
 * The answer to a submission of an ID that is known.  False when there is
 * none: what went to a moderator comes back approved, or its group is not
 * moderated any more.
 */
static bool
intake_known(struct store *store, const struct intake *intake,
             const struct history_entry *entry)
{
    switch (entry->fate) {
    case HISTORY_STORED:
        if (is_resubmitted(store, intake, entry))
            intake_answer_stored(intake, entry);
        else
            intake_answer(intake, STORE_DUPLICATE, "duplicate");
        return true;
    case HISTORY_SUBMITTED:
        if (!is_resubmitted(store, intake, entry))
            return false;
        intake_answer_stored(intake, entry);
        return true;
    case HISTORY_EXPIRED:
        intake_answer(intake, STORE_DUPLICATE, "duplicate (expired here)");
        return true;
    case HISTORY_CANCELLED:
        intake_answer(intake, STORE_REFUSED, "cancelled");
        return true;
    case HISTORY_REFUSED:
        break;
    }
    intake_answer(intake, STORE_REFUSED, "refused before");
    return true;
}

/* --- groups and numbers --- */

/* File the article in this group, once.  Returns 0, or -1 with the answer in
   store->why. */
static int
choose(struct store *store, uint32_t id, uint32_t flags)
{
    struct group *group = &store->groups[id - 1];

    if (group->stamp == store->stamp)
        return 0;
    group->stamp = store->stamp;
    switch (group->flag) {
    case 'm':
        if ((flags & SUBMISSION_APPROVED) != 0)
            break;
        if ((flags & SUBMISSION_POSTED) == 0)
            return why_set(&store->why,
                           "%s is moderated, and this is not approved",
                           group->name);
        if (store->moderated == 0)
            store->moderated = id;
        break;
    case 'n':
        if ((flags & SUBMISSION_POSTED) != 0)
            return why_set(&store->why, "no posting to %s here", group->name);
        break;
    case 'x':
        if ((flags & SUBMISSION_POSTED) != 0)
            return why_set(&store->why, "no posting to %s", group->name);
        return 0;
    case 'j':
        id = groups_find_any(store, "junk", strlen("junk"));
        /* junk itself has this flag in INN's active files. */
        if (id == 0 || store->groups[id - 1].flag == 0)
            return 0;
        if (group != &store->groups[id - 1]) {
            if (store->groups[id - 1].stamp == store->stamp)
                return 0;
            store->groups[id - 1].stamp = store->stamp;
        }
        break;
    case '=':
        if (group->alias == 0 || group->alias > store->group_count
            || store->groups[group->alias - 1].flag == '=')
            return 0;
        return choose(store, group->alias, flags);
    case 0:
        return 0;
    default:
        break;
    }
    store->chosen[store->chosen_count++] = (struct record_group){.group = id};
    return 0;
}

/* Which groups the article is filed in; -1 with the answer in store->why. */
static int
choose_groups(struct store *store, const struct submission_view *view)
{
    store->stamp++;
    store->chosen_count = 0;
    store->moderated = 0;
    for (uint32_t i = 0; i < view->head.group_count; i++) {
        uint32_t id;

        memcpy(&id, (const char *)view->groups + i * sizeof(id), sizeof(id));
        if (id == 0 || id > store->group_count)
            return why_set(&store->why, "submission: there is no group %u",
                           (unsigned)id);
        if (choose(store, id, view->head.flags) < 0)
            return -1;
    }
    if (store->chosen_count == 0)
        return why_set(&store->why, "none of its newsgroups is carried here");
    return 0;
}

/* -1 with the answer in store->why when one of them has no number left. */
static int
check_numbers(struct store *store)
{
    for (size_t i = 0; i < store->chosen_count; i++) {
        const struct group *group = &store->groups[store->chosen[i].group - 1];

        if (group->high >= ARTICLE_NUMBER_MAX)
            return why_set(&store->why, "%s has no article numbers left",
                           group->name);
    }
    return 0;
}

static void
give_numbers(struct store *store)
{
    for (size_t i = 0; i < store->chosen_count; i++) {
        struct record_group *place = &store->chosen[i];
        struct group *group = &store->groups[place->group - 1];

        place->number = ++group->high;
        if (place->number == ARTICLE_NUMBER_MAX - NUMBERS_WARNED)
            warn("store: nine tenths of its article numbers are used:"
                 " group=%s number=%llu",
                 group->name, (unsigned long long)place->number);
    }
}

/* printf costs more here than all the rest of an article's line. */
static void
append_number(struct buffer *buffer, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    buffer_append(buffer, digits + at, sizeof(digits) - at);
}

/* --- Xref and the overview line --- */

/* "Xref: pathhost group:number ...", folded where a line would be too long
   (RFC 5536, 2.2). */
static void
build_xref(struct store *store)
{
    struct buffer *xref = &store->xref;
    size_t line_begin = 0;

    buffer_clear(xref);
    buffer_append_text(xref, "Xref: ");
    buffer_append_text(xref, store->pathhost);
    for (size_t i = 0; i < store->chosen_count; i++) {
        const struct record_group *place = &store->chosen[i];
        const struct group *group = &store->groups[place->group - 1];

        if (xref->used - line_begin + group->name_octets + XREF_SPARE_OCTETS
            > ARTICLE_LINE_OCTETS_MAX) {
            buffer_append(xref, "\r\n", 2);
            line_begin = xref->used;
        }
        buffer_append_char(xref, ' ');
        buffer_append(xref, group->name, group->name_octets);
        buffer_append_char(xref, ':');
        append_number(xref, place->number);
    }
    buffer_append(xref, "\r\n", 2);
}

/* What the sender began, then :bytes, :lines, and Xref in one piece (RFC
   3977, 8.1). */
static void
build_line(struct buffer *line, const struct buffer *xref,
           const struct submission_view *view)
{
    const char *at = xref->data;
    const char *const end = at + xref->used;

    buffer_append(line, view->overview, view->head.overview_octets);
    buffer_append_char(line, '\t');
    append_number(line, view->head.bytes + xref->used);
    buffer_append_char(line, '\t');
    append_number(line, view->head.lines);
    buffer_append_char(line, '\t');
    while (at < end) {
        const char *cr = memchr(at, '\r', (size_t)(end - at));

        buffer_append(line, at, (size_t)(cr - at));
        at = cr + 2;
    }
}

/* --- taking it in --- */

static struct token
append_record(struct store *store, struct commit *commit,
              enum record_type type, const struct submission_view *view,
              int64_t arrival)
{
    const struct submission *from = &view->head;
    const struct buffer *xref = &store->xref;
    struct iovec pieces[] = {
        {(void *)(uintptr_t)view->article, from->xref_offset},
        {xref->data, xref->used},
        {(void *)(uintptr_t)(view->article + from->xref_offset),
         from->article_octets - from->xref_offset},
    };
    struct record_head head = {
        .type = type,
        .sequence = ++store->sequence,
        .arrival = arrival,
        .hash = from->hash,
        .head_octets = from->xref_offset + (uint32_t)xref->used,
        .body_offset = from->body_offset + (uint32_t)xref->used,
        .lines = from->lines,
        .bytes = from->bytes + (uint32_t)xref->used,
        .body_crc = from->body_crc,
        .peer = from->peer,
    };
    struct token token = {0};

    token.offset = batch_append(commit->batch, &head, store->chosen,
                                store->chosen_count * sizeof(*store->chosen),
                                pieces, sizeof(pieces) / sizeof(*pieces));
    token.octets = head.octets;
    commit->last_sequence = head.sequence;
    return token;
}

static struct commit_article *
commit_article_new(struct commit *commit)
{
    if (commit->article_count == commit->article_size) {
        commit->article_size =
            commit->article_size > 0 ? commit->article_size * 2 : 16;
        commit->articles = xreallocarray(
            commit->articles, commit->article_size, sizeof(*commit->articles));
    }
    return &commit->articles[commit->article_count++];
}

/* It is admitted: numbers, Xref, its record and what the indices need. */
static void
intake_take(struct store *store, const struct intake *intake)
{
    const struct submission_view *view = &intake->view;
    struct commit *commit = store->building;
    struct commit_article *article = commit_article_new(commit);

    give_numbers(store);
    build_xref(store);
    *article = (struct commit_article){
        .hash = view->head.hash,
        .arrival = store_now(store),
        .groups_at = commit->groups.used,
        .group_count = store->chosen_count,
        .line_at = commit->lines.used,
        .pending = store_pending_add(&store->pending, &view->head.hash),
        .octets = intake->octets,
        .cookie = view->head.cookie,
        .done = intake->done,
        .context = intake->context,
    };
    buffer_append(&commit->groups, store->chosen,
                  store->chosen_count * sizeof(*store->chosen));
    build_line(&commit->lines, &store->xref, view);
    article->line_octets = commit->lines.used - article->line_at;
    article->token =
        append_record(store, commit, RECORD_ARTICLE, view, article->arrival);
    article->sequence = store->sequence;
    store->in_hand++;
    store->octets_in_hand += intake->octets;
}

/* A post that its moderator must see first: a record, with his group alone,
   and no article. */
static void
intake_forward(struct store *store, const struct intake *intake)
{
    const struct submission_view *view = &intake->view;
    struct commit *commit = store->building;
    struct commit_article *article = commit_article_new(commit);

    *article = (struct commit_article){
        .hash = view->head.hash,
        .arrival = store_now(store),
        .pending = store_pending_add(&store->pending, &view->head.hash),
        .octets = intake->octets,
        .submitted = true,
        .cookie = view->head.cookie,
        .done = intake->done,
        .context = intake->context,
    };
    store->chosen[0] = (struct record_group){.group = store->moderated};
    store->chosen_count = 1;
    buffer_clear(&store->xref);
    article->token = append_record(store, commit, RECORD_SUBMISSION, view,
                                   article->arrival);
    article->sequence = store->sequence;
    store->in_hand++;
    store->octets_in_hand += intake->octets;
}

static void
intake_wait(struct store *store, struct pending_id *pending,
            const struct intake *intake)
{
    struct waiter *waiter = xcalloc(1, sizeof(*waiter));

    buffer_append(&waiter->payload, intake->payload, intake->octets);
    waiter->call.done = intake->done;
    waiter->context = intake->context;
    store_wait(store, pending, waiter);
}

/* The sender says which ID it is; the article must say the same. */
static bool
hash_is_right(struct store *store, const struct submission_view *view)
{
    struct message_hash hash = message_id_hash(
        &store->key, view->article + view->head.message_id_offset,
        view->head.message_id_octets);

    return memcmp(&hash, &view->head.hash, sizeof(hash)) == 0;
}

/* The removal is as durable as the article that asks for it, and nobody is
   told of it but by that. */
static void
removal_done(void *context, uint64_t cookie, int status, const char *text)
{
    (void)context;
    (void)cookie;
    (void)status;
    (void)text;
}

static void
take_and_remove(struct store *store, const struct intake *intake)
{
    struct change change;
    struct pending_id *pending;
    enum removal_answer answer =
        removal_find(store, &intake->view, &change, &pending);

    if (answer == REMOVAL_BROKEN)
        return;
    if (answer == REMOVAL_WAITS) {
        intake_wait(store, pending, intake);
        return;
    }
    intake_take(store, intake);
    if (answer == REMOVAL_NOW) {
        change.changed = removal_done;
        store_remove(store, &change);
    }
}

/* It was cancelled before it came; from now on the history says so. */
static void
intake_refuse_early(struct store *store, const struct intake *intake)
{
    struct change change = {
        .kind = CHANGE_CANCEL,
        .hash = intake->view.head.hash,
        .changed = removal_done,
    };

    store_remove(store, &change);
    intake_answer(intake, STORE_REFUSED, "cancelled");
}

/* For what the article is: another peer need not send it.  A poster may put it
   right and try again. */
static void
intake_refuse(struct store *store, const struct intake *intake)
{
    intake_answer(intake, STORE_REFUSED, buffer_text(&store->why));
    if ((intake->view.head.flags & SUBMISSION_POSTED) == 0)
        store_remember(store, &intake->view.head.hash);
}

void
store_submit(struct store *store, const void *payload, size_t octets,
             store_done_func *done, void *context)
{
    struct intake intake = {.payload = payload,
                            .octets = octets,
                            .done = done,
                            .context = context};
    const struct message_hash *hash = &intake.view.head.hash;
    struct pending_id *pending;
    struct history_entry entry;
    int found;

    if (submission_parse(&intake.view, payload, octets, &store->why) < 0) {
        intake_answer(&intake, STORE_REFUSED, buffer_text(&store->why));
        return;
    }
    if (!hash_is_right(store, &intake.view)) {
        intake_answer(&intake, STORE_REFUSED, "submission: another ID");
        return;
    }
    /* Broken: no answer is the right one, the next writer gives it. */
    if (store_is_broken(store))
        return;
    store_make_room(store, octets + REMOVAL_OCTETS);
    pending = store_pending_find(&store->pending, hash);
    if (pending != NULL) {
        intake_wait(store, pending, &intake);
        return;
    }
    found = store_lookup(store, hash, &entry);
    if (found < 0)
        return;
    if (found > 0 && intake_known(store, &intake, &entry))
        return;
    if (octets > store->article_octets_max)
        intake_answer(&intake, STORE_REFUSED, "larger than a segment");
    else if (store_is_full(store))
        intake_answer(&intake, STORE_LATER, "no room on this server now");
    else if (store_is_away(store))
        intake_answer(&intake, STORE_LATER, "the overview is away");
    else if (choose_groups(store, &intake.view) < 0)
        intake_refuse(store, &intake);
    else if (check_numbers(store) < 0)
        intake_answer(&intake, STORE_REFUSED, buffer_text(&store->why));
    else if (removal_was_early(store, &intake.view))
        intake_refuse_early(store, &intake);
    else if (store->moderated == 0)
        take_and_remove(store, &intake);
    else if (found > 0)
        intake_answer(&intake, STORE_DUPLICATE,
                      "duplicate: it has gone to the moderator");
    else
        intake_forward(store, &intake);
}
