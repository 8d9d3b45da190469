/* newsstore show: what the store has of one article, or in one segment. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "expire/interrupt.h"
#include "expire/newsstore.h"
#include "expire/newsstore_view.h"
#include "lib/article.h"
#include "lib/config.h"
#include "lib/log.h"
#include "storage/active.h"
#include "storage/spool_reader.h"
#include "storage/store_private.h"

enum { EXIT_NOTHING = 1 };

/* --- printing --- */

/* Octets from outside: what is no printable ASCII is \xHH, and lines end where
   the article's do. */
static void
text_print(const char *octets, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char octet = (unsigned char)octets[i];

        if (octet == '\r' && i + 1 < length && octets[i + 1] == '\n')
            continue;
        if (octet == '\n' || (octet >= 0x20 && octet <= 0x7e && octet != '\\'))
            putchar(octet);
        else
            printf("\\x%02x", octet);
    }
}

static void
name_print(const char *name)
{
    printf("%-16s", name);
}

static void
hash_print(const struct message_hash *hash)
{
    for (size_t i = 0; i < sizeof(hash->octets); i++)
        printf("%02x", hash->octets[i]);
}

static void
time_print(int64_t seconds)
{
    time_t when = (time_t)seconds;
    struct tm tm;
    char text[64];

    if (gmtime_r(&when, &tm) != NULL
        && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0)
        printf("%" PRId64 " (%s)", seconds, text);
    else
        printf("%" PRId64, seconds);
}

static void
token_print(const struct token *token)
{
    printf("segment %08" PRIx32 " offset %" PRIu32 " octets %" PRIu32,
           token->segment, token->offset, token->octets);
}

static const char *
type_name(uint16_t type)
{
    static const char *const names[] = {
        [RECORD_ARTICLE] = "ARTICLE",       [RECORD_CANCEL] = "CANCEL",
        [RECORD_GROUP] = "GROUP",           [RECORD_MARKS] = "MARKS",
        [RECORD_EXPIRE] = "EXPIRE",         [RECORD_REMEMBER] = "REMEMBER",
        [RECORD_SUBMISSION] = "SUBMISSION", [RECORD_TRUNC] = "TRUNC",
        [RECORD_SNAPSHOT] = "SNAPSHOT",
    };

    return type < sizeof(names) / sizeof(names[0]) && names[type] != NULL
               ? names[type]
               : "unknown";
}

/* "local.test:12", or by its id where the group is not known. */
static void
place_print(const struct active *active, const struct record_group *place)
{
    if (place->group >= 1 && place->group <= active_count(active))
        printf(" %s:%" PRIu64, active_name(active, place->group, NULL),
               place->number);
    else
        printf(" group %" PRIu32 ":%" PRIu64, place->group, place->number);
}

static void
places_print(const struct active *active, const struct record *record)
{
    for (size_t i = 0; i < record_group_count(record); i++) {
        struct record_group place = record_group(record, i);

        place_print(active, &place);
    }
}

static bool
record_message_id(const struct record *record, struct field_value *id)
{
    return record->head.type == RECORD_ARTICLE
           && head_find(record->payload, record->head.head_octets,
                        field_name(FIELD_MESSAGE_ID), id);
}

/* --- one article --- */

/* What was found of it so far. */
struct shown {
    struct newsstore *newsstore;
    struct view *view;
    struct message_hash hash;
    bool has_hash;
    uint64_t sequence; /* 0: not known */
    struct token token;
    bool has_token;
    /* an answer of the overview */
    int status;
    int64_t arrival;
    struct token located;
    struct buffer line;
    uint32_t group;
    uint64_t number;
};

static void
record_print(const struct active *active, const struct record *record)
{
    const struct record_head *head = &record->head;

    name_print("record");
    printf("%s sequence %" PRIu64 " flags %u class %" PRIu32 " peer %" PRIu32
           "\n",
           type_name(head->type), head->sequence, (unsigned)head->flags,
           head->storage_class, head->peer);
    name_print("arrival");
    time_print(head->arrival);
    putchar('\n');
    name_print("hash");
    hash_print(&head->hash);
    putchar('\n');
    name_print("octets");
    printf("record %" PRIu32 " article %" PRIu32 " head %" PRIu32
           " bytes %" PRIu32 " lines %" PRIu32 "\n",
           head->octets, head->payload_octets, head->head_octets, head->bytes,
           head->lines);
    name_print("sums");
    printf("payload %08" PRIx32 " body %08" PRIx32 " head %08" PRIx32 "\n",
           head->payload_crc, head->body_crc, head->crc);
    printf("places         ");
    places_print(active, record);
    putchar('\n');
}

/* 1 shown, 0 nothing there. */
static int
show_record(struct shown *shown)
{
    static const char *const results[] = {[SPOOL_GONE] = "not there",
                                          [SPOOL_CORRUPT] = "damaged",
                                          [SPOOL_FAILED] = "cannot be read"};
    struct spooled *spooled = NULL;
    enum spool_result result =
        spool_read_now(shown->view->config->pathspool, &shown->token,
                       shown->sequence, &spooled);

    if (result != SPOOL_FOUND) {
        name_print("record");
        puts(results[result]);
        return 0;
    }
    record_print(shown->view->active, &spooled->record);
    shown->hash = spooled->record.head.hash;
    shown->has_hash = true;
    if (shown->newsstore->article) {
        putchar('\n');
        text_print(spooled->record.payload,
                   spooled->record.head.payload_octets);
        putchar('\n');
    }
    spooled_release(spooled);
    return 1;
}

/* 1 there is an entry, 0 none, -1 with why. */
static int
show_history(struct shown *shown, struct buffer *why)
{
    static const char *const fates[] = {[HISTORY_STORED] = "stored",
                                        [HISTORY_EXPIRED] = "expired",
                                        [HISTORY_REFUSED] = "refused",
                                        [HISTORY_CANCELLED] = "cancelled",
                                        [HISTORY_SUBMITTED] = "submitted"};
    struct history_entry entry;
    int count = -1;

    name_print("history");
    if (!shown->view->has_history) {
        printf("cannot be used: %s\n", buffer_text(&shown->view->history_why));
        return 0;
    }
    count = view_list(shown->view, &shown->hash, &entry, 1, why);
    if (count < 0)
        return -1;
    if (count == 0
        || memcmp(&entry.hash, &shown->hash, sizeof(entry.hash)) != 0) {
        puts("never seen");
        return 0;
    }
    printf("%s sequence %" PRIu64 " ", fates[entry.fate], entry.sequence);
    if (history_has_token(entry.fate))
        token_print(&entry.token);
    else
        time_print(entry.until);
    putchar('\n');
    if (history_has_token(entry.fate) && !shown->has_token) {
        shown->sequence = entry.sequence;
        shown->token = entry.token;
        shown->has_token = true;
    }
    return 1;
}

static void
take_place(void *context, const struct overview_answer *answer)
{
    struct shown *shown = context;

    shown->status = answer->status;
    shown->located = answer->token;
    shown->arrival = answer->arrival;
}

static void
take_line(void *context, const struct overview_answer *answer)
{
    struct shown *shown = context;

    shown->status = answer->count > 0 ? answer->status : 0;
    if (answer->status <= 0 || answer->count == 0)
        return;
    shown->sequence = answer->lines[0].sequence;
    shown->token = answer->lines[0].token;
    shown->has_token = true;
    buffer_clear(&shown->line);
    buffer_append(&shown->line, answer->lines[0].text,
                  answer->lines[0].octets);
}

/* Where the overview has the article, by its sequence. */
static void
show_located(struct shown *shown)
{
    const struct overview_query query = {.question = OVERVIEW_LOCATE,
                                         .low = shown->sequence};

    name_print("overview");
    if (shown->view->overview == NULL) {
        printf("cannot be used: %s\n",
               buffer_text(&shown->view->overview_why));
        return;
    }
    view_ask(shown->view, &query, take_place, shown);
    if (shown->status <= 0) {
        puts(shown->status < 0 ? "cannot be read" : "has no such article");
        return;
    }
    printf("sequence %" PRIu64 " ", shown->sequence);
    token_print(&shown->located);
    putchar('\n');
    shown->token = shown->located;
    shown->has_token = true;
}

/* The line of one place.  1 there is one, 0 none. */
static int
show_line(struct shown *shown, uint32_t group, uint64_t number)
{
    const struct overview_query query = {.question = OVERVIEW_RANGE,
                                         .group = group,
                                         .low = number,
                                         .high = number};
    const struct record_group place = {.group = group, .number = number};

    printf("line           ");
    place_print(shown->view->active, &place);
    printf(" ");
    view_ask(shown->view, &query, take_line, shown);
    if (shown->status <= 0) {
        puts(shown->status < 0 ? "cannot be read" : "nothing");
        return 0;
    }
    text_print(shown->line.data, shown->line.used);
    return 1;
}

/* All lines of the article whose record was read. */
static void
show_lines(struct shown *shown)
{
    struct spooled *spooled = NULL;

    if (shown->view->overview == NULL
        || spool_read_now(shown->view->config->pathspool, &shown->token,
                          shown->sequence, &spooled)
               != SPOOL_FOUND)
        return;
    for (size_t i = 0; i < record_group_count(&spooled->record); i++) {
        struct record_group place = record_group(&spooled->record, i);

        (void)show_line(shown, place.group, place.number); /* it is told */
    }
    spooled_release(spooled);
}

static int
show_message_id(struct shown *shown, const char *id, struct buffer *why)
{
    int found;

    shown->hash = message_id_hash(&shown->view->key, id, strlen(id));
    found = show_history(shown, why);
    if (found < 0)
        return -1;
    if (!shown->has_token)
        return found;
    show_located(shown);
    found = show_record(shown);
    show_lines(shown);
    return found;
}

static int
show_number(struct shown *shown, const char *text, struct buffer *why)
{
    const char *colon = strrchr(text, ':');
    size_t octets = colon != NULL ? (size_t)(colon - text) : 0;
    char *end = NULL;
    unsigned long long number =
        colon != NULL ? strtoull(colon + 1, &end, 10) : 0;
    uint32_t group;

    if (octets == 0 || end == colon + 1 || *end != '\0' || number == 0)
        return why_set(
            why, "found \"%s\", expected <message-ID> or GROUP:NUMBER", text);
    if (shown->view->overview == NULL)
        return why_set(why, "the overview cannot be used: %s",
                       buffer_text(&shown->view->overview_why));
    group = active_find_any(shown->view->active, text, octets);
    if (group == 0)
        return why_set(why, "there is no newsgroup %.*s", (int)octets, text);
    if (show_line(shown, group, number) == 0)
        return 0;
    show_located(shown);
    if (show_record(shown) == 0)
        return 0;
    return show_history(shown, why);
}

/* --- one segment --- */

static int
dump_record(void *context, const struct record *record, struct buffer *why)
{
    const struct shown *shown = context;
    const struct record_head *head = &record->head;
    struct field_value id;

    if (interrupted)
        return why_set(why, "interrupted");
    printf("%10" PRIu32 " %-10s sequence %" PRIu64 " arrival %" PRId64
           " octets %" PRIu32,
           record->token.offset, type_name(head->type), head->sequence,
           head->arrival, head->octets);
    if (head->type == RECORD_ARTICLE || head->type == RECORD_CANCEL)
        places_print(shown->view->active, record);
    if (record_message_id(record, &id)) {
        putchar(' ');
        text_print(id.octets, id.length);
    }
    putchar('\n');
    if (shown->newsstore->article && head->type == RECORD_ARTICLE)
        text_print(record->payload, head->payload_octets);
    return 0;
}

static int
show_segment(struct shown *shown, struct buffer *why)
{
    struct segment_head head;
    uint32_t end;

    if (spool_segment_head(shown->view->spool, shown->newsstore->segment,
                           &head, why)
        < 0)
        return -1;
    printf("segment %08" PRIx32 " version %" PRIu32 " class %" PRIu32
           " epoch %" PRIu64 " first sequence %" PRIu64 " made ",
           head.segment, head.version, head.storage_class, head.epoch,
           head.first_sequence);
    time_print(head.created);
    putchar('\n');
    if (spool_examine_segment(shown->view->spool, shown->newsstore->segment,
                              &end, dump_record, shown, why)
        < 0)
        return -1;
    printf("%10" PRIu32 " end\n", end);
    return 1;
}

/* --- the command --- */

static void
print_fault(void *context, const struct spool_fault *fault)
{
    const struct newsstore *newsstore = context;

    /* Others than those of the segment that is shown are check's business. */
    if (newsstore->segment != 0 && fault->segment == newsstore->segment)
        printf("%10" PRIu64 " DAMAGED to %" PRIu64 ": %s\n", fault->from,
               fault->to, fault->text);
}

static int
show(struct shown *shown, struct buffer *why)
{
    const struct newsstore *newsstore = shown->newsstore;

    if (newsstore->segment != 0)
        return show_segment(shown, why);
    if (newsstore->word[0][0] == '<')
        return show_message_id(shown, newsstore->word[0], why);
    return show_number(shown, newsstore->word[0], why);
}

int
newsstore_show(struct newsstore *newsstore)
{
    struct view view;
    struct shown shown = {.newsstore = newsstore, .view = &view};
    struct buffer why = BUFFER_EMPTY;
    int found;

    if ((newsstore->words == 0) != (newsstore->segment != 0))
        die(EXIT_USAGE, "show: expected <message-ID>, GROUP:NUMBER or"
                        " --segment N");
    if (view_open(&view, newsstore->config, print_fault, newsstore, &why) < 0)
        die(EXIT_IO, "%s", buffer_text(&why));
    found = show(&shown, &why);
    if (found < 0)
        warn("%s", buffer_text(&why));
    view_close(&view);
    buffer_free(&shown.line);
    buffer_free(&why);
    return found > 0 ? 0 : found < 0 ? EXIT_DATA : EXIT_NOTHING;
}
