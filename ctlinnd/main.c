/*
 * ctlinnd -- asks the server to do something, as INN's ctlinnd does.
 *
 * Without a server, what concerns the store alone (groups, cancels) is done by
 * the same code in this process, under the writer's lock.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctlinnd/offline.h"
#include "ctlinnd/server.h"
#include "lib/admin.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"

struct options {
    const char *config_path;
    int timeout_ms; /* -1: wait for ever */
    bool silent;
};

static void __attribute__((noreturn)) usage_exit(int status)
{
    struct buffer text = BUFFER_EMPTY;

    buffer_append_text(
        &text, "usage: ctlinnd [-hs] [-c FILE] [-t SECONDS] command [args]\n"
               "  -c FILE     the server's configuration (default " SYSCONFDIR
               "/renews/renews.conf)\n"
               "  -s          print nothing but errors\n"
               "  -t SECONDS  how long to wait for the answer (default: for "
               "ever)\n"
               "  -h, --help  this; --version\n\n");
    admin_help(&text);
    buffer_append_char(&text, '\n');
    fputs(buffer_text(&text), status == 0 ? stdout : stderr);
    buffer_free(&text);
    exit(status);
}

static int
timeout_parse(const char *text)
{
    char *end;
    unsigned long seconds = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || text[0] == '-' || seconds > 1000000)
        die(EXIT_USAGE, "-t: found \"%s\", expected seconds", text);
    return seconds == 0 ? -1 : (int)seconds * 1000;
}

static void
options_parse(struct options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"silent", no_argument, NULL, 's'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int letter;

    *options = (struct options){
        .config_path = SYSCONFDIR "/renews/renews.conf",
        .timeout_ms = -1,
    };
    /* "+": what follows the command's name is not ours, though it may begin
       with a "-". */
    while ((letter = getopt_long(argc, argv, "+c:st:h", longs, NULL)) != -1) {
        switch (letter) {
        case 'c':
            options->config_path = optarg;
            break;
        case 's':
            options->silent = true;
            break;
        case 't':
            options->timeout_ms = timeout_parse(optarg);
            break;
        case 'V':
            puts("ctlinnd (" PACKAGE_NAME ") " PACKAGE_VERSION);
            exit(0);
        case 'h':
            usage_exit(0);
        default:
            usage_exit(EXIT_USAGE);
        }
    }
}

/* The command's row; leaves when the command line is wrong. */
static const struct admin_word *
command_check(int *words, const char **word, struct buffer *joined)
{
    const struct admin_word *what;

    if (*words == 0)
        usage_exit(EXIT_USAGE);
    what = admin_find(word[0]);
    if (what == NULL)
        die(EXIT_USAGE, "no command \"%s\"; try ctlinnd -h", word[0]);
    *words = admin_join(what, *words, word, joined);
    if (!admin_takes(what, *words)) {
        struct buffer text = BUFFER_EMPTY;

        admin_usage(what, &text);
        fprintf(stderr, "%s\n", buffer_text(&text));
        buffer_free(&text);
        exit(EXIT_USAGE);
    }
    return what;
}

int
main(int argc, char **argv)
{
    struct options options;
    struct buffer answer = BUFFER_EMPTY;
    struct buffer joined = BUFFER_EMPTY;
    struct config *config;
    const struct admin_word *what;
    const char **word;
    int words;
    int status;

    log_open("ctlinnd", false);
    log_set_level(LOG_LEVEL_WARN);
    options_parse(&options, argc, argv);
    words = argc - optind;
    word = (const char **)argv + optind;
    what = command_check(&words, word, &joined);
    if (strcmp(what->name, "help") == 0 && words == 1)
        usage_exit(0);
    config = config_load(options.config_path, &answer);
    if (config == NULL)
        die(EXIT_CONFIG, "%s", buffer_text(&answer));
    status = server_ask(config, words, word, options.timeout_ms, &answer);
    if (status == SERVER_NOT_RUNNING && what->place == ADMIN_STORE) {
        status = offline_command(config, words, word, &answer) < 0 ? 1 : 0;
    } else if (status == SERVER_NOT_RUNNING) {
        buffer_clear(&answer);
        buffer_append_format(&answer, "no server runs at %s", config->pathrun);
        status = EXIT_NOT_RUNNING;
    }
    if (answer.used > 0 && (status != 0 || !options.silent))
        fprintf(status == 0 ? stdout : stderr, "%s\n", buffer_text(&answer));
    config_free(&config);
    buffer_free(&answer);
    buffer_free(&joined);
    return status;
}
