/*
 * newsstore -- looks into the news store, mends it, copies it.
 */
#include "expire/newsstore.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expire/interrupt.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"

struct command {
    const char *name;
    int words_min, words_max;
    int (*run)(struct newsstore *newsstore);
    const char *arguments;
    const char *help;
};

static const struct command commands[] = {
    /* name   min max run */
    {"backup", 1, 1, newsstore_backup, "DIR",
     "a copy of the store, also of one that is in use"},
    {"check", 0, 0, newsstore_check, "[--repair]",
     "are spool, history and overview of one mind"},
    {"rebuild", 0, 0, newsstore_rebuild, "",
     "history and overview anew, from the spool alone"},
    {"restore", 1, 1, newsstore_restore, "DIR",
     "make a store of a copy, where there is none"},
    {"show", 0, 1, newsstore_show,
     "[--article] <MESSAGE-ID> | GROUP:NUMBER | --segment N",
     "what the store has of an article, or in a segment"},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void
usage_print(FILE *to)
{
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to,
                "%s newsstore [-c FILE] [-q] %s %s\n"
                "           %s\n",
                i == 0 ? "usage:" : "      ", commands[i].name,
                commands[i].arguments, commands[i].help);
    fputs("  -c FILE        the configuration (" SYSCONFDIR
          "/renews/renews.conf)\n"
          "  -q, --quiet    no progress\n"
          "  --help, --version\n",
          to);
}

static void
usage_die(void)
{
    usage_print(stderr);
    exit(EXIT_USAGE);
}

static uint32_t
segment_parse(const char *text)
{
    char *end;
    unsigned long number = strtoul(text, &end, 16);

    if (end == text || *end != '\0' || number == 0 || number > UINT32_MAX)
        die(EXIT_USAGE,
            "--segment %s: expected a number in hexadecimal, as in the"
            " segment's name",
            text);
    return (uint32_t)number;
}

static const struct command *
options_parse(struct newsstore *newsstore, int argc, char **argv)
{
    enum { OPTION_HELP = 256, OPTION_VERSION };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"quiet", no_argument, NULL, 'q'},
        {"repair", no_argument, NULL, 'r'},
        {"article", no_argument, NULL, 'a'},
        {"segment", required_argument, NULL, 's'},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {NULL, 0, NULL, 0},
    };
    int option;

    newsstore->config_path = SYSCONFDIR "/renews/renews.conf";
    while ((option = getopt_long(argc, argv, "c:q", options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            newsstore->config_path = optarg;
            break;
        case 'q':
            newsstore->quiet = true;
            break;
        case 'r':
            newsstore->repair = true;
            break;
        case 'a':
            newsstore->article = true;
            break;
        case 's':
            newsstore->segment = segment_parse(optarg);
            break;
        case OPTION_HELP:
            usage_print(stdout);
            exit(0);
        case OPTION_VERSION:
            printf("newsstore of Renews %s\n", PACKAGE_VERSION);
            exit(0);
        default:
            usage_die();
        }
    }
    if (optind == argc)
        usage_die();
    newsstore->words = argc - optind - 1;
    newsstore->word = argv + optind + 1;
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[optind], commands[i].name) == 0
            && newsstore->words >= commands[i].words_min
            && newsstore->words <= commands[i].words_max)
            return &commands[i];
    usage_die();
    return NULL;
}

int
main(int argc, char **argv)
{
    struct newsstore newsstore = {.config_path = NULL};
    struct buffer why = BUFFER_EMPTY;
    const struct command *command;
    int status;

    log_open("newsstore", false);
    command = options_parse(&newsstore, argc, argv);
    if (newsstore.quiet)
        log_set_level(LOG_LEVEL_WARN);
    newsstore.config = config_load(newsstore.config_path, &why);
    if (newsstore.config == NULL)
        die(EXIT_CONFIG, "%s", buffer_text(&why));
    interrupt_catch();
    status = command->run(&newsstore);
    config_free(&newsstore.config);
    buffer_free(&why);
    return status;
}
