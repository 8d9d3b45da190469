/*
 * innd -- the server.  The master by default; with --role=ROLE, which only the
 * master passes, one of its other roles.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "innd/auth.h"
#include "innd/daemon.h"
#include "innd/master.h"
#include "innd/moderation.h"
#include "innd/outside.h"
#include "innd/place.h"
#include "innd/writer.h"
#include "lib/buffer.h"
#include "lib/child.h"
#include "lib/config.h"
#include "lib/config_credentials.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/tls_context.h"

struct options {
    char *config_path; /* absolute */
    bool foreground;
    bool check;
};

static const char help_text[] =
    "usage: innd [-fn] [-c FILE]\n"
    "\n"
    "  -c, --config FILE   the configuration (default " SYSCONFDIR
    "/renews/renews.conf)\n"
    "  -f, --foreground    stay in the foreground, log to standard error\n"
    "  -n, --check         check the configuration and exit\n"
    "      --print-config  the same, and print it with all defaults\n"
    "      --print-sample  print a commented configuration\n"
    "      --print-manual  print the keys for renews.conf(5)\n"
    "      --version       print the version and what was built in\n"
    "      --help          print this\n"
    "\n"
    "Without -f it detaches once it serves.  SIGHUP reloads, SIGTERM stops.\n";

enum {
    OPTION_CONFIG = 256,
    OPTION_SAMPLE,
    OPTION_MANUAL,
    OPTION_VERSION,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"foreground", no_argument, NULL, 'f'},
    {"check", no_argument, NULL, 'n'},
    {"print-config", no_argument, NULL, OPTION_CONFIG},
    {"print-sample", no_argument, NULL, OPTION_SAMPLE},
    {"print-manual", no_argument, NULL, OPTION_MANUAL},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* Print and exit. */
static void __attribute__((noreturn)) print_and_exit(const char *text)
{
    if (fputs(text, stdout) == EOF || fflush(stdout) == EOF)
        sysdie(EXIT_IO, "standard output");
    exit(0);
}

static void __attribute__((noreturn))
print_table(void (*print)(struct buffer *))
{
    struct buffer text = BUFFER_EMPTY;

    print(&text);
    print_and_exit(buffer_text(&text));
}

/* A daemon's directory is /, so a relative path is made absolute now. */
static char *
path_absolute(const char *path)
{
    char *here;
    char *whole;

    if (path[0] == '/')
        return xstrdup(path);
    here = getcwd(NULL, 0);
    if (here == NULL)
        sysdie(EXIT_SYSTEM, "current directory");
    whole = xasprintf("%s/%s", here, path);
    free(here);
    return whole;
}

static void
options_parse(struct options *options, int argc, char **argv)
{
    const char *path = SYSCONFDIR "/renews/renews.conf";
    bool print_config = false;
    int letter;

    memset(options, 0, sizeof(*options));
    while ((letter = getopt_long(argc, argv, "c:fn", long_options, NULL))
           != -1) {
        switch (letter) {
        case 'c':
            path = optarg;
            break;
        case 'f':
            options->foreground = true;
            break;
        case 'n':
            options->check = true;
            break;
        case OPTION_CONFIG:
            options->check = true;
            print_config = true;
            break;
        case OPTION_SAMPLE:
            print_table(config_print_sample);
        case OPTION_MANUAL:
            print_table(config_print_manual);
        case OPTION_VERSION:
            print_and_exit(
                "innd (" PACKAGE_NAME ") " PACKAGE_VERSION "\n"
                "overview: sqlite, postgresql\nhistory: Berkeley DB\n"
                "systemd: sockets, notify\n");
        case OPTION_HELP:
            print_and_exit(help_text);
        default:
            fputs(help_text, stderr);
            exit(EXIT_USAGE);
        }
    }
    if (optind < argc)
        die(EXIT_USAGE, "unexpected argument \"%s\"; try --help",
            argv[optind]);
    options->config_path = path_absolute(path);
    if (print_config) {
        struct buffer text = BUFFER_EMPTY;
        struct config *config = config_load(options->config_path, &text);

        if (config == NULL)
            die(EXIT_CONFIG, "%s", buffer_text(&text));
        config_print(config, &text);
        print_and_exit(buffer_text(&text));
    }
}

static struct config *
config_read(const char *path)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_load(path, &why);

    if (config == NULL || config_read_files(config, &why) < 0)
        die(EXIT_CONFIG, "%s", buffer_text(&why));
    buffer_free(&why);
    return config;
}

/* Certificates and keys, for who may read them. */
static void
credentials_check(struct config *config)
{
    struct buffer why = BUFFER_EMPTY;

    if (config_read_credentials(config, &why) < 0
        || tls_check(config, &why) < 0)
        die(EXIT_CONFIG, "%s", buffer_text(&why));
    buffer_free(&why);
}

/*
 * A server runs for months; what its caller left open beside the standard
 * descriptors (a pipe that somebody reads to its end) is closed, but for the
 * sockets that systemd passes.
 */
static void
descriptors_close(void)
{
    int passed = sd_listen_fds(0);

    if (close_range(3 + (unsigned)(passed > 0 ? passed : 0), ~0U, 0) < 0)
        sysdie(EXIT_SYSTEM, "close_range");
}

static bool
is_child(int argc, char **argv)
{
    return argc > 1 && strncmp(argv[1], "--role=", strlen("--role=")) == 0;
}

/* The roles beside the master's. */
static const struct role {
    const char *name;
    const char *title;
    int (*run)(const struct child_arguments *arguments);
} roles[] = {
    {"writer", "renews: writer", writer_run},
    {"auth", "renews: auth", auth_run},
    {"moderation", "renews: moderation", moderation_run},
    {"outside", "renews: outside", outside_run},
};

static const struct role *
role_find(const char *name)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (strcmp(roles[i].name, name) == 0)
            return &roles[i];
    return NULL;
}

/* Another role than the master's, as the master started it. */
static int
child_run(int argc, char **argv)
{
    struct child_arguments arguments;
    const struct role *role = role_find(argv[1] + strlen("--role="));

    if (role == NULL)
        die(EXIT_USAGE, "there is no such role; try --help");
    log_open(role->name, false);
    /* First: it moves the words of argv. */
    child_set_title(argc, argv, role->title);
    if (child_arguments_parse(&arguments, argc, argv) < 0
        || arguments.role == NULL)
        die(EXIT_USAGE, "only innd itself starts roles; try --help");
    return role->run(&arguments);
}

int
main(int argc, char **argv)
{
    struct options options;
    struct config *config;
    struct master master;

    log_open("innd", false);
    if (is_child(argc, argv))
        return child_run(argc, argv);
    options_parse(&options, argc, argv);
    config = config_read(options.config_path);
    if (options.check) {
        credentials_check(config);
        printf("%s: no errors\n", options.config_path);
        config_free(&config);
        free(options.config_path);
        return 0;
    }
    descriptors_close();
    umask(027);
    if (!options.foreground)
        daemon_detach();
    log_open("innd", config->syslog);
    log_set_level((enum log_level)config->log_level);
    master_open(&master, options.config_path, config);
    place_drop_privileges(config);
    master_claim(&master);
    child_set_title(argc, argv, "renews: innd");
    master_serve(&master); /* returns when all children have ended */
    master_close(&master);
    free(options.config_path);
    return master.exit_status;
}
