#include "storage/submission.h"

#include <string.h>

#include "lib/article.h"
#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/newsgroup.h"
#include "storage/active.h"

/* Columns of the overview that come with a submission: Subject, From, Date,
   Message-ID, References. */
enum { OVERVIEW_TABS = 4 };

static const char terminator[] = "\r\n.\r\n";
enum { TERMINATOR_OCTETS = sizeof(terminator) - 1 };

/* --- building: the groups */

/* Append the id unless it is there; groups begin at from. */
static void
groups_add(struct buffer *payload, size_t from, uint32_t id)
{
    for (size_t at = from; at < payload->used; at += sizeof(id))
        if (memcmp(payload->data + at, &id, sizeof(id)) == 0)
            return;
    buffer_append(payload, &id, sizeof(id));
}

/* The living groups among Newsgroups, aliases resolved. */
static void
groups_of_newsgroups(struct buffer *payload, const struct article *article,
                     const struct active *active)
{
    const struct field_value *field = &article->fields[FIELD_NEWSGROUPS];
    const size_t from = payload->used;
    const char *name;
    size_t octets;
    size_t at = 0;

    if (field->octets == NULL)
        return;
    while (
        newsgroups_next(field->octets, field->length, &at, &name, &octets)) {
        uint32_t id = active_find(active, name, octets);

        if (id != 0 && active_flag(active, id) == '=')
            id = active_alias(active, id);
        if (id != 0 && active_flag(active, id) != 0)
            groups_add(payload, from, id);
    }
}

static void
groups_add_junk(struct buffer *payload, const struct active *active)
{
    uint32_t id = active_find(active, "junk", strlen("junk"));

    if (id != 0 && active_flag(active, id) != 0)
        buffer_append(payload, &id, sizeof(id));
}

/* Does this control message come before the group it is about is there? */
static bool
control_is_about_groups(const char *verb, size_t octets)
{
    static const char *const verbs[] = {"newgroup", "rmgroup", "checkgroups"};

    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
        if (octets == strlen(verbs[i]) && ascii_same(verb, verbs[i], octets))
            return true;
    return false;
}

/*
 * A control message is filed in control.VERB, else in control, where one of
 * them exists, and in no other group (RFC 5537, 5): readers of the group it is
 * about do not want to see it.  It needs one of its own groups here all the
 * same, unless it may be the one that makes it.
 */
static void
groups_of_control(struct buffer *payload, const struct article *article,
                  const struct active *active)
{
    const struct field_value *control = &article->fields[FIELD_CONTROL];
    const size_t from = sizeof(struct submission); /* its groups begin there */
    struct buffer name = BUFFER_EMPTY;
    size_t verb = 0;
    uint32_t id;

    while (verb < control->length && ascii_is_alpha(control->octets[verb]))
        verb++;
    buffer_append_text(&name, "control.");
    buffer_append(&name, control->octets, verb);
    id = active_find(active, name.data, name.used);
    if (id == 0)
        id = active_find(active, "control", strlen("control"));
    if (id != 0
        && (payload->used > from
            || control_is_about_groups(control->octets, verb))) {
        payload->used = from;
        buffer_append(payload, &id, sizeof(id));
    }
    buffer_free(&name);
}

/* --- building: the article */

/* What is done to an article on its way, for the places behind it: the parts
   that are left out, and the octets put in front of Path. */
struct change {
    struct buffer *to;
    const char *from;     /* the article */
    size_t done;          /* octets of it copied or left out */
    size_t path_offset;   /* where the value of Path begins; 0: no change */
    const char *pathhost; /* goes there, with "!" behind it */
};

/* Copy the article up to end, putting the name in where it belongs. */
static void
copy_up_to(struct change *change, size_t end)
{
    if (change->path_offset > change->done && change->path_offset <= end) {
        buffer_append(change->to, change->from + change->done,
                      change->path_offset - change->done);
        buffer_append_text(change->to, change->pathhost);
        buffer_append_char(change->to, '!');
        change->done = change->path_offset;
    }
    buffer_append(change->to, change->from + change->done, end - change->done);
    change->done = end;
}

/* The end of the header field that begins at at: behind the folded lines. */
static size_t
field_end(const char *head, size_t at, size_t end)
{
    do {
        const char *lf = memchr(head + at, '\n', end - at);

        at = lf != NULL ? (size_t)(lf - head) + 1 : end;
    } while (at < end && (head[at] == ' ' || head[at] == '\t'));
    return at;
}

/* Copy the head but for every Xref in it. */
static void
copy_head(struct change *change, const struct article *article)
{
    const struct field_value *xref = &article->fields[FIELD_XREF];
    static const char name[] = "xref:";
    const size_t name_octets = sizeof(name) - 1;

    if (xref->octets != NULL) {
        size_t at = xref->line_offset;

        while (at < article->head_octets) {
            size_t end = field_end(article->octets, at, article->head_octets);

            if (end - at >= name_octets
                && ascii_same(article->octets + at, name, name_octets)) {
                copy_up_to(change, at);
                change->done = end;
            }
            at = end;
        }
    }
    copy_up_to(change, article->head_octets);
}

/* Is host the first entry of Path? */
static bool
path_begins_with(const struct field_value *path, const char *host)
{
    const size_t octets = strlen(host);

    return path->length >= octets && ascii_same(path->octets, host, octets)
           && (path->length == octets || path->octets[octets] == '!'
               || ascii_is_space(path->octets[octets]));
}

static int
message_id_place(const struct article *article, const struct change *change,
                 size_t article_offset, struct submission *head,
                 struct buffer *why)
{
    const struct field_value *id = &article->fields[FIELD_MESSAGE_ID];
    const char *begin = change->to->data + article_offset;
    struct field_value value;

    if (id->octets == NULL
        || !head_find(begin, head->xref_offset, field_name(FIELD_MESSAGE_ID),
                      &value)
        || !message_id_is_valid(value.octets, value.length))
        return why_set(why, "the message-ID is malformed");
    head->message_id_offset = (uint32_t)(value.octets - begin);
    head->message_id_octets = (uint32_t)value.length;
    return 0;
}

static int
article_copy(struct buffer *payload, const struct article *article,
             const char *pathhost, bool prepend_path, struct submission *head,
             struct buffer *why)
{
    const struct field_value *path = &article->fields[FIELD_PATH];
    const size_t offset = payload->used;
    struct change change = {.to = payload, .from = article->octets};

    if (path->octets == NULL)
        return why_set(why, "the article has no Path");
    if (prepend_path && !path_begins_with(path, pathhost)) {
        change.path_offset = (size_t)(path->octets - article->octets);
        change.pathhost = pathhost;
    }
    buffer_reserve(payload, article->length + strlen(pathhost) + 1);
    copy_head(&change, article);
    head->xref_offset = (uint32_t)(payload->used - offset);
    head->body_offset =
        head->xref_offset
        + (uint32_t)(article->body_offset - article->head_octets);
    copy_up_to(&change, article->length);
    head->article_octets = (uint32_t)(payload->used - offset);
    head->lines = (uint32_t)article->lines;
    head->bytes =
        (uint32_t)(article->bytes + head->article_octets - article->length);
    head->body_crc = crc32c(0, payload->data + offset + head->body_offset,
                            head->article_octets - head->body_offset);
    return message_id_place(article, &change, offset, head, why);
}

int
submission_build(struct buffer *payload, const struct article *article,
                 const struct active *active, const char *pathhost,
                 bool prepend_path, uint32_t flags, uint64_t cookie,
                 struct buffer *why)
{
    struct submission head = {.cookie = cookie, .flags = flags};
    struct message_key key = active_key(active);
    struct field_value target;
    size_t from;

    buffer_clear(payload);
    buffer_append(payload, &head, sizeof(head));
    groups_of_newsgroups(payload, article, active);
    if (article->fields[FIELD_CONTROL].octets != NULL)
        groups_of_control(payload, article, active);
    if (payload->used == sizeof(head) && (flags & SUBMISSION_TRASH) != 0)
        groups_add_junk(payload, active);
    head.group_count =
        (uint32_t)((payload->used - sizeof(head)) / sizeof(uint32_t));
    if (head.group_count == 0)
        return why_set(why, "none of its newsgroups is carried here");

    from = payload->used;
    article_overview(article, payload);
    head.overview_octets = (uint32_t)(payload->used - from);
    from = payload->used;
    if (article_copy(payload, article, pathhost, prepend_path, &head, why) < 0)
        return -1;
    if (article->fields[FIELD_APPROVED].octets != NULL)
        head.flags |= SUBMISSION_APPROVED;
    if (article_removes(article, &target))
        head.flags |= SUBMISSION_REMOVES;
    head.hash =
        message_id_hash(&key, payload->data + from + head.message_id_offset,
                        head.message_id_octets);
    memcpy(payload->data, &head, sizeof(head));
    return 0;
}

void
submission_mark_resubmit(struct buffer *payload)
{
    struct submission head;

    memcpy(&head, payload->data, sizeof(head));
    head.flags |= SUBMISSION_RESUBMIT;
    memcpy(payload->data, &head, sizeof(head));
}

/* --- taking apart */

/* Subject to References, on one line. */
static int
check_overview(const char *overview, size_t octets, struct buffer *why)
{
    size_t tabs = 0;

    for (size_t i = 0; i < octets; i++) {
        if (overview[i] == '\t')
            tabs++;
        else if (overview[i] == '\r' || overview[i] == '\n'
                 || overview[i] == '\0')
            return why_set(why, "submission: the overview is not one line");
    }
    if (tabs != OVERVIEW_TABS)
        return why_set(why, "submission: the overview has %zu columns",
                       tabs + 1);
    return 0;
}

/* All offsets lie where they say. */
static int
check_places(const struct submission_view *view, struct buffer *why)
{
    const struct submission *head = &view->head;
    const char *article = view->article;

    if (head->xref_offset < 2 || head->xref_offset >= head->article_octets
        || head->body_offset != (uint64_t)head->xref_offset + 2
        || head->body_offset > head->article_octets
        || memcmp(article + head->xref_offset - 2, "\r\n\r\n", 4) != 0)
        return why_set(why, "submission: the head does not end at %u",
                       (unsigned)head->xref_offset);
    if (head->article_octets - head->xref_offset < TERMINATOR_OCTETS
        || memcmp(article + head->article_octets - TERMINATOR_OCTETS,
                  terminator, TERMINATOR_OCTETS)
               != 0)
        return why_set(why, "submission: the article has no end");
    if (head->bytes > head->article_octets
        || head->lines > head->article_octets)
        return why_set(why, "submission: impossible size");
    if (head->message_id_octets > MESSAGE_ID_OCTETS_MAX
        || (uint64_t)head->message_id_offset + head->message_id_octets
               > head->xref_offset
        || !message_id_is_valid(article + head->message_id_offset,
                                head->message_id_octets))
        return why_set(why, "submission: no message-ID at %u",
                       (unsigned)head->message_id_offset);
    return 0;
}

int
submission_parse(struct submission_view *view, const void *payload,
                 size_t octets, struct buffer *why)
{
    const struct submission *head = &view->head;
    const char *at = payload;
    uint64_t expected;

    if (octets < sizeof(view->head))
        return why_set(why, "submission: %zu octets are no head", octets);
    memcpy(&view->head, at, sizeof(view->head));
    at += sizeof(view->head);
    if (head->group_count == 0 || head->group_count > NEWSGROUPS_RELAYED_MAX)
        return why_set(why, "submission: %u newsgroups",
                       (unsigned)head->group_count);
    expected = sizeof(*head) + (uint64_t)head->group_count * sizeof(uint32_t)
               + head->overview_octets + head->article_octets;
    if (expected != octets)
        return why_set(why, "submission: %zu octets, expected %llu", octets,
                       (unsigned long long)expected);
    view->groups = (const uint32_t *)(const void *)at;
    at += head->group_count * sizeof(uint32_t);
    view->overview = at;
    view->article = at + head->overview_octets;
    if (check_overview(view->overview, head->overview_octets, why) < 0)
        return -1;
    return check_places(view, why);
}
