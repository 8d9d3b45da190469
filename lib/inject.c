#include "lib/article.h"

#include <string.h>

#include "lib/ascii.h"
#include "lib/buffer.h"
#include "lib/date.h"
#include "lib/mailbox.h"
#include "lib/message_id.h"
#include "lib/newsgroup.h"

enum {
    DAY_SECONDS = 24 * 60 * 60,
    FUTURE_SECONDS_MAX = DAY_SECONDS,
    FOLLOWUPS_MAX = 20,
    ADDED_FIELDS_MAX = 11,      /* what injection puts in front, at most */
    ADDED_OCTETS_MAX = 4096,    /* the same, with room to spare */
    QUOTED_NAME_OCTETS = 80,    /* of a name that a refusal repeats */
    PATH_LINE_OCTETS_MAX = 900, /* fold before, not at, the limit of 998 */
};

/*
 * What a poster may not send: fields of the injecting agent (RFC 5537, 3.5),
 * which would be lies, and fields that are obsolete (RFC 5536, 3.3).  A name
 * that ends in "-" stands for all that begin so.
 */
static const struct {
    const char *name;
    bool obsolete;
} refused_fields[] = {
    {"Injection-Info", false},  {"Xref", false},
    {"NNTP-Posting-", false},   {"X-Trace", false},
    {"X-Complaints-To", false}, {"Also-Control", true},
    {"Article-Names", true},    {"Article-Updates", true},
    {"See-Also", true},         {"Date-Received", true},
    {"Posting-Version", true},  {"Relay-Version", true},
};

static bool
name_is(const char *name, size_t octets, const char *refused)
{
    const size_t length = strlen(refused);
    const bool whole = refused[length - 1] != '-';

    return (whole ? octets == length : octets >= length)
           && ascii_same(name, refused, length);
}

static int
check_name(const char *name, size_t octets, struct buffer *why)
{
    const int shown =
        octets < QUOTED_NAME_OCTETS ? (int)octets : QUOTED_NAME_OCTETS;

    for (size_t i = 0; i < sizeof(refused_fields) / sizeof(refused_fields[0]);
         i++) {
        if (!name_is(name, octets, refused_fields[i].name))
            continue;
        if (refused_fields[i].obsolete)
            return why_set(why, "The header field %.*s is obsolete", shown,
                           name);
        return why_set(why,
                       "The header field %.*s is the server's to add, leave "
                       "it out",
                       shown, name);
    }
    return 0;
}

static bool
line_is_blank(const char *at, const char *end)
{
    while (at < end && ascii_is_space(*at))
        at++;
    return at == end;
}

/* One line of the header, from at to behind its CRLF; a field's first line
   or a folded one. */
static int
check_header_line(const char *at, const char *end, struct buffer *why)
{
    const char *colon;
    size_t octets;
    int shown;

    if (*at == ' ' || *at == '\t')
        return line_is_blank(at, end)
                   ? why_set(why, "A header field has a line with nothing but "
                                  "white space")
                   : 0;
    /* article_parse() has seen to it that there is one. */
    colon = memchr(at, ':', (size_t)(end - at));
    octets = (size_t)(colon - at);
    shown = octets < QUOTED_NAME_OCTETS ? (int)octets : QUOTED_NAME_OCTETS;
    /* Nyuu sends one without a word; ours takes its place in any case. */
    if (octets == 4 && ascii_same(at, "Path", 4)
        && line_is_blank(colon + 1, end))
        return 0;
    /* RFC 5536, 2.2: something on each line, the first one included. */
    if (line_is_blank(colon + 1, end))
        return why_set(why, "The header field %.*s %s", shown, at,
                       *end == ' ' || *end == '\t'
                           ? "has nothing on its first line"
                           : "is empty");
    if (colon[1] != ' ')
        return why_set(why,
                       "The header field %.*s has no space behind its colon",
                       shown, at);
    return check_name(at, octets, why);
}

static int
check_header(const struct article *proto, struct buffer *why)
{
    const char *at = proto->octets;
    const char *const end = at + proto->head_octets;
    int fields = 0;

    if (proto->head_octets > ARTICLE_HEAD_OCTETS_MAX - ADDED_OCTETS_MAX)
        return why_set(why, "The header is longer than %d octets",
                       ARTICLE_HEAD_OCTETS_MAX - ADDED_OCTETS_MAX);
    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));

        next = next != NULL ? next + 1 : end;
        fields += *at != ' ' && *at != '\t';
        if (check_header_line(at, next, why) < 0)
            return -1;
        at = next;
    }
    if (fields > ARTICLE_FIELDS_MAX - ADDED_FIELDS_MAX)
        return why_set(why, "The article has more than %d header fields",
                       ARTICLE_FIELDS_MAX - ADDED_FIELDS_MAX);
    return 0;
}

static int
check_line_lengths(const struct article *proto, struct buffer *why)
{
    const char *at = proto->octets;
    const char *const end = at + proto->length;
    size_t line = 1;

    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *next = lf != NULL ? lf + 1 : end;

        /* CRLF does not count, a dot that is there only for the wire
           neither. */
        if (next - at > ARTICLE_LINE_OCTETS_MAX + 2 + (*at == '.'))
            return why_set(why, "Line %zu is longer than %d octets", line,
                           ARTICLE_LINE_OCTETS_MAX);
        at = next;
        line++;
    }
    return 0;
}

static int
check_presence(const struct article *proto, struct buffer *why)
{
    static const enum field mandatory[] = {FIELD_FROM, FIELD_NEWSGROUPS,
                                           FIELD_SUBJECT};

    for (size_t i = 0; i < sizeof(mandatory) / sizeof(mandatory[0]); i++)
        if (proto->fields[mandatory[i]].times == 0)
            return why_set(why, "The article has no %s header field",
                           field_name(mandatory[i]));
    for (int field = 0; field < FIELD_COUNT; field++)
        if (proto->fields[field].times > 1)
            return why_set(why,
                           "The header field %s occurs %u times, only "
                           "one is allowed",
                           field_name(field), proto->fields[field].times);
    /* RFC 5536, 3.2.3. */
    if (proto->fields[FIELD_CONTROL].times > 0
        && proto->fields[FIELD_SUPERSEDES].times > 0)
        return why_set(why, "An article may have Control or Supersedes, not "
                            "both");
    if (proto->lines == 0)
        return why_set(why, "The article has no body");
    return 0;
}

/* Of Sender nothing is asked: INN's inews writes "user%host". */
static int
check_from(const struct article *proto, struct buffer *why)
{
    const struct field_value *from = &proto->fields[FIELD_FROM];

    if (!mailbox_list_is_valid(from->octets, from->length))
        return why_set(why, "From must be an address like \"Name "
                            "<user@example.com>\"");
    return 0;
}

/* --- newsgroups */

/* Commas between names, none before the first, behind the last or twice. */
static bool
list_is_tidy(const struct field_value *value)
{
    bool name_wanted = true;
    bool space = false;

    for (size_t i = 0; i < value->length; i++) {
        if (ascii_is_space(value->octets[i])) {
            space = true;
            continue;
        }
        if (value->octets[i] == ',') {
            if (name_wanted)
                return false;
            name_wanted = true;
        } else if (space && !name_wanted) {
            return false;
        } else {
            name_wanted = false;
        }
        space = false;
    }
    return !name_wanted;
}

static int
check_posted_name(const char *list, const char *name, size_t octets,
                  struct buffer *why)
{
    if (octets > NEWSGROUP_OCTETS_POSTED)
        return why_set(why, "%s has a name longer than %d octets", list,
                       NEWSGROUP_OCTETS_POSTED);
    if (!newsgroup_is_valid(name, octets))
        return why_set(why, "%s has a name that no newsgroup can have", list);
    if (octets == 6 && ascii_same(name, "poster", 6))
        return why_set(why, "\"poster\" is no newsgroup, and stands alone in "
                            "Followup-To");
    return 0;
}

static int
check_list(const struct field_value *value, const char *list, int names_max,
           struct buffer *why)
{
    const char *name;
    size_t octets;
    size_t at = 0;
    int names = 0;

    if (!list_is_tidy(value))
        return why_set(why,
                       "%s must be names of newsgroups with single "
                       "commas between",
                       list);
    while (
        newsgroups_next(value->octets, value->length, &at, &name, &octets)) {
        if (check_posted_name(list, name, octets, why) < 0)
            return -1;
        if (++names > names_max)
            return why_set(why, "%s has more than %d newsgroups", list,
                           names_max);
    }
    return 0;
}

static int
check_newsgroups(const struct article *proto, struct buffer *why)
{
    const struct field_value *followup = &proto->fields[FIELD_FOLLOWUP_TO];

    if (check_list(&proto->fields[FIELD_NEWSGROUPS], "Newsgroups",
                   NEWSGROUPS_POSTED_MAX, why)
        < 0)
        return -1;
    if (followup->octets == NULL
        || (followup->length == 6
            && ascii_same(followup->octets, "poster", 6)))
        return 0;
    return check_list(followup, "Followup-To", FOLLOWUPS_MAX, why);
}

/* --- dates, IDs, Path */

static int
check_date(const struct article *proto, enum field field,
           const struct article_rules *rules, struct buffer *why)
{
    const struct field_value *value = &proto->fields[field];
    const char *name = field_name(field);
    int64_t date;

    if (value->octets == NULL)
        return 0;
    if (date_parse(value->octets, value->length, &date) < 0)
        return why_set(why,
                       "%s is no date like \"Mon, 23 Nov 2026 21:04:05 "
                       "+0000\"",
                       name);
    if (field == FIELD_EXPIRES)
        return 0;
    if (date > rules->now + FUTURE_SECONDS_MAX)
        return why_set(why,
                       "%s lies more than 24 hours in the future, check "
                       "your clock",
                       name);
    if (rules->cutoff_seconds > 0 && date < rules->now - rules->cutoff_seconds)
        return why_set(why, "%s lies more than %lld days in the past", name,
                       (long long)rules->cutoff_seconds / DAY_SECONDS);
    return 0;
}

static int
check_ids(const struct article *proto, struct buffer *why)
{
    static const enum field ids[] = {FIELD_MESSAGE_ID, FIELD_SUPERSEDES};

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct field_value *value = &proto->fields[ids[i]];

        if (value->octets != NULL
            && !message_id_is_strict(value->octets, value->length))
            return why_set(why,
                           "%s must be like <unique@host.example>, %d "
                           "octets at most",
                           field_name(ids[i]), MESSAGE_ID_OCTETS_MAX);
    }
    return 0;
}

/*
 * A control message acts on many servers: a cancel is anybody's, and says for
 * itself whether it is authorised; those about newsgroups need Approved (RFC
 * 5537, 5.2), which a poster must be allowed; what RFC 5537, 5.6 calls
 * obsolete is nobody's.
 */
static int
check_control(const struct article *proto, struct buffer *why)
{
    static const char *const about_groups[] = {"newgroup", "rmgroup",
                                               "checkgroups"};
    const struct field_value *control = &proto->fields[FIELD_CONTROL];
    struct field_value target;
    size_t verb = 0;

    if (control->octets == NULL)
        return 0;
    while (verb < control->length && ascii_is_alpha(control->octets[verb]))
        verb++;
    if (verb == 6 && ascii_same(control->octets, "cancel", verb))
        return article_removes(proto, &target)
                   ? 0
                   : why_set(why, "Control must be like \"cancel "
                                  "<unique@host.example>\"");
    for (size_t i = 0; i < sizeof(about_groups) / sizeof(about_groups[0]); i++)
        if (verb == strlen(about_groups[i])
            && ascii_same(control->octets, about_groups[i], verb))
            return proto->fields[FIELD_APPROVED].octets != NULL
                       ? 0
                       : why_set(why, "A control message %s needs Approved",
                                 about_groups[i]);
    return why_set(why, "There is no control message \"%.*s\"",
                   verb < QUOTED_NAME_OCTETS ? (int)verb : QUOTED_NAME_OCTETS,
                   control->octets);
}

/* Does an element of Path say that the article was injected before? */
static bool
path_has_posted(const struct field_value *path)
{
    static const char posted[] = ".POSTED";
    const size_t length = sizeof(posted) - 1;
    const char *at = path->octets;
    const char *const end = at + path->length;

    while (at < end) {
        const char *bang = memchr(at, '!', (size_t)(end - at));
        const char *last = bang != NULL ? bang : end;

        while (at < last && ascii_is_space(*at))
            at++;
        if ((size_t)(last - at) >= length && ascii_same(at, posted, length)
            && ((size_t)(last - at) == length || at[length] == '.'
                || ascii_is_space(at[length])))
            return true;
        at = bang != NULL ? bang + 1 : end;
    }
    return false;
}

/* Entries of letters, digits and the few signs that hosts and diagnostics
   have, with "!" between and no space but folding behind a "!". */
static int
check_path(const struct field_value *path, struct buffer *why)
{
    static const char signs[] = "-._:+!";
    char before = '!';
    int entries = 1;

    if (path->length == 0)
        return 0;
    if (path_has_posted(path))
        return why_set(why, "Path says that the article was posted before");
    for (size_t i = 0; i < path->length; i++) {
        const char octet = path->octets[i];

        if (ascii_is_space(octet) && (before == '!' || i == 0))
            continue;
        if (!ascii_is_alpha(octet) && !ascii_is_digit(octet)
            && memchr(signs, octet, sizeof(signs) - 1) == NULL)
            return why_set(why, "Path must be names of hosts with \"!\" "
                                "between, or left out");
        entries += octet == '!';
        before = octet;
    }
    /* The server's name and .POSTED come before them. */
    if (before == '!' || entries > ARTICLE_PATH_ENTRIES_MAX - 2)
        return why_set(why, "Path has too many entries, or none at its end");
    return 0;
}

static int
check_proto(const struct article *proto, const struct article_rules *rules,
            struct buffer *why)
{
    if (rules->size_octets_max > 0 && proto->bytes > rules->size_octets_max)
        return why_set(why,
                       "The article has %llu octets, and %zu are "
                       "allowed",
                       (unsigned long long)proto->bytes,
                       rules->size_octets_max);
    if (check_presence(proto, why) < 0 || check_header(proto, why) < 0
        || check_line_lengths(proto, why) < 0 || check_from(proto, why) < 0
        || check_newsgroups(proto, why) < 0
        || check_date(proto, FIELD_DATE, rules, why) < 0
        || check_date(proto, FIELD_INJECTION_DATE, rules, why) < 0
        || check_date(proto, FIELD_EXPIRES, rules, why) < 0
        || check_ids(proto, why) < 0 || check_control(proto, why) < 0)
        return -1;
    return check_path(&proto->fields[FIELD_PATH], why);
}

/* --- what injection adds */

/* Can the client's host stand in Path, as a name or an address (RFC 5536,
   3.1.5)? */
static bool
host_fits_path(const char *host)
{
    static const char signs[] = "-._:";

    if (*host == '\0')
        return false;
    for (; *host != '\0'; host++)
        if (!ascii_is_alpha(*host) && !ascii_is_digit(*host)
            && memchr(signs, *host, sizeof(signs) - 1) == NULL)
            return false;
    return true;
}

static void
add_path(const struct field_value *path, const struct injection *injection,
         struct buffer *wire)
{
    const size_t begin = wire->used;

    buffer_append_text(wire, "Path: ");
    if (injection->pathcluster != NULL)
        buffer_append_format(wire, "%s!", injection->pathcluster);
    buffer_append_format(wire, "%s!.POSTED", injection->pathhost);
    if (injection->path_host != NULL && host_fits_path(injection->path_host))
        buffer_append_format(wire, ".%s", injection->path_host);
    buffer_append_char(wire, '!');
    if (path->length == 0 || injection->strip_path) {
        buffer_append_text(wire, "not-for-mail");
    } else {
        if (wire->used - begin + path->length > PATH_LINE_OCTETS_MAX)
            buffer_append_text(wire, "\r\n ");
        buffer_append(wire, path->octets, path->length);
    }
    buffer_append_text(wire, "\r\n");
}

/* One parameter of Injection-Info; on a line of its own where the line would
   become long. */
static void
add_parameter(struct buffer *wire, const char *name, const char *value)
{
    if (value == NULL)
        return;
    buffer_append_text(wire, ";");
    buffer_append_text(wire, strlen(value) > 128 ? "\r\n\t" : " ");
    buffer_append_format(wire, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            buffer_append_char(wire, '\\');
        /* Nothing that a configuration or account holds may end the line. */
        buffer_append_char(
            wire, (*value & '\xe0') == 0 || *value == 0x7f ? ' ' : *value);
    }
    buffer_append_char(wire, '"');
}

static void
add_injection_info(const struct injection *injection, struct buffer *wire)
{
    buffer_append_format(wire, "Injection-Info: %s", injection->pathhost);
    add_parameter(wire, "posting-host", injection->client_host);
    add_parameter(wire, "posting-account", injection->account);
    add_parameter(wire, "mail-complaints-to", injection->complaints);
    buffer_append_text(wire, "\r\n");
}

static void
add_message_id(const struct injection *injection, struct buffer *wire)
{
    buffer_append_text(wire, "Message-ID: ");
    if (injection->message_id != NULL)
        buffer_append_text(wire, injection->message_id);
    else
        message_id_generate(wire, injection->pathhost);
    buffer_append_text(wire, "\r\n");
}

static void
add_date(const char *name, int64_t now, struct buffer *wire)
{
    char text[DATE_OCTETS];

    date_format(now, text);
    buffer_append_format(wire, "%s: %s\r\n", name, text);
}

/* Ours and then the poster's, each on a line of its own, for it may be long.
 */
static void
add_elements(const char *name, const char *ours,
             const struct field_value *theirs, struct buffer *wire)
{
    if (ours == NULL)
        return;
    buffer_append_format(wire, "%s:", name);
    while (*ours != '\0') {
        size_t octets = strcspn(ours, " ");

        buffer_append_format(wire, " %.*s", (int)octets, ours);
        ours += octets + (ours[octets] == ' ');
        if (*ours != '\0')
            buffer_append_text(wire, "\r\n");
    }
    if (theirs->length > 0) {
        buffer_append_text(wire, "\r\n ");
        buffer_append(wire, theirs->octets, theirs->length);
    }
    buffer_append_text(wire, "\r\n");
}

/* Is this field of the poster's left out, since ours has taken it up or the
   site wants none? */
static bool
field_is_taken(const char *name, size_t octets,
               const struct injection *injection)
{
    const struct {
        const char *name;
        bool taken;
    } fields[] = {
        {"Path", true},
        {"Cancel-Lock", injection->cancel_lock != NULL},
        {"Cancel-Key", injection->cancel_key != NULL},
        {"Sender", injection->own_sender},
        {"To", injection->strip_recipients},
        {"Cc", injection->strip_recipients},
        {"Bcc", injection->strip_recipients},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].taken && octets == strlen(fields[i].name)
            && ascii_same(name, fields[i].name, octets))
            return true;
    return false;
}

/* The poster's header, but for those, and his body. */
static void
add_proto(const struct article *proto, const struct injection *injection,
          struct buffer *wire)
{
    const char *at = proto->octets;
    const char *const end = at + proto->head_octets;
    bool taken = false;

    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *next = lf != NULL ? lf + 1 : end;

        if (*at != ' ' && *at != '\t') {
            const char *colon = memchr(at, ':', (size_t)(next - at));

            taken = colon != NULL
                    && field_is_taken(at, (size_t)(colon - at), injection);
        }
        if (!taken)
            buffer_append(wire, at, (size_t)(next - at));
        at = next;
    }
    buffer_append(wire, end, proto->length - proto->head_octets);
}

static void
add_field(const char *name, const char *value, struct buffer *wire)
{
    if (value != NULL)
        buffer_append_format(wire, "%s: %s\r\n", name, value);
}

int
article_inject(const struct article *proto, const struct article_rules *rules,
               const struct injection *injection, struct buffer *wire,
               struct buffer *why)
{
    const struct field_value *path = &proto->fields[FIELD_PATH];
    const bool has_id = proto->fields[FIELD_MESSAGE_ID].octets != NULL;
    const bool has_date = proto->fields[FIELD_DATE].octets != NULL;

    if (check_proto(proto, rules, why) < 0)
        return -1;

    buffer_reserve(wire, proto->length + ADDED_OCTETS_MAX);
    add_path(path, injection, wire);
    add_injection_info(injection, wire);
    if (!has_id)
        add_message_id(injection, wire);
    if (!has_date)
        add_date("Date", rules->now, wire);
    /*
     * A poster who gives ID and date himself may post the same article at two
     * servers: an Injection-Date of ours would make two articles of it (RFC
     * 5537, 3.5).
     */
    if ((!has_id || !has_date)
        && proto->fields[FIELD_INJECTION_DATE].octets == NULL)
        add_date("Injection-Date", rules->now, wire);
    if (injection->organization != NULL
        && proto->fields[FIELD_ORGANIZATION].octets == NULL)
        buffer_append_format(wire, "Organization: %s\r\n",
                             injection->organization);
    if (proto->fields[FIELD_DISTRIBUTION].octets == NULL)
        add_field("Distribution", injection->distribution, wire);
    add_field("Sender", injection->sender, wire);
    add_elements("Cancel-Lock", injection->cancel_lock,
                 &proto->fields[FIELD_CANCEL_LOCK], wire);
    add_elements("Cancel-Key", injection->cancel_key,
                 &proto->fields[FIELD_CANCEL_KEY], wire);
    add_proto(proto, injection, wire);
    return 0;
}
