#include "lib/article.h"

#include <string.h>

#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/date.h"
#include "lib/message_id.h"
#include "lib/newsgroup.h"
#include "lib/wildmat.h"

enum { FUTURE_SECONDS_MAX = 24 * 60 * 60 };

/* RFC 5536, 3.1, and what this server acts upon: of two it could act upon the
   one that another server did not see. */
static const struct {
    enum field field;
    bool mandatory;
} once[] = {
    {FIELD_PATH, true},        {FIELD_MESSAGE_ID, true},
    {FIELD_NEWSGROUPS, true},  {FIELD_FROM, true},
    {FIELD_SUBJECT, true},     {FIELD_DATE, true},
    {FIELD_APPROVED, false},   {FIELD_CONTROL, false},
    {FIELD_SUPERSEDES, false}, {FIELD_INJECTION_DATE, false},
};

static int
check_fields(const struct article *article, struct buffer *why)
{
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        const char *name = field_name(once[i].field);
        const struct field_value *value = &article->fields[once[i].field];

        if (value->times > 1)
            return why_set(why, "%s occurs %u times", name, value->times);
        if (!once[i].mandatory)
            continue;
        if (value->times == 0)
            return why_set(why, "no %s header field", name);
        if (value->length == 0)
            return why_set(why, "the %s header field is empty", name);
    }
    return 0;
}

/* Injection-Date decides where there is one (RFC 5537, 3.6). */
static int
check_date(const struct article *article, const struct article_rules *rules,
           struct buffer *why)
{
    const enum field field = article->fields[FIELD_INJECTION_DATE].length > 0
                                 ? FIELD_INJECTION_DATE
                                 : FIELD_DATE;
    const struct field_value *value = &article->fields[field];
    int64_t date;

    if (date_parse(value->octets, value->length, &date) < 0)
        return why_set(why, "%s cannot be understood", field_name(field));
    if (date > rules->now + FUTURE_SECONDS_MAX)
        return why_set(why, "%s lies in the future", field_name(field));
    if (rules->cutoff_seconds > 0 && date < rules->now - rules->cutoff_seconds)
        return why_set(why, "too old");
    return 0;
}

/* A name that cannot be is passed over, as long as one can. */
static int
check_newsgroups(const struct field_value *value, struct buffer *why)
{
    const char *name;
    size_t octets;
    size_t at = 0;
    int names = 0;
    int valid = 0;

    while (
        newsgroups_next(value->octets, value->length, &at, &name, &octets)) {
        if (octets > NEWSGROUP_OCTETS_MAX)
            return why_set(why, "a newsgroup's name is longer than %d octets",
                           NEWSGROUP_OCTETS_MAX);
        if (++names > NEWSGROUPS_RELAYED_MAX)
            return why_set(why, "more than %d newsgroups",
                           NEWSGROUPS_RELAYED_MAX);
        valid += newsgroup_is_valid(name, octets);
    }
    if (valid == 0)
        return why_set(why, "no newsgroup in Newsgroups");
    return 0;
}

static int
check_path(const struct field_value *path, const char *pathhost,
           struct buffer *why)
{
    const char *at = path->octets;
    const char *const end = at + path->length;
    int entries = 1;

    while ((at = memchr(at, '!', (size_t)(end - at))) != NULL) {
        at++;
        if (++entries > ARTICLE_PATH_ENTRIES_MAX)
            return why_set(why, "more than %d entries in Path",
                           ARTICLE_PATH_ENTRIES_MAX);
    }
    if (path_has(path, pathhost))
        return why_set(why, "%s is in Path already", pathhost);
    return 0;
}

int
article_check_relayed(const struct article *article,
                      const struct article_rules *rules, struct buffer *why)
{
    const struct field_value *id = &article->fields[FIELD_MESSAGE_ID];

    if (rules->size_octets_max > 0 && article->bytes > rules->size_octets_max)
        return why_set(why, "%llu octets, and %zu are the limit",
                       (unsigned long long)article->bytes,
                       rules->size_octets_max);
    if (check_fields(article, why) < 0)
        return -1;
    if (!message_id_is_valid(id->octets, id->length))
        return why_set(why, "Message-ID is no message-ID");
    if (check_date(article, rules, why) < 0
        || check_newsgroups(&article->fields[FIELD_NEWSGROUPS], why) < 0
        || check_path(&article->fields[FIELD_PATH], rules->pathhost, why) < 0)
        return -1;
    return 0;
}

int
article_check_distribution(const struct article *article, const char *wildmat,
                           struct buffer *why)
{
    const struct field_value *field = &article->fields[FIELD_DISTRIBUTION];
    const char *name;
    size_t octets, at = 0;
    bool named = false;

    if (field->octets == NULL)
        return 0;
    /* Names with commas between, as newsgroups have them. */
    while (
        newsgroups_next(field->octets, field->length, &at, &name, &octets)) {
        if (wildmat_match(wildmat, strlen(wildmat), name, octets))
            return 0;
        named = true;
    }
    return named ? why_set(why, "Distribution %.*s is not for here",
                           field->length < 80 ? (int)field->length : 80,
                           field->octets)
                 : 0;
}
