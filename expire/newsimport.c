/*
 * newsimport -- puts articles that are there already into the store: a
 * directory tree, archives, rnews batches, mboxes.
 *
 * Each article passes the same checks as one that a peer sends.  With a server
 * running they go to its writer; with none, newsimport opens the store itself.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "expire/newsimport_flight.h"
#include "expire/interrupt.h"
#include "expire/newsimport_source.h"
#include "expire/newsimport_state.h"
#include "expire/newsimport_summary.h"
#include "expire/target.h"
#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/newsgroup.h"
#include "lib/progress.h"
#include "lib/wire.h"
#include "storage/active.h"
#include "storage/relay.h"

enum {
    STATE_INTERVAL_MS = 2000,
    ESTIMATE_INTERVAL = 256, /* articles between two guesses at the total */
};

struct import {
    /* what was asked for */
    const char *config_path;
    bool create;
    bool old;
    bool resume;
    bool quiet;
    char *state_path; /* owned; NULL: no state is kept */
    char **paths;     /* owned, absolute */
    int count;
    /* what it takes */
    struct config *config;
    struct target *target;
    struct source *source;
    struct flight flight;
    struct summary summary;
    struct progress *progress; /* NULL: quiet */
    struct buffer text;        /* the article as it stood in the file */
    struct buffer wire;
    struct buffer name;
    struct buffer answer;  /* to a command */
    char **refused_groups; /* that could not be made; owned */
    size_t refused_group_count;
    int64_t started_ms;
    int64_t state_ms; /* when the state was written */
};

/* --- options --- */

static const char usage_text[] =
    "usage: newsimport [-c FILE] [--create] [--old] [--state FILE] [--quiet] "
    "PATH...\n"
    "       newsimport [-c FILE] [--create] [--old] [--state FILE] [--quiet] "
    "--resume\n"
    "Puts articles into the news store.  PATH is a directory of articles, an\n"
    "archive (tar, cpio, zip), an rnews batch, an mbox or one article, "
    "perhaps\ncompressed; or - for standard input.\n"
    "  -c FILE        the configuration (" SYSCONFDIR "/renews/renews.conf)\n"
    "  --create       make newsgroups that are not there yet\n"
    "  --old          take articles older than artcutoff too\n"
    "  --state FILE   keep there how far the import has come\n"
    "                 (PATHDB/newsimport.state)\n"
    "  --resume       go on with what was interrupted\n"
    "  -q, --quiet    print errors only\n"
    "  --help, --version\n";

static void
options_parse(struct import *import, int argc, char **argv)
{
    enum { OPTION_HELP = 256, OPTION_VERSION };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"create", no_argument, NULL, 'C'},
        {"old", no_argument, NULL, 'o'},
        {"state", required_argument, NULL, 's'},
        {"resume", no_argument, NULL, 'r'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {NULL, 0, NULL, 0},
    };
    int option;

    import->config_path = SYSCONFDIR "/renews/renews.conf";
    while ((option = getopt_long(argc, argv, "c:q", options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            import->config_path = optarg;
            break;
        case 'C':
            import->create = true;
            break;
        case 'o':
            import->old = true;
            break;
        case 's':
            free(import->state_path);
            import->state_path = xstrdup(optarg);
            break;
        case 'r':
            import->resume = true;
            break;
        case 'q':
            import->quiet = true;
            break;
        case OPTION_HELP:
            fputs(usage_text, stdout);
            exit(0);
        case OPTION_VERSION:
            printf("newsimport of Renews %s\n", PACKAGE_VERSION);
            exit(0);
        default:
            fputs(usage_text, stderr);
            exit(EXIT_USAGE);
        }
    }
    if ((optind == argc) != import->resume) {
        fputs(usage_text, stderr);
        exit(EXIT_USAGE);
    }
}

/* Absolute, so that --resume finds them from wherever it is started. */
static void
paths_take(struct import *import, int count, char **paths)
{
    import->paths = xcalloc((size_t)count, sizeof(char *));
    for (import->count = 0; import->count < count; import->count++) {
        const char *path = paths[import->count];
        char *absolute =
            strcmp(path, "-") == 0 ? xstrdup(path) : realpath(path, NULL);

        if (absolute == NULL)
            sysdie(EXIT_DATA, "%s", path);
        import->paths[import->count] = absolute;
    }
}

/* --- the state --- */

static bool
paths_have_stdin(const struct import *import)
{
    for (int i = 0; i < import->count; i++)
        if (strcmp(import->paths[i], "-") == 0)
            return true;
    return false;
}

/* What was read last has been decided unless something is on its way. */
static void
state_keep(struct import *import)
{
    struct buffer why = BUFFER_EMPTY;
    struct source_position position = {.file = NULL};
    const struct source_position *undecided = flight_position(&import->flight);

    import->state_ms = clock_ms();
    if (import->state_path == NULL || import->summary.read == 0)
        return;
    source_position_copy(&position, undecided != NULL
                                        ? undecided
                                        : source_position(import->source));
    if (undecided == NULL)
        position.index++;
    if (position.file != NULL
        && state_write(import->state_path, import->count, import->paths,
                       &position, &why)
               < 0) {
        warn("an interrupted import cannot be resumed: %s", buffer_text(&why));
        free(import->state_path);
        import->state_path = NULL;
    }
    source_position_free(&position);
    buffer_free(&why);
}

/* --- one article --- */

/* "wireformat" of INN's spool: CRLF, dots stuffed, ".CRLF" at the end. */
static bool
is_wire(const struct buffer *text)
{
    struct wire_scanner scanner = {0};
    bool ended = false;
    const char *lf = memchr(text->data, '\n', text->used);

    return lf != NULL && lf > text->data && lf[-1] == '\r'
           && wire_scan(&scanner, text->data, text->used, &ended) == text->used
           && ended && scanner.faults == 0;
}

/* 0, or -1 with why, as a peer would be told. */
static int
article_read(struct import *import, struct article *article,
             struct buffer *why)
{
    struct wire_scanner scanner = {0};
    bool ended = false;

    buffer_clear(&import->wire);
    if (is_wire(&import->text))
        buffer_append(&import->wire, import->text.data, import->text.used);
    else
        wire_from_text(&import->wire, import->text.data, import->text.used);
    wire_scan(&scanner, import->wire.data, import->wire.used, &ended);
    if (scanner.faults != 0)
        return why_set(why, "%s", wire_fault_text(scanner.faults));
    return article_parse(article, import->wire.data, import->wire.used, why);
}

static bool
group_was_refused(const struct import *import, const char *name)
{
    for (size_t i = 0; i < import->refused_group_count; i++)
        if (strcmp(import->refused_groups[i], name) == 0)
            return true;
    return false;
}

/* Make one group.  0 done, or it cannot be made; -1 with why: all is over. */
static int
group_create(struct import *import, const char *name, struct buffer *why)
{
    const char *const words[] = {"newgroup", name, "y", "newsimport"};

    if (!newsgroup_is_valid(name, strlen(name))
        || group_was_refused(import, name))
        return 0;
    while (target_command(import->target, 4, words, &import->answer, why)
           < 0) {
        if (target_is_lost(import->target)) {
            if (flight_recover(&import->flight, why) < 0)
                return -1;
            continue;
        }
        warn("newsgroup %s was not made: %s", name, buffer_text(why));
        import->refused_groups =
            xreallocarray(import->refused_groups,
                          import->refused_group_count + 1, sizeof(char *));
        import->refused_groups[import->refused_group_count++] = xstrdup(name);
        return 0;
    }
    import->summary.groups_created++;
    return 0;
}

static int
groups_create(struct import *import, const struct article *article,
              struct buffer *why)
{
    const struct field_value *field = &article->fields[FIELD_NEWSGROUPS];
    const char *octets;
    size_t length;
    size_t at = 0;
    int result = 0;

    while (result == 0
           && newsgroups_next(field->octets, field->length, &at, &octets,
                              &length)) {
        char *name;

        if (active_find(target_active(import->target), octets, length) != 0)
            continue;
        name = xmemdup(octets, length);
        result = group_create(import, name, why);
        free(name);
    }
    return result;
}

static const char *
article_name(struct import *import)
{
    buffer_clear(&import->name);
    source_name(import->source, &import->name);
    return buffer_text(&import->name);
}

/* Check the article that was read, and send it on its way.  0, refused or
   not; -1 with why: all is over. */
static int
article_import(struct import *import, struct buffer *why)
{
    const struct relay relay = {
        .config = import->config,
        .active = target_active(import->target),
        .any_age = import->old,
    };
    struct article article = {.octets = NULL};
    struct buffer payload = BUFFER_EMPTY;
    int result;

    if (article_read(import, &article, why) < 0
        || relay_check(&relay, &article, import->wire.used, why) < 0) {
        summary_refused(&import->summary, article_name(import),
                        buffer_text(why));
        return 0;
    }
    if (import->create && groups_create(import, &article, why) < 0)
        return -1;
    if (relay_check_site(relay.config, relay.active, &article, why) < 0
        || relay_build(&relay, &article, flight_cookie(&import->flight),
                       &payload, why)
               < 0) {
        summary_refused(&import->summary, article_name(import),
                        buffer_text(why));
        buffer_free(&payload);
        return 0;
    }
    result =
        flight_add(&import->flight, &payload, source_position(import->source),
                   article_name(import), why);
    buffer_free(&payload);
    return result;
}

/* --- all of them --- */

/* How many there are nobody knows before the end; what was read of the octets
   tells it well enough. */
static void
progress_show(struct import *import)
{
    uint64_t octets = source_octets_read(import->source);
    uint64_t total = source_octets_total(import->source);

    if (import->progress == NULL)
        return;
    if (import->summary.read % ESTIMATE_INTERVAL == 0 && octets > 0
        && total >= octets)
        progress_set_total(import->progress,
                           (uint64_t)((double)import->summary.read
                                      * ((double)total / (double)octets)));
    progress_update(import->progress, import->summary.read);
}

/* 0 when all is read or a signal came; -1 with why. */
static int
import_articles(struct import *import, struct buffer *why)
{
    int result;

    while (!interrupted
           && (result = source_next(import->source, &import->text, why))
                  != 0) {
        import->summary.read++;
        if (result < 0)
            summary_unreadable(&import->summary, article_name(import),
                               buffer_text(why));
        else if (article_import(import, why) < 0)
            return -1;
        progress_show(import);
        if (clock_ms() - import->state_ms >= STATE_INTERVAL_MS)
            state_keep(import);
    }
    return flight_drain(&import->flight, why);
}

static void
import_open(struct import *import)
{
    struct buffer why = BUFFER_EMPTY;
    struct state state = {.count = 0};

    import->config = config_load(import->config_path, &why);
    if (import->config == NULL)
        die(EXIT_CONFIG, "%s", buffer_text(&why));
    if (import->state_path == NULL)
        import->state_path =
            xasprintf("%s/newsimport.state", import->config->pathdb);
    flight_init(&import->flight, &import->summary);
    /* With no server this gives up root, and what is to be read must be
       readable without it; so it comes first. */
    import->target =
        target_open(import->config, flight_outcome, &import->flight, &why);
    if (import->target == NULL)
        die(EXIT_IO, "%s", buffer_text(&why));
    import->flight.target = import->target;
    if (import->resume) {
        if (state_read(import->state_path, &state, &why) < 0)
            die(EXIT_DATA, "nothing to resume: %s", buffer_text(&why));
        paths_take(import, state.count, state.paths);
    }
    import->source = source_open(import->count, import->paths, &why);
    if (import->source == NULL)
        die(EXIT_DATA, "%s", buffer_text(&why));
    source_resume(import->source, &state.position);
    state_free(&state);
    if (paths_have_stdin(import)) {
        free(import->state_path);
        import->state_path = NULL;
    }
    import->started_ms = clock_ms();
    import->state_ms = import->started_ms - STATE_INTERVAL_MS;
    if (!import->quiet)
        import->progress = progress_new("import", "articles", 0);
    buffer_free(&why);
}

static void
import_close(struct import *import)
{
    flight_free(&import->flight);
    target_close(&import->target);
    source_close(&import->source);
    config_free(&import->config);
    summary_free(&import->summary);
    for (int i = 0; i < import->count; i++)
        free(import->paths[i]);
    free(import->paths);
    for (size_t i = 0; i < import->refused_group_count; i++)
        free(import->refused_groups[i]);
    free(import->refused_groups);
    free(import->state_path);
    buffer_free(&import->text);
    buffer_free(&import->wire);
    buffer_free(&import->name);
    buffer_free(&import->answer);
}

/* The exit status, with what there is to say. */
static int
import_end(struct import *import, int result, const struct buffer *why)
{
    const struct summary *summary = &import->summary;

    /* No guess any more. */
    if (import->progress != NULL) {
        progress_set_total(import->progress,
                           result < 0 || interrupted ? 0 : summary->read);
        progress_update(import->progress, summary->read);
    }
    progress_end(&import->progress);
    if (!import->quiet)
        summary_print(summary,
                      (double)(clock_ms() - import->started_ms) / 1000);
    if (result < 0 || interrupted) {
        warn("%s%s", result < 0 ? buffer_text(why) : "interrupted",
             import->state_path != NULL ? "; --resume goes on from here" : "");
        return EXIT_TEMPORARY;
    }
    if (import->state_path != NULL)
        unlink(import->state_path);
    return summary->refused + summary->unreadable > 0 ? EXIT_DATA : 0;
}

int
main(int argc, char **argv)
{
    struct import import = {.config_path = NULL};
    struct buffer why = BUFFER_EMPTY;
    int result;
    int status;

    log_open("newsimport", false);
    options_parse(&import, argc, argv);
    if (import.quiet)
        log_set_level(LOG_LEVEL_WARN);
    import.summary.quiet = import.quiet;
    paths_take(&import, argc - optind, argv + optind);
    interrupt_catch();
    import_open(&import);
    result = import_articles(&import, &why);
    if (result < 0 || interrupted)
        state_keep(&import);
    status = import_end(&import, result, &why);
    import_close(&import);
    buffer_free(&why);
    return status;
}
