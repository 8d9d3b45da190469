/*
 * expire -- removes articles whose time is over, by the expire sections of the
 * configuration, and does the upkeep of the store.
 *
 * What goes is decided here, from the overview and the spool, as any reader
 * sees them; it is removed by the writer of the server that runs, in small
 * batches, or, with none running, in the store itself.  Nothing is kept
 * between two runs: one that was interrupted begins again with what is there.
 */
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "expire/expire_outgoing.h"
#include "expire/expire_reclaim.h"
#include "expire/expire_rules.h"
#include "expire/expire_tally.h"
#include "expire/expire_walk.h"
#include "expire/interrupt.h"
#include "expire/target.h"
#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/progress.h"
#include "storage/active.h"

/* Between two looks at the clock. */
enum { PROGRESS_ARTICLES = 64 };

struct expire {
    /* what was asked for */
    const char *config_path;
    bool dry_run;
    bool quiet;
    /* what it takes */
    struct config *config;
    struct target *target;
    struct rules *rules;
    struct walk *walk;
    struct outgoing *outgoing;
    struct tally tally;
    struct progress *progress; /* NULL: quiet */
    int64_t now;               /* one moment for all of a run */
    int64_t started_ms;
};

/* --- options --- */

static const char usage_text[] =
    "usage: expire [-c FILE] [-n] [-q]\n"
    "Removes articles whose time is over, by the expire sections of the\n"
    "configuration, and does the upkeep of the store.\n"
    "  -c FILE        the configuration (" SYSCONFDIR "/renews/renews.conf)\n"
    "  -n, --dry-run  say what would be removed, and remove nothing\n"
    "  -q, --quiet    print errors only\n"
    "  --help, --version\n";

static void
options_parse(struct expire *expire, int argc, char **argv)
{
    enum { OPTION_HELP = 256, OPTION_VERSION };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"dry-run", no_argument, NULL, 'n'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {NULL, 0, NULL, 0},
    };
    int option;

    expire->config_path = SYSCONFDIR "/renews/renews.conf";
    while ((option = getopt_long(argc, argv, "c:nq", options, NULL)) != -1)
        switch (option) {
        case 'c':
            expire->config_path = optarg;
            break;
        case 'n':
            expire->dry_run = true;
            break;
        case 'q':
            expire->quiet = true;
            break;
        case OPTION_HELP:
            fputs(usage_text, stdout);
            exit(0);
        case OPTION_VERSION:
            puts("expire (" PACKAGE_STRING ")");
            exit(0);
        default:
            fputs(usage_text, stderr);
            exit(EXIT_USAGE);
        }
    if (optind < argc) {
        fputs(usage_text, stderr);
        exit(EXIT_USAGE);
    }
}

/* --- one article --- */

/*
 * What becomes of an article in one of its groups: 1 it leaves now, 0 it
 * stays, -1 with why.  *there_r: was it there at all?  Of a crosspost a group
 * may have let go before.
 */
static int
group_decide(struct expire *expire, const struct walked *article,
             const struct record_group *place, bool *there_r,
             struct buffer *why)
{
    const struct active *active = target_active(expire->target);
    int filed;

    *there_r = false;
    if (place->group > active_count(active)
        || active_flag(active, place->group) == 0
        || place->number < active_marks(active, place->group).low)
        return 1;
    *there_r = true;
    if (rules_end(expire->rules, place->group, article->arrival,
                  article->expires)
        > expire->now)
        return 0;
    if (article->group_count == 1)
        return 1;
    filed = walk_is_filed(expire->walk, article->sequence, place, why);
    *there_r = filed > 0;
    return filed < 0 ? -1 : 1;
}

static void
article_count(struct tally *tally, size_t leaves, size_t stays)
{
    if (stays == 0)
        tally->expired++;
    else
        tally->kept++;
    if (stays > 0 && leaves > 0)
        tally->partly++;
}

/* 0, or -1 with why. */
static int
article_expire(struct expire *expire, const struct walked *article,
               struct buffer *why)
{
    size_t leaves = 0, stays = 0;

    if (outgoing_make_room(expire->outgoing, why) < 0)
        return -1;
    for (size_t i = 0; i < article->group_count; i++) {
        const struct record_group *place = &article->groups[i];
        bool there;
        int decided = group_decide(expire, article, place, &there, why);

        if (decided < 0)
            return -1;
        if (decided == 0) {
            outgoing_stays(expire->outgoing, place->group);
            tally_group(&expire->tally, place->group)->kept++;
            stays++;
        } else if (there) {
            outgoing_leaves(expire->outgoing, article->sequence, place);
            tally_group(&expire->tally, place->group)->expired++;
            leaves++;
        }
    }
    if (stays == 0)
        outgoing_goes(expire->outgoing, article->sequence, &article->hash);
    article_count(&expire->tally, leaves, stays);
    return 0;
}

/* --- all of them --- */

/* 0 when all is done or a signal came; -1 with why. */
static int
expire_articles(struct expire *expire, struct buffer *why)
{
    int64_t shortest = rules_shortest(expire->rules);
    struct walked article;
    uint64_t done;
    int result = 0;

    while (!interrupted && shortest != CONFIG_NEVER
           && (result = walk_next(expire->walk, &article, why)) > 0) {
        /* Those behind it came later still. */
        if (article.arrival > expire->now - shortest) {
            result = 0;
            break;
        }
        result = article_expire(expire, &article, why);
        if (result < 0)
            break;
        done = expire->tally.expired + expire->tally.kept;
        if (expire->progress != NULL && done % PROGRESS_ARTICLES == 0)
            progress_update(expire->progress, done);
    }
    expire->tally.unreadable = walk_unreadable(expire->walk);
    return result < 0 ? -1 : outgoing_send(expire->outgoing, why);
}

/* --- its life --- */

static int64_t
remember_until(const struct expire *expire)
{
    int64_t until;

    return expire->config->remember_seconds == CONFIG_NEVER
                   || __builtin_add_overflow(
                       expire->now, expire->config->remember_seconds, &until)
               ? INT64_MAX
               : until;
}

static void
expire_open(struct expire *expire)
{
    struct buffer why = BUFFER_EMPTY;

    expire->now = time(NULL);
    expire->started_ms = clock_ms();
    expire->config = config_load(expire->config_path, &why);
    if (expire->config == NULL)
        die(EXIT_CONFIG, "%s", buffer_text(&why));
    if (expire->config->expire_count == 0)
        notice("%s: there is no expire section: all articles stay",
               expire->config_path);
    expire->target = target_open(expire->config, NULL, NULL, &why);
    if (expire->target == NULL)
        die(EXIT_IO, "%s", buffer_text(&why));
    expire->walk =
        walk_open(expire->config, target_active(expire->target), &why);
    if (expire->walk == NULL)
        die(EXIT_IO, "%s", buffer_text(&why));
    expire->rules = rules_new(expire->config, target_active(expire->target));
    expire->outgoing = outgoing_new(expire->dry_run ? NULL : expire->target,
                                    remember_until(expire));
    if (!expire->quiet)
        expire->progress = progress_new("expire", "articles", 0);
    buffer_free(&why);
}

static void
expire_close(struct expire *expire)
{
    outgoing_free(&expire->outgoing);
    rules_free(&expire->rules);
    walk_close(&expire->walk);
    target_close(&expire->target);
    config_free(&expire->config);
    tally_free(&expire->tally);
}

/* The exit status, with what there is to say. */
static int
expire_end(struct expire *expire, int result, const struct buffer *why)
{
    if (expire->progress != NULL)
        progress_update(expire->progress,
                        expire->tally.expired + expire->tally.kept);
    progress_end(&expire->progress);
    if (!expire->quiet)
        tally_print(&expire->tally, target_active(expire->target),
                    expire->dry_run,
                    (double)(clock_ms() - expire->started_ms) / 1000);
    if (result < 0 || interrupted) {
        warn("%s; the next run goes on with what is there",
             result < 0 ? buffer_text(why) : "interrupted");
        return EXIT_TEMPORARY;
    }
    return expire->tally.unreadable > 0 ? EXIT_DATA : 0;
}

int
main(int argc, char **argv)
{
    struct expire expire = {.config_path = NULL};
    struct buffer why = BUFFER_EMPTY;
    int result;
    int status;

    log_open("expire", false);
    options_parse(&expire, argc, argv);
    if (expire.quiet)
        log_set_level(LOG_LEVEL_WARN);
    interrupt_catch();
    expire_open(&expire);
    result = expire_articles(&expire, &why);
    if (result == 0 && !expire.dry_run && !interrupted)
        result = reclaim_segments(expire.target, expire.config, expire.walk,
                                  &expire.tally, &interrupted, &why);
    if (result == 0 && !expire.dry_run && !interrupted)
        result = reclaim_upkeep(expire.target, &expire.tally, &why);
    status = expire_end(&expire, result, &why);
    expire_close(&expire);
    buffer_free(&why);
    return status;
}
