/* newsstore check: what is wrong with the store, in a table. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "expire/newsstore.h"
#include "expire/newsstore_view.h"
#include "lib/config.h"
#include "lib/log.h"
#include "storage/verify.h"

/* Status 1, as that of a program that looks for something and finds it. */
enum { EXIT_FOUND = 1, ROWS_MAX = 1000 };

struct check {
    struct newsstore *newsstore;
    struct view view;
    uint64_t found[VERIFY_KINDS];
    uint64_t all;
};

/* --- the table --- */

/* A column; octets from outside are shown so that they cannot be taken for
   something else. */
static void
column_print(const char *text, int width)
{
    int printed = 0;

    for (; *text != '\0'; text++) {
        unsigned char octet = (unsigned char)*text;

        if (octet < 0x20 || octet > 0x7e)
            printed += printf("\\x%02x", octet);
        else
            printed += printf("%c", octet);
    }
    printf("%*s", printed < width ? width - printed : 2, "");
}

static void
row_print(const char *kind, const char *place, const char *found,
          const char *expected)
{
    column_print(kind, 20);
    column_print(place, 40);
    column_print(found, 40);
    column_print(expected, 0);
    putchar('\n');
}

static void
take_finding(void *context, const struct verify_finding *finding)
{
    struct check *check = context;

    if (check->all == 0)
        row_print("KIND", "PLACE", "FOUND", "EXPECTED");
    check->found[finding->kind]++;
    if (check->all++ < ROWS_MAX)
        row_print(verify_kind_name(finding->kind), finding->place,
                  finding->found, finding->expected);
}

static void
take_fault(void *context, const struct spool_fault *fault)
{
    verify_spool_fault(fault, take_finding, context);
}

static void
unusable(struct check *check, enum verify_kind kind, const char *place,
         const struct buffer *why)
{
    const struct verify_finding finding = {.kind = kind,
                                           .place = place,
                                           .found = buffer_text(why),
                                           .expected = "one that can be used"};

    take_finding(check, &finding);
}

/* --- the check --- */

static int
check_store(struct check *check, struct buffer *why)
{
    struct view *view = &check->view;
    struct verify verify = {
        .pathspool = view->config->pathspool,
        .spool = view->spool,
        .active = view->active,
        .overview = view->overview,
        .base = view->base,
        .list = view->has_history ? view_list : NULL,
        .list_context = view,
        .history_applied = view->history_applied,
        .overview_applied = view->overview_applied,
        .online = view->online,
        .quiet = check->newsstore->quiet,
        .stopping = &newsstore_stopping,
        .report = take_finding,
        .context = check,
    };
    int status;

    if (!view->has_history)
        unusable(check, VERIFY_HISTORY_UNUSABLE, "history",
                 &view->history_why);
    if (view->overview == NULL)
        unusable(check, VERIFY_OVERVIEW_UNUSABLE, "overview",
                 &view->overview_why);
    status = verify_run(&verify, why);
    if (status == 0)
        printf("compared: articles %" PRIu64 ", history entries %" PRIu64
               ", overview lines %" PRIu64 "\n",
               verify.articles, verify.entries, verify.lines);
    if (verify.unknown > 0)
        printf("records of types that are not known here: %" PRIu64 "\n",
               verify.unknown);
    return status;
}

static void
summary_print(const struct check *check)
{
    if (check->all > ROWS_MAX)
        printf("and %" PRIu64 " more\n", check->all - ROWS_MAX);
    for (int kind = 0; kind < VERIFY_KINDS; kind++)
        if (check->found[kind] > 0)
            printf("%-20s%" PRIu64 "\n",
                   verify_kind_name((enum verify_kind)kind),
                   check->found[kind]);
    puts(check->all == 0 ? "nothing is wrong" : "something is wrong");
}

int
newsstore_check(struct newsstore *newsstore)
{
    struct check check = {.newsstore = newsstore};
    struct buffer why = BUFFER_EMPTY;
    int status;

    if (view_open(&check.view, newsstore->config, take_fault, &check, &why)
        < 0)
        die(EXIT_IO, "%s", buffer_text(&why));
    status = check_store(&check, &why);
    if (status == 0)
        summary_print(&check);
    else
        warn("%s", buffer_text(&why));
    view_close(&check.view);
    buffer_free(&why);
    if (status < 0)
        return newsstore_stopping ? EXIT_TEMPORARY : EXIT_IO;
    return check.all > 0 ? EXIT_FOUND : 0;
}
