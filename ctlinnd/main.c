/*
 * ctlinnd -- asks the server to do something, as INN's ctlinnd does.
 *
 * Without a server, what concerns the store alone (groups, cancels) is done by
 * the same code in this process, under the writer's lock, and so is what
 * concerns accounts.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctlinnd/gencancel.h"
#include "ctlinnd/offline.h"
#include "ctlinnd/password.h"
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
    int password_fd; /* -1: ask at the terminal */
    bool scram;      /* make a verifier of the password too */
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
               "  -h, --help  this; --version\n"
               "  --password-fd N  read the password of useradd, userpasswd "
               "there, not from\n"
               "              the terminal\n"
               "  --scram     let that password be used with SCRAM too\n\n");
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

static int
descriptor_parse(const char *text)
{
    char *end;
    unsigned long fd = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || text[0] == '-' || fd > 1000000)
        die(EXIT_USAGE, "--password-fd: found \"%s\", expected a descriptor",
            text);
    return (int)fd;
}

static void
options_parse(struct options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"silent", no_argument, NULL, 's'},
        {"timeout", required_argument, NULL, 't'},
        {"password-fd", required_argument, NULL, 'p'},
        {"scram", no_argument, NULL, 'S'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int letter;

    *options = (struct options){
        .config_path = SYSCONFDIR "/renews/renews.conf",
        .timeout_ms = -1,
        .password_fd = -1,
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
        case 'p':
            options->password_fd = descriptor_parse(optarg);
            break;
        case 'S':
            options->scram = true;
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

/* Behind a command that takes a password its options may stand too; they are
   taken out of the words there. */
static int
password_options_take(struct options *options, int words, const char **word)
{
    const struct admin_word *what = words > 0 ? admin_find(word[0]) : NULL;
    int kept = words > 0 ? 1 : 0;

    if (what == NULL || what->place != ADMIN_AUTH_PASSWORD)
        return words;
    for (int i = 1; i < words; i++) {
        if (strcmp(word[i], "--scram") == 0)
            options->scram = true;
        else if (strcmp(word[i], "--password-fd") == 0 && i + 1 < words)
            options->password_fd = descriptor_parse(word[++i]);
        else
            word[kept++] = word[i];
    }
    return kept;
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

/*
 * The words as they are sent: with what is made of the password, which secret
 * holds, behind those that need one.  sent has room for one word more than
 * there are.
 */
static int
words_complete(const struct admin_word *what, const struct options *options,
               int words, const char *const *word, const char **sent,
               struct buffer *secret)
{
    struct buffer why = BUFFER_EMPTY;

    memcpy(sent, word, (size_t)words * sizeof(*sent));
    if (what->place != ADMIN_AUTH_PASSWORD)
        return words;
    if (password_obtain(options->password_fd, options->scram, secret, &why)
        < 0)
        die(EXIT_DATA, "%s", buffer_text(&why));
    sent[words] = buffer_text(secret);
    return words + 1;
}

/* As in SERVER_NOT_RUNNING: here, where that can be. */
static int
offline_ask(const struct config *config, const struct admin_word *what,
            int words, const char *const *word, struct buffer *answer)
{
    switch (what->place) {
    case ADMIN_STORE:
        return offline_command(config, words, word, answer) < 0 ? 1 : 0;
    case ADMIN_AUTH:
    case ADMIN_AUTH_PASSWORD:
        return offline_accounts(config, words, word, answer) < 0 ? 1 : 0;
    case ADMIN_HERE:
    case ADMIN_MASTER:
        break;
    }
    buffer_clear(answer);
    buffer_append_format(answer, "no server runs at %s", config->pathrun);
    return EXIT_NOT_RUNNING;
}

int
main(int argc, char **argv)
{
    struct options options;
    struct buffer answer = BUFFER_EMPTY;
    struct buffer joined = BUFFER_EMPTY;
    struct buffer secret = BUFFER_EMPTY;
    struct config *config;
    const struct admin_word *what;
    const char **word;
    const char **sent;
    int words;
    int status;

    log_open("ctlinnd", false);
    log_set_level(LOG_LEVEL_WARN);
    options_parse(&options, argc, argv);
    words = argc - optind;
    word = (const char **)argv + optind;
    words = password_options_take(&options, words, word);
    what = command_check(&words, word, &joined);
    if (strcmp(what->name, "help") == 0 && words == 1)
        usage_exit(0);
    config = config_load(options.config_path, &answer);
    if (config == NULL)
        die(EXIT_CONFIG, "%s", buffer_text(&answer));
    sent = xcalloc((size_t)words + 1, sizeof(*sent));
    words = words_complete(what, &options, words, word, sent, &secret);
    if (what->place == ADMIN_HERE)
        status = gencancel(config, words, sent, &answer) < 0 ? 1 : 0;
    else
        status = server_ask(config, words, sent, options.timeout_ms, &answer);
    if (status == SERVER_NOT_RUNNING)
        status = offline_ask(config, what, words, sent, &answer);
    if (answer.used > 0 && (status != 0 || !options.silent))
        fprintf(status == 0 ? stdout : stderr, "%s\n", buffer_text(&answer));
    free(sent);
    config_free(&config);
    buffer_free(&answer);
    buffer_free(&joined);
    buffer_free(&secret);
    return status;
}
