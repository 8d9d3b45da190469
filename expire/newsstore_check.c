/* newsstore check: what is wrong with the store, in a table. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expire/interrupt.h"
#include "expire/newsstore.h"
#include "expire/newsstore_view.h"
#include "expire/target.h"
#include "expire/tools.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "storage/rebuild.h"
#include "storage/verify.h"

/* Status 1, as that of a program that looks for something and finds it. */
enum { EXIT_FOUND = 1, ROWS_MAX = 1000, TRIES = 5 };

struct check {
    struct newsstore *newsstore;
    struct view view;
    uint64_t found[VERIFY_KINDS];
    uint64_t all;
    struct mend_step *steps; /* what puts it right */
    size_t step_count, step_size;
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
step_add(struct check *check, const struct mend_step *step)
{
    if (check->step_count == check->step_size) {
        check->step_size = check->step_size * 2 + 64;
        check->steps = xreallocarray(check->steps, check->step_size,
                                     sizeof(*check->steps));
    }
    check->steps[check->step_count++] = *step;
}

static void
take_finding(void *context, const struct verify_finding *finding)
{
    struct check *check = context;

    if (check->all == 0)
        row_print("KIND", "PLACE", "FOUND", "EXPECTED");
    check->found[finding->kind]++;
    if (finding->mend.kind != MEND_NOTHING)
        step_add(check, &finding->mend);
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
        .stopping = &interrupted,
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

/* 1 looked, 0 the store was compacted meanwhile, -1 with why. */
static int
look_once(struct check *check, struct buffer *why)
{
    int status;

    memset(check->found, 0, sizeof(check->found));
    check->all = 0;
    check->step_count = 0;
    if (view_open(&check->view, check->newsstore->config, take_fault, check,
                  why)
        < 0)
        return -1;
    status = check_store(check, why) == 0 ? 1 : -1;
    if (status < 0 && check->view.online
        && spool_has_vanished(check->view.spool))
        status = 0;
    view_close(&check->view);
    return status;
}

/* Look at all of it.  0 with what was found, -1 with why. */
static int
look(struct check *check, struct buffer *why)
{
    int status = 0;

    for (int i = 0; i < TRIES && status == 0; i++) {
        if (i > 0)
            puts("expire has taken a segment away meanwhile: once more");
        status = look_once(check, why);
    }
    if (status > 0)
        summary_print(check);
    return status > 0 ? 0 : -1;
}

/* --- the repair --- */

/* Entries before lines, which are believed only where there is an entry;
   groups, which are counted, last. */
static int
compare_steps(const void *left, const void *right)
{
    const struct mend_step *a = left;
    const struct mend_step *b = right;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

static int
send_steps(const struct check *check, struct buffer *why)
{
    struct target *target =
        target_open(check->newsstore->config, NULL, NULL, why);
    int status = 0;

    if (target == NULL)
        return -1;
    for (size_t i = 0; i < check->step_count && status == 0;) {
        size_t count = check->step_count - i;

        if (count > MEND_STEPS_MAX)
            count = MEND_STEPS_MAX;
        status = target_mend(target, check->steps + i,
                             count * sizeof(*check->steps), why);
        if (status < 0 && target_is_lost(target))
            status = target_reopen(target, why);
        else
            i += count;
        if (interrupted && status == 0)
            status = why_set(why, "interrupted");
    }
    target_close(&target);
    return status;
}

/*
 * Are the indices to be made anew as a whole?  Where one cannot be used.  And
 * where what the overview says of a newsgroup is wrong: whoever opens the
 * store believes that, and says so in the log, where it then stands for good
 * (that nothing is left below a low mark, for one).  A server that runs has
 * done so already.
 */
static bool
needs_rebuild(const struct check *check)
{
    static const enum verify_kind kinds[] = {
        VERIFY_HISTORY_UNUSABLE, VERIFY_OVERVIEW_UNUSABLE, VERIFY_GROUP_WRONG,
        VERIFY_MARKS_WRONG};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (check->found[kinds[i]] > 0)
            return !tools_server_runs(check->newsstore->config);
    return false;
}

static int
repair(const struct check *check, struct buffer *why)
{
    if (needs_rebuild(check))
        return rebuild(check->newsstore->config, check->newsstore->quiet,
                       &interrupted, why);
    if (check->step_count == 0)
        return 0;
    qsort(check->steps, check->step_count, sizeof(*check->steps),
          compare_steps);
    return send_steps(check, why);
}

static int
check_and_repair(struct check *check, struct buffer *why)
{
    if (look(check, why) < 0)
        return -1;
    if (!check->newsstore->repair || check->all == 0)
        return 0;
    if (repair(check, why) < 0)
        return -1;
    puts("\nafter the repair:");
    if (look(check, why) < 0)
        return -1;
    if (check->all > 0)
        puts("what is left cannot be mended from this spool: a backup has"
             " what it lost,\nand newsstore rebuild makes the indices anew");
    return 0;
}

int
newsstore_check(struct newsstore *newsstore)
{
    struct check check = {.newsstore = newsstore};
    struct buffer why = BUFFER_EMPTY;
    int status = check_and_repair(&check, &why);

    if (status < 0)
        warn("%s", buffer_text(&why));
    free(check.steps);
    buffer_free(&why);
    if (status < 0)
        return interrupted ? EXIT_TEMPORARY : EXIT_IO;
    return check.all > 0 ? EXIT_FOUND : 0;
}
